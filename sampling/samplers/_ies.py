"""Instance-dependent early stopping: rest the samples whose loss has stopped bending.

Unlike `KakurenboSampler` it does not ask whether a loss is low but whether it still moves: a hard
sample that will not be learnt rests too. What rests is passed forward in every epoch, and trains
again as soon as its loss moves.
"""

from collections.abc import Sized
from typing import Any

import numpy as np
from typing_extensions import Self, Unpack

from .. import _check
from .._keywords import told
from ..types import Floats, Scores
from ._hidden import HidingSampler
from ._levels import highest
from ._options import EpochOptions
from ._state import Arrays

_LOSSES = 6  # the code waits for a fourth second difference, which the mean leaves out


@told
class IESSampler(HidingSampler):
    """Rest each sample as soon as its own loss has stopped changing, and watch it on.

    For replication, and a baseline. A sample is mastered, and left out of the next epoch, if the
    mean over the last three epochs of |l_t - 2 l_(t-1) + l_(t-2)| is below `delta`. What is left
    out has to be passed forward in every epoch: see `rescore`.

    A sample without a loss in some epoch has no second difference there, and is not called
    mastered again before six more losses: whatever is not rescored goes back to training. Epochs in
    which nothing at all was recorded are ignored.

    Parameters
    ----------
    data_source : int or sized
        N, or anything with a length.
    num_epochs : int
        Epochs of the whole run.
    delta : float > 0, default 1e-3
        Mean second difference below which a sample is mastered. It has the unit of the loss: to be
        tuned, from 1e-1 down to 1e-5. Or let `for_target` choose.
    anneal_fraction : float in [0, 1], default 0
        Last part of the run that deals everything. By default mastered samples come back by
        themselves, or not at all.
    **options
        Those of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Mean second difference of the last five losses, as of the last `set_epoch`; NaN where there
        are fewer than six in a row.
    hidden : int64 array of shape (H,)
        The samples that this epoch leaves out.
    pruning_epochs : range
        The epochs in which samples may be left out: from epoch 6 on, the seventh.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original".

    Notes
    -----
    Order
        Planned in `set_epoch` from the losses of all ranks. `delta` leaves nothing to chance; with
        `for_target` ties are broken by lot.
    Cost
        26.2 N bytes, 8 N more while planning; O(N). The forward pass of H samples in every epoch
        comes on top, a third of their training or so.
    Gradients
        Biased to samples that change, without weights. Losses in training mode (dealt) and in
        evaluation mode (rescored) follow one another in one history: where dropout or augmentation
        sets them apart, the step from one to the other is a second difference too, and brings
        samples back. `for_target` cannot know `delta`: each epoch rests as many of the samples with
        the least second differences as the budget asks. It is unreachable if resting nine tenths of
        the data from epoch 6 on is not enough.
    Source
        Instance-dependent early stopping: Yuan, Lin, Feng, Han, Liu, ICLR 2025, arXiv:2502.07547;
        1e-3 is its value for CIFAR-10, and the code doubles it for CIFAR-100. As there, the first
        test is after six losses, though the mean is of the last three differences. Unlike the code,
        an epoch after which no sample is mastered trains on all of them (there the last exclusions
        stay), and a missing loss begins a sample's history anew (there its neighbours in time are
        joined).

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
    _algorithm = 2  # 1 tested after five losses

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        delta: float = 1e-3,
        anneal_fraction: float = 0.0,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.delta = _check.number("delta", delta, "(0, inf)")
        super().__init__(data_source, num_epochs, anneal_fraction=anneal_fraction, **options)

    @property
    def pruning_epochs(self) -> range:
        """The epochs in which samples may be left out."""
        return range(_LOSSES, max(_LOSSES, super().pruning_epochs.stop))

    # ------------------------------------------------------------------ the losses of six epochs

    def _make_history(self, size: int) -> Arrays:
        names = ("last", "before_last", "bend", "bend_before", "mean_bend")
        losses = {name: np.full(size, np.nan, np.float32) for name in names}
        return {**losses, "known": np.zeros(size, np.uint8)}  # losses in a row, up to six

    def _fold(self, fresh: Scores) -> None:
        """Move on by an epoch; a NaN in `fresh` runs through all that is computed from it."""
        if np.isnan(fresh).all():
            return
        kept = self._history
        bend, mean = kept["before_last"], kept["mean_bend"]  # each array is written in place once
        with np.errstate(over="ignore", invalid="ignore"):  # losses near 1e38 bend to infinity
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

    # ------------------------------------------------------------------ what rests

    def _snapshot(self, epoch: int) -> Scores:
        return self.scores

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        wanted = self._wanted(epoch)
        if wanted is None:
            return np.array([self.delta]), np.array([0.0, 1.0])
        unknown = int(np.count_nonzero(np.isnan(scores)))
        return highest(scores, max(0, wanted - unknown))

    def _refusal(self, epoch: int) -> str:
        return "samples whose loss has stopped changing are left out for certain"

    def _pruned_share(self, below_mean: float) -> float:
        if self._target is None:
            return 0.0  # nobody knows before an epoch was planned
        return (1.0 - self._target) * self.num_epochs / max(len(self.pruning_epochs), 1)

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {}

    @classmethod
    def for_target(
        cls,
        data_source: int | Sized,
        num_epochs: int,
        samples_fraction: float,
        *,
        below_mean: float = 0.7,
        **arguments: Any,  # noqa: ANN401
    ) -> Self:
        """Return the sampler for a share of the draws; see `PruningSampler.for_target`."""
        if "delta" in arguments:
            raise ValueError(
                "delta must not be given with for_target, which ranks the samples instead, got "
                f"{arguments['delta']!r}"
            )
        return super().for_target(
            data_source, num_epochs, samples_fraction, below_mean=below_mean, **arguments
        )

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "delta": self.delta}
