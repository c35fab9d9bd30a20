"""Threads for the passes of a plan over all samples."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

PART = 2**22  # samples at a time: 1 ms or more of work, and the memory of a thread's scratch arrays

T = TypeVar("T")


def in_parts(function: Callable[[int, int], T], size: int, part: int = PART) -> list[T]:
    """Call function(start, stop) for consecutive parts of range(size) and return the results.

    Threads share the parts, `torch.get_num_threads()` at most; the result does not depend on their
    number. They have ended when this returns, so that a process forked later is safe: OpenMP's
    threads stay, and kill a forked process that uses OpenMP itself. `function` must release the
    interpreter lock for most of its time, as kernels do.
    """
    starts = range(0, size, part)
    stops = [min(start + part, size) for start in starts]
    threads = min(torch.get_num_threads(), len(starts))
    if threads < 2:
        return list(map(function, starts, stops))
    with ThreadPoolExecutor(threads, "sampling plan") as pool:
        try:
            found = pool.map(function, starts, stops)
        except RuntimeError:  # the interpreter is ending and starts no more threads
            return list(map(function, starts, stops))
        return list(found)
