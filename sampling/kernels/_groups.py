"""Kernels for samples in groups (classes, clusters, domains): group, draw, schedule.

Callers: samplers/core/_groups.py, samplers/static/_cluster_clip.py,
samplers/batches/_classes_per_batch.py.

Contract, the same for every kernel in this file
    Checked   Codes are in [0, C), or -1 for "in no group"; no group is empty; quotas are >= 0.
    Sizes     N = samples, C = groups, n = samples of one group, M = draws of the epoch.
    Types     Codes, members and `out` may be int32 or int64; counters are int64.
    Random    Keys are arguments; group c draws by the key value(key, c).
    Memory    Scratch of up to 65,536 ints for one group; `out` comes from the caller.
    Threads   Serial. The first three work on some of the samples, so that threads can share them.

kernel           reads                              writes       time      oracle (tests/oracles.py)
count            labels (n,)                        counts       O(n)      codes_by_unique
encode           labels (n,), numbers               codes        O(n)      codes_by_unique
collect_members  codes (n,), first, cursor (C,)     out (N,)     O(n)      members_by_sorting
deal_windows     members, starts, used, quotas, key out (M,)     O(M + n)  deal_by_walking
clip_schedule    order, caps (C,), level, key       out (M,)     O(M + C)  schedule_by_walking
interleave       schedule (M,), quotas, dealt (M,)  out (M,)     O(M)      interleave_by_queues
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import below, value
from ..types import Packed
from ._permute import BLOCK, EXACT, permute, shuffle


@kernel
def count(labels: Packed, counts: NDArray[np.int64]) -> None:
    """Count each label, or code.

    labels : int (n,)              each in [-1, counts.size - 1)
    counts : int64 (largest + 2,)  increased: entry c + 1 by the number of labels c
    """
    for i in range(labels.size):
        counts[np.int64(labels[i]) + 1] += 1


@kernel
def encode(labels: Packed, numbers: NDArray[np.int32], codes: NDArray[np.int32]) -> None:
    """Replace each label by its number.

    labels  : int (n,)              each in [-1, numbers.size - 1)
    numbers : int32 (largest + 2,)  entry c + 1 is the number of label c
    codes   : int32 (n,)            filled
    """
    for i in range(labels.size):
        codes[i] = numbers[np.int64(labels[i]) + 1]


@kernel
def collect_members(codes: Packed, first: int, cursor: NDArray[np.int64], out: Packed) -> None:
    """List the samples of each group, in index order, group after group (a counting sort).

    codes  : int (n,)    the group of samples first, first + 1, ...; -1 for none
    first  : int64
    cursor : int64 (C,)  where the next sample of each group belongs in `out`; advanced
    out    : int         filled there
    """
    for i in range(codes.size):
        code = codes[i]
        if code >= 0:
            out[cursor[code]] = first + i
            cursor[code] += 1


@kernel
def deal_pass(
    members: Packed,
    key: np.uint64,
    first: int,
    scratch: NDArray[np.int64],
    out: Packed,
) -> None:
    """Write positions first, first + 1, ... of one shuffle of `members` to `out`.

    scratch : int64, of at least min(members.size, EXACT) entries
    """
    n = members.size
    if n <= EXACT:
        order = scratch[:n]
        shuffle(key, order)
        for j in range(out.size):
            out[j] = members[order[first + j]]
        return
    start = 0
    while start < out.size:
        order = scratch[: min(BLOCK, out.size - start)]
        for j in range(order.size):
            order[j] = first + start + j
        permute(key, n, order, order)
        for j in range(order.size):
            out[start + j] = members[order[j]]
        start += order.size


@kernel
def deal_windows(
    members: Packed,
    starts: NDArray[np.int64],
    used: NDArray[np.int64],
    quotas: NDArray[np.int64],
    key: np.uint64,
    out: Packed,
) -> None:
    """Draw the quota of each group from an endless sequence of shuffles of its members.

    members : int (sum n,)   samples, group after group
    starts  : int64 (C+1,)   first position of each group in `members`
    used    : int64 (C,)     draws of each sequence taken by earlier epochs
    quotas  : int64 (C,)     draws of this epoch
    out     : int (M,)       filled group after group

    Draws 0..n-1 of a sequence are one shuffle of the group, n..2n-1 another: every sample is used
    before any is repeated, and this epoch continues where the last one stopped.
    """
    largest = 1
    for c in range(quotas.size):
        largest = max(largest, starts[c + 1] - starts[c])
    scratch = np.empty(max(min(largest, EXACT), BLOCK), np.int64)
    filled = 0
    for c in range(quotas.size):
        group = members[starts[c] : starts[c + 1]]
        group_key = value(key, np.uint64(c))
        draw, left = used[c], quotas[c]
        while left > 0:
            shuffles = draw // group.size
            first = draw - shuffles * group.size
            size = min(left, group.size - first)
            pass_key = value(group_key, np.uint64(shuffles))
            deal_pass(group, pass_key, first, scratch, out[filled : filled + size])
            draw, left, filled = draw + size, left - size, filled + size


@kernel
def clip_schedule(
    order: NDArray[np.int64],
    caps: NDArray[np.int64],
    level: int,
    key: np.uint64,
    out: Packed,
) -> None:
    """Write the group of each draw: one draw of every active group per level.

    order : int64 (C,)  groups by ascending cap
    caps  : int64 (C,)  number of draws after which a group is exhausted, indexed by group
    level : int64       the level of the first draw; a group is active while level < its cap
    out   : int (M,)    filled with groups

    Each level visits the active groups in a new random order, so any stretch of draws contains the
    active groups as evenly as its length allows.
    """
    groups = order.size
    scratch = np.empty(groups, np.int64)
    filled, first_active = 0, 0
    while filled < out.size:
        while caps[order[first_active]] <= level:
            first_active += 1
        active = groups - first_active
        turn = scratch[:active]
        turn[:] = order[first_active:]
        level_key = value(key, np.uint64(level))
        for i in range(active - 1, 0, -1):
            j = np.int64(below(value(level_key, np.uint64(i)), np.uint64(i + 1)))
            turn[i], turn[j] = turn[j], turn[i]
        size = min(active, out.size - filled)
        out[filled : filled + size] = turn[:size]
        filled += size
        level += 1


@kernel
def interleave(
    schedule: NDArray[np.int64],
    quotas: NDArray[np.int64],
    dealt: Packed,
    out: Packed,
) -> None:
    """Put draws that were made group after group in the order of a schedule.

    schedule : int64 (M,)  the group of each draw
    quotas   : int64 (C,)  how often each group occurs in it
    dealt    : int (M,)    the draws of group 0, then of group 1, ...
    out      : int (M,)    filled
    """
    cursor = np.zeros(quotas.size, np.int64)
    for c in range(1, quotas.size):
        cursor[c] = cursor[c - 1] + quotas[c - 1]
    for j in range(schedule.size):
        c = schedule[j]
        out[j] = dealt[cursor[c]]
        cursor[c] += 1
