"""The position of a run: the light state that loaders save, and its checks."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _check
from .._keywords import told
from ..errors import StateError
from ..kernels._digest import checksum
from ._cuts import batch_at

if TYPE_CHECKING:
    from ._iterate import Pass
    from ._options import Checked
    from ._plan import Plan
    from ._tables import Table

Arrays = dict[str, NDArray[Any]]

_KEYS = {"version", "sampler", "size", "seed", "epoch", "consumed", "fingerprint", "plan"}
_LONG = 40  # characters of an argument in a state
_MOST = 560  # of all of them as JSON: the state has to stay under 1 KiB
_DEFAULTS = "defaults"  # of arguments of which none was given
_ABSENT = f"{_DEFAULTS} #none"  # what an argument that was left out has no part of
_WORD = re.compile(r"\w+")
_KEY = np.uint64(0x5A3C96E1D2B487F0)


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
