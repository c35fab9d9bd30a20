"""A subset file as a method: the rows that `Selection.save` wrote, at their own keep fraction.

A selection is of the whole training set. The benchmark may have split validation off that, or use
only some rows of it: chosen rows that are not among the training samples are not trained on, and
the keep fraction is that of the others, to which the controls are matched. How many they are is in
the setting of the run.
"""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ...record import Selection
from ...samplers import SubsetSampler
from ...types import Floats, Indices
from ._method import DRAWS, LOSSES, Context, Lacking, Method, Rows, TrainingPlan, same

SUFFIX = ".parquet"


def is_path(text: str) -> bool:
    """Return whether a name is a path: it exists, contains a separator, or ends in .parquet."""
    separators = {"/", os.sep, os.altsep or os.sep}
    return text.endswith(SUFFIX) or any(each in text for each in separators) or Path(text).exists()


def subset_method(text: str) -> Method:
    """Return the method that trains on the rows of a subset file.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such file, or it is not a subset file, holds no row, or a row twice.
    """
    chosen = _read(text)
    return Method(
        f"The {len(chosen)} rows of {text}, chosen in advance",
        lambda context: _plan(text, context),
        level=DRAWS if chosen.weights is None else LOSSES,
        keep=None if chosen.size is None else len(chosen) / chosen.size,
        resolve=lambda method, rows: _resolved(text, method, rows),
    )


def _resolved(text: str, method: Method, rows: Rows) -> Method:
    here, _ = _rows_of(text, _read(text), rows)
    if not here.size:
        raise ValueError(
            f"{text} must hold a row of the training samples, got {len(_read(text))} rows that are "
            "all in the validation set or not used"
        )
    return replace(method, keep=here.size / rows.origin.size)


def _plan(text: str, context: Context) -> TrainingPlan:
    chosen = _read(text)
    origin = np.arange(context.size) if context.origin is None else context.origin
    rows = Rows(origin, context.size if context.whole is None else context.whole)
    here, weights = _rows_of(text, chosen, rows)
    if not here.size:
        raise Lacking("holds no row that is among the training samples")
    sampler = SubsetSampler(Selection(here, weights=weights), seed=context.seed)
    return same(sampler, context, kept=here.size, not_in_training=len(chosen) - here.size)


def _rows_of(text: str, chosen: Selection, rows: Rows) -> tuple[Indices, Floats | None]:
    """Return the training samples that a selection chose, and their weights; check its size."""
    if chosen.size is not None and chosen.size != rows.whole:
        raise ValueError(
            f"{text} must be a selection from {rows.whole} rows, those of the training set, got "
            f"one from {chosen.size}: select from a table of the training rows alone, in the same "
            "order; if the benchmark splits the table, say which rows these are in a column of its "
            "setting `split`"
        )
    out = np.flatnonzero((chosen.indices < 0) | (chosen.indices >= rows.whole))
    if out.size:
        raise ValueError(
            f"{text} must hold rows in [0, {rows.whole}), got {chosen.indices[out[0]]} in row "
            f"{out[0]}"
        )
    position = np.full(rows.whole, -1)
    position[chosen.indices] = np.arange(len(chosen))
    found: NDArray[np.int64] = position[rows.origin]
    here: Indices = np.flatnonzero(found >= 0)
    return here, None if chosen.weights is None else chosen.weights[found[here]]


def _read(text: str) -> Selection:
    path = _check.file(text, "a subset file")
    about = path.stat()
    return _loaded(text, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=32)
def _loaded(text: str, changed: int, size: int) -> Selection:
    """Read a file once, until it changes."""
    found = Selection.load(text)
    if not len(found):
        raise ValueError(f"{text} must hold a row at least, got none")
    _check.unique_rows(f"index of {text}", found.indices)
    return found
