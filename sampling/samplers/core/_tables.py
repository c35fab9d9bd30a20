"""Draw tables: the sample of each slot of an epoch. A method adds only one of these.

| table           | holds                                  | used by                               |
|-----------------|----------------------------------------|---------------------------------------|
| `ShuffledTable` | nothing                                | shuffle, RS2 with replacement         |
| `ListTable`     | the samples of the epoch, 4 M bytes    | subset, balanced, repeat-factor, ...  |
| `WeightedTable` | a running sum and a guide, 10 N bytes  | weighted, sensitivity, importance     |
| `KeptTable`     | one code a sample and a list, N + 4 M  | InfoBatch and every loss-based pruner |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check, _rng
from ...errors import StateError
from ...kernels import _draw, _prune
from ...kernels._scores import first_outside
from ...types import Floats, Indices, Packed
from ._arrays import Arrays, check_array
from ._cumulative import Cumulative
from ._permutation import Permutation

LISTED = 2**26  # samples that a `KeptTable` lists at most: 256 MiB

_TRIED = 8192  # slots of an unknown table that are tried


class DrawTable(ABC):
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size} draws of {self.population} samples)"

    def parts(self) -> tuple[object, ...]:
        """Return what determines the slots: arrays and JSON values, for the name of a plan."""
        return (self.take(np.arange(self.size, dtype=np.int64)),)

    @abstractmethod
    def take(self, slots: Indices) -> Indices:
        """Return the sample of each slot: int64 (m,) in [0, size) -> int64 (m,)."""

    @abstractmethod
    def expected(self, indices: Indices) -> Floats:
        """Return the expected number of draws of each sample this epoch; 0 if never drawn."""

    def weights(self, indices: Indices) -> Floats:
        """Return the loss weight of each sample for objective="original"; 1 / (N p) by default."""
        return self.size / (self.population * self.expected(indices))

    def saved(self) -> Arrays:
        """Return arrays from which `restored` makes an equal table, for dynamic samplers.

        Changes to the arrays change the table, so they are to be written or copied.
        """
        raise TypeError(
            f"{type(self).__name__} must define saved() and restored(arrays): it is the table of a "
            "dynamic sampler, whose epoch cannot be planned again after a resume"
        )

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> DrawTable:
        """Return the table of `saved`; raise `StateError` for arrays that are none.

        size : N, of the sampler
        """
        raise TypeError(f"{cls.__name__} must define restored(arrays, size)")

    def first_absent(self, indices: Indices, size: int) -> int:
        """Return the first position whose index is not in [0, size) or is never drawn, or -1."""
        bad = first_outside(indices, size)
        if bad >= 0:
            return bad
        absent = self.expected(indices) <= 0
        return int(absent.argmax()) if absent.any() else -1


class ShuffledTable(DrawTable):
    """The first M values of a sequence of shuffles of range(N).

    Parameters
    ----------
    population : int
        N.
    size : int
        M; above N it continues with further shuffles.
    key : numpy.uint64
        Of the epoch; see `random_key`.
    repeats : int, default 1
        How often each value comes, one time after the other.
    """

    ordered = True
    even = True

    def __init__(self, population: int, size: int, key: np.uint64, repeats: int = 1) -> None:
        self.population = population
        self.size = size
        self._key = key
        self._repeats = repeats
        self._shuffles: dict[int, Permutation] = {}

    def parts(self) -> tuple[object, ...]:
        """See `DrawTable`."""
        more = () if self._repeats == 1 else (self._repeats,)
        return (self.population, int(self._key), *more)

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        words = [self.population, self.size, self._key, self._repeats]
        return {"words": np.array(words, np.uint64)}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> ShuffledTable:
        """See `DrawTable`."""
        population, draws, key, repeats = check_array(arrays, "words", np.uint64, 4)
        return cls(int(population), int(draws), key, int(repeats))

    def take(self, slots: Indices) -> Indices:
        """See `DrawTable`; slots past N continue into the next shuffle."""
        if self._repeats > 1:
            slots = slots // self._repeats
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
        """See `DrawTable`: M / N for each."""
        return np.full(indices.size, self.size / self.population)

    def _shuffle(self, number: int) -> Permutation:
        if number not in self._shuffles:
            if len(self._shuffles) >= 16:  # small N, large M: keep memory bounded
                self._shuffles.clear()
            self._shuffles[number] = Permutation(self.population, _rng.subkey(self._key, number))
        return self._shuffles[number]


class ListTable(DrawTable):
    """A list of samples, one per slot.

    Parameters
    ----------
    samples : int array of shape (M,)
        Sample of each slot.
    population : int
        N of the weights 1 / (N p): the number of samples that the objective is about.
    expected : float array of shape (N,), or callable, optional
        Expected number of draws of each sample of the dataset in the epoch, or a function of int64
        indices that returns it; by default each as often as it is listed. A dynamic sampler needs
        an array, or none, since its table is saved.
    ordered : bool, default False
        Whether the samples are drawn in the order of the list; otherwise they are shuffled.
    even : bool, default False
        Whether all samples of the population are expected equally often.
    cuts : int64 array, optional
        See `DrawTable`.
    """

    def __init__(
        self,
        samples: Packed,
        population: int,
        expected: Callable[[Indices], Floats] | Floats | None = None,
        *,
        ordered: bool = False,
        even: bool = False,
        cuts: Indices | None = None,
    ) -> None:
        self.samples = _check.one_dimensional("samples", samples)
        if self.samples.dtype.kind not in "iu":
            raise TypeError(
                f"samples must be ints, numbers of samples, got dtype {self.samples.dtype}: of a "
                "mask give numpy.flatnonzero(mask)"
            )
        self.size = self.samples.size
        self.population = population
        self.ordered, self.even = ordered, even
        if expected is not None and not callable(expected):
            expected = _check.floats("expected", expected, "finite and >= 0")
        self._expected = expected
        self._listed: tuple[Indices, Indices] | None = None  # the samples and their counts
        if cuts is not None:
            self.cuts = cuts

    def parts(self) -> tuple[object, ...]:
        """See `DrawTable`."""
        expected = () if self._expected is None or callable(self._expected) else (self._expected,)
        return (*super().parts(), bool(self.ordered), bool(self.even), self.population, *expected)

    def take(self, slots: Indices) -> Indices:
        """See `DrawTable`."""
        return self.samples[slots].astype(np.int64, copy=False)

    def expected(self, indices: Indices) -> Floats:
        """See `DrawTable`."""
        if callable(self._expected):
            return self._expected(indices)
        if self._expected is not None:
            return self._expected[indices]
        if self._listed is None:
            self._listed = np.unique(self.samples, return_counts=True)
        names, counts = self._listed
        if not names.size:
            return np.zeros(indices.size)
        places = np.minimum(np.searchsorted(names, indices), names.size - 1)
        return np.where(names[places] == indices, counts[places], 0).astype(np.float64)

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        if callable(self._expected) or self.cuts.size:
            what = "cuts" if self.cuts.size else "a function for expected"
            raise TypeError(
                "the ListTable of a dynamic sampler is saved, so expected must be an array (N,), "
                f"or not given, and cuts must not be given, got {what}"
            )
        facts = np.array([self.population, self.ordered, self.even], np.uint64)
        known = {} if self._expected is None else {"expected": self._expected}
        return {"samples": self.samples, "words": facts, **known}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> ListTable:
        """See `DrawTable`."""
        population, ordered, even = map(int, check_array(arrays, "words", np.uint64, 3))
        samples = arrays.get("samples", np.empty(0))
        if samples.ndim != 1 or samples.dtype.kind not in "iu":
            raise StateError(f"samples must be ints (M,), got {samples.dtype} {samples.shape}")
        if samples.size and not 0 <= int(samples.min()) <= int(samples.max()) < size:
            raise StateError(
                f"samples must be in [0, {size}), got {samples.min()}, {samples.max()}"
            )
        expected = None
        if "expected" in arrays:
            expected = check_array(arrays, "expected", np.float64, size).copy()
        return cls(samples.copy(), population, expected, ordered=bool(ordered), even=bool(even))


class WeightedTable(DrawTable):
    """Draws in proportion to weights: one jittered point per equal slice, or independent ones.

    Parameters
    ----------
    weights : float array of shape (N,), or Cumulative
        Relative weights, finite, >= 0, not all 0; or their cumulative sum, made once.
    size : int
        M.
    key : numpy.uint64
        Of the epoch; see `random_key`.
    independent : bool, default False
        Whether draws are independent; they have more variance.
    """

    def __init__(
        self,
        weights: Cumulative | Floats,
        size: int,
        key: np.uint64,
        *,
        independent: bool = False,
    ) -> None:
        cumulative = weights if isinstance(weights, Cumulative) else Cumulative(weights)
        self.size = size
        self.population = cumulative.size
        self.ordered = independent  # independent draws are already in random order
        self.cumulative = cumulative
        self._key = key

    def parts(self) -> tuple[object, ...]:
        """See `DrawTable`."""
        return (self.cumulative.digest(), int(self._key), self.ordered)

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        facts = np.array([self.size, self.ordered, self._key], np.uint64)
        return {"sums": self.cumulative.sums, "words": facts}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> WeightedTable:
        """See `DrawTable`."""
        draws, independent, key = check_array(arrays, "words", np.uint64, 3)
        sums = check_array(arrays, "sums", np.float64, size)
        if not (np.diff(sums, prepend=0.0) >= 0).all() or not 0 < sums[-1] < np.inf:
            raise StateError("sums must be ascending, finite and end above 0, got others")
        cumulative = Cumulative.of_sums(sums.copy())
        return cls(cumulative, int(draws), key, independent=bool(independent))

    def take(self, slots: Indices) -> Indices:
        """See `DrawTable`."""
        if self.ordered:
            return self.cumulative.independent(self._key, slots)
        return self.cumulative.stratified(self._key, self.size, slots)

    def expected(self, indices: Indices) -> Floats:
        """See `DrawTable`: M times the sample's share of the total weight."""
        return self.size * self.cumulative.share(indices)


