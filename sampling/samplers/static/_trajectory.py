"""Trajectories by return, for offline learning. One weight a sample: `WeightedSampler`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self, Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices
from ..core._cumulative import Cumulative
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._repeats import note_repeats
from ..core._tables import DrawTable

_ALPHA = 0.1
_REMEDY = "increase alpha or top, or draw fewer samples"


@told
class TrajectorySampler(EpochSampler):
    """Draw the transitions of good trajectories more often, by their returns.

    For behaviour cloning and offline reinforcement learning on mixed data: the draws imply a
    behaviour policy with a higher return than that of the data. It helps if few trajectories are
    much better than the others (see `positive_variance`), and can be worse than uniform draws if
    high returns are due to chance or to easy initial states: for the latter give a `baseline`.

    Indices are numbers of transitions: those of trajectory 0 come first, then those of
    trajectory 1. The returns are scaled to g in [0, 1], and each transition of trajectory i is
    drawn in proportion to exp(g_i / alpha), so a trajectory of length T_i in proportion to T_i
    exp(g_i / alpha).

    Parameters
    ----------
    lengths : int array-like of shape (K,)
        T: number of transitions of each trajectory, at least 1. Their sum is N.
    returns : float array-like of shape (K,)
        G: sum of the rewards of each trajectory, not discounted in the paper.
    num_samples : int, default N
        M: draws in one epoch, summed over all ranks.
    baseline : float array-like of shape (K,) or (K, D), optional
        The return to be expected from each initial state, or the initial observations, from which
        a linear regression predicts it: by ridge regression if there are fewer trajectories than
        coefficients. Trajectories are then weighted by the advantage, G minus this.
    alpha : float > 0, default 0.1
        Temperature: large values draw all transitions equally, small ones only the best trajectory.
    top : float in (0, 1], optional
        Draw all transitions of the best fraction of the trajectories equally, and no others,
        instead of weights by exp(g / alpha). Trajectories that tie for the last rank share it.
    unit : {"step", "trajectory"}, default "step"
        "trajectory" draws trajectory i in proportion to exp(g_i / alpha), whatever its length.
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    starts : int64 array of shape (K + 1,)
        Number of the first transition of each trajectory, and N.
    masses : float64 array of shape (K,)
        Expected fraction of the draws from each trajectory; the sum is 1.
    top_mass : float
        Expected fraction of the draws from the best 1 % of the trajectories, and at least one.
    effective_size : float
        1 / sum p^2 over the transitions: as many, drawn equally, would be as diverse.
    positive_variance : float
        Mean of max(0, G - mean G)^2, of the advantages if there is a `baseline`. In the paper it
        predicts how much weighting gains; compare it between data sets of one task.
    truncated : bool
        Whether the last trajectory had no end, in `from_steps`.

    Raises
    ------
    ValueError
        If a length is less than 1, a return is not finite, or lengths differ; if `alpha` is given
        with `top`; if objective="original" and a trajectory is never drawn.

    Notes
    -----
    Order
        A pure function of (lengths, masses, M, seed, epoch): stratified draws (see
        `WeightedSampler`), in a shuffled order. Any position is computed directly.
    Cost
        O(K log K) once and O(1) a draw; 26 K bytes, and nothing of size N.
    Gradients
        objective="sampled" (default) trains on the weighted data. "original" multiplies by
        1 / (N p), which restores the mean over all transitions.
    Source
        Hong, Agrawal, Tachet des Combes, Laroche, "Harnessing Mixed Offline Reinforcement Learning
        Datasets via Trajectory Weighting", ICLR 2023. Returns are scaled before the exponential.
        Equal returns draw all transitions equally. The unit "trajectory" is not in the paper.

    Examples
    --------
    >>> sampler = TrajectorySampler([10, 10, 20], [0.0, 5.0, 10.0])
    >>> sampler.masses.round(4), round(sampler.effective_size, 1)
    (array([0.    , 0.0034, 0.9966]), 20.1)
    >>> best = TrajectorySampler([2, 1, 3], [1.0, 7.0, 5.0], 4, top=0.67)
    >>> sorted(best)
    [2, 3, 4, 5]
    """

    covers_dataset = True

    def __init__(  # noqa: PLR0913  # each is a choice of the caller
        self,
        lengths: ArrayLike,
        returns: ArrayLike,
        num_samples: int | None = None,
        *,
        baseline: ArrayLike | None = None,
        alpha: float | None = None,
        top: float | None = None,
        unit: Literal["step", "trajectory"] = "step",
        **options: Unpack[EpochOptions],
    ) -> None:
        sizes = _lengths_of(lengths)
        scores = _check.floats("returns", returns)
        _check.same_length("returns", scores, "lengths", sizes.size)
        self.unit = _check.choice("unit", unit, ("step", "trajectory"))
        if top is not None and alpha is not None:
            raise ValueError(f"alpha must not be given with top, got {alpha}: top has no exponent")
        self.alpha = _check.number("alpha", _ALPHA if alpha is None else alpha, "(0, inf)")
        self.top = None if top is None else _check.number("top", top, "(0, 1]")
        if baseline is not None:
            scores = scores - _predicted(baseline, scores)
        weights = _scaled(scores, self.alpha) if self.top is None else _best(scores, self.top)
        masses = weights * sizes if self.unit == "step" else weights
        self._cumulative = Cumulative(masses)
        self.masses: Floats = masses / masses.sum()
        self.starts: Indices = np.concatenate([[0], np.cumsum(sizes)])
        order = np.argsort(scores)[-max(1, -(-sizes.size // 100)) :]
        self.top_mass = float(self.masses[order].sum())
        self.effective_size = float(1.0 / np.sum(self.masses**2 / sizes))
        with np.errstate(over="ignore"):
            above = np.maximum(scores - scores.mean(), 0.0)
            self.positive_variance = float(np.mean(above**2))
        self.truncated = False
        size = int(self.starts[-1])
        draws = size if num_samples is None else _check.integer("num_samples", num_samples, 1)
        often = int(np.argmax(self.masses / sizes))
        uses = draws * float(self.masses[often]) / int(sizes[often])
        note_repeats(uses, draws / size, f"each transition of trajectory {often}", _REMEDY)
        super().__init__(size, draws, **options)

    @classmethod
    def from_steps(  # noqa: PLR0913  # those of the constructor
        cls,
        rewards: ArrayLike,
        ends: ArrayLike,
        num_samples: int | None = None,
        *,
        observations: ArrayLike | None = None,
        alpha: float | None = None,
        top: float | None = None,
        unit: Literal["step", "trajectory"] = "step",
        **options: Unpack[EpochOptions],
    ) -> Self:
        """Return the sampler of transitions in a flat table, such as those of D4RL.

        Parameters
        ----------
        rewards : float array-like of shape (N,)
            Reward of each transition.
        ends : bool array-like of shape (N,)
            Whether a transition is the last of its trajectory: terminal or timeout. If the last
            one of all is not, its trajectory is kept, and `truncated` is True.
        num_samples : int, default N
            Draws in one epoch.
        observations : float array-like of shape (N, D), optional
            Observation before each transition: weights by advantage. Only those of the initial
            states are used.
        alpha : float > 0, default 0.1
            See the constructor.
        top : float in (0, 1], optional
            See the constructor.
        unit : {"step", "trajectory"}, default "step"
            See the constructor.
        **options
            The options of every sampler: see `EpochSampler`.

        Returns
        -------
        TrajectorySampler

        Examples
        --------
        >>> sampler = TrajectorySampler.from_steps([1, 0, 2, 2, 2], [0, 1, 0, 0, 1])
        >>> sampler.starts, sampler.truncated
        (array([0, 2, 5]), False)
        """
        values = _check.floats("rewards", rewards)
        last = _flags_of(ends)
        _check.same_length("ends", last, "rewards", values.size)
        truncated = not last[-1]
        stops = np.flatnonzero(last) + 1
        if truncated:
            stops = np.append(stops, values.size)
        starts = np.concatenate([[0], stops[:-1]])
        baseline = None
        if observations is not None:
            rows = _check.matrix("observations", observations)
            _check.same_length("observations", rows, "rewards", values.size)
            baseline = np.asarray(rows[starts])
            bad = _check.bad_rows(baseline)
            if bad is not None:  # named by their rows in the table, not by their trajectories
                at = int(bad.argmax())
                with np.errstate(over="ignore"):
                    wrong = baseline[at][~np.isfinite(baseline[at].astype(np.float32))]
                raise ValueError(
                    f"observations must be finite in initial states, got {wrong[0]} in row "
                    f"{starts[at]}"
                )
        returns = np.add.reduceat(values, starts)
        sampler = cls(
            np.diff(stops, prepend=0),
            returns,
            num_samples,
            baseline=baseline,
            alpha=alpha,
            top=top,
            unit=unit,
            **options,
        )
        sampler.truncated = bool(truncated)
        return sampler

    def locate(self, indices: ArrayLike) -> tuple[Indices, Indices]:
        """Return the trajectory of each transition, and its number inside the trajectory.

        Parameters
        ----------
        indices : int array-like of shape (m,)
            In [0, N).

        Returns
        -------
        trajectories, steps : int64 arrays of shape (m,)

        Examples
        --------
        >>> TrajectorySampler([2, 3], [0.0, 1.0]).locate([0, 1, 2, 4])
        (array([0, 0, 1, 1]), array([0, 1, 0, 2]))
        """
        rows = _check.one_dimensional("indices", indices)
        _check.codes("indices", rows, self.size)
        rows = rows.astype(np.int64)  # unsigned ones minus signed ones would be floats
        found = self._trajectory_of(rows)
        return found, rows - self.starts[found]

    def _trajectory_of(self, rows: Indices) -> Indices:
        found: Indices = np.searchsorted(self.starts, rows, side="right") - 1
        return found

    @told
    def metrics(self, groups: ArrayLike | None = None) -> dict[str, float]:
        """Return figures of the planned epoch; see `EpochSampler.metrics`.

        Parameters
        ----------
        groups : array-like of shape (N,), optional
            As in `EpochSampler.metrics`.

        Returns
        -------
        dict of str to float
            Those of every sampler, and "top_mass" and "effective_size", the attributes.

        Examples
        --------
        >>> round(TrajectorySampler([2, 2], [0.0, 9.0], alpha=0.5).metrics()["top_mass"], 3)
        0.881
        """
        own = {"top_mass": self.top_mass, "effective_size": self.effective_size}
        return {**super().metrics(groups), **own}

    def table(self, epoch: int) -> DrawTable:
        key = _rng.key(self.seed, epoch, "trajectory")
        return _TwoLevelTable(self._cumulative, self.starts, self.num_samples, key)

    def why_biased(self, epoch: int) -> str:
        never = self.masses.size - int(np.count_nonzero(self.masses))
        if never:
            return f"{never} of {self.masses.size} trajectories are never drawn"
        return ""

    def identity(self) -> dict[str, object]:
        return {
            "masses from lengths, returns, baseline, alpha, top and unit": self.masses,
            "lengths": self.starts,
        }


class _TwoLevelTable(DrawTable):
    """Draws of a trajectory by its mass, and of a transition in it, each equally likely.

    The point of a draw also determines the step of its trajectory, so that draws are stratified
    over the transitions, as if each had its weight in a running sum of N.
    """

    def __init__(self, cumulative: Cumulative, starts: Indices, size: int, key: np.uint64) -> None:
        self.size, self.population = size, int(starts[-1])
        self._cumulative, self._starts, self._key = cumulative, starts, key

    def parts(self) -> tuple[object, ...]:
        return (self._cumulative.digest(), self._starts, int(self._key))

    def take(self, slots: Indices) -> Indices:
        found, inside = self._cumulative.located(self._key, self.size, slots)
        lengths = self._starts[found + 1] - self._starts[found]
        steps = np.minimum((inside * lengths).astype(np.int64), lengths - 1)
        rows: Indices = self._starts[found] + steps
        return rows

    def expected(self, indices: Indices) -> Floats:
        found = np.searchsorted(self._starts, indices, side="right") - 1
        lengths = self._starts[found + 1] - self._starts[found]
        return self.size * self._cumulative.share(found) / lengths


def _lengths_of(lengths: ArrayLike) -> Indices:
    """Return lengths as int64 (K,), each at least 1, with a sum that an index can reach."""
    given = _check.floats("lengths", lengths, "finite and >= 0")
    bad = (given < 1) | (given != np.floor(given))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"lengths must be whole numbers >= 1, got {given[row]:g} in row {row}")
    if given.sum() > _check.MAX_SIZE:
        raise ValueError(f"lengths must have a sum of at most 2**62, got {given.sum():g}")
    return given.astype(np.int64)


def _flags_of(ends: ArrayLike) -> NDArray[np.bool_]:
    values = _check.floats("ends", ends)
    bad = (values != 0) & (values != 1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"ends must be True or False, got {values[row]:g} in row {row}")
    flags: NDArray[np.bool_] = values == 1
    return flags


def _scaled(scores: Floats, alpha: float) -> Floats:
    """Return exp(g / alpha) up to a factor, with g in [0, 1]; equal scores give ones."""
    low, high = float(scores.min()), float(scores.max())
    half = 0.5 * high - 0.5 * low  # a span beyond the floats has a finite half
    if half == 0:  # equal, or so near that nothing lies between
        return np.ones(scores.size)
    g = (0.5 * scores - 0.5 * low) / half
    weights: Floats = np.exp((g - 1.0) / alpha)
    return weights


def _best(scores: Floats, top: float) -> Floats:
    """Return 1 for the best trajectories, 0 for others; ties for the last rank share it."""
    count = max(1, int(np.floor(top * scores.size + 0.5)))
    last = np.sort(scores)[scores.size - count]
    ties, above = scores == last, scores > last
    share = (count - int(above.sum())) / int(ties.sum())
    weights: Floats = above + share * ties
    return weights


def _predicted(baseline: ArrayLike, returns: Floats) -> Floats:
    """Return the return to be expected from each initial state: (K,)."""
    given = _check.host(_check.stacked("baseline", baseline), "baseline")
    if given.ndim == 1:
        values = _check.floats("baseline", given)
        _check.same_length("baseline", values, "lengths", returns.size)
        return values
    rows = np.asarray(_check.embeddings("baseline", baseline)[:], np.float64)
    _check.same_length("baseline", rows, "lengths", returns.size)
    centered = rows - rows.mean(axis=0)
    spread = centered.std(axis=0)
    centered /= np.where(spread > 0, spread, 1.0)
    mean = float(returns.mean())
    return mean + _regression(centered, returns - mean)


def _regression(rows: Floats, values: Floats) -> Floats:
    """Return the fit of centered values by least squares, or by ridge regression of few rows.

    The penalty of the latter has the least squared error of each row predicted from the others.
    """
    count = rows.shape[0]
    left, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    kept = sizes > 1e-10 * max(float(sizes.max(initial=0.0)), 1e-300)
    left, squares = left[:, kept], sizes[kept] ** 2
    along = left.T @ values
    if count > rows.shape[1] + 1 or not squares.size:
        fit: Floats = left @ along
        return fit
    best, least = np.zeros(count), np.inf
    for penalty in squares.max() * np.logspace(-6, 3, 28):
        shrunk = squares / (squares + penalty)
        fit = left @ (shrunk * along)
        own = 1.0 / count + (left**2) @ shrunk  # what a row has in its own prediction
        error = float(np.mean(((values - fit) / np.maximum(1.0 - own, 1e-12)) ** 2))
        if error < least:
            best, least = fit, error
    return best
