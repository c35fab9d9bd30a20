"""Unfinished work kept in a folder, so that a killed process resumes instead of starting again.

A stage of a plan, or a command, opens `checkpoint(folder, key)`; the loops inside it open a `part`
each, in the same sequence in every run. A part is given the state that it saved, and saves a new
one at most every `_PAUSE` seconds; without a checkpoint it saves nothing. The folder exists only if
something was saved, and is removed when the work is done.

Files, each written whole or not at all: `state.safetensors` holds the states of the loops that
run, and how many of the files `done-0.safetensors`, ... belong to it. These hold what finished
loops returned, and what running ones have added.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._files._paths import _lock, naming, saved_tensors, tensors_of
from ._version import __version__
from .errors import StateError

__all__ = ["Part", "checkpoint", "key_of", "outside", "part", "remove_checkpoints"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
_PAUSE = 30.0  # seconds between two saved states
_SHARE = 20.0  # and at least so many times what saving took
_OWNER, _STATE = "owner", "state.safetensors"
_MARK = "unfinished work of sampling\n"
_FORMAT = 1


@dataclass
class Part:
    """A loop whose state is saved.

    Attributes
    ----------
    state : dict
        Arrays that the loop saved last, or returned if it was finished; empty at the beginning.
    added : list of dict
        Arrays that it has added before that.
    make : callable or None
        Returns the arrays to save; set by the loop.
    """

    name: str = ""
    owner: _Checkpoint | None = None
    state: dict[str, NDArray[Any]] = field(default_factory=dict)
    added: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    make: Callable[[], Arrays] | None = None
    count: int = 0
    inside: dict[str, int] = field(default_factory=dict)  # how many parts of a name were opened

    def tick(self) -> None:
        """Save the states of all running loops, if it is time; called where they are consistent."""
        if self.owner is not None:
            self.owner.tick()

    def add(self, **arrays: NDArray[Any]) -> None:
        """Add arrays that do not change any more; saved once, with the next state."""
        if self.owner is not None:
            self.owner.pend(f"{self.name}+{self.count}", arrays)
            self.count += 1

    def flush(self) -> None:
        """Save now."""
        if self.owner is not None:
            self.owner.save()

    def forget(self) -> None:
        """Do not save what was added and is not yet saved; for what is found again at once."""
        if self.owner is not None:
            self.owner.drop(f"{self.name}+")

    def done(self, **arrays: NDArray[Any]) -> None:
        """Keep arrays as the last state of the loop, which has finished."""
        self.make = None
        if self.owner is not None:
            self.owner.pend(self.name, arrays)


class _Checkpoint:
    """The folder of unfinished work."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, " ".join([*_versions(), key])
        self._lock: int | None = None
        self._pending: dict[str, Arrays] = {}
        self._segments = 0
        self._next = time.monotonic() + _PAUSE
        self._running: list[Part] = []
        self._arrays: dict[str, dict[str, NDArray[Any]]] = {}
        self._of_state: set[str] = set()  # of these, those that no other file holds
        if folder.exists():
            self._own()
            self._load()

    def _own(self) -> None:
        """Take the folder, made if necessary, for this process."""
        owner = self.folder / _OWNER
        held = list(self.folder.iterdir()) if self.folder.exists() else []
        if held and not owner.is_file():
            raise ValueError(f"{self.folder} must be free, got another folder: move it away")
        with naming(self.folder):
            self.folder.mkdir(exist_ok=True)
            self._lock = os.open(owner, os.O_RDWR | os.O_CREAT, 0o666)
            if not _lock(self._lock) and os.name == "posix":
                os.close(self._lock)
                self._lock = None
                raise StateError(
                    f"{self.folder} must be used by one process, got another that works there"
                )
            os.pwrite(self._lock, _MARK.encode(), 0)

    def _load(self) -> None:
        """Read the saved states, if they are of the same work and complete."""
        found: dict[str, dict[str, NDArray[Any]]] = {}
        try:
            header, tensors = _read(self.folder / _STATE)
            if header.get("key") != self._key:
                return
            segments = int(header["segments"])
            for number in range(segments):
                own, more = _read(self.folder / f"done-{number}.safetensors")
                if own.get("key") != self._key:
                    return
                found.update(more)
            found.update(tensors)
        except (OSError, ValueError, KeyError, _damaged()):  # not ours, or cut short: begin again
            return
        self._arrays, self._segments, self._of_state = found, segments, set(tensors)

    def take(self, name: str) -> tuple[dict[str, NDArray[Any]], list[dict[str, NDArray[Any]]]]:
        """Return the state of a part, and what it has added."""
        added: list[dict[str, NDArray[Any]]] = []
        while f"{name}+{len(added)}" in self._arrays:
            added.append(self._arrays.pop(f"{name}+{len(added)}"))
        return self._arrays.pop(name, {}), added

    def pend(self, name: str, arrays: Arrays) -> None:
        """Keep arrays until the next state is saved."""
        self._pending[name] = arrays

    def drop(self, start: str) -> None:
        """Forget what is pending under names that start so."""
        self._pending = {k: each for k, each in self._pending.items() if not k.startswith(start)}

    def tick(self) -> None:
        """Save, if it is time."""
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Save what is pending, and the states of the running loops."""
        began = time.monotonic()
        if self._lock is None:
            self._own()
        if self._pending:
            self._write(f"done-{self._segments}.safetensors", self._pending)
            self._segments += 1
            self._pending = {}
        states = {each.name: each.make() for each in self._running if each.make is not None}
        later = {name: self._arrays[name] for name in self._of_state & self._arrays.keys()}
        self._write(_STATE, {**later, **states})
        now = time.monotonic()
        self._next = now + max(_PAUSE, _SHARE * (now - began))

    def _write(self, name: str, parts: Mapping[str, Arrays]) -> None:
        arrays = {
            f"{part}:{key}": np.asarray(each, order="C")
            for part, own in parts.items()
            for key, each in own.items()
        }
        names = json.dumps([part for part, own in parts.items() if not own])
        header = {"sampling_part": names, "key": self._key, "segments": str(self._segments)}
        saved_tensors(arrays, self.folder / name, header, None)

    @contextmanager
    def running(self, own: Part) -> Iterator[Part]:
        """Run a loop whose state is saved."""
        self._running.append(own)
        try:
            yield own
        finally:
            self._running.pop()

    def close(self, *, finished: bool) -> None:
        """Release the folder; remove it if the work is done."""
        if finished:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def key_of(*facts: Any) -> str:
    """Return a digest of JSON values, arrays, and objects of which these are the attributes."""
    text = json.dumps(facts, sort_keys=True, default=_exact)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _exact(value: Any) -> Any:
    """Return an object as JSON values that determine it."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return [str(value.dtype), value.shape, hashlib.blake2b(data.data).hexdigest()]
    return vars(value) if is_dataclass(value) else str(value)


