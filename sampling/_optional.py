"""Optional dependencies: imported when used; an error names the command that installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from .errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an error that names its purpose and the extra that provides it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{purpose} needs {package}: pip install 'sampling[{extra}]'"
        raise MissingExtraError(message) from error
