"""The two exceptions of our own; everything else is a `TypeError` or a `ValueError`."""

__all__ = ["MissingExtraError", "StateError"]


class StateError(ValueError):
    """A saved state does not belong to the object it is loaded into.

    The message names what differs: class, dataset size, seed, arguments or plan. Nothing of the
    object has been changed when it is raised.
    """


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message gives the command that installs it."""
