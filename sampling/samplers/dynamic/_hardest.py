"""Keep the samples with the highest last losses. With a random rest: `EpsilonGreedySampler`."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Scores
from ..core._scored_sampler import RecordedScores
from ..core._tables import DrawTable, KeptTable
from ._pruning import PruningOptions, PruningSampler
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
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning; a plan is a partition of the scores, O(N).
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
        **options: Unpack[PruningOptions],
    ) -> None:
        self.keep = _check.number("keep", keep, "(0, 1]")
        self.refresh_every = _check.integer("refresh_every", refresh_every, 1)
        super().__init__(data_source, num_epochs, **options)

    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """See `ScoredSampler`."""
        running = self._plans.get(self.epoch)
        between = epoch in self.pruning_epochs and (epoch - 1) % self.refresh_every
        if between and running is not None and self.epoch == epoch - 1:
            self._drawn[epoch] = running.table.size
            self._warn_if_missed(epoch)
            # The plan shuffles the list of the kept again; a shuffle is the order of one epoch.
            return running.table if isinstance(running.table, KeptTable) else self._whole(epoch)
        return super().scored_table(epoch, scores)

    def _count(self, epoch: int, scores: Scores) -> int:
        """Return how many samples with a score to keep; those without one come first."""
        wanted = self._wanted(epoch)
        count = max(1, round(self.keep * self.size)) if wanted is None else wanted
        return max(0, count - int(np.count_nonzero(np.isnan(scores))))

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        return highest(scores, self._count(epoch, scores))

    def why_biased(self, epoch: int) -> str:
        return "samples with low losses are certain to be excluded"

    def _pruned_share(self, below_mean: float) -> float:
        return 1.0 - self.keep

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {"keep": 1.0 - share}

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "keep": self.keep, "refresh_every": self.refresh_every}
