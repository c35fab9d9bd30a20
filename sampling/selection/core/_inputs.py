"""Checks of the inputs of selectors: scores, embeddings, and their bad rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check._keywords import told
from ..._check._texts import Texts, texts
from ...engine import bad_rows, steady
from ...record import Score
from ...types import Floats
from ._options import Options, check_words

AnyScores = ArrayLike | Score
REMEDY = ": exclude such rows, or pass on_bad='drop'"


def on_bad(options: Options) -> bool:
    """Return whether bad rows are dropped instead of raising an error."""
    check_words(options)
    return options.get("on_bad", "raise") == "drop"


@told
def scores_of(
    name: str, scores: AnyScores, options: Options
) -> tuple[Floats, NDArray[np.bool_] | None]:
    """Return the scores of a selector as an array, and which rows are bad.

    Parameters
    ----------
    name : str
        The argument, for messages.
    scores : Score, or float array of shape (N,)
        The values of a `Score` are used unchanged: those that a method `minds` have been converted
        before it is called.
    options : Options
        Keywords of the call: with `on_bad="drop"` bad rows are returned, otherwise they are
        refused.

    Returns
    -------
    scores : float64 array of shape (N,)
        0 for bad rows.
    bad : bool array of shape (N,), or None
        Rows that are not finite, for `select`; None if there are none.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or a row is not finite, unless it may be dropped; the message names
        the row.

    Examples
    --------
    >>> scores_of("scores", [1.0, float("nan")], {"on_bad": "drop"})
    (array([1., 0.]), array([False,  True]))
    """
    if isinstance(scores, Score):
        scores = scores.values
    if not on_bad(options):
        return _check.floats(name, scores, remedy=REMEDY), None
    array = _check.as_numbers(name, _check.one_dimensional(name, scores))
    array = np.array(array, np.float64)
    bad = ~np.isfinite(array)
    array[bad] = 0.0
    return array, bad if bad.any() else None


@told
def embeddings_of(
    name: str, values: ArrayLike, options: Options, *, cosine: bool = False
) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Return the embeddings of a selector as stored, and which rows are bad.

    Parameters
    ----------
    name : str
        The argument, for messages.
    values : array of shape (N, D)
        A memory-mapped array is checked in blocks, and not copied.
    options : Options
        Keywords of the call: with `on_bad="drop"` bad rows are returned, otherwise they are
        refused.
    cosine : bool, default False
        Whether a row of zeros, which has no direction, is bad too.

    Returns
    -------
    rows : array of shape (N, D)
        Also with the bad rows.
    bad : bool array of shape (N,), or None
        Rows that are not finite, for `select`; None if there are none.

    Raises
    ------
    TypeError, ValueError
        If they are not numbers, or a row is not finite, unless it may be dropped (the message names
        the row), or no row is left.
    """
    cosine = _check.flag("cosine", cosine)
    dropped = on_bad(options)
    array = steady(_check.matrix(name, values))
    bad = bad_rows(array, directed=cosine)
    if bad is not None and not dropped:
        _check.refuse_rows(name, array, bad, REMEDY)
    if bad is not None and bad.all():
        kind = "that is finite" + " and no zero vector" * cosine
        raise ValueError(f"{name} must have a row {kind}, got none of {bad.size} rows")
    return array, bad


def texts_of(
    name: str, values: ArrayLike, options: Options
) -> tuple[Texts, NDArray[np.bool_] | None]:
    """Return the texts of a selector, and which are missing: bool (N,), or None for none.

    With `on_bad="drop"` missing texts are returned, otherwise they are refused.
    """
    dropped = on_bad(options)
    found = texts(name, values)
    if found.missing is not None and not dropped:
        row = int(np.flatnonzero(found.missing)[0])
        raise ValueError(f"{name} must not be missing, got a missing one in row {row}{REMEDY}")
    return found, found.missing


def either(
    one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """Return the rows that are bad in either input; None stands for no bad rows."""
    if one is None or other is None:
        return other if one is None else one
    return one | other
