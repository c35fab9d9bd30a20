"""Kernels for epochs that are made of batches: mix classes, deal blocks, pack lengths, lay groups.

Callers: samplers/_class_blocks.py, samplers/_token_budget.py, samplers/_whole_groups.py.

Contract, the same for every kernel in this file
    Checked   Codes are in [0, C), no class is twice in a batch, no group is empty, sizes are >= 1.
    Sizes     N = samples, C = classes, n = samples of a class, M = draws of the epoch, S = sweeps,
              K = samples in a block, nb = batches, P = classes in a batch, G = groups or bands.
    Types     Samples, classes in batches and `out` may be int32 or int64; counters are int64.
    Random    Keys are arguments; the value number i of a key decides one thing.
    Memory    Scratch: nb + C + 4 P ints to mix, two of the largest n to deal, 2 nb to level; all
              else is the caller's.
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
"""

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import below, value
from ..types import Packed
from ._groups import EXACT
from ._permute import permute, shuffle


@kernel
def trade(
    one: Packed,
    other: Packed,
    seen: NDArray[np.int64],
    mark: int,
    key: np.uint64,
    scratch: NDArray[np.int64],
) -> None:
    """Deal the classes that only one of two batches holds out again, at random.

    one, other : int (P,)    classes of two batches, none twice in a batch; changed in place
    seen       : int64 (C,)  no entry is `mark` or `mark + 1`; left with some that are
    scratch    : int64 (4 P,)

    Classes that both hold stay; of the 2 u others, any u are as likely to end in `one`.
    """
    width = one.size
    # Where the classes to deal stand (places from `width` on are in `other`), and which they are.
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
    """Let batches trade classes in random pairs, so that any classes may meet.

    batches : int (nb, P)  classes of each batch, none twice in a row; changed in place
    classes : int64        C
    sweeps  : int64        S; in each one every batch trades with one other (one sits out if nb is
                           odd)

    Every class keeps its number of batches and every batch its P distinct classes. The uniform
    distribution over all such tables is the one that trades leave as it is.
    Source: Strona et al., Nature Communications 5:4114 (2014), trades; Carstens et al., ESA 2018,
    all batches at once.
    """
    count, width = batches.shape
    order = np.empty(count, np.int64)
    seen = np.full(classes, -1, np.int64)
    scratch = np.empty(4 * width, np.int64)
    mark = 0
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
    """Shuffle a class anew; what a block took from the end of one shuffle comes not first in it.

    order : int64 (n,)  the shuffle before, unless `begun` is 0; replaced by the next one
    begun : int64       draws that the block has from the end of `order`, fewer than `block` <= n
    held  : int64       scratch of n entries or more, none of them `seam`; left with some that are
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
    """Deal each class blocks of samples from a run of its shuffles, none twice in a block.

    members : int (sum n,)   samples, class after class
    starts  : int64 (C+1,)   where each class begins in `members`
    draws   : int64 (C,)     how many each class gets, a multiple of `block`
    block   : int64          K
    out     : int (M,)       filled class after class

    Draws 0..n-1 of a class are one shuffle of it, n..2n-1 another: every sample is used before any
    is repeated. Where a shuffle ends inside a block, the next one begins with samples that the
    block does not hold. With n < K a block holds some samples more than once.
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
    """Part falling lengths into bands of samples of like length.

    lengths : float64 (N,)  falling
    ratio   : float64       the first of a band is at most so many times as long as its last
    starts  : int64 (N+1,)  filled with where bands begin, and with N; returned is their number G
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
    """Cut a row of samples into batches whose size the first sample of each decides.

    starts : int64 (G+1,)  where each band of samples begins in the row, from 0 to N
    sizes  : int64 (G,)    samples in a batch that begins in this band
    cuts   : int64         filled with where batches begin, and with N; returned is the number of
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
    """Give each sample, the longest first, to the batch that has the least so far.

    lengths : float64 (N,)   falling
    most    : int64          samples that a batch can take, at least N / nb
    loads   : float64 (nb,)  filled with the sum of each batch
    out     : int (N,)       filled with the batch of each sample; of equal ones the first

    Source: Graham, SIAM J. Appl. Math. 17 (1969), 416-429.
    """
    loads[:] = 0.0
    heap = np.arange(loads.size)  # batches that can take more, the least loaded at the top
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
    """Write groups whole, one after another in the order given.

    members : int (N,)      samples, group after group
    starts  : int64 (G+1,)  where each group begins in `members`
    order   : int64         groups, not necessarily all
    out     : int (M,)      filled
    """
    filled = 0
    for j in range(order.size):
        for i in range(starts[order[j]], starts[order[j] + 1]):
            out[filled] = members[i]
            filled += 1
