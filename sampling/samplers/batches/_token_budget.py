"""Batches of similar lengths within a budget of tokens. Whole groups: `GroupBatchSampler`."""

import math

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels import _blocks
from ...types import Floats, Indices, Packed
from ..core._groups import deal_windows
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._tables import DrawTable, ListTable
from ._epoch_batches import BlockBatchSampler, BlockSampler


@told
class TokenBudgetBatchSampler(BlockBatchSampler):
    """Batch samples of similar length, as many as a budget of tokens allows.

    For text, speech and other samples of different lengths: a batch of n samples padded to the
    longest costs n times that length, and no batch costs more than `max_tokens`. Random batches of
    the same budget spend most of it on padding if lengths vary widely. Every sample is drawn once
    an epoch.

    The number of batches is the same in every epoch, and known before the first: loaders and
    learning-rate schedules may read it once.

    Parameters
    ----------
    lengths : int or float array-like of shape (N,)
        Length of each sample, finite and >= 0: tokens, frames, seconds.
    max_tokens : int or float
        Maximum cost of a batch, in the unit of `lengths`; at least the longest of them.
    max_batch_size : int, optional
        Maximum number of samples in a batch, however short.
    batch_size_multiple : int, default 1
        Sizes of at least this are rounded down to a multiple of it; the last few samples form one
        batch of any size.
    padded : bool, default True
        True: a batch costs n times its longest sample. False: it costs the sum of its lengths, for
        packed or nested tensors; it then contains lengths of all kinds, and all batches have nearly
        equal sums.
    noise : float >= 0, default 0.1
        Samples are shuffled within bands of similar length, whose longest sample is at most
        1 + noise times the shortest. About half of `noise` is lost, to padding or, with
        padded=False, of the budget. 0 shuffles equal lengths only.
    round_size : int, default 8
        Number of consecutive batches of similar length. A multiple of `num_replicas` gives the
        ranks of a step nearly equal cost, also if cost grows faster than length, as that of
        attention does. The order does not depend on the ranks, so choose it for the largest number
        that the run may have. Ignored if not padded.
    longest_first : bool, default False
        Whether epoch 0 begins with the batch of the longest samples, and the other batches of its
        round: a budget that does not fit into memory then fails at once. With padded=True only.
    **options
        The options of every sampler: see `EpochSampler`. Every sample is drawn, so `drop_last` only
        lets accelerate exclude a last round with fewer batches than processes.

    Attributes
    ----------
    batch_size : None
        None because sizes vary.

    Raises
    ------
    ValueError
        If a sample is longer than `max_tokens`, or a length is negative, NaN or infinite: the
        message names the row. If `batch_size_multiple` or `longest_first` is given with
        padded=False.

    Notes
    -----
    Order
        Samples are sorted by length once, and cut into batches. In each epoch the samples of a band
        are permuted at random, rounds of adjacent batches are shuffled, and so are the batches of a
        round. If `round_size` does not divide the number of batches, there is one short round, of
        random lengths, which is drawn last.
    Cost
        O(N log N) once, O(N) an epoch. Holds 4 N bytes (8 N if not padded), 4 N in an epoch, 8 N
        more during planning and up to 45 N during construction.
    Gradients
        Those of plain training on batches of different sizes: with `losses.mean()` a sample of a
        small batch, which is a long one, has more weight; `reduce(..., denominator=d)` with one d
        for all batches corrects that. All weights are 1.

    Examples
    --------
    >>> lengths = [3, 9, 4, 4, 10, 3, 3]
    >>> batches = TokenBudgetBatchSampler(lengths, max_tokens=20, seed=0)
    >>> [[lengths[i] for i in batch] for batch in batches]
    [[10, 9], [4, 4, 3, 3, 3]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        max_tokens: float,
        *,
        max_batch_size: int | None = None,
        batch_size_multiple: int = 1,
        padded: bool = True,
        noise: float = 0.1,
        round_size: int = 8,
        longest_first: bool = False,
        **options: Unpack[EpochOptions],
    ) -> None:
        blocks = TokenBlocks(
            lengths,
            max_tokens,
            max_batch_size=max_batch_size,
            batch_size_multiple=batch_size_multiple,
            padded=padded,
            noise=noise,
            round_size=round_size,
            longest_first=longest_first,
            **options,
        )
        self.max_tokens = blocks.max_tokens
        super().__init__(blocks, None)


class TokenBlocks(BlockSampler):
    """The draws of `TokenBudgetBatchSampler`, batch by batch."""

    covers_dataset = True

    def __init__(
        self,
        lengths: ArrayLike,
        max_tokens: float,
        *,
        max_batch_size: int | None,
        batch_size_multiple: int,
        padded: bool,
        noise: float,
        round_size: int,
        longest_first: bool,
        **options: Unpack[EpochOptions],
    ) -> None:
        sizes = _check.floats("lengths", lengths, "finite and >= 0")
        self.max_tokens = _check.number("max_tokens", max_tokens, "(0, inf)")
        self.max_batch_size = max_batch_size
        if max_batch_size is not None:
            self.max_batch_size = _check.integer("max_batch_size", max_batch_size, 1)
        self.batch_size_multiple = _check.integer("batch_size_multiple", batch_size_multiple, 1)
        self.padded = _check.flag("padded", padded)
        self.noise = _check.number("noise", noise, "[0, inf)")
        self.round_size = _check.integer("round_size", round_size, 1)
        self.longest_first = _check.flag("longest_first", longest_first)
        self._check_lengths(sizes)
        if not self.padded and self.longest_first:
            raise ValueError(
                "longest_first must be False with padded=False, where all batches have nearly "
                "equal sums, got True"
            )
        if not self.padded and self.batch_size_multiple > 1:
            raise ValueError(
                "batch_size_multiple must be 1 with padded=False, which balances sums, "
                f"got {self.batch_size_multiple}"
            )
        self._members, descending = _by_descending_length(sizes)
        starts = np.empty(descending.size + 1, np.int64)
        bands = _blocks.find_bands(descending, 1.0 + self.noise, starts)
        self._starts = starts[: bands + 1].copy()
        longest = descending[self._starts[:-1]]
        most = min(self.max_batch_size or descending.size, descending.size)
        # Position among the sorted samples for each position among the batches, if different.
        self._places: Packed | None = None
        if self.padded:
            self._cuts = self._packed(longest, most)
        else:
            self._places, self._cuts = self._leveled(longest, most)
        self.num_batches = self._cuts.size - 1
        super().__init__(sizes.size, sizes.size, **options)

    def _check_lengths(self, lengths: Floats) -> None:
        row = int(lengths.argmax())
        if lengths[row] > self.max_tokens:
            row = int((lengths > self.max_tokens).argmax())
            raise ValueError(
                f"lengths must be at most max_tokens, {self.max_tokens:g}, got {lengths[row]:g} in "
                f"row {row}: exclude such samples, or cut them"
            )
        if not math.isfinite(float(lengths[row]) * lengths.size):
            raise ValueError(
                f"lengths must have a finite sum, got {lengths[row]:g} in row {row} of "
                f"{lengths.size}: measure them in a larger unit"
            )

    def _packed(self, longest: Floats, most: int) -> Indices:
        """Return the cuts of batches that are padded to the longest sample of their first band."""
        with np.errstate(divide="ignore", over="ignore"):  # a length of 0 costs nothing
            sizes = np.minimum(self.max_tokens / longest, most).astype(np.int64)
        sizes -= sizes * longest > self.max_tokens  # a quotient that was rounded up
        multiple = min(self.batch_size_multiple, most + 1)  # above `most` it has no effect
        sizes = np.where(sizes >= multiple, sizes - sizes % multiple, sizes)
        cuts = np.empty(1 + int((-(-np.diff(self._starts) // sizes)).sum()), np.int64)
        return cuts[: _blocks.pack(self._starts, sizes, cuts) + 1].copy()

    def _leveled(self, longest: Floats, most: int) -> tuple[Packed, Indices]:
        """Return `(places, cuts)` of batches of nearly equal sums, as few as are found."""
        lengths = np.repeat(longest, np.diff(self._starts))

        def batches(count: int) -> Packed | None:
            batch = np.empty_like(self._members)
            loads = np.empty(count, np.float64)
            _blocks.level_loads(lengths, most, loads, batch)
            return batch if loads.max() <= self.max_tokens else None

        few = max(math.ceil(lengths.sum() / self.max_tokens), -(-lengths.size // most)) - 1
        # `few` are too few. Search upward in growing steps, then bisect, to 1 in 256.
        step = close = max(1, few // 256)
        while (found := batches(min(few + step, lengths.size))) is None:
            few, step = few + step, 2 * step
        many = min(few + step, lengths.size)
        while many - few > close:
            middle = (few + many) // 2
            if (better := batches(middle)) is None:
                few = middle
            else:
                many, found = middle, better
        places = np.argsort(found, kind="stable").astype(found.dtype)
        ends = np.cumsum(np.bincount(found, minlength=many))
        return places, np.unique(np.append(0, ends))  # lengths of 0 may leave batches empty

    def _order(self, epoch: int) -> Indices:
        """Return the order of the batches of an epoch, numbered by descending length: int64."""
        count = self.num_batches
        size = min(self.round_size, count + 1)  # a larger one has no effect
        key = _rng.key(self.seed, epoch, "token rounds")
        if not self.padded:
            return Permutation(count, key)(np.arange(count))
        rounds, rest = divmod(count, size)
        begins = self.longest_first and epoch == 0
        short = int(_rng.uniform(_rng.subkey(key, 0)) * (rounds + 1))  # rounds before the short one
        turn = Permutation(rounds, _rng.subkey(key, 1))(np.arange(rounds))
        if begins and rounds:
            short, first = max(short, 1), int(np.argmin(turn))
            turn[[0, first]] = turn[[first, 0]]
        firsts = np.append(turn * size + rest * (turn >= short), short * size)
        sizes = np.append(np.full(rounds, size), rest)
        if rest == 0:
            firsts, sizes = firsts[:-1], sizes[:-1]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        batches = np.arange(count) + np.repeat(firsts - starts[:-1], sizes)
        order = _shuffled(batches, starts, _rng.subkey(key, 2))
        if begins:
            first = int(np.argmin(order))
            order[[0, first]] = order[[first, 0]]
        return order

    def table(self, epoch: int) -> DrawTable:
        key = _rng.key(self.seed, epoch, "token bands")
        dealt = _shuffled(self._members, self._starts, key)
        if self._places is not None:
            dealt = dealt[self._places]
        order = self._order(epoch)
        samples = np.empty_like(dealt)
        _blocks.lay_groups(dealt, self._cuts, order, samples)
        cuts = np.concatenate([[0], np.cumsum(np.diff(self._cuts)[order])])
        return ListTable(samples, self.size, _once, ordered=True, even=True, cuts=cuts)

    def identity(self) -> dict[str, object]:
        found: dict[str, object] = {
            "order from lengths": self._members,
            "bands from lengths": self._starts,
            "batches from lengths": self._cuts,
        }
        if self._places is not None:
            found["places from lengths"] = self._places
        names = ("max_tokens", "max_batch_size", "batch_size_multiple", "padded", "noise")
        return found | {
            name: getattr(self, name) for name in (*names, "round_size", "longest_first")
        }


def _by_descending_length(lengths: Floats) -> tuple[Packed, Floats]:
    """Return (samples (N,), lengths (N,)) by descending length."""
    below = lengths.max() - lengths
    if below.max() < 2**16 and not np.any(below % 1):
        below = below.astype(np.uint16)  # which numpy sorts by counting, ten times as fast
    order = np.argsort(below, kind="stable")
    descending = lengths[order]
    return order.astype(np.int32 if lengths.size < 2**31 else np.int64), descending


def _shuffled(members: Packed, starts: Indices, key: np.uint64) -> Packed:
    """Return the members of each group in random order, group by group."""
    sizes = np.diff(starts)
    out = np.empty_like(members)
    deal_windows(members, starts, np.zeros_like(sizes), sizes, key, out)
    return out


def _once(rows: Indices) -> Floats:
    return np.ones(rows.size)
