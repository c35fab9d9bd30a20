"""JSON for others to read: keys of any kind, and no NaN or infinity, which JSON has not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["json_text", "key_words"]


def json_text(value: Any, *, indent: int | None = None, ordered: bool = False) -> str:
    """Return values as JSON: names of groups as keys, and null for what is not finite.

    ordered : keys rise, numbers as numbers where all are
    """
    return json.dumps(_plain(value, ordered), indent=indent, allow_nan=False)


def _plain(value: Any, ordered: bool) -> Any:  # any JSON value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(each, ordered) for each in value]
    if not isinstance(value, Mapping):
        return value
    items = list(value.items())
    if ordered:
        try:
            items.sort(key=lambda item: item[0])
        except TypeError:  # the unlabelled are -1 among names that are words
            items.sort(key=lambda item: (isinstance(item[0], str), _word(item[0])))
    words = key_words([name for name, _ in items])
    return {word: _plain(each, ordered) for word, (_, each) in zip(words, items, strict=True)}


def key_words(names: Sequence[Any]) -> list[str]:
    """Return names of groups as keys of JSON, each another one.

    The unlabelled, -1, are "(-1)" next to a group whose name is the word "-1".
    """
    known = {name for name in names if isinstance(name, str)}
    found = []
    for name in names:
        word = _word(name)
        while not isinstance(name, str) and word in known:
            word = f"({word})"
        found.append(word)
    return found


def _word(name: Any) -> str:  # a key
    """Return a key as JSON has it."""
    if isinstance(name, str):
        return name
    if isinstance(name, bytes):
        return name.decode(errors="backslashreplace")
    return json.dumps(name.item() if isinstance(name, np.generic) else name)
