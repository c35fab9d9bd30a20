"""Reorder rows on disk, for readers that process them group by group."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .._check._keywords import told
from .._check._rows import Rows
from .._files._paths import naming, own_folder

__all__ = ["OwnRows", "ordered", "own_rows", "regrouped"]

_BLOCK = 2**26  # bytes read and sorted at a time
_WINDOW = 2**23  # bytes of the new file that are put in order at a time


@told
@contextmanager
def regrouped(
    rows: Rows,
    order: NDArray[np.int64],
    run: Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] = map,
) -> Iterator[Rows]:
    """Write rows to a temporary file in the given order, for the duration of the block.

    The file is in `rows.scratch`. The rows are read once, in their own order; rows of a block that
    are adjacent in the new order are written together, so an order without adjacent rows is slow.
    Needs 24 bytes per row of `order` and two blocks of 64 MiB.

    Parameters
    ----------
    rows : Rows
        The N rows to reorder.
    order : int64 array of shape (n,)
        Row numbers; rows may be repeated or missing.
    run : callable, default map
        Maps a function over blocks of the rows, such as `engine.each`; the blocks are read and
        written by the function, in any process that sees the files.

    Returns
    -------
    context manager of Rows
        The n rows in the new order.
    """
    source = np.argsort(order, kind="stable")  # positions in the new order, sorted by source row
    sizes = np.bincount(order, minlength=len(rows))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    width = int(rows.dtype.itemsize * np.prod(rows.shape[1:], dtype=np.int64))
    step = max(1, _BLOCK // width)
    with own_folder(Path(rows.scratch or tempfile.gettempdir(), "regrouped").absolute()) as (
        folder,
        _,
    ):
        path = folder / "rows.bin"
        with naming(path):
            with path.open("wb") as file:
                file.truncate(order.size * width)
            blocks = (
                _Block(path, rows.part(slice(start, start + step)), places, order[places] - start)
                for start in range(0, len(rows), step)
                for places in [np.sort(source[ends[start] : ends[min(start + step, len(rows))]])]
                if places.size
            )
            for _ in run(_copy, blocks):
                pass
        yield Rows(path, (order.size, *rows.shape[1:]), rows.dtype, scratch=rows.scratch)


@dataclass(frozen=True)
class _Block:
    """Consecutive rows, which of them go to the new file, and where.

    places : int64 (n,), ascending positions in the new file
    which  : int64 (n,), the row of the block at each
    """

    path: Path
    rows: Rows
    places: NDArray[np.int64]
    which: NDArray[np.int64]


@told
class OwnRows(Rows):
    """Rows of a temporary file, which the process that made it may change.

    Parameters
    ----------
    path : str or pathlib.Path
    shape : tuple of int
    dtype : dtype
    offset : int, default 0
    places : int64 array of shape (N,), optional
    scratch : str or pathlib.Path, optional
        See `Rows`.
    """

    def write(self, start: int, block: NDArray[Any]) -> None:
        """Replace rows.

        Parameters
        ----------
        start : int
            The first row.
        block : array of shape (n, D)
        """
        data = np.ascontiguousarray(block, self._stored)
        with naming(self._path):
            file = os.open(self._path, os.O_WRONLY)
            try:
                _write(file, data, start * self._row)
            finally:
                os.close(file)


@told
@contextmanager
def own_rows(
    shape: tuple[int, int], dtype: DTypeLike, scratch: str | Path | None = None
) -> Iterator[OwnRows]:
    """Make a temporary file of zeros, for the duration of the block.

    Parameters
    ----------
    shape : tuple of int
        (n, D).
    dtype : dtype
    scratch : str or pathlib.Path, optional
        Folder of the file; the system's temporary folder by default.

    Returns
    -------
    context manager of OwnRows
    """
    with own_folder(Path(scratch or tempfile.gettempdir(), "rows").absolute()) as (folder, _):
        path = folder / "rows.bin"
        with naming(path), path.open("wb") as file:
            file.truncate(shape[0] * shape[1] * np.dtype(dtype).itemsize)
        yield OwnRows(path, shape, dtype, scratch=scratch)


@told
@contextmanager
def ordered(
    rows: Any,  # array or Rows
    order: NDArray[np.int64],
    scratch: str | Path | None = None,
) -> Iterator[OwnRows]:
    """Write rows as float32 to a temporary file in any order, for the duration of the block.

    The rows are read once, in their own order, and written twice: first to the window of the file
    that they belong to, then in order inside it. Unlike `regrouped`, it is fast for an order
    without adjacent rows. Needs 8 bytes per row of `order` and four blocks of 8 MiB.

    Parameters
    ----------
    rows : array of shape (N, D), or Rows
    order : int64 array of shape (n,)
        Distinct row numbers.
    scratch : str or pathlib.Path, optional
        Folder of the file; the system's temporary folder by default.

    Returns
    -------
    context manager of OwnRows
        The n rows in the new order.
    """
    width, shape = 4 * rows.shape[1], (order.size, rows.shape[1])
    step = max(1, _WINDOW // width)
    starts = np.arange(0, order.size, step)  # of the windows
    with own_rows(shape, np.float32, scratch) as out:
        places = np.argsort(order, kind="stable")  # in the new file, sorted by source row
        filled = starts.copy()
        for at in range(0, order.size, step):
            some = places[at : at + step]
            block = np.asarray(rows[order[some]], np.float32)
            windows = some // step
            by_window = np.argsort(windows, kind="stable")
            counts = np.bincount(windows, minlength=starts.size)
            ends = np.cumsum(counts)
            for number in np.flatnonzero(counts).tolist():
                own = by_window[ends[number] - counts[number] : ends[number]]
                out.write(int(filled[number]), block[own])
            filled += counts
        del places
        for at in starts.tolist():
            window = out[at : at + step]
            sorted_ = np.empty_like(window)
            sorted_[np.argsort(order[at : at + step], kind="stable")] = window
            out.write(at, sorted_)
        yield out


def _copy(part: _Block) -> None:
    """Read a block, and write its rows in the new order."""
    block = np.ascontiguousarray(part.rows[:][part.which])
    width = block.nbytes // len(block)
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(part.places) > 1) + 1])
    stops = np.append(cuts[1:], part.places.size)
    file = os.open(part.path, os.O_WRONLY)
    try:
        for low, high in zip(cuts.tolist(), stops.tolist(), strict=True):
            _write(file, block[low:high], int(part.places[low]) * width)
    finally:
        os.close(file)


def _write(file: int, block: NDArray[np.generic], offset: int) -> None:
    view = memoryview(block.reshape(-1).view(np.uint8).data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
