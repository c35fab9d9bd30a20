"""Optional dependencies: imported late, and missed with the command that installs them."""

import importlib
from types import ModuleType

from .errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or say which extra of ours brings it and what it is needed for."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{purpose} needs {package}: pip install 'sampling[{extra}]'"
        raise MissingExtraError(message) from error
