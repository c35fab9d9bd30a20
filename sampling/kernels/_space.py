"""Kernels for rows in the space of clustering: normalised or shifted, and their distances.

Callers: clustering/_assign.py, clustering/_kmeans.py.

Contract, the same for every kernel in this file
    Checked   Rows are finite; labels are in [0, K). A length of 0 denotes a row of zeros.
    Sizes     n = rows, D = dimensions, K = centers.
    Types     Rows float32; lengths, shifts, centers and squares float64; sums in float64.
    Random    None.
    Memory    The caller allocates `out`; one pass over the rows, no temporaries.
    Threads   Serial: the engine runs one block per thread.

kernel      reads                                   writes     time  oracle
row_lengths rows (n, D), least                      out (n,)   O(nD) lengths_by_numpy
place_rows  rows, lengths (n,), shift (D,), scale   out (n, D) O(nD) placed_by_numpy
squares_to  rows, lengths, centers (K, D), labels   out (n,)   O(nD) squares_by_numpy
add_rows    rows, lengths, labels (n,)              out (K, D) O(nD) sums_by_numpy
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel


@kernel
def row_lengths(rows: NDArray[np.float32], least: float, out: NDArray[np.float64]) -> None:
    """Write the length of each row, 0 if it is less than `least`.

    rows  : float32 (n, D)
    least : float64 ()
    out   : float64 (n,)
    """
    for i in range(rows.shape[0]):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0  # four sums: a single one would be a chain of dependencies
        whole = rows.shape[1] // 4 * 4
        for j in range(0, whole, 4):
            a += np.float64(rows[i, j]) ** 2
            b += np.float64(rows[i, j + 1]) ** 2
            c += np.float64(rows[i, j + 2]) ** 2
            d += np.float64(rows[i, j + 3]) ** 2
        for j in range(whole, rows.shape[1]):
            a += np.float64(rows[i, j]) ** 2
        length = np.sqrt(a + b + (c + d))
        out[i] = length if length >= least else 0.0


@kernel
def place_rows(
    rows: NDArray[np.float32],
    lengths: NDArray[np.float64],
    shift: NDArray[np.float64],
    scale: float,
    out: NDArray[np.float32],
) -> None:
    """Write (row / length - shift) * scale; zeros for a row without a length.

    rows    : float32 (n, D)
    lengths : float64 (n,)
    shift   : float64 (D,)
    scale   : float64 ()
    out     : float32 (n, D)
    """
    for i in range(rows.shape[0]):
        length = lengths[i]
        if length == 0.0:
            out[i] = 0.0
            continue
        for j in range(rows.shape[1]):
            out[i, j] = (np.float64(rows[i, j]) / length - shift[j]) * scale


@kernel
def squares_to(
    rows: NDArray[np.float32],
    lengths: NDArray[np.float64],
    centers: NDArray[np.float64],
    labels: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Write the squared distance of row / length to its center; 2 for a row without a length.

    rows    : float32 (n, D)
    lengths : float64 (n,)
    centers : float64 (K, D)
    labels  : int64 (n,)
    out     : float64 (n,)
    """
    for i in range(rows.shape[0]):
        length = lengths[i]
        if length == 0.0:
            out[i] = 2.0
            continue
        center = centers[labels[i]]
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        whole = rows.shape[1] // 4 * 4
        for j in range(0, whole, 4):
            a += (np.float64(rows[i, j]) / length - center[j]) ** 2
            b += (np.float64(rows[i, j + 1]) / length - center[j + 1]) ** 2
            c += (np.float64(rows[i, j + 2]) / length - center[j + 2]) ** 2
            d += (np.float64(rows[i, j + 3]) / length - center[j + 3]) ** 2
        for j in range(whole, rows.shape[1]):
            a += (np.float64(rows[i, j]) / length - center[j]) ** 2
        out[i] = a + b + (c + d)


@kernel
def add_rows(
    rows: NDArray[np.float32],
    lengths: NDArray[np.float64],
    labels: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Add row / length to the sum of its cluster; a row without a length adds nothing.

    rows    : float32 (n, D)
    lengths : float64 (n,)
    labels  : int64 (n,)
    out     : float64 (K, D)
    """
    for i in range(rows.shape[0]):
        length = lengths[i]
        if length == 0.0:
            continue
        total = out[labels[i]]
        for j in range(rows.shape[1]):
            total[j] += np.float64(rows[i, j]) / length
