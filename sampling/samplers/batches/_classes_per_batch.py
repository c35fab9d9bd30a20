"""P classes with K samples each in every batch. Classes in chosen shares: `_class_balanced.py`."""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels import _blocks, _groups
from ...types import Floats, Packed
from ..core._groups import Groups, Unlabeled
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._tables import DrawTable, ListTable
from ..static._cluster_clip import WaterLevel
from ._epoch_batches import BlockBatchSampler, BlockSampler


@told
class ClassesPerBatchSampler(BlockBatchSampler):
    """Fill every batch with P classes and K samples of each, and draw every sample in each epoch.

    For losses that compare the samples of a batch: triplet, contrastive, prototypical. Every batch
    holds exactly P distinct classes, and every epoch holds every labelled sample. Common samplers
    of this kind draw classes and samples independently for each batch, so that an epoch of N draws
    contains 63 % of the samples of a balanced dataset. For class shares without a constraint on
    each batch, use `ClassBalancedSampler`.

    Parameters
    ----------
    labels : int or str array-like of shape (N,)
        Class of each sample; ids need not be contiguous. -1, None or NaN means unlabelled, see
        `unlabeled`.
    classes_per_batch : int
        P, at most the number of classes.
    samples_per_class : int
        K: a batch has P K draws. A class with fewer than K samples repeats them in its block.
    num_batches : int, optional
        Batches of an epoch. By default the fewest that hold every sample, here called a pass; with
        another number the epochs are consecutive parts of passes, one after the other, so that
        short epochs draw every sample in turn.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose class is missing (-1, None, NaN, a null) are never drawn ("drop"), form one
        more class, named -1 ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`. No batch is short, so `drop_last` only
        lets accelerate exclude a last round with fewer batches than processes.

    Attributes
    ----------
    classes_per_batch : int
    samples_per_class : int
    batch_size : int
        P K, draws in a batch.

    Raises
    ------
    ValueError
        If there are fewer than P classes, or no sample is labelled.

    Notes
    -----
    Order
        With q_c = ceil(n_c / K) blocks of K samples needed for class c, a pass has max(max_c q_c,
        ceil(sum_c q_c / P)) batches: the fewest that hold every sample. The remaining blocks are
        shared equally among the classes, as far as no class occurs twice in a batch. Which classes
        share a batch is random: all assignments with the same number of blocks for each class are
        equally likely, up to 1 in 1000. All samples of a class are drawn before one is repeated,
        and no block holds a sample twice if n_c >= K. The samples of a block are adjacent. A class
        with more than about 1/P of the samples determines the length, and the others are repeated
        to fill its batches.
    Cost
        8 N bytes, 4 M a pass and (4 + 32 / K) M more during planning; O(N) once, O(N + M log M)
        a pass. With `num_batches` the last pass is held, and an epoch inside it takes O(M).
    Gradients
        objective="sampled" (default): the mean over the draws, in which small classes have more
        than their natural share. "original" restores the mean over the labelled samples. Losses of
        pairs have no weights.
    Source
        Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017
        (P x K); Strona et al., Nature Communications 5:4114, 2014 (which classes share a batch).

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    >>> batches = ClassesPerBatchSampler(labels, classes_per_batch=2, samples_per_class=2)
    >>> drawn = list(batches)
    >>> [labels[batch].tolist() for batch in drawn]
    [[2, 2, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    >>> sorted({index for batch in drawn for index in batch})
    [0, 1, 2, 3, 4, 5, 6, 7, 8]
    """

    def __init__(
        self,
        labels: ArrayLike,
        classes_per_batch: int,
        samples_per_class: int,
        *,
        num_batches: int | None = None,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        blocks = ClassBlocks(
            labels, classes_per_batch, samples_per_class, num_batches, unlabeled, **options
        )
        self.classes_per_batch = blocks.classes_per_batch
        self.samples_per_class = blocks.samples_per_class
        super().__init__(blocks, self.classes_per_batch * self.samples_per_class)


class ClassBlocks(BlockSampler):
    """The draws of `ClassesPerBatchSampler`, batch by batch."""

    covers_dataset = True

    def __init__(
        self,
        labels: ArrayLike,
        classes_per_batch: int,
        samples_per_class: int,
        num_batches: int | None = None,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        self._groups = Groups("labels", labels, unlabeled)
        classes = len(self._groups)
        width = _check.integer("classes_per_batch", classes_per_batch, 1)
        if width > classes:
            raise ValueError(
                f"classes_per_batch must be at most the number of classes, {classes}, got {width}"
            )
        self.classes_per_batch = width
        self.samples_per_class = _check.integer("samples_per_class", samples_per_class, 1)
        needed = -(-self._groups.sizes // self.samples_per_class)
        self._whole = max(int(needed.max()), -(-int(needed.sum()) // width))  # batches
        self.num_batches = self._whole
        if num_batches is not None:
            self.num_batches = _check.integer("num_batches", num_batches, 1)
        self._held: tuple[int, Packed, Floats] | None = None  # a pass of which epochs are parts
        self._needed = needed
        self._room = WaterLevel(self._whole - needed)
        draws = self.num_batches * width * self.samples_per_class
        super().__init__(self._groups.codes.size, draws, **options)

    def _blocks(self, turn: int) -> NDArray[np.int64]:
        """Return the batches of each class in a pass: int64 (C,), summing to P times all."""
        room = self._room.caps
        over = self._whole * self.classes_per_batch - int(self._needed.sum())
        level, rest = self._room.at(over)
        blocks = self._needed + np.minimum(room, level)
        takers = np.flatnonzero(room > level)
        chosen = Permutation(takers.size, _rng.key(self.seed, turn, "class blocks rest"))
        blocks[takers[chosen(np.arange(rest))]] += 1
        return blocks

    def _batches(self, turn: int, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the classes of each batch of a pass: int64 (batches, P)."""
        count = self._whole
        key = _rng.key(self.seed, turn, "class blocks order")
        order = Permutation(blocks.size, key)(np.arange(blocks.size))
        # Fill the batches class by class, in cyclic order: no class is twice in a batch.
        row = np.repeat(order, blocks[order])
        batches = np.ascontiguousarray(row.reshape(self.classes_per_batch, count).T)
        # Each sweep randomizes half of the initial assignments that remain. After 12, 1 in 4,000 of
        # them remains; with many batches chance is smaller than that, and half their logarithm and
        # 5 leave 1/1000 of it.
        sweeps = max(12, count.bit_length() // 2 + 5)
        key = _rng.key(self.seed, turn, "class blocks mix")
        _blocks.mix_batches(batches, blocks.size, sweeps, key)
        return batches

    def _passed(self, turn: int) -> tuple[Packed, Floats]:
        """Return the samples of a pass, int (batches, P K), and the draws of each class, (C,)."""
        if self._held is not None and self._held[0] == turn:
            return self._held[1:]
        groups, block = self._groups, self.samples_per_class
        blocks = self._blocks(turn)
        schedule = self._batches(turn, blocks).reshape(-1)
        rows = np.empty(schedule.size, np.int64)
        _groups.interleave(schedule, blocks, np.arange(rows.size), rows)
        dealt: Packed = np.empty(schedule.size * block, groups.members.dtype)
        key = _rng.key(self.seed, turn, "class blocks deal")
        draws = blocks * block
        _blocks.deal_blocks(groups.members, groups.starts, draws, block, key, dealt)
        samples = np.take(dealt.reshape(-1, block), rows, axis=0).reshape(self._whole, -1)
        found = samples, draws.astype(np.float64)
        if self.num_batches != self._whole:
            self._held = (turn, *found)
        return found

    def table(self, epoch: int) -> DrawTable:
        parts, drawn = [], np.zeros(len(self._groups))
        at, stop = epoch * self.num_batches, (epoch + 1) * self.num_batches
        while at < stop:
            turn, first = divmod(at, self._whole)
            last = min(self._whole, first + stop - at)
            samples, draws = self._passed(turn)
            parts.append(samples[first:last].reshape(-1))
            drawn += draws * ((last - first) / self._whole)
            at += last - first
        return ListTable(
            parts[0] if len(parts) == 1 else np.concatenate(parts),
            self._groups.num_labeled,
            partial(self._groups.spread, drawn),
            ordered=True,
            cuts=np.arange(self.num_batches + 1)
            * (self.classes_per_batch * self.samples_per_class),
        )

    def identity(self) -> dict[str, object]:
        return {
            "labels": self._groups.codes,
            "classes_per_batch": self.classes_per_batch,
            "samples_per_class": self.samples_per_class,
            "num_batches": self.num_batches,
        }
