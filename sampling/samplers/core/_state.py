"""The light state of a sampler, which loaders save: what it holds, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._identity import changed
from ...errors import StateError

_KEYS = {"version", "sampler", "size", "seed", "epoch", "consumed", "fingerprint", "plan"}


def check_state(  # noqa: PLR0913  # what a state is compared with
    state: Mapping[str, Any],
    sampler: str,
    size: int,
    seed: int,
    fingerprint: str,
    algorithm: int = 1,
    arguments: Mapping[str, str] | None = None,
    shown: str = "",
) -> None:
    """Raise `StateError` with the first difference between the state and the sampler."""
    missing = _KEYS - set(state)
    if missing:
        raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
    if state["version"] != 1:
        raise StateError(f"state must have version 1, got {state['version']!r}")
    for name, ours in (("sampler", sampler), ("size", size), ("seed", seed)):
        if state[name] != ours:
            raise StateError(f"state must have {name} {ours!r}, got {state[name]!r}")
    other = state["fingerprint"] != fingerprint
    differ = changed(state.get("arguments"), arguments or {}) if other else ""
    saved = state.get("algorithm", 1)  # older states do not have it
    if saved != algorithm and not differ:  # other arguments may have another algorithm
        raise StateError(
            f"state must have algorithm {algorithm} of {sampler}, got {saved!r}, which draws other "
            "samples: finish the run with the release of sampling that saved it, or begin its next "
            "epoch with set_epoch instead of loading the state"
        )
    if other:
        if differ:
            raise StateError(
                f"state must come from a {shown or sampler} of the same data and arguments, "
                f"{differ}"
            )
        raise StateError(
            f"state must come from a {sampler} of the same data and arguments, fingerprint "
            f"{fingerprint}, got {state['fingerprint']!r}: which argument differs, a state of "
            "an earlier release does not say"
        )


def plan_missing(sampler: str, source: str, epoch: int, digest: str | None, held: str) -> str:
    """Return the message for a plan that a state names and the sampler does not hold.

    source : what the sampler plans from
    """
    return (
        f"plan must be one that this {sampler} holds ({held}), got {digest} of epoch {epoch}: it "
        f"was made from the {source}, which a state_dict does not carry; write them with "
        "save_state(sampler, path) and load that file with load_state first"
    )
