"""P classes with K samples each in every batch. Classes in chosen shares: `_class_balanced.py`."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...kernels import _blocks, _groups
from ...types import Floats, Indices, Packed
from ..core._groups import Groups, Unlabeled
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._repeats import note_repeats
from ..core._tables import DrawTable, ListTable
from ..static._cluster_clip import WaterLevel
from ._epoch_batches import BlockBatchSampler, BlockSampler

FewClasses: TypeAlias = Literal["raise", "drop"]

_PURPOSES = ("rest", "order", "mix")
_REMEDY = "num_batches makes epochs shorter"


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
    outer : int or str array-like of shape (N,), optional
        A larger group of each sample: its patient, document, camera. The classes of a batch are
        then of one outer group, so that no pair of the batch crosses two. A sample without one is
        treated as one without a class.
    few_classes : {"raise", "drop"}, default "raise"
        What to do with outer groups of fewer than P classes: refuse them, or never draw them.
        Ignored without `outer`.
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
        If there are fewer than P classes, in all or in an outer group, or no sample is labelled.

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
        to fill its batches. With `outer` all this holds within each outer group, and a pass has the
        batches of all, in random order.
    Cost
        8 N bytes, 4 M a pass and (4 + 32 / K) M more during planning; O(N) once, O(N + M log M)
        a pass. With `num_batches` the last pass is held, and an epoch inside it takes O(M).
        Each outer group takes about 0.1 ms a pass.
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
        outer: ArrayLike | None = None,
        few_classes: FewClasses = "raise",
        **options: Unpack[EpochOptions],
    ) -> None:
        width = _check.integer("classes_per_batch", classes_per_batch, 1)
        few = _check.choice("few_classes", few_classes, get_args(FewClasses))
        classes = Groups("labels", labels, unlabeled)
        inner: tuple[Groups, Indices | None] = classes, None
        if outer is not None:
            inner = _inside(classes, Groups("outer", outer, unlabeled), width, few)
        elif width > len(classes):
            raise ValueError(
                f"classes_per_batch must be at most the number of classes, {len(classes)}, got "
                f"{width}"
            )
        blocks = ClassBlocks(*inner, width, samples_per_class, num_batches, **options)
        self.classes_per_batch = blocks.classes_per_batch
        self.samples_per_class = blocks.samples_per_class
        super().__init__(blocks, self.classes_per_batch * self.samples_per_class)


class ClassBlocks(BlockSampler):
    """The draws of `ClassesPerBatchSampler`, batch by batch."""

    covers_dataset = True

    def __init__(
        self,
        groups: Groups,
        edges: Indices | None,
        classes_per_batch: int,
        samples_per_class: int,
        num_batches: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        # groups : of one class, and of one outer group if there are any
        # edges  : (outer groups + 1,), the first of each outer group, and their number
        self._groups, self._edges = groups, edges
        width = self.classes_per_batch = classes_per_batch
        self.samples_per_class = _check.integer("samples_per_class", samples_per_class, 1)
        needed = -(-groups.sizes // self.samples_per_class)
        self._needed = needed
        bounds = [0, needed.size] if edges is None else edges.tolist()
        self._spans = [_Span(needed, width, *span) for span in pairwise(bounds)]
        self._whole = sum(span.batches for span in self._spans)
        self.num_batches = self._whole
        if num_batches is not None:
            self.num_batches = _check.integer("num_batches", num_batches, 1)
        self._held: tuple[int, Packed, Floats] | None = None  # a pass of which epochs are parts
        draws = self.num_batches * width * self.samples_per_class
        self._note_repeats(draws)
        super().__init__(groups.codes.size, draws, **options)

    def _note_repeats(self, draws: int) -> None:
        groups = self._groups
        blocks = np.concatenate([span.least for span in self._spans])
        uses = blocks * self.samples_per_class * (self.num_batches / self._whole) / groups.sizes
        often = int(uses.argmax())
        who = "a class of an outer group"
        if self._edges is None:
            who = f"class {groups.names[often]}"
        who = f"each of the {groups.sizes[often]} samples of {who}"
        note_repeats(uses[often], draws / groups.num_labeled, who, _REMEDY)

    def _schedule(self, turn: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the classes of each batch of a pass, (batches, P), and each class's batches."""
        if self._edges is None:
            span = self._spans[0]
            keys = [_rng.key(self.seed, turn, f"class blocks {word}") for word in _PURPOSES]
            blocks = span.blocks(keys[0])
            return span.schedule(blocks, keys[1], keys[2]), blocks
        key = _rng.key(self.seed, turn, "class blocks outer")
        found, counts = [], []
        for number, span in enumerate(self._spans):
            keys = [_rng.subkey(_rng.subkey(key, number + 1), purpose) for purpose in range(3)]
            counts.append(span.blocks(keys[0]))
            found.append(span.schedule(counts[-1], keys[1], keys[2]) + span.first)
        order = Permutation(self._whole, _rng.subkey(key, 0))(np.arange(self._whole))
        return np.concatenate(found)[order], np.concatenate(counts)

    def _passed(self, turn: int) -> tuple[Packed, Floats]:
        """Return the samples of a pass, int (batches, P K), and the draws of each class, (C,)."""
        if self._held is not None and self._held[0] == turn:
            return self._held[1:]
        groups, block = self._groups, self.samples_per_class
        batches, blocks = self._schedule(turn)
        schedule = batches.reshape(-1)
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
        outer = {} if self._edges is None else {"outer": self._edges}
        return {
            **outer,
            "labels": self._groups.codes,
            "classes_per_batch": self.classes_per_batch,
            "samples_per_class": self.samples_per_class,
            "num_batches": self.num_batches,
        }


