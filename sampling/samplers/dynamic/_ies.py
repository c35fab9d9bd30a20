"""Instance-dependent early stopping: exclude samples whose loss has converged.

Unlike `KakurenboSampler`, the criterion is not whether a loss is low but whether it still changes:
a hard sample that is not learned is excluded too. Excluded samples are evaluated in every epoch,
and trained again as soon as their loss changes.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np
from typing_extensions import Self, Unpack

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Scores
from ..core._arrays import Arrays
from ..core._scored_sampler import RecordedScores
from ._hidden import HidingSampler
from ._pruning import AnnealingOptions
from ._thresholds import highest

_LOSSES = 6  # the code waits for a fourth second difference, which the mean excludes


@told
class IESSampler(HidingSampler):
    """Exclude each sample once its own loss has converged, and monitor it from then.

    For replication, and a baseline. A sample is mastered, and excluded from the next epoch, if the
    mean over the last three epochs of |l_t - 2 l_(t-1) + l_(t-2)| is below `delta`. Excluded
    samples need a forward pass in every epoch: see `rescore`.

    A sample without a loss in some epoch has no second difference there, and is not called
    mastered again before six more losses: samples that are not rescored return to training. Epochs
    in which nothing was recorded are ignored.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run.
    delta : float > 0, default 1e-3
        Mean second difference below which a sample is mastered. It has the unit of the loss: tune
        it, from 1e-1 down to 1e-5, or let `for_target` choose.
    anneal_fraction : float in [0, 1], default 0
        Final fraction of the run, in which every sample is drawn. By default mastered samples
        return only if their loss changes.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Mean second difference of the last five losses, as of the last `set_epoch`; NaN if there
        are fewer than six in a row.
    hidden : int64 array of shape (H,)
        The samples that this epoch excludes.
    pruning_epochs : range
        The epochs in which samples may be excluded: from epoch 6, the seventh.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original".

    Notes
    -----
    Order
        Planned in `set_epoch` from the losses of all ranks. `delta` involves no randomness; with
        `for_target` ties are broken at random.
    Cost
        26 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 8 N more
        during planning; O(N). The forward pass of H samples in every epoch costs about a third of
        their training in addition.
    Gradients
        Biased towards samples whose loss changes, without weights. Losses in training mode (drawn
        samples) and in evaluation mode (rescored samples) form one history: if dropout or
        augmentation makes them differ, the step from one to the other is a second difference too,
        and returns samples to training. `for_target` cannot know `delta`: each epoch excludes as
        many of the samples with the smallest second differences as the budget requires. It is
        unreachable if excluding nine tenths of the data from epoch 6 is not enough.
    Source
        Instance-dependent early stopping: Yuan, Lin, Feng, Han, Liu, ICLR 2025, arXiv:2502.07547;
        1e-3 is its value for CIFAR-10, and the code doubles it for CIFAR-100. As there, the first
        test is after six losses, though the mean is over the last three differences. Unlike in the
        code, an epoch after which no sample is mastered trains on all of them (there the last
        exclusions stay), and a missing loss restarts a sample's history (there the losses before
        and after it are joined).

    Examples
    --------
    >>> sampler = IESSampler(3, num_epochs=20, delta=0.1)
    >>> for epoch in range(6):
    ...     sampler.set_epoch(epoch)
    ...     sampler.record(range(3), np.array([2.0, 3 - 0.5 * epoch, epoch % 2]))
    >>> sampler.set_epoch(6)
    >>> sampler.scores, sampler.hidden
    (array([0., 0., 2.], dtype=float32), array([0, 1]))
    >>> sampler.record([2], [0.0])
    >>> sampler.rescore([0, 1], np.array([2.0, 2.5]))  # the second went up again
    >>> sampler.set_epoch(7)
    >>> sampler.hidden
    array([0])
    """

    folds = True
    # Version 1 tested after five losses; version 2 chose among equal signals by selection sampling.
    _algorithm = 3
    _option_defaults = {"anneal_fraction": 0.0}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        delta: float = 1e-3,
        **options: Unpack[AnnealingOptions],
    ) -> None:
        self.delta = _check.number("delta", delta, "(0, inf)")
        super().__init__(data_source, num_epochs, **options)

    @property
    def pruning_epochs(self) -> range:
        """The epochs in which samples may be excluded."""
        return range(_LOSSES, max(_LOSSES, super().pruning_epochs.stop))

    # ------------------------------------------------------------------ the losses of six epochs

    def _make_history(self, size: int) -> Arrays:
        names = ("last", "before_last", "bend", "bend_before", "mean_bend")
        losses = {name: np.full(size, np.nan, np.float32) for name in names}
        return {**losses, "known": np.zeros(size, np.uint8)}  # losses in a row, up to six

    def _fold(self, fresh: Scores) -> None:
        """Append an epoch of losses; a NaN in `fresh` propagates to everything computed from it."""
        if np.isnan(fresh).all():
            return
        kept = self._history
        bend, mean = kept["before_last"], kept["mean_bend"]  # each array is written in place once
        with np.errstate(over="ignore", invalid="ignore"):  # differences near 1e38 overflow
            bend -= kept["last"]
            bend -= kept["last"]
            bend += fresh
            np.abs(bend, out=bend)
            np.add(kept["bend"], kept["bend_before"], out=mean)
            mean += bend
            mean /= np.float32(3.0)
        known = kept["known"]
        known += known < _LOSSES
        known[np.isnan(fresh)] = 0
        mean[known < _LOSSES] = np.nan
        last = kept["bend_before"]
        last[:] = fresh
        kept["before_last"], kept["last"] = kept["last"], last
        kept["bend_before"], kept["bend"] = kept["bend"], bend

    @property
    def scores(self) -> Scores:
        """Mean second difference of the last five losses, float32 (N,), read-only."""
        view = self._history["mean_bend"].view()
        view.flags.writeable = False
        return view

    # ------------------------------------------------------------------ which samples are excluded

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        return self.scores

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        wanted = self._wanted(epoch)
        if wanted is None:
            return np.array([self.delta]), np.array([0.0, 1.0])
        unknown = int(np.count_nonzero(np.isnan(scores)))
        return highest(scores, max(0, wanted - unknown))

    def why_biased(self, epoch: int) -> str:
        return "samples whose loss has stopped changing are certain to be excluded"

    def _pruned_share(self, below_mean: float) -> float:
        if self._target is None:
            return 0.0  # unknown before an epoch was planned
        return (1.0 - self._target) * self.num_epochs / max(len(self.pruning_epochs), 1)

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {}

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
        if "delta" in arguments:
            raise ValueError(
                "delta must not be given with for_target, which ranks the samples instead, got "
                f"{arguments['delta']!r}"
            )
        return super().for_target(data_source, num_epochs, keep, below_mean=below_mean, **arguments)

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "delta": self.delta}
