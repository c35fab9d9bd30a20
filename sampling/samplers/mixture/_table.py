"""The sources of a mixture, and the draws of an epoch over them, computed on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ..._check import _labels
from ..._check._containers import is_missing
from ...kernels import _mixture
from ...kernels._permute import EXACT
from ...types import Floats, Indices, Packed
from ..core._groups import Groups, Unlabeled
from ..core._permutation import Permutation
from ..core._tables import DrawTable

Lengths = Sequence[int | Sized] | Mapping[Any, int | Sized] | ArrayLike


class Sources:
    """Several domains, and the samples of each.

    Attributes
    ----------
    names : array of shape (K,)
        The caller's domain ids, sorted; for datasets the names of a mapping, else positions.
    sizes : int64 array of shape (K,)
        Number of samples of each domain.
    size : int
        N: indices are in [0, N).
    population : int
        Number of samples in a domain.
    groups : Groups or None
        None if the domains are concatenated, and nothing has to be stored.
    """

    def __init__(
        self, sizes: Indices, groups: Groups | None = None, names: NDArray[Any] | None = None
    ) -> None:
        self.sizes = sizes
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.population = int(self.starts[-1])
        self.groups = groups
        if names is None:
            names = np.arange(sizes.size) if groups is None else groups.names
        self.names = names
        self.size = self.population if groups is None else groups.codes.size

    def __len__(self) -> int:
        return self.sizes.size

    def of(self, rows: Indices) -> Indices:
        """Return the domain of each sample, as a position in `names`; -1 for none."""
        if self.groups is not None:
            return self.groups.codes[rows].astype(np.int64)
        found: Indices = np.searchsorted(self.starts, rows, side="right") - 1
        return found

    def samples(self, code: int, places: Indices) -> Packed:
        """Return the samples at positions of a domain, each in [0, n)."""
        if self.groups is not None:
            return self.groups.of(code)[places]
        return places + int(self.starts[code])

    def spread(self, per_domain: Floats, rows: Indices) -> Floats:
        """Return each sample's equal share of the value of its domain; 0 if in none."""
        codes = self.of(rows)
        return np.where(codes >= 0, (per_domain / self.sizes)[codes], 0.0)

    def named(self, indices: ArrayLike) -> NDArray[np.generic]:
        """Return the name of each sample's domain; raise for a sample in none."""
        rows = self._inside(indices)
        codes = self.of(rows)
        if (codes < 0).any():
            raise ValueError(f"indices must be in a domain, got {rows[int((codes < 0).argmax())]}")
        return self.names[codes]

    def located(self, indices: ArrayLike) -> tuple[Indices, Indices]:
        """Return the dataset of each sample, and its index in that dataset."""
        if self.groups is not None:
            raise ValueError("locate needs lengths of datasets, got a sampler made from domains")
        rows = self._inside(indices)
        sources = self.of(rows)
        return sources, rows - self.starts[sources]

    def _inside(self, indices: ArrayLike) -> Indices:
        rows = _check.host(indices, "indices")
        _check.batch_of_rows("indices", rows.shape)
        if rows.size:
            _check.refuse_mask("indices", rows)
            _check.codes("indices", rows, self.size)
        return rows.astype(np.int64)

    def identity(self) -> Packed:
        """Return an array that identifies these domains."""
        return self.sizes if self.groups is None else self.groups.codes


def sources_of(
    lengths: Lengths | None, domains: ArrayLike | None, unlabeled: Unlabeled = "drop"
) -> Sources:
    """Return the domains, of which exactly one form is given."""
    if (lengths is None) == (domains is None):
        got = "neither" if lengths is None else "both"
        raise ValueError(f"one of lengths and domains must be given, got {got}")
    if domains is not None:
        groups = Groups("domains", domains, unlabeled)
        return Sources(groups.sizes, groups)
    _check.choice("unlabeled", unlabeled, get_args(Unlabeled))
    if isinstance(lengths, Mapping):
        sizes = np.array(_counted(lengths), np.int64)
        return Sources(sizes, names=_names("lengths", list(lengths)))
    return Sources(np.array(_counted(lengths), np.int64))


