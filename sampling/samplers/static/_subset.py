"""Training on a fixed subset of the data. A new subset in every round: `RepeatedSubsetSampler`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import Text, told
from ...record import Selection
from ...types import Floats, Indices
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ListTable


@told
class SubsetSampler(EpochSampler):
    """Shuffle a chosen subset, with the weights of a selection.

    `torch.utils.data.SubsetRandomSampler` takes indices only; this sampler also takes a
    `Selection`, and `reduce` then applies its weights. If the subset should change in every epoch,
    `RepeatedSubsetSampler` does better at the same cost.

    Parameters
    ----------
    selection : Selection, or int array of shape (n,)
        Dataset indices, without repeats. A selection that knows the number of rows that it was made
        from is refused by `TensorLoader` and the framework integrations for a dataset of another
        length, and reported by `check_loader`.
    **options
        The options of every sampler: see `EpochSampler`. `objective` defaults to "original" for a
        `Selection` with weights and to "sampled" otherwise.

    Raises
    ------
    ValueError
        If an index is negative or repeated, or the weights are not finite, negative, all 0 or
        of another length. The message names the row.

    Notes
    -----
    Order
        A shuffle of the n chosen samples for each (seed, epoch).
    Cost
        8 n bytes (16 n with weights, and O(log n) for each weight).
    Gradients
        objective="original" multiplies by the selection's weights, rescaled to mean 1 over the
        subset. The N of `importance_weights` is the size of the subset: they are 1.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = SubsetSampler(Selection(np.array([7, 3]), weights=np.array([30.0, 10.0])))
    >>> sorted(sampler), sampler.weights_for([3, 7])
    ([3, 7], array([0.5, 1.5], dtype=float32))
    """

    _option_defaults = {"objective": Text("<'original' with weights, else 'sampled'>")}

    def __init__(self, selection: Selection | ArrayLike, **options: Unpack[EpochOptions]) -> None:
        weights: ArrayLike | None = None
        indices: ArrayLike = selection
        if isinstance(selection, Selection):
            indices, weights = selection.indices, selection.weights
            self.selected_from = selection.size
        self._samples = _check.unique_rows("indices", indices).copy()
        self._sorted = np.sort(self._samples)
        self._weights: NDArray[np.float64] | None = None
        if weights is not None:
            checked = _check.weights("weights", weights)
            _check.same_length("weights", checked, "indices", self._samples.size)
            self._weights = (checked / checked.mean())[np.argsort(self._samples)]
            options.setdefault("objective", "original")
        super().__init__(int(self._sorted[-1]) + 1, self._samples.size, **options)

    def table(self, epoch: int) -> DrawTable:
        even = self._weights is None and self._sorted.size == self.size
        return SubsetTable(self._samples, self._drawn, self._weights_of, even=even)

    def _drawn(self, rows: Indices) -> NDArray[np.float64]:
        here: NDArray[np.bool_] = self._sorted[self._places(rows)] == rows
        return here.astype(np.float64)

    def _places(self, rows: Indices) -> Indices:
        return np.minimum(np.searchsorted(self._sorted, rows), self._sorted.size - 1)

    def _weights_of(self, rows: Indices) -> NDArray[np.float64]:
        if self._weights is None:
            return np.ones(rows.size)
        return self._weights[self._places(rows)]

    def identity(self) -> dict[str, object]:
        found: dict[str, object] = {"selection": self._samples}
        if self._weights is not None:
            found["weights from selection"] = self._weights
        return found


class SubsetTable(ListTable):
    """The samples of a subset, with its weights."""

    def __init__(
        self,
        samples: Indices,
        expected: Callable[[Indices], Floats],
        weights: Callable[[Indices], Floats],
        *,
        even: bool,
    ) -> None:
        super().__init__(samples, samples.size, expected, even=even)
        self._weights = weights

    def weights(self, indices: Indices) -> Floats:
        """See `DrawTable`: those of the selection."""
        return self._weights(indices)
