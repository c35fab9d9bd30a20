"""What all batch samplers of pairs share: anchors, their partners, and how they lie in a batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ...types import Floats, Indices, Packed
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._repeats import note_repeats
from ..core._tables import DrawTable, ListTable
from ..static._weighted import WeightedSampler
from ._epoch_batches import BlockBatchSampler, BlockSampler

Missing = Literal["random", "self", "skip", "raise"]

_REMEDY = "partners that more samples share, by another rule, table or shares, are repeated less"


class PairSource(BlockSampler):
    """The draws of a batch sampler of pairs: a pass over the anchors, each with its partners."""

    covers_dataset = True

    def __init__(
        self,
        size: int,
        anchors: int,
        pairs_per_batch: int,
        partners: int,
        **options: Unpack[EpochOptions],
    ) -> None:
        # anchors : their number in a pass, of which `drop_last` may exclude some
        self.pairs_per_batch = _check.integer("pairs_per_batch", pairs_per_batch, 1)
        self.partners = partners
        self._drop_last = _check.flag("drop_last", options.get("drop_last", False))
        whole, over = divmod(anchors, self.pairs_per_batch)
        self.num_batches = whole + int(over > 0 and not self._drop_last)
        if self.num_batches == 0:
            raise ValueError(
                f"pairs_per_batch must be at most {anchors}, the number of anchors, with "
                f"drop_last=True, got {self.pairs_per_batch}: no batch would be left"
            )
        self.num_anchors = anchors
        self.num_pairs = min(anchors, self.num_batches * self.pairs_per_batch)
        super().__init__(size, self.num_pairs * (1 + partners), **options)

    @property
    def short(self) -> bool:
        """Whether the last batch is short."""
        return self.num_pairs % self.pairs_per_batch > 0

    @abstractmethod
    def expected(self) -> Floats:
        """Return the expected draws of each sample in a whole pass, in both roles: (N,)."""

    def share(self) -> Floats:
        """Return the expected draws of each sample in an epoch: (N,)."""
        return self.expected() * (self.num_pairs / self.num_anchors)

    def _order(self, epoch: int) -> Indices:
        """Return the numbers of the anchors of an epoch, shuffled."""
        shuffle = Permutation(self.num_anchors, _rng.key(self.seed, epoch, "pair anchors"))
        return shuffle(np.arange(self.num_pairs))

    def _laid(
        self,
        anchors: Packed,
        partners: Packed,
        population: int,
        expected: Callable[[Indices], Floats],
    ) -> DrawTable:
        """Return the draw table of anchors (pairs,) and partners (m, pairs)."""
        ends = np.minimum(np.arange(self.num_batches + 1) * self.pairs_per_batch, self.num_pairs)
        return ListTable(
            lay_pairs(anchors, partners, self.pairs_per_batch),
            population,
            expected,
            ordered=True,
            cuts=ends * (1 + self.partners),
        )

    def identity(self) -> dict[str, object]:
        return {"pairs_per_batch": self.pairs_per_batch, "drop_last": self._drop_last}


class PairBatches(BlockBatchSampler):
    """Base class of batch samplers of pairs: in each batch the anchors are first."""

    sampler: PairSource

    def __init__(self, source: PairSource) -> None:
        self.pairs_per_batch = source.pairs_per_batch
        self.partners = source.partners
        uses = source.share()
        often = int(uses.argmax())
        average = source.num_samples / source.size
        note_repeats(float(uses[often]), average, f"sample {often}", _REMEDY)
        super().__init__(
            source, None if source.short else self.pairs_per_batch * (1 + self.partners)
        )

    def resample_equivalent(self, **options: Unpack[EpochOptions]) -> WeightedSampler:
        """Return a sampler that draws single samples as often as the pairs do, without mixing.

        It is the control of selective mixup: much of what the choice of partners achieves may come
        from the shift of classes and domains that it causes, and not from the mixing. (The other
        control is to train on all samples of a batch of pairs, unmixed.)

        Parameters
        ----------
        **options
            The options of every sampler; seed and ranks are by default those of this one.

        Returns
        -------
        WeightedSampler
            One draw for each pair. Weights are the expected draws of a sample as anchor or partner.
        """
        own = self.sampler
        known: Any = {"seed": own.seed, "num_replicas": own.num_replicas, "rank": own.rank}
        return WeightedSampler(own.share(), own.num_pairs, **{**known, **options})


def lay_pairs(anchors: Packed, partners: Packed, width: int) -> Packed:
    """Return the draws batch by batch: its anchors, then each anchor's first partner, ...

    (pairs,), (m, pairs) -> (pairs (1 + m),); `width` pairs a batch, fewer in the last
    """
    both: NDArray[Any] = np.concatenate([anchors[None], partners])
    whole = anchors.size // width * width
    first = both[:, :whole].reshape(len(both), -1, width).swapaxes(0, 1)
    return np.concatenate([first.reshape(-1), both[:, whole:].reshape(-1)])


def check_missing(word: str) -> str:
    """Return what to do with a sample that has no partner."""
    return _check.choice("on_missing", word, get_args(Missing))


def refuse_missing(rows: Indices, remedy: str) -> None:
    """Raise if a sample has no partner; name the first."""
    if rows.size:
        raise ValueError(
            f"every sample must have a partner, got none for sample {rows[0]} ({rows.size} such "
            f"samples): {remedy}"
        )
