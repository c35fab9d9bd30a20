"""Decode images with Pillow, once for each folder of results.

The pixels are kept as one uint8 array in a .npy file, which all processes map. Its name is derived
from names, sizes and times of the files: after any change, they are decoded again.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..._files._images import image_from, upright
from ..._files._paths import Kind, check_outputs, json_kind, written_whole
from ..._optional import require
from ._listing import Listed

_VERSION = 1  # of what pixels are made of an image
_FEWEST_SHOWN = 500  # images below which no progress is shown
_THREADS = 8
_WAITING = 4  # images for each thread that are read in advance
_MANY = 2**26  # bytes copied at a time


def _is_pixels(path: Path) -> bool:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        return False
    return bool(found.dtype == np.uint8 and found.ndim == 4)  # noqa: PLR2004


_PIXELS = Kind("decoded images of `sampling bench`", ".npy", _is_pixels)
_FACTS = json_kind("facts of decoded images of `sampling bench`", "images", "unreadable")


@dataclass(frozen=True)
class Decoded:
    """The images of a list of files.

    Parameters
    ----------
    pixels : uint8 array of shape (M, S, S, K)
        A memory map; K is 1 if all images are grey, else 3.
    unreadable : list of (int, str)
        Position in the list, and the reason, of each file that is not in `pixels`.
    digest : str
        Hash of the pixels.
    """

    pixels: NDArray[np.uint8]
    unreadable: list[tuple[int, str]]
    digest: str


def decoded(files: Sequence[Listed], size: int, folder: Path) -> Decoded:
    """Return the images of files, from a folder in which an earlier call put them if it did.

    Parameters
    ----------
    files : sequence of Listed
        The files.
    size : int
        Height and width in pixels.
    folder : Path
        Where the pixels are kept; made if it does not exist.

    Raises
    ------
    ValueError
        If no file is an image, or a file in `folder` is another's.
    MissingExtraError
        If Pillow is not installed.
    """
    key = _key(files, size)
    pixels, facts = folder / f"images-{key}.npy", folder / f"images-{key}.json"
    if not (pixels.exists() and facts.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        check_outputs([(pixels, _PIXELS), (facts, _FACTS)])
        _write(files, size, pixels, facts)
    held = json.loads(facts.read_text(encoding="utf-8"))
    array = np.load(pixels, mmap_mode="c", allow_pickle=False)
    return Decoded(array, [(int(row), why) for row, why in held["unreadable"]], held["digest"])


def _key(files: Sequence[Listed], size: int) -> str:
    text = hashlib.blake2b(f"{_VERSION} {size}".encode(), digest_size=12)
    here = Path.cwd()
    for each in files:
        text.update(f"\0{here / each.path}\0{each.size}\0{each.changed}".encode())
    return text.hexdigest()


def _write(files: Sequence[Listed], size: int, pixels: Path, facts: Path) -> None:
    """Decode the files; the number of channels is known once all are, so they are copied then."""
    unreadable: list[tuple[int, str]] = []
    digest = hashlib.blake2b(digest_size=8)
    with written_whole(pixels, _PIXELS) as path:
        raw, coloured, count = path.with_name("raw"), False, 0
        with raw.open("wb") as file:  # not a memory map: a full disk would kill the process
            for row, found in enumerate(_all(files, size)):
                if isinstance(found, str):
                    unreadable.append((row, found))
                    continue
                coloured = coloured or found.shape[2] > 1
                file.write(np.broadcast_to(found, (size, size, 3)).tobytes())
                count += 1
        if not count:
            row, why = unreadable[0]
            raise ValueError(f"{files[row].path} must be an image, got {why}: all files are such")
        shape = (count, size, size, 3 if coloured else 1)
        digest.update(str(shape).encode())
        whole = np.memmap(raw, np.uint8, "r", shape=(count, size, size, 3))
        step = max(1, _MANY // (size * size * 3))
        with path.open("wb") as file:
            head = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, head)
            for start in range(0, count, step):
                block = np.ascontiguousarray(whole[start : start + step, :, :, : shape[3]])
                digest.update(block.data)
                file.write(block.data)
    with written_whole(facts, _FACTS) as path:
        text = {"images": count, "unreadable": unreadable, "digest": digest.hexdigest()}
        path.write_text(json.dumps(text), encoding="utf-8")


def _all(files: Sequence[Listed], size: int) -> Any:
    """Yield the pixels of each file, or the reason why it cannot be read, in order."""
    image = require("PIL.Image", "bench", "a folder of images")
    threads = min(_THREADS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(threads)
    waiting: list[Future[NDArray[np.uint8] | str]] = []
    shown = len(files) >= _FEWEST_SHOWN
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of what it can read all the same
            warnings.simplefilter("ignore", image.DecompressionBombWarning)
            hidden = None if shown else True  # None: where no terminal shows it
            for each in tqdm(files, "decoding images", unit="image", disable=hidden):
                waiting.append(pool.submit(_pixels, each.path, size))
                if len(waiting) > threads * _WAITING:
                    yield waiting.pop(0).result()
            for future in waiting:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pixels(path: Path, size: int) -> NDArray[np.uint8] | str:
    """Return the pixels of an image, uint8 (S, S, 1) or (S, S, 3); else what is wrong with it."""

    def small(opened: Any) -> NDArray[np.uint8]:  # an image of Pillow
        from PIL import Image

        opened.draft(None, (2 * size, 2 * size))  # JPEG: decoded at a fraction of its size
        made = upright(opened).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
        found = np.asarray(made, np.uint8)
        return found[:, :, None] if found.ndim == 2 else found  # noqa: PLR2004

    return image_from(path, small)
