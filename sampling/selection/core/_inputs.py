"""Checks of the inputs of selectors: scores, embeddings, and their bad rows."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ...record import Score
from ...types import Floats
from ._options import Options, check_words

AnyScores = ArrayLike | Score
REMEDY = ": exclude such rows, or pass on_bad='drop'"


def on_bad(options: Options) -> bool:
    """Return whether bad rows are dropped instead of raising an error."""
    check_words(options)
    return options.get("on_bad", "raise") == "drop"


def scores_of(
    name: str, scores: AnyScores, options: Options
) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Return scores as float64 (N,), and a mask of bad rows, None if there are none.

    Scores that a method `minds` have been converted before (`@method`); the values of any other
    `Score` are used unchanged.
    """
    if isinstance(scores, Score):
        scores = scores.values
    if not on_bad(options):
        return _check.floats(name, scores, remedy=REMEDY), None
    array = _check.one_dimensional(name, scores)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    array = np.array(array, np.float64)
    bad = ~np.isfinite(array)
    array[bad] = 0.0
    return array, bad if bad.any() else None


def embeddings_of(
    name: str, values: ArrayLike, options: Options, *, cosine: bool = False
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return embeddings (N, D) as stored, and a mask of bad rows, None if there are none.

    A memory-mapped array is checked in blocks, and not copied. Under cosine a row of zeros has no
    direction, and is bad too.
    """
    dropped = on_bad(options)
    array = _check.matrix(name, values)
    bad = _check.bad_rows(array, directed=cosine)
    if bad is not None and not dropped:
        _check.refuse_rows(name, array, bad, REMEDY)
    return array, bad


def either(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return the rows that are bad in either input; None stands for no bad rows."""
    if one is None or other is None:
        return other if one is None else one
    return one | other
