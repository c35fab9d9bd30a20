"""Kernels that turn texts into sets of character n-grams, and compare these sets.

Callers: selection/by_text/_grams.py, selection/by_text/_matches.py.

Contract, the same for every kernel in this file
    Checked   Texts are code points, of which each is below 2**21. A set is a run of ascending
              distinct numbers; buckets are -1 or numbers of `heads`.
    Sizes     n = texts, c = characters of all, g = n-grams of all sets, b = bands, k = buckets,
              p = pairs.
    Types     Code points uint32, n-grams uint64, positions int64, links int32.
    Random    None: the buckets are given.
    Memory    The caller allocates all outputs and scratch.
    Threads   Serial: the decision about a text depends on those before it.

kernel        reads                                     writes             oracle
gram_sets     points (c,), ends (n,), width ()          out (c,), counts   sets_of_grams
jaccards      one (p,), other (p,), grams, starts       out (p,)           jaccard_of_sets
join_buckets  buckets (b,n)                             roots, owners      components_by_search
match_earlier texts, buckets (b,n), settings, scratch   found, scratch     earlier_matches
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._rng import mix

ANY_EARLIER, GREEDY, COMPONENTS = 0, 1, 2

_PACKED = 3  # characters that one number can hold
_BITS = np.uint64(21)
_ONE = np.uint64(1)


@kernel
def gram_sets(
    points: NDArray[np.uint32],
    ends: NDArray[np.int64],
    width: int,
    out: NDArray[np.uint64],
    counts: NDArray[np.int64],
) -> int:
    """Write the set of n-grams of each text, one after the other; return how many numbers.

    points : uint32 (c,), code points of all texts
    ends   : int64 (n,), where each text ends
    width  : characters of an n-gram; a shorter text has one, all of it, and an empty text none
    out    : uint64 (c,), hashes of the n-grams, ascending within a text, without repeats; one to
             one for up to three characters, as `mix` is
    counts : int64 (n,), size of each set
    """
    used, start = 0, 0
    for i in range(ends.size):
        first = used
        size = ends[i] - start
        for j in range(start, start + max(min(size, 1), size - width + 1)):
            code = np.uint64(0)
            for k in range(j, min(j + width, ends[i])):
                point = np.uint64(points[k]) + _ONE  # so that no character is 0, as none is
                code = ((code << _BITS) if width <= _PACKED else mix(code)) ^ point
            out[used] = mix(code)
            used += 1
        own = out[first:used]
        own.sort()
        kept = first
        for k in range(own.size):
            if k == 0 or own[k] != out[kept - 1]:
                out[kept] = own[k]
                kept += 1
        counts[i] = kept - first
        used, start = kept, ends[i]
    return used


@kernel
def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64], floor: float) -> float:
    """Return the Jaccard similarity of two sets, or 0 if it is certain to be below `floor`."""
    both = one.size + other.size
    if both == 0:
        return 0.0
    need = floor * both / (1.0 + floor) - 1.0  # shared numbers, less one for rounding
    i, j, shared = 0, 0, 0
    while i < one.size and j < other.size:
        if shared + min(one.size - i, other.size - j) < need:
            return 0.0
        a, b = one[i], other[j]
        shared += a == b
        i += a <= b
        j += b <= a
    return shared / (both - shared)


@kernel
def jaccards(
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    grams: NDArray[np.uint64],
    starts: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Write the Jaccard similarity of each pair of sets.

    one, other : int64 (p,), numbers of the sets
    grams      : uint64 (g,)
    starts     : int64 (n + 1,), where each set starts
    out        : float64 (p,)
    """
    for p in range(one.size):
        i, j = one[p], other[p]
        out[p] = jaccard(grams[starts[i] : starts[i + 1]], grams[starts[j] : starts[j + 1]], 0.0)


@kernel
def root_of(roots: NDArray[np.int32], i: int) -> int:
    """Return the first text of the component of text i, and shorten the way to it."""
    while roots[i] != i:
        roots[i] = roots[roots[i]]
        i = roots[i]
    return i


@kernel
def join_buckets(
    buckets: NDArray[np.int32], owners: NDArray[np.int32], roots: NDArray[np.int32]
) -> None:
    """Write the first text of each component of texts that buckets connect.

    buckets : int32 (b, n), bucket of each text in each band; -1 if it is alone
    owners  : int32 (k,), -1 at first; overwritten
    roots   : int32 (n,), 0, 1, 2, ... at first
    """
    for band in range(buckets.shape[0]):
        for i in range(roots.size):
            bucket = buckets[band, i]
            if bucket >= 0 and owners[bucket] >= 0:
                one, other = root_of(roots, i), root_of(roots, owners[bucket])
                roots[max(one, other)] = min(one, other)
            elif bucket >= 0:
                owners[bucket] = i
    for i in range(roots.size):
        roots[i] = root_of(roots, i)


