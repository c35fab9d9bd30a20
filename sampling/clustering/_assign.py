"""The nearest center of each row and its distance, exact to float64 precision.

faiss alone computes |x|^2 + |c|^2 - 2 xc in float32: in a dense cluster the distance loses half or
all of its digits, and the center found may not be the nearest.

Spaces
    *raw*: the rows as float32. *exact*: the same as float64, on the unit sphere if spherical.
    *work*: float32, centered and scaled by a power of two, so that neither an offset nor the
    magnitude costs digits; the input of faiss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from .._checkpoint import part as part_of
from ..engine import blocks, over
from ..kernels._kmeans import nearest_members
from ..kernels._space import place_rows, row_lengths, squares_to
from ..types import Floats, Indices, Scores

__all__ = ["BLOCK", "Assigned", "Space", "assign", "nearest", "single", "unit"]

BLOCK = 2**21  # numbers compared at a time: 16 MiB of float64
_ZERO_NORM = 1e-12  # a shorter row has no direction
_PARTS = 8  # centers searched together are an eighth of all


@dataclass(frozen=True)
class Space:
    """The maps from raw rows to exact rows and to work rows."""

    spherical: bool
    shift: Floats  # (D,)
    scale: float  # a power of two

    @classmethod
    def of(cls, raw: NDArray[Any], spherical: bool) -> Space:
        """Return the space of rows (n, D): their mean, and a scale that brings them to about 1."""
        shift, scale = np.zeros(raw.shape[1]), 1.0
        if not spherical:
            low, high = np.full(raw.shape[1], np.inf), np.full(raw.shape[1], -np.inf)
            for _, (total, least, most) in over(_moments, raw):
                shift += total
                low, high = np.minimum(low, least), np.maximum(high, most)
            shift /= len(raw)
            far = max(float((high - shift).max()), float((shift - low).max()))
            scale = float(np.ldexp(1.0, -int(np.frexp(far)[1])))
        return cls(spherical, shift, scale)

    def exact(self, raw: NDArray[Any]) -> Floats:
        """Return raw rows (n, D) as float64; if spherical, of length 1 (0 without a direction)."""
        rows = _float(raw)
        return unit(rows) if self.spherical else rows

    def work(self, raw: NDArray[Any]) -> Scores:
        """Return raw rows (n, D) as work rows, the input of faiss."""
        out = np.empty(raw.shape, np.float32)
        for part, block in over(self.seen, raw):
            out[part] = block
        return out

    def seen(self, raw: NDArray[Any]) -> Scores:
        """Return a block of raw rows as work rows, the input of faiss."""
        block = single(raw)
        out = np.empty(block.shape, np.float32)
        place_rows(block, self.lengths(block), self.shift, self.scale, out)
        return out

    def directed(self, raw: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask of the comparable rows of a block: all, or those with a direction."""
        return self.lengths(single(raw)) > 0

    def squares(self, raw: NDArray[Any], centers: Floats, labels: Indices) -> Floats:
        """Return the squared distance of each raw row of a block to its (exact) center."""
        block, out = single(raw), np.empty(len(raw))
        squares_to(block, self.lengths(block), centers, labels, out)
        return out

    def lengths(self, block: Scores) -> Floats:
        """Return the divisors of float32 rows: 1, or their lengths; 0 without a direction."""
        lengths = np.ones(len(block))
        if self.spherical:
            row_lengths(block, _ZERO_NORM, lengths)
        return lengths

    def restore(self, work: Scores) -> Scores:
        """Return work rows (K, D) as raw rows."""
        return (work.astype(np.float64) / self.scale + self.shift).astype(np.float32)


@dataclass(frozen=True)
class Assigned:
    """Assignment of rows to their nearest centers.

    Attributes
    ----------
    labels : int64 array of shape (n,)
        The nearest center.
    squares : float64 array of shape (n,)
        The squared distance to it.
    seconds : int64 array of shape (n,)
        The second nearest center, in float32 precision; -1 if there is only one center.
    """

    labels: Indices
    squares: Floats
    seconds: Indices


