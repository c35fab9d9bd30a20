"""Arguments as complete JSON values, the key of stored results.

`describe` is for readers: it abbreviates long lists, and gives the type of unknown objects.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from os import PathLike, fspath
from typing import Any
from uuid import uuid4

import numpy as np

from ... import _check

__all__ = ["exact"]


def exact(value: Any) -> Any:  # noqa: ANN401  # any argument
    """Return an argument as JSON values that differ for different arguments.

    Arrays are represented by a digest. An object that cannot be identified, such as a function,
    equals nothing, not even itself: results that depend on it are not reused.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return exact(value.item())
    if isinstance(value, date | time):  # types of TOML; a datetime is a date
        return f"{type(value).__name__} {value.isoformat()}"
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else f"({exact(name)!r})": exact(each)
                for name, each in value.items()}  # fmt: skip
    if isinstance(value, list | tuple):
        return [exact(each) for each in value]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        array = np.ascontiguousarray(_check.host(value))
        if array.dtype != object:
            told = hashlib.blake2b(array.tobytes(), digest_size=16).hexdigest()
            return f"{array.dtype} {array.shape} {told}"
    if is_dataclass(value):
        own = {each.name: exact(getattr(value, each.name)) for each in fields(value)}
        return {"type": type(value).__name__, **own}
    return f"{type(value).__name__} {uuid4()}"
