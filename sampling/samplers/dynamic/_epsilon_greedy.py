"""Keep hard samples and a random part of the others. With a bonus for spread: `UCBSampler`."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Scores
from ._hardest import HardestSampler
from ._pruning import PruningOptions
from ._thresholds import highest


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
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning; O(N).
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

    _option_defaults = {"score_ema": 0.8}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.6,
        epsilon: float = 0.1,
        refresh_every: int = 1,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.epsilon = _check.number("epsilon", epsilon, "(0, 1]")
        super().__init__(
            data_source,
            num_epochs,
            keep=keep,
            refresh_every=refresh_every,
            **options,
        )

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        # At least one of those with a score: weights cannot compensate for a sample never drawn.
        count = max(1, self._count(epoch, scores))
        lot = max(1, round(self.epsilon * count))
        others = int(np.count_nonzero(~np.isnan(scores))) - (count - lot)
        return highest(scores, count - lot, lot / max(others, lot))

    def why_biased(self, epoch: int) -> str:
        return ""

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "epsilon": self.epsilon}
