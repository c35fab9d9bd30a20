"""Files of images: which are in a folder, and their pixels in 8 bits, upright, on white."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ._remote import Place

__all__ = ["entries", "files_below", "image_from", "image_in", "upright"]

T = TypeVar("T")

_GREY = ("L", "LA", "1")


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, sorted by name, without hidden ones."""
    with os.scandir(folder) as found:
        shown = [Path(each.path) for each in found if not each.name.startswith((".", "_"))]
    shown.sort(key=lambda path: path.name)
    folders = [path for path in shown if path.is_dir()]
    return folders, [path for path in shown if not path.is_dir()]


def files_below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the files in a folder and the folders in it; a link to a folder above is skipped.

    above : the folders that lead here, resolved, and the folder itself
    """
    folders, files = entries(folder)
    yield from files
    for each in folders:
        target = each.resolve()
        if target not in above:
            yield from files_below(each, (*above, target))


def image_from(source: Any, make: Callable[[Any], T]) -> T | str:  # a path, or a file of bytes
    """Return what `make` makes of an opened image of Pillow; else what is wrong with the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source) as opened:
            return make(opened)
    except FileNotFoundError:
        there = isinstance(source, Path) and source.is_symlink()
        return "a broken link" if there else "no such file"
    except UnidentifiedImageError:
        empty = isinstance(source, Path) and not source.stat().st_size
        return "an empty file" if empty else "a file that is no image"
    except OSError as error:
        if error.errno is not None:
            return f"a file that cannot be read: {error.strerror}"
        return f"a damaged image: {error}"
    except Exception as error:  # noqa: BLE001  # whatever a decoder raises on damaged data
        return f"a damaged image: {type(error).__name__}: {error}"


def image_in(value: Any, folder: Place, make: Callable[[Any], T]) -> T | str:
    """Return what `make` makes of an image in a column of a table; else what is wrong with it.

    value  : the bytes of a file, its path, or both in a mapping, as Hugging Face datasets stores it
    folder : that of relative paths
    """
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if value is None:
        return "a missing image"
    if isinstance(value, bytes):
        return image_from(BytesIO(value), make)
    if not isinstance(value, str):
        return f"neither the bytes nor the path of an image, but {type(value).__name__}"
    path = folder / value
    try:
        if isinstance(path, Path):
            special = path.exists() and not path.is_file()
            return "no file, but a folder or a device" if special else image_from(path, make)
        return image_from(BytesIO(path.read_bytes()), make)
    except (OSError, ValueError) as error:  # of a remote file; of a path with a NUL
        return str(error)


def upright(opened: Any) -> Any:
    """Return an image of Pillow in mode L or RGB, of 8 bits, as it is to be seen."""
    from PIL import Image, ImageOps

    opened.load()  # the first frame of an animation
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits; Pillow would cut them at 255
        return _of_16_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels must have 8 or 16 bits, got floats")
    if image.mode == "P":
        grey = _is_grey(image)
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        if grey:
            image = image.convert("LA" if "A" in image.mode else "L")
    if image.has_transparency_data:  # what is transparent has any colour, often black
        grey = image.mode in _GREY
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    return image.convert("L" if image.mode in _GREY else "RGB")


def _of_16_bits(image: Any) -> Any:
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() >= 2**16:
        raise ValueError(
            f"its pixels must have 8 or 16 bits, got values of {values.min()} to {values.max()}"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _is_grey(image: Any) -> bool:
    """Return whether all pixels of an image with a palette are grey."""
    found = np.asarray(image.convert("RGB"))
    return bool((found == found[..., :1]).all())