_CURRENT: ContextVar[Part | None] = ContextVar("part", default=None)


@contextmanager
def checkpoint(folder: Path, key: str) -> Iterator[None]:
    """Keep the unfinished work of the block in a folder, and resume it if it is there.

    folder : made when something is saved, and removed when the block has finished
    key    : all that determines the work; that of another key, or version, is not resumed

    Raises `ValueError` if it is a folder of another kind, `StateError` if another process uses it.
    """
    own = _Checkpoint(folder, key)
    token = _CURRENT.set(Part(owner=own))
    finished = False
    try:
        yield
        finished = True
    finally:
        _CURRENT.reset(token)
        own.close(finished=finished)


@contextmanager
def part(name: str) -> Iterator[Part]:
    """Open a loop of the current work; parts of one name are numbered in their sequence."""
    parent = _CURRENT.get()
    if parent is None or parent.owner is None:
        yield Part()
        return
    number = parent.inside.get(name, 0)
    parent.inside[name] = number + 1
    path = f"{parent.name}/{name}.{number}"
    state, added = parent.owner.take(path)
    added = added if state else []  # of a loop that begins again
    own = Part(path, parent.owner, state, added, count=len(added))
    token = _CURRENT.set(own)
    try:
        with parent.owner.running(own):
            yield own
    finally:
        _CURRENT.reset(token)


@contextmanager
def outside() -> Iterator[None]:
    """Save nothing in the block: one of several items, which a thread may process or not."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def remove_checkpoints(folder: Path) -> None:
    """Remove the unfinished work that earlier runs left in a folder, unless a process uses it."""
    for each in folder.glob(".*.part"):
        try:
            owner = os.open(each / _OWNER, os.O_RDWR)
        except OSError:
            continue
        try:
            if os.read(owner, 64).decode(errors="replace") == _MARK and _lock(owner):
                shutil.rmtree(each, ignore_errors=True)
        finally:
            os.close(owner)


def _damaged() -> type[Exception]:
    """Return the error of safetensors, which is loaded late."""
    from safetensors import SafetensorError

    error: type[Exception] = SafetensorError
    return error


@functools.cache
def _versions() -> tuple[str, ...]:
    """Return the versions of all that may change a bit of a state."""
    libraries = ("numpy", "numba", "faiss-cpu", "scikit-learn")
    return (str(_FORMAT), __version__, *map(metadata.version, libraries))


def _read(path: Path) -> tuple[dict[str, str], dict[str, dict[str, NDArray[Any]]]]:
    """Return the header of a file, and its arrays by part and name."""
    found: dict[str, dict[str, NDArray[Any]]] = {}
    with tensors_of(path) as file:
        header = dict(file.metadata() or {})
        for part_ in json.loads(header.get("sampling_part", "[]")):
            found[part_] = {}
        for each in file.keys():  # noqa: SIM118  # it has no iterator
            name, _, key = each.rpartition(":")
            found.setdefault(name, {})[key] = file.get_tensor(each)
    return header, found
