"""Late Stopping: drop, round by round, the samples learned late, which are likely mislabelled.

The other pruners exclude easy samples and evaluate them again; this one permanently drops samples
that were not predicted as labelled soon enough, which keeps hard samples that are clean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Sized
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Indices, Scores
from ..core._arrays import Arrays
from ..core._batch import Batch
from ..core._options import EpochOptions
from ..core._scored_sampler import RecordedScores
from ._hidden import answers
from ._pruning import PruningSampler


@told
class LateStoppingSampler(PruningSampler):
    """Reduce noisy data, round by round, to the samples that are learned first.

    For replication. In round n a sample is learned once it was predicted as its given label in k
    consecutive epochs. When ceil(keep^n N) samples are learned, the round is over: the
    learned samples are the set of the next round, whose counts start at 0. After the last round
    training continues on the remaining samples, `kept`. The final fraction,
    keep^(rounds), has to be set from the noise rate, known or estimated.

    `reduce` and `record` need `logits=` and `labels=`, unless `evaluate` is set: then predictions
    come from a pass over `kept` at the end of each epoch, with augmentation off and the model in
    evaluation mode, through `record_answers`. The method starts each round with a new network:
    `round_ended` tells when. That is optional.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs of all rounds together and of the training that follows.
    keep : float in (0, 1), default 0.98
        rho: round n is over when ceil(rho^n N) samples are learned. N is that of the whole data.
    rounds : sequence of int, default (4, 4, 4)
        Number of rounds with k = 1, with k = 2, and so on.
    warm_up : int, default 6
        Predictions in epochs 0 to `warm_up` of a round are ignored: those of a network that has
        hardly been trained are right by chance. A sample learned in k epochs is learned in epoch
        `warm_up` + k of its round at the earliest.
    max_epochs : int, optional
        A round that has not reached its target after this number of epochs ends without shrinking
        the set; the next one has its own, lower target. At least `warm_up` + 1 + k for the largest
        k. By default rounds continue to the end of the run.
    evaluate : bool, default False
        Use only predictions given to `record_answers`.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    kept : int64 array of shape (M,)
        The current set, ascending; once `finished`, the result, which `SubsetSampler` accepts.
    round : int
        Number of the current round, from 1; after the last round, one more than their number.
    round_ended : bool
        Whether the `set_epoch` that planned this epoch ended a round.
    finished : bool
        Whether all rounds are over.
    learned : int
        Number of samples learned in this round so far, as of the last `set_epoch`.

    Raises
    ------
    ValueError
        If an argument is out of its range, for objective="original", or for a batch without logits
        or labels unless `evaluate`.

    Notes
    -----
    Order
        Planned in `set_epoch` from the predictions of all ranks; only the order is random. A sample
        that an epoch did not evaluate keeps its count of consecutive right predictions; one that
        several ranks evaluated is right if it was right on each. Epochs without predictions are
        ignored.
    Cost
        8 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 5 N more
        during planning; O(N).
    Gradients
        The mean over the current set: samples learned late are dropped, which is the purpose. The
        number of draws of a run depends on what the network learns, so `for_target` is unreachable
        for any fraction.
    Source
        Late Stopping: Yuan, Feng, Liu, ICCV 2023, pp. 16079-16088. As in its code `warm_up` applies
        to each round. That code counts the epochs up to the one before the last, where here the
        epoch that just ended counts; it rounds the target rho^n N down, which is at most one sample
        less; and of its last round, on a new network, only the set is computed here: the training
        is up to the user.

    Examples
    --------
    >>> sampler = LateStoppingSampler(4, num_epochs=9, keep=0.7, rounds=(1,), warm_up=0)
    >>> labels = torch.tensor([0, 1, 1, 1])
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    ...     sampler.record(range(4), torch.ones(4), logits=logits, labels=labels)
    >>> sampler.set_epoch(2)  # three are learned, as many as ceil(0.7 * 4)
    >>> sampler.kept, sampler.round_ended, sampler.finished
    (array([0, 1, 2]), True, True)
    """

    folds = True
    _algorithm = 2  # version 1 counted the predictions of the warm-up

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.98,
        rounds: Sequence[int] = (4, 4, 4),
        warm_up: int = 6,
        max_epochs: int | None = None,
        evaluate: bool = False,
        **options: Unpack[EpochOptions],
    ) -> None:
        self.keep = _check.number("keep", keep, "(0, 1)")
        self.rounds = _check_rounds(rounds)
        self.warm_up = _check.integer("warm_up", warm_up, 0)
        self.max_epochs = max_epochs
        if max_epochs is not None:
            longest = max(k for k, count in enumerate(self.rounds, 1) if count)
            self.max_epochs = _check.integer("max_epochs", max_epochs, self.warm_up + 1 + longest)
        self.evaluate = _check.flag("evaluate", evaluate)
        self.round = 1
        self.round_ended = False
        self._looked = 0  # epochs of this round with predictions
        super().__init__(data_source, num_epochs, anneal_fraction=0.0, **options)

    # ------------------------------------------------------------------ predictions

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """See `EpochSampler`: 1 for a correct prediction, 0 for a wrong one."""
        if self.evaluate or self.finished:
            return {}
        return {"scores": self._correct(batch, torch.isfinite(batch.losses.detach()))}

    def record_answers(
        self, indices: ArrayLike | torch.Tensor, logits: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Record predictions of an evaluation pass over the samples of this epoch.

        Call it at the end of each epoch, before `set_epoch`; each rank may pass its own share of
        `kept`, such as `kept[rank::num_replicas]`. Never synchronizes a device.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples of `kept`.
        logits : float tensor of shape (B, C)
        labels : tensor of shape (B,) or (B, C)
            The given labels, right or wrong; soft labels mean the class of their largest entry.

        Raises
        ------
        ValueError
            If the sampler was made without `evaluate=True`, or a sample is not of this epoch.
        """
        if not self.evaluate:
            raise ValueError(
                "evaluate must be True for record_answers, got False: predictions are then taken "
                "from reduce and record"
            )
        plan = self._plan(self.epoch)
        rows = plan.rows_of(indices)
        if isinstance(rows, torch.Tensor):
            plan.loss_weights(rows, weighted=False)  # counts bad indices
        batch = Batch(rows, indices, torch.empty(len(rows)), logits, labels)
        self._score_tables["scores"].write(rows, self._correct(batch, None))

    def _correct(self, batch: Batch, finite: torch.Tensor | None) -> torch.Tensor:
        """Return 1 for a correct prediction, 0 for a wrong one, NaN if it is not finite: (B,)."""
        outputs, right = answers(type(self).__name__, len(batch), batch.logits, batch.labels)
        known = torch.isfinite(outputs.amax(dim=1))
        if finite is not None:
            known = known & finite.to(known.device, non_blocking=True)
        return torch.where(known, right.float(), torch.nan)

    # ------------------------------------------------------------------ rounds

    @property
    def streak(self) -> int:
        """Consecutive right predictions after which a sample is learned in this round: k."""
        ends = np.cumsum(self.rounds)
        return 1 + int(np.searchsorted(ends, min(self.round, int(ends[-1]))))

    @property
    def finished(self) -> bool:
        """Whether all rounds are over."""
        return self.round > sum(self.rounds)

    @property
    def learned(self) -> int:
        """Number of samples learned in this round, as of the last `set_epoch`."""
        return int(np.count_nonzero(self._history["learned"]))

    @property
    def kept(self) -> Indices:
        """The current set, int64 (M,), ascending."""
        return np.flatnonzero(self._history["current"])

    def _make_history(self, size: int) -> Arrays:
        return {
            "current": np.ones(size, np.uint8),
            "runs": np.zeros(size, np.uint8),  # right predictions since the last wrong one, <= 255
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
        """Start the next round if this one reached its target, or its maximum of epochs."""
        target = math.ceil(self.keep**self.round * self.size - 1e-9)
        if self.learned >= target:
            self._history["current"][:] = self._history["learned"]
        elif self.max_epochs is None or self._looked < self.max_epochs:
            return
        self._history["runs"][:] = 0
        self._history["learned"][:] = 0
        self.round, self.round_ended, self._looked = self.round + 1, True, 0

    # ------------------------------------------------------------------ the plan

    def _prunes(self, epoch: int) -> bool:
        return True  # dropped samples stay dropped, also after the end of the run

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        return self._history["current"].astype(np.float32)

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        return np.array([0.5]), np.array([0.0, 1.0])

    def why_biased(self, epoch: int) -> str:
        return "samples that are learned late are dropped permanently"

    def _pruned_share(self, below_mean: float) -> float:
        return 0.0  # unknown before a round has ended

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
    ) -> NoReturn:
        """Refuse: the length of rounds depends on the network, so no fraction can be promised."""
        raise ValueError(
            f"keep is unreachable for {cls.__name__}, whose rounds are as long as the "
            f"network takes to learn: set keep and rounds, got {keep:g}"
        )

    # ------------------------------------------------------------------ saved state

    def _notes(self) -> dict[str, Any]:
        own = {"round": self.round, "round_ended": self.round_ended, "looked": self._looked}
        return super()._notes() | own

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self.round, self._looked = int(notes["round"]), int(notes["looked"])
        self.round_ended = bool(notes["round_ended"])

    def identity(self) -> dict[str, object]:
        own = ("keep", "rounds", "warm_up", "max_epochs", "evaluate")
        return {**super().identity(), **{name: getattr(self, name) for name in own}}


def _check_rounds(rounds: Sequence[int]) -> tuple[int, ...]:
    found = tuple(_check.integer("rounds", each, 0) for each in rounds)
    if not sum(found) or len(found) > 255:
        raise ValueError(f"rounds must be 1 to 255 counts, not all 0, got {rounds!r}")
    return found
