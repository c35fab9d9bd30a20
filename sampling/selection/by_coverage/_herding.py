"""Herding: greedy selection of rows whose mean approximates the mean of all rows."""

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import by_key, kept_before, rounding, work_rows

__all__ = ["herding"]


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    ranked=True,
    cost=lambda s: Cost(
        steps=3 * s.N * s.M, memory=4 * s.N * s.D + 28 * s.N, reads=2.5 * s.N * s.M * s.D
    ),
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
        Their scale matters: a row of large norm has more influence. Converted to float32.
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
        O(N M D) time; 4 N D + 28 N bytes. One pass over a float32 copy in memory for each pick.
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

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        work, scale = work_rows(rows, np.concatenate([task.rows[order], before]), cosine=False)
        picks, error = _herd(work, task.rows.size, task.budget, again=replacement)
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


def _herd(work: Scores, size: int, count: int, *, again: bool = False) -> tuple[Indices, float]:
    """Return the positions of `count` of the first `size` rows, and the final error of the mean.

    work : float32 (n, D)  of mean 0; the rows from `size` on are already selected

    With r = -(sum of the picks), picks the row that minimizes |r - e|, that is |e|^2 / 2 - e r.
    """
    total: Floats = work[size:].sum(axis=0, dtype=np.float64)
    first = work[:size]
    squares = np.einsum("nd,nd->n", first, first)
    half, lengths = 0.5 * squares, np.sqrt(squares)
    unsure = 0.5 * rounding(work.shape[1]) * lengths
    values, error = np.empty(size, np.float32), np.empty(size, np.float32)
    picks = np.empty(count, np.int64)
    for t in range(count):
        np.matmul(first, total.astype(np.float32), out=values)
        values += half
        # The error of a product is at most e |x| |y|, that of a square e |x|^2.
        np.multiply(unsure, lengths + np.float32(np.sqrt(total @ total)), out=error)
        low = int(values.argmin())
        reach = values[low] + error[low]
        values -= error
        near = np.flatnonzero(values <= reach)
        if near.size > 1:
            wide = first[near].astype(np.float64)
            exact = 0.5 * np.square(wide).sum(axis=1) + (wide * total).sum(axis=1)
            near = near[exact.argmin() :]
        picks[t] = near[0]
        total += first[near[0]]
        if not again:
            half[near[0]] = np.inf
    return picks, float(np.sqrt(total @ total)) / (count + len(work) - size)
