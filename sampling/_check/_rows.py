"""Rows stored on disk, read on demand and never all at once.

A memory map would work too, but its pages count as memory of the process (one row can load two
megabytes) until the system reclaims them.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._damaged import damaged

__all__ = ["Rows"]

_GAP = 2**16  # bytes between two rows that are read rather than skipped
_SPAN = 2**24  # bytes read at once


class Rows:
    """A matrix in a file, or a subset of its rows in any order.

    It has the shape, dtype and length of an array, in native byte order; indexing by slices and int
    arrays of row numbers returns numpy arrays of those rows. `numpy.asarray` reads the whole
    matrix. Only the file name is stored, so it can be sent to other processes and read by several
    threads; a pickled copy holds the absolute path.

    Parameters
    ----------
    path : str or pathlib.Path
    shape : tuple of int
        Shape of the matrix in the file, (n, D), in row-major order.
    dtype : dtype
    offset : int, default 0
        Bytes before the first row.
    places : int64 array of shape (N,), optional
        Row numbers in the file; all rows by default.
    scratch : str or pathlib.Path, optional
        Folder for temporary files as large as the rows; the system's temporary folder by default.

    Raises
    ------
    ValueError
        If the file is too short.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     np.arange(6.0).tofile(file.name)
    ...     rows = Rows(file.name, (3, 2), np.float64)
    ...     rows[np.array([2, 0])].tolist(), rows.take(np.array([2]))[:].tolist()
    ([[4.0, 5.0], [0.0, 1.0]], [[4.0, 5.0]])
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, ...],
        dtype: DTypeLike,
        offset: int = 0,
        places: NDArray[np.int64] | None = None,
        scratch: str | Path | None = None,
    ) -> None:
        self.scratch = scratch
        self._stamp: tuple[int, int] | None = None
        self._path, self._offset, self._places = Path(path), offset, places
        self._stored = np.dtype(dtype)
        self.dtype = self._stored.newbyteorder("=")
        self._file_shape = shape
        self._row = int(self.dtype.itemsize * np.prod(shape[1:], dtype=np.int64))
        self.shape = (shape[0] if places is None else len(places), *shape[1:])
        self.ndim = len(shape)
        held = self._path.stat().st_size - offset
        if held < shape[0] * self._row:
            raise ValueError(
                f"{path} must hold {shape[0]} rows, {shape[0] * self._row} bytes, got {held}"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | NDArray[Any] | int) -> NDArray[Any]:
        """Read rows: (n, D), or (D,) for a single row number.

        Parameters
        ----------
        which : slice, int or bool array, or int
        """
        if isinstance(which, slice) and self._places is None and which.step in {None, 1}:
            start, stop, _ = which.indices(len(self))
            return self._span(start, max(start, stop))
        if self._places is not None:
            places = self._places[which]
        elif isinstance(which, slice):
            places = np.arange(*which.indices(len(self)))
        else:
            places = np.asarray(which)
            if places.dtype == np.bool_:
                places = np.flatnonzero(places)
        found = self._gather(np.atleast_1d(places))
        one: NDArray[Any] = found if np.ndim(places) else found[0]
        return one

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all rows."""
        if copy is False:
            raise ValueError("copy must not be False for rows on disk, got False")
        return np.asarray(self[:], dtype)

    def watched(self) -> Rows:
        """Return these rows, which from now on refuse to be read from a file that has changed.

        For files of the user. It is noticed by size and time in this process, not in a copy that is
        sent to another, where a file system may state other times.
        """
        found = copy.copy(self)
        found._stamp = _stamp(self._path.stat())
        return found

    def mapped(self) -> NDArray[Any]:
        """Return all rows as a memory map, whose writes stay in memory; (N, D).

        For rows that are read again and again, in every order, by several processes: they share
        its pages. A subset of the rows, or rows in another byte order, is read into memory.
        """
        if self._places is not None or not self._stored.isnative:
            return self[:]
        return np.memmap(self._path, self._stored, "c", self._offset, self._file_shape)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Return a subset of the rows without reading them.

        Parameters
        ----------
        rows : int64 array of shape (n,)

        Returns
        -------
        Rows
        """
        places = rows if self._places is None else self._places[rows]
        found = Rows(self._path, self._file_shape, self._stored, self._offset, places, self.scratch)
        found._stamp = self._stamp
        return found

    def part(self, which: slice | NDArray[np.int64]) -> Rows:
        """Return a subset of the rows without reading them, which holds no other row numbers.

        Consecutive rows are a range of the file: small enough to be sent with a task.

        Parameters
        ----------
        which : slice or int64 array of shape (n,)

        Returns
        -------
        Rows
        """
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            if self._places is None and step == 1:
                found = copy.copy(self)  # checked already: nothing is asked of the file system
                found._offset = self._offset + start * self._row
                found._stamp = self._stamp  # a copy has none
                found.shape = found._file_shape = (max(0, stop - start), *self.shape[1:])
                return found
            which = np.arange(start, stop, step)
        return self.take(which)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_path": self._path.absolute(), "_stamp": None}

    def _open(self) -> int:
        file = os.open(self._path, os.O_RDONLY)
        if self._stamp is not None and _stamp(os.fstat(file)) != self._stamp:
            os.close(file)
            raise ValueError(
                f"{self._path} must not change while it is read, got another size or time: open "
                "the table again"
            )
        return file

    def _gather(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Read rows of the file, with one read for rows that are close together."""
        out = np.empty((places.size, *self.shape[1:]), self.dtype)
        if not places.size:
            return out
        order = np.argsort(places, kind="stable")
        sorted_ = places[order]
        if sorted_[0] < 0 or sorted_[-1] >= self._file_shape[0]:
            wrong = sorted_[0] if sorted_[0] < 0 else sorted_[-1]
            raise IndexError(f"row must be in [0, {self._file_shape[0]}), got {wrong}")
        apart = np.diff(sorted_) * self._row > _GAP
        wide = np.diff(sorted_ * self._row // _SPAN) > 0
        cuts = np.concatenate([[0], np.flatnonzero(apart | wide) + 1, [sorted_.size]])
        starts, stops = sorted_[cuts[:-1]].tolist(), (sorted_[cuts[1:] - 1] + 1).tolist()
        file = self._open()
        try:
            for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
                part = slice(cuts[i], cuts[i + 1])
                out[order[part]] = self._read(file, start, stop)[sorted_[part] - start]
        finally:
            os.close(file)
        return out

    def _span(self, start: int, stop: int) -> NDArray[Any]:
        file = self._open()
        try:
            return self._read(file, start, stop)
        finally:
            os.close(file)

    def _read(self, file: int, start: int, stop: int) -> NDArray[Any]:
        """Read the rows [start, stop) of an open file."""
        out = np.empty((stop - start, *self.shape[1:]), self._stored)
        view = memoryview(out.reshape(-1).view(np.uint8).data)
        at, done = self._offset + start * self._row, 0
        while done < len(view):
            count = os.preadv(file, [view[done : done + _SPAN]], at + done)
            if count == 0:
                what = f"a whole file of {stop} rows"
                raise ValueError(damaged(self._path, what, "a file cut short"))
            done += count
        return out.astype(self.dtype, copy=False)


def _stamp(facts: os.stat_result) -> tuple[int, int]:
    """Return what differs between a file and another one of the same name."""
    return facts.st_size, facts.st_mtime_ns
