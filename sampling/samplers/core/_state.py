"""The position of a run: the light state that loaders save, and its checks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import told
from ..._identity import changed, fingerprint, in_short, named_parts
from ...errors import StateError
from ._cuts import batch_at

if TYPE_CHECKING:
    from ._options import Checked
    from ._passes import Pass
    from ._plan import Plan
    from ._tables import Table

Arrays = dict[str, NDArray[Any]]

_KEYS = {"version", "sampler", "size", "seed", "epoch", "consumed", "fingerprint", "plan"}


class Resumable:
    """The methods of `EpochSampler` that save and restore the position of a run."""

    dynamic: bool
    blocked: bool
    size: int
    num_samples: int
    epoch: int
    _start: int
    _resumed: bool
    _running: "Pass[Any] | None"
    _excused: "Pass[Any] | None"
    _handed_out: int
    _last: "tuple[int, str, int] | None"
    _fingerprint: str
    _arguments: dict[str, str]
    _outer: str
    _options: "Checked"
    _plans: "dict[int, Plan]"

    _algorithm = 1  # incremented if the same arguments, seed, epoch and losses give other draws

    # ------------------------------------------------------------------ what a method may provide

    def _identity(self) -> "Mapping[str, object] | tuple[object, ...]":
        """Return what determines the draws apart from class, N and seed: arrays and JSON values.

        By argument, so that a state of other arguments is refused by name; "shares from weights" is
        computed from arguments, and named if no argument itself has changed. The entries of a tuple
        are numbered.
        """
        return {}

    def _arrays(self) -> Arrays:
        """Return the arrays of the current plan and the next one; empty for static samplers."""
        return {}

    def _notes(self) -> dict[str, Any]:
        """Return the other values to save, as JSON values."""
        return {}

    def _table_from(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> "Table":
        """Return the draw table of a planned epoch from `_arrays`, without changing the sampler."""
        raise TypeError(f"{type(self).__name__} is dynamic and must define _table_from")

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        """Set arrays and notes that were checked; never fails."""

    # ------------------------------------------------------------------ the light state

    @told
    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return the position of the run: a new dictionary of JSON values, under 1 KiB.

        Parameters
        ----------
        consumed : int, optional
            Draws of this epoch that were trained on, summed over all ranks, from the epoch's
            beginning, also across an earlier resume: see `consumed_after`. Draws that a loader
            prefetched do not count. By default the draws that the latest `iter` of this epoch has
            yielded, or the position of a resume if there was none: right for `torchdata.nodes`, and
            whenever the sampler is not read ahead of training. A `DataLoader` with workers reads
            ahead, so give `consumed` there.
        """
        if consumed is None:
            consumed = self._start if self._running is None else self._running.position
        else:
            consumed = self._check_consumed(self.epoch, consumed)
        return self._state(self.epoch, consumed, self._plan(self.epoch) if self.dynamic else None)

    def _state(self, epoch: int, consumed: int, plan: "Plan | None") -> dict[str, Any]:
        return {
            "version": 1,
            "sampler": type(self).__name__,
            "algorithm": self._algorithm,
            "size": self.size,
            "seed": self.seed,
            "epoch": epoch,
            "consumed": consumed,
            "fingerprint": self._own_fingerprint(),
            "arguments": dict(self._own_arguments()),
            "plan": plan.digest() if self.dynamic and plan is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the position of a saved run: the next `iter` yields what was not yet trained on.

        The state of one rank serves all, and ranks, workers and a plain batch size may have changed
        since. Loading is idempotent. A dynamic sampler accepts only a state of the plan that it
        holds: `load_state` restores the scores of a plan.

        Raises
        ------
        StateError
            If the state is of another class, N, seed, other arguments or another plan. The sampler
            is then unchanged.
        """
        self._check_own(state)
        epoch, digest = _check.epoch(state["epoch"]), state["plan"]
        consumed = _check.integer("consumed", state["consumed"], 0)
        if self.dynamic and digest is None:
            return self._wait_for(epoch, consumed)
        if self._last is not None and (epoch, digest) == self._last[:2]:
            if consumed in {0, self._last[2]}:
                return None  # a loader at the end of the previous epoch: the next one is planned
        self._check_plan(epoch, digest)
        consumed = self._check_consumed(epoch, consumed)
        self._plans = {each: plan for each, plan in self._plans.items() if each == epoch}
        self.epoch, self._start = epoch, consumed
        self._resumed, self._running, self._excused, self._handed_out = True, None, None, 0
        if epoch in self._plans:
            self._plans[epoch].finished = False
        return None

    def _check_own(self, state: Mapping[str, Any]) -> None:
        check_state(
            state,
            type(self).__name__,
            self.size,
            self.seed,
            self._own_fingerprint(),
            self._algorithm,
            self._own_arguments(),
            self._outer,
        )

    def _check_consumed(self, epoch: int, consumed: int) -> int:
        consumed = _check.integer("consumed", consumed, 0, self._draws(epoch) + 1)
        if self.blocked:
            batch_at(self._plan(epoch).table.cuts, consumed)
        return consumed

    def _check_plan(self, epoch: int, digest: str | None) -> None:
        if not self.dynamic:
            if digest is not None:
                raise StateError(_scores_missing(type(self).__name__, epoch, digest, "no plan"))
            return
        held = self._plan(self.epoch).digest()
        if (epoch, digest) != (self.epoch, held):
            here = f"plan {held} of epoch {self.epoch}"
            raise StateError(_scores_missing(type(self).__name__, epoch, digest, here))

    def _wait_for(self, epoch: int, consumed: int) -> None:
        """Restore a pass that had ended: the sampler waits for its next plan."""
        if epoch == self.epoch and consumed == 0:
            return
        if epoch != self.epoch + 1 or consumed != 0:
            here = f"a plan of epoch {self.epoch}"
            raise StateError(_scores_missing(type(self).__name__, epoch, None, here))
        self._plan(self.epoch).finished = True

    def _own_fingerprint(self) -> str:
        if not self._fingerprint:
            parts = named_parts(self._identity())
            self._fingerprint = fingerprint(
                self.size, self.num_samples, self._options.objective, *parts.values()
            )
        return self._fingerprint

    def _own_arguments(self) -> dict[str, str]:
        if not self._arguments:
            parts = {
                "draws from num_samples": self.num_samples,
                "objective": self._options.objective,
                **named_parts(self._identity()),
            }
            self._arguments = in_short(parts, self.__dict__.get("_given", {}))
        return self._arguments

    # ------------------------------------------------------------------ from the other parts

    @property
    def seed(self) -> int:
        """The seed given at construction."""
        raise TypeError("EpochSampler has the seed")

    def _plan(self, epoch: int) -> "Plan":
        raise TypeError("EpochSampler plans epochs")

    def _draws(self, epoch: int) -> int:
        raise TypeError("EpochSampler counts draws")


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


def check_array(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    dtype: type[np.generic],
    size: int | None = None,
) -> NDArray[Any]:
    """Return the array of a full state, (size,) of `dtype`, or raise `StateError`."""
    if name not in arrays:
        raise StateError(f"the full state must hold the array {name!r}, got {sorted(arrays)}")
    array = arrays[name]
    length = array.size if size is None else size
    if array.shape != (length,) or array.dtype != dtype:
        raise StateError(
            f"{name} must be {np.dtype(dtype)} of shape ({length},), got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array


def _scores_missing(sampler: str, epoch: int, digest: str | None, held: str) -> str:
    return (
        f"plan must be one that this {sampler} holds ({held}), got {digest} of epoch {epoch}: it "
        "was made from scores, which a state_dict does not carry; write them with "
        "save_state(sampler, path) and load that file with load_state first"
    )
