"""Positions at which an epoch's draws are cut into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ...errors import StateError
from ...types import Indices


class Cuts(ABC):
    """The batches of an epoch, from a position to its end.

    Attributes
    ----------
    count : int
        Number of batches from the position to the end, summed over all ranks.
    whole : int
        Number of batches in the whole epoch.
    typical : int
        Number of draws in an ordinary batch.
    """

    count: int
    whole: int
    typical: int

    @abstractmethod
    def __call__(self, numbers: Indices) -> tuple[Indices, Indices]:
        """Return the first and the last position, exclusive, of batches: int64 (m,) -> two of them.

        Batch 0 is the first after the position. Numbers from `count` are padding, and refer to the
        batches at the beginning of the epoch.
        """

    @abstractmethod
    def position(self, dealt: int) -> int:
        """Return the draws consumed since the epoch began, after `dealt` batches."""


class EqualCuts(Cuts):
    """A cut every `batch_size` draws, from the position."""

    def __init__(self, size: int, batch_size: int, start: int, *, drop_last: bool) -> None:
        self.typical = batch_size
        self._size, self._start = size, start
        self.whole = _batches(size, batch_size, drop_last)
        self.count = _batches(size - start, batch_size, drop_last)

    def __call__(self, numbers: Indices) -> tuple[Indices, Indices]:
        """See `Cuts`."""
        starts = self._start + numbers * self.typical
        if numbers[-1] >= self.count:
            padding = numbers >= self.count
            starts[padding] = (numbers[padding] - self.count) % self.whole * self.typical
        return starts, np.minimum(starts + self.typical, self._size)

    def position(self, dealt: int) -> int:
        """See `Cuts`."""
        return min(self._start + min(dealt, self.count) * self.typical, self._size)


class GivenCuts(Cuts):
    """Cuts given by the draw table: int64 (batches + 1,), from 0 to M."""

    def __init__(self, cuts: Indices, start: int) -> None:
        self._cuts = cuts
        self.whole = cuts.size - 1
        self._first = batch_at(cuts, start)
        self.count = self.whole - self._first
        self.typical = int(cuts[-1]) // max(1, self.whole)

    def __call__(self, numbers: Indices) -> tuple[Indices, Indices]:
        """See `Cuts`."""
        own = self._first + numbers
        if numbers[-1] >= self.count:
            padding = numbers >= self.count
            own[padding] = (numbers[padding] - self.count) % self.whole
        return self._cuts[own], self._cuts[own + 1]

    def position(self, dealt: int) -> int:
        """See `Cuts`."""
        return int(self._cuts[self._first + min(dealt, self.count)])


def batch_at(cuts: Indices, consumed: int) -> int:
    """Return the number of the batch that begins after `consumed` draws; raise if none does."""
    number = int(np.searchsorted(cuts, consumed))
    if cuts[number] != consumed:
        raise StateError(
            f"consumed must lie between two batches, such as {cuts[number - 1]}, got {consumed}: "
            "save after whole rounds, one batch on every rank"
        )
    return number


def _batches(draws: int, batch_size: int, drop_last: bool) -> int:
    return draws // batch_size if drop_last else -(-draws // batch_size)
