"""Poisson sampling: each row independently, so the size of the sample varies.

Use it where rows are decided one by one, as in a stream; otherwise `pivotal` has less variance.
"""

from __future__ import annotations

from typing_extensions import Unpack

from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inclusion import draw_rows, refuse_negative
from ..core._inputs import AnyScores, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["poisson"]


@method(
    needs="probabilities",
    label="baseline",
    source="Hajek 1964",
    ranked=False,
    weights="1 / inclusion probability",
    cost=lambda s: Cost(steps=4.5 * s.N * log2(s.N), memory=75 * s.N),
    fixed_size=False,
)
def poisson(pi: AnyScores, budget: float, **options: Unpack[Options]) -> Selection:
    """Draw each row independently with its inclusion probability: about M rows; see `pivotal`.

    Parameters
    ----------
    pi : Score, or float array of shape (N,)
        Finite and >= 0.
    budget : int or float
        The expected number of rows, as a count or as a fraction in (0, 1] of N.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order; their number is random. Weights 1 / inclusion probability.

    Notes
    -----
    Order
        Row i is drawn if a hash of (seed, id) is below its probability: a larger budget keeps all
        rows of a smaller one.
    Cost
        O(N log N) time; 75 N bytes.
    Source
        Hajek, "Asymptotic theory of rejective sampling", Annals of Mathematical Statistics 1964.

    Examples
    --------
    >>> poisson([1.0, 1.0, 0.0], 2).indices
    array([0, 1])
    """
    values, bad = scores_of("pi", pi, options)
    refuse_negative("pi", values)

    def core(task: Task) -> Picks:
        return draw_rows(task, task.of(values), "poisson")

    return select(
        "poisson", values.size, budget, options, core, arguments={}, bad=bad, scores=values
    )
