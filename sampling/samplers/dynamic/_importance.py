"""Importance sampling by the last losses or gradient norms, with weights that restore the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels import _probabilities
from ...types import Floats, Scores
from ..core._batch import Batch
from ..core._cumulative import Cumulative
from ..core._options import EpochOptions
from ..core._repeats import note_repeats
from ..core._scored_sampler import RecordedScores, ScoredSampler
from ..core._tables import DrawTable, ShuffledTable, WeightedTable
from ..static._limited import Limited, limit_of
from ._signal import SIGNALS, Signal, signal_of

BLOCK = 2**16  # samples that `gain` processes at a time
NEW_PART = 0.5  # weight of an epoch's gain in the average that `min_gain` is compared with


@told
@dataclass(frozen=True)
class ImportanceGain:
    """Variance reduction of importance sampling over uniform sampling, according to the scores.

    Attributes
    ----------
    variance_ratio : float
        mean(g**2) / mean(g**2 / (N p)): second moment of a uniform draw over that of a weighted
        draw, for the probabilities p of the current epoch and the current scores g. Below 1 the
        epoch has more variance than a uniform one. 1 while an epoch is uniform.
    batch_gain : float
        1 / sqrt(1 - |g - u|**2 / |g|**2), with g normalised to sum 1 and u = 1/N: the tau of
        Katharopoulos and Fleuret, their criterion for importance sampling. No probabilities have a
        variance ratio above its square.
    """

    variance_ratio: float
    batch_gain: float


@told
class ImportanceSampler(ScoredSampler):
    """Draw samples in proportion to their last loss or gradient norm; weights restore the mean.

    A baseline: check `gain()` before you rely on it. Hard samples are drawn more often with a
    smaller weight, so the mean loss of the data remains the objective and its gradient has less
    variance, if the scores predict which gradients are large. A score is as old as the sample's
    last draw: shorter epochs (`num_samples`) keep scores more recent. `InfoBatchSampler` and
    `VarianceBudgetSampler` save draws instead. Under a fixed budget Arazo et al. did not find
    importance sampling consistently better than uniform sampling. For replication of PA&DA:
    `signal="gradient_norm"`, `schedule="linear"`, `floor=1e-6`, `independent=True`,
    `objective="sampled"`; the remaining differences are under Source.

    With g the scores, s = g ** power, and the mean for unseen samples:

        p = (1 - floor) * s / sum(s) + floor / N

    No sample has probability 0, and no weight 1 / (N p) is above 1 / floor. A sample that an epoch
    did not draw keeps its score.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int, optional
        Number of epochs in the run, for `schedule` and `progress`.
    num_samples : int, default N
        M: draws in one epoch, summed over all ranks.
    signal : {"loss", "gradient_norm", "multi_label_gradient_norm"}, default "loss"
        The score of a sample: its loss, or |softmax - target| or |sigmoid - target|, see
        `gradient_norm_bound`; then `reduce` and `record` must be given `logits=` and `labels=`.
        If a loss is negative, the least loss is subtracted from all, which changes no gradient.
    power : float in (0, 1], default 1
        Exponent of the scores. Below 1 it makes them more equal: 0.5 draws by their square root.
    floor : float in (0, 1], default 0.2
        Uniform share of p. Adding c times the mean to each score equals a floor of c / (1 + c). For
        exponentially distributed scores 0.2 keeps 1.92 of the variance ratio of 2.
    schedule : {"linear"}, optional
        1 - floor is epoch / num_epochs, up to the value given by `floor` (0.8 by default): uniform
        at first.
    replacement, independent : bool, default True and False
        As in `WeightedSampler`: stratified draws with replacement, independent draws, or M < N
        distinct samples, with inclusion probabilities in proportion to p.
    max_repeats_per_epoch : int, optional
        k, as in `WeightedSampler`: no sample is drawn more often in an epoch. Weights 1 / (N p)
        follow the draws that remain. For R draws in a run of E epochs give R // E: the scores
        decide what a later epoch draws, so that a limit on the run cannot be spread in advance.
    min_gain : float >= 1, default 1
        Epochs are uniform until the average `batch_gain` reaches it; each `set_epoch` moves the
        average halfway to the current gain of the scores.
    score_ema : float in (0, 1], default 1
        Weight of the new value in the moving average of a score; 1 keeps the last value.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "original" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen.

    Raises
    ------
    ValueError
        If an argument is out of its range; if `schedule` is given without `num_epochs`; if M >= N
        without replacement. From `reduce` and `record`, if the signal needs logits and labels that
        are not given.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks. Stratified draws (see
        `WeightedSampler`), in a shuffled order. Uniform epochs (the first, those of equal scores)
        are shuffles.
    Cost
        14 N bytes, 10 N more during planning. A plan is O(N): a few passes over the scores, a
        cumulative sum and its guide table, no sort; under half a second for 10^7 samples, or a few
        times that without replacement. Epochs of N / 10 draws therefore need ten times as many
        plans. The state file has 12 N bytes.
    Gradients
        objective="original" (default) multiplies by 1 / (N p): unbiased for the mean at fixed
        parameters, whatever the scores. "sampled" omits the weights, as the released code of PA&DA
        does, and trains on the sampling distribution.
    Source
        Katharopoulos, Fleuret, "Not All Samples Are Created Equal: Deep Learning with Importance
        Sampling", ICML 2018, there within batches, with 0.9 of the old gain in the average after
        each. The schedule is that of Lu et al., PA&DA, CVPR 2023. Its code uses the tau = epoch /
        num_epochs of an epoch for the draws of the next one, an epoch later than here; it draws
        with replacement in uniform epochs too (the second), gives a sample that was not drawn the
        score 0, and averages the scores of one that was drawn several times, where here the last
        one is kept.

    Examples
    --------
    >>> sampler = ImportanceSampler(4, num_samples=20)
    >>> sampler.record(range(4), np.array([0.0, 1, 1, 2]))
    >>> sampler.set_epoch(1)
    >>> np.bincount(list(sampler))
    array([1, 5, 5, 9])
    >>> sampler.weights_for([0, 1, 3])
    array([5.       , 1.       , 0.5555556], dtype=float32)
    >>> gain = sampler.gain()
    >>> round(gain.variance_ratio, 2), round(gain.batch_gain, 2)
    (1.42, 1.22)
    """

    _option_defaults = {"objective": "original"}

    keeps_last = False

    def __init__(  # noqa: PLR0913  # the parameters of importance sampling
        self,
        data_source: int | Sized,
        num_epochs: int | None = None,
        *,
        num_samples: int | None = None,
        signal: Signal = "loss",
        power: float = 1.0,
        floor: float = 0.2,
        schedule: Literal["linear"] | None = None,
        replacement: bool = True,
        independent: bool = False,
        max_repeats_per_epoch: int | None = None,
        min_gain: float = 1.0,
        score_ema: float = 1.0,
        **options: Unpack[EpochOptions],
    ) -> None:
        size = _check.size("data_source", data_source)
        if num_epochs is not None:
            num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.num_epochs = num_epochs
        draws = size if num_samples is None else _check.integer("num_samples", num_samples, 1)
        self.signal = _check.choice("signal", signal, SIGNALS)
        self.power = _check.number("power", power, "(0, 1]")
        self.floor = _check.number("floor", floor, "(0, 1]")
        if schedule is not None:
            schedule = _check.choice("schedule", schedule, ["linear"])
            if num_epochs is None:
                raise ValueError("num_epochs must be given for schedule='linear', got None")
        self.schedule = schedule
        self.replacement = _check.flag("replacement", replacement)
        self.independent = _check.flag("independent", independent)
        if not self.replacement and draws >= size:
            raise ValueError(
                f"num_samples must be in [1, {size}) without replacement, got {draws}: all samples "
                "would be drawn, whatever their scores"
            )
        self._limit = limit_of(
            max_repeats_per_epoch, replacement=self.replacement, independent=self.independent
        )
        self.max_repeats_per_epoch = None if self._limit is None else self._limit.most
        if draws > (self.max_repeats_per_epoch or draws) * size:
            raise ValueError(
                f"num_samples must be at most max_repeats_per_epoch times the {size} samples, got "
                f"{draws}"
            )
        self.min_gain = _check.number("min_gain", min_gain, "[1, inf)")
        self._average_gain: float | None = None
        self._noted = False  # a sample that is drawn very often, once
        options.setdefault("objective", "original")
        super().__init__(data_source, draws, score_ema=score_ema, **options)

    def score_of(self, batch: Batch) -> torch.Tensor:
        """See `ScoredSampler`: the losses, or the norms of their gradients."""
        return signal_of(self.signal, batch.losses, batch.logits, batch.labels)

    # ------------------------------------------------------------------ the plan

    def draws(self, epoch: int) -> int:
        return self.num_samples

    def _before_plan(self, epoch: int) -> None:
        if self.min_gain > 1.0:
            found = _batch_gain(self.scores)[0]
            if math.isnan(found):
                return
            before = found if self._average_gain is None else self._average_gain
            self._average_gain = NEW_PART * found + (1.0 - NEW_PART) * before

    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """See `ScoredSampler`."""
        floor = self._floor(epoch)
        average = scores.average
        seen, least, largest = _probabilities.extremes(average)
        waits = self.min_gain > 1.0 and (self._average_gain or 0.0) < self.min_gain
        if seen == 0 or least == largest or floor == 1.0 or waits:
            return self._uniform(epoch)
        least = min(least, 0.0)
        shares = np.empty(self.size)
        total = _probabilities.powers(average, least, self.power, shares)
        _probabilities.relative(shares, (1.0 - floor) * (seen / total), floor)
        if self._limit is None:
            return self._evenly(epoch, shares)
        found = Limited(shares, self.num_samples, self._limit, self.seed, "importance")
        return found.table(epoch)

    def _floor(self, epoch: int) -> float:
        """Return the uniform share of the probabilities of an epoch."""
        if self.schedule is None or self.num_epochs is None:
            return self.floor
        return max(self.floor, 1.0 - epoch / self.num_epochs)

    def _uniform(self, epoch: int) -> DrawTable:
        return ShuffledTable(self.size, self.num_samples, _rng.key(self.seed, epoch, "shuffle"))

    def _evenly(self, epoch: int, shares: Floats) -> DrawTable:
        heaviest = int(shares.argmax())
        weight = float(shares[heaviest])
        cumulative = Cumulative.of_sums(np.cumsum(shares, out=shares))
        if not self._noted:
            uses = self.num_samples * weight / cumulative.total
            average = self.num_samples / self.size
            self._noted = note_repeats(uses, average, f"sample {heaviest}")
        key = _rng.key(self.seed, epoch, "importance")
        return WeightedTable(cumulative, self.num_samples, key, independent=self.independent)

    def gain(self) -> ImportanceGain:
        """Return the variance reduction of the current epoch over uniform draws.

        Right after `set_epoch` the probabilities are evaluated with the scores that they were
        computed from; at the end of the epoch with those it recorded, which shows the effect of
        their age. The gradient of the mean, which both second moments contain, is neglected: the
        ratio of the variances is larger still. With signal="loss" the losses replace the norms of
        gradients.

        Returns
        -------
        ImportanceGain
            NaN without scores, 1 if all are equal.

        Notes
        -----
        Cost
            O(N); synchronizes with losses on a device. On several ranks, between two calls of
            `set_epoch`, only the losses of this rank are used.
        """
        scores = self.scores
        batch_gain, least, squares = _batch_gain(scores)
        table = self._plan(self.epoch).table
        if table.even or not squares > 0:
            return ImportanceGain(1.0 if squares >= 0 else math.nan, batch_gain)
        weighted = 0.0
        for start in range(0, self.size, BLOCK):
            rows = np.arange(start, min(start + BLOCK, self.size))
            g = scores[rows].astype(np.float64) - least
            weighted += float(np.nansum(g * g / table.expected(rows)))
        weighted *= self.num_samples / self.size
        return ImportanceGain(squares / weighted, batch_gain)

    # ------------------------------------------------------------------ saved state

    def _notes(self) -> dict[str, Any]:
        return super()._notes() | {"average_gain": self._average_gain}

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self._average_gain = notes["average_gain"]

    def identity(self) -> dict[str, object]:
        names = ("signal", "num_epochs", "min_gain", "score_ema", "replacement", "independent")
        limit = ("max_repeats_per_epoch",) if self.replacement else ()
        names = (*names, "power", "floor", "schedule", *limit)
        return {name: getattr(self, name) for name in names}


def _batch_gain(scores: Scores) -> tuple[float, float, float]:
    """Return the batch gain, the shift of the scores, and the sum of squares of shifted scores.

    All NaN without scores; a gain of 1 if all are equal.
    """
    seen, least, largest = _probabilities.extremes(scores)
    if seen == 0:
        return math.nan, math.nan, math.nan
    least = min(least, 0.0)
    total, squares = _probabilities.moments(scores, least)
    if least == largest:  # all are 0 now
        return 1.0, least, 0.0
    return max(1.0, math.sqrt(seen * squares) / total), least, squares
