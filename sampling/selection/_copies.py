"""Near copies: for each row the earlier row of its clusters that is most like it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .._rows import Rows
from ..engine import Part, over
from ..io import regrouped
from ..kernels._dedup import keep_greedily
from ..types import Indices, Scores

_ROWS, _COLUMNS = 512, 1024  # of one block of similarities: 2 MiB, which a cache holds
_ZERO = 1e-12  # a shorter row has no direction


@dataclass
class Copies:
    """What was found.

    Attributes
    ----------
    similarity : float32 array of shape (N,)
        Cosine similarity of each row to the earlier row most like it; -1 for none.
    twin : int64 array of shape (N,)
        That row; -1 for none.
    rank : int64 array of shape (N,)
        Earlier rows have lower ranks; N for rows that take no part.
    earlier, later : int64 arrays of shape (p,)
        Ranks of the pairs above the floor, if they were asked for; sorted by `later`.
    pairs : float32 array of shape (p,)
        Their similarities.
    """

    similarity: Scores
    twin: Indices
    rank: Indices
    earlier: Indices
    later: Indices
    pairs: Scores

    def kept(self, rule: str, threshold: float) -> NDArray[np.bool_]:
        """Return which rows a rule keeps at a threshold: bool (N,); False for rows without part."""
        count = int((self.rank < self.rank.size).sum())
        if rule == "any_earlier":
            return (self.similarity <= threshold) & (self.rank < self.rank.size)
        by_rank = np.ones(count, np.bool_)
        if rule == "greedy":
            starts = np.searchsorted(self.later, np.arange(count + 1))
            keep_greedily(starts, self.earlier, self.pairs, threshold, by_rank)
        else:
            above = self.pairs > threshold
            ends = (self.earlier[above], self.later[above])
            graph = coo_array((np.ones(above.sum(), np.int8), ends), shape=(count, count))
            _, labels = connected_components(graph, directed=False)
            by_rank[:] = False
            by_rank[np.unique(labels, return_index=True)[1]] = True  # the lowest rank of each
        kept = np.zeros(self.rank.size, np.bool_)
        inside = self.rank < self.rank.size
        kept[inside] = by_rank[self.rank[inside]]
        return kept


def find_copies(
    rows: NDArray[Any],
    members: list[Indices],
    rank: Indices,
    floor: float | None,
) -> Copies:
    """Compare the rows of each cluster with those of it that come earlier.

    rows    : (N, D), finite where they take part
    members : rows of each cluster, rising rank; a row may be in two
    rank    : int64 (N,), no two alike but N
    floor   : pairs above it are kept; None for no pairs
    """
    similarity = np.full(len(rows), -1.0, np.float32)
    twin = np.full(len(rows), -1, np.int64)
    found: list[tuple[Indices, Indices, Scores]] = []

    def work(
        block: NDArray[Any], *order: NDArray[np.int32]
    ) -> tuple[Scores, Indices, list[tuple[Indices, Indices, Scores]]]:
        return _compared(unit(block[order[0]] if order else block), floor)

    with _laid_out(rows, members) as (laid, parts, columns):
        for own, (_, (high, column, pairs)) in zip(
            members, over(work, laid, *columns, parts=parts, title="comparing rows"), strict=True
        ):
            better = high > similarity[own]
            similarity[own[better]] = high[better]
            twin[own[better]] = own[column[better]]
            found += [(rank[own[over_]], rank[own[at]], each) for at, over_, each in pairs]
    if not found:
        none = np.zeros(0, np.int64)
        return Copies(similarity, twin, rank, none, none, np.zeros(0, np.float32))
    first, second, cosine = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((first, second))
    new = np.ones(order.size, np.bool_)  # a pair may be in two clusters
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
    order = order[new]
    return Copies(similarity, twin, rank, first[order], second[order], cosine[order])


@contextmanager
def _laid_out(
    rows: NDArray[Any], members: list[Indices]
) -> Iterator[tuple[Any, Sequence[Part], list[NDArray[np.int32]]]]:
    """Give rows and their parts in such a way that each part is read in one piece.

    On disk a part has its rows as they stand in the table, so that many are written at once; the
    column says at which of its places each row of `members` is.
    """
    if not isinstance(rows, Rows):
        yield rows, members, []
        return
    ends = np.cumsum([own.size for own in members]).tolist()
    slices = [slice(end - own.size, end) for own, end in zip(members, ends, strict=True)]
    sorted_ = [np.sort(own) for own in members]
    places = [
        np.searchsorted(a, own).astype(np.int32) for a, own in zip(sorted_, members, strict=True)
    ]
    with regrouped(rows, np.concatenate(sorted_)) as laid:
        yield laid, slices, [np.concatenate(places)]


def _compared(
    directions: Scores, floor: float | None
) -> tuple[Scores, Indices, list[tuple[Indices, Indices, Scores]]]:
    """Compare each row of a cluster with those before it.

    (n, D) -> highest cosine (n,), -1 for none; the row it is with; pairs (later, earlier, cosine)
    above the floor
    """
    size = len(directions)
    highest, nearest = np.full(size, -1.0, np.float32), np.zeros(size, np.int64)
    pairs: list[tuple[Indices, Indices, Scores]] = []
    for start in range(0, size, _ROWS):
        stop = min(start + _ROWS, size)
        for left in range(0, stop, _COLUMNS):
            right = min(left + _COLUMNS, stop)
            cosines = directions[start:stop] @ directions[left:right].T
            np.clip(cosines, -1.0, 1.0, out=cosines)
            if right > start:
                past = np.arange(left, right)[None, :] >= np.arange(start, stop)[:, None]
                cosines[past] = -1.0
            column = cosines.argmax(axis=1)
            high = cosines[np.arange(stop - start), column]
            better = np.flatnonzero(high > highest[start:stop])
            highest[start + better] = high[better]
            nearest[start + better] = left + column[better]
            if floor is not None:
                at, above = np.nonzero(cosines > floor)
                pairs.append((start + at, left + above, cosines[at, above]))
    return highest, nearest, pairs


def unit(rows: NDArray[Any]) -> Scores:
    """Return rows scaled to length 1, those without a direction as zeros: float32."""
    wide = np.asarray(rows, np.float64)
    norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    lost = norms < _ZERO
    scaled: Scores = (wide / np.where(lost, 1.0, norms)[:, None]).astype(np.float32)
    scaled[lost] = 0.0
    return scaled
