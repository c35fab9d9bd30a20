"""A file that takes hours to write: filled in any order, kept after a kill, moved when complete.

It is in a hidden folder next to its path, `.NAME.work`, with the state of the work. The same work
resumes there; other work begins again. One process at a time writes to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import StateError
from ._json import json_text
from ._paths import Kind, _followed, _lock, naming, written_whole

__all__ = ["KeptRows", "kept_rows"]

_EVERY = 5.0  # seconds between two saved states
_STATE, _ROWS, _OWNER = "state.json", "rows.npy", "owner"


class KeptRows:
    """Rows (N, D) of a .npy file in progress, and the state of the work.

    Attributes
    ----------
    state : dict
        JSON values of the caller; {} at the beginning. Saved every few seconds by `save`, after
        the rows written before.
    """

    def __init__(self, folder: Path, path: Path, key: str) -> None:
        self._folder, self._path, self._key = folder, path, key
        self._file: int | None = None
        self._offset = self._row = 0
        self._saved = time.monotonic()
        self.state: dict[str, Any] = self._resumed()

    def _resumed(self) -> dict[str, Any]:
        try:
            held = json.loads((self._folder / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = None
        if not isinstance(held, dict) or held.get("key") != self._key:
            for name in (_STATE, _ROWS):
                (self._folder / name).unlink(missing_ok=True)
            return {}
        found: dict[str, Any] = held["state"]
        return found

    def open(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """Open the file, made at its full length unless it is there; before any `write`."""
        path, head = self._folder / _ROWS, {"descr": dtype.str, "fortran_order": False}
        with naming(self._path):
            if not path.exists():
                new = path.with_name(f"{_ROWS}.new")
                with new.open("wb") as file:
                    np.lib.format.write_array_header_1_0(file, {**head, "shape": shape})
                    file.truncate(file.tell() + shape[0] * shape[1] * dtype.itemsize)
                new.replace(path)
            self._row = shape[1] * dtype.itemsize
            self._offset = path.stat().st_size - shape[0] * self._row
            self._file = os.open(path, os.O_WRONLY)

    def write(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Write values (n, D), of the dtype of the file, to these rows."""
        if self._file is None:
            raise StateError("write needs an open file, got none: call open first")
        with naming(self._path):
            for row, each in zip(rows.tolist(), np.ascontiguousarray(values), strict=True):
                at, data = self._offset + row * self._row, memoryview(each).cast("B")
                while data:
                    done = os.pwrite(self._file, data, at)
                    at, data = at + done, data[done:]

    def save(self, *, now: bool = False) -> None:
        """Save the state, if the last time was a few seconds ago."""
        if not now and time.monotonic() - self._saved < _EVERY:
            return
        with naming(self._path):
            if self._file is not None:
                os.fsync(self._file)
            new = self._folder / f"{_STATE}.new"
            with new.open("w", encoding="utf-8") as file:
                file.write(json_text({"key": self._key, "state": self.state}))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._folder / _STATE)
        self._saved = time.monotonic()

    def digest(self) -> str:
        """Return the SHA-256 of the file, as `sampling.io.digest`."""
        found = hashlib.sha256()
        with (self._folder / _ROWS).open("rb") as file:
            while block := file.read(2**20):
                found.update(block)
        return f"sha256:{found.hexdigest()}"

    @property
    def bytes(self) -> int:
        """Length of the file."""
        return (self._folder / _ROWS).stat().st_size

    def finish(self, kind: Kind) -> None:
        """Move the complete file to its path, and remove the folder."""
        self.close()
        with written_whole(self._path, kind) as beside:
            (self._folder / _ROWS).replace(beside)
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Close the file; the folder stays, for the next call."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def kept_rows(path: str | Path, facts: Mapping[str, Any]) -> Iterator[KeptRows]:
    """Yield the rows in progress of a .npy file; the block ends in `finish`, or they are kept.

    facts : JSON values that determine the content of the file: work with others begins again
    """
    target = _followed(Path(path))
    folder = target.with_name(f".{target.name}.work")
    owner = folder / _OWNER
    held = list(folder.iterdir()) if folder.exists() else []
    if held and not owner.is_file():
        raise ValueError(f"{folder} must be free, got another folder: move it away")
    with naming(path):
        folder.mkdir(exist_ok=True)
        owner.touch()
    lock = os.open(owner, os.O_RDWR)
    try:
        if not _lock(lock) and os.name == "posix":
            raise StateError(f"{path} must be written by one process, got another that writes it")
        key = hashlib.sha256(json_text(facts, ordered=True).encode()).hexdigest()
        rows = KeptRows(folder, Path(path), key)
        try:
            yield rows
        except KeyboardInterrupt:
            rows.save(now=True)
            raise
        finally:
            rows.close()
    finally:
        os.close(lock)
