"""The nearest center of each row and the distance to it, as exact as float64 makes them.

A search by faiss alone gives |x|^2 + |c|^2 - 2 xc in float32: in a dense cluster the distance loses
half of its digits or all, and the nearest center may be another one.

Spaces    *raw*: the rows as float32. *exact*: the same as float64, on the unit sphere if spherical.
          *work*: float32, centered and scaled by a power of two, so that neither an offset nor the
          size of the numbers costs digits; what faiss sees.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ..engine import over
from ..types import Floats, Indices, Scores

__all__ = ["BLOCK", "Space", "assign", "nearest", "unit"]

BLOCK = 2**21  # numbers compared at a time: 16 MiB of float64
_ZERO_NORM = 1e-12  # a shorter row has no direction


@dataclass(frozen=True)
class Space:
    """The map from raw rows to exact and work ones."""

    spherical: bool
    shift: Floats  # (D,)
    scale: float  # a power of two

    @classmethod
    def of(cls, raw: NDArray[Any], spherical: bool) -> "Space":
        """Return the space of (n, D) rows: their mean, and a scale that makes them about 1."""
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
        """Return raw rows (n, D) as float64, of length 1 (or 0, without a direction)."""
        rows = _float(raw)
        return unit(rows) if self.spherical else rows

    def work(self, raw: NDArray[Any]) -> Scores:
        """Return raw rows (n, D) as faiss sees them."""
        out = np.empty(raw.shape, np.float32)
        for part, block in over(self.seen, raw):
            out[part] = block
        return out

    def seen(self, raw: NDArray[Any]) -> Scores:
        """Return a block of raw rows as faiss sees them."""
        block: Scores = ((self.exact(raw) - self.shift) * self.scale).astype(np.float32)
        return block

    def squares(self, rows: Floats, centers: Floats) -> Floats:
        """Return the squared distance of each exact row (n, D) to the center beside it."""
        squares: Floats = np.square(rows - centers).sum(axis=1)
        if self.spherical:
            squares[~rows.any(axis=1)] = 2.0
        return squares

    def restore(self, work: Scores) -> Scores:
        """Return work rows (K, D) as raw ones."""
        return (work.astype(np.float64) / self.scale + self.shift).astype(np.float32)


def assign(
    raw: NDArray[Any], centers: Scores, space: Space, title: str | None = None
) -> tuple[Indices, Floats]:
    """Return the nearest center of each row and the squared distance, as float64 arithmetic has it.

    (n, D), (K, D) -> labels (n,), squares (n,); one pass over the rows
    """
    exact_centers, seen_centers = space.exact(centers), space.seen(centers)

    def work(block: NDArray[Any]) -> tuple[Indices, Floats]:
        rows = space.exact(block)
        compare = np.ones(len(rows), np.bool_)
        if space.spherical:
            compare &= rows.any(axis=1)
        label = _labels(rows, space.seen(block), exact_centers, seen_centers, compare)
        label[~compare] = 0
        return label, space.squares(rows, exact_centers[label])

    labels, squares = np.empty(len(raw), np.int64), np.empty(len(raw))
    for part, (label, square) in over(work, raw, title=title):
        labels[part], squares[part] = label, square
    return labels, squares


def _labels(
    rows: Floats,
    work: Scores,
    centers: Floats,
    work_centers: Scores,
    compare: NDArray[np.bool_],
) -> Indices:
    """Return the nearest center of each row (n, D), the lower number on a tie.

    faiss computes |x|^2 + |c|^2 - 2 xc in float32. Where the runner-up is within the error of that
    (and `compare` is set), ever more candidates are fetched, until the last is out of reach, and
    compared in float64.
    """
    n_clusters, dimensions = centers.shape
    norms = np.einsum("nd,nd->n", work, work)
    width = min(2, n_clusters)
    squares, candidates = faiss.knn(work, work_centers, width)
    labels: Indices = candidates[:, 0].copy()
    if n_clusters == 1:
        return labels
    reached = _in_reach(squares[:, -1], squares[:, 0], norms, dimensions)
    pending = np.flatnonzero(compare & reached)
    while pending.size:
        width = min(8 * width, n_clusters)
        step = max(1, BLOCK // (width * dimensions))
        later = []
        for start in range(0, pending.size, step):
            part = pending[start : start + step]
            squares, candidates = faiss.knn(work[part], work_centers, width)
            candidates.sort(axis=1)
            exact = np.square(centers[candidates] - rows[part][:, None]).sum(axis=2)
            labels[part] = candidates[np.arange(part.size), exact.argmin(axis=1)]
            if width < n_clusters:
                last, first = squares[:, -1], squares[:, 0]
                later.append(part[_in_reach(last, first, norms[part], dimensions)])
        pending = np.concatenate(later) if later else pending[:0]
    return labels


def nearest(
    raw: NDArray[Any],
    centers: Scores,
    space: Space,
    members: tuple[Indices, Floats],
    keys: Indices,
) -> Indices:
    """Return the row nearest to each center (K,), of any cluster; the lower key on a tie.

    members : labels (n,) and squares (n,), from `assign`; no cluster empty
    keys    : int64 (n,), no two alike

    Begins with the nearest member of each cluster; faiss then proposes the rows of any cluster that
    may be nearer, as many as float32 cannot rule out. One pass over the rows.
    """
    labels, squares = members
    order = np.lexsort((keys, squares, labels))
    rows: Indices = order[np.flatnonzero(np.diff(labels[order], prepend=-1))]
    best = squares[rows]
    exact, seen_centers = space.exact(centers), space.seen(centers)

    def work(block: NDArray[Any], names: Indices) -> tuple[Indices, Indices, Floats]:
        return _nearer(block, names, (exact, seen_centers, best), space)

    for _, (center, row, square) in over(work, raw, np.arange(len(raw))):
        less = (square < best[center]) | (
            (square == best[center]) & (keys[row] < keys[rows[center]])
        )
        center, row, square = center[less], row[less], square[less]
        order = np.lexsort((keys[row], square, center))
        order = order[np.flatnonzero(np.diff(center[order], prepend=-1))]
        rows[center[order]], best[center[order]] = row[order], square[order]
    return rows


def _nearer(
    block: NDArray[Any],
    names: Indices,
    known: tuple[Floats, Scores, Floats],
    space: Space,
) -> tuple[Indices, Indices, Floats]:
    """Return pairs (center, row of the block) at most as far apart as known, and their squares."""
    centers, seen_centers, best = known
    seen = space.seen(block)
    norms = np.einsum("kd,kd->k", seen_centers, seen_centers)
    pending, width = np.arange(len(centers)), 1
    pairs: list[tuple[Indices, Indices]] = [(pending[:0], pending[:0])]
    while pending.size:
        step = max(1, BLOCK // (width * block.shape[1]))
        later = []
        for start in range(0, pending.size, step):
            part = pending[start : start + step]
            found, candidates = faiss.knn(seen_centers[part], seen, width)
            bound = (best[part] * space.scale**2)[:, None]
            inside = _in_reach(found, bound, norms[part, None], block.shape[1])
            again = inside[:, -1] & (width < len(block))
            later.append(part[again])
            at, column = np.nonzero(inside & ~again[:, None])
            pairs.append((part[at], candidates[at, column]))
        pending = np.concatenate(later)
        width = min(8 * width, len(block))
    center, row = (np.concatenate(each) for each in zip(*pairs, strict=True))
    square = np.empty(center.size)
    step = max(1, BLOCK // block.shape[1])
    for start in range(0, center.size, step):
        some = slice(start, start + step)
        square[some] = space.squares(space.exact(block[row[some]]), centers[center[some]])
    near = square <= best[center]
    return center[near], names[row[near]], square[near]


def _in_reach(
    squares: NDArray[Any], bound: NDArray[Any], norms: Scores, dimensions: int
) -> NDArray[np.bool_]:
    """Whether a pair whose square faiss puts at `squares` or above may be nearer than `bound`.

    Each square is off by at most e (|x| + |c|)^2 / 2 < e (3 |x|^2 + 2 square). e: rounded inputs
    and a float32 sum in 8 or more lanes; the root is 20 times what random data show and covers data
    of one sign up to D = 5,000.
    """
    error = (16 + 4 * dimensions**0.5) * 2.0**-24
    near: NDArray[np.bool_] = squares - bound <= error * (6 * norms + 4 * squares)
    return near


def _moments(raw: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Return the sum of rows (n, D), and the least and the highest of each dimension: (D,)."""
    rows = raw.astype(np.float32)
    low, high = rows.min(axis=0), rows.max(axis=0)
    return rows.sum(axis=0, dtype=np.float64), low.astype(np.float64), high.astype(np.float64)


def _float(raw: NDArray[Any]) -> Floats:
    """Return raw rows as float64, rounded to float32 before."""
    return raw.astype(np.float32).astype(np.float64)


def unit(rows: Floats) -> Floats:
    """Return rows (n, D) scaled to length 1; those without a direction as zeros."""
    norms = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    lost = norms < _ZERO_NORM
    scaled: Floats = np.where(lost, 0.0, rows / np.where(lost, 1.0, norms))
    return scaled
