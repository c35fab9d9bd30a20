"""Late Stopping: round by round, drop what the network is late to learn, as likely mislabelled.

The pruners beside it drop what is easy and look again; this one drops for good what was not
predicted as labelled soon enough, which keeps hard samples that are clean.
"""

import math
from collections.abc import Mapping, Sequence, Sized
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from .. import _check
from .._keywords import told
from ..types import Floats, Indices, Scores
from ._hidden import answers
from ._options import EpochOptions
from ._pruning import PruningSampler
from ._state import Arrays


@told
class LateStoppingSampler(PruningSampler):
    """Shrink noisy data by rounds to the samples that are learnt first.

    For replication. In round n a sample is learnt once it was predicted as its given label in k
    epochs running. When ceil(keep_per_round^n N) samples are learnt, the round is over: the learnt
    ones are the set of the next round, which counts anew. After the last round the run goes on
    with what is left, `kept`. The part kept in the end, keep_per_round^(rounds), has to be set from
    the noise rate, known or guessed.

    `reduce` and `record` need `logits=` and `labels=`, unless `evaluate` is set: then the answers
    come from a pass over `kept` at the end of each epoch, with augmentation off and the model in
    evaluation mode, through `record_answers`. The method starts each round with a fresh network:
    `round_ended` says when. That is optional.

    Parameters
    ----------
    data_source : int or sized
        N, or anything with a length.
    num_epochs : int
        Epochs of all rounds together and of the training that follows.
    keep_per_round : float in (0, 1), default 0.98
        rho: round n is over when ceil(rho^n N) samples are learnt. N is that of the whole data.
    rounds : sequence of int, default (4, 4, 4)
        Rounds with k = 1, with k = 2, and so on.
    warm_up : int, default 6
        Answers in epochs 0 to `warm_up` of a round are ignored: what a network that has hardly
        been trained gets right is chance. A sample learnt in k epochs is so in epoch
        `warm_up` + k of its round at the earliest.
    max_epochs : int, optional
        A round that has not reached its target after so many epochs ends without shrinking the
        set; the next one has its own, lower target. At least `warm_up` + 1 + k for the largest k.
        By default rounds go on to the end of the run.
    evaluate : bool, default False
        Take the answers from `record_answers` only.
    **options
        Those of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    kept : int64 array of shape (M,)
        The current set, rising; once `finished`, the result. `SubsetSampler` takes it.
    round : int
        From 1 on; past the last round when finished.
    round_ended : bool
        Whether the `set_epoch` that planned this epoch ended a round.
    finished : bool
        Whether all rounds are over.
    learned : int
        Samples learnt in this round so far, as of the last `set_epoch`.

    Raises
    ------
    ValueError
        If an argument is out of its range, for objective="original", or for a batch without logits
        or labels unless `evaluate`.

    Notes
    -----
    Order
        Planned in `set_epoch` from the answers of all ranks; nothing is left to chance but the
        order. A sample that an epoch did not look at keeps its run of right answers; one that
        several ranks looked at is right if it was on each. An epoch without any answer is no epoch.
    Cost
        8.2 N bytes, 5 N more while planning; O(N).
    Gradients
        The mean over the current set: samples learnt late are gone, which is the purpose. How many
        draws a run takes depends on what the network learns, so `for_target` is unreachable
        whatever the fraction.
    Source
        Late Stopping: Yuan, Feng, Liu, ICCV 2023, pp. 16079-16088. As in its code `warm_up` holds
        anew in each round. That code counts the epochs up to the one before the last, where here
        the epoch that just ended counts; it rounds the target rho^n N down, which is one sample
        less at the most; and of its last round, on a fresh network, only the set is made here: the
        training is yours.

    Examples
    --------
    >>> sampler = LateStoppingSampler(4, num_epochs=9, keep_per_round=0.7, rounds=(1,), warm_up=0)
    >>> labels = torch.tensor([0, 1, 1, 1])
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    ...     sampler.record(range(4), torch.ones(4), logits=logits, labels=labels)
    >>> sampler.set_epoch(2)  # three are learnt, as many as ceil(0.7 * 4)
    >>> sampler.kept, sampler.round_ended, sampler.finished
    (array([0, 1, 2]), True, True)
    """

    folds = True
    _algorithm = 2  # 1 counted the answers of the warm-up

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep_per_round: float = 0.98,
        rounds: Sequence[int] = (4, 4, 4),
        warm_up: int = 6,
        max_epochs: int | None = None,
        evaluate: bool = False,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.keep_per_round = _check.number("keep_per_round", keep_per_round, "(0, 1)")
        self.rounds = _check_rounds(rounds)
        self.warm_up = _check.integer("warm_up", warm_up, 0)
        self.max_epochs = max_epochs
        if max_epochs is not None:
            longest = max(k for k, count in enumerate(self.rounds, 1) if count)
            self.max_epochs = _check.integer("max_epochs", max_epochs, self.warm_up + 1 + longest)
        self.evaluate = _check.flag("evaluate", evaluate)
        self.round = 1
        self.round_ended = False
        self._looked = 0  # epochs of this round that gave answers
        super().__init__(data_source, num_epochs, anneal_fraction=0.0, **options)

    # ------------------------------------------------------------------ answers

    def _learn(
        self,
        rows: Indices | torch.Tensor,
        losses: torch.Tensor,
        logits: torch.Tensor | None,
        labels: torch.Tensor | None,
    ) -> None:
        if self.evaluate or self.finished:
            self._count_nonfinite(losses)
        else:
            self._answer(rows, logits, labels, torch.isfinite(losses.detach()))

    def record_answers(
        self, indices: ArrayLike | torch.Tensor, logits: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Take note of predictions from an evaluation pass over the samples of this epoch.

        To be called at the end of each epoch, before `set_epoch`; each rank may pass a part of
        `kept`, such as `kept[rank::num_replicas]`. Never waits for a device.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples of `kept`.
        logits : float tensor of shape (B, C)
        labels : tensor of shape (B,) or (B, C)
            The labels given, right or wrong; soft ones stand for their largest entry.

        Raises
        ------
        ValueError
            If the sampler was made without `evaluate=True`, or a sample is not of this epoch.
        """
        if not self.evaluate:
            raise ValueError(
                "evaluate must be True for record_answers, got False: the answers come from "
                "reduce and record then"
            )
        rows = self._located(indices)
        if isinstance(rows, torch.Tensor):
            self._device_weights(rows)  # counts bad indices
        self._answer(rows, logits, labels, None)

    def _answer(
        self,
        rows: Indices | torch.Tensor,
        logits: torch.Tensor | None,
        labels: torch.Tensor | None,
        finite: torch.Tensor | None,
    ) -> None:
        """Write 1 for a right answer, 0 for a wrong one; what is not finite is no answer."""
        outputs, right = answers(type(self).__name__, len(rows), logits, labels)
        known = torch.isfinite(outputs.amax(dim=1))
        if finite is not None:
            known = known & finite.to(known.device, non_blocking=True)
        self._score_table.update(rows, torch.where(known, right.float(), torch.nan))

    # ------------------------------------------------------------------ rounds

    @property
    def streak(self) -> int:
        """Right answers in a row that make a sample learnt in this round: k."""
        ends = np.cumsum(self.rounds)
        return 1 + int(np.searchsorted(ends, min(self.round, int(ends[-1]))))

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self.round > sum(self.rounds)

    @property
    def learned(self) -> int:
        """Samples learnt in this round, as of the last `set_epoch`."""
        return int(np.count_nonzero(self._history["learned"]))

    @property
    def kept(self) -> Indices:
        """The current set, int64 (M,), rising."""
        return np.flatnonzero(self._history["current"])

    def _make_history(self, size: int) -> Arrays:
        return {
            "current": np.ones(size, np.uint8),
            "runs": np.zeros(size, np.uint8),  # right answers since the last wrong one, up to 255
            "learned": np.zeros(size, np.uint8),
        }

    def _fold(self, fresh: Scores) -> None:
        self.round_ended = False
        right = fresh == 1.0  # the mean over ranks: right on each
        wrong = fresh < 1.0
        if self.finished or not (right.any() or wrong.any()):
            return
        self._looked += 1
        if self._looked > self.warm_up + 1:
            runs, learned = self._history["runs"], self._history["learned"]
            np.add(runs, 1, out=runs, where=right & (runs < 255))
            runs[wrong] = 0
            learned |= runs >= self.streak
        self._end_round()

    def _end_round(self) -> None:
        """Go on to the next round if this one reached its target, or took too long."""
        target = math.ceil(self.keep_per_round**self.round * self.size - 1e-9)
        if self.learned >= target:
            self._history["current"][:] = self._history["learned"]
        elif self.max_epochs is None or self._looked < self.max_epochs:
            return
        self._history["runs"][:] = 0
        self._history["learned"][:] = 0
        self.round, self.round_ended, self._looked = self.round + 1, True, 0

    # ------------------------------------------------------------------ the plan

    def _prunes(self, epoch: int) -> bool:
        return True  # what is gone stays gone, past the end of the run too

    def _snapshot(self, epoch: int) -> Scores:
        return self._history["current"].astype(np.float32)

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        return np.array([0.5]), np.array([0.0, 1.0])

    def _refusal(self, epoch: int) -> str:
        return "samples that are learnt late are left out for good"

    def _pruned_share(self, below_mean: float) -> float:
        return 0.0  # nobody knows before a round has ended

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
    ) -> NoReturn:
        """Refuse: the rounds are as long as the network takes, so no share can be promised."""
        raise ValueError(
            f"samples_fraction is unreachable for {cls.__name__}, whose rounds are as long as the "
            f"network takes to learn: set keep_per_round and rounds, got {samples_fraction:g}"
        )

    # ------------------------------------------------------------------ what outlives the process

    def _notes(self) -> dict[str, Any]:
        own = {"round": self.round, "round_ended": self.round_ended, "looked": self._looked}
        return super()._notes() | own

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self.round, self._looked = int(notes["round"]), int(notes["looked"])
        self.round_ended = bool(notes["round_ended"])

    def _identity(self) -> dict[str, object]:
        own = ("keep_per_round", "rounds", "warm_up", "max_epochs", "evaluate")
        return {**super()._identity(), **{name: getattr(self, name) for name in own}}


def _check_rounds(rounds: Sequence[int]) -> tuple[int, ...]:
    found = tuple(_check.integer("rounds", each, 0) for each in rounds)
    if not sum(found) or len(found) > 255:
        raise ValueError(f"rounds must be 1 to 255 counts, not all 0, got {rounds!r}")
    return found
