"""What identifies the arguments of an object: digests, and a short text of each for messages."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels._digest import checksum

_LONG = 40  # characters of an argument in a state
_MOST = 560  # of all of them as JSON: the state has to stay under 1 KiB
_DEFAULTS = "defaults"  # of arguments of which none was given
_ABSENT = f"{_DEFAULTS} #none"  # what an argument that was left out has no part of
_WORD = re.compile(r"\w+")
_KEY = np.uint64(0x5A3C96E1D2B487F0)


def fingerprint(*parts: object) -> str:
    """Return 16 hex digits of arrays and JSON values, equal on every platform."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(_checksum_of(np.ascontiguousarray(part)))
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _checksum_of(array: NDArray[Any]) -> bytes:
    """Return bytes that identify a contiguous array: a checksum and the odd bytes at its end.

    4 GB/s; blake2b of the whole array would take 1.7 s for 10^8 float64.
    """
    data = array.reshape(-1).view(np.uint8)
    whole = data.size - data.size % 8
    total = int(checksum(data[:whole].view(np.dtype("<u8")), _KEY))
    return total.to_bytes(8, "little") + data[whole:].tobytes()


def named_parts(identity: "Mapping[str, object] | tuple[object, ...]") -> Mapping[str, object]:
    """Return the parts of an identity by name; those of a tuple are numbered."""
    if isinstance(identity, Mapping):
        return identity
    return {f"part {at} of _identity": part for at, part in enumerate(identity)}


def in_short(parts: Mapping[str, object], given: Mapping[str, str]) -> dict[str, str]:
    """Return each part as a text, in total at most `_MOST` characters as JSON.

    "0.5", or if that is long, or an array, its short form and a digest: "<int64 (9,)> #6f2a91c0".
    Equal parts have equal texts after the mark.

    given : the arguments in short form, for values computed from some of them
    """
    texts = {}
    for name, part in parts.items():
        array = isinstance(part, np.ndarray)
        shown = f"<{part.dtype} {part.shape}>" if isinstance(part, np.ndarray) else _plain(part)
        of = [each for each in _WORD.findall(name) if each in given]
        if " from " in name or name == "lengths or domains":
            shown = ", ".join(f"{each}={given[each]}" for each in of) or _DEFAULTS
        elif not array and len(shown) <= _LONG:
            texts[name] = shown
            continue
        shown = shown if len(shown) <= _LONG else f"{shown[: _LONG - 3]}..."
        texts[name] = f"{shown} #{fingerprint(part)[:8]}"
    for name in sorted(texts, key=lambda each: -len(texts[each])):
        if len(json.dumps(texts)) > _MOST:
            texts[name] = f"#{fingerprint(parts[name])[:8]}"
    return texts


def _plain(part: object) -> str:
    return repr(json.loads(json.dumps(part)))  # a tuple and a list are equal here


def changed(saved: object, ours: Mapping[str, str]) -> str:
    """Describe which arguments of a state differ: "power 0.5, got 0.0"; empty if unknown.

    saved, ours : results of `in_short` there and here

    A value computed from several arguments differs also if another argument has changed: it is
    named if it was given differently, or if nothing else differs.
    """
    if not isinstance(saved, Mapping):
        return ""
    pairs: dict[str, tuple[str, str]] = {}
    for name in dict.fromkeys([*ours, *map(str, saved)]):
        here, there = ours.get(name, _ABSENT), str(saved.get(name, _ABSENT))
        if (_split(here)[1] or here) != (_split(there)[1] or there):
            pairs[name] = here, there
    given = [each for each in pairs if _made_of(each) == each or _differ(*pairs[each])]
    by_argument = {_made_of(each): pairs[each] for each in reversed(given or [*pairs])}
    words = {name: set(_WORD.findall(name)) - {"and"} for name in by_argument}
    texts = [
        _pair(name, *pair)
        for name, pair in by_argument.items()
        if not any(words[name] < each for each in words.values())  # said with more beside it
    ]
    return "; ".join(reversed(texts[-3:]))


def _pair(name: str, ours: str, saved: str) -> str:
    """Describe how an argument differs: "power=0.5, got power=0.0"."""
    if not _differ(ours, saved):
        return f"{name} of the values here, {ours}, got others, {saved}"
    here, there = (
        "the defaults" if shown == _DEFAULTS else shown if "=" in shown else f"{name}={shown}"
        for shown in (_split(ours)[0], _split(saved)[0])
    )
    return f"{here if here != 'the defaults' else f'{name} not given'}, got {there}"


def _made_of(name: str) -> str:
    """Return the arguments that a part was computed from: "power, beta and target"."""
    return name.rpartition(" from ")[2]


def _differ(ours: str, saved: str) -> bool:
    return bool(_split(ours)[0] and _split(saved)[0]) and _split(ours)[0] != _split(saved)[0]


def _split(text: str) -> tuple[str, str]:
    """Return the text of an argument, and its digest; "" if there is none."""
    shown, mark, digest = text.rpartition("#")
    return (shown.strip(), digest) if mark else (text, "")
