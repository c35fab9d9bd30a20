"""SeTa: a window of loss groups that slides from easy to hard and starts again."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Scores
from ._natural_breaks import natural_breaks
from ._pruning import MOST_PRUNED, PruningOptions, PruningSampler


@told
class SeTaSampler(PruningSampler):
    """Draw from a sliding window of loss groups, from easy to hard.

    For replication. Losses are partitioned into groups by k-means; an epoch draws a random subset
    of a window of adjacent groups. The window begins at the group with number `epoch` modulo the
    number of positions that it can take, so every group is in it every few epochs.
    `InfoBatchSampler` excludes no group with certainty, and can therefore weight what it keeps.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    drop_prob : float in [0, 1), default 0.1
        Fraction of the samples excluded at random: of the window, and of all samples during
        annealing; the number of kept samples is rounded down.
    num_groups : int in [1, 100], default 5
        Number of groups of losses; fewer if there are fewer distinct losses.
    scale : float in (0, 1], default 0.9
        Fraction of the groups in the window: round(num_groups * scale), at least one.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn, without a window.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen. Samples never seen are always drawn.
    pruning_epochs : range
        The epochs in which samples are excluded: all but the first.
    window_epochs : range
        Those of them in which a window of the groups is drawn.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original" if some groups are certain
        to be excluded.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks.
    Cost
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning. The groups are those of up to 65,536 losses drawn at random; a plan is O(N
        num_groups), without sorting the others.
    Gradients
        Biased in each epoch towards the groups of its window, without weights. Over a cycle of
        windows the groups at both ends are drawn less often than those in the middle.
    Source
        SeTa: Zhou, Gao, Wang, CVPR 2025, arXiv:2503.13385. The defaults of `drop_prob`,
        `num_groups` and `scale` are its settings for CIFAR; for ImageNet it has 0, 5, 0.6. Unlike
        the released code: epoch 0 draws every sample, as none has a loss (there it excludes
        `drop_prob` of them at random, all groups in the window); the random subset is drawn from
        the groups in the window, the same fraction of each (there from all samples, before they are
        grouped); and `drop_prob` may exceed 0.9, the limit of the code. Windows and the epoch in
        which annealing begins are the same.

    Examples
    --------
    >>> sampler = SeTaSampler(6, num_epochs=8, drop_prob=0, num_groups=3, scale=0.7)
    >>> losses = np.array([0.1, 5.0, 0.2, 9.0, 5.1, 9.2])
    >>> sampler.record(range(6), losses)
    >>> for epoch in (1, 2):  # the hard two of the three groups, then the easy two
    ...     sampler.set_epoch(epoch)
    ...     print(sorted(sampler))
    [1, 3, 4, 5]
    [0, 1, 2, 4]
    """

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        drop_prob: float = 0.1,
        num_groups: int = 5,
        scale: float = 0.9,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.drop_prob = _check.number("drop_prob", drop_prob, "[0, 1)")
        self.num_groups = _check.integer("num_groups", num_groups, 1, 101)
        self.scale = _check.number("scale", scale, "(0, 1]")
        super().__init__(data_source, num_epochs, **options)

    @property
    def pruning_epochs(self) -> range:
        """The epochs in which samples are excluded, also while annealing, which has no window."""
        return range(1, self.num_epochs)

    @property
    def window_epochs(self) -> range:
        """The epochs in which a window of the groups is drawn."""
        return super().pruning_epochs

    def _window(self, groups: int) -> int:
        """Return the number of groups in the window."""
        return max(1, round(groups * self.scale))

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        if epoch not in self.window_epochs:
            return np.empty(0), np.array(
                [self._kept_part(epoch, scores, np.array([-np.inf, np.inf]))]
            )
        key = _rng.key(self.seed, epoch, "breaks")
        thresholds = natural_breaks(scores, self.num_groups, key)
        groups = thresholds.size + 1
        window = self._window(groups)
        first = epoch % (groups - window + 1)
        last = first + window
        ends = np.concatenate([[-np.inf], thresholds, [np.inf]])
        keep = np.zeros(groups)
        keep[first:last] = self._kept_part(epoch, scores, ends[[first, last]])
        return thresholds, keep

    def _kept_part(self, epoch: int, scores: Scores, ends: Floats) -> float:
        """Return the fraction to keep of the samples whose scores lie between two ends."""
        wanted = self._wanted(epoch)
        if wanted is None:
            return 1.0 - self.drop_prob
        inside = int(np.count_nonzero((scores >= ends[:1]) & (scores < ends[1:])))
        wanted -= int(np.count_nonzero(np.isnan(scores)))
        return min(1.0, max(1.0 - MOST_PRUNED, wanted / max(inside, 1)))

    def why_biased(self, epoch: int) -> str:
        return "groups outside the window are certain to be excluded"

    def _foreseen(self, coming: Sequence[int], below_mean: float) -> int:
        windows = [each for each in coming if each in self.window_epochs]
        places = self.num_groups - self._window(self.num_groups) + 1
        planned = sorted(each for each in self._drawn if each in self.window_epochs)[-places:]
        if self._target is not None or not planned:
            return super()._foreseen(coming, below_mean)
        usual = sum(self._drawn[each] for each in planned) / len(planned)  # of one cycle
        annealing = int(self.size * (1.0 - self.drop_prob) + 1e-9)
        return round(len(windows) * usual) + (len(coming) - len(windows)) * annealing

    def _pruned_share(self, below_mean: float) -> float:
        # As if the groups were equal, until there is a plan.
        return 1.0 - (1.0 - self.drop_prob) * self._window(self.num_groups) / self.num_groups

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        left = (1.0 - share) * self.num_groups / self._window(self.num_groups)
        return {"drop_prob": min(MOST_PRUNED, max(0.0, 1.0 - left))}

    def identity(self) -> dict[str, object]:
        return {
            **super().identity(),
            "drop_prob": self.drop_prob,
            "num_groups": self.num_groups,
            "scale": self.scale,
        }
