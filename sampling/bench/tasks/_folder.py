"""A task of a folder of images, one sub-folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ._data import Data, share_of_each_class
from ._decode import Decoded, decoded
from ._listing import TEST, TRAIN, VAL, Listed, Listing, list_images
from ._models import Recipe, Standardised, image_layers
from ._own import Own, moments, single_classes

IMAGE_SIZE = 32
_LARGEST = 1024
_FEW = 3  # dropped files that are named
_TEST_SHARE = 0.2

RECIPE = Recipe(
    nn.Identity, epochs=15, batch_size=64, learning_rate=0.1, weight_decay=5e-4, threads=1
)


def folder_data(folder: Path, image_size: int | None, on_bad: str, own: Own, cache: Path) -> Data:
    """Return the data of a folder of images.

    Parameters
    ----------
    folder : Path
        The folder: class folders, or train, val and test with class folders in them.
    image_size : int, optional
        Height and width, by default 32.
    on_bad : {"raise", "drop"}
        What happens to files that are no images, and to empty class folders.
    own : Own
        Settings of the model.
    cache : Path
        Folder in which the decoded images are kept.

    Raises
    ------
    ValueError
        If a file is no image, a class folder is empty, or there are fewer than two classes, or a
        class of the test set has no image for training. The message names the file or folder.
    MissingExtraError
        If Pillow is not installed.
    """
    size = IMAGE_SIZE if image_size is None else image_size
    if size > _LARGEST:
        raise ValueError(f"image_size must be in [4, {_LARGEST + 1}), got {size}")
    listing = list_images(folder)
    if on_bad == "raise":
        _refuse_strays(listing)
    images = decoded(listing.files, size, cache)
    unreadable = dict(images.unreadable)
    if unreadable and on_bad == "raise":
        row, why = images.unreadable[0]
        more = f" ({len(unreadable)} such files)" if len(unreadable) > 1 else ""
        raise ValueError(
            f"{listing.files[row].path} must be an image, got {why}{more}: remove it, or pass "
            "on_bad='drop'"
        )
    kept = [each for row, each in enumerate(listing.files) if row not in unreadable]
    names = sorted({each.label for each in kept})
    if len(names) < 2:  # noqa: PLR2004
        raise ValueError(f"{folder} must hold images of two classes, got only {names[0]!r}")
    number = {name: place for place, name in enumerate(names)}
    labels = np.array([number[each.label] for each in kept], np.int64)
    rows = _split(folder, kept, labels, listing.splits)
    bad_files = [listing.files[row].path for row in unreadable]
    notes = [*_dropped(folder, listing, bad_files), *single_classes(labels[rows[TRAIN]], names)]
    return _data(images, labels, rows, names, size, own, tuple(notes))


def _refuse_strays(listing: Listing) -> None:
    if listing.stray:
        more = f" ({len(listing.stray)} such files)" if len(listing.stray) > 1 else ""
        raise ValueError(
            f"{listing.stray[0]} must be in the folder of a class, got a file next to them{more}: "
            "remove it, or pass on_bad='drop'"
        )
    if listing.empty:
        raise ValueError(
            f"{listing.empty[0]} must hold images, got none: remove it, or pass on_bad='drop'"
        )


def _dropped(folder: Path, listing: Listing, unreadable: list[Path]) -> list[str]:
    found = [
        (unreadable, "file that is no readable image", "files that are no readable images"),
        (listing.stray, "file in no class folder", "files in no class folder"),
        (listing.empty, "empty class folder", "empty class folders"),
    ]
    parts = []
    for paths, one, many in found:
        if paths:
            first = ", ".join(str(path.relative_to(folder)) for path in paths[:_FEW])
            more = ", ..." if len(paths) > _FEW else ""
            parts.append(f"{len(paths):,} {one if len(paths) == 1 else many} ({first}{more})")
    return [f"Dropped: {', '.join(parts)}."] if parts else []


def _split(
    folder: Path, kept: list[Listed], labels: NDArray[np.int64], splits: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split; a test set that is not there is a fifth of the rest."""
    own = np.array([each.split or TRAIN for each in kept])
    if TEST not in splits:
        rest = np.flatnonzero(own == TRAIN)
        own[rest[share_of_each_class(labels[rest], _TEST_SHARE, "bench test split")]] = TEST
    rows = {name: np.flatnonzero(own == name) for name in (TRAIN, VAL, TEST)}
    for name in (TRAIN, TEST):
        if not rows[name].size:
            raise ValueError(
                f"{folder} must hold images for {name}, got none: a class needs two, one of which "
                "is for the test"
            )
    known = np.bincount(labels[rows[TRAIN]], minlength=int(labels.max()) + 1)
    for name in (VAL, TEST):
        for row in rows[name]:
            if not known[labels[row]]:
                raise ValueError(
                    f"{folder} must hold training images of each class, got none of "
                    f"{kept[row].label!r}, to which {kept[row].path} belongs"
                )
    return rows


def _data(
    images: Decoded,
    labels: NDArray[np.int64],
    rows: dict[str, NDArray[np.int64]],
    names: list[str],
    size: int,
    own: Own,
    notes: tuple[str, ...],
) -> Data:
    pixels = images.pixels
    mean, deviation = moments(pixels, rows[TRAIN])
    channels = pixels.shape[3]

    def layers(n_classes: int) -> nn.Module:
        return nn.Sequential(
            Standardised(mean, deviation, channels_last=True),
            *image_layers(size, channels),
            nn.Linear(128, n_classes),
        )

    def examples(indices: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        found = pixels[rows[TRAIN][indices]]
        return list(found[..., 0] if channels == 1 else found)

    return own.data(
        rows,
        pixels,
        labels,
        replace(RECIPE, layers=layers),
        digest=_digest(images.digest, labels, rows),
        notes=notes,
        examples=examples,
        class_names=names,
        embeddings=_scaled(pixels, rows[TRAIN], mean, deviation),
    )


def _digest(images: str, labels: NDArray[np.int64], rows: dict[str, NDArray[np.int64]]) -> str:
    digest = hashlib.blake2b(images.encode(), digest_size=8)
    for array in (labels, *rows.values()):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _scaled(
    pixels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> Callable[[], NDArray[np.float32]]:
    """Return a function that returns the pixels by which methods cluster, centred."""

    def find() -> NDArray[np.float32]:
        found = (pixels[rows].astype(np.float32) - mean) / deviation
        flat: NDArray[Any] = found.reshape(len(found), -1)
        return np.asarray(flat, np.float32)

    return find
