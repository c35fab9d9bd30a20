"""Group samples, or the draws of an epoch, into batches of similar length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ... import _check, _rng
from ...kernels import _blocks
from ...types import Floats, Indices, Packed
from ..core._arrangement import Arrangement
from ..core._groups import deal_windows
from ..core._permutation import Permutation


@dataclass(frozen=True)
class Groups:
    """Samples of a set of lengths, in batches.

    Attributes
    ----------
    members : int (N,)
        Samples by descending length.
    starts : int64 (bands + 1,)
        First position of each band of similar length among `members`.
    cuts : int64 (batches + 1,)
        First position of each batch.
    places : int (N,) or None
        Position among `members` of each position among the batches, if different.
    """

    members: Packed
    starts: Indices
    cuts: Indices
    places: Packed | None


class ByLength:
    """How samples are grouped by length; see `TokenBudgetBatchSampler` for the arguments."""

    def __init__(
        self,
        max_tokens: float | None,
        *,
        max_batch_size: int | None,
        batch_size_multiple: int,
        padded: bool,
        noise: float,
        round_size: int,
        longest_first: bool,
    ) -> None:
        if max_tokens is None and max_batch_size is None:
            raise ValueError(
                "max_tokens or max_batch_size must be given, got None for both: give the budget of "
                "a batch, or the number of its samples"
            )
        self.max_tokens = max_tokens
        if max_tokens is not None:
            self.max_tokens = _check.number("max_tokens", max_tokens, "(0, inf)")
        self._budget = math.inf if self.max_tokens is None else self.max_tokens
        self.max_batch_size = max_batch_size
        if max_batch_size is not None:
            self.max_batch_size = _check.integer("max_batch_size", max_batch_size, 1)
        self.batch_size_multiple = _check.integer("batch_size_multiple", batch_size_multiple, 1)
        self.padded = _check.flag("padded", padded)
        self.noise = _check.number("noise", noise, "[0, inf)")
        self.round_size = _check.integer("round_size", round_size, 1)
        self.longest_first = _check.flag("longest_first", longest_first)
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

    def check(self, lengths: Floats, rows: Indices | None = None) -> None:
        """Raise for a length above the budget, or lengths without a finite sum.

        rows : row of each length in the argument, if different
        """
        row = int(lengths.argmax())
        named = row if rows is None else int(rows[row])
        if lengths[row] > self._budget:
            row = int((lengths > self._budget).argmax())
            named = row if rows is None else int(rows[row])
            raise ValueError(
                f"lengths must be at most max_tokens, {self._budget:g}, got {lengths[row]:g} in "
                f"row {named}: exclude such samples, or cut them"
            )
        if not math.isfinite(float(lengths[row]) * lengths.size):
            raise ValueError(
                f"lengths must have a finite sum, got {lengths[row]:g} in row {named} of "
                f"{lengths.size}: measure them in a larger unit"
            )

    def grouped(self, lengths: Floats) -> Groups:
        """Return the batches of checked lengths, at least one."""
        members, descending = _by_descending_length(lengths)
        starts = np.empty(descending.size + 1, np.int64)
        bands = _blocks.find_bands(descending, 1.0 + self.noise, starts)
        starts = starts[: bands + 1].copy()
        longest = descending[starts[:-1]]
        most = min(self.max_batch_size or descending.size, descending.size)
        if self.padded:
            return Groups(members, starts, self._packed(longest, starts, most), None)
        places, cuts = self._leveled(longest, members, starts, most)
        return Groups(members, starts, cuts, places)

    def _packed(self, longest: Floats, starts: Indices, most: int) -> Indices:
        """Return the cuts of batches that are padded to the longest sample of their first band."""
        with np.errstate(divide="ignore", over="ignore"):  # a length of 0 costs nothing
            sizes = np.minimum(self._budget / longest, most).astype(np.int64)
        sizes -= sizes * longest > self._budget  # a quotient that was rounded up
        multiple = min(self.batch_size_multiple, most + 1)  # above `most` it has no effect
        sizes = np.where(sizes >= multiple, sizes - sizes % multiple, sizes)
        cuts = np.empty(1 + int((-(-np.diff(starts) // sizes)).sum()), np.int64)
        return cuts[: _blocks.pack(starts, sizes, cuts) + 1].copy()

    def _leveled(
        self, longest: Floats, members: Packed, starts: Indices, most: int
    ) -> tuple[Packed, Indices]:
        """Return `(places, cuts)` of batches of nearly equal sums, as few as are found."""
        lengths = np.repeat(longest, np.diff(starts))

        def batches(count: int) -> Packed | None:
            batch = np.empty_like(members)
            loads = np.empty(count, np.float64)
            _blocks.level_loads(lengths, most, loads, batch)
            return batch if loads.max() <= self._budget else None

        few = max(math.ceil(lengths.sum() / self._budget), -(-lengths.size // most)) - 1
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

    def _order(self, count: int, key: np.uint64, *, begins: bool) -> Indices:
        """Return the order of `count` batches, numbered by descending length: int64."""
        size = min(self.round_size, count + 1)  # a larger one has no effect
        if not self.padded:
            return Permutation(count, key)(np.arange(count))
        rounds, rest = divmod(count, size)
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
        return _shuffled(batches, starts, _rng.subkey(key, 2))

    def laid(
        self, groups: Groups, bands: np.uint64, rounds: np.uint64, *, begins: bool
    ) -> tuple[Packed, Indices]:
        """Return `(samples (N,), cuts (batches + 1,))` of an epoch.

        bands, rounds : keys of the samples of a band, and of the order of the batches
        begins        : whether the batch of the longest sample comes first
        """
        dealt = _shuffled(groups.members, groups.starts, bands)
        if groups.places is not None:
            dealt = dealt[groups.places]
        order = self._order(groups.cuts.size - 1, rounds, begins=begins)
        if begins:  # the batch is of the first band, as those of the first round are, or in it
            place = int(np.flatnonzero(dealt == groups.members[0])[0])
            batch = int(np.searchsorted(groups.cuts, place, side="right")) - 1
            first = int(np.flatnonzero(order == batch)[0])
            order[[0, first]] = order[[first, 0]]
        samples = np.empty_like(dealt)
        _blocks.lay_groups(dealt, groups.cuts, order, samples)
        return samples, np.concatenate([[0], np.cumsum(np.diff(groups.cuts)[order])])

    def identity(self) -> dict[str, object]:
        """Return the arguments, by name."""
        names = ("max_tokens", "max_batch_size", "batch_size_multiple", "padded", "noise")
        return {name: getattr(self, name) for name in (*names, "round_size", "longest_first")}


class DrawsByLength(Arrangement):
    """Batches of similar length of the draws of a sampler, window by window.

    lengths : float64 (N,)  finite and >= 0
    window  : draws that are grouped together; None = the epoch
    """

    def __init__(self, lengths: Floats, by_length: ByLength, window: int | None) -> None:
        self._lengths, self._by_length, self._window = lengths, by_length, window

    def __call__(self, draws: Indices, seed: int, epoch: int) -> tuple[Packed, Indices]:
        """See `Arrangement`."""
        size = draws.size
        if size == 0:
            return np.empty(0, np.int64), np.zeros(1, np.int64)
        by_length = self._by_length
        lengths = self._lengths[draws]
        by_length.check(lengths, draws)
        bands, rounds = (_rng.key(seed, epoch, f"token {name}") for name in ("bands", "rounds"))
        window = min(self._window or size, size)
        order = np.empty(size, np.int32 if size < 2**31 else np.int64)
        cuts = [np.zeros(1, np.int64)]
        for number, start in enumerate(range(0, size, window)):
            keys = (_rng.subkey(key, number) for key in (bands, rounds))
            groups = by_length.grouped(lengths[start : start + window])
            begins = by_length.longest_first and epoch == 0
            found, ends = by_length.laid(groups, *keys, begins=begins)
            order[start : start + window] = found + start
            cuts.append(ends[1:] + start)
        return order, np.concatenate(cuts)

    def identity(self) -> dict[str, object]:
        """See `Arrangement`."""
        found = {"lengths": self._lengths, "window": self._window, **self._by_length.identity()}
        return {f"{name} of the batches": value for name, value in found.items()}


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
