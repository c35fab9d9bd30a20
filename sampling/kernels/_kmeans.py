"""Kernels of k-means with memory: rows are compared only with centers that were near before.

Callers: clustering/_lloyd.py, clustering/_assign.py.

Contract, the same for every kernel in this file
    Checked   Rows and centers are finite; labels and lists hold centers in [0, K).
    Sizes     N = rows, D = dimensions, K = centers, m = centers listed for a row.
    Types     Rows, centers and squares float32; sums float64; labels int64, lists int32.
    Random    None: on a tie a row keeps its center.
    Memory    The caller allocates.
    Threads   Serial. A sum over D is computed in any order, one over N in the order of the rows.

kernel         reads                                      writes          oracle (tests/oracles.py)
nearest_listed work, centers, moved (K,), lists (N, m)    labels, squares nearest_listed_by_sorting
move_rows      work, before (N,), labels                  sums (K, D)     move_rows_by_cluster
nearest_members labels, squares, keys (N,)                rows (K,)       nearest_members_by_sorting
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel, summing_kernel


@summing_kernel
def nearest_listed(
    work: NDArray[np.float32],
    centers: NDArray[np.float32],
    moved: NDArray[np.bool_],
    lists: NDArray[np.int32],
    labels: NDArray[np.int64],
    squares: NDArray[np.float32],
) -> None:
    """Assign each row to the nearest of its center and those listed for it. O(N m D), or O(N m).

    work    : float32 (N, D)
    centers : float32 (K, D)
    moved   : bool (K,)       whether a center has moved since the last call with these lists
    lists   : int32 (N, m)    centers that may have become the nearest
    labels  : int64 (N,)      the center of each row; replaced
    squares : float32 (N,)    squared distance to it, from the last call; replaced

    Computed from differences, not products: no precision is lost for a small cluster far away.
    A center that did not move cannot have become nearer than the row's own if that did not either.
    """
    for i in range(work.shape[0]):
        label, square = labels[i], squares[i]
        stays = not moved[label]
        if not stays:
            square = np.float32(0.0)
            for d in range(work.shape[1]):
                gap = work[i, d] - centers[label, d]
                square += gap * gap
        for j in range(lists.shape[1]):
            other = lists[i, j]
            if other == labels[i] or (stays and not moved[other]):
                continue
            found = np.float32(0.0)
            for d in range(work.shape[1]):
                gap = work[i, d] - centers[other, d]
                found += gap * gap
            if found < square:
                label, square = np.int64(other), found
        labels[i], squares[i] = label, square


@kernel
def move_rows(
    work: NDArray[np.float32],
    before: NDArray[np.int64],
    labels: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add the rows that change their cluster to its sum, and subtract them from the earlier one.

    work   : float32 (N, D)
    before : int64 (N,)     the earlier cluster of each row; -1 for none
    labels : int64 (N,)
    sums   : float64 (K, D)
    """
    for i in range(work.shape[0]):
        new, old = labels[i], before[i]
        if new == old:
            continue
        for d in range(work.shape[1]):
            sums[new, d] += work[i, d]
        if old >= 0:
            for d in range(work.shape[1]):
                sums[old, d] -= work[i, d]


@kernel
def nearest_members(
    labels: NDArray[np.int64],
    squares: NDArray[np.float64],
    keys: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> None:
    """Write the row of each cluster that is nearest to its center, ties by the lower key.

    labels  : int64 (N,)
    squares : float64 (N,)  squared distances
    keys    : int64 (N,)
    rows    : int64 (K,)    -1 at first, and for a cluster without rows
    """
    for i in range(labels.size):
        j = rows[labels[i]]
        if j < 0 or squares[i] < squares[j] or (squares[i] == squares[j] and keys[i] < keys[j]):
            rows[labels[i]] = i
