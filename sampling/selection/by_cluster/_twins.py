"""Examples of dropped rows with their most similar kept rows, for inspection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check._keywords import told
from ..._distinct import distinct
from ...record import Selection
from ...types import Indices, Progress, Scores
from ._copies import unit

__all__ = ["Twin", "nearest_kept", "twins_of"]

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
        A selection from `semdedup` or `dedup_text`, either just computed or saved with its dropped
        rows. Of several such stages, copies of the last one are shown.
    embeddings : array of shape (N, D), optional
        The embeddings selected from. By default the twin of a row is the row that was kept instead
        of it, `kept_rows`.
    count : int, default 20
        Maximum number of examples, evenly spaced from the least similar dropped copy, which reveals
        a threshold that is too low, to the most similar.
    progress : callable, optional
        Called with (step, M, "rows").

    Returns
    -------
    list of Twin
        Without embeddings, by ascending similarity to the twin. With embeddings, by ascending
        similarity of the dropped row to the row for which it was dropped. That row may have been
        dropped as well; the twin is the most similar kept row, which may be less similar, or more
        similar if it is in another cluster. Ties go to the lower row number.

    Raises
    ------
    ValueError
        If the selection does not record which rows were copies, or the embeddings have another N;
        if it has no `kept_rows`, and embeddings are missing.

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
    if embeddings is None:
        if selection.kept_rows is None or selection.similarities is None:
            raise ValueError("embeddings must be given for a selection without twins, got None")
        shown = _copies(selection, count, selection.similarities)
        parts = (shown, selection.kept_rows[shown], selection.similarities[shown])
        return [Twin(*pair) for pair in zip(*(part.tolist() for part in parts), strict=True)]
    rows = _check.matrix("embeddings", embeddings)
    shown = _copies(selection, count)
    _check.same_length("embeddings", rows, "the data", int(selection.size or 0))
    kept = np.sort(selection.indices)
    if not shown.size or not kept.size:
        return [Twin(int(row), -1, -1.0) for row in shown]
    twin, best = _nearest(rows, shown, kept, 1, progress)
    found = zip(shown.tolist(), twin[:, 0].tolist(), best[:, 0].tolist(), strict=True)
    return [Twin(*each) for each in found]


@told
def nearest_kept(
    selection: Selection,
    embeddings: ArrayLike,
    row: int,
    count: int = 5,
    *,
    progress: Progress | None = None,
) -> list[Twin]:
    """Return the kept rows that are most similar to a row, itself excluded.

    Parameters
    ----------
    selection : Selection
    embeddings : array of shape (N, D)
        The embeddings selected from.
    row : int in [0, N)
    count : int, default 5
        Maximum number of kept rows.
    progress : callable, optional
        Called with (step, M, "rows").

    Returns
    -------
    list of Twin
        By descending cosine similarity, ties by row number; the row itself is `dropped`.

    Raises
    ------
    ValueError
        If there is no such row, or the embeddings have another N.

    Notes
    -----
    Cost
        O(M D) time, in blocks of 16 MiB of kept rows.

    Examples
    --------
    >>> from sampling.selection import semdedup
    >>> rows = [[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]
    >>> found = semdedup(rows, threshold=0.99, quality=[1.0, 2.0, 3.0])
    >>> [each.kept for each in nearest_kept(found, rows, 0)]
    [1, 2]
    """
    count = _check.integer("count", count, 0)
    rows = _check.matrix("embeddings", embeddings)
    size = len(rows) if selection.size is None else int(selection.size)
    _check.same_length("embeddings", rows, "the data", size)
    row = _check.integer("row", row, 0, size)
    kept = distinct(selection.indices)
    kept = kept[kept != row]
    count = min(count, kept.size)
    if not count:
        return []
    near, high = _nearest(rows, np.array([row]), kept, count, progress)
    found = zip(near[0].tolist(), high[0].tolist(), strict=True)
    return [Twin(row, other, similarity) for other, similarity in found]


def _nearest(
    rows: NDArray[Any], shown: Indices, kept: Indices, count: int, progress: Progress | None
) -> tuple[Indices, Scores]:
    """Return the most similar of the kept rows, and their cosines: two (n, count).

    kept : in ascending order, at least `count`; ties go to the lower row number
    """
    own: Scores = unit(np.asarray(rows[shown]))
    best = np.full((shown.size, 0), -np.inf, np.float32)
    near = np.zeros((shown.size, 0), np.int64)
    step = max(1, _BLOCK // own.shape[1])
    for start in range(0, kept.size, step):
        part = kept[start : start + step]
        cosines: Scores = own @ unit(np.asarray(rows[part])).T
        best = np.concatenate([best, np.clip(cosines, -1.0, 1.0)], axis=1)
        near = np.concatenate([near, np.broadcast_to(part, cosines.shape)], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :count]
        best, near = np.take_along_axis(best, order, 1), np.take_along_axis(near, order, 1)
        if progress is not None:
            progress(part.size, kept.size, "rows")
    return near, best


def _copies(
    selection: Selection, count: int, similarity: NDArray[np.floating[Any]] | None = None
) -> Indices:
    """Return rows that the last stage with copies dropped, evenly spaced by their similarities.

    An earlier stage may have compared otherwise: texts, or by another threshold.
    """
    rules = [
        i for i, rule in enumerate(selection.rules)
        if rule.startswith("near copy") or ": near copy" in rule  # after the name of a stage
    ]  # fmt: skip
    if selection.verdicts is None or selection.scores is None:
        raise ValueError(
            "selection must record its rules, got one without: save it with its dropped rows"
        )
    rows: Indices = np.flatnonzero(np.isin(selection.verdicts, rules[-1:]))
    if similarity is None:
        similarity = selection.scores
    else:
        rows = rows[~np.isnan(similarity[rows])]  # the others have no twin
    rows = rows[np.lexsort((rows, similarity[rows]))]
    if rows.size <= count:
        return rows
    return rows[np.linspace(0, rows.size - 1, count).round().astype(np.int64)]
