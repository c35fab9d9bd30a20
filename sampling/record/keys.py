"""The tie-breaking key of each row, from its id: the same wherever the row stands."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _rng
from .._check import _labels
from ..kernels._keys import keys_of_ids, keys_of_words
from ..types import Keys

_BLOCK = 2**16  # strings encoded at a time


def keys_for(seed: int, names: NDArray[Any] | None, size: int) -> Keys:
    """Return the tie-breaking key of each row, hashed from (seed, id): (N,)."""
    key = _rng.key(seed, 0, "ties")
    keys = np.empty(size, np.uint64)
    if names is None:
        keys_of_ids(np.arange(size), key, keys)
        return keys
    if names.dtype.kind in "iu":
        keys_of_ids(names.astype(np.int64), key, keys)
    else:
        for start in range(0, size, _BLOCK):
            block = names[start : start + _BLOCK].tolist()
            keys[start : start + _BLOCK] = _keys_of_strings(block, key, start)
    order = np.argsort(keys, kind="stable")
    twice = keys[order][1:] == keys[order][:-1]
    if twice.any():
        row = int(order[1:][twice][0])
        raise ValueError(
            f"ids must hold no name twice, got {_labels.item(names[row])!r} again in row {row}"
        )
    return keys


def _keys_of_strings(names: list[Any], key: np.uint64, start: int) -> Keys:
    """Return the key of each str or bytes: strings of as many 8-byte words are hashed together.

    So the key of a name depends on itself alone, and none is held at the width of a longer one.
    NULs fill the last word, so those at the end of a name count apart.

    start : the row of the first
    """
    encoded = names if isinstance(names[0], bytes) else _encoded(names, start)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    counts = np.maximum(1, -(-lengths // 8))
    keys = np.empty(len(names), np.uint64)
    for count in np.unique(counts).tolist():
        rows = np.flatnonzero(counts == count)
        words = np.array([encoded[row] for row in rows.tolist()], f"S{8 * count}")
        own = np.empty(rows.size, np.uint64)
        keys_of_words(words.view(np.uint64).reshape(rows.size, count), key, own)
        keys[rows] = own
    for row, each in enumerate(encoded):
        if each.endswith(b"\0"):
            keys[row] ^= _rng.value(key, np.uint64(len(each) - len(each.rstrip(b"\0"))))
    return keys


def _encoded(names: list[str], start: int) -> list[bytes]:
    try:
        return list(map(str.encode, names))
    except UnicodeEncodeError:
        row = next(at for at, each in enumerate(names) if re.search("[\ud800-\udfff]", each))
        raise ValueError(
            f"ids must be text that UTF-8 can hold, got {names[row]!r} in row {start + row}, with "
            "a surrogate: give bytes, such as name.encode('utf-8', 'surrogatepass') of each"
        ) from None
