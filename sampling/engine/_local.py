"""Engine for one machine, with threads."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from threadpoolctl import ThreadpoolController

from .._check._keywords import told

__all__ = ["Local"]

T = TypeVar("T")
_PROCESS = os.getpid()  # at import; a different id means a forked process
_HERE = threading.local()
_THREADED = {"faiss", "numpy", "scipy.linalg", "sklearn", "torch", "numba"}
_FOUND: dict[frozenset[str], ThreadpoolController] = {}
_POOLS: dict[int, ThreadPoolExecutor] = {}


@told
@dataclass(frozen=True)
class Local:
    """Engine that processes parts in threads of this process.

    Each thread processes one part at a time. Libraries with their own threads (BLAS, OpenMP) are
    limited to one thread meanwhile, also with `num_threads=1`, so results do not depend on the
    number of threads. A single part, and every part in a forked process or inside another part, is
    processed by the calling thread.

    Parameters
    ----------
    num_threads : int, optional
        By default, the number of cores that this process may use.

    Examples
    --------
    >>> list(Local(2).run(lambda part: part * part, [1, 2, 3]))
    [1, 4, 9]
    """

    num_threads: int | None = None
    limits_threads: ClassVar[bool] = True  # of libraries, to one

    def run(self, function: Callable[[Any], T], parts: Iterable[Any]) -> Iterator[T]:
        """Call a function with each part and return the results in the order of the parts.

        Parameters
        ----------
        function : callable
            It must not call parallel numba kernels.
        parts : iterable
            Consumed lazily: one part for each thread, and one more.

        Returns
        -------
        iterator
        """
        waiting = iter(parts)
        first = list(_next(waiting, 2))
        threads = self.num_threads or _cores()
        if len(first) < 2 or getattr(_HERE, "inside", False):
            for part in (*first, *waiting):
                yield function(part)
            return
        if threads == 1 or os.getpid() != _PROCESS:
            with limited():
                for part in (*first, *waiting):
                    yield function(part)
            return
        pool = _pool(threads)
        running: deque[Future[T]] = deque()
        try:
            with limited():
                for part in (*first, *_next(waiting, threads - 1)):
                    running.append(pool.submit(_alone, function, part))
                while running:
                    result = running.popleft().result()
                    for part in _next(waiting, 1):
                        running.append(pool.submit(_alone, function, part))
                    yield result
        finally:  # after an error no part is left running
            for future in running:
                future.cancel()
            wait(running)


class OneThread(Generic[T]):
    """A function that is called with one thread for each library, by an engine that sets no limits.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function

    def __call__(self, part: Any) -> T:  # any part
        """Process a part."""
        with _SHARED, _libraries().limit(limits=1, user_api="openmp"):  # that is of this thread
            return self._function(part)


class _Shared:
    """The limit of all libraries of the process, for as long as any thread is in the block."""

    def __init__(self) -> None:
        self._lock, self._inside, self._limit = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = limited()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._limit is not None:
                self._limit.restore_original_limits()


_SHARED = _Shared()


def limited() -> Any:  # a context manager of threadpoolctl
    """Limit the threads of the libraries loaded so far to one, inside the block."""
    return _libraries().limit(limits=1)


def alone(function: Callable[[Any], T], parts: Iterable[Any], threads: int) -> list[T]:
    """Process parts in a process of which they are all the work, such as a worker of a cluster.

    Libraries have one thread each, whatever the number of parts and threads.
    """
    parts = list(parts)
    with limited():
        if threads > 1 and len(parts) > 1:
            return list(Local(threads).run(function, parts))
        before = getattr(_HERE, "inside", False)
        _HERE.inside = True
        try:
            return [function(part) for part in parts]
        finally:
            _HERE.inside = before


def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the thread pool of this process; starting one takes longer than a small part."""
    if threads not in _POOLS:
        _POOLS[threads] = ThreadPoolExecutor(threads, "sampling")
    return _POOLS[threads]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _alone(function: Callable[[Any], T], part: Any) -> T:  # any part
    """Process a part in a thread of the pool, with OpenMP limited to one thread."""
    _HERE.inside = True
    if getattr(_HERE, "libraries", None) is not _libraries():
        _HERE.libraries = _libraries()
        _HERE.libraries.limit(limits=1, user_api="openmp")
    return function(part)


def _libraries() -> ThreadpoolController:
    """Return the libraries with threads; searched again only after an import."""
    loaded = frozenset(_THREADED & sys.modules.keys())
    if loaded not in _FOUND:
        _FOUND[loaded] = ThreadpoolController()
    return _FOUND[loaded]


def _next(parts: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        for part in parts:
            yield part
            break
