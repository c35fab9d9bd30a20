"""Arguments as JSON values: complete, as the key of stored results, or described for readers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from os import PathLike, fspath
from typing import Any
from uuid import uuid4

import numpy as np

from ... import _check
from ...record import Score

__all__ = ["describe", "exact"]


def exact(value: Any) -> Any:  # any argument
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


def describe(value: Any) -> Any:  # any argument
    """Return an argument as JSON values for readers: an array as its dtype and shape.

    Long lists are abbreviated, and an unknown object is its type.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Score):
        return describe(value.values)
    if isinstance(value, dict):
        return {str(name): describe(each) for name, each in value.items()}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if not value.shape:
            return value.item()
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return [describe(each) for each in value] if len(value) <= 16 else f"{len(value)} values"
    return type(value).__name__