class KeptTable(DrawTable):
    """The samples kept by a pruning plan: one code a sample, and a list of those that are drawn.

    Holds N bytes of codes and 4 M of the list. Above 67,108,864 draws (256 MiB), a directory of 0.2
    N bytes is used instead of the list, and a draw takes about five times as long.

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
    listed : bool, default True
        Whether the samples drawn are listed, if they are not too many.
    """

    def __init__(
        self, words: NDArray[np.uint64], size: int, kept_share: Floats, *, listed: bool = True
    ) -> None:
        self.kept_share = kept_share
        self.population = size
        self.codes = self.codes_of(words, size)
        self._words = words
        blocks = words.size // 8
        sums = np.empty(blocks, np.float64)
        _prune.count_kept(words, sums)
        self.size = int(sums[-1])
        self._listed: NDArray[np.int32] | None = None
        if listed and self.size <= LISTED and size <= 2**31:
            self._listed = np.empty(self.size, np.int32)
            _prune.list_kept(self.codes, self._listed)
            return
        self._sums = sums
        self._guide = np.empty(blocks + 1, np.int32 if blocks < 2**31 else np.int64)
        _draw.build_guide(sums, self._guide)

    @classmethod
    def of(cls, kept: NDArray[np.bool_], share: float = 1.0) -> KeptTable:
        """Return the table of a mask of the samples to draw, bool (N,).

        share : the expected draws of each of them: below 1 if they were chosen at random, as the
            fraction of those that could have been
        """
        kept = np.asarray(kept)
        if kept.dtype != np.bool_ or kept.ndim != 1:
            raise TypeError(
                f"kept must be a mask, bool (N,), got {kept.dtype} {kept.shape}: of numbers of "
                "samples make a ListTable"
            )
        share = _check.number("share", share, "(0, 1]")
        words = cls.blank(kept.size)
        cls.codes_of(words, kept.size)[:] = kept
        return cls(words, kept.size, np.array([0.0, share]))

    def parts(self) -> tuple[object, ...]:
        """See `DrawTable`."""
        return (self._words, self.kept_share)

    def weights(self, indices: Indices) -> Floats:
        """Return 1 / (expected draws), which is 1 for a sample that is certain to be drawn.

        Unbiased for the sum over the epoch; `importance_weights` are these times M/N, unbiased for
        the mean.
        """
        weights: Floats = 1.0 / self.expected(indices)
        return weights

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        return {"codes": self.codes, "kept_share": self.kept_share}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> KeptTable:
        """See `DrawTable`."""
        codes = check_array(arrays, "codes", np.uint8, size)
        shares = check_array(arrays, "kept_share", np.float64)
        high = min(shares.size, _prune.MARK)
        if int(codes.max(initial=0)) >= high:
            raise StateError(f"codes must be in [0, {high}), got {int(codes.max())}")
        words = cls.blank(size)
        cls.codes_of(words, size)[:] = codes
        return cls(words, size, shares.copy())

    @staticmethod
    def blank(size: int) -> NDArray[np.uint64]:
        """Return an array for the codes of N samples, all 0, in whole blocks."""
        return np.zeros(8 * -(-size // _prune.BLOCK), np.dtype("<u8"))

    @staticmethod
    def codes_of(words: NDArray[np.uint64], size: int) -> NDArray[np.uint8]:
        """Return the codes as writable bytes: uint8 (N,)."""
        return words.view(np.uint8)[:size]

    def take(self, slots: Indices) -> Indices:
        """See `DrawTable`."""
        if self._listed is not None:
            return self._listed[slots].astype(np.int64)
        out = np.empty(slots.size, np.int64)
        _prune.take_kept(self._words, self._sums, self._guide, slots, out)
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `DrawTable`: the fraction of its group that was kept, 0 for an excluded sample."""
        return self.kept_share[self.codes[indices]]

    def left_out(self) -> Indices:
        """Return the samples that are not drawn, ascending: int64 (N - M,)."""
        return np.flatnonzero(self.codes == _prune.LEFT_OUT)

    def first_absent(self, indices: Indices, size: int) -> int:
        """See `DrawTable`: the first whose code is 0."""
        return _prune.first_left_out(self.codes, indices)


def check_table(table: object, size: int, name: str) -> None:
    """Raise unless a table of somebody else's sampler fits a dataset of N = `size` samples.

    A list is checked whole; of a table of another class the first draws are.
    """
    if not isinstance(table, DrawTable):
        raise TypeError(
            f"{name} must be a draw table, got {type(table).__name__}: ListTable(samples, N) makes "
            "one of numbers of samples"
        )
    if isinstance(table, ShuffledTable | WeightedTable | KeptTable) and table.population != size:
        raise ValueError(
            f"{name} must be over the {size} samples of the sampler, got a {type(table).__name__} "
            f"over {table.population}"
        )
    slots = np.arange(min(table.size, _TRIED), dtype=np.int64)
    drawn = table.samples if isinstance(table, ListTable) else table.take(slots)
    whole = isinstance(drawn, np.ndarray) and drawn.dtype.kind in "iu"
    if not whole or drawn.shape[0] < slots.size:
        raise ValueError(f"{name} must draw ints, one for each slot, got {drawn!r}")
    if drawn.size and not 0 <= int(drawn.min()) <= int(drawn.max()) < size:
        bad = drawn[(drawn < 0) | (drawn >= size)]
        raise ValueError(f"{name} must draw samples in [0, {size}), got {int(bad[0])}")
    expected = table._expected if isinstance(table, ListTable) else None
    if isinstance(expected, np.ndarray):
        _check.same_length("expected", expected, "the data", size)
    _check.integer("population of the table", table.population, 1)
