"""Draws by weight: stratified with replacement, or each sample a limited number of times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats
from ..core._cumulative import Cumulative
from ..core._options import EpochOptions
from ..core._repeats import note_repeats, refuse_replacing
from ..core._replaceable import ReplaceableSampler
from ..core._tables import DrawTable, WeightedTable
from ._limited import Limit, Limited, limit_of


@told
class WeightedSampler(ReplaceableSampler["_Source"]):
    """Draw samples in proportion to a fixed weight, from a dataset of any size.

    Use it to rebalance the data or to replay samples by a score computed beforehand. For balance by
    class `ClassBalancedSampler` is exact and needs no weights; for weights of 0 and 1
    `SubsetSampler` is cheaper. `torch.utils.data.WeightedRandomSampler` is limited to 2**24
    samples, has no ranks, and without replacement draws heavy samples less often than their weight
    implies.

    With replacement, the M draws are M jittered points, one in each of M equal slices of the
    cumulative weight: sample i is drawn M * w_i / sum(w) times on average, and its count never
    differs from that by two or more. Adjacent indices are negatively correlated: of two samples
    that share a slice, one epoch often draws one or the other. If that matters (adjacent samples
    are near-duplicates, say), `independent=True` gives i.i.d. draws, which have more variance.

    Without replacement, exactly M samples are chosen, sample i with probability proportional to
    w_i; if that would exceed 1, the sample is always chosen and the others share the remaining
    draws. With `max_repeats_per_epoch` = k likewise: sample i is drawn in proportion to w_i, but at
    most k times, and its count is its expected number of draws, rounded up or down. With
    `max_repeats` = R the same holds of its count in a run of E epochs, which is spread over them:
    in each it is drawn at most ceil(R / E) times.

    Parameters
    ----------
    weights : array-like of shape (N,), summed as float64
        Relative weight of each sample, finite and >= 0. A sample of weight 0 is never drawn.
    num_samples : int, default N
        M: draws in one epoch, summed over all ranks.
    replacement : bool, default True
        Whether a sample may be drawn more than once in an epoch.
    independent : bool, default False
        With replacement: whether draws are independent, as in torch's sampler.
    max_repeats_per_epoch : int, optional
        k: no sample is drawn more than k times in an epoch; the others share the remaining draws
        in proportion to their weights. By default there is no limit, and a warning above 50.
    max_repeats : int, optional
        R: no sample is drawn more than R times in the run, instead of in an epoch.
    num_epochs : int, optional
        E: number of epochs in the run, for `max_repeats` and `progress`.
    **options
        The options of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite (the message names the row), or all are 0; if M
        exceeds the samples of positive weight without replacement, or k times as many, or M E is
        more than R times as many; if a limit is given with `independent`, both limits, or
        `max_repeats_per_epoch` without replacement; if objective="original" and a weight is 0; from
        `set_epoch`, at the end of a run with `max_repeats`.

    Notes
    -----
    Order
        A pure function of (weights, M, seed, epoch). With replacement any position is computed
        directly; without, or with a limit, the first pass after `set_epoch` takes O(N). With
        `max_repeats` the draws of the run are made at the start, and every E-th is an epoch.
    Cost
        With replacement O(N) once and O(1) a draw, 10 N bytes, or 4.8 N from 2**27 samples on; the
        weights given are not kept. Without, or with a limit: O(N) an epoch, 8 N + 4 M bytes.
    Gradients
        Drawing by weight changes the objective, which is the default here (objective="sampled").
        "original" multiplies by 1 / (N p), which restores the mean loss over the data in
        expectation.
    Source
        With replacement: stratified sampling. Without: Madow, Annals of Mathematical Statistics 20
        (1949), in a new random order each epoch.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = WeightedSampler([0, 1, 1, 2], num_samples=8, seed=0)
    >>> sampler.set_epoch(3)
    >>> np.bincount(list(sampler))
    array([0, 2, 2, 4])
    >>> sampler = WeightedSampler([1, 1, 1, 97], num_samples=6, max_repeats_per_epoch=3)
    >>> np.bincount(list(sampler))
    array([1, 1, 1, 3])
    >>> sampler = WeightedSampler([1, 1, 1, 97], num_samples=3, max_repeats=4, num_epochs=2)
    >>> np.bincount(np.concatenate([sampler.indices(epoch) for epoch in range(2)])).max()
    np.int64(4)
    """

    covers_dataset = True
    _planned_from = "weights that were set"

    def __init__(
        self,
        weights: ArrayLike,
        num_samples: int | None = None,
        replacement: bool = True,
        *,
        independent: bool = False,
        max_repeats_per_epoch: int | None = None,
        max_repeats: int | None = None,
        num_epochs: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        checked = _check.weights_as_given("weights", weights)
        zeros = checked.size - int(np.count_nonzero(checked))
        draws = checked.size
        if num_samples is not None:
            draws = _check.integer("num_samples", num_samples, 1)
        self.replacement = _check.flag("replacement", replacement)
        self.independent = _check.flag("independent", independent)
        if num_epochs is not None:
            num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self._limit = limit_of(
            max_repeats_per_epoch,
            max_repeats,
            num_epochs,
            replacement=self.replacement,
            independent=self.independent,
        )
        self.max_repeats_per_epoch, self.max_repeats = max_repeats_per_epoch, max_repeats
        self.num_epochs = num_epochs
        if self._limit is None:
            cumulative = Cumulative.of_checked(checked)
            note_heaviest(checked, draws, cumulative.total)
            self._source = _Source(zeros, cumulative)
        else:
            seed, values = _check.seed(options.get("seed", 0)), np.array(checked, np.float64)
            self._source = _Source(zeros, Limited(values, draws, self._limit, seed, "weighted"))
        super().__init__(checked.size, draws, **options)

    @told
    def set_weights(self, weights: ArrayLike) -> None:
        """Set other weights, from the next `set_epoch` on; call it on every rank.

        From then on the sampler is dynamic: only the planned epoch is known, and a full state holds
        8 N bytes of weights for its plan, so that a sampler made with any weights can resume it.

        Parameters
        ----------
        weights : float array-like of shape (N,)
            As in the constructor, and equal on every rank.

        Raises
        ------
        ValueError
            If the weights would be refused by the constructor; the sampler is then unchanged.

        Examples
        --------
        >>> sampler = WeightedSampler([1, 1, 1, 1])
        >>> sampler.set_weights([0, 0, 1, 1])
        >>> sampler.set_epoch(1)
        >>> sorted(sampler)
        [2, 2, 3, 3]
        """
        refuse_replacing("set_weights", self.max_repeats)
        checked = _check.weights_as_given("weights", weights)
        _check.same_length("weights", checked, "the first weights", self.size)
        zeros = checked.size - int(np.count_nonzero(checked))
        if zeros and self.objective == "original":
            raise ValueError(f"weights must be > 0 for objective='original', got {zeros} zeros")
        if self._limit is None:
            values = np.cumsum(checked, dtype=np.float64)
            note_heaviest(checked, self.num_samples, float(values[-1]))
        else:
            values = self._limited(np.array(checked, np.float64)).weights
        self._replace(values)

    def _limited(self, values: Floats) -> Limited:
        return Limited(values, self.num_samples, self._limit or Limit(1), self.seed, "weighted")

    def _source_of(self, values: Floats) -> _Source:
        if self._limit is None:
            zeros = int(np.count_nonzero(np.diff(values, prepend=0.0) == 0))
            return _Source(zeros, Cumulative.of_sums(values))
        zeros = values.size - int(np.count_nonzero(values))
        return _Source(zeros, self._limited(values))

    def _values_of(self, source: _Source) -> Floats:
        drawn = source.drawn
        return drawn.sums if isinstance(drawn, Cumulative) else drawn.weights

    def _before_plan(self, epoch: int) -> None:
        if self._limit is not None:
            self._limit.check_epoch(epoch)
        super()._before_plan(epoch)

    def _drawn_from(self, source: _Source, epoch: int) -> DrawTable:
        if not isinstance(source.drawn, Cumulative):
            return source.drawn.table(epoch)
        key = _rng.key(self.seed, epoch, "weighted")
        return WeightedTable(source.drawn, self.num_samples, key, independent=self.independent)

    def why_biased(self, epoch: int) -> str:
        zeros = self._source.zeros
        if zeros:
            return f"{zeros} of {self.size} weights are 0, and those samples are never drawn"
        return ""

    def identity(self) -> dict[str, object]:
        own: dict[str, object] = {
            "replacement": self.replacement,
            "independent": self.independent,
        }
        if self.max_repeats_per_epoch is not None:
            own["max_repeats_per_epoch"] = self.max_repeats_per_epoch
        if self.max_repeats is not None:
            own |= {"max_repeats": self.max_repeats, "num_epochs": self.num_epochs}
        if self.dynamic:  # states hold the weights
            return own
        drawn = self._source.drawn
        if isinstance(drawn, Cumulative):
            return {"running sum from weights": drawn.digest(), **own}
        return {"weights": drawn.weights, **own}


@dataclass(frozen=True)
class _Source:
    """What draws by the weights, a running sum or under a limit, and the number of zeros."""

    zeros: int
    drawn: Cumulative | Limited


def note_heaviest(weights: NDArray[Any], draws: int, total: float) -> None:
    """Warn if the sample of the largest weight (N,) is drawn very often."""
    heaviest = int(np.argmax(weights))
    uses = draws * float(weights[heaviest]) / total
    note_repeats(uses, draws / weights.size, f"sample {heaviest}")