def _names(name: str, given: list[Any]) -> NDArray[Any]:
    """Return the names of datasets, in their order."""
    if any(is_missing(each) for each in given):
        raise ValueError(f"{name} must have names, got {given}")
    return _labels.names_of_rows(f"the names of {name}", given)


def parts_of(lengths: Any) -> Any:
    """Return the datasets of a mapping or of torch's ConcatDataset, also within Indexed.

    Other values are returned unchanged.
    """
    return (
        list(lengths.values())
        if isinstance(lengths, Mapping)
        else getattr(lengths, "datasets", lengths)
    )


def _counted(lengths: Any) -> list[int]:  # anything that has lengths or is one
    parts = parts_of(lengths)
    if hasattr(parts, "tolist"):
        parts = _check.one_dimensional("lengths", parts).tolist()
    if not isinstance(parts, Sequence):
        raise TypeError(
            "lengths must be a list or a mapping of counts or of datasets, or a ConcatDataset, "
            f"got {type(lengths).__name__}"
        )
    if len(parts) == 0:
        raise ValueError("lengths must not be empty, got length 0")
    names = list(lengths) if isinstance(lengths, Mapping) else range(len(parts))
    counts = [
        _check.size(f"lengths[{each!r}]", part) for each, part in zip(names, parts, strict=True)
    ]
    if sum(counts) > _check.MAX_SIZE:
        raise ValueError(f"lengths must add up to at most 2**62, got {sum(counts)}")
    return counts


WALK = 65_536  # slots between two saved states of the even order


class Mixed(DrawTable):
    """A given number of draws of each domain, which continue its sequence of shuffles.

    Stores nothing of the size of the data or of the epoch, except shuffles of small domains and the
    state of the even order at every 65,536th slot, as far as it was computed.

    Parameters
    ----------
    sources : Sources
        The samples of each domain.
    quotas : int64 array of shape (K,)
        Number of draws of each domain.
    cursors : int64 array of shape (K,)
        Number of draws of each domain's sequence that are already used.
    drawn : float64 array of shape (K,)
        Expected draws of each domain, for the weights.
    key : uint64
        Key of the sequences of shuffles.
    turn : float in [0, 1), optional
        Draw in the even order, from a position given by this number; by default the base shuffles.
    """

    def __init__(
        self,
        sources: Sources,
        quotas: Indices,
        cursors: Indices,
        drawn: Floats,
        key: np.uint64,
        turn: float | None = None,
    ) -> None:
        self.quotas, self.cursors, self.drawn = quotas, cursors, drawn
        self.size = int(quotas.sum())
        self.population = sources.population
        self.ordered = turn is not None
        self._sources, self._key = sources, key
        self._ends = np.cumsum(quotas)
        self._shuffles: dict[int, dict[int, Permutation]] = {}
        self._turn, self._before = 0, np.zeros(len(sources), np.int64)
        if turn is not None:
            self._even = EvenOrder(quotas)
            self._turn = int(turn * min(self.size, WALK))
            self._before = self._even.counts_at(self._turn)

    def parts(self) -> tuple[object, ...]:
        """See `Table`."""
        arrays = (self.quotas, self.cursors, self.drawn)
        return (*arrays, self._sources.identity(), int(self._key), self.ordered, self._turn)

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        codes, ranks = self._turns(slots)
        rows, draws = np.empty_like(slots), np.empty_like(slots)
        ends = np.empty(len(self._sources), np.int64)
        _mixture.group_draws(
            codes, ranks, self._before, self.quotas, self.cursors, ends, rows, draws
        )
        out = np.empty(slots.size, np.int64)
        begin = 0
        for code, end in enumerate(ends.tolist()):
            if end > begin:
                places = self._places(code, draws[begin:end])
                out[rows[begin:end]] = self._sources.samples(code, places)
                begin = end
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: an equal share of the draws of the sample's domain."""
        return self._sources.spread(self.drawn, indices)

    def _turns(self, slots: Indices) -> tuple[Indices, Indices]:
        """Return the domain of each slot, and its number among the domain's draws of the epoch."""
        if not self.ordered:
            codes = np.searchsorted(self._ends, slots, side="right")
            return codes, slots - (self._ends - self.quotas)[codes]
        places = slots + self._turn
        places[places >= self.size] -= self.size
        return self._even.take(places)

    def _places(self, code: int, draws: Indices) -> Indices:
        """Return the positions in a domain of draws of its sequence: int64 (m,) -> int64 (m,)."""
        size = int(self._sources.sizes[code])
        first, last = int(draws.min()) // size, int(draws.max()) // size
        if first == last:
            return self._shuffle(code, first)(draws - first * size)
        out = np.empty_like(draws)
        if size <= EXACT and last > first + 1:
            order = np.argsort(draws, kind="stable")
            places = np.empty_like(draws)
            _mixture.run_places(draws[order], size, _rng.subkey(self._key, code), places)
            out[order] = places
            return out
        passes = draws // size
        for number in np.unique(passes).tolist():
            here = passes == number
            out[here] = self._shuffle(code, number)(draws[here] - number * size)
        return out

    def _shuffle(self, code: int, number: int) -> Permutation:
        """Return shuffle `number` of a domain's sequence; two of each domain are cached."""
        made = self._shuffles.setdefault(code, {})
        if number not in made:
            while len(made) > 1:
                made.pop(next(iter(made)))
            key = _rng.subkey(_rng.subkey(self._key, code), number)
            made[number] = Permutation(int(self._sources.sizes[code]), key)
        return made[number]


