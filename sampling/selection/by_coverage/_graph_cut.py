"""Graph cut: similarity to all rows, minus a penalty for similarity among the kept rows.

`facility_location` counts for each row only the nearest kept one, so its picks spread by
themselves, and it compares all pairs. Here the gains are linear in the rows: no pairs are compared.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check
from ..._checkpoint import part as part_of
from ..._progress import Steps
from ...record import Selection
from ...types import Indices, Scores
from ..core._cost import Cost, Sizes
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task
from ._geometry import by_key, kept_before, tiles, work_rows
from ._products import Products

__all__ = ["graph_cut"]


def _cost(sizes: Sizes) -> Cost:
    n, d, picks = sizes.N, sizes.D, sizes.N * sizes.M
    return Cost(steps=picks, memory=4 * n * d + 80 * n, reads=5 * picks * d)


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    source="Lin 2010",
    ranked=True,
    cost=_cost,
)
def graph_cut(
    embeddings: ArrayLike,
    budget: float,
    *,
    redundancy: float = 0.5,
    **options: Unpack[Options],
) -> Selection:
    """Maximize the graph-cut objective greedily: rows similar to all, and not to one another.

    The objective is the sum of the similarities of all rows to all kept rows, minus `redundancy`
    times that of the kept rows to one another. It takes the middle of the data rather than all
    parts of it: for M much less than N the penalty is small next to the first sum, and increasing
    it above 1/2 spreads the picks. `facility_location` represents all rows, at a higher cost.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Converted to float32. The similarity is (1 + cosine) / 2.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    redundancy : float in [0, 1e6], default 0.5
        Lambda: the weight of the similarities among the kept rows. Up to 0.5 no pick decreases the
        objective, and greedy picks are within 1 - 1/e of the best; above, neither holds.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) count as kept.

    Returns
    -------
    Selection
        Ranked, without weights. `info["objective"]` is that of the kept rows, including those
        already selected; with groups, the sum over the groups.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector, unless `on_bad="drop"` (the message names it);
        if `redundancy` is out of its range.

    Notes
    -----
    Order
        In selection order; ties broken by a hash of (seed, id). Rows that are indistinguishable in
        float32 are compared in float64.
    Cost
        O(N M D) time; 4 N D + 80 N bytes. One pass over a float32 copy for each pick: the gain of a
        row is its product with one vector, half the sum of all rows minus `redundancy` times that
        of the kept ones. 1,000 of 10^5 rows of 64 dimensions took 1.5 s of one core.
    Gradients
        No weights; the loss over the kept rows is unweighted.
    Source
        Lin, Bilmes, "Multi-document Summarization via Budgeted Maximization of Submodular
        Functions", NAACL 2010. A widely used implementation multiplies the first sum, instead of
        the penalty, by its lambda: 1 there is `redundancy=1` here, and 0.5 there is 2.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [1.0, 0.1], [1.0, -0.1], [0.0, 1.0]]
    >>> graph_cut(rows, 2).indices
    array([1, 0])
    >>> graph_cut(rows, 2, redundancy=2.0).indices
    array([1, 3])
    """
    redundancy = _check.number("redundancy", redundancy, "[0, 1e6]")
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=True)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before])
        with work_rows(rows, nodes, cosine=True) as (work, _):
            picks, objective = _cut(np.asarray(work), order.size, task.budget, redundancy)
        return Picks(order[picks], info={"objective": objective}, merge={"objective": operator.add})

    arguments = {"redundancy": redundancy}
    return select("graph_cut", len(rows), budget, options, core, arguments=arguments, bad=bad)


def _cut(work: Scores, size: int, count: int, redundancy: float) -> tuple[Indices, float]:
    """Return the positions of `count` of the first `size` rows, and the objective.

    work : float32 (n, D)  of length 1; the rows from `size` on are already selected

    With A the sum of all rows and S that of the kept ones, the gain of a row x is
    (n + A x) / 2 - redundancy (k + S x + 1), so the best one maximizes (A / 2 - redundancy S) x.
    """
    total, kept = np.zeros(work.shape[1]), np.zeros(work.shape[1])
    for part in tiles(len(work), work.shape[1]):
        total += work[part].sum(axis=0, dtype=np.float64)
    for part in tiles(len(work) - size, work.shape[1]):
        kept += work[size:][part].sum(axis=0, dtype=np.float64)
    products = Products(work[:size])
    picks, done = np.empty(count, np.int64), 0
    with part_of("picks") as own, Steps("picking rows", count) as bar:
        if own.state:
            kept, done = own.state["kept"], own.state["picks"].size
            picks[:done] = own.state["picks"]
            bar.skip(done)
            for pick in picks[:done].tolist():
                products.close(pick)
        own.make = lambda: {"kept": kept, "picks": picks[:done]}
        while done < count:
            pick, _ = products.best(0.5 * total - redundancy * kept)
            kept = kept + work[pick].astype(np.float64)
            products.close(pick)
            picks[done] = pick
            done += 1
            bar.update()
            own.tick()
        own.done(kept=kept, picks=picks)
    chosen = count + len(work) - size
    between = 0.5 * (chosen**2 + float(kept @ kept))
    return picks, 0.5 * (len(work) * chosen + float(total @ kept)) - redundancy * between
