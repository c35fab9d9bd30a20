"""One pass over an epoch: Python ints at the speed of C, and where the pass stands."""

import itertools
from collections.abc import Iterator
from operator import length_hint
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from typing_extensions import Self

from ._plan import CHUNK, Plan

if TYPE_CHECKING:
    from ._base import EpochSampler


class Chunks:
    """Draws of one rank in an epoch, from a position on, as iterators over lists."""

    def __init__(self, plan: Plan, start: int, rank: int, world: int, count: int) -> None:
        self.plan = plan
        self.start = start
        self.count = count
        self._rank, self._world = rank, world
        self._made = 0
        self._current: Iterator[int] = iter(())

    def __iter__(self) -> Iterator[Iterator[int]]:
        return self

    def __next__(self) -> Iterator[int]:
        if self._made >= self.count:
            self.plan.finished = True
            raise StopIteration
        size = self.plan.table.size
        steps = np.arange(self._made, min(self._made + CHUNK, self.count), dtype=np.int64)
        positions = self.start + self._rank + steps * self._world
        if positions[-1] >= size:
            positions[positions >= size] %= size  # padding comes from the front of the epoch
        self._made += steps.size
        self._current = iter(self.plan.draws(positions).tolist())
        return self._current

    @property
    def taken(self) -> int:
        """Draws of this rank handed out so far."""
        return self._made - length_hint(self._current)

    @property
    def consumed(self) -> int:
        """Global position: draws that all ranks together have handed out, if they keep step."""
        return min(self.start + self.taken * self._world, self.plan.table.size)


class EpochIterator(itertools.chain[int]):
    """What `iter(sampler)` returns.

    `itertools.chain` over chunk lists hands out 10^7 ints in 0.12 s, where a Python `__next__`
    takes 0.44 s. Epoch and position were read when it was made, not at the first `next`.

    `state_dict` and `load_state_dict` are what torchdata's `StatefulDataLoader` looks for: the
    position is what was handed out, and after the last draw it is the beginning of the next epoch.
    """

    _sampler: "EpochSampler"
    _chunks: Chunks

    @classmethod
    def over(cls, sampler: "EpochSampler", chunks: Chunks) -> Self:
        """Return an iterator over the chunks of a sampler's pass."""
        made = cast(Self, cls.from_iterable(chunks))
        made._sampler, made._chunks = sampler, chunks
        return made

    def state_dict(self) -> dict[str, Any]:
        """Return where this pass stands, in the form of the sampler's `state_dict`."""
        chunks, plan = self._chunks, self._chunks.plan
        if chunks.taken >= chunks.count:
            return self._sampler._state(plan.epoch + 1, 0, None)
        return self._sampler._state(plan.epoch, chunks.consumed, plan)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another pass stood; only before the first `next`."""
        self._sampler.load_state_dict(state)
        # In place: the chain has begun no chunk yet, and asks these for its first.
        self._chunks.__dict__.update(self._sampler._pass().__dict__)
