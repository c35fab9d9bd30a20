"""One pass over an epoch: Python ints at the speed of C, and the position of the pass."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from operator import length_hint
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import numpy as np
from typing_extensions import Self

from ...types import Indices
from ._cuts import Cuts
from ._plan import CHUNK, EpochPlan

Item = TypeVar("Item")  # a draw, or a batch of them

Doubt: TypeAlias = Callable[[], None] | None  # called at the first item: warns or raises


class Pass(ABC, Generic[Item]):
    """The items that one rank yields in an epoch, from a position, as iterators over lists.

    Attributes
    ----------
    plan : EpochPlan
        EpochPlan of the epoch.
    arrays : bool
        Whether batches are int64 arrays instead of lists of Python ints; set before the first.
    """

    arrays = False

    def __init__(self, plan: EpochPlan, doubt: Doubt = None) -> None:
        self.plan = plan
        self._doubt = doubt
        self._made = 0
        self._current: Iterator[Item] = iter(())

    @abstractmethod
    def _next_items(self) -> list[Item]:
        """Return this rank's next few items, after `_made`; at least one."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of draws or batches of this rank in the whole pass."""

    @property
    @abstractmethod
    def consumed(self) -> int:
        """Global position: draws yielded by all ranks together, if they advance in step."""

    def __iter__(self) -> Iterator[Iterator[Item]]:
        return self

    def __next__(self) -> Iterator[Item]:
        if self._doubt is not None:
            self._doubt()
            self._doubt = None
        if self._made >= self.count:
            self.plan.finished = True
            raise StopIteration
        items = self._next_items()
        self._made += len(items)
        self._current = iter(items)
        return self._current

    @property
    def taken(self) -> int:
        """Number of items of this rank yielded so far."""
        return self._made - length_hint(self._current)

    @property
    def position(self) -> int:
        """`consumed`; after the last item, all draws of the epoch, excluded ones too."""
        return self.plan.table.size if self.taken >= self.count else self.consumed


class Draws(Pass[int]):
    """Single draws: rank r of W takes positions start + r, start + r + W, ..."""

    def __init__(  # noqa: PLR0913  # what a pass consists of
        self, plan: EpochPlan, start: int, rank: int, world: int, count: int, doubt: Doubt = None
    ) -> None:
        super().__init__(plan, doubt)
        self._count = count
        self._start, self._rank, self._world = start, rank, world

    @property
    def count(self) -> int:
        """See `Pass`."""
        return self._count

    def _next_items(self) -> list[int]:
        size = self.plan.table.size
        steps = np.arange(self._made, min(self._made + CHUNK, self.count), dtype=np.int64)
        positions = self._start + self._rank + steps * self._world
        if positions[-1] >= size:
            positions[positions >= size] %= size  # padding repeats the front of the epoch
        yielded: list[int] = self.plan.draws(positions).tolist()
        return yielded

    @property
    def consumed(self) -> int:
        """See `Pass`."""
        return min(self._start + self.taken * self._world, self.plan.table.size)


class Batches(Pass[list[int]]):
    """Whole batches: rank r of W takes batches r, r + W, ... of those that `cuts` defines."""

    def __init__(  # noqa: PLR0913  # what a pass consists of
        self, plan: EpochPlan, cuts: Cuts, rank: int, world: int, count: int, doubt: Doubt = None
    ) -> None:
        super().__init__(plan, doubt)
        self._count = count
        self._cuts, self._rank, self._world = cuts, rank, world
        self._at_a_time = max(1, CHUNK // max(1, cuts.typical))

    @property
    def count(self) -> int:
        """See `Pass`."""
        return self._count

    def _next_items(self) -> list[list[int]]:
        stop = min(self._made + self._at_a_time, self.count)
        numbers = self._rank + np.arange(self._made, stop, dtype=np.int64) * self._world
        return cut(self.plan, self._cuts, numbers, arrays=self.arrays)

    @property
    def consumed(self) -> int:
        """See `Pass`."""
        return self._cuts.position(self.taken * self._world)


def cut(plan: EpochPlan, cuts: Cuts, numbers: Indices, *, arrays: bool = False) -> list[Any]:
    """Return the batches with these numbers: int64 (m,) -> m lists of Python ints, or arrays."""
    if numbers.size == 0:
        return []
    starts, stops = cuts(numbers)
    ends = np.cumsum(stops - starts)
    before = np.concatenate([[0], ends[:-1]])
    positions = np.arange(ends[-1]) + np.repeat(starts - before, stops - starts)
    draws = plan.draws(positions)
    flat = draws if arrays else draws.tolist()
    return [flat[a:b] for a, b in zip(before.tolist(), ends.tolist(), strict=True)]


class Resumable(Protocol):
    """Interface between an iterator and its sampler."""

    def _state(self, epoch: int, consumed: int, plan: EpochPlan | None) -> dict[str, Any]: ...

    def _pass(self) -> Pass[Any]: ...

    def _begun(self, yielded: Pass[Any]) -> None: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class EpochIterator(itertools.chain[Item]):
    """The iterator that `iter(sampler)` returns.

    `itertools.chain` over chunk lists yields 10^7 ints in 0.12 s, where a Python `__next__` takes
    0.44 s. Epoch and position are read when the iterator is made, not at the first `next`.

    `state_dict` and `load_state_dict` are the interface of torchdata's `StatefulDataLoader`. The
    position counts what was yielded. After the last item it is the end of the epoch: a pass resumed
    there is empty, and the one after it begins the next epoch. Only the loader knows whether the
    training loop had finished the epoch too: if so it makes those two passes at once.
    """

    _sampler: Resumable
    _pass: Pass[Item]

    @classmethod
    def over(cls, sampler: Resumable, yielded: Pass[Item]) -> Self:
        """Return an iterator over a sampler's pass."""
        made = cast(Self, cls.from_iterable(yielded))
        made._sampler, made._pass = sampler, yielded
        sampler._begun(yielded)
        return made

    def state_dict(self) -> dict[str, Any]:
        """Return the position of this pass, in the form of the sampler's `state_dict`."""
        plan = self._pass.plan
        return self._sampler._state(plan.epoch, self._pass.position, plan)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume at the position of another pass; only before the first `next`."""
        self._sampler.load_state_dict(state)
        # In place: the chain has started no chunk yet, and asks this object for its first.
        self._pass.__dict__.update(self._sampler._pass().__dict__)
        self._sampler._begun(self._pass)
        if self._pass.count == 0:
            self._pass.plan.finished = True  # over, even if its first item is never requested
