"""Rows on disk in another order, for those that read them group after group."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._files import naming, own_folder
from .._keywords import told
from .._rows import Rows

__all__ = ["regrouped"]

_BLOCK = 2**27  # bytes read and sorted at a time


@told
@contextmanager
def regrouped(rows: Rows, order: NDArray[np.int64]) -> Iterator[Rows]:
    """Lay rows out in a file in the order given, for as long as the block lasts.

    The file is in `rows.scratch`. The rows are read once, in their own order; those of a block that
    lie side by side in the new order are written at once: an order that jumps at every row is slow.
    24 bytes a row of `order` and two blocks of 128 MiB.

    Parameters
    ----------
    rows : Rows
        N of them.
    order : int64 array of shape (n,)
        Rows, some perhaps twice and some not at all.

    Returns
    -------
    context manager of Rows
        n of them.
    """
    source = np.argsort(order, kind="stable")  # places in the new order, by the row they take
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
