"""Public names of a package that are loaded when they are first used."""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def late(
    package: str, files: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package.

    package : the package's `__name__`
    files : the file of each name, below the package
    """
    module = sys.modules[package]

    def get(name: str) -> Any:
        """Load a class or a function on first use."""
        if name not in files:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f".{files[name]}", package), name)
        setattr(module, name, found)
        return found

    return get, lambda: sorted({*vars(module), *files})
