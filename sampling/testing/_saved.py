"""The saved state of any sampler, as one value that another process can be given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..samplers import EpochBatchSampler, EpochSampler, load_state, save_state
from ._outcomes import does_not_apply
from ._subject import AnySampler, State, Subject, has, keeps_position

_PROTOCOL = ("state_dict", "load_state_dict")


@dataclass(frozen=True)
class Saved:
    """A state, and who keeps it.

    Attributes
    ----------
    keeper : {"file", "sampler", "iterator"}
        `save_state`, for a sampler derived from `EpochSampler` or `EpochBatchSampler`; otherwise
        the sampler's own `state_dict`, or that of its iterator.
    state : object
        The bytes of the file, or the result of `state_dict`.
    """

    keeper: str
    state: State

    @property
    def name(self) -> str:
        """What was saved, for messages."""
        return "save_state" if self.keeper == "file" else f"state_dict of the {self.keeper}"


def saved(sampler: AnySampler, live: Iterator[Any], consumed: int) -> Saved:
    """Return the state of a sampler after `consumed` draws, with `live` the running pass."""
    if in_a_file(sampler):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state.safetensors")
            save_state(sampler, path, consumed)
            return Saved("file", path.read_bytes())
    if has(sampler, *_PROTOCOL):
        given = {"consumed": consumed} if keeps_position(sampler) else {}
        return Saved("sampler", deepcopy(sampler.state_dict(**given)))
    if not has(live, *_PROTOCOL):
        does_not_apply("keeps no state (see D3 and T4)")
    return Saved("iterator", deepcopy(live.state_dict()))  # type: ignore[attr-defined]


def resumed(sampler: AnySampler, state: Saved) -> Iterator[Any]:
    """Load a state, and return the pass that continues from it."""
    if state.keeper == "file":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "state.safetensors")
            path.write_bytes(state.state)
            load_state(sampler, path)
    elif state.keeper == "sampler":
        sampler.load_state_dict(deepcopy(state.state))
    live: Iterator[Any] = iter(sampler)
    if state.keeper == "iterator":
        live.load_state_dict(deepcopy(state.state))  # type: ignore[attr-defined]
    return live


def fresh(subject: Subject, epoch: int) -> AnySampler:
    """Return the sampler of a restarted program, into which a state of an epoch is loaded.

    A file of `save_state` includes the scores of a dynamic sampler. Others restore theirs
    separately: they have the losses of the earlier epochs.
    """
    sampler = subject.make()
    return sampler if in_a_file(sampler) else subject.reborn(epoch)


def in_a_file(sampler: AnySampler) -> bool:
    """Return whether `save_state` writes this sampler's state."""
    return isinstance(sampler, EpochSampler | EpochBatchSampler)
