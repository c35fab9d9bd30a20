"""What a saved position is checked against."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import StateError

_KEYS = {"version", "sampler", "size", "seed", "epoch", "consumed", "fingerprint", "plan"}


def fingerprint(*parts: object) -> str:
    """Return 16 hex digits of arrays and JSON values, the same on every platform."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def check_state(
    state: Mapping[str, Any], sampler: str, size: int, seed: int, fingerprint: str
) -> None:
    """Raise `StateError` with the first thing that tells the state from the sampler."""
    missing = _KEYS - set(state)
    if missing:
        raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
    if state["version"] != 1:
        raise StateError(f"state must have version 1, got {state['version']!r}")
    for name, ours in (("sampler", sampler), ("size", size), ("seed", seed)):
        if state[name] != ours:
            raise StateError(f"state must have {name} {ours!r}, got {state[name]!r}")
    if state["fingerprint"] != fingerprint:
        raise StateError(
            f"state must come from a {sampler} of the same data and arguments, fingerprint "
            f"{fingerprint}, got {state['fingerprint']!r}"
        )
