"""A sampler of your own: classes are drawn in proportion to their mean loss.

`ScoredSampler` records the losses and saves them, synchronizes the ranks, shuffles, resumes and
computes loss weights. What is left to write is the draw table of an epoch.
"""

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from sampling.samplers import EpochOptions, Groups, RecordedScores, ScoredSampler, random_key
from sampling.samplers.tables import DrawTable, ShuffledTable, WeightedTable


class FocalClassSampler(ScoredSampler):
    """Draw each class in proportion to its mean loss to the power `gamma`.

    Parameters
    ----------
    labels : int or str array-like of shape (N,)
        Class of each sample.
    gamma : float >= 0, default 1
        0 draws all classes equally often.
    **options
        `seed`, `num_replicas`, `rank`, ... of every sampler.
    """

    def __init__(
        self, labels: ArrayLike, gamma: float = 1.0, **options: Unpack[EpochOptions]
    ) -> None:
        if not gamma >= 0:
            raise ValueError(f"gamma must be >= 0, got {gamma}")
        self.gamma = gamma
        self.groups = Groups("labels", labels, unlabeled="raise")
        super().__init__(self.groups.codes.size, **options)

    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """Return all samples once until there are losses, then draws by class."""
        key = random_key(self.seed, epoch, "focal classes")
        if not scores.seen.any():
            return ShuffledTable(self.size, self.size, key)
        losses = np.where(scores.seen, scores.last, np.nanmean(scores.last))
        means = np.bincount(self.groups.codes, losses) / self.groups.sizes
        shares = np.maximum(means, 1e-3) ** self.gamma
        return WeightedTable((shares / self.groups.sizes)[self.groups.codes], self.size, key)
