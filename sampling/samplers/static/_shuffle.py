"""Shuffling in O(1) memory. To shuffle a subset of the data: `SubsetSampler`."""

from collections.abc import Sized

from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ShuffledTable


@told
class ShuffleSampler(EpochSampler):
    """Shuffle a dataset of any size without storing the order.

    Drop-in replacement for `torch.utils.data.RandomSampler` and `DistributedSampler`, which build a
    list of N Python ints in every epoch (on every rank), seed with seed + epoch, and cannot resume.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_samples : int, default N
        Draws in one epoch, summed over all ranks. If fewer than N, each epoch is a new random
        subset; if more, the order continues with further shuffles, so counts differ by at most one.
    **options
        `seed`, `num_replicas`, `rank`, `drop_last`, ... of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If N or `num_samples` is less than 1.

    Notes
    -----
    Order
        A keyed permutation of range(N) for each (seed, epoch): exactly uniform up to N = 65,536, a
        Feistel network above.
    Cost
        O(1) memory and set-up, O(1) a draw, at any position.
    Gradients
        Those of plain training; all weights are 1.
    Source
        Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.

    Examples
    --------
    >>> sampler = ShuffleSampler(6, seed=0)
    >>> sorted(sampler) == list(range(6))
    True
    >>> len(ShuffleSampler(10**12, num_replicas=8, rank=3))
    125000000000
    """

    covers_dataset = True

    def __init__(
        self,
        data_source: int | Sized,
        num_samples: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        size = self._size_of("data_source", data_source)
        draws = size if num_samples is None else _check.integer("num_samples", num_samples, 1)
        super().__init__(size, draws, **options)

    def table(self, epoch: int) -> DrawTable:
        return ShuffledTable(self.size, self.num_samples, _rng.key(self.seed, epoch, "shuffle"))