class EvenOrder:
    """An order of M draws in which every domain keeps its share, computable from any slot.

    Parameters
    ----------
    quotas : int64 array of shape (K,)
        Number of draws of each domain.
    """

    def __init__(self, quotas: Indices) -> None:
        self._live = np.flatnonzero(quotas)
        self._quotas = quotas[self._live]
        self._groups = quotas.size
        self._marks = [np.zeros(self._live.size, np.int64)]  # counts before slot 0, WALK, 2 WALK...
        self._latest = (0, self._marks[0])  # end of the last computation, for consecutive reads

    def take(self, slots: Indices) -> tuple[Indices, Indices]:
        """Return the domain, and its number of earlier draws, at each slot: int64 (m,), twice."""
        order, steps = None, np.diff(slots)
        if steps.min(initial=0) < 0:  # the order was rotated: its end comes before its beginning
            order = np.argsort(slots, kind="stable")
            slots = slots[order]
            steps = np.diff(slots)
        codes, ranks = np.empty_like(slots), np.empty_like(slots)
        cuts: list[int] = []
        if steps.max(initial=0) > WALK:
            cuts = (np.flatnonzero(steps > WALK) + 1).tolist()
        for begin, end in zip([0, *cuts], [*cuts, slots.size], strict=True):
            if begin < end:
                self._walk(slots[begin:end], codes[begin:end], ranks[begin:end])
        if self._live.size < self._groups:
            codes = self._live[codes]
        if order is None:
            return codes, ranks
        back = np.empty_like(order)
        back[order] = np.arange(order.size)
        return codes[back], ranks[back]

    def counts_at(self, slot: int) -> Indices:
        """Return how often each domain is drawn before a slot: int64 (K,)."""
        out = np.zeros(self._groups, np.int64)
        if slot > 0:
            none = np.empty(1, np.int64)
            self._walk(np.array([slot - 1]), none, none.copy())
            out[self._live] = self._latest[1]
        return out

    def _walk(self, slots: Indices, codes: Indices, ranks: Indices) -> None:
        first = int(slots[0])
        while len(self._marks) * WALK <= first:
            last = np.array([len(self._marks) * WALK - 1])
            self._marks.append(self._after((len(self._marks) - 1) * WALK, self._marks[-1], last))
        at = first // WALK * WALK
        counts = self._marks[first // WALK]
        if at <= self._latest[0] <= first:
            at, counts = self._latest
        counts = counts.copy()
        self._schedule(counts, at, slots, codes, ranks)
        self._latest = (int(slots[-1]) + 1, counts)

    def _after(self, at: int, counts: Indices, slots: Indices) -> Indices:
        counts, none = counts.copy(), np.empty_like(slots)
        self._schedule(counts, at, slots, none, none.copy())
        return counts

    def _schedule(
        self, counts: Indices, at: int, slots: Indices, codes: Indices, ranks: Indices
    ) -> None:
        walk = _mixture.even_of_two if self._live.size == 2 else _mixture.even_of_many
        walk(self._quotas, counts, at, slots, codes, ranks)
