"""Draw tables: the sample of each slot of an epoch. A method adds only one of these.

| table       | holds                                  | used by                               |
|-------------|----------------------------------------|---------------------------------------|
| `Shuffled`  | nothing                                | shuffle, RS2 with replacement         |
| `Listed`    | the samples of the epoch, 4 M bytes    | subset, balanced, repeat-factor, ...  |
| `Weighted`  | a cumulative sum, a guide, 10 N bytes  | weighted, sensitivity, importance     |
| `Kept`      | one code a sample, 1.2 N bytes         | InfoBatch and every loss-based pruner |
| `Mixed`     | two shuffles of each small domain      | mixtures; in `_mixture_table.py`      |
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ... import _check, _rng
from ...kernels import _draw, _prune
from ...kernels._scores import first_outside
from ...types import Floats, Indices, Packed
from ._permutation import Permutation


class Table(ABC):
    """The draws of one epoch.

    Attributes
    ----------
    size : int
        M, the number of draws, summed over all ranks.
    population : int
        N of the weights 1/(N p): the number of samples over which the objective is averaged.
    ordered : bool
        True if the slots are already in the order in which they are drawn; otherwise the base class
        shuffles them.
    even : bool
        True if every sample of the population is expected equally often, so that every weight is 1.
    cuts : int64 array of shape (batches + 1,)
        Positions among the draws at which batches begin and end, from 0 to M; empty unless the
        table consists of batches.
    """

    size: int
    population: int
    ordered: bool = False
    even: bool = False
    cuts: Indices = np.empty(0, np.int64)

    def parts(self) -> tuple[object, ...]:
        """Return what determines the slots: arrays and JSON values, for the name of a plan."""
        return (self.take(np.arange(self.size, dtype=np.int64)),)

    @abstractmethod
    def take(self, slots: Indices) -> Indices:
        """Return the sample of each slot: int64 (m,) in [0, size) -> int64 (m,)."""

    @abstractmethod
    def expected(self, indices: Indices) -> Floats:
        """Return the expected number of draws of each sample this epoch; 0 if never drawn."""

    def first_absent(self, indices: Indices, size: int) -> int:
        """Return the first position whose index is not in [0, size) or is never drawn, or -1."""
        bad = first_outside(indices, size)
        if bad >= 0:
            return bad
        absent = self.expected(indices) <= 0
        return int(absent.argmax()) if absent.any() else -1


class Shuffled(Table):
    """The first M values of a sequence of shuffles of range(N)."""

    ordered = True
    even = True

    def __init__(self, population: int, size: int, key: np.uint64) -> None:
        self.population = population
        self.size = size
        self._key = key
        self._shuffles: dict[int, Permutation] = {}

    def parts(self) -> tuple[object, ...]:
        """See `Table`."""
        return (self.population, int(self._key))

    def take(self, slots: Indices) -> Indices:
        """See `Table`; slots past N continue into the next shuffle."""
        passes = slots // self.population
        first, last = int(passes.min(initial=0)), int(passes.max(initial=0))
        if first == last:
            return self._shuffle(first)(slots - first * self.population)
        out = np.empty_like(slots)
        for number in np.unique(passes):
            here = passes == number
            out[here] = self._shuffle(int(number))(slots[here] - number * self.population)
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: M / N for each."""
        return np.full(indices.size, self.size / self.population)

    def _shuffle(self, number: int) -> Permutation:
        if number not in self._shuffles:
            if len(self._shuffles) >= 16:  # small N, large M: keep memory bounded
                self._shuffles.clear()
            self._shuffles[number] = Permutation(self.population, _rng.subkey(self._key, number))
        return self._shuffles[number]


class Listed(Table):
    """A list of samples, one per slot.

    Parameters
    ----------
    samples : int array of shape (M,)
        Sample of each slot.
    population : int
        See `Table`.
    expected : callable
        Int64 indices -> expected number of draws of each in the epoch.
    ordered, even, cuts
        See `Table`.
    """

    def __init__(
        self,
        samples: Packed,
        population: int,
        expected: Callable[[Indices], Floats],
        *,
        ordered: bool = False,
        even: bool = False,
        cuts: Indices | None = None,
    ) -> None:
        self.samples = samples
        self.size = samples.size
        self.population = population
        self.ordered, self.even = ordered, even
        self._expected = expected
        if cuts is not None:
            self.cuts = cuts

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        return self.samples[slots].astype(np.int64, copy=False)

    def expected(self, indices: Indices) -> Floats:
        """See `Table`."""
        return self._expected(indices)