class _Span:
    """The classes that may share a batch: all, or those of an outer group."""

    def __init__(self, needed: Indices, width: int, first: int, stop: int) -> None:
        # needed : (C,), blocks that hold every sample of a class
        self.first, self._width = first, width
        self._needed = needed[first:stop]
        self._sum = int(self._needed.sum())
        self.batches = max(int(self._needed.max()), -(-self._sum // width))
        self._room = WaterLevel(self.batches - self._needed)

    @property
    def least(self) -> Indices:
        """Batches of each class in a pass, to which chance adds one for some: int64 (C,)."""
        level, _ = self._room.at(self.batches * self._width - self._sum)
        least: Indices = self._needed + np.minimum(self._room.caps, level)
        return least

    def blocks(self, key: np.uint64) -> NDArray[np.int64]:
        """Return the batches of each class in a pass: int64 (C,), summing to P times all."""
        level, rest = self._room.at(self.batches * self._width - self._sum)
        blocks = self.least
        takers = np.flatnonzero(self._room.caps > level)
        blocks[takers[Permutation(takers.size, key)(np.arange(rest))]] += 1
        return blocks

    def schedule(
        self, blocks: NDArray[np.int64], key: np.uint64, mix: np.uint64
    ) -> NDArray[np.int64]:
        """Return the classes of each batch of a pass: int64 (batches, P)."""
        count = self.batches
        order = Permutation(blocks.size, key)(np.arange(blocks.size))
        # Fill the batches class by class, in cyclic order: no class is twice in a batch.
        row = np.repeat(order, blocks[order])
        batches = np.ascontiguousarray(row.reshape(self._width, count).T)
        # Each sweep randomizes half of the initial assignments that remain. After 12, 1 in 4,000 of
        # them remains; with many batches chance is smaller than that, and half their logarithm and
        # 5 leave 1/1000 of it.
        sweeps = max(12, count.bit_length() // 2 + 5)
        _blocks.mix_batches(batches, blocks.size, sweeps, mix)
        return batches


def _inside(classes: Groups, outer: Groups, width: int, few: str) -> tuple[Groups, Indices]:
    """Return the groups of one class and one outer group, by outer group, and its first ones.

    few : whether outer groups with fewer than `width` classes are refused or dropped
    """
    _check.same_length("outer", outer.codes, "labels", classes.codes.size)
    count = len(classes)
    known = (classes.codes >= 0) & (outer.codes >= 0)
    cells = np.where(known, outer.codes.astype(np.int64) * count + classes.codes, -1)
    held = np.bincount(np.unique(cells[known]) // count, minlength=len(outer))
    small = held < width
    if few == "raise" and (small & (held > 0)).any():
        first = int(np.flatnonzero(small & (held > 0))[0])
        raise ValueError(
            f"every outer group must have {width} classes or more, got {held[first]} in "
            f"{_labels.item(outer.names[first])!r} ({int((small & (held > 0)).sum())} such "
            "groups): use a smaller classes_per_batch, or few_classes='drop'"
        )
    cells[known & small[outer.codes]] = -1
    if (cells < 0).all():
        raise ValueError(
            f"some outer group must have {width} classes or more, got at most {held.max()}: use a "
            "smaller classes_per_batch"
        )
    groups = Groups("outer", cells)
    of = groups.names.astype(np.int64) // count
    return groups, np.append(np.flatnonzero(np.diff(of, prepend=-1)), len(groups))
