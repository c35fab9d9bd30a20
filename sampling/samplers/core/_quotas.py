"""Number of draws of each group in an epoch, as integers and for any epoch directly.

For shares that are the same in all epochs. Otherwise each epoch is rounded independently: see
`quotas_of` in `_groups.py`, whose results have to be summed epoch by epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...types import Floats, Indices
from ._permutation import Permutation

SPAN = 2**62  # epochs after which the counts restart: they are int64

_BITS = 64
_FRACTION = 2**_BITS
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_UNIT = np.int64(2**60)  # one draw, in the keys by which groups are ordered
_SPREAD = 0.7  # of the phases, in draws; below 1, so that near-integers keep their rounding


class Quotas:
    """Draws of each group per epoch, rounded so that totals over many epochs are accurate too.

    A group with x expected draws in each epoch gets floor(x) or ceil(x) in every one, all groups
    together exactly `num_samples`; and its total after e epochs differs from e x by about one draw:
    by less than one for 98 of 100 sets of shares that were tried, and by at most 1.1 for the
    others.

    The totals after 1, 2, 4, 8, ... epochs are rounded first, and then those at the middle of each
    range of epochs between two known totals, down to the requested epoch: 2 log2(e) roundings, in
    each of which the groups with the largest deficit are rounded up. A range of n epochs from x to
    y draws is always cut so that each half can be filled with floors and ceilings.

    Parameters
    ----------
    weights : sequence of float or int, of length G
        Relative shares, >= 0, not all 0; used as exact numbers, without rounding.
    num_samples : int
        Draws in one epoch.
    key : uint64
        Key of the random choice of groups that are rounded up first. The mean over all keys is the
        share, to within two tenths of a draw.
    whole : int, default 50
        Quotas within a relative distance of 2**-whole from an integer are rounded to it: shares are
        floats, and n / N times N should be n.
    epochs : int, optional
        Length of the run; the totals at its end are then rounded first.
    caps : int64 array of shape (G,), optional
        Upper limits on the totals at the end of the run; with `epochs`. The shares must allow it.
    """

    def __init__(
        self,
        weights: Sequence[float] | Sequence[int] | Floats,
        num_samples: int,
        key: np.uint64,
        *,
        whole: int = 50,
        epochs: int | None = None,
        caps: NDArray[np.int64] | None = None,
    ) -> None:
        self.num_samples = num_samples
        self.exact = _exact(weights, num_samples, whole)  # in units of 2**-64 draws
        self._floors = np.array([each >> _BITS for each in self.exact], np.int64)
        self._live = np.array(
            [g for g, each in enumerate(self.exact) if each % _FRACTION], np.int64
        )
        fractions = [self.exact[g] % _FRACTION for g in self._live.tolist()]
        self._high = np.array([each >> 32 for each in fractions], np.uint64)
        self._low = np.array([each & 0xFFFFFFFF for each in fractions], np.uint64)
        self._phases = _phases(len(fractions), key)
        self._epochs = epochs
        self._path: list[_Stretch] = []  # from the root to the epoch requested last
        self._root = self._first()
        if epochs is not None:
            room = np.full(len(fractions), SPAN)
            if caps is not None:
                room = (caps - epochs * self._floors)[self._live]
            start = np.zeros(len(fractions), np.int64)
            end = self._rounded(epochs, start, np.minimum(room, epochs))
            self._root = _Stretch(0, epochs, start, end)

    def before(self, epoch: int) -> NDArray[Any]:
        """Return the draws of each group in all earlier epochs: int64 (G,).

        If they might overflow: Python ints in an array of objects.
        """
        epoch %= SPAN
        if self._epochs == epoch:
            extra = self._root.after
        else:
            extra = self._stretch(epoch).before
        if epoch * self.num_samples < SPAN:
            counts: NDArray[Any] = epoch * self._floors
        else:
            counts = epoch * self._floors.astype(object)
        counts[self._live] += extra
        return counts

    def of(self, epoch: int) -> Indices:
        """Return the draws of each group in an epoch: int64 (G,), summing to M."""
        found = self._stretch(epoch % SPAN)
        counts = self._floors.copy()
        counts[self._live] += found.after - found.before
        return counts

    # ------------------------------------------------------------------ stretches of epochs

    def _stretch(self, epoch: int) -> _Stretch:
        """Return the stretch of one epoch; intermediate results of the last call are reused."""
        if not self._root.start <= epoch < self._root.stop:
            self._grow(epoch)
        while self._path and not self._path[-1].start <= epoch < self._path[-1].stop:
            self._path.pop()
        at = self._path[-1] if self._path else self._root
        while at.stop - at.start > 1:
            at = self._halves(at)[epoch >= (at.start + at.stop) // 2]
            self._path.append(at)
        return at

    def _first(self) -> _Stretch:
        start = np.zeros(self._live.size, np.int64)
        return _Stretch(0, 1, start, self._rounded(1, start, start + 1))

    def _grow(self, epoch: int) -> None:
        """Set the root to the range between two powers of two that contains an epoch."""
        self._path = []
        if epoch < self._root.start:
            self._root = self._first()
        while epoch >= self._root.stop:
            stop, known = self._root.stop, self._root.after
            after = self._rounded(2 * stop, known, known + stop)
            self._root = _Stretch(stop, 2 * stop, known, after)

    def _halves(self, whole: _Stretch) -> tuple[_Stretch, _Stretch]:
        middle = (whole.start + whole.stop) // 2
        low = np.maximum(whole.before, whole.after - (whole.stop - middle))
        high = np.minimum(whole.before + (middle - whole.start), whole.after)
        counts = self._rounded(middle, low, high)
        return (
            _Stretch(whole.start, middle, whole.before, counts),
            _Stretch(middle, whole.stop, counts, whole.after),
        )

    def _rounded(self, epochs: int, low: Indices, high: Indices) -> Indices:
        """Return draws beyond the floors after a number of epochs, in [low, high]: int64 (L,)."""
        floors, rests = self._product(epochs)
        counts = np.clip(floors, low, high)
        over = (int((rests >> _HALF).sum()) << 32) + int((rests & _LOW).sum())
        wanted = (over >> _BITS) - int((counts - floors).sum())
        step = 1 if wanted > 0 else -1
        while wanted:
            behind = step * ((rests >> np.uint64(4)).astype(np.int64) + (floors - counts) * _UNIT)
            # First the groups that a step brings nearer, by phase; then those with least error.
            keys = np.where(behind > 0, behind + step * self._phases, behind - 2 * _UNIT)
            able = np.flatnonzero(counts < high if step > 0 else counts > low)
            taken = able[_largest(keys[able], abs(wanted))]
            counts[taken] += step
            wanted -= step * taken.size
        return counts

    def _product(self, epochs: int) -> tuple[Indices, NDArray[np.uint64]]:
        """Return epochs * fraction: integers, and remainders in units of 2**-64; 128 bits."""
        high, low = np.uint64(epochs >> 32), np.uint64(epochs & 0xFFFFFFFF)
        bottom, left, right = low * self._low, low * self._high, high * self._low
        middle = (bottom >> _HALF) + (left & _LOW) + (right & _LOW)
        floors = high * self._high + (left >> _HALF) + (right >> _HALF) + (middle >> _HALF)
        return floors.astype(np.int64), (middle << _HALF) | (bottom & _LOW)


def _largest(keys: NDArray[np.int64], count: int) -> Indices:
    """Return the positions of the largest keys, ties by position: int64 (count,) at most."""
    if count >= keys.size:
        return np.arange(keys.size)
    least = np.partition(keys, keys.size - count)[keys.size - count]
    above, equal = np.flatnonzero(keys > least), np.flatnonzero(keys == least)
    return np.concatenate([above, equal[: count - above.size]])


class _Stretch:
    """Epochs start to stop - 1, and the draws beyond the floors before and after them: (L,)."""

    def __init__(self, start: int, stop: int, before: Indices, after: Indices) -> None:
        self.start, self.stop = start, stop
        self.before, self.after = before, after


def run_starts(used: NDArray[Any], sizes: Indices) -> Indices:
    """Return the position in endless sequences after a number of draws, as int64: (G,) -> (G,).

    A sequence restarts at the last whole shuffle before 2**62 draws, where a counter would
    overflow.
    """
    spans = sizes * (SPAN // sizes)
    starts: Indices = (used % spans).astype(np.int64)
    return starts


def _exact(
    weights: Sequence[float] | Sequence[int] | Floats, num_samples: int, whole: int
) -> list[int]:
    """Return num_samples * weights / sum in units of 2**-64, with the exact sum."""
    given = weights.tolist() if isinstance(weights, np.ndarray) else weights
    ratios = [each.as_integer_ratio() for each in given]
    scale = max(below for _, below in ratios)  # powers of two
    parts = [above * (scale // below) for above, below in ratios]
    total, everything = num_samples << _BITS, sum(parts)
    found = [total * part // everything for part in parts]
    free = max(range(len(found)), key=found.__getitem__)
    if num_samples >> (whole - 2) == 0:
        near = [(each + _FRACTION // 2) >> _BITS << _BITS for each in found]
        open_ = []
        for group, each in enumerate(found):
            if abs(each - near[group]) <= each >> whole:
                found[group] = near[group]
            else:
                open_.append(group)
        free = max(open_, key=found.__getitem__, default=free)
    found[free] += total - sum(found)  # lost in the divisions, less than 2**-48 of the total
    return found


def _phases(groups: int, key: np.uint64) -> NDArray[np.int64]:
    """Return how much earlier than at one half each group is rounded up: int64 (G,), sum 0.

    Each is uniform over the keys; the sum is 0, so that no key favours all groups.
    """
    if groups < 2:
        return np.zeros(groups, np.int64)
    everyone, phases = np.arange(groups), np.full(groups, 0.5)
    for digit in range(math.ceil(20 / math.log2(groups))):
        order = Permutation(groups, _rng.subkey(key, digit))(everyone)
        phases = (order + phases) / groups
    scaled = (phases - 0.5) * (_SPREAD * float(_UNIT))
    return scaled.astype(np.int64)
