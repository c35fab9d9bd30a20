"""Selection by the uncertainty of a surrogate model, with or without weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ...record import Selection
from ..core._cost import Cost, log2
from ..core._inclusion import draw_fixed, inclusion_probabilities
from ..core._inputs import on_bad
from ..core._method import method
from ..core._options import Options
from ..core._order import shuffled
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["surrogate"]
_LEAST = 1e-6  # lower limit of an uncertainty: a negative exponent would diverge for some rows


@method(
    needs="probabilities",
    label="baseline",
    source="Kolossov 2024",
    ranked=False,
    weights="1 / inclusion probability, or none",
    cost=lambda s: Cost(steps=4 * s.N * s.C + 5 * s.N * log2(s.N), memory=92 * s.N),
)
def surrogate(
    probabilities: ArrayLike,
    budget: float,
    *,
    exponent: float = 0.5,
    reweight: bool = False,
    uniform: float = 0.05,
    **options: Unpack[Options],
) -> Selection:
    """Draw M rows with probabilities proportional to a power of a surrogate's uncertainty.

    Parameters
    ----------
    probabilities : float array of shape (N,) or (N, C)
        Predictions of a surrogate model trained on other data: of the positive class, or of each
        class.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    exponent : float, default 0.5
        Positive values prefer uncertain rows, negative values certain ones; 0 draws uniformly.
        Neither sign is always better: it depends on M / N and on the surrogate.
    reweight : bool, default False
        Return weights 1 / inclusion probability, for unbiased estimates. This may not improve
        accuracy: the authors find that it can be much worse than training without weights.
    uniform : float in [0, 1], default 0.05
        Fraction of each probability that is uniform over all rows, so that every row can be drawn.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        Rows in ascending order. `scores` are the uncertainties: q (1 - q), or 1 - sum q_k^2 over
        classes.

    Raises
    ------
    ValueError
        If a probability is outside [0, 1] or NaN, or those of a row do not add up to 1; the message
        names the row.

    Notes
    -----
    Order
        Random decisions by (seed, id); exactly M rows.
    Cost
        O(N C + N log N) time; 92 N bytes.
    Gradients
        Biased by design, unless `reweight`.
    Source
        Kolossov, Montanari, Tandon, "Towards a statistical theory of data selection under weak
        supervision", ICLR 2024. The generalization to several classes is an addition of this
        package.

    Examples
    --------
    >>> picked = surrogate([0.5, 0.5, 0.99, 0.01], 2, exponent=4.0, uniform=0.0)
    >>> picked.indices
    array([0, 1])
    """
    reweight = _check.flag("reweight", reweight)
    power = _check.number("exponent", exponent)
    even = _check.number("uniform", uniform, "[0, 1]")
    given = _check.host(probabilities, "probabilities")
    if given.ndim:
        given = _check.as_numbers("probabilities", given)
    chances = np.asarray(given, np.float64)
    if chances.ndim not in {1, 2} or 0 in chances.shape:
        raise ValueError(f"probabilities must have shape (N,) or (N, C), got {chances.shape}")
    rows = chances.reshape(len(chances), -1)
    bad = np.zeros(len(rows), np.bool_)
    if on_bad(options):
        bad |= ~np.isfinite(rows).all(axis=1)
        rows = np.where(bad[:, None], 1.0 / rows.shape[1], rows)
    wrong = ~((rows >= 0) & (rows <= 1)).all(axis=1)
    if chances.ndim == 2:
        wrong |= ~(np.abs(rows.sum(axis=1) - 1.0) <= 1e-3)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"probabilities must be in [0, 1] and add up to 1 over classes, got {rows[row]} in "
            f"row {row}"
        )
    doubt = (
        rows[:, 0] * (1.0 - rows[:, 0]) if chances.ndim == 1 else 1.0 - np.square(rows).sum(axis=1)
    )

    def core(task: Task) -> Picks:
        own = np.maximum(task.of(doubt), _LEAST)
        pi = inclusion_probabilities((own / own.max()) ** power, task.budget)
        pi = (1.0 - even) * pi + even * task.budget / own.size
        key = _rng.subkey(task.key, 1)
        places = draw_fixed(pi, shuffled(task.keys, task.key), key, task.budget)
        return Picks(places, 1.0 / pi[places] if reweight else None)

    return select(
        "surrogate", len(doubt), budget, options, core, scores=doubt,
        bad=bad if bad.any() else None,
        arguments={"exponent": power, "reweight": reweight, "uniform": even},
    )  # fmt: skip
