"""DPP: the most probable set of a determinantal point process, greedily. At random: `k_dpp`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular
from typing_extensions import Unpack

from ... import _check
from ..._progress import Steps
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes, products_of
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import highest
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import by_key, is_cosine, kept_before, rounding, work_rows

__all__ = ["dpp"]

_POOL = 4096  # rows among which picks are made before all rows are updated
_PANEL = 64  # picks that all rows are updated for at a time
_COLUMNS = 8192  # rows that are updated at a time
_TINY = 1e-5  # the least fraction of a row that is not explained by the picks


def _cost(sizes: Sizes) -> Cost:
    n, m, d = sizes.N, sizes.M, sizes.D
    pool = min(n, _POOL)
    return Cost(
        products=products_of(n, m, d) + 0.5 * n * m * m,
        steps=4 * n * m + 20 * n * (10 + m / 16),  # the exponentials; choosing the pools
        memory=4 * n * d + 4 * n * m + 60 * n + 8 * pool * (m + d),
        reads=4 * pool * m * (d + 0.5 * m),
    )


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    source="Chen 2018",
    ranked=True,
    minds={"quality": ("keep",)},
    cost=_cost,
)
def dpp(
    embeddings: ArrayLike,
    budget: float,
    *,
    quality: AnyScores | None = None,
    metric: str = "cosine",
    bandwidth: float | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Maximize the determinant of the similarities of the kept rows greedily: diverse, and good.

    Each pick is the row that the picks before explain least, times its quality. Unlike `k_center`
    it weighs quality against diversity, and ignores the rows that are not kept. Outliers
    are diverse: give a quality, or drop them first.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Converted to float32.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    quality : Score, or float array of shape (N,), optional
        q > 0: higher is better. Equal by default; the first pick is then a random row.
    metric : {"cosine", "euclidean"}, default "cosine"
        Distance of the rows, under cosine that of rows scaled to length 1.
    bandwidth : float in (0, 1e100], optional
        h: the similarity is exp(-distance^2 / (2 h^2)). By default half of the root mean squared
        distance of two rows. Less if `info["no_gain"]` is positive.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) count as picked.

    Returns
    -------
    Selection
        Ranked, without weights. `info["log_det"]` is the logarithm of the determinant of the picks,
        given the rows already selected; `info["no_gain"]` the number of picks that the picks before
        explain but for rounding, such as copies: these are last, by quality, and not in `log_det`.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector under cosine, or a quality is not finite, unless
        `on_bad="drop"`; the message names it. If a quality is not positive.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id). Similarities are float32: rows
        whose gains agree to 5 digits may swap positions on another machine.
    Cost
        O(N M (D + M)) time; 4 N M + 4 N D + 60 N bytes. The time is mostly in matrix products: up
        to 64 picks are made among the 4,096 rows of largest gain, as long as no other row can have
        more, and then update all rows at a time. 1,000 of 10^6 rows of 64 dimensions in 500 clumps
        took 22 s of one core, in 48 updates.
    Gradients
        No weights; the loss over the kept rows is unweighted.
    Source
        Kulesza, Taskar, "Determinantal Point Processes for Machine Learning", 2012; Chen, Zhang,
        Zhou, "Fast Greedy MAP Inference for Determinantal Point Process", NeurIPS 2018.

    Examples
    --------
    >>> rows = [[0.0], [0.1], [5.0], [9.0]]
    >>> found = dpp(rows, 3, quality=[1.0, 2.0, 1.0, 1.5], metric="euclidean")
    >>> found.indices
    array([1, 3, 2])
    """
    cosine = is_cosine(metric)
    if bandwidth is not None:
        bandwidth = _check.number("bandwidth", bandwidth, "(0, 1e100]")
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=cosine)
    values: Floats | None = None
    if quality is not None:
        values, worse = scores_of("quality", quality, options)
        _check.same_length("quality", values, "embeddings", len(rows))
        refuse_quality(values, worse)
        bad = either(bad, worse)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        own = np.ones(task.rows.size) if values is None else task.of(values)[order]
        nodes = np.concatenate([task.rows[order], before])
        with work_rows(rows, nodes, cosine=cosine) as (work, scale):
            width = None if bandwidth is None else bandwidth * scale
            greedy = _Greedy(np.asarray(work), own, task.budget, width)
            picks = greedy.run()
        info: dict[str, Any] = {"log_det": greedy.log_det, "no_gain": greedy.no_gain}
        merge: dict[str, Callable[..., Any]] = dict.fromkeys(info, operator.add)
        return Picks(order[picks], info=info, merge=merge)

    arguments = {"quality": quality, "metric": metric, "bandwidth": bandwidth}
    return select("dpp", len(rows), budget, options, core, arguments=arguments, bad=bad)


def refuse_quality(values: Floats, bad: Any) -> None:  # bool (N,) or None
    """Refuse a quality that is not positive, of rows that are not dropped."""
    wrong = values <= 0 if bad is None else (values <= 0) & ~bad
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"quality must be > 0, got {values[row]} in row {row}: give exp(quality) of a score "
            "that can be negative"
        )


