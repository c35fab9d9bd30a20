"""Amounts of memory, as people write them: "4GiB"."""

from __future__ import annotations

import re

from ... import _check

__all__ = ["bytes_of", "say"]

_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_DECIMAL = {"KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def bytes_of(limit: int | str | None, default: int) -> int:
    """Parse a limit given in bytes, or as text such as "4GiB" or "500 MB"."""
    if limit is None:
        return default
    if not isinstance(limit, str):
        return _check.integer("max_memory", limit, 1)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", limit)
    unit = found[2] if found else ""
    if found is None or not (unit in _UNITS or unit in _DECIMAL):
        raise ValueError(f"max_memory must be bytes, or a text such as '4GiB', got {limit!r}")
    times = 2.0 ** _UNITS[unit] if unit in _UNITS else _DECIMAL[unit]
    return _check.integer("max_memory", int(float(found[1]) * times), 1)


def say(size: int) -> str:
    """Format a number of bytes with a unit."""
    power = min(4, max(0, (size.bit_length() - 1) // 10))
    return f"{size / 2 ** (10 * power):.4g} {list(_UNITS)[power]}"