@kernel
def enter(
    i: int,
    buckets: NDArray[np.int32],
    heads: NDArray[np.int32],
    links: NDArray[np.int32],
    crowds: NDArray[np.int32],
    crowd: int,
) -> None:
    """Put text i at the head of the first list of its buckets, or of the second.

    crowd : how many texts with a match the first lists take; -1 for a text without one
    """
    for band in range(buckets.shape[0]):
        bucket = buckets[band, i]
        if bucket >= 0:
            turn = 0
            if crowd >= 0:
                turn = int(crowds[bucket] >= crowd)
                crowds[bucket] += 1
            links[band, i] = heads[turn, bucket]
            heads[turn, bucket] = i


@kernel
def match_earlier(  # noqa: C901, PLR0915  # one pass: what is kept decides what follows
    start: int,
    stop: int,
    buckets: NDArray[np.int32],
    texts: tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int32]],
    settings: tuple[float, int, int, int],
    scratch: tuple[
        NDArray[np.int32],
        NDArray[np.int32],
        NDArray[np.int32],
        NDArray[np.int32],
        NDArray[np.int32],
    ],
    found: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.bool_]],
    tally: NDArray[np.int64],
) -> None:
    """Compare texts with the earlier ones in their buckets, in order of rank.

    start, stop : ranks of the texts to compare; those before have been
    buckets     : int32 (b, n), bucket of each text in each band; -1 if it is alone
    texts       : n-grams, uint64 (g,); starts, int64 (n + 1,); classes, int32 (n,): texts of
                  different classes do not match
    settings    : threshold; ANY_EARLIER, GREEDY or COMPONENTS; how many of the first texts are kept
                  in any case; how many comparisons follow the first match of a text, which is also
                  how many texts of a bucket that have a match all later ones are compared with
    scratch     : heads (2, k) and links (b, n), -1 at first; crowds (k,), 0; seen (n,), -1; roots
                  (n,), 0, 1, 2, ...; int32
    found       : similarity, float64 (n,), to the most similar earlier text at or above the
                  threshold, 0 for none; its rank, int32 (n,), -1 for none; whether the text is
                  kept, bool (n,); for COMPONENTS the roots decide
    tally       : int64 (2,), to which the numbers of compared pairs, and of texts that were not
                  compared with all of their buckets, are added

    GREEDY links the kept texts of a bucket only. Otherwise a bucket has two lists. All texts are
    compared with those of the first, texts without a match in it and a number of others, but with
    only as many after a match, and with the rest, the second, only if nothing matched. So the time
    for variants of one text is linear in their number, and no text is kept that has a match.
    """
    grams, starts, classes = texts
    threshold, rule, forced, crowd = settings
    heads, links, crowds, seen, roots = scratch
    similarity, nearest, kept = found
    for i in range(start, stop):
        own = grams[starts[i] : starts[i + 1]]
        high, at, hits, after, covered, rest = 0.0, -1, 0, 0, 0, False
        for turn in range(2):
            covered = hits  # by texts that all later ones of their bucket are compared with
            for band in range(buckets.shape[0]):
                bucket = buckets[band, i]
                if bucket < 0:
                    continue
                j = heads[turn, bucket]
                if turn == 1 and hits > 0:
                    rest |= j >= 0
                    continue
                while j >= 0 and after < crowd:
                    if seen[j] != i and classes[j] == classes[i]:
                        seen[j] = i
                        tally[0] += 1
                        after += hits > 0
                        floor = threshold if rule == COMPONENTS else max(threshold, high)
                        value = jaccard(own, grams[starts[j] : starts[j + 1]], floor)
                        if value >= threshold:
                            hits += 1
                            if value > high or (value == high and j < at):
                                high, at = value, j
                            if rule == COMPONENTS:
                                a, b = root_of(roots, i), root_of(roots, j)
                                roots[max(a, b)] = min(a, b)
                    j = links[band, j]
        similarity[i], nearest[i] = high, at
        kept[i] = hits == 0 or i < forced
        tally[1] += rest or after >= crowd
        if kept[i] or rule != GREEDY:
            enter(i, buckets, heads, links, crowds, crowd if covered > 0 else -1)