class _Greedy:
    """The picks among the first rows of `work`; the others are already selected.

    With L_ij = q_i q_j S_ij, what the picks leave of row i is q_i^2 (1 - |c_i|^2), where c_i is its
    row of the Cholesky factor of S, of which each pick adds an entry.

    work : float32 (n + b, D), quality : float64 (n,)
    """

    def __init__(self, work: Scores, quality: Floats, budget: int, width: float | None) -> None:
        self._work, self._size, self._budget = work, quality.size, budget
        self._squares = np.einsum("nd,nd->n", work, work, dtype=np.float64).astype(np.float32)
        high = float(quality.max())
        self._gains = (quality / high) ** 2  # no overflow
        self._offset = 2.0 * np.log(high)
        most = float(self._squares.max())
        if width is None:
            center = work[: self._size].mean(axis=0, dtype=np.float64)
            mean = 2.0 * (float(self._squares[: self._size].mean()) - float(center @ center))
            self._rate = 2.0 / mean if mean > 1e-12 * most else 1.0
        else:
            self._rate = 0.5 / width**2
        self._tiny = max(_TINY, 2.0 * self._rate * rounding(work.shape[1]) * most)
        depth = min(budget, self._size) + len(work) - self._size
        self._factor = np.empty((depth, len(work)), np.float32)
        self._depth = 0
        self._left = np.ones(len(work))  # 1 - |c|^2
        self.log_det, self.no_gain = 0.0, 0

    def run(self) -> Indices:
        """Return the positions of the picks, in order."""
        taken = np.zeros(self._size, np.bool_)
        for first in range(self._size, len(self._work), _PANEL):
            pool = np.arange(first, min(first + _PANEL, len(self._work)))
            self._update(*self._pick(pool, np.ones(pool.size), 0.0, pool.size))
        picks = np.empty(self._budget, np.int64)
        count = 0
        positions = np.arange(self._size).astype(np.uint64)  # by key: ties go to the first
        with Steps("picking rows", self._budget, even=False) as bar:
            while count < self._budget:
                gains = np.where(self._left[: self._size] > self._tiny, self._gains, 0.0)
                gains *= self._left[: self._size]
                gains[taken] = 0.0
                if not gains.any():
                    break
                pool = np.sort(highest(gains, min(_POOL, self._size), positions))
                outside = 0.0
                if pool.size < self._size:
                    rest = gains.copy()
                    rest[pool] = 0.0
                    outside = float(rest.max())
                wanted = min(_PANEL, self._budget - count)
                open_ = self._gains[pool] * ~taken[pool]
                found, columns = self._pick(pool, open_, outside, wanted)
                left = self._budget - count - found.size
                if left:
                    self._update(found, columns)
                taken[found] = True
                picks[count : count + found.size] = found
                count += found.size
                bar.update(found.size)
        rest = np.flatnonzero(~taken)
        rest = rest[np.argsort(-self._gains[rest], kind="stable")]
        self.no_gain = self._budget - count
        self.log_det += float(count * self._offset)
        picks[count:] = rest[: self.no_gain]
        return picks

    def _pick(
        self, pool: Indices, gains: Floats, outside: float, most: int
    ) -> tuple[Indices, Scores]:
        """Make picks in a pool, and return them with their rows of the factor: (m,), (t + m, m).

        gains   : float64 (P,)  squared quality; 0 for rows that may not be picked
        outside : no other row gains more than this
        most    : the number of picks
        """
        depth = self._depth
        factor = np.empty((depth + most, pool.size), np.float32)
        factor[:depth] = self._factor[:depth, pool]
        left = self._left[pool].copy()
        work, squares = self._work[pool], self._squares[pool]
        found: list[int] = []
        while len(found) < most:
            now = np.where(left > self._tiny, gains * left, 0.0)
            at = int(now.argmax())
            if now[at] <= 0.0 or (found and now[at] <= outside):
                break
            t = depth + len(found)
            row = self._similar(work, squares, work[at : at + 1], squares[at : at + 1])[0]
            row -= factor[:t, at] @ factor[:t]
            row /= np.float32(np.sqrt(left[at]))
            factor[t] = row
            self.log_det += float(np.log(now[at])) if pool[at] < self._size else 0.0
            left -= np.square(row, dtype=np.float64)
            gains = gains.copy()
            gains[at] = 0.0
            found.append(at)
        return pool[found], factor[: depth + len(found), found]

    def _update(self, picks: Indices, columns: Scores) -> None:
        """Add the entries of some picks to the factor of all rows.

        columns : float32 (t + m, m)  the rows of the factor of the picks
        """
        depth, count = self._depth, picks.size
        if not count:
            return
        lower = np.ascontiguousarray(np.tril(columns[depth:].T))
        work, squares = self._work[picks], self._squares[picks]
        old = np.ascontiguousarray(columns[:depth].T)
        for first in range(0, len(self._work), _COLUMNS):
            part = slice(first, first + _COLUMNS)
            block = self._similar(self._work[part], self._squares[part], work, squares)
            if depth:
                block -= old @ self._factor[:depth, part]
            block = solve_triangular(lower, block, lower=True, overwrite_b=True, check_finite=False)
            self._factor[depth : depth + count, part] = block
            self._left[part] -= np.einsum("mn,mn->n", block, block, dtype=np.float64)
        self._depth += count

    def _similar(self, rows: Scores, squares: Scores, others: Scores, their: Scores) -> Scores:
        """Return the similarities of some rows to others: (n, D), (m, D) -> float32 (m, n)."""
        block = others @ rows.T
        block *= np.float32(2.0)
        block -= squares
        block -= their[:, None]
        np.minimum(block, np.float32(0.0), out=block)
        block *= np.float32(self._rate)
        np.exp(block, out=block)
        return block
