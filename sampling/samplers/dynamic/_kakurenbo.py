"""Exclude the samples with the lowest losses, except uncertain ones.

Unlike `HardestSampler` it evaluates the excluded samples at the end of the epoch, so that a sample
returns as soon as it is no longer easy; and it excludes no sample that is predicted wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized

import numpy as np
import torch
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...scores import ScoreTable
from ...types import Floats, Scores
from ..core._batch import Batch
from ..core._scored_sampler import RecordedScores
from ._hidden import HidingSampler, answers
from ._pruning import MOST_PRUNED, PruningOptions
from ._thresholds import highest

_STAGES = ((0.0, 1.0), (0.3, 0.8), (0.6, 0.6), (0.8, 0.4))


@told
class KakurenboSampler(HidingSampler):
    """Hide the samples with the lowest losses that are predicted correctly and confidently.

    For replication, and a baseline. Of all N samples the fraction F with the lowest losses is
    selected; those predicted wrongly, or with a confidence below `confidence`, are moved back to
    the training list. The hidden samples need a forward pass at the end of the epoch: see
    `rescore`. `reduce`, `record` and `rescore` need `logits=` and `labels=`. Without the forward
    pass a hidden sample keeps its last loss in training, and hardly ever returns.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines the stages.
    keep : float in (0, 1], default 0.7
        1 - F: the fraction of all samples that an epoch does not select to hide; of those selected
        some are moved back.
    schedule : sequence of (part, scale), default ((0, 1), (0.3, 0.8), (0.6, 0.6), (0.8, 0.4))
        From each fraction (part) of the run, F is multiplied by the scale paired with it.
        The first part is 0, and parts are ascending.
    confidence : float in [0, 1], default 0.7
        A sample whose largest probability is lower is not hidden.
    anneal_fraction : float in [0, 1], default 0
        Final fraction of the run, in which every sample is drawn.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last loss of each sample; NaN = never seen.
    confidences : float32 array of shape (N,)
        Probability of the predicted class if it is the label, else 0; NaN = never seen.
    hidden : int64 array of shape (H,)
        The samples that this epoch excludes.
    lr_factor : float
        Factor by which the method multiplies the learning rate in this epoch: 1 / (1 - H/N).

    Raises
    ------
    ValueError
        If an argument is out of its range, for objective="original", or for a batch without logits
        or labels.

    Notes
    -----
    Order
        Planned in `set_epoch` from the losses and predictions of all ranks. Among samples tied at
        the highest loss to hide, the hidden ones are drawn at random.
    Cost
        9 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 12 N more
        during planning; a plan is a partition of the losses, O(N). The forward pass of H samples
        costs about a third of their training in addition.
    Gradients
        Biased towards hard samples, without weights; a larger learning rate compensates for fewer
        steps. `for_target` hides as many of the confident samples as the budget requires, by the
        same rule with a larger F; if fewer are confident, an epoch draws more than that.
    Source
        KAKURENBO: Nguyen, Gerofi, Martinez-Noriega, Trahay, Wahib, NeurIPS 2023. Stages as in its
        code for CIFAR-100, at epochs 60, 120 and 160, as fractions of 200. That code takes the
        softmax over the batch, where the confidence here is over the classes, and 1 / (1 - F) for
        the learning rate, whatever was moved back: that is `1 / sampler.keep_at(epoch)`.

    Examples
    --------
    >>> logits = torch.tensor([[4.0, 0.0], [3.0, 0.0], [0.0, 0.5], [0.0, 2.0]])
    >>> labels = torch.tensor([0, 0, 1, 0])  # the third is right, but not confident
    >>> losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    >>> sampler = KakurenboSampler(4, num_epochs=8, keep=0.25)
    >>> sampler.record(range(4), losses, logits=logits, labels=labels)
    >>> sampler.set_epoch(1)
    >>> sampler.hidden, sampler.lr_factor
    (array([0, 1]), 2.0)

    At the end of the epoch, with the model in evaluation mode:

    >>> rows = sampler.hidden[sampler.rank :: sampler.num_replicas]
    >>> with torch.no_grad():
    ...     sampler.rescore(rows, losses[rows] + 3, logits=-logits[rows], labels=labels[rows])
    >>> sampler.set_epoch(2)  # both are predicted wrongly now
    >>> sampler.hidden
    array([], dtype=int64)
    """

    _option_defaults = {"anneal_fraction": 0.0}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.7,
        schedule: Sequence[tuple[float, float]] = _STAGES,
        confidence: float = 0.7,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.keep = _check.number("keep", keep, "(0, 1]")
        self.schedule = _check_schedule(schedule)
        self.confidence = _check.number("confidence", confidence, "[0, 1]")
        super().__init__(data_source, num_epochs, **options)

    # ------------------------------------------------------------------ losses and predictions

    def _loss_tables(self) -> Mapping[str, ScoreTable]:
        confidences = ScoreTable(self.size, process_group=self.process_group)
        return {**super()._loss_tables(), "confidences": confidences}

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """See `EpochSampler`: the losses, and the confidences of correct predictions."""
        outputs, right = answers(type(self).__name__, len(batch), batch.logits, batch.labels)
        largest = outputs.softmax(dim=1).amax(dim=1)
        # NaN is kept, not called wrong: the table ignores it and keeps the last answer.
        confidences = torch.where(right | largest.isnan(), largest, 0.0)
        return {"scores": batch.losses, "confidences": confidences}

    @property
    def confidences(self) -> Scores:
        """Confidence of correct predictions, float32 (N,), read-only; 0 = wrong, NaN = unseen."""
        return self._score_tables["confidences"].values

    # ------------------------------------------------------------------ which samples are hidden

    def keep_at(self, epoch: int) -> float:
        """Return 1 - F of an epoch: the fraction of samples not selected to hide.

        Parameters
        ----------
        epoch : int
        """
        epoch = _check.epoch(epoch)
        prunes = epoch in self.pruning_epochs
        return 1.0 - (1.0 - self.keep) * self._scale(epoch) if prunes else 1.0

    @property
    def lr_factor(self) -> float:
        """Factor of the learning rate in this epoch: N / (number of samples drawn)."""
        return self.size / self._plan(self.epoch).table.size

    def _scale(self, epoch: int) -> float:
        done = epoch / self.num_epochs + 1e-9
        return [scale for part, scale in self.schedule if part <= done][-1]

    def _mean_scale(self) -> float:
        """Return the mean of the scales over the epochs that hide samples."""
        scales = [self._scale(epoch) for epoch in self.pruning_epochs]
        return sum(scales) / max(len(scales), 1)

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        sure = self.confidences >= np.float32(self.confidence)
        return np.where(sure, self.scores, np.float32(np.nan))

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        # Only confident samples have a score in `scores`; others are kept. The level is over all.
        wanted = self._wanted(epoch)
        if wanted is None:
            hide = math.floor((1.0 - self.keep_at(epoch)) * self.size + 1e-9)
            scores = self.scores
        else:
            hide = self.size - wanted
        known = int(np.count_nonzero(~np.isnan(scores)))
        return highest(scores, max(0, known - hide))

    def _wanted(self, epoch: int) -> int | None:
        wanted = super()._wanted(epoch)
        if wanted is None:
            return None
        coming = [self._scale(each) for each in self.pruning_epochs if each >= epoch]
        mean = sum(coming) / len(coming)
        share = self._scale(epoch) / mean if mean else 1.0
        return max(1, self.size - round((self.size - wanted) * share))

    def why_biased(self, epoch: int) -> str:
        return "samples with low losses are certain to be excluded"

    def _pruned_share(self, below_mean: float) -> float:
        return (1.0 - self.keep) * self._mean_scale()

    def _most_pruned(self, below_mean: float) -> float:
        return MOST_PRUNED * self._mean_scale()

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        mean = self._mean_scale()
        return {"keep": 1.0 - share / mean if mean else 1.0}

    def identity(self) -> dict[str, object]:
        return {
            **super().identity(),
            "keep": self.keep,
            "schedule": self.schedule,
            "confidence": self.confidence,
        }


def _check_schedule(schedule: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the stages of a run, from 0 on."""
    found: list[tuple[float, float]] = []
    for part, scale in schedule:
        part = _check.number("part of schedule", part, "[0, 1)")
        if found and part <= found[-1][0]:
            raise ValueError(f"parts of schedule must ascend, got {part:g} after {found[-1][0]:g}")
        found.append((part, _check.number("scale of schedule", scale, "[0, 1]")))
    if not found or found[0][0] != 0.0:
        raise ValueError(f"schedule must begin with part 0, got {schedule!r}")
    return tuple(found)
