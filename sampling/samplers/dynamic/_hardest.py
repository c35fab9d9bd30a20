"""Keep hard samples: by loss alone, with a random rest, or with a bonus for varying losses.

These samplers keep a fixed number of samples, chosen again every few epochs. The losses of excluded
samples are not seen until then, so a sample that was easy once may be excluded for long:
`EpsilonGreedySampler` adds a random subset of the rest, `UCBSampler` prefers samples whose losses
vary. InfoBatch, which excludes at random and weights what it keeps, is the better choice if the
mean loss matters.
"""

from collections.abc import Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...kernels import _prune
from ...types import Floats, Scores
from ..core._options import EpochOptions
from ..core._state import Arrays
from ..core._tables import Kept, Table
from ._pruning import PruningSampler
from ._thresholds import highest


@told
class HardestSampler(PruningSampler):
    """Keep the samples with the highest losses.

    For replication, and as the simplest baseline of loss-based pruning: mislabelled samples have
    the highest losses, and samples with low losses are forgotten.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    keep : float in (0, 1], default 0.6
        Fraction of all samples that a pruning epoch draws. Samples never seen come first.
    refresh_every : int, default 1
        Epochs between two selections; meanwhile the same samples are drawn.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen.
    pruning_epochs : range
        The epochs in which samples are excluded.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original" if some samples are
        certain to be excluded.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks; ties are broken at random.
    Cost
        5.2 N bytes, 4 N more during planning; a plan is a partition of the scores, O(N).
    Gradients
        Biased towards hard samples, without weights.
    Source
        The usual control of dynamic pruning.

    Examples
    --------
    >>> sampler = HardestSampler(6, num_epochs=8, keep=0.5)
    >>> sampler.record(range(6), np.array([3.0, 1, 5, 2, 4, 0]))
    >>> sampler.set_epoch(1)
    >>> sorted(sampler)
    [0, 2, 4]
    """

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.6,
        refresh_every: int = 1,
        anneal_fraction: float = 0.125,
        score_ema: float = 1.0,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.keep = _check.number("keep", keep, "(0, 1]")
        self.refresh_every = _check.integer("refresh_every", refresh_every, 1)
        super().__init__(
            data_source,
            num_epochs,
            anneal_fraction=anneal_fraction,
            score_ema=score_ema,
            **options,
        )

    def _table(self, epoch: int) -> Table:
        running = self._plans.get(self.epoch)
        between = epoch in self.pruning_epochs and (epoch - 1) % self.refresh_every
        if between and running is not None and self.epoch == epoch - 1:
            self._dealt[epoch] = running.table.size
            self._warn_if_missed(epoch)
            # The plan shuffles the list of the kept again; a shuffle is the order of one epoch.
            return running.table if isinstance(running.table, Kept) else self._whole(epoch)
        return super()._table(epoch)

    def _count(self, epoch: int, scores: Scores) -> int:
        """Return how many samples with a score to keep; those without one come first."""
        wanted = self._wanted(epoch)
        count = max(1, round(self.keep * self.size)) if wanted is None else wanted
        return max(0, count - int(np.count_nonzero(np.isnan(scores))))

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        return highest(scores, self._count(epoch, scores))

    def _refusal(self, epoch: int) -> str:
        return "samples with low losses are certain to be excluded"

    def _pruned_share(self, below_mean: float) -> float:
        return 1.0 - self.keep

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {"keep": 1.0 - share}

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "keep": self.keep, "refresh_every": self.refresh_every}


