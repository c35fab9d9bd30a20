"""Unbiased pruning by the last loss. Its control without the loss: `DynamicRandomSampler`."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from typing_extensions import Self, Unpack

from ... import _check
from ..._check._keywords import short, told
from ...kernels import _prune
from ...types import Floats, Scores
from ._pruning import MOST_PRUNED, PruningOptions, PruningSampler
from ._thinning import summary
from ._thresholds import quantile_levels


@told
class InfoBatchSampler(PruningSampler):
    """Exclude easy samples at random in each epoch, and weight up the easy samples kept.

    A sample is easy if its last loss is below the mean of the last losses. A fraction `drop_prob`
    of the easy samples is excluded from an epoch; the kept ones have weight |easy| / |easy kept|,
    so that the expected sum of the gradients over the epoch is that of the full data. Samples not
    seen yet are always drawn.

    It saves less than `drop_prob`: only samples below the mean are excluded, and none in epoch 0
    and in the annealing epochs. With 0.5 over 10 epochs a run never uses under 65 % of the draws of
    full training, and 75 % if 0.7 of the losses are below their mean, as `expected_samples()`
    assumes; `for_target` finds the setting for a given fraction. Compare with
    `DynamicRandomSampler` at equal cost before attributing a gain to the loss.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    drop_prob : float in [0, 1), default 0.5
        Fraction of the easy samples that is excluded. At least one easy sample is always kept.
    buckets : sequence of (quantile, keep), optional
        Instead of the mean: ascending quantiles of the scores in (0, 1), and the fraction kept of
        the samples below each (and above the previous one). Those above the last are all kept.
        `buckets=[(0.2, 0.25), (0.85, 0.5)]` is the variant of the released ImageNet code.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn with weight 1.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "original" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen.
    pruning_epochs : range
        The epochs in which samples are excluded.

    Raises
    ------
    ValueError
        If an argument is out of its range, or the quantiles of `buckets` are not ascending.
    RuntimeError
        From `iter`, if an epoch that was iterated to its end is iterated again without `set_epoch`.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks, equal on each; a shuffle of the kept
        samples.
    Cost
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N): 4 N are
        scores, the others the plan. A plan is three passes over the scores, no sort (`buckets` add
        a selection of the quantiles).
    Gradients
        objective="original" weights by 1 and |easy|/|easy kept|. The sum over the epoch is unbiased
        at fixed parameters; each step is larger by N/M than in full training, which matters for SGD
        and hardly for Adam or LARS. `importance_weights` are M/N times the weights: unbiased for
        the mean, per step. "sampled" omits the weights.
    Source
        Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR
        2024. As in its code the number of kept easy samples is rounded down, and pruning ends after
        floor((1 - anneal_fraction) num_epochs) epochs. The code weights by 1 / (1 - drop_prob),
        whatever the rounding, and excludes nine tenths at most.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = InfoBatchSampler(8, num_epochs=4, drop_prob=0.5, seed=0)
    >>> sampler.record(np.arange(8), np.array([1, 1, 1, 1, 9, 9, 9, 9.0]))
    >>> sampler.set_epoch(1)
    >>> drawn = sampler.indices(1)
    >>> len(drawn), sampler.weights_for(np.sort(drawn))
    (6, array([2., 2., 1., 1., 1., 1.], dtype=float32))
    """

    _option_defaults = {"objective": "original"}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        drop_prob: float = 0.5,
        buckets: Sequence[tuple[float, float]] | None = None,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.drop_prob = _check.number("drop_prob", drop_prob, "[0, 1)")
        self._quantiles, self._keep = _check_buckets(buckets, self.drop_prob)
        super().__init__(data_source, num_epochs, **options)

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        if self._quantiles is not None:
            return quantile_levels(scores, self._quantiles), self._keep
        seen_count, total, largest = summary(scores)
        # By rounding, the mean of equal numbers can be above every one of them.
        mean = min(total / seen_count, largest) if seen_count else 0.0
        wanted = self._wanted(epoch)
        if wanted is None:
            return np.array([mean]), self._keep
        level = np.array([mean])  # as an array, or it would be compared as float32
        easy = max(1, int(np.count_nonzero(scores < level)))
        return level, np.array([1.0 - min((self.size - wanted) / easy, MOST_PRUNED), 1])

    def _pruned_share(self, below_mean: float) -> float:
        if self._quantiles is None:
            return below_mean * self.drop_prob
        return float(np.diff(self._quantiles, prepend=0.0) @ (1.0 - self._keep[:-1]))

    def _most_pruned(self, below_mean: float) -> float:
        return MOST_PRUNED * below_mean

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {"drop_prob": share / below_mean}

    @classmethod
    def for_target(
        cls,
        data_source: int | Sized,
        num_epochs: int,
        keep: float,
        *,
        below_mean: float = 0.7,
        **arguments: Any,
    ) -> Self:
        """Return the sampler for a fraction of the draws; see `PruningSampler.for_target`."""
        if arguments.get("buckets") is not None:
            raise ValueError(
                "buckets must not be given with for_target, which chooses drop_prob, got "
                f"{arguments['buckets']!r}"
            )
        return super().for_target(data_source, num_epochs, keep, below_mean=below_mean, **arguments)

    def identity(self) -> dict[str, object]:
        quantiles = None if self._quantiles is None else self._quantiles.tolist()
        return {
            **super().identity(),
            "quantiles from buckets": quantiles,
            "shares from drop_prob and buckets": self._keep.tolist(),
        }


def _check_buckets(
    buckets: Sequence[tuple[float, float]] | None, drop_prob: float
) -> tuple[Floats | None, Floats]:
    """Return quantiles (G - 1,), None for the mean, and the fraction kept of each group (G,)."""
    if buckets is None:
        return None, np.array([1.0 - drop_prob, 1.0])
    try:
        buckets = [(quantile, kept) for quantile, kept in buckets]
    except (TypeError, ValueError):
        raise TypeError(f"buckets must be pairs (quantile, keep), got {short(buckets)}") from None
    most = _prune.MOST_GROUPS - 1
    if not 1 <= len(buckets) <= most:
        raise ValueError(f"buckets must be 1 to {most} pairs (quantile, keep), got {len(buckets)}")
    quantiles, keep = [0.0], []
    for quantile, kept in buckets:
        quantiles.append(_check.number("quantile of buckets", quantile, "(0, 1)"))
        keep.append(_check.number("keep of buckets", kept, "(0, 1]"))
        if quantiles[-1] <= quantiles[-2]:
            raise ValueError(
                f"quantiles of buckets must ascend, got {quantiles[-1]:g} after {quantiles[-2]:g}"
            )
    return np.array(quantiles[1:]), np.array([*keep, 1.0])
