"""What an engine is: where parts are processed, and what a selection records of it."""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from .._check._keywords import told

__all__ = ["Engine", "facts", "here"]

T = TypeVar("T")
_LIBRARIES = ("numpy", "scipy", "numba", "faiss-cpu")  # those that compute


@runtime_checkable
class Engine(Protocol):
    """An object that calls a function with each part, in threads, processes or on other machines.

    Any object with such a `run` can be given to `use`. If it is a context manager, `use` enters it.
    Libraries have one thread for each part, so results do not depend on the engine; an engine that
    limits them itself has an attribute `limits_threads` that is true.
    """

    def run(self, function: Callable[[Any], T], parts: Iterable[Any]) -> Iterator[T]:
        """Call a function with each part and return the results in the order of the parts.

        Parameters
        ----------
        function : callable
            Often a function inside a function: sent to another process by cloudpickle, as pickle
            refuses it. It reads files by absolute paths.
        parts : iterable
            To be consumed lazily: they may not all fit into memory.

        Returns
        -------
        iterator
        """


@told
def facts(engine: Engine) -> dict[str, Any]:
    """Return what a result depends on except its inputs: the CPU type and the library versions.

    Parameters
    ----------
    engine : Engine

    Returns
    -------
    dict
        JSON values: the name of the engine, "cpu", "versions", and what else the engine records.
    """
    more: dict[str, Any] = getattr(engine, "details", dict)()
    return {"name": type(engine).__name__.lower(), **here(), **more}


@functools.cache
def here() -> dict[str, Any]:
    """Return the CPU type of this machine, and the versions of the libraries that compute."""
    return {"cpu": _cpu(), "versions": {name: _version(name) for name in _LIBRARIES}}


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