def assign(raw: NDArray[Any], centers: Scores, space: Space, title: str | None = None) -> Assigned:
    """Return the nearest center of each row and its squared distance, in float64 precision.

    (n, D), (K, D) -> (n,) each; one pass over the rows
    """
    exact_centers, seen_centers = space.exact(centers), space.seen(centers)

    def work(block: NDArray[Any]) -> tuple[Indices, Floats, Indices]:
        block = single(block)
        compare = space.directed(block)
        label, second = _labels(block, space, exact_centers, seen_centers, compare)
        label[~compare] = 0
        return label, space.squares(block, exact_centers, label), second

    found = Assigned(np.empty(len(raw), np.int64), np.empty(len(raw)), np.empty(len(raw), np.int64))
    parts, done = blocks(raw), 0
    with part_of("assigning rows") as own:
        if own.state:
            done = int(own.state["done"])
            for name in ("labels", "squares", "seconds"):
                getattr(found, name)[:] = own.state[name]
        own.make = lambda: {**vars(found), "done": np.array(done)}
        for part, (label, square, second) in over(work, raw, parts=parts[done:], title=title):
            found.labels[part], found.squares[part], found.seconds[part] = label, square, second
            done += 1
            own.tick()
        own.done(**own.make())
    return found


def _labels(
    raw: NDArray[Any],
    space: Space,
    centers: Floats,
    seen_centers: Scores,
    compare: NDArray[np.bool_],
) -> tuple[Indices, Indices]:
    """Return the nearest and second nearest center of each row of a block; ties by number.

    faiss computes |x|^2 + |c|^2 - 2 xc in float32. If the second nearest is within the error of
    that (and `compare` is set), more candidates are fetched until the last is beyond the error, and
    are compared in float64.
    """
    n_clusters, dimensions = centers.shape
    seen = space.seen(raw)
    width = min(2, n_clusters)
    squares, candidates = faiss.knn(seen, seen_centers, width)
    labels: Indices = candidates[:, 0].copy()
    if n_clusters == 1:
        return labels, np.full(len(raw), -1)
    norms = np.einsum("nd,nd->n", seen, seen)
    reached = _in_reach(squares[:, -1], squares[:, 0], norms, dimensions)
    first, second = candidates[:, 0], candidates[:, 1]
    pending = np.flatnonzero(compare & reached)
    while pending.size:
        width = min(8 * width, n_clusters)
        step = max(1, BLOCK // (width * dimensions))
        later = []
        for start in range(0, pending.size, step):
            part = pending[start : start + step]
            squares, candidates = faiss.knn(seen[part], seen_centers, width)
            candidates.sort(axis=1)
            rows = space.exact(raw[part])
            exact = np.square(centers[candidates] - rows[:, None]).sum(axis=2)
            labels[part] = candidates[np.arange(part.size), exact.argmin(axis=1)]
            if width < n_clusters:
                last, least = squares[:, -1], squares[:, 0]
                later.append(part[_in_reach(last, least, norms[part], dimensions)])
        pending = np.concatenate(later) if later else pending[:0]
    return labels, np.where(labels == first, second, first)


def nearest(
    raw: NDArray[Any], centers: Scores, space: Space, members: Assigned, keys: Indices
) -> Indices:
    """Return the row nearest to each center (K,), of any cluster; ties go to the lower key.

    members : from `assign`; no cluster is empty
    keys    : int64 (n,), distinct

    Starts from the nearest member of each cluster; faiss then proposes all rows of any cluster that
    float32 cannot rule out as nearer. One pass over the rows.
    """
    labels, squares = members.labels, members.squares
    rows = np.full(len(centers), -1)
    nearest_members(labels, squares, keys, rows)
    best = squares[rows]
    search = _Nearer(space, space.exact(centers), space.seen(centers), best.copy())
    for _, (center, row, square) in over(search.block, raw, np.arange(len(raw)), squares):
        less = (square < best[center]) | (
            (square == best[center]) & (keys[row] < keys[rows[center]])
        )
        center, row, square = center[less], row[less], square[less]
        order = np.lexsort((keys[row], square, center))
        order = order[np.flatnonzero(np.diff(center[order], prepend=-1))]
        rows[center[order]], best[center[order]] = row[order], square[order]
    return rows


@dataclass(frozen=True)
class _Nearer:
    """Search for rows that are nearer to a center than any member of its cluster."""

    space: Space
    centers: Floats  # exact
    seen: Scores
    best: Floats  # square of the nearest member

    def block(
        self, raw: NDArray[Any], names: Indices, squares: Floats
    ) -> tuple[Indices, Indices, Floats]:
        """Return pairs (center, row of a block) within the best known distance, and their squares.

        No center is nearer to a row than its own, so only rows whose own square is at most the best
        of a center need to be searched. Centers with similar bests are searched together.
        """
        order = np.argsort(self.best)
        found = []
        for some in np.array_split(order, min(_PARTS, order.size)):
            near = np.flatnonzero(squares <= self.best[some].max() * (1 + 1e-9))
            if near.size:
                center, row = self._pairs(raw[near], some)
                found.append((center, near[row]))
        if not found:
            return order[:0], names[:0], squares[:0]
        center, row = (np.concatenate(each) for each in zip(*found, strict=True))
        square, step = np.empty(center.size), max(1, BLOCK // raw.shape[1])
        for start in range(0, center.size, step):
            part = slice(start, start + step)
            square[part] = self.space.squares(raw[row[part]], self.centers, center[part])
        close = square <= self.best[center]
        return center[close], names[row[close]], square[close]

    def _pairs(self, raw: NDArray[Any], some: Indices) -> tuple[Indices, Indices]:
        """Return pairs of centers and positions in `raw` that float32 cannot rule out."""
        rows = self.space.seen(raw)
        norms = np.einsum("kd,kd->k", self.seen, self.seen)
        pending, width = some, 1
        pairs = [(some[:0], some[:0])]
        while pending.size:
            step = max(1, BLOCK // (width * raw.shape[1]))
            later = []
            for start in range(0, pending.size, step):
                part = pending[start : start + step]
                found, candidates = faiss.knn(self.seen[part], rows, width)
                bound = (self.best[part] * self.space.scale**2)[:, None]
                inside = _in_reach(found, bound, norms[part, None], raw.shape[1])
                again = inside[:, -1] & (width < len(rows))
                later.append(part[again])
                at, column = np.nonzero(inside & ~again[:, None])
                pairs.append((part[at], candidates[at, column]))
            pending = np.concatenate(later)
            width = min(8 * width, len(rows))
        center, row = (np.concatenate(each) for each in zip(*pairs, strict=True))
        return center, row


def _in_reach(
    squares: NDArray[Any], bound: NDArray[Any], norms: Scores, dimensions: int
) -> NDArray[np.bool_]:
    """Return whether pairs, of which faiss computes `squares` or more, may be nearer than `bound`.

    The error of each square is at most e (|x| + |c|)^2 / 2 < e (3 |x|^2 + 2 square). e accounts for
    rounded inputs and a float32 sum in 8 or more lanes; the root is 20 times that of random data
    and covers data of one sign up to D = 5,000.
    """
    error = (16 + 4 * dimensions**0.5) * 2.0**-24
    near: NDArray[np.bool_] = squares - bound <= error * (6 * norms + 4 * squares)
    return near


def _moments(raw: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return the sum, minimum and maximum of rows (n, D) in each dimension: (D,) each."""
    rows = raw.astype(np.float32)
    low, high = rows.min(axis=0), rows.max(axis=0)
    return rows.sum(axis=0, dtype=np.float64), low.astype(np.float64), high.astype(np.float64)


def _float(raw: NDArray[Any]) -> Floats:
    """Return raw rows as float64, after rounding to float32."""
    return raw.astype(np.float32).astype(np.float64)


def single(raw: NDArray[Any]) -> Scores:
    """Return a block of raw rows as contiguous float32."""
    return np.ascontiguousarray(raw, np.float32)


def unit(rows: Floats) -> Floats:
    """Return rows (n, D) scaled to length 1; those without a direction as zeros."""
    norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    lost = norms < _ZERO_NORM
    scaled: Floats = np.where(lost, 0.0, rows / np.where(lost, 1.0, norms))
    return scaled
