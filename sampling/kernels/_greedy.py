"""Kernels of greedy selection: the farthest row, the row with the most messages, the largest gain.

Callers: selection/by_coverage/_k_center.py, selection/by_coverage/_greedy_coverage.py,
selection/by_coverage/_d2.py, selection/by_coverage/_geometry.py, selection/by_coverage/_herding.py.

Contract, the same for every kernel in this file
    Checked   Rows are finite; positions are in range; heaps are ordered by descending value, then
              by ascending position, and contain no position twice.
    Sizes     n = rows, D = dimensions, T = candidates, P = centers, k = neighbours, m = picks,
              b = rows of a block, w = columns of a block, L = pairs, E = ends of edges.
    Types     Rows float32; squares, gains and messages float64; positions int64, those of pairs
              int32.
    Random    None: ties go to the lower key or, without keys, to the lower position.
    Memory    The caller allocates; heaps, gains and pairs are overwritten.
    Threads   Serial: large products are computed by BLAS beforehand.

kernel        reads                             writes            oracle (tests/oracle_geometry.py)
farthest      distances (n,), keys (n,)         out (T,)          farthest_by_sorting
look_ahead    rows (T, D), distances, keys (T,) out (m,)          look_ahead_by_definition
come_nearer   rows (b, D), dots, centers (P, D) distances (b,)    nearest_by_definition
count_ends    neighbours (n, k)                 counts (n,)       ends_of_edges
fill_ends     neighbours, distances (n, k)      ends, gaps (E,)   ends_of_edges
add_messages  starts, ends, gaps (E,), own (n,) values (n,)       messages_of_neighbours
pick_messages starts, ends, pull (E,), before   values, out (m,)  messages_by_scanning
change_gains  values (b, w), old, new (b,)      gains (w,)        gains_by_definition
to_distances  rows (b, D), columns (w, D)       values (b, w)     minus_distances
gather_pairs  values (b, n), current (n,)       pairs, lengths    pairs_by_scanning
pick_gains    pairs (L,), gains (n,)            current, out (m,) greedy_on_pairs
whole_products rows (b, D), turned (D,)         out (b,)          products_of_whole_numbers
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel

Array32 = NDArray[np.float32]
Array64 = NDArray[np.float64]
Places = NDArray[np.int64]

# Duplicates seem to differ by less than this, since products round differently between blocks.
SAME = np.float32(2.0**-20)
CANCELS = 0.05  # below this fraction of |x|^2 + |y|^2 a float32 square is recomputed


@kernel
def farthest(distances: Array64, keys: NDArray[np.uint64], out: Places) -> None:
    """Find the T largest distances, the largest first, ties by the lower key. O(n + T^2 log n).

    distances : float64 (n,)
    keys      : uint64 (n,)
    out       : int64 (T,)  T <= n
    """
    size = 0
    for i in range(distances.size):
        if size == out.size:
            last = out[size - 1]
            if distances[i] < distances[last] or (
                distances[i] == distances[last] and keys[i] > keys[last]
            ):
                continue
            size -= 1
        at = size
        while at > 0:
            other = out[at - 1]
            if distances[other] > distances[i] or (
                distances[other] == distances[i] and keys[other] < keys[i]
            ):
                break
            out[at] = other
            at -= 1
        out[at] = i
        size += 1


@kernel
def look_ahead(rows: Array64, distances: Array64, keys: NDArray[np.uint64], out: Places) -> int:
    """Pick among the farthest rows, as long as no other row can be the farthest.

    rows      : float64 (T, D)  the T farthest, the farthest first
    distances : float64 (T,)    squared distances to the nearest center; reduced
    keys      : uint64 (T,)
    out       : int64 (m,)      positions among the T, in the order of the picks
    returns     how many were picked, at least 1 if the first distance is > 0

    Rows that are not candidates are no farther than the last candidate was, and only get nearer.
    """
    limit, limit_key = distances[-1], keys[-1]
    for count in range(out.size):
        best = 0
        for i in range(1, distances.size):
            if distances[i] > distances[best] or (
                distances[i] == distances[best] and keys[i] < keys[best]
            ):
                best = i
        beaten = distances[best] < limit or (distances[best] == limit and keys[best] > limit_key)
        if distances[best] <= 0.0 or beaten:
            return count
        out[count] = best
        distances[best] = -1.0
        for i in range(distances.size):
            square = 0.0
            for d in range(rows.shape[1]):
                gap = rows[i, d] - rows[best, d]
                square += gap * gap
            distances[i] = min(distances[i], square)
    return out.size


@kernel
def come_nearer(
    rows: Array32,
    factors: Array64,
    dots: Array32,
    low: Array64,
    centers: Array64,
    offsets: Array32,
    distances: Array64,
) -> None:
    """Reduce the squared distance of each row to its nearest center by P new centers.

    rows      : float32 (b, D)
    factors   : float64 (b,)    factor of each row
    dots      : float32 (b, P)  products of unscaled rows and centers, with or without an offset
    low       : float64 (b,)    half the square of a shifted row, minus the error of all this
    centers   : float64 (P, D)  already multiplied by their factors
    offsets   : float32 (P,)    half the square of a shifted center, minus the error
    distances : float64 (b,)    reduced

    A center that float32 shows to be farther than the nearest one is skipped; the squared distance
    of the others is computed from differences in float64.
    """
    for i in range(rows.shape[0]):
        floor = np.float32(low[i] - 0.5 * distances[i])
        factor = np.float32(factors[i])
        hits = 0
        for p in range(offsets.size):
            hits += dots[i, p] * factor - offsets[p] > floor
        if hits == 0:
            continue
        for p in range(offsets.size):
            if dots[i, p] * factor - offsets[p] > floor:
                square = 0.0
                for d in range(rows.shape[1]):
                    gap = rows[i, d] * factors[i] - centers[p, d]
                    square += gap * gap
                distances[i] = min(distances[i], square)


@kernel
def sift(values: Array64, heap: Places, size: int) -> None:
    """Sift the first entry of a heap down to its position.

    values : float64 (n,)
    heap   : int64 (size or more,)  the largest value first, the lower position on a tie
    """
    place = heap[0]
    value = values[place]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size:
            one, two = heap[child], heap[child + 1]
            if values[two] > values[one] or (values[two] == values[one] and two < one):
                child += 1
        other = heap[child]
        if values[other] < value or (values[other] == value and other > place):
            break
        heap[at] = other
        at = child
    heap[at] = place


@kernel
def lists(neighbours: Places, i: int, j: int) -> bool:
    """Return whether row i has row j among its neighbours.

    neighbours : int64 (n, k)  -1 for none
    """
    for column in range(neighbours.shape[1]):
        if neighbours[i, column] == j:
            return True
    return False


@kernel
def count_ends(neighbours: Places, counts: Places) -> None:
    """Count the edges of each row: rows are joined if either is among the other's neighbours.

    neighbours : int64 (n, k)  -1 for none; no row twice, nor the row itself
    counts     : int64 (n,)    filled; O(n k^2)
    """
    counts[:] = 0
    for i in range(neighbours.shape[0]):
        for column in range(neighbours.shape[1]):
            other = neighbours[i, column]
            if other >= 0:
                counts[i] += 1
                counts[other] += not lists(neighbours, other, i)


@kernel
def fill_ends(
    neighbours: Places,
    distances: Array32,
    starts: Places,
    filled: Places,
    ends: NDArray[np.int32],
    gaps: Array32,
) -> None:
    """Write the neighbouring rows along each row's edges, and their distances.

    neighbours : int64 (n, k)    -1 for none; no row twice, nor the row itself
    distances  : float32 (n, k)
    starts     : int64 (n + 1,)  first edge of each row, by the counts of `count_ends`
    filled     : int64 (n,)      zeros; overwritten
    ends, gaps : (E,)            filled
    """
    for i in range(neighbours.shape[0]):
        for column in range(neighbours.shape[1]):
            other = neighbours[i, column]
            if other < 0:
                continue
            at = starts[i] + filled[i]
            ends[at], gaps[at] = other, distances[i, column]
            filled[i] += 1
            if not lists(neighbours, other, i):
                at = starts[other] + filled[other]
                ends[at], gaps[at] = i, distances[i, column]
                filled[other] += 1


@kernel
def add_messages(
    starts: Places,
    ends: NDArray[np.int32],
    gaps: Array32,
    unit: float,
    own: Array64,
    values: Array64,
) -> None:
    """Write the value of each row plus the messages of its neighbours, exp(-distance / unit) value.

    starts     : int64 (n + 1,)
    ends, gaps : (E,)
    unit       : float64 ()
    own        : float64 (n,)
    values     : float64 (n,)  filled
    """
    for i in range(own.size):
        total = own[i]
        for at in range(starts[i], starts[i + 1]):
            total += np.exp(-np.float64(gaps[at]) / unit) * own[ends[at]]
        values[i] = total


@kernel
def pick_messages(
    starts: Places,
    ends: NDArray[np.int32],
    pull: Array32,
    before: Places,
    values: Array64,
    bounds: Array64,
    heap: Places,
    out: Places,
) -> None:
    """Pick the highest value repeatedly; each pick lowers its neighbours.

    starts : int64 (n + 1,)  first neighbour of each row
    ends   : int32 (E,)      the neighbours
    pull   : float32 (E,)    fraction of a pick's value that the neighbour loses
    before : int64 (a,)      positions that are picked beforehand, in this order
    values : float64 (n,)    reduced
    bounds : float64 (n,)    the initial values; reduced later
    heap   : int64 (c,)      positions that may be picked, by their bounds
    out    : int64 (m,)      m <= c

    Values only decrease, so a heap of old values suffices: its first is picked if up to date.
    """
    size = heap.size
    for t in range(before.size + out.size):
        if t < before.size:
            pick = before[t]
        else:
            while values[heap[0]] < bounds[heap[0]]:
                bounds[heap[0]] = values[heap[0]]
                sift(bounds, heap, size)
            pick = heap[0]
            out[t - before.size] = pick
            size -= 1
            heap[0] = heap[size]
            sift(bounds, heap, size)
        sent = max(values[pick], 0.0)  # a negative one would raise its neighbours
        for at in range(starts[pick], starts[pick + 1]):
            values[ends[at]] -= pull[at] * sent


@kernel
def change_gains(values: Array32, old: Array32, new: Array32, gains: Array64) -> None:
    """Add max(0, value - new) - max(0, value - old) to the gain of each column, up to `SAME`.

    values : float32 (b, w)  similarity of rows to columns
    old    : float32 (b,)    of each row to its pick, or infinity if it was not yet counted
    new    : float32 (b,)    >= old, or anything if that is infinite
    gains  : float64 (w,)
    """
    zero = np.float32(0.0)
    for i in range(values.shape[0]):
        before, after = old[i], new[i]
        for j in range(gains.size):
            more, less = values[i, j] - after, values[i, j] - before
            gains[j] += (more if more > SAME else zero) - (less if less > SAME else zero)


@kernel
def to_distances(
    values: Array32,
    rows: Array32,
    columns: Array32,
    row_squares: Array32,
    column_squares: Array32,
) -> None:
    """Replace products by negative distances, from differences where float32 would cancel.

    values         : float32 (b, w)  products; replaced
    rows           : float32 (b, D)
    columns        : float32 (w, D)
    row_squares    : float32 (b,)
    column_squares : float32 (w,)
    """
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            both = row_squares[i] + column_squares[j]
            square = np.float64(both - np.float32(2.0) * values[i, j])
            if square < CANCELS * both:
                square = 0.0
                for d in range(rows.shape[1]):
                    gap = np.float64(rows[i, d]) - np.float64(columns[j, d])
                    square += gap * gap
            values[i, j] = -np.sqrt(square)


@kernel
def gather_pairs(  # noqa: PLR0917  # positional as all kernels
    values: Array32,
    current: Array32,
    begin: int,
    rows: NDArray[np.int32],
    similarities: Array32,
    lengths: Places,
) -> int:
    """Append the pairs that can still gain: those more similar than a row is to its pick.

    values       : float32 (b, n)  similarity of b candidates to all rows
    current      : float32 (n,)
    begin        : int ()          number of pairs already present
    rows         : int32 (L,)      filled from `begin` on
    similarities : float32 (L,)    filled likewise
    lengths      : int64 (b,)      pairs of each candidate
    returns        number of pairs now present; -1 if there is no room
    """
    at = begin
    for j in range(values.shape[0]):
        first = at
        if at + values.shape[1] > rows.size:
            return -1
        for i in range(values.shape[1]):
            rows[at] = i
            similarities[at] = values[j, i]
            at += values[j, i] - current[i] > SAME
        lengths[j] = at - first
    return at


@kernel
def pick_gains(
    starts: Places,
    lengths: Places,
    rows: NDArray[np.int32],
    similarities: Array32,
    current: Array32,
    gains: Array64,
    heap: Places,
    out: Places,
) -> None:
    """Pick the candidate with the largest gain repeatedly: lazy greedy.

    starts, lengths    : int64 (n,)  range of each candidate's pairs; lengths shrink
    rows, similarities : (L,)        the pairs; those that cannot gain any more are removed
    current            : float32 (n,)  similarity of each row to its pick; raised
    gains              : float64 (n,)  upper bounds of the gains; those of picks become exact
    heap               : int64 (c,)  positions that may be picked, by their gains
    out                : int64 (m,)  m <= c

    Gains only decrease: if the first of the heap stays first with its current gain, it is largest.
    """
    size = heap.size
    for t in range(out.size):
        while True:
            pick = heap[0]
            gain = 0.0
            first, kept = starts[pick], starts[pick]
            for at in range(first, first + lengths[pick]):
                more = similarities[at] - current[rows[at]]
                if more > SAME:
                    gain += more
                    rows[kept], similarities[kept] = rows[at], similarities[at]
                    kept += 1
            lengths[pick] = kept - first
            gains[pick] = gain
            sift(gains, heap, size)
            if heap[0] == pick:
                break
        out[t] = pick
        for at in range(starts[pick], starts[pick] + lengths[pick]):
            current[rows[at]] = similarities[at]
        size -= 1
        heap[0] = heap[size]
        sift(gains, heap, size)


@kernel
def whole_products(
    rows: NDArray[np.int8], turned: NDArray[np.int16], out: NDArray[np.int32]
) -> None:
    """Multiply rows of whole numbers with a vector; sums in any order are equal.

    rows   : int8 (b, D)
    turned : int16 (D,)   sums of products fit into 32 bits
    out    : int32 (b,)   filled
    """
    for i in range(rows.shape[0]):
        total = np.int32(0)
        for d in range(rows.shape[1]):
            total = np.int32(total + np.int32(rows[i, d]) * np.int32(turned[d]))
        out[i] = total
