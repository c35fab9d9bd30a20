"""Aioli: short probes estimate how each source helps, again and again. By a graph: `SkillIt`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices
from ..core._permutation import Permutation
from ._updater import VALIDATION, MixtureUpdater, State, Values


@told
class Aioli(MixtureUpdater):
    """Estimate during training how each source reduces the validation losses, and follow it.

    For replication. After the first epoch, K * rounds epochs are *probes*: in each, one source gets
    the weight `probe_share`, the others share the rest, and the reductions of the validation
    losses, recorded with `MixtureSampler.record_validation` after every epoch, are its column of
    the estimate. Then one step is taken from the current mixture, with which the next `hold` epochs
    are drawn, and so on. So take short epochs: with `num_samples` or `num_tokens` of a few
    optimizer steps. Uniform weights are the control to report with it: its paper finds that earlier
    methods sometimes lose to them.

    Parameters
    ----------
    rounds : int >= 1, default 4
        Number of probes of each source; each round visits the sources in another random order.
    hold : int >= 1, default 50
        Number of epochs with the current mixture between two sweeps.
    probe_share : float in (0, 1], default 0.625
        Weight of the source that is probed; not 1 / K, with which no source could be told from
        another.
    step_size : float > 0, default 0.2
        Factor of the estimate in the update of the logarithms of the weights.
    decay : float in [0, 1), optional
        Weight of the old estimate in a moving average of them; each step then starts from uniform
        weights instead of the current ones. By default the new estimate alone is used.
    normalize : bool, default True
        Whether to shift the estimate to be >= 0, if it is negative, and to divide it by its sum.
    seed : int in [0, 2**64), default 0
        Of the order of the probes.

    Raises
    ------
    ValueError
        If an argument is out of its range, or `probe_share` is 1 / K.

    Notes
    -----
    Order
        A deterministic function of the losses and the seed.
    Cost
        O(K**3) for a sweep; an evaluation in every epoch.
    Gradients
        The sampler's: the objective changes with the weights, and a fraction K * rounds /
        (K * rounds + hold) of the epochs is drawn with probes.
    Source
        Chen, Hu et al., "Aioli", ICLR 2025, arXiv:2411.05735: `rounds` 4, `step_size` 0.2, and
        `probe_share` 0.625 for two sources are those of its code, as is a decay of 0.1, which it
        advises to omit at first; there a probe takes 4 optimizer steps, and a step is made every
        250 of 5,000. The code divides by 0 if all reductions are equal, and takes its first step
        from uniform weights, whatever the mixture; here it has no effect, and starts from the
        mixture.

    Examples
    --------
    >>> rule = Aioli(rounds=1, hold=1, probe_share=1.0, step_size=1.0)
    >>> state = rule.begin(np.array([0.5, 0.5]))
    >>> for loss in ([4.0, 4.0], [3.0, 4.0], [3.0, 3.5]):
    ...     state = rule.step(state, validation_losses=np.array(loss))
    >>> state["mixture"].round(3)  # one source reduced the sum by 1, the other by 1/2
    array([0.583, 0.417])
    """

    reads = (VALIDATION,)

    def __init__(
        self,
        *,
        rounds: int = 4,
        hold: int = 50,
        probe_share: float = 0.625,
        step_size: float = 0.2,
        decay: float | None = None,
        normalize: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(floor=0.0)  # a probe has the weights that its estimate assumes
        self.rounds = _check.integer("rounds", rounds, 1)
        self.hold = _check.integer("hold", hold, 1)
        self.probe_share = _check.number("probe_share", probe_share, "(0, 1]")
        self.step_size = _check.number("step_size", step_size, "(0, inf)")
        self.decay = decay
        if decay is not None:
            self.decay = _check.number("decay", decay, "[0, 1)")
        self.normalize = _check.flag("normalize", normalize)
        self.seed = _check.seed(seed)

    def probes(self, sources: int) -> Floats:
        """Return the mixture of the probe of each source, as rows: float64 (K, K).

        Parameters
        ----------
        sources : int
            K.
        """
        if sources == 1:
            return np.ones((1, 1))
        rest = (1.0 - self.probe_share) / (sources - 1)
        found = np.full((sources, sources), rest)
        np.fill_diagonal(found, self.probe_share)
        return found

    def memory(self, weights: Floats) -> State:
        """See `MixtureUpdater`.

        "mixture" (K,), which probes do not change, "losses" (K,) of the last evaluation, "drops"
        (K * K,), the sums of this sweep, evaluation set by evaluation set, "matrix" (K * K,), the
        average of the estimates, and "at" (2,): epochs since the last step, and number of steps.
        """
        sources = weights.size
        if sources > 1 and abs(self.probe_share * sources - 1.0) < 1e-9:
            raise ValueError(
                f"probe_share must not be 1 / K, {1 / sources:g} with {sources} sources: all "
                "probes would be equal"
            )
        return {
            "mixture": weights.copy(),
            "losses": np.full(sources, np.nan),
            "drops": np.zeros(sources * sources),
            "matrix": np.zeros(sources * sources),
            "at": np.array([self.hold - 1.0, 0.0]),  # one evaluation, and the first sweep follows
        }

    def propose(self, state: State, values: Values, update: int) -> tuple[Floats, State]:
        """See `MixtureUpdater`: the mixture of the next probe, or the one that is held."""
        mixture, sources = state["mixture"], state["mixture"].size
        at, sweeps = (int(each) for each in state["at"])
        losses = np.where(np.isnan(values[VALIDATION]), state["losses"], values[VALIDATION])
        drops, matrix = state["drops"].reshape(sources, -1), state["matrix"]
        num_probes = sources * self.rounds
        probed = at - self.hold  # the epoch that ended: number of its probe, or below 0
        if probed >= 0:
            source = int(self._order(sources, sweeps, probed // sources)[probed % sources])
            drops = drops.copy()
            drops[:, source] += np.nan_to_num(state["losses"] - losses)
        at += 1
        if probed == num_probes - 1:
            estimate = self._estimate(drops / self.rounds)
            matrix, mixture = self._stepped(estimate, state, sweeps)
            drops, at, sweeps = np.zeros_like(drops), 0, sweeps + 1
        weights = mixture
        if at >= self.hold:
            probe = at - self.hold
            order = self._order(sources, sweeps, probe // sources)
            weights = self.probes(sources)[order[probe % sources]]
        memory = {
            "mixture": mixture,
            "losses": losses,
            "drops": drops.ravel(),
            "matrix": matrix.ravel(),
            "at": np.array([at, sweeps], np.float64),
        }
        return weights, memory

    def _order(self, sources: int, sweep: int, number: int) -> Indices:
        """Return the order of the sources in a round of a sweep: int64 (K,)."""
        key = _rng.subkey(_rng.key(self.seed, sweep, "aioli"), number)
        return Permutation(sources, key)(np.arange(sources))

    def _estimate(self, drops: Floats) -> Floats:
        """Return how much each source reduces each loss, from mean drops of probes: (K, K)."""
        estimate: Any = drops
        if self.probe_share < 1.0:
            estimate = np.linalg.solve(self.probes(len(drops)), drops.T).T
        if self.normalize:
            estimate = estimate - min(0.0, float(estimate.min()))
            total = float(estimate.sum())
            estimate = estimate / total if total > 0 else estimate
        found: Floats = estimate
        return found

    def _stepped(self, estimate: Floats, state: State, sweeps: int) -> tuple[Floats, Floats]:
        """Return the matrix to keep (K, K), and the next mixture (K,)."""
        with np.errstate(divide="ignore"):  # a weight of 0 stays 0
            logs = np.log(state["mixture"])
        if self.decay is not None:
            old = state["matrix"].reshape(estimate.shape)
            if sweeps:
                estimate = self.decay * old + (1.0 - self.decay) * estimate
            logs = np.zeros_like(logs)
        logs = logs + self.step_size * estimate.sum(axis=0)
        parts = np.exp(logs - logs.max())
        return estimate, parts / parts.sum()
