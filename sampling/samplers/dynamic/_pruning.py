"""The pruning engine: score snapshot -> groups -> keep probability -> kept samples and weights.

For each epoch, a method defines thresholds that partition the scores into groups, and the fraction
to keep of each group. This engine derives, for all methods, the excluded samples, the weights of
the kept ones, the epochs that prune, and the cost of a run.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence, Sized
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self, Unpack

from ... import _check, _rng
from ..._check._keywords import defaults, own_defaults
from ..._warning import warn
from ...kernels import _prune
from ...types import Floats, Indices, Scores
from ..core._arrays import Arrays
from ..core._options import EPOCH_DEFAULTS, EpochOptions
from ..core._scored_sampler import RecordedScores, ScoredSampler
from ..core._tables import DrawTable, KeptTable, ShuffledTable
from ._thinning import divide, thin

MOST_PRUNED = 0.9  # `for_target` keeps at least a tenth of the samples that may be excluded
_MISSED = 0.01  # of the full cost: a run that ends farther from its target warns


class AnnealingOptions(EpochOptions, total=False):
    """`EpochOptions`, and that of samplers that exclude samples until the last epochs."""

    anneal_fraction: float


class PruningOptions(AnnealingOptions, total=False):
    """`AnnealingOptions`, and that of samplers that do so by one score for each sample."""

    score_ema: float


_ANNEALING = {"anneal_fraction": 0.125}
defaults(AnnealingOptions, {**_ANNEALING, **EPOCH_DEFAULTS})
defaults(PruningOptions, {**_ANNEALING, "score_ema": 1.0, **EPOCH_DEFAULTS})


class PruningSampler(ScoredSampler):
    """Exclude a fraction of each score group from an epoch, at random, and weight the kept samples.

    Subclasses document the parameters. Epoch 0 draws everything (there are no scores), and so do
    the last epochs (annealing), in which the model weights converge on the whole data. What all of
    them take they take as options, for which `_option_defaults` states other defaults than those of
    `PruningOptions`: the signature that is shown, and the constructor, have both from there.
    """

    _algorithm = 2  # version 1 excluded other samples: by selection sampling
    keeps_last = False
    folds = False  # True if a method keeps more of its losses than the last, or their average
    _option_defaults: ClassVar[Mapping[str, Any]] = {"objective": "sampled"}

    def __init__(
        self, data_source: int | Sized, num_epochs: int, **options: Unpack[PruningOptions]
    ) -> None:
        given: dict[str, Any] = {**own_defaults(type(self)), **options}
        anneal_fraction = given.pop("anneal_fraction", _ANNEALING["anneal_fraction"])
        self.num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.anneal_fraction = _check.number("anneal_fraction", anneal_fraction, "[0, 1]")
        self._target: float | None = None  # set by `for_target`
        self._drawn: dict[int, int] = {}  # number of draws of the epochs planned so far
        self._history = self._make_history(_check.size("data_source", data_source))
        super().__init__(data_source, **given)

    # ------------------------------------------------------------------ what a method defines

    @abstractmethod
    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        """Return ascending thresholds (G - 1,) and the fraction of each group to keep (G,).

        A fraction of 0 excludes a group; of any other at least one sample is kept. Samples without
        a score (NaN) are in no group, and are kept.
        """

    @abstractmethod
    def _pruned_share(self, below_mean: float) -> float:
        """Return the fraction of all samples that a pruning epoch is expected to exclude."""

    @abstractmethod
    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        """Return the arguments with which a pruning epoch excludes a fraction of all samples."""

    def _most_pruned(self, below_mean: float) -> float:
        """Return the largest fraction of all samples that a pruning epoch can exclude."""
        return MOST_PRUNED

    def _make_history(self, size: int) -> Arrays:
        """Return the arrays that `_fold` writes to."""
        return {}

    def _fold(self, fresh: Scores) -> None:
        """Add the losses of the last epoch to the history; NaN = not seen in it."""

    def _prunes(self, epoch: int) -> bool:
        """Return whether an epoch excludes samples."""
        return epoch in self.pruning_epochs

    # ------------------------------------------------------------------ the plan

    @property
    def pruning_epochs(self) -> range:
        """The epochs in which samples are excluded."""
        stop = math.floor(self.num_epochs * (1.0 - self.anneal_fraction) + 1e-9)
        return range(1, max(1, stop))

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        """Return the scores that `_groups` divides: float32 (N,), NaN = kept, in no group."""
        return scores.average

    def _before_plan(self, epoch: int) -> None:
        if self.folds:
            tables = self._score_tables
            self._fold(tables["scores"].values)
            for table in tables.values():
                table.clear()

    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """See `ScoredSampler`."""
        kept = self._thinned(epoch, scores) if self._prunes(epoch) else None
        self._drawn[epoch] = self.size if kept is None else kept.size
        self._warn_if_missed(epoch)
        return self._whole(epoch) if kept is None else kept

    def _whole(self, epoch: int) -> DrawTable:
        return ShuffledTable(self.size, self.size, _rng.key(self.seed, epoch, "shuffle"))

    def _thinned(self, epoch: int, recorded: RecordedScores) -> KeptTable | None:
        scores = self._ranked(epoch, recorded)
        thresholds, keep = self._groups(epoch, scores)
        words = KeptTable.blank(self.size)
        codes = KeptTable.codes_of(words, self.size)
        counts = divide(scores, thresholds, codes)
        quotas = _quotas(counts, keep, self.size)
        if (quotas == counts).all():
            return None
        thin(codes, counts, quotas, _rng.key(self.seed, epoch, "prune"))
        shares = np.ones(_prune.FIRST_GROUP + keep.size)
        shares[_prune.LEFT_OUT] = 0.0
        shares[_prune.FIRST_GROUP :] = quotas / np.maximum(counts, 1)
        return KeptTable(words, self.size, shares)

    # ------------------------------------------------------------------ cost of a run

    def _wanted(self, epoch: int) -> int | None:
        """Return how many draws an epoch should have for the run to meet its target, if it has one.

        The excess or deficit of earlier epochs is spread over the remaining pruning epochs.
        """
        if self._target is None:
            return None
        total = self._target * self.size * self.num_epochs
        known = [draws for before, draws in self._drawn.items() if before < epoch]
        spent = sum(known) + (epoch - len(known)) * self.size
        pruning = self.pruning_epochs
        coming = max(0, pruning.stop - max(epoch, pruning.start))
        full = (self.num_epochs - epoch - coming) * self.size
        return min(self.size, max(1, round((total - spent - full) / max(coming, 1))))

    def _warn_if_missed(self, epoch: int) -> None:
        """Warn, once the last pruning epoch is planned, if the run will miss its target."""
        if self._target is None or epoch not in self.pruning_epochs[-1:]:
            return
        cost = self.expected_samples() / (self.size * self.num_epochs)
        if abs(cost - self._target) > _MISSED:
            warn(
                f"the run takes {cost:.3f} of the draws of full epochs, and was to take "
                f"{self._target:g}: epochs were skipped, or the losses let a pruning epoch "
                "exclude more or less than for_target assumed",
            )

    def expected_samples(self, num_epochs: int | None = None, below_mean: float = 0.7) -> int:
        """Return the number of draws of a run, summed over all ranks.

        Parameters
        ----------
        num_epochs : int, default that of the constructor
            Count epochs 0 to num_epochs - 1.
        below_mean : float in [0, 1], default 0.7
            Fraction of the samples assumed to be below the threshold, until one pruning epoch was
            planned: planned epochs are counted exactly, and the last one predicts the others. With
            `for_target` the others use the remaining draws of the target, as far as possible.
        """
        epochs = self.num_epochs if num_epochs is None else num_epochs
        epochs = _check.integer("num_epochs", epochs, 0)
        below = _check.number("below_mean", below_mean, "[0, 1]")
        known = {epoch: draws for epoch, draws in self._drawn.items() if epoch < epochs}
        coming = [each for each in self.pruning_epochs if each < epochs and each not in known]
        full = (epochs - len(known) - len(coming)) * self.size
        return sum(known.values()) + full + (self._foreseen(coming, below) if coming else 0)

    def _foreseen(self, coming: Sequence[int], below_mean: float) -> int:
        """Return how many draws the pruning epochs that are not planned yet will take."""
        last = max((each for each in self._drawn if each in self.pruning_epochs), default=0)
        usual = self.size - round(self.size * self._pruned_share(below_mean))
        usual = self._drawn[last] if last else usual
        wanted = self._wanted(coming[0])
        if wanted is None:
            return len(coming) * usual
        least = self.size - round(self.size * self._most_pruned(below_mean))
        if last:  # an epoch that took more than its target took the minimum
            least = usual if usual > (self._wanted(last) or 0) + 1 else 0
        return len(coming) * max(wanted, least)

    @classmethod
    def _probe(cls, num_epochs: int, arguments: dict[str, Any]) -> Self:
        """Return a sampler of one sample with these arguments, to ask for the cost of a run."""
        return cls(1, num_epochs, **arguments)

    @classmethod
    def for_target(
        cls,
        data_source: int | Sized,
        num_epochs: int,
        keep: float,
        *,
        below_mean: float = 0.7,
        **arguments: Any,  # the constructor's
    ) -> Self:
        """Return the sampler whose run takes a given fraction of `num_epochs` full epochs.

        It finds the argument that determines how much to exclude, and keeps correcting it: each
        pruning epoch aims at an equal share of the remaining budget. Losses can make that
        impossible: a run that will miss its target by more than a hundredth of the full cost warns
        when its last pruning epoch is planned.

        Parameters
        ----------
        data_source, num_epochs
            See the constructor.
        keep : float in (0, 1]
            Draws of the run / (N * num_epochs).
        below_mean : float in (0, 1], default 0.7
            Fraction of the samples expected below the mean: 0.6 to 0.8 on most losses. Ignored if
            the sampler itself determines the fraction called easy.
        **arguments
            The other arguments of the constructor.

        Raises
        ------
        ValueError
            "unreachable", with the smallest fraction that can be reached, if even excluding 90 % of
            the samples that the method may exclude, in every pruning epoch, takes more. Also if the
            argument that this method finds is given.
        """
        target = _check.number("keep", keep, "(0, 1]")
        below = _check.number("below_mean", below_mean, "(0, 1]")
        probe = cls._probe(num_epochs, arguments)
        part = len(probe.pruning_epochs) / probe.num_epochs
        most = part * probe._most_pruned(below)
        if 1.0 - target > most + 1e-9:
            raise ValueError(
                f"keep is unreachable: must be >= {1.0 - most:.3f} for {num_epochs} "
                f"epochs with anneal_fraction={probe.anneal_fraction:g} and below_mean={below:g}, "
                f"got {target:g}: train for more epochs, or use RepeatedSubsetSampler, which can "
                "keep any fraction"
            )
        share = min((1.0 - target) / part, probe._most_pruned(below)) if part else 0.0
        setting = probe._setting_for(share, below)
        for name in setting.keys() & arguments.keys():
            raise ValueError(
                f"{name} must not be given with for_target, which chooses it, got "
                f"{arguments[name]!r}"
            )
        found = cls(data_source, num_epochs, **{**arguments, **setting})
        if found.dynamic:  # the cost of a static sampler is known: nothing to correct
            found._target = target
        return found

    # ------------------------------------------------------------------ saved state

    def _saved(self) -> Arrays:
        return super()._saved() | self._history

    def _notes(self) -> dict[str, Any]:
        return super()._notes() | {"drawn": list(self._drawn.items())}

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self._drawn = {int(epoch): int(draws) for epoch, draws in notes["drawn"]}
        for name, ours in self._history.items():
            ours[:] = arrays[name]

    def identity(self) -> dict[str, object]:
        return {
            "num_epochs": self.num_epochs,
            "anneal_fraction": self.anneal_fraction,
            "score_ema": self.score_ema,
            "target of for_target": self._target,
        }


def _quotas(counts: Indices, keep: Floats, size: int) -> Indices:
    """Return how many samples of each group to keep: in total the integer part of the sum.

    A group with a positive fraction keeps at least one sample, and an epoch is never empty.
    """
    # The slack is for counts that were divided before: (n / m) m may come out below n.
    due = keep * counts * (1.0 + 1e-12) + 1e-9
    quotas = np.clip(due.astype(np.int64), np.minimum(counts, keep > 0), counts)
    missing = max(0, int(due.sum()) - int(quotas.sum()))
    quotas[np.argsort(quotas - due, kind="stable")[:missing]] += 1  # the largest remainders
    if quotas.sum() == 0 and counts.sum() == size:
        quotas[np.flatnonzero(counts)[-1]] = 1
    return quotas
