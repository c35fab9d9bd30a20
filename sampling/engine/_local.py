"""The engine of one machine: threads."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

__all__ = ["Local"]

T = TypeVar("T")
_PROCESS = os.getpid()  # of the import: elsewhere we are in a fork
_HERE = threading.local()


@dataclass(frozen=True)
class Local:
    """Work on parts in threads of this process.

    Each thread works on a part by itself: libraries that bring threads of their own (BLAS, OpenMP)
    get one each meanwhile, so results do not depend on the number of threads. A single part, and
    every part in a forked process or inside another part, is worked on by the caller's thread.

    Parameters
    ----------
    num_threads : int, optional
        The cores that this process may use, by default.

    Examples
    --------
    >>> list(Local(2).run(lambda part: part * part, [1, 2, 3]))
    [1, 4, 9]
    """

    num_threads: int | None = None

    def run(self, function: Callable[[Any], T], parts: Iterable[Any]) -> Iterator[T]:
        """Call a function with each part; give the results in the order of the parts.

        Parameters
        ----------
        function : callable
            It may not run numba kernels that are parallel themselves.
        parts : iterable
            They are drawn as they are needed: one for each thread, and one more.

        Returns
        -------
        iterator
        """
        waiting = iter(parts)
        first = list(_next(waiting, 2))
        threads = self.num_threads or _cores()
        alone = threads == 1 or os.getpid() != _PROCESS or getattr(_HERE, "inside", False)
        if len(first) < 2 or alone:
            for part in (*first, *waiting):
                yield function(part)
            return
        pool = ThreadPoolExecutor(threads, initializer=_alone)
        running: deque[Future[T]] = deque()
        try:
            with threadpool_limits(1):
                for part in (*first, *_next(waiting, threads - 1)):
                    running.append(pool.submit(function, part))
                while running:
                    result = running.popleft().result()
                    for part in _next(waiting, 1):
                        running.append(pool.submit(function, part))
                    yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _alone() -> None:
    """Keep OpenMP to one thread in this thread."""
    _HERE.inside = True
    threadpool_limits(1, user_api="openmp")


def _next(parts: Iterator[Any], count: int) -> Iterator[Any]:
    for _ in range(count):
        for part in parts:
            yield part
            break
