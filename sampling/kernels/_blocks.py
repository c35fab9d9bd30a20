"""Kernels for epochs made of batches: classes, blocks, batches by length, groups, events.

Callers: samplers/batches/_classes_per_batch.py, samplers/batches/_by_length.py,
samplers/batches/_group_batches.py, samplers/batches/_temporal.py.

Contract, the same for every kernel in this file
    Checked   Codes are in [0, C), no class is twice in a batch, no group is empty, sizes are >= 1.
    Sizes     N = samples, C = classes, n = samples of a class, M = draws of the epoch, S = sweeps,
              K = samples in a block, nb = batches, P = classes in a batch, G = groups or bands.
    Types     Samples, classes in batches and `out` may be int32 or int64; counters are int64.
    Random    Keys are arguments; the value number i of a key decides one thing.
    Memory    Scratch: nb + C + 4 P ints to mix, two of the largest n to draw blocks, 2 nb to level
              loads; everything else comes from the caller.
    Threads   Serial.

kernel         reads                             writes          time      oracle (tests/oracles.py)
trade          one (P,), other (P,), seen, key   one, other      O(P)      trade_by_sets
mix_batches    batches (nb,P), C, S, key         batches         O(S nb P) mix_by_sets
next_pass      order (n,), begun, K, key, held   order           O(n)      pass_by_swapping
deal_blocks    members, starts, draws, K, key    out (M,)        O(M + N)  blocks_by_walking
find_bands     lengths (N,), ratio               starts          O(N)      bands_by_bisection
pack           starts (G+1,), sizes (G,)         cuts            O(nb + G) pack_by_counting
level_loads    lengths (N,), most                loads, out (N,) N log nb  loads_by_queue
lay_groups     members (N,), starts, order       out (M,)        O(M)      groups_by_concatenating
layer_events   first (N,), second (N,)           out (N,)        O(N)      layers_by_earlier_events
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import below, value
from ..types import Packed
from ._permute import EXACT, permute, shuffle


@kernel
def trade(
    one: Packed,
    other: Packed,
    seen: NDArray[np.int64],
    mark: int,
    key: np.uint64,
    scratch: NDArray[np.int64],
) -> None:
    """Redistribute at random the classes that only one of two batches contains.

    one, other : int (P,)    classes of two batches, none twice in a batch; changed in place
    seen       : int64 (C,)  no entry is `mark` or `mark + 1`; afterwards some are
    scratch    : int64 (4 P,)

    Classes in both batches stay; any u of the 2 u others are equally likely to end in `one`.
    """
    width = one.size
    # Positions of the classes to redistribute (from `width` on in `other`), and the classes.
    places, pool = scratch[: 2 * width], scratch[2 * width :]
    for i in range(width):
        seen[one[i]] = mark
    for i in range(width):
        if seen[other[i]] == mark:
            seen[other[i]] = mark + 1
    found = 0
    for i in range(width):
        if seen[one[i]] == mark:
            places[found], pool[found] = i, one[i]
            found += 1
    half = found
    for i in range(width):
        if seen[other[i]] != mark + 1:
            places[found], pool[found] = width + i, other[i]
            found += 1
    for i in range(half):
        j = i + np.int64(below(value(key, np.uint64(i)), np.uint64(found - i)))
        pool[i], pool[j] = pool[j], pool[i]
    for i in range(half):
        one[places[i]] = pool[i]
        other[places[half + i] - width] = pool[half + i]


@kernel
def mix_batches(batches: Packed, classes: int, sweeps: int, key: np.uint64) -> None:
    """Let random pairs of batches trade classes, so that any classes may share a batch.

    batches : int (nb, P)  classes of each batch, none twice in a row; changed in place
    classes : int64        C
    sweeps  : int64        S; in each one every batch trades with one other (if nb is odd, one batch
                           does not)

    Every class keeps its number of batches and every batch its P distinct classes. The uniform
    distribution over all such tables is stationary under trades.
    Source: Strona et al., Nature Communications 5:4114 (2014), trades; Carstens et al., ESA 2018,
    all batches at once.
    """
    count, width = batches.shape
    order = np.empty(count, np.int64)
    seen = np.full(classes, -1, np.int64)
    scratch = np.empty(4 * width, np.int64)
    mark = np.int64(0)  # for a literal 0, `trade` would be compiled once more
    for sweep in range(sweeps):
        sweep_key = value(key, np.uint64(sweep))
        shuffle(sweep_key, order)  # takes the values below nb
        for pair in range(count // 2):
            pair_key = value(sweep_key, np.uint64(count + pair))
            one, other = batches[order[2 * pair]], batches[order[2 * pair + 1]]
            trade(one, other, seen, mark, pair_key, scratch)
            mark += 2


@kernel
def next_pass(
    order: NDArray[np.int64],
    begun: int,
    block: int,
    key: np.uint64,
    held: NDArray[np.int64],
    seam: int,
) -> None:
    """Reshuffle a class; samples in the unfinished block are not first in the new shuffle.

    order : int64 (n,)  the previous shuffle, unless `begun` is 0; replaced by the next one
    begun : int64       draws of the block from the end of `order`, fewer than `block` <= n
    held  : int64       scratch of n entries or more, none equal to `seam`; afterwards some are
    """
    for i in range(order.size - begun, order.size):
        held[order[i]] = seam
    if order.size <= EXACT:
        shuffle(key, order)
    else:
        for i in range(order.size):
            order[i] = i
        permute(key, order.size, order, order)
    if begun == 0:
        return
    other = block - begun
    for i in range(block - begun):
        if held[order[i]] == seam:
            while held[order[other]] == seam:
                other += 1
            order[i], order[other] = order[other], order[i]
            other += 1


@kernel
def deal_blocks(
    members: Packed,
    starts: NDArray[np.int64],
    draws: NDArray[np.int64],
    block: int,
    key: np.uint64,
    out: Packed,
) -> None:
    """Draw blocks of samples for each class from successive shuffles, none twice in a block.

    members : int (sum n,)   samples, class after class
    starts  : int64 (C+1,)   first position of each class in `members`
    draws   : int64 (C,)     number of draws of each class, a multiple of `block`
    block   : int64          K
    out     : int (M,)       filled class after class

    Draws 0..n-1 of a class are one shuffle of it, n..2n-1 another: every sample is used before any
    is repeated. If a shuffle ends inside a block, the next one begins with samples that the block
    does not contain. With n < K a block contains some samples more than once.
    """
    largest = 1
    for c in range(draws.size):
        largest = max(largest, starts[c + 1] - starts[c])
    scratch = np.empty(largest, np.int64)
    held = np.zeros(largest, np.int64)
    filled, seam = 0, 0
    for c in range(draws.size):
        order = scratch[: starts[c + 1] - starts[c]]
        class_key = value(key, np.uint64(c))
        dealt = 0
        while dealt < draws[c]:
            pass_key = value(class_key, np.uint64(dealt // order.size))
            begun = dealt % block if order.size >= block else 0
            seam += 1
            next_pass(order, begun, block, pass_key, held, seam)
            for i in range(min(order.size, draws[c] - dealt)):
                out[filled] = members[starts[c] + order[i]]
                filled += 1
            dealt += order.size


@kernel
def find_bands(lengths: NDArray[np.float64], ratio: float, starts: NDArray[np.int64]) -> int:
    """Split descending lengths into bands of samples of similar length.

    lengths : float64 (N,)  descending
    ratio   : float64       the first of a band is at most this many times as long as its last
    starts  : int64 (N+1,)  filled with the start of each band, and with N; returns their number G
    """
    count = 0
    for i in range(lengths.size):
        if count == 0 or lengths[i] * ratio < lengths[starts[count - 1]]:
            starts[count] = i
            count += 1
    starts[count] = lengths.size
    return count


@kernel
def pack(starts: NDArray[np.int64], sizes: NDArray[np.int64], cuts: NDArray[np.int64]) -> int:
    """Cut a row of samples into batches whose size is set by the first sample of each.

    starts : int64 (G+1,)  start of each band of samples in the row, from 0 to N
    sizes  : int64 (G,)    samples in a batch that begins in this band
    cuts   : int64         filled with the start of each batch, and with N; returns the number of
                           batches, at most the sum of ceil(samples / size) over the bands
    """
    band, at, count = 0, 0, 0
    end = starts[starts.size - 1]
    cuts[0] = 0
    while at < end:
        while starts[band + 1] <= at:
            band += 1
        at = min(at + sizes[band], end)
        count += 1
        cuts[count] = at
    return count


@kernel
def level_loads(
    lengths: NDArray[np.float64], most: int, loads: NDArray[np.float64], out: Packed
) -> None:
    """Assign each sample, the longest first, to the batch with the smallest load so far.

    lengths : float64 (N,)   descending
    most    : int64          maximum number of samples in a batch, at least N / nb
    loads   : float64 (nb,)  filled with the sum of each batch
    out     : int (N,)       filled with the batch of each sample; the first one on a tie

    Source: Graham, SIAM J. Appl. Math. 17 (1969), 416-429.
    """
    loads[:] = 0.0
    heap = np.arange(loads.size)  # batches that are not full, the least loaded at the top
    counts = np.zeros(loads.size, np.int64)
    size = loads.size
    for i in range(lengths.size):
        batch = heap[0]
        out[i] = batch
        loads[batch] += lengths[i]
        counts[batch] += 1
        if counts[batch] == most:
            size -= 1
            heap[0] = heap[size]
        at, moving = 0, heap[0]
        while 2 * at + 1 < size:
            child = 2 * at + 1
            other = heap[min(child + 1, size - 1)]
            if (loads[other], other) < (loads[heap[child]], heap[child]):
                child += 1
            if (loads[moving], moving) <= (loads[heap[child]], heap[child]):
                break
            heap[at] = heap[child]
            at = child
        heap[at] = moving


@kernel
def lay_groups(
    members: Packed, starts: NDArray[np.int64], order: NDArray[np.int64], out: Packed
) -> None:
    """Write whole groups, one after another in the order given.

    members : int (N,)      samples, group after group
    starts  : int64 (G+1,)  first position of each group in `members`
    order   : int64         groups, not necessarily all
    out     : int (M,)      filled
    """
    filled = 0
    for j in range(order.size):
        for i in range(starts[order[j]], starts[order[j] + 1]):
            out[filled] = members[i]
            filled += 1


@kernel
def layer_events(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    last: NDArray[np.int64],
    other_last: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Assign each event to the first batch after those of the earlier events of its entities.

    first, second    : int64 (N,)  two entities of each event; -1 for none
    last, other_last : int64       zeros, one for each entity in either role; the same array if
                                   entities have both roles
    out              : int64 (N,)  filled with the number of each event's batch

    Source: t-Batch, Kumar, Zhang, Leskovec, KDD 2019.
    """
    for i in range(first.size):
        one, other = first[i], second[i]
        layer = np.int64(0)
        if one >= 0:
            layer = max(layer, last[one])
        if other >= 0:
            layer = max(layer, other_last[other])
        out[i] = layer
        if one >= 0:
            last[one] = layer + 1
        if other >= 0:
            other_last[other] = layer + 1
