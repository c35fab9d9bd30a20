"""Two rounds of a greedy method: each part of the rows picks as many as asked for, then these do.

A greedy method needs all rows in one process at each pick. Here a part is worth a task of any
engine, and only what the parts picked comes together: of N rows about sqrt(N M). The picks are
others than those of one round, and not quite as good; they depend on the parts, and these on the
number of rows and of picks alone, never on who processes them.

Source: Mirzasoleiman, Karbasi, Sarkar, Krause, "Distributed Submodular Maximization" (GreeDi), NIPS
2013; for k-center Malkomes, Kusner, Chen, Weinberger, Moseley, NIPS 2015: within 4 times the
optimal radius, where one round is within 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ... import _check, _rng
from ..._checkpoint import outside
from ..._checkpoint import part as part_of
from ...engine import over
from ...types import Floats, Indices, Keys
from ..core._task import Task

__all__ = [
    "check_rounds",
    "part_size",
    "parts_of",
    "place_of",
    "task_of",
    "through",
    "two_rounds",
]

T = TypeVar("T")
_NUMBERS = 2**21  # in the smallest part
_NONE = np.zeros(0, np.int64)

Pick = Callable[[NDArray[Any], Task, int, Floats | None], tuple[Indices, Floats, int]]


def check_rounds(rounds: object, **others: object) -> int:
    """Check `rounds`; refuse, with two, arguments that only one process can apply to all rows."""
    found = _check.integer("rounds", rounds, 1, 3)
    for name, value in others.items():
        if found == 2 and value is not None and value != 0:
            raise ValueError(f"{name} must be omitted with rounds=2, got {value!r}")
    return found


def part_size(size: float, budget: float, dimensions: float) -> int:
    """Return the rows of a part.

    sqrt(n M), so that what the n / sqrt(n M) parts pick is another sqrt(n M) rows; more if 2**21
    numbers are more.
    """
    return max(1, int(_NUMBERS // max(1, dimensions)), isqrt(int(size * budget)))


def parts_of(task: Task, dimensions: int) -> list[slice]:
    """Split the eligible rows, counted from the first, into parts of positions."""
    n = task.rows.size
    step = part_size(n, task.budget, dimensions)
    return [slice(at, min(at + step, n)) for at in range(0, n, step)]


def two_rounds(
    rows: Any,  # array (N, D), or Rows on disk
    task: Task,
    parts: list[slice],
    pick: Pick,
    start: int | None = None,
) -> tuple[Indices, int, dict[str, int]]:
    """Return the positions of the picks, how many added nothing, and what `info["rounds"]` holds.

    pick  : takes rows, a task of them, the position of the first pick (-1 for none) and weights of
            the rows (None for 1); returns positions, the weights of these rows in round 2, and how
            many of them added nothing. It is sent to workers.
    start : row of the first pick
    """
    budget, seed, key = task.budget, task.seed, task.key

    def work(block: NDArray[Any], keys: Keys, first: int, number: int) -> tuple[Indices, Floats]:
        count = min(budget, len(block))
        own = task_of(len(block), count, keys, seed, _rng.subkey(key, number))
        with outside():
            return pick(block, own, first, None)[:2]

    def place(numbers: Indices) -> int:
        return -1 if start is None else place_of(numbers, start)

    given = [(task.keys[part], place(task.rows[part]), number) for number, part in enumerate(parts)]
    with part_of("first round") as saved:
        found = [(each["places"], each["weights"]) for each in saved.added]
        saved.make = lambda: {"parts": np.array(len(found))}
        left = slice(len(found), None)
        read = _read(task, parts[left])
        every = over(work, rows, parts=read, given=given[left], title="picking in parts")
        for part, (_, (some, heavy)) in zip(parts[left], every, strict=True):
            found.append((part.start + some, heavy))
            saved.add(places=found[-1][0], weights=heavy)
            saved.tick()
        saved.done(parts=np.array(len(found)))
    places = np.concatenate([each for each, _ in found])
    weights = np.concatenate([heavy for _, heavy in found])
    order = np.argsort(places)
    places, weights = places[order], weights[order]
    own = task_of(places.size, budget, task.keys[places], seed, key)
    numbers = task.rows[places]
    with part_of("second round"):
        picked, _, idle = pick(np.asarray(rows[numbers]), own, place(numbers), weights)
    facts = {"rounds": 2, "parts": len(parts), "rows_of_part": parts[0].stop, "picked": places.size}
    return places[picked], idle, facts


def through(work: Callable[..., T], rows: Any, task: Task, *columns: NDArray[Any]) -> Iterator[T]:
    """Call a function with blocks of the eligible rows; yield the results in order.

    work    : takes rows (b, D), and the same part of each column
    columns : (n, ...)
    """
    n, step = task.rows.size, max(1, _NUMBERS // rows.shape[1])
    parts = [slice(at, min(at + step, n)) for at in range(0, n, step)]
    given = [tuple(column[part] for column in columns) for part in parts]
    return (found for _, found in over(work, rows, parts=_read(task, parts), given=given))


def _read(task: Task, parts: list[slice]) -> Any:  # a list of slices, or of int64 arrays
    """Return parts as rows of the input."""
    if task.rows.size == task.size:
        return parts
    return [task.rows[part] for part in parts]


def place_of(numbers: Indices, row: int) -> int:
    """Return the position of a row among ascending numbers; -1 if it is not there."""
    at = int(np.searchsorted(numbers, row))
    return at if at < numbers.size and numbers[at] == row else -1


def task_of(size: int, budget: int, keys: Keys, seed: int, key: np.uint64) -> Task:
    """Return the task to pick among all of `size` rows, without others."""
    return Task(np.arange(size), budget, keys, _NONE, seed, key, size)
