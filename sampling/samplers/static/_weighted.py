"""WeightedTable draws: stratified with replacement, or a fixed number without."""

from collections.abc import Mapping
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
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ListTable, WeightedTable


@told
class WeightedSampler(EpochSampler):
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
    draws.

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
    **options
        The options of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite (the message names the row), or all are 0; if M
        exceeds the samples of positive weight without replacement; if objective="original" and a
        weight is 0.

    Notes
    -----
    Order
        A pure function of (weights, M, seed, epoch). With replacement any position is computed
        directly; without, the first pass after `set_epoch` takes O(N).
    Cost
        With replacement O(N) once and O(1) a draw, 10 N bytes, or 4.8 N from 2**27 samples on; the
        weights given are not kept. Without: O(N) an epoch, 8 N + 4 M bytes.
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
    """

    covers_dataset = True

    def __init__(
        self,
        weights: ArrayLike,
        num_samples: int | None = None,
        replacement: bool = True,
        *,
        independent: bool = False,
        **options: Unpack[EpochOptions],
    ) -> None:
        checked = _check.weights_as_given("weights", weights)
        draws = checked.size
        if num_samples is not None:
            draws = _check.integer("num_samples", num_samples, 1)
        self.replacement = _check.flag("replacement", replacement)
        self.independent = _check.flag("independent", independent)
        self._zeros = checked.size - int(np.count_nonzero(checked))
        if self.replacement:
            self._cumulative = Cumulative.of_checked(checked)
        else:
            self._weights, self._scale = certain_or_scaled(np.array(checked, np.float64), draws)
        super().__init__(checked.size, draws, **options)

    def table(self, epoch: int) -> DrawTable:
        if self.replacement:
            key = _rng.key(self.seed, epoch, "weighted")
            return WeightedTable(
                self._cumulative, self.num_samples, key, independent=self.independent
            )
        key = _rng.key(self.seed, epoch, "weighted order")
        offset = _rng.uniform(_rng.key(self.seed, epoch, "weighted offset"))
        return Distinct(self._weights, self._scale, self.num_samples, key, offset)

    def why_biased(self, epoch: int) -> str:
        if self._zeros:
            return f"{self._zeros} of {self.size} weights are 0, and those samples are never drawn"
        return ""

    def identity(self) -> dict[str, object]:
        own = {"replacement": self.replacement, "independent": self.independent}
        if self.replacement:
            return {"running sum from weights": self._cumulative.digest(), **own}
        return {"weights": self._weights, **own}


class Distinct(ListTable):
    """M distinct samples, sample i with probability min(1, scale * w_i)."""

    def __init__(
        self, weights: Floats, scale: float, draws: int, key: np.uint64, offset: float
    ) -> None:
        self._chances, self._scale, self._key, self._offset = weights, scale, key, offset
        chosen = np.empty(draws, np.int32 if weights.size < 2**31 else np.int64)
        drawn = _draw.systematic(weights, scale, key, offset, chosen)
        if drawn != draws:  # they sum to it but for rounding
            raise RuntimeError(f"drew {drawn} samples of {draws}: the chances do not add up")
        super().__init__(chosen, weights.size, self._inclusion)

    def _inclusion(self, rows: Indices) -> Floats:
        with np.errstate(over="ignore"):
            return np.minimum(1.0, self._scale * self._chances[rows])

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        return {
            "chances": self._chances,
            "numbers": np.array([self._scale, self._offset]),
            "words": np.array([self.size, self._key], np.uint64),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> "Distinct":
        """See `DrawTable`."""
        chances = check_array(arrays, "chances", np.float64, size)
        scale, offset = check_array(arrays, "numbers", np.float64, 2).tolist()
        draws, key = check_array(arrays, "words", np.uint64, 2)
        return cls(chances.copy(), scale, int(draws), key, offset)
