"""What identifies the arguments of an object: digests, and a short text of each for messages."""

from __future__ import annotations

import array
import dataclasses
import enum
import hashlib
import inspect
import json
import math
import os
import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._check._host import on_host
from .kernels._digest import checksum

_LONG = 40  # characters of an argument in a state
_MOST = 560  # of all of them as JSON: the state has to stay under 1 KiB
_DEFAULTS = "defaults"  # of arguments of which none was given
_ABSENT = f"{_DEFAULTS} #none"  # an omitted argument has none of it
_WORD = re.compile(r"\w+")
_FEW = 16  # values of a list that are kept as they are
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


def named_parts(identity: Mapping[str, object] | tuple[object, ...]) -> Mapping[str, object]:
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
        if isinstance(part, Digest):
            texts[name] = f"{part.shown} #{part[:8]}"
            continue
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
        if not any(words[name] < each for each in words.values())  # within a longer name
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


# ---------------------------------------------------------------------- arguments of a constructor


class Digest(str):
    """A digest of an array, as text, and what is shown of the array: its dtype and shape."""

    shown: str

    @classmethod
    def of(cls, array: NDArray[Any]) -> Digest:
        """Return the digest of an array of numbers or strings."""
        found = cls(fingerprint(array))
        found.shown = f"<{array.dtype} {array.shape}>"
        return found


class Unknown:
    """An argument that nothing here identifies, such as a function."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def bound(
    signature: inspect.Signature, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> dict[str, object]:
    """Return what identifies each argument of a call: JSON values, arrays, or `Unknown`.

    signature : without the first argument, `self`

    Arguments that are not given count with their defaults; `*args` and `**kwargs` one by one.
    """
    try:
        call = signature.bind(*args, **kwargs)
    except TypeError:  # the constructor raises it; a copy has no arguments
        return {}
    call.apply_defaults()
    found: dict[str, object] = {}
    for name, value in call.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found |= {each: identified(inner) for each, inner in value.items()}
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            found |= {f"{name}[{at}]": identified(inner) for at, inner in enumerate(value)}
        else:
            found[name] = identified(value)
    return found


def is_ours(kind: Any) -> bool:
    """Return whether a class or a function is defined in this package."""
    return bool(kind.__module__.partition(".")[0] == __name__.partition(".")[0])


def identified(value: Any) -> object:
    """Return what identifies a value: itself if JSON can hold it, a digest, a length, or `Unknown`.

    Arrays, tensors and long lists are replaced by a digest of dtype, shape and bytes, so that they
    are not kept alive and may change later. A dataset is known by its length alone. Never raises
    for what an object of others does: it is then `Unknown`.
    """
    try:
        return _identified(value)
    except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError):
        return Unknown(type(value).__name__)


def _identified(value: Any) -> object:  # noqa: C901, PLR0911  # one branch for each kind
    plain = _as_json(value)
    if plain is not value or isinstance(value, _SCALARS):
        return plain
    if isinstance(value, type) or hasattr(value, "_parameters"):  # a class, a torch module
        return Unknown(type(value).__name__)
    if hasattr(value, "_identified"):  # a sampler
        made: Any = value
        return {"kind": type(made).__name__, "seed": made.seed, "data": made._identified()}
    if isinstance(value, Mapping):
        return _together({repr(name): identified(each) for name, each in value.items()})
    if isinstance(value, Set):
        return sorted(repr(identified(each)) for each in value)
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if dataclasses.is_dataclass(value):  # a Selection, a Score, ...
        held = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        if is_ours(type(value)):  # without the functions of a Selection
            held = {name: each for name, each in held.items() if not callable(each)}
        kind = type(value).__qualname__
        return _together({"kind": kind, **{name: identified(each) for name, each in held.items()}})
    if isinstance(value, bytearray | memoryview | array.array):
        return Digest.of(np.asarray(memoryview(value)))
    if isinstance(value, Sequence) or hasattr(value, "column_name"):  # of a Hugging Face dataset
        items: Any = value
        return _list(list(items))
    found = _array(value)
    if found is not None:
        return _digest(found)
    if all(hasattr(value, each) for each in ("codes", "names", "sizes")):  # `Groups`
        groups: Any = value
        return _together({"names": identified(groups.names), "codes": identified(groups.codes)})
    dataset = hasattr(value, "__len__") and hasattr(value, "__getitem__") and not callable(value)
    if dataset and not hasattr(value, "__array__"):
        sized: Any = value
        return {"length": len(sized)}
    return Unknown(type(value).__name__)


_SCALARS = str | int | float | bool | None


def _as_json(value: object) -> object:
    """Return numpy's numbers and bytes as Python's, and an infinite or NaN float by its name."""
    if isinstance(value, np.dtype | np.datetime64 | np.timedelta64 | np.complexfloating | complex):
        return repr(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _list(values: Sequence[object]) -> object:
    if len(values) > _FEW and len({type(each) for each in values}) == 1:
        found = np.asarray(values) if isinstance(values[0], int | float | str) else None
        if found is not None and found.dtype.kind in "iufbU":
            return _digest(found)
    return _together({str(at): identified(each) for at, each in enumerate(values)}, listed=True)


def _together(parts: Mapping[str, object], *, listed: bool = False) -> object:
    for each in parts.values():
        if isinstance(each, Unknown):
            return each
    return list(parts.values()) if listed else dict(parts)


def _array(value: Any) -> NDArray[Any] | None:  # anything
    """Return an array, a tensor or a column of a table as an array; None for anything else."""
    if isinstance(value, np.ma.MaskedArray):
        return None
    value = on_host("data", value)
    known = ("__array__", "__array_interface__", "to_numpy")
    return np.asarray(value) if any(hasattr(value, each) for each in known) else None


def _digest(values: NDArray[Any]) -> object:
    if values.dtype == object:  # names, and missing ones
        return identified(values.tolist()) if values.ndim else Unknown("object")
    return Digest.of(values.astype(np.int64) if values.dtype.kind in "mM" else values)
