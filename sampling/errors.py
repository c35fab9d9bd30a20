"""The two exceptions of the package; every other error is a `TypeError` or a `ValueError`."""

from __future__ import annotations

__all__ = ["MissingExtraError", "StateError"]


class StateError(ValueError):
    """A saved state does not belong to the object it is loaded into.

    The message names the difference: class, dataset size, seed, arguments or plan. The object is
    unchanged when it is raised.
    """


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""
