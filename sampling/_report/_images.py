"""Examples on a page: texts cut short, and thumbnails of limited bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from .._check._keywords import short
from .._optional import require

_LETTERS = 240  # of a text
_SIDES = (96, 64, 48, 32)  # pixels of a thumbnail; the first that fits into
_BYTES = 1_100_000  # of all images of the page
_SMALL = 40  # pixels up to which an image is enlarged without blur
_COLORS = 64
_IMAGE = 3  # dimensions


def shortened(text: str, letters: int = _LETTERS) -> str:
    """Return a text on one line, cut after so many letters."""
    plain = " ".join(text[: 8 * letters].split())
    return plain if len(plain) <= letters else plain[: letters - 1] + "…"


def pillow(extra: str, purpose: str) -> Any:  # a module
    """Return `PIL.Image`."""
    return require("PIL.Image", extra, purpose)


def image_of(given: Any, module: Any) -> Any:  # of PIL.Image
    """Return an example as a Pillow image.

    module : `PIL.Image`
    """
    if isinstance(given, module.Image):
        return given
    array = np.asarray(given)
    if array.dtype != np.uint8 or array.ndim not in (_IMAGE - 1, _IMAGE):
        raise TypeError(
            "examples must return texts, uint8 arrays of shape (height, width) or (height, width, "
            f"3), or Pillow images, got {short(given)}"
        )
    if array.ndim == _IMAGE and array.shape[-1] == 1:
        array = array[..., 0]
    return module.fromarray(array)


def thumbnails(images: Mapping[int, Any], alt: str = "") -> dict[int, str]:
    """Return the markup of Pillow images by number, as small as all of them must be."""
    made: dict[int, str] = {}
    for side in _SIDES:
        made = {at: _thumbnail(image, side, alt) for at, image in images.items()}
        if sum(map(len, made.values())) <= _BYTES:
            break
    return made


def _thumbnail(image: Any, side: int, alt: str) -> str:
    small = image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB")
    kind = ' class="small"' if max(small.size) <= _SMALL else ""
    small.thumbnail((side, side))
    if small.mode == "RGB":
        small = small.quantize(_COLORS)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    coded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img{kind} alt="{escape(alt)}" src="data:image/png;base64,{coded}">'
