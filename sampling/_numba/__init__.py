"""Kernels: loops that numba compiles, or loads from its cache, when one of them is first called.

`kernel` and `summing_kernel` decorate a function; the settings are in `_compiled.py`. Until then
numba is not imported: it and the registries of its compiler take a second of processor time, more
than the first batches of many a sampler. For these a kernel may have a *twin*, a function of the
same results, bit for bit, in numpy and plain Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_LOAD = 0.5e9  # ns that twins may take in a process: below half of what loading numba takes

_KERNELS: list[Kernel[..., Any]] = []  # of the modules imported so far
_in_use = False  # numba is loaded, so that twins save nothing
_spent = 0.0  # ns taken by twins, as estimated


class Kernel(Generic[P, R]):
    """A function that is compiled by numba for the types of its arguments.

    Parameters
    ----------
    function : callable
        The Python function. Kernels that it calls are compiled with it.
    fastmath : bool or set of str
        What the compiler may assume about floats, in the words of LLVM.

    Attributes
    ----------
    py_func : callable
        The Python function.
    """

    # Found through a slot, `__call__` is called at once: 30 ns less than by a method of that name.
    __slots__ = ("__call__", "__dict__", "__weakref__")
    __call__: Callable[P, R]

    def __init__(self, function: Callable[P, R], fastmath: Any = False) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._fastmath = fastmath
        self._twin: Callable[P, R] | None = None
        self._costs = (0.0, 0.0)
        self.__call__ = self._first_call

    def twin(self, call: float, entry: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function that is called instead as long as numba is not loaded.

        It is once all twins together have taken `_LOAD`, or another kernel has been called.

        Parameters
        ----------
        call, entry : float
            Nanoseconds that the twin takes for a call, and for each entry of the largest array.
        """

        def keep(function: Callable[P, R]) -> Callable[P, R]:
            self._twin, self._costs = function, (call, entry)
            return function

        return keep

    @property
    def dispatcher(self) -> Any:
        """Numba's object, which compiles; the Python function with NUMBA_DISABLE_JIT."""
        if "_dispatcher" not in self.__dict__:
            from ._compiled import compiled  # loads numba

            # No lock: a second thread may hold numba's own. One of two results is kept.
            self.__dict__.setdefault("_dispatcher", compiled(self.py_func, self._fastmath))
        return self.__dict__["_dispatcher"]

    @property
    def _numba_type_(self) -> Any:
        """What numba takes this object for in a function that calls it: its own dispatcher."""
        from ._compiled import type_of  # numba is loaded: it asks

        return type_of(self.dispatcher)

    def _first_call(self, *args: P.args, **kwargs: P.kwargs) -> R:
        global _spent
        if self._twin is not None and not _in_use:
            call, entry = self._costs
            cost = call + entry * max(getattr(each, "size", 0) for each in args)
            if _spent + cost <= _LOAD:
                _spent += cost
                return self._twin(*args, **kwargs)
        use()
        self.__call__ = self.dispatcher
        return self.__call__(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.py_func.__qualname__  # by its address, as functions are


def kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Make a serial kernel: arrays and scalars in, an `out` array filled, nothing checked."""
    return _kept(Kernel(function))


def summing_kernel(function: Callable[P, R]) -> Kernel[P, R]:
    """Make a serial kernel whose float sums may be reordered, as in BLAS.

    NaN, infinity and the sign of zero are kept. The last digit may differ between processors.
    """
    return _kept(Kernel(function, {"reassoc", "contract"}))


def use() -> None:
    """Let kernels be called from here on, not their twins."""
    global _in_use
    _in_use = True


def kernels() -> tuple[Any, ...]:
    """Return the numba dispatchers of all kernels in the modules imported so far."""
    found = [each.dispatcher for each in _KERNELS]
    return tuple(each for each in found if hasattr(each, "enable_caching"))


def _kept(made: Kernel[P, R]) -> Kernel[P, R]:
    _KERNELS.append(made)
    return made
