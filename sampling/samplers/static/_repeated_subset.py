"""RS2: a new random subset in every round. A fixed subset: `SubsetSampler`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...types import Floats, Indices
from ..core._epoch_sampler import EpochSampler
from ..core._groups import Groups
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._tables import DrawTable, ListTable, ShuffledTable

ROUNDS = 16  # at most this many in a run, if its passes depend on too many earlier passes ...
WORK = 2**22  # ... which is more samples than this


@told
class RepeatedSubsetSampler(EpochSampler):
    """Train each round on a new random subset of the same size: the baseline for selection methods.

    Without replacement (across rounds), rounds are windows of one endless sequence of shuffles, so
    every sample is used before any is used again. The round in which a shuffle ends takes its
    remaining samples and fills up from the next one, skipping samples that it already has; those
    follow directly after. So every round has exactly m samples and no repeats. With replacement
    each round is drawn independently (still without repeats within the round).

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    keep : float in (0, 1]
        Each round draws m = round(keep * N) samples, halves rounded up, at least 1. May be omitted
        with `quotas`.
    replacement : bool, default False
        Whether rounds are independent of one another.
    labels : array-like of shape (N,), optional
        Stratify: class c has round(keep * n_c) samples in each round, at least 1.
        Unlabelled samples (-1, None, NaN) are excluded.
    quotas : mapping from class to int, or int array of shape (C,), optional
        Samples of each class in a round instead, such as those of `quotas_from_recall`: at least 1
        of every class, and at most its size. If `keep` is given, they must add up to round(keep *
        N) of the labelled samples.
    **options
        The options of every sampler: see `EpochSampler`.

    Raises
    ------
    ValueError
        If `keep` is outside (0, 1], or `labels` is not of length N; if a quota is out of its range,
        or they do not add up.

    Notes
    -----
    Order
        A pure function of (N, keep, seed, epoch). Any round is computed directly; for
        m > N / 2 from up to m / (N - m) earlier shuffles, of O(N). If that is more than 16 and they
        hold more than 2**22 samples, a new sequence starts in every 16th round: only within it is
        every sample drawn before any is repeated.
    Cost
        O(1) memory for most rounds. A round in which a shuffle ends takes up to 16 m bytes, and
        O(N) bytes while it is planned. Stratified: O(m) an epoch.
    Gradients
        Every sample is drawn equally often; all weights are 1. Stratified rounding makes small
        classes slightly more frequent, and `quotas` makes classes so, which objective="original"
        corrects.
    Source
        Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning",
        ICLR 2024. Without replacement it is ordinary training for keep times as many
        epochs under a compressed schedule. The released code rounds halves to the even number, and
        to 0 in a small class; its round at the end of a shuffle has one sample less, takes the rest
        from the front of the same shuffle, and the next round starts a new one.

    Examples
    --------
    >>> import numpy as np
    >>> sampler = RepeatedSubsetSampler(10, keep=0.4, seed=0)
    >>> rounds = [sampler.indices(epoch) for epoch in range(5)]
    >>> [len(np.unique(each)) for each in rounds]
    [4, 4, 4, 4, 4]
    >>> np.bincount(np.concatenate(rounds))
    array([2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    """

    covers_dataset = True

    def __init__(
        self,
        data_source: int | Sized,
        keep: float | None = None,
        *,
        replacement: bool = False,
        labels: ArrayLike | None = None,
        quotas: Mapping[Any, int] | ArrayLike | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        size = self._size_of("data_source", data_source)
        self.replacement = _check.flag("replacement", replacement)
        self._groups: Groups | None = None
        strata = np.array([size])
        if labels is not None:
            self._groups = Groups("labels", labels)
            _check.same_length("labels", self._groups.codes, "data_source", size)
            strata = self._groups.sizes
        self.keep, self._windows = self._sizes(keep, quotas, strata)
        seed = _check.seed(options.get("seed", 0))
        self._runs = [
            Run(int(n), int(m), seed, f"rs2 {stratum}")
            for stratum, (n, m) in enumerate(zip(strata, self._windows, strict=True))
        ]
        if any(run.rounds for run in self._runs):
            self._algorithm = 2  # version 1 depended on all rounds from the first
        super().__init__(size, int(self._windows.sum()), **options)

    def _sizes(
        self,
        keep: float | None,
        quotas: Mapping[Any, int] | ArrayLike | None,
        strata: NDArray[np.integer],
    ) -> tuple[float, Indices]:
        """Return the fraction, and the samples of each stratum in a round: (C,) -> (), (C,)."""
        fraction = None if keep is None else _check.number("keep", keep, "(0, 1]")
        if quotas is None:
            if fraction is None:
                raise TypeError("keep must be given, or quotas with labels, got neither")
            kept = np.floor(fraction * strata + 0.5)
            return fraction, np.maximum(1, kept).astype(np.int64)
        windows, size = self._checked(quotas), int(strata.sum())
        drawn = int(windows.sum())
        if fraction is None:
            return drawn / size, windows
        total = max(1, math.floor(fraction * size + 0.5))
        if drawn != total:
            raise ValueError(
                f"quotas must add up to {total}, a fraction keep={fraction:g} of the {size} "
                f"labelled samples, got {drawn}: omit keep, or change the quotas"
            )
        return fraction, windows

    def _checked(self, quotas: Mapping[Any, int] | ArrayLike) -> Indices:
        """Return the samples of each class in a round, int64 (C,)."""
        if self._groups is None:
            raise ValueError(
                "quotas must be omitted without labels, got no labels: give labels too"
            )
        names, sizes = self._groups.names, self._groups.sizes
        given = _check.by_name("quotas", quotas, names, "classes")
        for bad, rule in (
            (given != np.floor(given), "be whole numbers"),
            (given < 1, "be >= 1 (give samples to exclude the label -1)"),
            (given > sizes, "be at most the size of the class"),
        ):
            if bad.any():
                at = int(np.flatnonzero(bad)[0])
                raise ValueError(
                    f"quotas must {rule}, got {given[at]:g} for class {_labels.item(names[at])!r} "
                    f"of {sizes[at]} samples"
                )
        return given.astype(np.int64)

    def table(self, epoch: int) -> DrawTable:
        tables = [self._round(run, epoch) for run in self._runs]
        if self._groups is None:
            return tables[0]
        groups = self._groups
        samples = np.concatenate(
            [groups.of(c)[each.take(np.arange(each.size))] for c, each in enumerate(tables)]
        )
        per_group = self._windows.astype(np.float64)
        return ListTable(samples, groups.num_labeled, lambda rows: groups.spread(per_group, rows))

    def _round(self, run: Run, epoch: int) -> DrawTable:
        if self.replacement:
            return ShuffledTable(run.size, run.window, _rng.key(self.seed, epoch, run.purpose))
        return Window(run, epoch)

    def identity(self) -> dict[str, object]:
        codes = None if self._groups is None else self._groups.codes
        return {
            "replacement": self.replacement,
            "draws from keep": self._windows,
            "labels": codes,
        }


@dataclass
class Pass:
    """One shuffle of the run; its first positions may be rearranged to avoid repeats in a round.

    Parameters
    ----------
    shuffle : Permutation
        The shuffle before the rearrangement.
    front : int64 array of shape (L,)
        Values at positions 0..L-1 instead of the shuffle's own: the same samples, reordered.
    """

    shuffle: Permutation
    front: Indices

    def take(self, places: Indices) -> Indices:
        """Return the sample at each position: int64 (m,) in [0, N) -> int64 (m,)."""
        out = self.shuffle(places)
        moved = places < self.front.size
        if moved.any():
            out[moved] = self.front[places[moved]]
        return out


class Run:
    """An endless sequence of shuffles of range(size), cut into windows without repeats.

    Attributes
    ----------
    rounds : int
        Number of rounds after which a new run starts, with other shuffles; 0 for none. Otherwise a
        pass may depend on earlier passes, up to window / (size - window) of them.
    """

    def __init__(self, size: int, window: int, seed: int, purpose: str) -> None:
        self.size = size
        self.window = window
        self.purpose = purpose
        rest = size - window  # a pass depends on at most window / rest passes before it
        far = rest > 0 and window > ROUNDS * rest and window * size > WORK * rest
        self.rounds = ROUNDS if far else 0
        self._seed = seed
        self._number = 0  # of the run that `_recent` belongs to
        self._recent: dict[int, Pass] = {}

    def split(self, epoch: int) -> tuple[int, int]:
        """Return the run of an epoch, and the position in it at which its round begins."""
        number, rounds = divmod(epoch, self.rounds) if self.rounds else (0, epoch)
        return number, rounds * self.window

    def at(self, run: int, number: int) -> Pass:
        """Return a pass of a run.

        It depends on the end of the previous pass, and so on back to one whose rearranged front
        cannot reach its end; for m <= N / 2 that is the previous pass itself.
        """
        if run != self._number:
            self._number, self._recent = run, {}
        first = number
        while first not in self._recent and self._tail(first - 1) and not self._settled(first):
            first -= 1
        for each in range(first, number + 1):
            if each not in self._recent:
                self._recent[each] = self._make(each)
        for old in [each for each in self._recent if each < number - 1 or each > number + 1]:
            del self._recent[old]
        return self._recent[number]

    def _tail(self, number: int) -> int:
        """Return how many samples of a pass are in the round in which it ends; 0 if both end."""
        return (number + 1) * self.size % self.window if number >= 0 else 0

    def _settled(self, number: int) -> bool:
        """Return whether a pass depends on the previous one before rearrangement only."""
        # The front of pass number - 1 is at most one window long.
        return self._tail(number - 2) == 0 or self.window + self._tail(number - 1) <= self.size

    def _raw(self, number: int) -> Permutation:
        key = _rng.subkey(_rng.key(self._seed, self._number, self.purpose), number)
        return Permutation(self.size, key)

    def _make(self, number: int) -> Pass:
        shuffle = self._raw(number)
        tail = self._tail(number - 1)
        if tail == 0:
            return Pass(shuffle, np.empty(0, np.int64))
        before = self._recent.get(number - 1)
        if before is None:
            before = Pass(self._raw(number - 1), np.empty(0, np.int64))
        ends = before.take(np.arange(self.size - tail, self.size))
        return Pass(shuffle, self._front(shuffle, ends))

    def _front(self, shuffle: Permutation, ends: Indices) -> Indices:
        """Return the first positions of a pass, such that the round it completes repeats no `ends`.

        First the samples that fill the round, then the skipped ones, in the shuffle's order.
        """
        wanted = self.window - ends.size
        present = np.zeros(self.size, np.bool_)
        present[ends] = True
        fill: list[Indices] = []
        deferred: list[Indices] = []
        place = 0
        while wanted > 0:
            places = np.arange(place, min(place + max(wanted, 64), self.size))
            samples = shuffle(places)
            repeats = present[samples]
            fresh = np.flatnonzero(~repeats)[:wanted]
            seen = samples.size if fresh.size < wanted else int(fresh[-1]) + 1
            fill.append(samples[fresh])
            deferred.append(samples[:seen][repeats[:seen]])
            wanted -= fresh.size
            place += seen
        return np.concatenate(fill + deferred)


class Window(DrawTable):
    """One round of a run: m consecutive draws, from one pass or from two consecutive passes."""

    even = True
    ordered = True

    def __init__(self, run: Run, epoch: int) -> None:
        self.size = run.window
        self.population = run.size
        which, start = run.split(epoch)
        number, self._first = divmod(start, run.size)
        self._passes = [run.at(which, number)]
        if self._first + run.window > run.size:
            self._passes.append(run.at(which, number + 1))

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        places = slots + self._first
        if len(self._passes) == 1:
            return self._passes[0].take(places)
        out = np.empty_like(places)
        later = places >= self.population
        out[~later] = self._passes[0].take(places[~later])
        out[later] = self._passes[1].take(places[later] - self.population)
        return out

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: m / N for each."""
        return np.full(indices.size, self.size / self.population)
