"""Kernels for several sources in one epoch: the source of each slot, and the sample it draws.

Callers: samplers/mixture/_table.py.

Contract, the same for every kernel in this file
    Checked   Quotas are >= 1, their sum is below 2**31, slots are ascending in [0, M), draws are
              >= 0.
    Sizes     K = sources with a quota, M = draws of the epoch, the sum of the quotas, m = slots
              asked for, n = samples of one source.
    Types     All int64: M times a quota must fit.
    Random    Keys are arguments; shuffle number i of a run has the key value(key, i).
    Memory    Seven numbers per source; one shuffle of n.
    Threads   Serial: each turn depends on the turns before.

kernel       reads                                writes               time      oracle
even_of_two  quotas (2,), counts, at, slots (m,)  codes, ranks, counts O(1) *    pair_by_floors
even_of_many quotas (K,), counts, at, slots (m,)  codes, ranks, counts O(K) *    even_by_queue
group_draws  codes (m,), ranks, ...               ends, rows, draws    O(m + K) draws_by_sorting
run_places   draws (m,), n, key                   out (m,)             O(m + n)+ places_by_pass

* for each slot visited
+ a shuffle of n for each change of shuffle between successive draws
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import value
from ._permute import shuffle


@kernel
def even_of_two(
    quotas: NDArray[np.int64],
    counts: NDArray[np.int64],
    at: int,
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    ranks: NDArray[np.int64],
) -> None:
    """Iterate over the order in which source 0 has floor(t q / M) of the first t slots.

    quotas : int64 (2,)  draws of each source in the whole order, of length M
    counts : int64 (2,)  draws of each source before slot `at`; replaced by those before the slot
                         after the last one requested
    at     : int64       first slot visited
    slots  : int64 (m,)  which slots to write, none before `at`
    codes  : int64 (m,)  filled with the source of each
    ranks  : int64 (m,)  filled with how often it was drawn before

    Any k consecutive slots, also across the end, contain floor(k q / M) or ceil(k q / M) of either
    source.
    """
    total = quotas[0] + quotas[1]
    rest = (at * quotas[0]) % total
    drawn = counts[0]  # the other source has the rest of the slots
    last = slots[slots.size - 1]
    j = 0
    for slot in range(at, last + 1):
        rest += quotas[0]
        source, rank = 1, slot - drawn
        if rest >= total:
            rest -= total
            source, rank = 0, drawn
            drawn += 1
        while j < slots.size and slots[j] == slot:
            codes[j], ranks[j] = source, rank
            j += 1
    counts[0] = drawn
    counts[1] = last + 1 - drawn


@kernel
def even_of_many(
    quotas: NDArray[np.int64],
    counts: NDArray[np.int64],
    at: int,
    slots: NDArray[np.int64],
    codes: NDArray[np.int64],
    ranks: NDArray[np.int64],
) -> None:
    """Iterate over an order in which every source has nearly t q / M of the first t slots.

    quotas : int64 (K,)  draws of each source in the whole order, of length M
    counts : int64 (K,)  as for `even_of_two`
    at     : int64
    slots  : int64 (m,)
    codes  : int64 (m,)
    ranks  : int64 (m,)

    Draw number j of a source with quota q is due in the slots floor(j M / q) to
    ceil((j + 1) M / q) - 1. Of the sources that are due, the one with the earliest last slot is
    drawn, the earlier source on a tie. All draws are then made when they are due (Baruah, Cohen,
    Plaxton, Varvel, Algorithmica 15, 1996): after any t slots every count differs by less than one
    from t q / M, and so the count in any k consecutive slots, also across the end, differs by less
    than two from k q / M.
    """
    sources = quotas.size
    total = quotas.sum()
    bits = 1
    while 1 << bits < sources:
        bits += 1
    never = np.int64(2**62)
    wholes = np.empty(sources, np.int64)  # (drawn + 1) M / q as a whole ...
    rests = np.empty(sources, np.int64)  # ... and a rest over q: where the next draw's slots end
    steps = total // quotas
    firsts = np.empty(sources, np.int64)
    lasts = np.empty(sources, np.int64)  # with the source in the lowest bits: one comparison
    for c in range(sources):
        firsts[c] = counts[c] * total // quotas[c]
        wholes[c] = (counts[c] + 1) * total // quotas[c]
        rests[c] = (counts[c] + 1) * total - wholes[c] * quotas[c]
        lasts[c] = ((wholes[c] - (rests[c] == 0)) << bits) | c
    j = 0
    for slot in range(at, slots[slots.size - 1] + 1):
        earliest = never
        for c in range(sources):  # without a branch: 3 times as fast with 100 sources
            due = lasts[c] if firsts[c] <= slot else never
            earliest = min(earliest, due)
        source = earliest & ((1 << bits) - 1)
        while j < slots.size and slots[j] == slot:
            codes[j], ranks[j] = source, counts[source]
            j += 1
        counts[source] += 1
        firsts[source] = wholes[source]
        wholes[source] += steps[source]
        rests[source] += total - steps[source] * quotas[source]
        if rests[source] >= quotas[source]:
            rests[source] -= quotas[source]
            wholes[source] += 1
        lasts[source] = ((wholes[source] - (rests[source] == 0)) << bits) | source


@kernel
def group_draws(
    codes: NDArray[np.int64],
    ranks: NDArray[np.int64],
    before: NDArray[np.int64],
    quotas: NDArray[np.int64],
    cursors: NDArray[np.int64],
    ends: NDArray[np.int64],
    rows: NDArray[np.int64],
    draws: NDArray[np.int64],
) -> None:
    """Sort slots by source, and compute the draw number of each within its source's sequence.

    codes   : int64 (m,)  source of each slot
    ranks   : int64 (m,)  how often it was drawn before, from the beginning of the order
    before  : int64 (K,)  how often each is drawn before the position at which the epoch begins
    quotas  : int64 (K,)  how often in total: the order is cyclic
    cursors : int64 (K,)  draws of each sequence taken by earlier epochs
    ends    : int64 (K,)  filled with the end of the slots of each source
    rows    : int64 (m,)  filled with the positions of slots, source after source
    draws   : int64 (m,)  filled with their draws
    """
    ends[:] = 0
    for i in range(codes.size):
        ends[codes[i]] += 1
    filled = np.int64(0)
    for c in range(ends.size):
        count = ends[c]
        ends[c] = filled
        filled += count
    for i in range(codes.size):
        c = codes[i]
        rank = ranks[i] - before[c]
        if rank < 0:
            rank += quotas[c]
        rows[ends[c]] = i
        draws[ends[c]] = cursors[c] + rank
        ends[c] += 1


@kernel
def run_places(draws: NDArray[np.int64], size: int, key: np.uint64, out: NDArray[np.int64]) -> None:
    """Find draws of an endless sequence of shuffles of range(size), size <= EXACT.

    draws : int64 (m,)  positions in the sequence; if ascending, each shuffle is made once
    out   : int64 (m,)  filled
    """
    order = np.empty(size, np.int64)
    made = np.int64(-1)
    for j in range(draws.size):
        number = draws[j] // size
        if number != made:
            shuffle(value(key, np.uint64(number)), order)
            made = number
        out[j] = order[draws[j] - number * size]
