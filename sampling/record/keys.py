"""The tie-breaking key of each row, from its id, and orders of rows in which it breaks ties."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _rng
from .._check import _labels
from ..kernels._keys import keys_of_ids, keys_of_words
from ..types import Indices, Keys

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
    in_order = np.sort(keys)
    if (in_order[1:] == in_order[:-1]).any():
        order = np.argsort(keys, kind="stable")
        twice = keys[order][1:] == keys[order][:-1]
        row = int(order[1:][twice][0])
        raise ValueError(
            f"ids must hold no name twice, got {_labels.item(names[row])!r} again in row {row}"
        )
    return keys


def by_value(values: NDArray[Any], keys: Keys) -> Indices:
    """Return the positions by ascending value, ties by lower key: `np.lexsort((keys, values))`.

    (n,), (n,) -> (n,); NaN last. 3 to 6 times as fast: numpy sorts 64-bit numbers by vector
    instructions, but indices of them one by one.
    """
    return by_digits(digits_of(values), keys)


def by_group(codes: Indices, keys: Keys) -> Indices:
    """Return the positions by ascending code, ties by lower key: `np.lexsort((keys, codes))`.

    codes : int64 (n,), >= 0
    keys  : uint64 (n,)
    """
    width = np.uint64(_bits(int(codes.max(initial=0)) + 1))
    return by_digits((codes.astype(np.uint64) << (np.uint64(64) - width)) | (keys >> width), keys)


def digits_of(values: NDArray[Any]) -> Keys:
    """Return uint64 numbers in the order of floats, equal where these are; NaN last: (n,)."""
    wide = np.asarray(values, np.float64) + 0.0  # -0 equals 0
    wide[np.isnan(wide)] = np.nan  # there are several
    bits = wide.view(np.uint64)
    top = np.uint64(1 << 63)
    found: Keys = np.where(bits >= top, ~bits, bits | top)
    return found


def by_digits(*columns: Keys) -> Indices:
    """Return the positions in ascending order of the first column, ties by the next, as `lexsort`.

    uint64 (n,) each, the first sorts first -> (n,); ties of all columns by position

    The leading bits of a column share a number with the position, and these numbers are sorted.
    Where the bits are equal, the next ones decide, then the next column: each time the number of
    the run, these bits, and the position among the tied rows share a number.
    """
    order, runs, tied = _sorted(columns[0])
    used = 64 - _bits(columns[0].size)  # leading bits of the column that are sorted already
    for column in columns:
        while tied.size and used < 64:
            rest = column[order[tied]] << np.uint64(used)
            if not ((rest[1:] != rest[:-1]) & (runs[1:] == runs[:-1])).any():
                break  # equal: the next column decides
            room = 64 - _bits(tied.size) - int(runs[-1]).bit_length()
            heads = (runs << np.uint64(room)) | (rest >> np.uint64(64 - room))
            place, again, own = _sorted(heads << np.uint64(_bits(tied.size)))
            order[tied] = order[tied[place]]
            tied, runs = tied[own], again
            used += room
        used = 0
    return order


def _bits(size: int) -> int:
    """Return how many bits a position takes; at least one, so that shifts are below 64."""
    return max(1, int(size - 1).bit_length())


def _sorted(values: Keys) -> tuple[Indices, Keys, Indices]:
    """Sort by all bits but those that a position takes, which are ignored.

    (n,) -> positions (n,) in ascending order; of those that are tied, the number of their run and
    their positions in this order
    """
    low = np.uint64(_bits(values.size))
    both = values >> low << low
    both |= np.arange(values.size, dtype=np.uint64)
    both.sort()
    order = (both & ((np.uint64(1) << low) - np.uint64(1))).view(np.int64)
    both >>= low
    same = both[1:] == both[:-1]
    if not same.any():
        return order, both[:0], order[:0]
    held = np.zeros(values.size, np.bool_)
    held[1:] = same
    held[:-1] |= same
    places = np.flatnonzero(held)
    first = np.ones(places.size, np.bool_)
    first[1:] = both[places[1:]] != both[places[:-1]]
    return order, (np.cumsum(first) - 1).astype(np.uint64), places


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
            ends = np.uint64(len(each) - len(each.rstrip(b"\0")))
            keys[row] ^= np.uint64(_rng.value(key, ends))  # an int from numba under numpy 1
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
