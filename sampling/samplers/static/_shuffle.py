"""Shuffling in O(1) memory. To shuffle a subset of the data: `SubsetSampler`."""

from __future__ import annotations

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
    num_repeats : int, default 1
        How often a sample comes, one time after the other: in the same batch, or on different ranks
        in the same step. For repeated augmentation, where the copies of a sample are augmented
        differently. `num_samples` stays N: an epoch then holds N / num_repeats different samples.
    **options
        `seed`, `num_replicas`, `rank`, `drop_last`, ... of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If N, `num_samples` or `num_repeats` is less than 1.

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
        Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002. Repeats: Hoffer et
        al., "Augment your batch", CVPR 2020; Berman et al., "MultiGrain", 2019.

    Examples
    --------
    >>> sampler = ShuffleSampler(6, seed=0)
    >>> sorted(sampler) == list(range(6))
    True
    >>> len(ShuffleSampler(10**12, num_replicas=8, rank=3))
    125000000000
    >>> list(ShuffleSampler(6, num_repeats=3))
    [3, 3, 3, 2, 2, 2]
    """

    covers_dataset = True

    def __init__(
        self,
        data_source: int | Sized,
        num_samples: int | None = None,
        *,
        num_repeats: int = 1,
        **options: Unpack[EpochOptions],
    ) -> None:
        size = self._size_of("data_source", data_source)
        draws = size if num_samples is None else _check.integer("num_samples", num_samples, 1)
        self.num_repeats = _check.integer("num_repeats", num_repeats, 1)
        super().__init__(size, draws, **options)

    def table(self, epoch: int) -> DrawTable:
        key = _rng.key(self.seed, epoch, "shuffle")
        return ShuffledTable(self.size, self.num_samples, key, self.num_repeats)

    def identity(self) -> dict[str, object]:
        return {} if self.num_repeats == 1 else {"num_repeats": self.num_repeats}
