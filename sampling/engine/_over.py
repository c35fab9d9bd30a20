"""Split rows into parts and map a function over them."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .. import _check
from .._check._rows import Rows
from ._local import Local

__all__ = ["Part", "blocks", "current", "each", "gathered", "over", "use"]

Part: TypeAlias = "slice | NDArray[np.int64]"
T = TypeVar("T")
_BLOCK = 2**21  # numbers in a block of rows: 16 MiB of float64
_SMALL = 2**20  # fewer numbers than this are processed without threads
_ENGINE: ContextVar[Local | None] = ContextVar("engine", default=None)


def current() -> Local:
    """Return the engine that `over` uses."""
    return _ENGINE.get() or Local()


@contextmanager
def use(engine: Local) -> Iterator[None]:
    """Use another engine inside the block.

    Parameters
    ----------
    engine : Local

    Returns
    -------
    context manager

    Examples
    --------
    >>> with use(Local(num_threads=1)):
    ...     current().num_threads
    1
    """
    token = _ENGINE.set(engine)
    try:
        yield
    finally:
        _ENGINE.reset(token)


def blocks(rows: Any, numbers: int = _BLOCK) -> Sequence[slice]:  # array or Rows
    """Split rows (n, D) into blocks of about `numbers` numbers each.

    Parameters
    ----------
    rows : array of shape (n, D), or Rows
    numbers : int, default 2**21

    Returns
    -------
    list of slice
    """
    step = max(1, numbers // max(1, math.prod(rows.shape[1:])))
    return [slice(at, min(at + step, len(rows))) for at in range(0, len(rows), step)]


def over(
    function: Callable[..., T],
    rows: Any,  # array or Rows
    *columns: NDArray[Any],
    parts: Iterable[Part] | None = None,
    title: str | None = None,
) -> Iterator[tuple[Any, T]]:
    """Call a function with each part of the rows.

    Parameters
    ----------
    function : callable
        Takes the rows of a part (n, D) and the same part of each column. It may be sent to another
        process: everything else it needs is in its closure, which it must not modify.
    rows : array of shape (N, D), or Rows
    *columns : arrays of shape (N, ...)
    parts : iterable of slice or int64 array, optional
        Rows to be processed together; blocks of consecutive rows by default.
    title : str, optional
        Title of a progress bar, shown on a terminal if the work takes more than two seconds.

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

    def work(part: Part) -> tuple[Part, T]:
        return part, function(rows[part], *(column[part] for column in columns))

    return each(work, chosen, small=math.prod(rows.shape) < _SMALL, title=title)


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
    found = current().run(function, items)
    if title is None:
        return found
    total = len(items) if isinstance(items, Sequence) else None
    return iter(tqdm(found, title, total, leave=False, disable=None, delay=2.0))


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
