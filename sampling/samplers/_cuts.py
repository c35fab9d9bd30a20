"""Where an epoch's draws are cut into batches."""

from abc import ABC, abstractmethod

import numpy as np

from ..errors import StateError
from ..types import Indices


class Cuts(ABC):
    """The batches of an epoch, from a position on.

    Attributes
    ----------
    count : int
        Batches from the position to the end, all ranks together.
    whole : int
        Batches of the whole epoch.
    typical : int
        Draws in an ordinary batch.
    """

    count: int
    whole: int
    typical: int

    @abstractmethod
    def __call__(self, numbers: Indices) -> tuple[Indices, Indices]:
        """Return where batches begin and end: int64 (m,) -> two int64 (m,).

        Batch 0 is the first after the position. Numbers from `count` on are padding, and stand for
        the batches at the front of the epoch.
        """

    @abstractmethod
    def position(self, dealt: int) -> int:
        """Return the draws consumed, since the epoch began, once `dealt` batches were."""


class EqualCuts(Cuts):
    """A cut every `batch_size` draws, from the position on."""

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
    """Cuts that the draw table brought with it: int64 (batches + 1,), from 0 to M."""

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
    """Return which batch begins after `consumed` draws, or say that none does."""
    number = int(np.searchsorted(cuts, consumed))
    if cuts[number] != consumed:
        raise StateError(
            f"consumed must lie between two batches, such as {cuts[number - 1]}, got {consumed}: "
            "save after whole rounds, one batch on every rank"
        )
    return number


def _batches(draws: int, batch_size: int, drop_last: bool) -> int:
    return draws // batch_size if drop_last else -(-draws // batch_size)
