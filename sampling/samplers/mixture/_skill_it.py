"""Skill-It: weight for sources that help those with high validation loss. By probes: `Aioli`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...types import Floats
from ._updater import VALIDATION, MixtureUpdater, State, Values


@told
class SkillIt(MixtureUpdater):
    """Draw more from sources that reduce the validation losses that are still high (Skill-It).

    For replication. It needs a graph that states how much training on each source helps each
    evaluation set, see `skill_graph`, and an evaluation in each epoch, recorded with
    `MixtureSampler.record_validation`. Without a graph every source helps itself alone. Uniform
    weights are the control to report with it.

    Parameters
    ----------
    graph : array-like of shape (K, T), optional
        Finite and >= 0: how much training on source k reduces the loss on evaluation set t. By
        default 1 for k = t, else 0.
    targets : list of str or int, of length T, optional
        Names of the evaluation sets, in the order of the columns of the graph, if they are not the
        sources. T = K otherwise.
    window : int >= 1, default 3
        Number of the last evaluations that are combined.
    step_size : float > 0, default 0.2
        eta.
    combine : {"sum", "mean"}, optional
        How evaluations of the window are combined: by default "sum", and "mean" with `targets`.
    normalize : bool, default True
        Whether to divide the losses of an evaluation set by its first loss, so that `step_size`
        does not depend on the scale of the losses.
    adapt : bool, default False
        Whether to divide eta by the ratio of the current sum of the losses to the first one.
    isolated : {"weighted", "even"}, default "weighted"
        "even": a source that is not connected to another one keeps the share 1 / K, and the others
        share the rest.
    floor : float in [0, 1], default 1e-4
        Fraction of the weight that is shared equally.
    max_change : float > 0, optional
        Largest change of the logarithm of a weight in one update.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the graph does not fit the sources or the targets.

    Notes
    -----
    Order
        A deterministic function of the losses.
    Cost
        O(K T) an update.
    Gradients
        The sampler's: the objective changes with the weights.
    Source
        Chen et al., "Skill-it!", NeurIPS 2023, arXiv:2307.14430: weights proportional to
        prior * exp(eta A S), where S sums the losses of the window, each time from the weights that
        the sampler was given; with S = 1 before the first evaluation. The released code writes the
        shares of isolated sources to that prior itself, so that later updates start from another.

    Examples
    --------
    >>> rule = SkillIt([[1, 0], [1, 1]], window=1, step_size=1.0, normalize=False, floor=0.0)
    >>> state = rule.begin(np.array([0.5, 0.5]))
    >>> state["weights"].round(3)  # A S = 1, 2
    array([0.269, 0.731])
    >>> rule.step(state, validation_losses=np.array([1.0, 0.5]))["weights"].round(3)  # 1, 1.5
    array([0.378, 0.622])
    """

    reads = (VALIDATION,)

    def __init__(  # noqa: PLR0913  # the options of the released code
        self,
        graph: ArrayLike | None = None,
        *,
        targets: Sequence[Any] | None = None,
        window: int = 3,
        step_size: float = 0.2,
        combine: Literal["sum", "mean"] | None = None,
        normalize: bool = True,
        adapt: bool = False,
        isolated: Literal["weighted", "even"] = "weighted",
        floor: float = 1e-4,
        max_change: float | None = None,
    ) -> None:
        super().__init__(floor=floor, max_change=max_change)
        if targets is not None and graph is None:
            raise ValueError("graph must be given with targets, got None")
        self.graph: Floats | None = None if graph is None else _graph_of(graph)
        if targets is not None:
            self.targets = _labels.names_of_rows("targets", _check.listed("targets", targets))
            known = len(set(self.targets.tolist()))
            if known < self.targets.size:
                raise ValueError(f"targets must be distinct, got {self.targets.tolist()}")
        self.window = _check.integer("window", window, 1)
        self.step_size = _check.number("step_size", step_size, "(0, inf)")
        usual: Literal["sum", "mean"] = "sum" if targets is None else "mean"
        chosen = usual if combine is None else combine
        self.combine = _check.choice("combine", chosen, ("sum", "mean"))
        self.normalize = _check.flag("normalize", normalize)
        self.adapt = _check.flag("adapt", adapt)
        self.isolated = _check.choice("isolated", isolated, ("weighted", "even"))

    def memory(self, weights: Floats) -> State:
        """See `MixtureUpdater`: the prior, the first losses, and the last ones, newest first."""
        sets = self._helped(weights.size).shape[1]
        return {
            "prior": weights.copy(),
            "first": np.full(sets, np.nan),
            "recent": np.full(self.window * sets, np.nan),
        }

    def begin(self, weights: Floats) -> State:
        """See `MixtureUpdater`; the first weights are those for losses of 1 everywhere."""
        state = super().begin(weights)
        helped = self._helped(weights.size)
        first = self._weights(weights, helped, np.ones(helped.shape[1]), self.step_size)
        first = (1.0 - self.floor) * first + self.floor / first.size
        return state | {"weights": first, "average": first.copy()}

    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """See `MixtureUpdater`."""
        losses, helped = values[VALIDATION], self._helped(state["prior"].size)
        old = state["recent"].reshape(self.window, -1)
        last = old[0]
        losses = np.where(np.isnan(losses), last, losses)  # not evaluated: its last loss
        first = np.where(np.isnan(state["first"]), losses, state["first"])
        recent = np.vstack([losses, old[:-1]])
        scaled = recent
        if self.normalize:
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = np.where(first == 0, 1.0, recent / first)
        known = ~np.isnan(scaled)
        combined = np.where(known, scaled, 0.0).sum(axis=0)
        if self.combine == "mean":
            combined = combined / np.maximum(known.sum(axis=0), 1)
        step = self.step_size
        if self.adapt:
            now, then = float(np.nansum(losses)), float(np.nansum(first))
            step = step * then / now if now > 0 and then > 0 else step
        memory = {"prior": state["prior"], "first": first, "recent": recent.ravel()}
        return self._weights(state["prior"], helped, combined, step), memory

    def _weights(self, prior: Floats, helped: Floats, losses: Floats, step: float) -> Floats:
        """Return prior * exp(step A S), normalised; of a prior that is left as it is."""
        with np.errstate(divide="ignore"):  # a weight of 0 stays 0, except for the floor
            logs = np.log(prior) + step * (helped @ losses)
        parts: Floats = np.exp(logs - logs.max())
        parts = parts / parts.sum()
        if self.isolated == "weighted":
            return parts
        alone = _alone(helped)
        if alone.all() or not parts[~alone].any():
            return np.full(parts.size, 1.0 / parts.size)
        rest = 1.0 - alone.sum() / parts.size
        return np.where(alone, 1.0 / parts.size, rest * parts / parts[~alone].sum())

    def _helped(self, sources: int) -> Floats:
        """Return the graph (K, T) for K sources, or raise if it is of another number."""
        if self.graph is None:
            return np.eye(sources)
        sets = sources if self.targets is None else self.targets.size
        if self.graph.shape != (sources, sets):
            raise ValueError(
                f"graph must have shape {(sources, sets)}, one row for each source and one column "
                f"for each evaluation set, got {self.graph.shape}"
            )
        return self.graph


@told
def skill_graph(before: ArrayLike, after: ArrayLike) -> Floats:
    """Return how much training on each source reduces each validation loss, for `SkillIt`.

    From a model's validation losses before and after short runs, one run on each source alone, all
    from the same checkpoint.

    Parameters
    ----------
    before : array-like of shape (T,)
        Validation losses of the checkpoint.
    after : array-like of shape (K, T)
        Validation losses after training on source k.

    Returns
    -------
    float64 array of shape (K, T)
        The reduction of each loss, relative to the loss before; 0 where it increased.

    Raises
    ------
    ValueError
        If a loss is not finite, a loss before is not positive, or the shapes do not fit.

    Notes
    -----
    Source
        Chen et al., "Skill-it!", NeurIPS 2023, which does not include this step in its code: the
        division by the loss before is a choice of this package.

    Examples
    --------
    >>> skill_graph([2.0, 4.0], [[1.0, 4.0], [2.5, 3.0]])
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """
    start = _check.floats("before", before, "finite")
    if not (start > 0).all():
        row = int(np.argmin(start))
        raise ValueError(f"before must be > 0, got {start[row]:g} in row {row}")
    ends = _matrix("after", after)
    if ends.shape[1] != start.size:
        raise ValueError(f"after must have shape (K, {start.size}), got {ends.shape}")
    return np.maximum((start - ends) / start, 0.0)


def _graph_of(graph: ArrayLike) -> Floats:
    found = _matrix("graph", graph)
    if (found < 0).any():
        row, column = (int(each) for each in np.argwhere(found < 0)[0])
        raise ValueError(f"graph must be >= 0, got {found[row, column]:g} in row {row}")
    return found


def _matrix(name: str, given: ArrayLike) -> Floats:
    """Return a finite matrix, float64 (K, T)."""
    found = np.array(_check.matrix(name, given), np.float64)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if bad.size:
        raise ValueError(f"{name} must be finite, got {found[bad[0]]} in row {bad[0]}")
    return found


def _alone(helped: Floats) -> NDArray[np.bool_]:
    """Return the sources without an edge to or from another: bool (K,)."""
    links = np.array(helped > 0)
    if links.shape[0] == links.shape[1]:
        np.fill_diagonal(links, False)
        links = links | links.T
    found: NDArray[np.bool_] = np.logical_not(links.any(axis=1))
    return found
