"""Public names of a package that are loaded when they are first used."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

# Threads that use different names first would import the same modules in different orders, which
# Python's own locks break off with an error. One lock for all packages puts them in turn. A thread
# that is importing a module does not wait forever: the holder may wait for that very module.
_LOCK = threading.RLock()
_PATIENCE = 5.0  # seconds
_FOREVER = -1.0


def _importing() -> bool:
    """Return whether this thread is importing a module."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
    return False


def late(
    package: str, files: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    package : the package's `__name__`
    files : the file of each name, below the package; "" for a name that is a module itself
    """
    module = sys.modules[package]

    def get(name: str) -> Any:
        """Load a class or a function on first use."""
        if name not in files:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        held = _LOCK.acquire(timeout=_PATIENCE if _importing() else _FOREVER)
        try:
            found = importlib.import_module(f".{files[name] or name}", package)
        finally:
            if held:
                _LOCK.release()
        if files[name]:
            found = getattr(found, name)
        setattr(module, name, found)
        return found

    return get, lambda: sorted({*vars(module), *files})
