"""The random control for dynamic pruning: InfoBatch's schedule without the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels._scores import fill_uniform
from ...scores import ScoreTable
from ...types import Floats, Scores
from ..core._scored_sampler import RecordedScores
from ._pruning import MOST_PRUNED, AnnealingOptions, PruningSampler


@told
class DynamicRandomSampler(PruningSampler):
    """Exclude a new random subset of the data in each epoch, then anneal: pruning without scores.

    Most of the gain of loss-based pruning over a fixed random subset comes from changing the subset
    and from annealing. This sampler does both, and uses no losses.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    drop_prob : float in [0, 1), default 0.5
        Fraction of the "easy" samples that is excluded.
    share : float in (0, 1], default 1
        Fraction of the data called easy, drawn again in each epoch. 1 thins all samples equally;
        the share that InfoBatch measures gives its weights to random samples.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default:
        weights 1.

    Notes
    -----
    Order
        Like `InfoBatchSampler`, with random numbers in place of scores: a pure function of
        (arguments, seed, epoch), so any epoch is known in advance.
    Cost
        1 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning; the length of another epoch costs one plan.
    Gradients
        Every sample is excluded equally often in expectation, so there is no bias.
        objective="original" multiplies the kept easy samples by |easy|/|easy kept|, as InfoBatch
        does.
    Source
        The random baseline of Qin et al., ICLR 2024, with the annealing that its reviewers asked
        for.

    Examples
    --------
    >>> sampler = DynamicRandomSampler(100, num_epochs=10, drop_prob=0.3)
    >>> sampler.set_epoch(1)
    >>> len(sampler), sampler.expected_samples()
    (70, 790)
    """

    dynamic = False  # no epoch depends on what was recorded

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        drop_prob: float = 0.5,
        share: float = 1.0,
        **options: Unpack[AnnealingOptions],
    ) -> None:
        self.drop_prob = _check.number("drop_prob", drop_prob, "[0, 1)")
        self.share = _check.number("share", share, "(0, 1]")
        super().__init__(data_source, num_epochs, **options)

    def _loss_tables(self) -> Mapping[str, ScoreTable]:
        return {}

    def draws(self, epoch: int) -> int:
        return self._plan(epoch).table.size

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        random = np.empty(self.size, np.float32)
        fill_uniform(_rng.key(self.seed, epoch, "random scores"), random)
        return random

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        easy = round(self.share * self.size)
        level = np.partition(scores, easy)[easy] if easy < self.size else 1.0  # a score is below 1
        return np.array([level], np.float64), np.array([1.0 - self.drop_prob, 1.0])

    def _pruned_share(self, below_mean: float) -> float:
        return self.share * self.drop_prob

    def _most_pruned(self, below_mean: float) -> float:
        return MOST_PRUNED * self.share

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {"drop_prob": share / self.share}

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "drop_prob": self.drop_prob, "share": self.share}
