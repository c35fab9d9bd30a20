"""Split rows into parts and map a function over them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import told
from .._check._rows import Rows
from .._progress import steps
from ._engine import Engine
from ._local import Local, OneThread

__all__ = [
    "Over",
    "Part",
    "bad_rows",
    "blocks",
    "current",
    "each",
    "finite",
    "gathered",
    "is_steady",
    "over",
    "steady",
    "use",
]

Part: TypeAlias = "slice | NDArray[np.int64]"
T = TypeVar("T")
_BLOCK = 2**21  # numbers in a block of rows: 16 MiB of float64
_SMALL = 2**20  # fewer numbers than this are processed without threads
_ENGINE: ContextVar[Engine | None] = ContextVar("engine", default=None)
_STEADY: dict[int, weakref.ref[NDArray[Any]]] = {}


@told
def current() -> Engine:
    """Return the engine that `over` uses."""
    return _ENGINE.get() or Local()


@told
@contextmanager
def use(engine: Engine) -> Iterator[None]:
    """Use another engine inside the block.

    Parameters
    ----------
    engine : Engine
        `Local`, `Ray`, or any object with a method `run(function, parts)`.

    Returns
    -------
    context manager

    Raises
    ------
    TypeError
        If it is not an engine.

    Examples
    --------
    >>> with use(Local(num_threads=1)):
    ...     current().num_threads
    1
    """
    if not isinstance(engine, Engine) or isinstance(engine, type):
        raise TypeError(
            "engine must be an object with a method run(function, parts), such as Local(), got "
            f"{engine!r}"
        )
    entered: AbstractContextManager[Any] = nullcontext()
    if isinstance(engine, AbstractContextManager):
        entered = engine
    with entered:
        token = _ENGINE.set(engine)
        try:
            yield
        finally:
            _ENGINE.reset(token)


@told
def steady(rows: Any) -> Any:  # array or Rows
    """Return the same rows, which the caller promises not to modify while it holds them.

    An engine with other processes then sends them once for all passes over them.

    Parameters
    ----------
    rows : array of shape (N, D), or Rows

    Returns
    -------
    array of shape (N, D), or Rows
        A view of an array.
    """
    if not isinstance(rows, np.ndarray) or is_steady(rows):
        return rows
    view = rows.view()
    key = id(view)
    _STEADY[key] = weakref.ref(view, lambda _: _STEADY.pop(key, None))
    return view


def is_steady(rows: Any) -> bool:  # array or Rows
    """Return whether `steady` returned these rows."""
    known = _STEADY.get(id(rows))
    return known is not None and known() is rows


@told
def blocks(rows: Any, numbers: int | None = None) -> Sequence[slice]:  # array or Rows
    """Split rows (n, D) into blocks of about `numbers` numbers each.

    Parameters
    ----------
    rows : array of shape (n, D), or Rows
    numbers : int, optional
        2**21 by default.

    Returns
    -------
    list of slice
    """
    step = max(1, (_BLOCK if numbers is None else numbers) // max(1, math.prod(rows.shape[1:])))
    return [slice(at, min(at + step, len(rows))) for at in range(0, len(rows), step)]


@told
def over(
    function: Callable[..., T],
    rows: Any,  # array or Rows
    *columns: NDArray[Any],
    parts: Iterable[Part] | None = None,
    given: Sequence[tuple[Any, ...]] | None = None,
    title: str | None = None,
) -> Iterator[tuple[Any, T]]:
    """Call a function with each part of the rows.

    Parameters
    ----------
    function : callable
        Takes the rows of a part (n, D) and the same part of each column. It may be sent to another
        process: everything else it needs is in its closure, which it must not modify, and which
        should hold no array of N numbers: each process has a copy. On equal blocks it must return
        equal bits; sums over the rows are to be combined in the order of the parts.
    rows : array of shape (N, D), or Rows
    *columns : arrays of shape (N, ...)
    parts : iterable of slice or int64 array, optional
        Rows to be processed together; blocks of consecutive rows by default.
    given : sequence of tuple, optional
        More arguments of the function, for each of a sequence of parts.
    title : str, optional
        Title of a progress bar, shown on a terminal if the work takes more than two seconds.
        Elsewhere a line is written to standard error every 30 seconds.

    Returns
    -------
    iterator of (part, result)
        In the order of the parts.

    Examples
    --------
    >>> rows = np.arange(6.0).reshape(3, 2)
    >>> sum(found for _, found in over(np.sum, rows))
    np.float64(15.0)
    """
    chosen = blocks(rows) if parts is None else parts
    stored = isinstance(rows, Rows)

    def item(part: Part, more: tuple[Any, ...] = ()) -> Any:  # what is sent with the part
        own = rows.part(part) if stored else None
        return part, own, (*(column[part] for column in columns), *more)

    items: Iterable[Any]
    if isinstance(chosen, Sequence):
        items = _Items(item, (chosen,) if given is None else (chosen, given))
    else:
        items = map(item, chosen)
    work = Over(function, None if stored else rows)
    return each(work, items, small=math.prod(rows.shape) < _SMALL, title=title)


@dataclass
class Over:
    """A function of the rows of a part, as a function of an item of `over`.

    rows : array (N, D) in memory; None if each item has its own rows, on disk
    """

    function: Callable[..., Any]
    rows: Any

    def __call__(self, item: tuple[Part, Any, tuple[Any, ...]]) -> tuple[Part, Any]:
        part, own, columns = item
        block = self.rows[part] if own is None else own[:]
        return part, self.function(block, *columns)


@dataclass
class _Items(Sequence[Any]):
    """Items made on access, of which the number is known."""

    make: Callable[..., Any]
    arguments: tuple[Sequence[Any], ...]

    def __len__(self) -> int:
        return len(self.arguments[0])

    def __getitem__(self, at: Any) -> Any:
        return self.make(*(each[at] for each in self.arguments))


@told
def each(
    function: Callable[[Any], T],
    items: Iterable[Any],
    *,
    small: bool = False,
    title: str | None = None,
) -> Iterator[T]:
    """Call a function with each item, for work that is not split by rows as in `over`.

    Parameters
    ----------
    function : callable
        See `over`.
    items : iterable
    small : bool, default False
        Whether an item is too small to be worth a thread.
    title : str, optional
        See `over`.

    Returns
    -------
    iterator
        Results in the order of the items.

    Examples
    --------
    >>> list(each(abs, [-1, 2]))
    [1, 2]
    """
    small = _check.flag("small", small)
    if small:
        return map(function, items)
    engine = current()
    if not getattr(engine, "limits_threads", False):  # another engine than ours
        function = OneThread(function)
    found = engine.run(function, items)
    if title is None:
        return found
    total = len(items) if isinstance(items, Sequence) else None
    return steps(found, title, total)


@told
def gathered(rows: Any, places: NDArray[np.int64]) -> Any:  # array or Rows
    """Return a subset of the rows: a view of rows on disk, a copy of rows in memory.

    Parameters
    ----------
    rows : array of shape (N, D), or Rows
    places : int64 array of shape (n,)

    Returns
    -------
    array of shape (n, D), or Rows
    """
    return rows.take(places) if isinstance(rows, Rows) else rows[places]


@told
def bad_rows(rows: Any, *, directed: bool = False) -> NDArray[np.bool_] | None:
    """Return which rows (N, D) are not finite as float32, as `_check.bad_rows` does; None if none.

    Parameters
    ----------
    rows : array of shape (N, D), or Rows
    directed : bool, default False
        Whether rows of norm below 1e-12 are bad too.

    Returns
    -------
    bool array of shape (N,), or None
    """
    directed = _check.flag("directed", directed)

    def work(block: NDArray[Any]) -> NDArray[np.bool_] | None:
        return _check.bad_rows(block, directed=directed)

    bad = np.zeros(len(rows), np.bool_)
    for part, found in over(work, rows):
        if found is not None:
            bad[part] = found
    return bad if bad.any() else None


@told
def finite(name: str, values: Any) -> Any:  # array-like -> array or Rows
    """Return embeddings (N, D) as they are stored, `steady`, and none NaN or infinite as float32.

    Parameters
    ----------
    name : str
        The argument, for messages.
    values : array-like or tensor of shape (N, D), or Rows

    Returns
    -------
    array of shape (N, D), or Rows

    Raises
    ------
    ValueError
        If a row is not finite; the message names the first.
    """
    array = steady(_check.matrix(name, values))
    bad = bad_rows(array)
    if bad is not None:
        _check.refuse_rows(name, array, bad, ": exclude such rows")
    return array
