"""Images in a folder with one sub-folder for each class: which files, of which class and split."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ... import _check
from ..._files._images import entries, files_below

TRAIN, VAL, TEST = "train", "val", "test"
SPLITS = {
    "train": TRAIN, "training": TRAIN,
    "val": VAL, "valid": VAL, "validation": VAL, "dev": VAL,
    "test": TEST, "testing": TEST,
}  # fmt: skip
_FEWEST = 2


@dataclass(frozen=True)
class Listed:
    """A file that should be an image.

    Parameters
    ----------
    path : Path
        The file.
    label : str
        Name of its class, that of the folder; "" if it is in none.
    split : {"train", "val", "test"}, optional
        Its split; None if the folder has none.
    size, changed : int
        Bytes, and the time of the last change in nanoseconds; 0 for a link that is broken.
    """

    path: Path
    label: str
    split: str | None
    size: int = 0
    changed: int = 0


@dataclass
class Listing:
    """The files of a folder, in a fixed order.

    Parameters
    ----------
    folder : Path
        The folder.
    files : list of Listed
        Files in class folders.
    stray : list of Path
        Files next to the class folders, which have no class.
    empty : list of Path
        Class folders without a file.
    splits : tuple of str
        The splits that there are; () if there are none.
    """

    folder: Path
    files: list[Listed] = field(default_factory=list)
    stray: list[Path] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    splits: tuple[str, ...] = ()


def list_images(folder: Path) -> Listing:
    """List the files of the class folders in a folder, or in its folders train, val and test.

    Class folders are read with all folders in them, also through links. Files and folders whose
    names begin with "." or "_" are ignored, as in a folder of Parquet files.

    Raises
    ------
    ValueError
        If there are no class folders, only one, or folders next to train and test that are neither.
    """
    found = Listing(folder)
    splits = _splits_of(folder, found)
    if not splits:
        _list_classes(folder, None, found)
    for name, path in splits:
        _list_classes(path, SPLITS[name.lower()], found)
    found.splits = tuple(dict.fromkeys(SPLITS[name.lower()] for name, _ in splits))
    classes = {each.label for each in found.files} | {each.name for each in found.empty}
    if len(classes) < _FEWEST:
        got = f"only {min(classes)!r}" if classes else "none"
        raise ValueError(
            f"{folder} must hold a folder of images for each class, two or more, got {got}"
        )
    return found


def _splits_of(folder: Path, found: Listing) -> list[tuple[str, Path]]:
    """Return the folders of the splits, if the folder is divided into them."""
    folders, files = entries(folder)
    splits = [(path.name, path) for path in folders if path.name.lower() in SPLITS]
    others = [path.name for path in folders if path.name.lower() not in SPLITS]
    divided = [name for name, path in splits if _holds_folders(path)]
    kinds = [SPLITS[name.lower()] for name, _ in splits]
    if others and (divided or TRAIN in kinds and len(kinds) >= _FEWEST):
        raise ValueError(
            f"{folder} must hold class folders, or nothing but train, val and test with these in "
            f"them, got {others[0]!r} next to {(divided or [splits[0][0]])[0]!r}"
            f"{_check.closest(others[0].lower(), SPLITS)}"
        )
    if others or TRAIN not in kinds or len(kinds) < _FEWEST and not divided:
        return []
    for kind in set(kinds):
        twice = [name for name, _ in splits if SPLITS[name.lower()] == kind]
        if len(twice) > 1:
            raise ValueError(f"{folder} must hold one folder of each split, got {twice}")
    found.stray += files
    return splits


def _holds_folders(path: Path) -> bool:
    """Return whether there are folders, and no files next to them, as in a split."""
    folders, files = entries(path)
    return bool(folders) and not files


def _list_classes(folder: Path, split: str | None, found: Listing) -> None:
    folders, files = entries(folder)
    found.stray += files
    for each in folders:
        inside = list(files_below(each, (each.resolve(),)))
        if not inside:
            found.empty.append(each)
        for path in inside:
            found.files.append(_listed(path, each.name, split))


def _listed(path: Path, label: str, split: str | None) -> Listed:
    try:
        facts = path.stat()
    except OSError:  # a broken link, named when it is read
        return Listed(path, label, split)
    return Listed(path, label, split, facts.st_size, facts.st_mtime_ns)
