"""Draws by weight: stratified with replacement, or each sample a limited number of times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ..._inclusion import certain_or_scaled
from ...kernels import _draw
from ...types import Floats, Indices
from ..core._arrays import Arrays, check_array
from ..core._cumulative import Cumulative
from ..core._options import EpochOptions
from ..core._repeats import note_repeats
from ..core._replaceable import ReplaceableSampler
from ..core._tables import DrawTable, ListTable, WeightedTable


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
    most k times, and its count is its expected number of draws, rounded up or down.

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
    **options
        The options of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite (the message names the row), or all are 0; if M
        exceeds the samples of positive weight without replacement, or k times as many; if
        `max_repeats_per_epoch` is given with `independent` or without replacement; if
        objective="original" and a weight is 0.

    Notes
    -----
    Order
        A pure function of (weights, M, seed, epoch). With replacement any position is computed
        directly; without, or with a limit, the first pass after `set_epoch` takes O(N).
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
    """

    covers_dataset = True

    def __init__(
        self,
        weights: ArrayLike,
        num_samples: int | None = None,
        replacement: bool = True,
        *,
        independent: bool = False,
        max_repeats_per_epoch: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        checked = _check.weights_as_given("weights", weights)
        zeros = checked.size - int(np.count_nonzero(checked))
        draws = checked.size
        if num_samples is not None:
            draws = _check.integer("num_samples", num_samples, 1)
        self.replacement = _check.flag("replacement", replacement)
        self.independent = _check.flag("independent", independent)
        self._limit = limit_of(max_repeats_per_epoch, self.replacement, self.independent)
        self.max_repeats_per_epoch = max_repeats_per_epoch
        if self._limit is None:
            cumulative = Cumulative.of_checked(checked)
            note_heaviest(checked, draws, cumulative.total)
            self._source = _Source(zeros, cumulative)
        else:
            found = certain_or_scaled(np.array(checked, np.float64), draws, self._limit)
            self._source = _Source(zeros, *found)
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
        checked = _check.weights_as_given("weights", weights)
        _check.same_length("weights", checked, "the first weights", self.size)
        zeros = checked.size - int(np.count_nonzero(checked))
        if zeros and self.objective == "original":
            raise ValueError(f"weights must be > 0 for objective='original', got {zeros} zeros")
        if self._limit is None:
            values = np.cumsum(checked, dtype=np.float64)
            note_heaviest(checked, self.num_samples, float(values[-1]))
        else:
            values = np.array(checked, np.float64)
            values = certain_or_scaled(values, self.num_samples, self._limit)[0]
        self._replace(values)

    def _source_of(self, values: Floats) -> _Source:
        if self._limit is None:
            zeros = int(np.count_nonzero(np.diff(values, prepend=0.0) == 0))
            return _Source(zeros, Cumulative.of_sums(values))
        found = certain_or_scaled(values, self.num_samples, self._limit)
        return _Source(values.size - int(np.count_nonzero(values)), *found)

    def _values_of(self, source: _Source) -> Floats:
        weights = source.weights
        return weights.sums if isinstance(weights, Cumulative) else weights

    def _drawn_from(self, source: _Source, epoch: int) -> DrawTable:
        weights = source.weights
        if isinstance(weights, Cumulative):
            key = _rng.key(self.seed, epoch, "weighted")
            return WeightedTable(weights, self.num_samples, key, independent=self.independent)
        key = _rng.key(self.seed, epoch, "weighted order")
        offset = _rng.uniform(_rng.key(self.seed, epoch, "weighted offset"))
        limit = self._limit or 1
        return LimitedTable(weights, source.scale, self.num_samples, key, offset, limit)

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
        if self.dynamic:  # states hold the weights
            return own
        weights = self._source.weights
        if isinstance(weights, Cumulative):
            return {"running sum from weights": weights.digest(), **own}
        return {"weights": weights, **own}


@dataclass(frozen=True)
class _Source:
    """The weights (N,), as a running sum or with the scale of `LimitedTable`, and their zeros."""

    zeros: int
    weights: Cumulative | Floats
    scale: float = 1.0


def note_heaviest(weights: NDArray[Any], draws: int, total: float) -> None:
    """Warn if the sample of the largest weight (N,) is drawn very often."""
    heaviest = int(np.argmax(weights))
    uses = draws * float(weights[heaviest]) / total
    note_repeats(uses, draws / weights.size, f"sample {heaviest}")


class LimitedTable(ListTable):
    """M draws, sample i floor or ceil of most * min(1, scale * w_i) times.

    With most = 1: M distinct samples, sample i with probability min(1, scale * w_i).
    """

    def __init__(  # noqa: PLR0913  # what a state holds
        self,
        weights: Floats,
        scale: float,
        draws: int,
        key: np.uint64,
        offset: float,
        most: int = 1,
    ) -> None:
        self._chances, self._scale, self._key, self._offset = weights, scale, key, offset
        self._most = most
        dtype = np.int32 if weights.size < 2**31 else np.int64
        samples = np.empty(draws, dtype)
        certain = 0  # draws that are not left to chance; a last one may be
        if most > 1:
            expected = self._times(np.arange(weights.size))
            times = np.maximum(np.ceil(expected) - 1.0, 0.0).astype(np.int64)
            certain = int(times.sum())
            samples[:certain] = np.repeat(np.arange(weights.size, dtype=dtype), times)
            weights, scale = expected - times, 1.0
        drawn = certain + _draw.systematic(weights, scale, key, offset, samples[certain:])
        if drawn != draws:  # they sum to it but for rounding
            raise RuntimeError(f"drew {drawn} samples of {draws}: the chances do not add up")
        super().__init__(samples, weights.size, self._times)

    def _times(self, rows: Indices) -> Floats:
        with np.errstate(over="ignore"):
            return self._most * np.minimum(1.0, self._scale * self._chances[rows])

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        return {
            "chances": self._chances,
            "numbers": np.array([self._scale, self._offset]),
            "words": np.array([self.size, self._key, self._most], np.uint64),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> LimitedTable:
        """See `DrawTable`."""
        chances = check_array(arrays, "chances", np.float64, size)
        scale, offset = check_array(arrays, "numbers", np.float64, 2).tolist()
        draws, key, most = check_array(arrays, "words", np.uint64, 3)
        return cls(chances.copy(), scale, int(draws), key, offset, int(most))


def limit_of(most: int | None, replacement: bool, independent: bool) -> int | None:
    """Check `max_repeats_per_epoch`; return how often a sample may be drawn in an epoch.

    None without a limit, 1 without replacement.
    """
    if most is None:
        return None if replacement else 1
    most = _check.integer("max_repeats_per_epoch", most, 1)
    if not replacement:
        raise ValueError(
            "max_repeats_per_epoch must not be given without replacement, where no sample is "
            f"repeated, got {most}"
        )
    if independent:
        raise ValueError(
            "max_repeats_per_epoch must not be given with independent=True: the number of "
            f"independent draws of a sample has no limit; got {most}"
        )
    return most
