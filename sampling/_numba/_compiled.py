"""The numba compile settings of the whole package. Importing this file imports numba.

Cache
    On. A fresh process reaches its first cached kernel in tens of milliseconds and pays seconds for
    a compile. numba writes each cache file under another name and renames it, so processes that
    start together find a whole file or none. The folders are numba's, in its order:
    `NUMBA_CACHE_DIR`, the package's `__pycache__`, the user's cache folder. Compiled kernels are
    also read from a folder that cannot be written, such as one that `sampling warm` filled when a
    container image was built; where none can be written, kernels are compiled in each process,
    after one warning; elsewhere one line of the log says, once per process, that kernels are being
    compiled. The crashes reported for shared caches (numba issues 4807 and 10128) are of
    `guvectorize`, which keeps two files for one function; nothing here uses it. A cache notices
    edits of its own file only: after editing a kernel that others call, delete `__pycache__`.
Parallel
    Off. A parallel kernel in the parent makes numba's OpenMP layer kill any DataLoader worker that
    is forked later and calls another one.
fastmath
    Off: it would let the compiler assume that there is no NaN, and NaN means "unseen".
Division
    By numpy's rules (no exception branch in inner loops); no kernel divides by zero.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

from .._warning import warn

_warned = False
_announced = False


def compiled(function: Callable[..., Any], fastmath: Any) -> Any:
    """Return the numba dispatcher of a function; the function itself with NUMBA_DISABLE_JIT."""
    made: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    if hasattr(made, "enable_caching"):  # not with NUMBA_DISABLE_JIT
        made._cache = KernelCache(function)
    return made


def type_of(dispatcher: Any) -> Any:
    """Return numba's type of a dispatcher."""
    return numba.typeof(dispatcher)  # type: ignore[no-untyped-call]


def announce(folder: str | None) -> None:
    """Log once per process that kernels are compiled; None: say nothing from here on."""
    global _announced
    if not _announced and folder is not None:
        logging.getLogger("sampling").warning(
            "sampling: compiling kernels that this processor has not run yet, which takes seconds: "
            "they are kept in %s (`sampling warm` compiles all in advance)",
            folder,
        )
    _announced = True


# ---------------------------------------------------------------------- the cache


class KernelCache:
    """Cache of a compiled function, read from all folders that hold it, written to a writable one.

    numba's own cache refuses to import a module if no folder is writable, and does not read from a
    read-only folder, such as one filled when a container image was built.

    Parameters
    ----------
    function : callable
        The Python function.

    Attributes
    ----------
    writable : numba.core.caching.FunctionCache or None
        Cache in the first writable folder.
    filled : list of numba.core.caching.FunctionCache
        Caches in read-only folders that precede it and hold the function.
    kept : bool
        Whether every compiled variant has been saved.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.writable: Any = None
        self.filled: list[Any] = []
        for kind in _locators():
            self.writable = _cache_at(_written(kind), function)
            if self.writable is not None:
                break
            found = _cache_at(_read(kind), function)
            if found is not None and Path(found._cache_file._index_path).is_file():
                self.filled.append(found)
        self.kept = self.writable is not None or bool(self.filled)
        if not self.kept:
            _warn("none of its folders can be written")

    @property
    def cache_path(self) -> str | None:
        """Folder that is written to; if none is, the first that is read; None without either."""
        first = self.writable or next(iter(self.filled), None)
        return None if first is None else str(first.cache_path)

    def load_overload(self, signature: Any, context: Any) -> Any:  # numba's
        """Return the compiled kernel of a signature, or None."""
        for cache in [*self.filled, *([] if self.writable is None else [self.writable])]:
            try:
                found = cache.load_overload(signature, context)
            except OSError:  # a folder that is gone, or that may not be read
                continue
            if found is not None:
                return found
        if self.writable is not None:  # `_warn` named the other case
            announce(self.cache_path)
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:  # numba's
        """Save a compiled kernel if a folder is writable."""
        reason = "none of its folders can be written"
        if self.writable is not None:
            try:
                self.writable.save_overload(signature, compiled)
                return
            except OSError as error:  # the disk is full, or the folder has become read-only
                reason = str(error)
        self.kept = False
        _warn(reason)

    def flush(self) -> None:
        """Delete the contents of the folder that is written to."""
        if self.writable is not None:
            self.writable.flush()

    def enable(self) -> None:
        """Do nothing: the cache is always enabled."""

    def disable(self) -> None:
        """Do nothing: set `NUMBA_DISABLE_JIT` to run without compiled kernels."""


def _locators() -> list[Any]:
    """Return numba's cache locators in its order, `NUMBA_CACHE_LOCATOR_CLASSES` first."""
    named = getattr(numba.config, "CACHE_LOCATOR_CLASSES", "")
    return [None] if named else list(caching.CompileResultCacheImpl._locator_classes)


@functools.cache
def _written(kind: Any) -> type[Any]:  # a locator of numba
    """Return the class of numba's cache for one locator."""
    if kind is None:
        return caching.FunctionCache  # numba reads the variable by itself
    found = type("_Implementation", (caching.CompileResultCacheImpl,), {"_locator_classes": [kind]})
    return type("_Cache", (caching.FunctionCache,), {"_impl_class": found})


@functools.cache
def _read(kind: Any) -> type[Any]:  # a locator of numba
    """Return the same class, but one that only requires the folder to exist."""
    if kind is None:
        return caching.FunctionCache

    def ensure_cache_path(self: Any) -> None:
        Path(self.get_cache_path()).stat()

    return _written(type(kind.__name__, (kind,), {"ensure_cache_path": ensure_cache_path}))


def _cache_at(kind: type[Any], function: Callable[..., Any]) -> Any:
    """Return the cache of a function for a locator; None if it finds no folder."""
    try:
        return kind(function)
    except (RuntimeError, OSError):  # "no locator available"
        return None


def _warn(reason: str) -> None:
    """Warn once per process that compiled kernels are not cached."""
    global _warned
    if _warned:
        return
    _warned = True
    warn(
        f"compiled kernels cannot be cached ({reason}): each process compiles them again, which "
        "takes seconds; set NUMBA_CACHE_DIR to a folder that can be written, or to one that "
        "`sampling warm` filled",
    )