class Cumulative:
    """A cumulative sum of weights with a guide table: the sample at any point, in O(1).

    Holds 8 N bytes of cumulative sum and 2 N of guide (4 N above 2**31 samples).

    weights : float64 (N,), >= 0 and not all 0; refused if one is not finite, or their sum is not
    """

    def __init__(self, weights: Floats) -> None:
        self._index(np.cumsum(_check.weights("weights", weights)))

    @classmethod
    def of_sums(cls, sums: Floats) -> "Cumulative":
        """Return the same from a saved cumulative sum, equal to the last bit."""
        found = cls.__new__(cls)
        found._index(sums)
        return found

    def _index(self, sums: Floats) -> None:
        small = sums.size < 2**31
        self.sums = sums
        self.guide = np.empty(max(sums.size // 2, 1) + 1, np.int32 if small else np.int64)
        _draw.build_guide(sums, self.guide)

    def share(self, indices: Indices) -> Floats:
        """Return each sample's share of the total weight, as used by the draws."""
        before = np.where(indices > 0, self.sums[indices - 1], 0.0)
        shares: Floats = (self.sums[indices] - before) / self.sums[-1]
        return shares


class Weighted(Table):
    """Draws in proportion to weights: one jittered point per equal slice, or independent ones."""

    def __init__(
        self, cumulative: Cumulative, size: int, key: np.uint64, *, independent: bool
    ) -> None:
        self.size = size
        self.population = cumulative.sums.size
        self.ordered = independent  # independent draws are already in random order
        self.cumulative = cumulative
        self._key = key

    def parts(self) -> tuple[object, ...]:
        """See `Table`."""
        return (self.cumulative.sums, int(self._key))

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        sums, guide = self.cumulative.sums, self.cumulative.guide
        out = np.empty(slots.size, np.int64)
        if self.ordered:
            _draw.independent(sums, guide, self._key, slots, out)
        else:
            _draw.stratified(sums, guide, self._key, self.size, slots, out)
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: M times the sample's share of the total weight."""
        return self.size * self.cumulative.share(indices)


class Kept(Table):
    """The samples kept by a pruning plan, found through one code a sample.

    Parameters
    ----------
    words : uint64 array of shape (8 ceil(N / 64),)
        From `blank`; its bytes are the codes of `kernels/_prune.py`: 0 = excluded, else the entry
        of `kept_share` that applies.
    size : int
        N.
    kept_share : float64 array of shape (codes,)
        Fraction of each code's samples that was kept: 1 for never seen, |K|/|D| for a group. 0 for
        code 0.
    """

    def __init__(self, words: NDArray[np.uint64], size: int, kept_share: Floats) -> None:
        self.kept_share = kept_share
        self.population = size
        self.codes = self.codes_of(words, size)
        self._words = words
        blocks = words.size // 8
        self._sums = np.empty(blocks, np.float64)
        _prune.count_kept(self._words, self._sums)
        self._guide = np.empty(blocks + 1, np.int32 if blocks < 2**31 else np.int64)
        _draw.build_guide(self._sums, self._guide)
        self.size = int(self._sums[-1])

    def parts(self) -> tuple[object, ...]:
        """See `Table`."""
        return (self._words, self.kept_share)

    @staticmethod
    def blank(size: int) -> NDArray[np.uint64]:
        """Return an array for the codes of N samples, all 0, in whole blocks."""
        return np.zeros(8 * -(-size // _prune.BLOCK), np.dtype("<u8"))

    @staticmethod
    def codes_of(words: NDArray[np.uint64], size: int) -> NDArray[np.uint8]:
        """Return the codes as writable bytes: uint8 (N,)."""
        return words.view(np.uint8)[:size]

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        out = np.empty(slots.size, np.int64)
        _prune.take_kept(self._words, self._sums, self._guide, slots, out)
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: the fraction of its group that was kept, 0 for an excluded sample."""
        return self.kept_share[self.codes[indices]]

    def left_out(self) -> Indices:
        """Return the samples that are not drawn, ascending: int64 (N - M,)."""
        return np.flatnonzero(self.codes == _prune.LEFT_OUT)

    def first_absent(self, indices: Indices, size: int) -> int:
        """See `Table`: the first whose code is 0."""
        return _prune.first_left_out(self.codes, indices)
