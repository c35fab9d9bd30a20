"""Reorder rows on disk, for readers that process them group by group."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._check._keywords import told
from .._check._rows import Rows
from .._files._paths import naming, own_folder

__all__ = ["regrouped"]

_BLOCK = 2**27  # bytes read and sorted at a time


@told
@contextmanager
def regrouped(rows: Rows, order: NDArray[np.int64]) -> Iterator[Rows]:
    """Write rows to a temporary file in the given order, for the duration of the block.

    The file is in `rows.scratch`. The rows are read once, in their own order; rows of a block that
    are adjacent in the new order are written together, so an order without adjacent rows is slow.
    Needs 24 bytes per row of `order` and two blocks of 128 MiB.

    Parameters
    ----------
    rows : Rows
        The N rows to reorder.
    order : int64 array of shape (n,)
        Row numbers; rows may be repeated or missing.

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
    with own_folder(Path(rows.scratch or tempfile.gettempdir(), "regrouped")) as (folder, _):
        path = folder / "rows.bin"
        with naming(path), path.open("wb") as file:
            for start in range(0, len(rows), step):
                stop = min(start + step, len(rows))
                places = np.sort(source[ends[start] : ends[stop]])
                if not places.size:
                    continue
                block = np.ascontiguousarray(rows[start:stop][order[places] - start])
                cuts = np.concatenate([[0], np.flatnonzero(np.diff(places) > 1) + 1])
                stops = np.append(cuts[1:], places.size)
                for low, high in zip(cuts.tolist(), stops.tolist(), strict=True):
                    _write(file.fileno(), block[low:high], int(places[low]) * width)
        yield Rows(path, (order.size, *rows.shape[1:]), rows.dtype)


def _write(file: int, block: NDArray[np.generic], offset: int) -> None:
    view = memoryview(block.reshape(-1).view(np.uint8).data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count