@told
class EpsilonGreedySampler(HardestSampler):
    """Keep the samples with the highest average losses, and a random subset of the others.

    A baseline. With weights (`objective="original"`) it is unbiased for the sum over the epoch,
    like InfoBatch, with more variance if `epsilon` is small.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    keep : float in (0, 1], default 0.6
        Fraction of all samples that a pruning epoch draws.
    epsilon : float in (0, 1], default 0.1
        Fraction of the kept samples that is drawn at random from the others.
    refresh_every : int, default 1
        Epochs between two selections; meanwhile the same samples are drawn.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn.
    score_ema : float in (0, 1], default 0.8
        Weight of the new loss in the moving average of a score.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Average loss of each sample; NaN = never seen.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks; ties are broken at random.
    Cost
        5.2 N bytes, 4 N more during planning; O(N).
    Gradients
        objective="sampled" is biased towards hard samples. "original" weights the samples drawn at
        random by (others) / (drawn), and all others by 1.
    Source
        Raju, Daruwalla, Lipasti, "Accelerating Deep Learning with Dynamic Data Pruning", 2021,
        arXiv:2111.12621. The default of `score_ema` is that of the rerun in the code of InfoBatch.

    Examples
    --------
    >>> sampler = EpsilonGreedySampler(10, num_epochs=8, keep=0.5, epsilon=0.4)
    >>> sampler.record(range(10), np.arange(10.0))
    >>> sampler.set_epoch(1)
    >>> len(sampler), set(sampler) >= {7, 8, 9}
    (5, True)
    """

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.6,
        epsilon: float = 0.1,
        refresh_every: int = 1,
        anneal_fraction: float = 0.125,
        score_ema: float = 0.8,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.epsilon = _check.number("epsilon", epsilon, "(0, 1]")
        super().__init__(
            data_source,
            num_epochs,
            keep=keep,
            refresh_every=refresh_every,
            anneal_fraction=anneal_fraction,
            score_ema=score_ema,
            **options,
        )

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        # At least one of those with a score: weights cannot compensate for a sample never drawn.
        count = max(1, self._count(epoch, scores))
        lot = max(1, round(self.epsilon * count))
        others = int(np.count_nonzero(~np.isnan(scores))) - (count - lot)
        return highest(scores, count - lot, lot / max(others, lot))

    def _refusal(self, epoch: int) -> str:
        return ""

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "epsilon": self.epsilon}


@told
class UCBSampler(HardestSampler):
    """Keep the samples with the highest upper confidence bound: average loss plus bonus * spread.

    A baseline.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    keep : float in (0, 1], default 0.59
        Fraction of all samples that a pruning epoch draws.
    decay : float in (0, 1], default 0.8
        Weight of the new loss in the average, and of its squared distance from it in the spread.
    bonus : float, default 1
        Factor of the spread; >= 0.
    refresh_every : int, default 10
        Epochs between two selections; meanwhile the same samples are drawn.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Average loss plus `bonus` times the spread, as of the last `set_epoch`; NaN = never seen.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original".

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks; ties are broken at random. For a sample
        drawn several times in an epoch the last loss is used.
    Cost
        13.2 N bytes, 8 N more during planning; O(N).
    Gradients
        Biased towards hard samples, without weights.
    Source
        Raju, Daruwalla, Lipasti, "Accelerating Deep Learning with Dynamic Data Pruning", 2021,
        arXiv:2111.12621; averages and defaults are those of the rerun in the code of InfoBatch:
        spread <- (1 - decay) spread + decay (loss - average before) ** 2.

    Examples
    --------
    >>> sampler = UCBSampler(4, num_epochs=8, keep=1.0, decay=0.5, refresh_every=1)
    >>> sampler.record(range(4), np.array([1.0, 1, 2, 2]))
    >>> sampler.set_epoch(1)
    >>> sampler.record(range(4), np.array([1.0, 5, 2, 2]))  # the second sample's losses vary
    >>> sampler.set_epoch(2)
    >>> sampler.scores
    array([ 1., 11.,  2.,  2.], dtype=float32)
    """

    folds = True

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.59,
        decay: float = 0.8,
        bonus: float = 1.0,
        refresh_every: int = 10,
        anneal_fraction: float = 0.125,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.decay = _check.number("decay", decay, "(0, 1]")
        self.bonus = _check.number("bonus", bonus, "[0, inf)")
        super().__init__(
            data_source,
            num_epochs,
            keep=keep,
            refresh_every=refresh_every,
            anneal_fraction=anneal_fraction,
            **options,
        )

    def _make_history(self, size: int) -> Arrays:
        return {
            "average": np.full(size, np.nan, np.float32),
            "spread": np.zeros(size, np.float32),
        }

    def _fold(self, fresh: Scores) -> None:
        average, spread = self._history["average"], self._history["spread"]
        _prune.fold_losses(fresh, average, spread, self.decay)

    @property
    def scores(self) -> Scores:
        """Average loss plus `bonus` times the spread, float32 (N,); NaN = never seen."""
        return self._snapshot(self.epoch)

    def _snapshot(self, epoch: int) -> Scores:
        with np.errstate(over="ignore"):  # scores that overflow come first, in random order
            found: Scores = self._history["spread"] * np.float32(self.bonus)
            found += self._history["average"]
        return found

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "decay": self.decay, "bonus": self.bonus}
