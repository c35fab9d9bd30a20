"""GradMatch: few rows whose weighted gradients add up to the sum of all gradients.

`facility_location` of the gradients (CRAIG) takes the nearest rows for all rows; here only the sum
is matched, which takes fewer rows, and no pairs are compared.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg.blas import dtpsv
from typing_extensions import Unpack

from ... import _check
from ..._checkpoint import part as part_of
from ..._progress import Steps
from ..._warning import warn
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..by_coverage._geometry import by_key, kept_before, scaled_rows, tiles
from ..by_coverage._products import Products
from ..core._cost import Cost, Sizes
from ..core._inputs import embeddings_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["grad_match"]

_FALL = 1e-14  # least fall of the objective, as a fraction of the target's square
_DEPENDENT = 1e-12  # least square of a row that is not a combination of others, as a fraction
_ENDED = "does not reduce the residual"


def _cost(sizes: Sizes) -> Cost:
    n, d, m = sizes.N, sizes.D, sizes.M
    return Cost(
        steps=n * m + 5000 * m,
        memory=4 * n * d + 80 * n + 8 * m * m + 16 * m * d,
        reads=5 * n * m * d + 8 * m * m * (d + m),
    )


@method(
    local_only=True,
    needs="gradients",
    label="for replication",
    source="Killamsetty 2021",
    ranked=False,
    weights="least squares, w > 0: sum w g approximates the sum of all g",
    cost=_cost,
    fixed_size=False,
)
def grad_match(
    gradients: ArrayLike,
    budget: float,
    *,
    target: ArrayLike | None = None,
    regularization: float = 0.5,
    tolerance: float = 0.0,
    **options: Unpack[Options],
) -> Selection:
    """Match the sum of all gradients by a weighted sum of few, by orthogonal matching pursuit.

    Each pick is the row of the highest product with the residual; after it all weights w > 0 are
    solved for again. It stops before the budget if no other row reduces the residual: the budget is
    an upper bound, and the unfilled rest of it is not filled with other rows.

    Parameters
    ----------
    gradients : array of shape (N, D)
        Gradient of each sample's loss, mostly that of the last layer; converted to float32.
    budget : int or float
        The largest number of rows, as a count or as a fraction in (0, 1] of N.
    target : float array of shape (D,), optional
        The sum to be matched, such as N times the mean gradient of validation data; by default the
        sum of the rows (with groups, of each group, and none may be given).
    regularization : float in [0, 1e6], default 0.5
        Lambda, the penalty of the sum of w^2, times the mean squared length of the rows. At 0 at
        most D rows are kept; the larger, the more rows share the sum.
    tolerance : float in [0, 1), default 0.0
        Stop as soon as the residual is at most this fraction of the length of the target.
    **options
        Keywords of every selector; see `Options`. Rows already selected (with groups, of the same
        group) count with weight 1: their gradients are not part of the default target, and are
        subtracted from a given one. With `groups=labels`, each class matches its own sum.

    Returns
    -------
    Selection
        Rows in the order of the picks, at most M. Weights w > 0: the sum of w g approximates the
        *sum* of all gradients, so they are about N / M each if the gradients are alike, and are not
        rescaled. `info["m_eff"]` is the number of rows, and `info["residual"]` the length of the
        remaining difference, as a fraction of that of the target; with groups, the largest.

    Raises
    ------
    ValueError
        If a row is not finite, unless `on_bad="drop"` (the message names it); if `target` has
        another length, or is given with groups.

    Notes
    -----
    Order
        Ties broken by a hash of (seed, id). Products that are indistinguishable in float32 are
        compared in float64.
    Cost
        O(N M D + M^3) time; 4 N D + 80 N + 8 M^2 + 16 M D bytes. One pass over a float32 copy for
        each pick, and two triangular solves: the Cholesky factor gains a column. Where a weight
        would be negative, the row is dropped, and the columns after it are computed again. 1,000 of
        10^5 rows of 64 dimensions took 2 s of one core.
    Gradients
        With the weights, the gradient of the summed loss of the kept rows approximates that of all,
        for the parameters that the gradients are of. `SubsetSampler` rescales them to mean 1.
    Source
        Killamsetty et al., "GRAD-MATCH", ICML 2021, arXiv:2103.00123. Lambda is relative to the
        data there is not: divide it by the mean squared length for the same. The released code
        fills the budget with random rows of weight 1, and may give a row's weight to another.

    Examples
    --------
    >>> found = grad_match([[4.0, 0.0], [0.0, 1.0], [2.0, 2.0]], 2, regularization=0.0)
    >>> found.indices, found.weights.round(6), round(found.info["residual"], 6)
    (array([0, 2]), array([0.75, 1.5 ]), 0.0)
    """
    regularization = _check.number("regularization", regularization, "[0, 1e6]")
    tolerance = _check.number("tolerance", tolerance, "[0, 1)")
    rows, bad = embeddings_of("gradients", gradients, options)
    wanted = None
    if target is not None:
        wanted = _check.floats("target", target)
        refuse_beyond("target", wanted)
        if wanted.size != rows.shape[1]:
            raise ValueError(f"target must have length {rows.shape[1]}, got {wanted.size}")
        if options.get("groups") is not None:
            raise ValueError(
                "target must be omitted with groups, got both: each group matches its own sum"
            )

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        work, scale = scaled_rows(rows, np.concatenate([task.rows[order], before]))
        own, others = work[: order.size], work[order.size :]
        total = _sum(own) if wanted is None else wanted * scale - _sum(others)
        if not total.any():
            warn(
                "the sum of the gradients is 0, so that no row is kept: there is nothing to match; "
                "check that they are gradients of samples that are not fitted yet"
            )
        picks, weights, residual = _match(
            own, task.budget, total, regularization * _mean_square(own), tolerance
        )
        left = np.ones(order.size, np.bool_)
        left[order[picks]] = False
        ended = picks.size < task.budget
        return Picks(
            order[picks],
            weights,
            [(np.flatnonzero(left), _ENDED)] if ended else [],
            info={"m_eff": picks.size, "residual": residual},
            merge={"m_eff": operator.add, "residual": max},
        )

    arguments = {"target": target, "regularization": regularization, "tolerance": tolerance}
    return select("grad_match", len(rows), budget, options, core, arguments=arguments, bad=bad)


def refuse_beyond(name: str, vector: Floats) -> None:
    """Refuse a vector beyond the range of the float32 rows: its products would overflow."""
    largest = float(np.abs(vector).max(initial=0.0))
    if largest > float(np.finfo(np.float32).max):
        raise ValueError(
            f"{name} must be within the range of float32, got {largest:g} in size: scale it and "
            "the gradients"
        )


def _sum(rows: Scores) -> Floats:
    """Return the sum of float32 rows in float64: (n, D) -> (D,)."""
    total = np.zeros(rows.shape[1])
    for part in tiles(len(rows), rows.shape[1]):
        total += rows[part].sum(axis=0, dtype=np.float64)
    return total


def _mean_square(rows: Scores) -> float:
    """Return the mean squared length of float32 rows."""
    squares = [
        np.square(rows[part], dtype=np.float64).sum() for part in tiles(len(rows), rows.shape[1])
    ]
    return float(sum(squares)) / len(rows)


def _match(
    rows: Scores, count: int, target: Floats, ridge: float, tolerance: float
) -> tuple[Indices, Floats, float]:
    """Return the positions of at most `count` rows, their weights, and the relative residual."""
    fit, products = _Fit(rows, target, ridge), Products(rows)
    length = float(np.sqrt(target @ target))
    with part_of("picks") as own, Steps("picking rows", count, even=False) as bar:
        if own.state:
            fit.resume(own.state["picks"].tolist(), own.state["weights"])
            for pick in fit.picks:
                products.close(pick)
            bar.skip(len(fit.picks))
        own.make = lambda: {"picks": np.array(fit.picks, np.int64), "weights": fit.weights}
        while len(fit.picks) < count and fit.residual > tolerance * length:
            pick, product = products.best(fit.gap)
            if product <= 0.0:
                break
            kept, weights, objective = list(fit.picks), fit.weights, fit.objective
            fit.add(pick)
            if fit.objective > objective - _FALL * length**2:  # no more than rounding
                fit.picks, fit.weights = kept, weights
                break
            products.close(pick)
            for dropped in {*kept, pick}.difference(fit.picks):
                products.open(dropped)
            bar.update(len(fit.picks) - len(kept))
            own.tick()
        picks = np.array(fit.picks, np.int64)
        own.done(picks=picks, weights=fit.weights)
    gap = target - fit.weights @ rows[picks].astype(np.float64)
    return picks, fit.weights, float(np.sqrt(gap @ gap)) / length if length else 0.0


class _Fit:
    """The least squares of a target by some rows with weights > 0, and a penalty of their squares.

    With G the picked rows, the weights minimize |w G - target|^2 + ridge |w|^2. The factor U of
    G G^T + ridge = U^T U is in packed storage, column by column, so that a pick appends to it.
    Source: Lawson, Hanson, "Solving Least Squares Problems", 1974, with the factor of the picks.

    rows : float32 (n, D)
    """

    def __init__(self, rows: Scores, target: Floats, ridge: float) -> None:
        self._rows, self._target, self._ridge = rows, target, ridge
        self._picked = np.empty((8, target.size))
        self._factor, self._right = np.empty(36), np.empty(8)  # U, and U^-T G target
        self.picks: list[int] = []
        self.weights = np.zeros(0)
        self._measure()

    def resume(self, picks: list[int], weights: Floats) -> None:
        """Continue from picks with their weights."""
        for pick in picks:
            self._append(pick)
        self.weights = weights
        self._measure()

    def add(self, pick: int) -> None:
        """Add a row, and solve again; rows whose weight would be negative are dropped."""
        if not self._append(pick):
            return
        weights = np.append(self.weights, 0.0)
        while self.picks:
            solved = self._solve()
            negative = np.flatnonzero(solved <= 0.0)
            if not negative.size:
                weights = solved
                break
            # As far towards the solution as all weights are >= 0.
            reach = weights[negative] / (weights[negative] - solved[negative])
            weights = weights + reach.min() * (solved - weights)
            weights[negative[reach <= reach.min()]] = 0.0
            weights = self._keep(weights)
        self.weights = weights
        self._measure()

    def _measure(self) -> None:
        """Set what is left of the target, its length, and the objective."""
        count = len(self.picks)
        self.gap = self._target - self.weights @ self._picked[:count]
        square = float(self.gap @ self.gap)
        self.residual = float(np.sqrt(square))
        self.objective = square + self._ridge * float(self.weights @ self.weights)

    def _append(self, pick: int) -> bool:
        """Append a column to the factor; False for a combination of the picked rows."""
        count = len(self.picks)
        self._picked, self._right = _room(self._picked, count + 1), _room(self._right, count + 1)
        first = count * (count + 1) // 2
        self._factor = _room(self._factor, first + count + 1)
        row = self._rows[pick].astype(np.float64)
        column = self._back(self._picked[:count] @ row, transposed=True)
        whole = float(row @ row) + self._ridge
        left = whole - float(column @ column)
        if left <= _DEPENDENT * whole:
            return False
        self._factor[first : first + count] = column
        self._factor[first + count] = np.sqrt(left)
        right = float(row @ self._target) - float(column @ self._right[:count])
        self._right[count] = right / np.sqrt(left)
        self._picked[count] = row
        self.picks.append(pick)
        return True

    def _keep(self, weights: Floats) -> Floats:
        """Drop the picks of weight 0; the columns of the factor before the first of them stay."""
        first = int(np.flatnonzero(weights <= 0.0)[0])
        rest = zip(self.picks[first:], weights[first:].tolist(), strict=True)
        del self.picks[first:]
        later = [each for pick, each in rest if each > 0.0 and self._append(pick)]
        return np.append(weights[:first], later)

    def _solve(self) -> Floats:
        """Return the weights of either sign."""
        return self._back(self._right[: len(self.picks)].copy(), transposed=False)

    def _back(self, values: Floats, *, transposed: bool) -> Floats:
        """Return U^-1 values, or U^-T values."""
        if not values.size:
            return values
        packed = self._factor[: values.size * (values.size + 1) // 2]
        found: Any = dtpsv(values.size, packed, values, trans=int(transposed), overwrite_x=True)
        return np.asarray(found, np.float64)


def _room(array: Floats, length: int) -> Floats:
    """Return an array with at least so many entries, by doubling."""
    if length <= len(array):
        return array
    longer = np.empty((max(length, 2 * len(array)), *array.shape[1:]))
    longer[: len(array)] = array
    return longer
