"""What a function refuses before it looks at its data: known before there is any.

Functions check their arguments before their data. So one can be called with something in place of
the data that ends the call when it is first looked at: whatever is refused until then is refused
now, by the same check and in the same words, and no check is written twice.
"""

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["Data", "call_before"]


class _Looked(BaseException):
    """The data has been looked at: what comes before it is in order."""


class Data:
    """Stands for data. Whatever is asked of it ends the call."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _Looked

    def __len__(self) -> NoReturn:
        raise _Looked

    def __iter__(self) -> NoReturn:
        raise _Looked

    def __getitem__(self, key: object) -> NoReturn:
        raise _Looked


def call_before(function: Callable[..., Any], **arguments: Any) -> None:  # noqa: ANN401
    """Call a function until it looks at its data, a `Data`; raise what it raises until then."""
    try:
        function(**arguments)
    except _Looked:
        return
