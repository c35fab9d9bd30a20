"""Examples on the page: samples that methods draw, never draw, and disagree about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._report._images import image_of, pillow, shortened, thumbnails
from ..._report._markup import Section
from ..tasks._data import Data
from ..tasks._parts import TensorPart
from ._samples import ranked, selecting
from ._view import View

_SHOWN, _METHODS = 8, 4  # samples of a list, methods
_CHANNELS = (1, 3)
# What the function of a task may raise.
_OF_EXAMPLES = (
    ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
_IMAGE = 3  # dimensions


@dataclass(frozen=True)
class Gallery:
    """The section, and how many samples of the data it holds.

    Parameters
    ----------
    section : Section
        The section.
    held : int
        Number of samples.
    """

    section: Section
    held: int


def gallery(view: View) -> Gallery | None:
    """Return samples by what methods do with them, if the data can be shown."""
    data = view.data
    keep, counts = selecting(view, _METHODS)
    if data is None or not counts or len(data.train) != next(iter(counts.values())).size:
        return None
    lists = _lists(counts)
    wanted = np.unique(np.concatenate([rows for _, rows in lists]))
    try:
        found = _examples(data, wanted)
        if found is None:
            return None
        shown = _markup(dict(zip(wanted.tolist(), found, strict=True)))
    except _OF_EXAMPLES as error:  # after hours of runs: the rest of the page is still written
        text = f"<p>Examples cannot be shown: {escape(f'{type(error).__name__}: {error}')}</p>"
        return Gallery(Section("gallery", "Examples", text), 0)
    parts = []
    for title, rows in lists:
        items = "".join(_item(view, int(at), shown[int(at)], counts) for at in rows)
        parts.append(f'<h3>{escape(title)}</h3><ul class="grid">{items}</ul>')
    text = (
        f"<p>At keep {keep:g}, seed {view.seed}. Numbers under a sample are its draws over the "
        "run, by method.</p>"
    )
    body = text + "".join(parts)
    return Gallery(Section("gallery", "Examples of kept and dropped samples", body), wanted.size)


def _lists(counts: Mapping[str, NDArray[np.int64]]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the samples of each list: drawn most, drawn least, and disagreed about."""
    found = []
    for name, mine in counts.items():
        order = ranked(mine)
        never = int((mine == 0).sum())
        word = "sample" if never == 1 else "samples"
        told = f"{never:,} {word} never drawn" if never else "drawn least often"
        found.append((f"{name}: kept (drawn most often)", order[::-1][:_SHOWN]))
        found.append((f"{name}: dropped ({told})", order[:_SHOWN]))
    if len(counts) > 1:
        shares = np.stack([mine / max(int(mine.max()), 1) for mine in counts.values()])
        spread = np.round(1000 * (shares.max(0) - shares.min(0))).astype(np.int64)
        found.append(("Disagreed about", ranked(spread)[::-1][:_SHOWN]))
    return found


def _examples(data: Data, rows: NDArray[np.int64]) -> list[Any] | None:
    """Return what is shown of training samples; None if nothing can be."""
    if data.task.examples is not None:
        whole = rows if data.rows is None else data.rows[rows]
        return list(data.task.examples(whole))
    part = data.train
    if not isinstance(part, TensorPart) or not _are_images(part.x.shape[1:]):
        return None
    x = part.x[rows].float().numpy()
    low, high = float(x.min()), float(x.max())
    scaled = (255 * (x - low) / (high - low or 1.0)).astype(np.uint8)
    if scaled.ndim == _IMAGE + 1:
        scaled = np.moveaxis(scaled, 1, -1)
    return [image[..., 0] if image.shape[-1] == 1 else image for image in scaled]


def _are_images(shape: Sequence[int]) -> bool:
    """Return whether a shape is (height, width), or (channels, height, width)."""
    if len(shape) == _IMAGE:
        return shape[0] in _CHANNELS and min(shape[1:]) > 1
    return len(shape) == _IMAGE - 1 and min(shape) > 1


def _markup(examples: Mapping[int, Any]) -> dict[int, str]:
    """Return the markup of each sample: a text, or an image as small as all of them must be."""
    texts = {at: each for at, each in examples.items() if isinstance(each, str)}
    found = {at: f"<b>{escape(shortened(text))}</b>" for at, text in texts.items()}
    others = {at: each for at, each in examples.items() if at not in texts}
    if not others:
        return found
    module = pillow("bench", "the report of `sampling bench`")
    return found | thumbnails({at: image_of(each, module) for at, each in others.items()})


def _item(view: View, at: int, markup: str, counts: Mapping[str, NDArray[np.int64]]) -> str:
    label = "" if view.labels is None else f", {view.class_name(int(view.labels[at]))}"
    draws = "<br>".join(escape(f"{name} {int(mine[at])}") for name, mine in counts.items())
    kind = "" if markup.startswith("<img") else ' class="text"'
    return f"<li{kind}>{markup}<span>{escape(f'#{at}{label}')}<br>{draws}</span></li>"
