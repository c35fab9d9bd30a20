"""Rows for geometric methods: float32, of magnitude about 1, in an order given by their keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._rows import Rows
from ...clustering import Neighbours, neighbours
from ...io import OwnRows, ordered
from ...kernels._greedy import count_ends, fill_ends
from ...record.keys import by_digits
from ...types import Indices, Scores
from ..core._cost import copy_bytes
from ..core._memory import bytes_of
from ..core._options import Options
from ..core._task import Task

__all__ = [
    "Work",
    "by_key",
    "graph_of",
    "holds_copy",
    "is_cosine",
    "joined",
    "kept_before",
    "power",
    "put",
    "rounding",
    "scaled_rows",
    "tiles",
    "width_of",
    "work_rows",
]

Work: TypeAlias = "Scores | OwnRows"  # rows for distances, in memory or in a temporary file
_BLOCK = 2**18  # numbers in a block: 1 MiB of float32, which fit into the cache of a core


def is_cosine(metric: str) -> bool:
    """Check `metric`; return whether it is "cosine"."""
    return _check.choice("metric", metric, ("euclidean", "cosine")) == "cosine"


def by_key(task: Task) -> Indices:
    """Return the positions of the rows by ascending key.

    A method that processes rows in this order breaks ties by key when it breaks them by position,
    and its sums have the same order for any order of the input, so its results are bitwise
    independent of the input order.
    """
    return by_digits(task.keys)


def kept_before(task: Task, bad: NDArray[np.bool_] | None, *, own: bool = False) -> Indices:
    """Return the already selected rows without bad rows; with `own`, those of the task's group."""
    rows = task.already
    if bad is not None:
        rows = rows[~bad[rows]]
    if not own or task.codes is None or rows.size == 0:
        return rows
    found: Indices = rows[task.codes[rows] == task.codes[task.rows[0]]]
    return found


GivenNeighbours = Neighbours | int


def graph_of(  # noqa: PLR0913  # rows and their numbers
    given: GivenNeighbours,
    work: Work,
    nodes: Indices,
    size: int,
    metric: str,
    scale: float = 1.0,
) -> Neighbours:
    """Return the neighbour graph of a subset of the rows, computed or taken from a given graph.

    work  : (n, D), these rows as used for distances, multiplied by `scale`
    nodes : int64 (n,), their numbers among all `size` rows, the rows of a given graph
    """
    if not isinstance(given, Neighbours):
        return neighbours(work, given, metric=metric)
    if len(given.indices) != size:
        raise ValueError(f"num_neighbours must be of all {size} rows, got {len(given.indices)}")
    if given.metric != metric:
        raise ValueError(f"num_neighbours must have metric {metric!r}, got {given.metric!r}")
    some = given.among(nodes)
    return replace(some, distances=some.distances * np.float32(scale))


def width_of(given: GivenNeighbours, size: int) -> int:
    """Return k, the number of neighbours of a row."""
    return given.indices.shape[1] if isinstance(given, Neighbours) else min(given, size)


def joined(graph: Neighbours) -> tuple[Indices, NDArray[np.int32], Scores]:
    """Return the undirected graph: rows are joined if either is a neighbour of the other.

    Returns the start of the edges of each row, int64 (n + 1,), the rows at their other ends, int32
    (E,), and the distances, float32 (E,), with both directions of every edge, so E <= 2 n k.
    """
    size = len(graph.indices)
    starts, counts = np.zeros(size + 1, np.int64), np.empty(size, np.int64)
    count_ends(graph.indices, counts)
    np.cumsum(counts, out=starts[1:])
    ends, gaps = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    counts[:] = 0
    fill_ends(graph.indices, graph.distances, starts, counts, ends, gaps)
    return starts, ends, gaps


def tiles(size: int, dimensions: int) -> Iterator[slice]:
    """Split rows into blocks of about 1 MiB of float32."""
    step = max(1, _BLOCK // dimensions)
    for start in range(0, size, step):
        yield slice(start, min(start + step, size))


def holds_copy(
    size: int, dimensions: float, rest: float, options: Options, default: int | None = None
) -> bool:
    """Return whether `max_memory` allows a float32 copy of rows (N, D), next to the `rest`."""
    limit = options.get("max_memory")
    return copy_bytes(size, dimensions, rest, default if limit is None else bytes_of(limit, 0)) > 0


@contextmanager
def work_rows(
    array: Any,  # array (N, D), or Rows
    rows: Indices,
    *,
    cosine: bool,
    held: bool = True,
) -> Iterator[tuple[Work, float]]:
    """Yield rows as float32 (n, D), and the power of two that scales their distances.

    Under cosine they have length 1; otherwise their mean is 0, so that an offset costs no digits.
    Their bits do not depend on where they are.

    held : in memory, otherwise in a temporary file, for the duration of the block
    """
    if not held:
        with ordered(array, rows, getattr(array, "scratch", None)) as file:
            yield file, _centered(file, cosine)
        return
    out = _copied(array, rows)
    yield out, _centered(out, cosine)


def scaled_rows(array: Any, rows: Indices) -> tuple[Scores, float]:
    """Return rows as float32 (n, D) times a power of two, such that the largest number is about 1.

    array : (N, D), or Rows
    """
    out = _copied(array, rows)
    parts = list(tiles(rows.size, array.shape[1]))
    scale = power(max((float(np.abs(out[part]).max()) for part in parts), default=0.0))
    for part in parts:
        out[part] = out[part].astype(np.float64) * scale
    return out, scale


def _copied(array: Any, rows: Indices) -> Scores:  # array (N, D), or Rows
    """Return rows as float32 (n, D)."""
    out = np.empty((rows.size, array.shape[1]), np.float32)
    if isinstance(array, Rows):  # in the order of the file, of which blocks are read at once
        places = np.argsort(rows, kind="stable")
        for part in tiles(rows.size, max(1, array.shape[1] // 16)):
            out[places[part]] = array[rows[places[part]]]
    else:
        for part in tiles(rows.size, array.shape[1]):
            out[part] = array[rows[part]]
    return out


def _centered(work: Work, cosine: bool) -> float:
    """Center and scale rows (n, D) in place; return the scale."""
    size, dimensions = work.shape
    shift, scale = np.zeros(dimensions), 1.0
    parts = list(tiles(size, dimensions))
    if not cosine:
        high, low = np.full(dimensions, -np.inf), np.full(dimensions, np.inf)
        for part in parts:
            block = work[part]
            shift += block.sum(axis=0, dtype=np.float64)
            high, low = np.maximum(high, block.max(axis=0)), np.minimum(low, block.min(axis=0))
        shift /= size
        scale = power(float(max((high - shift).max(), (shift - low).max())))
    for part in parts:
        wide = work[part].astype(np.float64)
        if cosine:
            wide /= np.sqrt(np.square(wide).sum(axis=1))[:, None]
        wide -= shift
        put(work, part, wide * scale)
    return scale


def put(work: Work, part: slice, block: NDArray[Any]) -> None:
    """Replace a block of work rows (n, D)."""
    if isinstance(work, OwnRows):
        work.write(part.start, block)
    else:
        work[part] = block


def power(high: float) -> float:
    """Return the power of two that scales a number to about 1."""
    return float(np.ldexp(1.0, -int(np.frexp(high)[1])))


def rounding(dimensions: int) -> float:
    """Return e: a float32 |x - y|^2 from products has an error of at most e (|x|^2 + |y|^2).

    Covers rounded inputs and a float32 sum in 8 or more lanes: 20 times the error of random data.
    """
    return float(2 * (16 + 4 * dimensions**0.5) * 2.0**-24)
