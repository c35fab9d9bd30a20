"""Decode images with Pillow, once for each folder of results.

The pixels are kept as one uint8 array in a .npy file, which all processes map. Its name is derived
from names, sizes and times of the files: after any change, they are decoded again.
"""

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

from ..._files._paths import Kind, check_outputs, json_kind, written_whole
from ..._optional import require
from ._listing import Listed

_VERSION = 1  # of what pixels are made of an image
_FEWEST_SHOWN = 500  # images below which no progress is shown
_THREADS = 8
_WAITING = 4  # images for each thread that are read in advance
_MANY = 2**26  # bytes copied at a time
_GREY = ("L", "LA", "1")


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
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = _upright(opened, size)
            small = image.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    except FileNotFoundError:
        return "a broken link"
    except UnidentifiedImageError:
        return "a file that is no image" if path.stat().st_size else "an empty file"
    except OSError as error:
        if error.errno is not None:
            return f"a file that cannot be read: {error.strerror}"
        return f"a damaged image: {error}"
    except Exception as error:  # noqa: BLE001  # whatever a decoder raises on damaged data
        return f"a damaged image: {type(error).__name__}: {error}"
    found = np.asarray(small, np.uint8)
    return found[:, :, None] if found.ndim == 2 else found  # noqa: PLR2004


def _upright(opened: Any, size: int) -> Any:
    """Return an image in mode L or RGB, of 8 bits, as it is to be seen."""
    from PIL import Image, ImageOps

    opened.draft(None, (2 * size, 2 * size))  # JPEG files are decoded at a fraction of their size
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
