"""Run the argument checks of a function before its data exist.

Functions check their arguments before they read their data. A function can therefore be called with
a placeholder that ends the call on first access: invalid arguments raise early, with the same check
and the same message, and no check is written twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["Data", "call_before"]


class _Looked(BaseException):
    """The data have been accessed: all checks before that passed."""


class Data:
    """Placeholder for data: any access ends the call."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _Looked

    def __len__(self) -> NoReturn:
        raise _Looked

    def __iter__(self) -> NoReturn:
        raise _Looked

    def __getitem__(self, key: object) -> NoReturn:
        raise _Looked


def call_before(function: Callable[..., Any], **arguments: Any) -> None:
    """Call a function until it first accesses its data, a `Data`; raise what it raised before."""
    try:
        function(**arguments)
    except _Looked:
        return
