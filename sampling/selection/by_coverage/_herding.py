"""Herding: greedy selection of rows whose mean approximates the mean of all rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ..._checkpoint import part as part_of
from ..._progress import Steps
from ...io import own_rows
from ...kernels._greedy import whole_products
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes, copy_bytes
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import Work, by_key, holds_copy, kept_before, put, rounding, tiles, work_rows

__all__ = ["herding"]

_REST, _REST_ON_DISK = 28, 48  # bytes of a row in addition to the copy
_BITS = 127  # the largest of 8 bits with a sign


def _cost(sizes: Sizes) -> Cost:
    n, d, limit = sizes.N, sizes.D, sizes.max_memory
    copy, rest = copy_bytes(n, d, _REST * n, limit), _REST * n
    if limit is not None and not copy:
        rest = _REST_ON_DISK * n
        copy = copy_bytes(n, d / 4, rest, limit)
    picks = n * sizes.M
    return Cost(steps=3 * picks, memory=rest + copy, reads=2.5 * picks * d)


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    source="Welling 2009",
    evidence="mean 25 times as near as of random rows; Gaussian, 60,000 x 64, M = 600",
    ranked=True,
    cost=_cost,
)
def herding(
    embeddings: ArrayLike,
    budget: float,
    *,
    replacement: bool = False,
    **options: Unpack[Options],
) -> Selection:
    """Select rows greedily so that their mean approximates the mean of all rows.

    Use it for a small subset that represents the average of the data; it does not represent their
    spread. The error of the mean of M kept rows is about 1 / M, that of random rows 1 / sqrt(M).

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Their scale matters: a row of large norm has more influence. Converted to float32. If
        `max_memory` is too small for a float32 copy, the copy is in a temporary file.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    replacement : bool, default False
        Allow a row to be picked again, as in the papers, whose rate of 1 / M applies to this case:
        `indices` may hold a row more than once.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) count as picked: the other picks compensate for them.

    Returns
    -------
    Selection
        Ranked, without weights. `info["moment_error"]` is the distance between the mean of the kept
        rows, including those already selected, and the mean of all rows; with groups, the largest
        over the groups.

    Raises
    ------
    ValueError
        If a row is not finite, unless `on_bad="drop"`; the message names it.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id). Rows that are indistinguishable in
        float32 are compared in float64.
    Cost
        O(N M D) time; 4 N D + 28 N bytes. One pass over a float32 copy for each pick. If
        `max_memory` is less, the copy is in a temporary file, and the pass is over the rows rounded
        to 8 bits, N D + 48 N bytes, or 48 N with these in a file too; only rows that they cannot
        rule out are read.
    Gradients
        No weights; the unweighted mean of the kept rows is the estimate.
    Source
        Welling, "Herding Dynamical Weights to Learn", ICML 2009; Chen, Welling, Smola,
        "Super-Samples from Kernel Herding", UAI 2010; there with replacement. A widely used
        implementation picks the row that maximizes the error; its "herding" is a different method.

    Examples
    --------
    >>> herding([[0.0], [1.0], [2.0], [3.0], [9.0]], 3).indices
    array([3, 2, 1])
    """
    replacement = _check.flag("replacement", replacement)
    rows, bad = embeddings_of("embeddings", embeddings, options)

    held = holds_copy(len(rows), rows.shape[1], _REST * len(rows), options)
    rest = _REST_ON_DISK * len(rows)
    coarse_held = holds_copy(len(rows), rows.shape[1] / 4, rest, options)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before]) if before.size else task.rows[order]
        with ExitStack() as stack:
            work, scale = stack.enter_context(work_rows(rows, nodes, cosine=False, held=held))
            near: _Near
            if isinstance(work, np.ndarray):
                near = _Fine(work[: task.rows.size])
            else:
                near = stack.enter_context(coarse(work, task.rows.size, coarse_held))
            picks, error = _herd(work, near, task.rows.size, task.budget, again=replacement)
        return Picks(
            order[picks], info={"moment_error": error / scale}, merge={"moment_error": max}
        )

    return select(
        "herding",
        len(rows),
        budget,
        options,
        core,
        arguments={"replacement": replacement},
        bad=bad,
    )


class _Near(Protocol):
    """A search for the rows that may be picked next."""

    def best(self, total: Floats) -> Indices:
        """Return positions, ascending, among which is the row that minimizes |e|^2 / 2 + e total.

        At equal values the first of these rows is among them.
        """

    def drop(self, place: int) -> None:
        """Never return this position again."""


def _herd(
    work: Work, near: _Near, size: int, count: int, *, again: bool = False
) -> tuple[Indices, float]:
    """Return the positions of `count` of the first `size` rows, and the final error of the mean.

    work : float32 (n, D)  of mean 0; the rows from `size` on are already selected

    With r = -(sum of the picks), picks the row that minimizes |r - e|, that is |e|^2 / 2 - e r.
    """
    total = np.zeros(work.shape[1])
    for part in tiles(len(work) - size, work.shape[1]):
        total += work[slice(size + part.start, size + part.stop)].sum(axis=0, dtype=np.float64)
    picks, done = np.empty(count, np.int64), 0
    with part_of("picks") as own, Steps("picking rows", count) as bar:
        if own.state:
            total, done = own.state["total"], own.state["picks"].size
            picks[:done] = own.state["picks"]
            bar.skip(done)
            for pick in picks[:done].tolist() if not again else ():
                near.drop(pick)
        own.make = lambda: {"total": total, "picks": picks[:done]}
        while done < count:
            pick, row = _next(work, near.best(total), total)
            total = total + row
            if not again:
                near.drop(pick)
            picks[done] = pick
            done += 1
            bar.update()
            own.tick()
        own.done(total=total, picks=picks)
    return picks, float(np.sqrt(total @ total)) / (count + len(work) - size)


def _next(work: Work, some: Indices, total: Floats) -> tuple[int, Floats]:
    """Return the position that minimizes |e|^2 / 2 + e total among some, in float64, and its row.

    At equal values the first.
    """
    pick, row, least = -1, total, np.inf
    for part in tiles(some.size, work.shape[1]):
        wide = work[some[part]].astype(np.float64)
        exact = 0.5 * np.square(wide).sum(axis=1) + (wide * total).sum(axis=1)
        at = int(exact.argmin())
        if exact[at] < least:
            pick, row, least = int(some[part][at]), wide[at], float(exact[at])
    return pick, row


class _Fine:
    """The search over float32 rows in memory."""

    def __init__(self, rows: Scores) -> None:
        self._rows = rows
        squares = np.einsum("nd,nd->n", rows, rows)
        self._half, self._lengths = 0.5 * squares, np.sqrt(squares)
        self._unsure = 0.5 * rounding(rows.shape[1]) * self._lengths
        self._values, self._error = np.empty_like(squares), np.empty_like(squares)

    def best(self, total: Floats) -> Indices:
        values, error = self._values, self._error
        np.matmul(self._rows, total.astype(np.float32), out=values)
        values += self._half
        # The error of a product is at most e |x| |y|, that of a square e |x|^2.
        np.multiply(self._unsure, self._lengths + np.float32(np.sqrt(total @ total)), out=error)
        low = int(values.argmin())
        reach = values[low] + error[low]
        values -= error
        return np.flatnonzero(values <= reach)

    def drop(self, place: int) -> None:
        self._half[place] = np.inf


@contextmanager
def coarse(work: Work, size: int, held: bool) -> Iterator[_Coarse]:
    """Yield the search over rows rounded to 8 bits, in memory or in a temporary file."""
    high = np.zeros(work.shape[1])
    parts = list(tiles(size, work.shape[1]))
    for part in parts:
        np.maximum(high, np.abs(work[part]).max(axis=0), out=high)
    step = np.where(high > 0.0, high / _BITS, 1.0)
    half = np.empty(size)
    with ExitStack() as stack:
        rounded: Any = np.empty((size, work.shape[1]), np.int8)
        if not held:
            scratch = getattr(work, "scratch", None)
            rounded = stack.enter_context(own_rows((size, work.shape[1]), np.int8, scratch))
        for part in parts:
            wide = work[part].astype(np.float64)
            half[part] = 0.5 * np.square(wide).sum(axis=1)
            put(rounded, part, np.rint(wide / step).astype(np.int8))
        yield _Coarse(rounded, half, step)


class _Coarse:
    """The search over rows e = step q + r with 8-bit q, |r| <= step / 2."""

    def __init__(self, rounded: Any, half: Floats, step: Floats) -> None:  # array or Rows
        self._rounded, self._half, self._step = rounded, half, step
        self._values = np.empty(half.size)
        self._parts = list(tiles(half.size, max(1, step.size // 4)))
        self._products = np.empty(self._parts[0].stop, np.int32)
        # A sum of D products of two factors has at most 31 bits.
        self._most = min(2**15 - 1, (2**31 - 1) // (_BITS * step.size))

    def best(self, total: Floats) -> Indices:
        scaled = total * self._step
        high = float(np.abs(scaled).max())
        unit = high / self._most if high > 0.0 else 1.0
        turned = np.rint(scaled / unit).astype(np.int16)
        lost = np.abs(scaled - turned * unit).sum() * _BITS  # by rounding the sum of the picks
        lost += 0.5 * np.abs(scaled).sum()  # by rounding the rows
        for part in self._parts:
            products = self._products[: part.stop - part.start]
            whole_products(self._rounded[part], turned, products)
            np.multiply(products, unit, out=self._values[part])
            self._values[part] += self._half[part]
        low = float(self._values.min())
        # The squares and sums in float64 lose far less than a millionth of what rounding does.
        return np.flatnonzero(self._values <= low + 2.0 * lost * (1 + 1e-6) + 1e-12 * abs(low))

    def drop(self, place: int) -> None:
        self._half[place] = np.inf
