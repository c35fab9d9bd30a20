"""Examples of dropped rows with their most similar kept rows, for inspection."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check._keywords import told
from ...record import Selection
from ...types import Indices, Progress, Scores
from ._copies import unit

__all__ = ["Twin", "twins_of"]

_BLOCK = 2**22  # numbers of kept rows processed at a time


@told
@dataclass(frozen=True)
class Twin:
    """A dropped row and its most similar kept row.

    Attributes
    ----------
    dropped, kept : int
        Rows of the input; `kept` is -1 if nothing was kept.
    similarity : float
        Their cosine similarity.
    """

    dropped: int
    kept: int
    similarity: float


@told
def twins_of(
    selection: Selection,
    embeddings: ArrayLike | None = None,
    count: int = 20,
    *,
    progress: Progress | None = None,
) -> list[Twin]:
    """Return examples of the rows that were dropped as copies, each with its nearest kept row.

    Parameters
    ----------
    selection : Selection
        A selection from `semdedup`, either just computed or saved with its dropped rows; or one
        that has `kept_rows`, as from `dedup_text`.
    embeddings : array of shape (N, D), optional
        The embeddings selected from; omitted if the selection knows its twins.
    count : int, default 20
        Maximum number of examples, evenly spaced from the least similar dropped copy, which reveals
        a threshold that is too low, to the most similar.
    progress : callable, optional
        Called with (step, M, "rows").

    Returns
    -------
    list of Twin
        By ascending similarity of the dropped row to the row for which it was dropped, or to its
        twin if that is known. That row may
        have been dropped as well; the twin is the most similar kept row, which may be less similar,
        or more similar if it is in another cluster. Ties go to the lower row number.

    Raises
    ------
    ValueError
        If the selection does not record which rows were copies, or the embeddings have another N;
        if embeddings are missing, or are given for known twins.

    Notes
    -----
    Cost
        O(count M D) time, in blocks of 16 MiB of kept rows.

    Examples
    --------
    >>> from sampling.selection import semdedup
    >>> rows = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]
    >>> found = twins_of(semdedup(rows, threshold=0.99, quality=[1.0, 2.0, 3.0]), rows)
    >>> found[0].dropped, found[0].kept
    (0, 1)
    """
    count = _check.integer("count", count, 0)
    if selection.kept_rows is not None and selection.similarities is not None:
        if embeddings is not None:
            raise ValueError("embeddings must be omitted for a selection that knows its twins")
        shown = _copies(selection, count, selection.similarities)
        parts = (shown, selection.kept_rows[shown], selection.similarities[shown])
        return [Twin(*pair) for pair in zip(*(part.tolist() for part in parts), strict=True)]
    if embeddings is None:
        raise ValueError("embeddings must be given for a selection without twins, got None")
    rows = _check.matrix("embeddings", embeddings)
    shown = _copies(selection, count)
    _check.same_length("embeddings", rows, "the data", int(selection.size or 0))
    kept = np.sort(selection.indices)
    if not shown.size or not kept.size:
        return [Twin(int(row), -1, -1.0) for row in shown]
    own: Scores = unit(np.asarray(rows[shown]))
    best, twin = np.full(shown.size, -np.inf, np.float32), np.zeros(shown.size, np.int64)
    step = max(1, _BLOCK // own.shape[1])
    for start in range(0, kept.size, step):
        part = kept[start : start + step]
        cosines: Scores = own @ unit(np.asarray(rows[part])).T
        at = cosines.argmax(axis=1)
        high = cosines[np.arange(shown.size), at]
        better = high > best
        best[better], twin[better] = high[better], part[at[better]]
        if progress is not None:
            progress(part.size, kept.size, "rows")
    best = np.clip(best, -1.0, 1.0)
    return [Twin(*each) for each in zip(shown.tolist(), twin.tolist(), best.tolist(), strict=True)]


def _copies(
    selection: Selection, count: int, similarity: NDArray[np.floating[Any]] | None = None
) -> Indices:
    """Return rows that were dropped as copies, evenly spaced by their similarities."""
    rules = [i for i, rule in enumerate(selection.rules) if rule.startswith("near copy")]
    if selection.verdicts is None or selection.scores is None:
        raise ValueError(
            "selection must record its rules, got one without: save it with its dropped rows"
        )
    rows: Indices = np.flatnonzero(np.isin(selection.verdicts, rules))
    if similarity is None:
        similarity = selection.scores
    else:
        rows = rows[~np.isnan(similarity[rows])]  # the others have no twin
    rows = rows[np.lexsort((rows, similarity[rows]))]
    if rows.size <= count:
        return rows
    return rows[np.linspace(0, rows.size - 1, count).round().astype(np.int64)]
