"""The slow, obvious twin of every kernel, for tests only.

Each is written the other way round where that can be done (search instead of walk, one group after
another instead of one sample after another, Python's unbounded integers instead of 64-bit words),
so that a kernel and its twin cannot share a mistake. The headers of `sampling/kernels/*.py` name
them, and `tests/house/test_kernels.py` reads those names.
"""

import heapq
import math
from collections import Counter, deque
from fractions import Fraction

import numpy as np

WORD = 2**64 - 1
HALF_WORD = 2**32 - 1

# ---------------------------------------------------------------------- sampling/_rng.py


def mix_in_integers(word):
    """SplitMix64's finaliser, with the constants of D. Stafford's variant 13."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def value_in_integers(key, counter):
    """SplitMix64 started at `key`: its output after `counter + 1` steps of the golden ratio."""
    return mix_in_integers((int(key) + (int(counter) + 1) * 0x9E3779B97F4A7C15) % 2**64)


def unit_in_integers(word):
    """The upper 53 bits as a fraction of 2**53, by a true division (which is exact here)."""
    return (word >> 11) / 2**53


def below_in_integers(word, n):
    """floor(word * n / 2**64), with the 96-bit product that the kernel cannot hold."""
    return word * n // 2**64


# ---------------------------------------------------------------------- kernels/_permute.py


def halves_by_roots(n):
    """(a, b) with a = ceil(sqrt(n)) and b = ceil(n / a)."""
    a = math.isqrt(n - 1) + 1
    return a, -(-n // a)


def _round_hash(source, round_, key, modulus):
    """MurmurHash3's finaliser with the two halves of the round key in it, scaled to `modulus`."""
    round_key = mix_in_integers((int(key) + round_ * 0x9E3779B97F4A7C15) % 2**64)
    word = ((source ^ (round_key & HALF_WORD)) * 0x85EBCA6B) & HALF_WORD
    word = ((word ^ (word >> 15) ^ (round_key >> 32)) * 0xC2B2AE35) & HALF_WORD
    return ((word ^ (word >> 16)) * modulus) >> 32


def permute_in_integers(key, n, positions, rounds=8):
    """Where each position goes: a Feistel network on Z_a x Z_b, walked until it lands below n."""
    a, b = halves_by_roots(n)
    out = []
    for position in positions:
        place = int(position)
        while True:
            left, right = divmod(place, b)
            for round_ in range(rounds):
                if round_ % 2 == 0:
                    left = (left + _round_hash(right, round_, key, a)) % a
                else:
                    right = (right + _round_hash(left, round_, key, b)) % b
            place = left * b + right
            if place < n:
                break
        out.append(place)
    return np.array(out, np.int64)


def unpermute_in_integers(key, n, places, rounds=8):
    """Which position goes to each place: the same network backwards. Its existence is the proof
    that two positions never meet.
    """
    a, b = halves_by_roots(n)
    out = []
    for place in places:
        position = int(place)
        while True:
            left, right = divmod(position, b)
            for round_ in reversed(range(rounds)):
                if round_ % 2 == 0:
                    left = (left - _round_hash(right, round_, key, a)) % a
                else:
                    right = (right - _round_hash(left, round_, key, b)) % b
            position = left * b + right
            if position < n:
                break
        out.append(position)
    return np.array(out, np.int64)


def shuffle_in_integers(key, n):
    """Fisher-Yates read backwards: each place asks through which swaps its number came. O(n^2)."""
    partner = [below_in_integers(value_in_integers(key, i), i + 1) for i in range(n)]
    out = []
    for place in range(n):
        at = place
        for i in range(1, n):  # the last swap first
            if at == i:
                at = partner[i]
            elif at == partner[i]:
                at = i
        out.append(at)
    return np.array(out, np.int64)


# ---------------------------------------------------------------------- kernels/_mixture.py


def pair_by_floors(quotas):
    """(source, earlier draws of it) of each slot: source 0 has floor(t q / M) of the first t."""
    total = sum(quotas)
    firsts = [slot * quotas[0] // total for slot in range(total + 1)]
    out = []
    for slot in range(total):
        ours = firsts[slot + 1] > firsts[slot]
        out.append((0, firsts[slot]) if ours else (1, slot - firsts[slot]))
    return out


def even_by_queue(quotas):
    """(source, earlier draws of it) of each slot: all draws wait for their first slot in one list,
    and then in a heap for the turn of the one with the earliest last slot.
    """
    total, waiting, due, out = sum(quotas), [], [], []
    for source, quota in enumerate(quotas):
        for number in range(quota):
            first = Fraction(number * total, quota)
            last = math.ceil(Fraction((number + 1) * total, quota)) - 1
            waiting.append((math.floor(first), last, source, number))
    waiting.sort(reverse=True)
    for slot in range(total):
        while waiting and waiting[-1][0] <= slot:
            heapq.heappush(due, waiting.pop()[1:])
        last, source, number = heapq.heappop(due)
        assert last >= slot, "a draw came too late"
        out.append((source, number))
    return out


def draws_by_sorting(codes, ranks, before, quotas, cursors):
    """(ends, rows, draws): slots in the order of a stable sort by source."""
    codes, ranks = np.asarray(codes, np.int64), np.asarray(ranks, np.int64)
    rows = np.argsort(codes, kind="stable")
    own = codes[rows]
    draws = cursors[own] + (ranks[rows] - before[own]) % quotas[own]
    return np.searchsorted(own, np.arange(len(quotas)), side="right"), rows, draws


def places_by_pass(draws, size, key):
    """The place of each draw in a run of shuffles, each looked up by itself."""
    out = []
    for draw in draws:
        number, place = divmod(int(draw), size)
        out.append(shuffle_in_integers(value_in_integers(key, number), size)[place])
    return np.array(out, np.int64)


# ---------------------------------------------------------------------- kernels/_draw.py


def find_by_bisection(cumulative, points):
    """The first sample whose running sum exceeds each point; at most the last that adds to it."""
    last = np.searchsorted(cumulative, cumulative[-1], side="left")
    return np.minimum(np.searchsorted(cumulative, points, side="right"), last)


def guide_by_bisection(cumulative, cells):
    """The sample under the left edge of each cell, then the last sample of positive weight."""
    edges = np.arange(cells) * (cumulative[-1] / cells)
    last = np.searchsorted(cumulative, cumulative[-1], side="left")
    return np.append(find_by_bisection(cumulative, edges), last)


def _jitters(key, slots):
    return np.array([unit_in_integers(value_in_integers(key, slot)) for slot in slots], np.float64)


def jitters_in_integers(key, slots):
    """The random number of each slot."""
    return _jitters(key, slots)


def unpacked_by_numpy(weights):
    """The running sum, unpacked."""
    return np.cumsum(weights)


def stratified_by_bisection(cumulative, key, size, slots):
    """The sample under one jittered point in each slice named by `slots`."""
    points = (np.asarray(slots, np.float64) + _jitters(key, slots)) * (cumulative[-1] / size)
    return find_by_bisection(cumulative, points)


def independent_by_bisection(cumulative, key, slots):
    """The sample under a point of its own for each slot."""
    return find_by_bisection(cumulative, _jitters(key, slots) * cumulative[-1])


def limited_by_bisection(weights, draws, most):
    """Twin of `certain_or_scaled`: the scale at which most * min(1, c w) sums to the draws."""
    weights = np.asarray(weights, float)
    low, high = 0.0, 2.0 / weights[weights > 0].min()
    for _ in range(200):
        middle = (low + high) / 2
        if (most * np.minimum(1.0, middle * weights)).sum() < draws:
            low = middle
        else:
            high = middle
    return most * np.minimum(1.0, high * weights)


def run_by_slicing(counts, order, epochs):
    """Twin of `_Run`: the draws of the run end to end, of which every E-th is an epoch."""
    run = [sample for sample in order for _ in range(counts[sample])]
    return [run[first::epochs] for first in range(epochs)]


def systematic_by_loop(weights, scale, key, offset, m):
    """Lay the probabilities end to end in the order of the key; look each point up."""
    order = permute_in_integers(key, len(weights), range(len(weights)))
    probabilities = scale * np.asarray(weights, np.float64)[order]
    certain = probabilities >= 1.0
    ends = np.cumsum(np.where(certain, 0.0, probabilities))
    taken = certain.copy()
    for k in range(m):
        under = np.searchsorted(ends, k + offset, side="right")
        if under < ends.size:
            taken[under] = True
    chosen = list(order[taken][:m])
    if len(chosen) < m:  # rounding left the last point beyond the end
        chosen.append(order[np.flatnonzero(~taken & (probabilities > 0))[-1]])
    return np.array(chosen, np.int64)


# ---------------------------------------------------------------------- kernels/_groups.py


def codes_by_unique(labels):
    """(codes (N,), counts (largest + 2,)): ranks of the labels that occur, and label histogram."""
    labels = np.asarray(labels, np.int64)
    names = np.unique(labels[labels >= 0])
    codes = np.where(labels >= 0, np.searchsorted(names, labels), -1)
    return codes, np.bincount(labels + 1)


def members_by_sorting(codes):
    """Samples ordered by (group, index), those in no group left out."""
    codes = np.asarray(codes)
    order = np.argsort(codes, kind="stable")
    return order[codes[order] >= 0]


def deal_by_walking(members, starts, used, quotas, key):
    """One draw at a time: in which shuffle of its group it lies, and at which place of it."""
    out = []
    for c, quota in enumerate(quotas):
        group = members[starts[c] : starts[c + 1]]
        group_key = value_in_integers(key, c)
        orders = {}
        for draw in range(int(used[c]), int(used[c] + quota)):
            number, place = divmod(draw, len(group))
            pass_key = value_in_integers(group_key, number)
            if len(group) > 65_536:
                out.append(group[permute_in_integers(pass_key, len(group), [place])[0]])
                continue
            if number not in orders:
                orders = {number: shuffle_in_integers(pass_key, len(group))}
            out.append(group[orders[number][place]])
    return np.array(out, np.int64)


def schedule_by_walking(order, caps, level, key, m):
    """Level after level: the groups still below their cap, shuffled."""
    out = []
    while len(out) < m:
        active = [c for c in order if caps[c] > level]
        turn = shuffle_in_integers(value_in_integers(key, level), len(active))
        out.extend(active[i] for i in turn)
        level += 1
    return np.array(out[:m], np.int64)


def interleave_by_queues(schedule, quotas, dealt):
    """A queue of draws for each group, served in the order of the schedule."""
    ends = np.cumsum(quotas)
    queues = [
        deque(dealt[end - quota : end].tolist()) for end, quota in zip(ends, quotas, strict=True)
    ]
    return np.array([queues[c].popleft() for c in schedule], np.int64)


# ---------------------------------------------------------------------- kernels/_prune.py


def summary_by_numpy(scores):
    """(how many are not NaN, their sum without any rounding but the last, the largest)."""
    seen = np.asarray(scores, np.float64)
    seen = seen[~np.isnan(seen)]
    return seen.size, math.fsum(seen), seen.max(initial=-np.inf)


def groups_by_numpy(scores, thresholds):
    """(codes (N,), counts (G,)): a score equal to a threshold belongs above it; NaN has code 1."""
    scores = np.asarray(scores, np.float64)
    groups = np.searchsorted(thresholds, scores, side="right")
    unseen = np.isnan(scores)
    counts = Counter(groups[~unseen].tolist())
    return np.where(unseen, 1, groups + 2), [counts[g] for g in range(len(thresholds) + 1)]


def thin_by_sorting(codes, quotas, key):
    """Group after group: keep the samples with the smallest hashes."""
    thinned = np.array(codes)
    for group, quota in enumerate(quotas):
        members = np.flatnonzero(thinned == group + 2).tolist()
        members.sort(key=lambda i: value_in_integers(key, i))
        thinned[members[int(quota) :]] = 0
    return thinned


def thin_by_sample(codes, first, key, low, high):
    """(codes with 128 added where excluded, kept (128,), near, hashes): one sample at a time."""
    marked, kept, near, hashes = np.array(codes), [0] * 128, [], []
    for i, code in enumerate(codes):
        hashed = value_in_integers(key, first + i)
        if hashed < int(low[code]):
            kept[code] += 1
        elif hashed <= int(high[code]):
            near.append(i)
            hashes.append(hashed)
        else:
            marked[i] += 128
    return marked, kept, near, hashes


def without_marks(codes):
    """The codes, 0 where they are marked."""
    return np.where(codes < 128, codes, 0)


def kept_by_numpy(codes):
    """The samples that are dealt, in index order."""
    return np.flatnonzero(np.asarray(codes) != 0)


def folded_in_floats(fresh, average, spread, decay):
    """Average and spread of each sample's losses, in Python's floats: two lists."""
    averages, spreads = [], []
    for loss, before, width in zip(fresh.tolist(), average.tolist(), spread.tolist(), strict=True):
        if math.isnan(loss) or math.isnan(before):
            averages.append(before if math.isnan(loss) else loss)
            spreads.append(width)
            continue
        averages.append(decay * loss + (1 - decay) * before)
        largest = (2 - 2**-23) * 2.0**127
        spreads.append(min(largest, decay * (loss - before) ** 2 + (1 - decay) * width))
    return averages, spreads


# ---------------------------------------------------------------------- kernels/_scores.py


def outside_by_numpy(indices, n):
    """The first position whose index is not in [0, n), or -1."""
    outside = np.flatnonzero((indices < 0) | (indices >= n))
    return int(outside[0]) if outside.size else -1


def update_by_loop(scores, indices, losses, ema):
    """(scores, indices written, losses skipped), in Python's float64, rounded at the end."""
    table = dict(enumerate(scores.tolist()))
    written, skipped = set(), 0
    with np.errstate(over="ignore"):  # float64 losses beyond float32 count as infinite
        losses = losses.astype(np.float32).tolist()
    for i, loss in zip(indices.tolist(), losses, strict=True):
        if not math.isfinite(loss):
            skipped += 1
            continue
        written.add(i)
        if math.isnan(table[i]) or ema == 1.0:
            table[i] = loss
        else:
            table[i] = float(np.float32(ema * loss + (1.0 - ema) * table[i]))
    return np.array(list(table.values()), np.float32), written, skipped


def counts_by_counter(counts, indices):
    """Counts, and how often each index came since: a list of ints, which no type bounds."""
    came = Counter(indices.tolist())
    return [c + came[i] for i, c in enumerate(counts.tolist())]


def means_by_dictionary(scores, ranks):
    """Scores after a merge; `ranks` holds a dict of what each wrote. Sums in Python's floats."""
    written = {}
    for rank in ranks:
        for row, value in rank.items():
            written.setdefault(row, []).append(float(np.float32(value)))
    means = {row: sum(values) / len(values) for row, values in written.items()}
    return np.array([means.get(i, score) for i, score in enumerate(scores.tolist())], np.float32)


def uniform_in_integers(key, n):
    """The upper 24 bits of each value, as a fraction of 2**24."""
    return np.array([(value_in_integers(key, i) >> 40) / 2**24 for i in range(n)], np.float32)


# ---------------------------------------------------------------------- kernels/_digest.py


def checksum_by_words(words, key):
    """The sum, in Python's integers, of each word hashed with its place."""
    places = ((key + number * 0x9E3779B97F4A7C15) % 2**64 for number in range(len(words)))
    mixed = (mix_in_integers(int(word) ^ place) for word, place in zip(words, places, strict=True))
    return (key + sum(mixed)) % 2**64


# ---------------------------------------------------------------------- kernels/_blocks.py


def trade_by_sets(one, other, key):
    """(one, other) after a trade: whose classes only one batch has are dealt out as from a hat."""
    kept = set(one) & set(other)
    hat = [c for c in one if c not in kept] + [c for c in other if c not in kept]
    half = len(hat) // 2
    for i in range(half):
        j = i + below_in_integers(value_in_integers(key, i), len(hat) - i)
        hat[i], hat[j] = hat[j], hat[i]
    mine, theirs = iter(hat[:half]), iter(hat[half:])
    return (
        [c if c in kept else next(mine) for c in one],
        [c if c in kept else next(theirs) for c in other],
    )


def mix_by_sets(batches, sweeps, key):
    """The table after all sweeps: batches in random order, the 1st with the 2nd, 3rd with 4th."""
    table = [list(batch) for batch in np.asarray(batches).tolist()]
    for sweep in range(sweeps):
        sweep_key = value_in_integers(key, sweep)
        order = shuffle_in_integers(sweep_key, len(table)).tolist()
        for pair, (i, j) in enumerate(zip(order[0::2], order[1::2], strict=False)):
            pair_key = value_in_integers(sweep_key, len(table) + pair)
            table[i], table[j] = trade_by_sets(table[i], table[j], pair_key)
    return np.array(table)


def pass_by_swapping(order, begun, block, key):
    """A shuffle in which the samples begun with leave the head for the first free places behind."""
    n = len(order)
    if n <= 65_536:
        after = shuffle_in_integers(key, n).tolist()
    else:
        after = permute_in_integers(key, n, range(n)).tolist()
    if begun == 0:
        return np.array(after, np.int64)
    taken = set(order[-begun:])
    head = block - begun
    leave = [i for i in range(head) if after[i] in taken]
    free = [i for i in range(head, n) if after[i] not in taken]
    for i, j in zip(leave, free, strict=False):
        after[i], after[j] = after[j], after[i]
    return np.array(after, np.int64)


def blocks_by_walking(members, starts, draws, block, key):
    """Class after class, shuffle after shuffle; a seam inside a block is mended."""
    out = []
    for c, wanted in enumerate(draws):
        group = members[starts[c] : starts[c + 1]]
        class_key = value_in_integers(key, c)
        order, run, number = np.arange(len(group)), [], 0
        while len(run) < wanted:
            begun = len(run) % block if len(group) >= block else 0
            pass_key = value_in_integers(class_key, number)
            order = pass_by_swapping(order.tolist(), begun, block, pass_key)
            run.extend(group[order].tolist())
            number += 1
        out.extend(run[:wanted])
    return np.array(out, np.int64)


def bands_by_bisection(lengths, ratio):
    """Where each band begins, and N: the next one is at the first sample that is too short."""
    starts, at = [], 0
    while at < len(lengths):
        starts.append(at)
        at = int(np.searchsorted(-(lengths * ratio), -lengths[at], side="right"))
    return np.array([*starts, len(lengths)])


def pack_by_counting(starts, sizes):
    """Where each batch begins, and N: a table says for each place how far a batch from it goes."""
    reach = np.repeat(sizes, np.diff(starts))
    cuts = [0]
    while cuts[-1] < len(reach):
        cuts.append(min(cuts[-1] + int(reach[cuts[-1]]), len(reach)))
    return np.array(cuts)


def loads_by_queue(lengths, most, count):
    """(loads, batch of each sample) with a priority queue of (load, batch)."""
    queue = [(0.0, batch) for batch in range(count)]
    out, loads = [], [0.0] * count
    for length in lengths.tolist():
        load, batch = heapq.heappop(queue)
        out.append(batch)
        loads[batch] = load + length
        if out.count(batch) < most:
            heapq.heappush(queue, (loads[batch], batch))
    return np.array(loads), np.array(out)


def groups_by_concatenating(members, starts, order):
    """The groups named by `order`, each whole."""
    return np.concatenate([members[starts[g] : starts[g + 1]] for g in order])


# ---------------------------------------------------------------------- selection


def keys_of_ids_by_integers(ids, key):
    """Twin of `_keys.keys_of_ids`."""
    return [value_in_integers(key, int(each) % 2**64) for each in ids]


def keys_of_words_by_integers(words, key):
    """Twin of `_keys.keys_of_words`."""
    found = []
    for row in words:
        state = int(key)
        for word in row:
            state = mix_in_integers(state ^ int(word))
        found.append(value_in_integers(state, len(row)))
    return found


def pivotal_by_duels(pi, order, key):
    """Twin of `_pivotal.pivotal_walk`: a list of the undecided, the first two of which fight."""
    drawn = {int(row): pi[row] > 0.5 for row in order if not 1e-9 < pi[row] < 1 - 1e-9}
    waiting = [(int(row), float(pi[row])) for row in order if int(row) not in drawn]
    duels = 0
    while len(waiting) > 1:
        (one, a), (two, b) = waiting[:2]
        point = unit_in_integers(value_in_integers(key, duels))
        duels += 1
        if a + b <= 1:
            winner, loser = (one, two) if point * (a + b) < a else (two, one)
            drawn[loser], left = False, a + b
        else:
            winner, loser = (two, one) if point * (2 - (a + b)) < 1 - b else (one, two)
            drawn[loser], left = True, a + b - 1
        waiting[:2] = [(winner, left)]
        if not 1e-9 < left < 1 - 1e-9:
            drawn[winner] = left > 0.5
            waiting.pop(0)
    for row, left in waiting:
        whole = min(left, 1 - left) <= 1e-6
        point = unit_in_integers(value_in_integers(key, duels))
        drawn[row] = left > 0.5 if whole else point < left
    return [drawn[row] for row in range(len(pi))]


def take_by_walking(order, costs, codes, room, total, taken):
    """Twin of `_fill.take_fitting`."""
    room, taken = list(room), list(taken)
    for row in order:
        group, cost = codes[row], costs[row]
        if taken[row] or cost > total or cost > room[group]:
            continue
        taken[row] = True
        total, room[group] = total - cost, room[group] - cost
    return total, room, taken


def water_fill_by_units(capacities, total):
    """Twin of `selection.water_fill`: one unit at a time to the lowest level that has room."""
    given = [0] * len(capacities)
    for _ in range(min(total, sum(capacities))):
        room = [g for g in range(len(given)) if given[g] < capacities[g]]
        level = min(given[g] for g in room)
        lowest = [g for g in room if given[g] == level]
        given[max(lowest, key=lambda g: (capacities[g], -g))] += 1
    return given


def inclusion_by_bisection(scores, budget):
    """Twin of `selection.inclusion_probabilities`."""
    low = 0.0
    high = 1.0
    while sum(min(1.0, high * s) for s in scores) < budget and high < 1e200:
        high *= 2
    for _ in range(400):
        middle = (low + high) / 2
        if sum(min(1.0, middle * s) for s in scores) < budget:
            low = middle
        else:
            high = middle
    return [min(1.0, high * s) for s in scores]


def keep_by_comparing(starts, earlier, similar, threshold):
    """Twin of `_dedup.keep_greedily`."""
    kept = []
    for row in range(len(starts) - 1):
        pairs = range(starts[row], starts[row + 1])
        kept.append(not any(similar[i] > threshold and kept[earlier[i]] for i in pairs))
    return kept


def semdedup_by_pairs(rows, order, threshold, rule):
    """Which rows semdedup keeps in one cluster, from all pairs: a set of row numbers."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = units @ units.T
    kept, seen = [], []
    component = {row: row for row in order}
    for row in order:
        close = [other for other in seen if cosines[row, other] > threshold]
        if rule == "greedy":
            close = [other for other in close if other in kept]
        if not close:
            kept.append(row)
        elif rule == "components":
            for other in close:
                old, new = component[other], component[row]
                component = {r: new if c == old else c for r, c in component.items()}
        seen.append(row)
    if rule == "components":
        first = {}
        for row in order:
            first.setdefault(component[row], row)
        return set(first.values())
    return set(kept)


# ---------------------------------------------------------------------- rows of clustering


def lengths_by_numpy(rows, least):
    lengths = np.array([np.linalg.norm(row.astype(np.float64)) for row in rows])
    return np.where(lengths < least, 0.0, lengths)


def placed_by_numpy(rows, lengths, shift, scale):
    out = np.zeros(rows.shape, np.float32)
    for i, length in enumerate(lengths):
        if length:
            out[i] = (rows[i].astype(np.float64) / length - shift) * scale
    return out


def squares_by_numpy(rows, lengths, centers, labels):
    found = []
    for row, length, label in zip(rows, lengths, labels, strict=True):
        gap = row.astype(np.float64) / length - centers[label] if length else None
        found.append(2.0 if gap is None else float(gap @ gap))
    return np.array(found)


def sums_by_numpy(rows, lengths, labels, count):
    out = np.zeros((count, rows.shape[1]))
    for row, length, label in zip(rows, lengths, labels, strict=True):
        if length:
            out[label] += row.astype(np.float64) / length
    return out


# ---------------------------------------------------------------------- kernels/_kmeans.py


def nearest_listed_by_sorting(work, centers, lists, labels):
    """(center, squared distance) of each row: its own center, then those of its list, sorted."""
    found = []
    for row, listed, label in zip(work, lists.tolist(), labels.tolist(), strict=True):
        ranked = [
            (math.fsum((row - centers[k]) ** 2), at, k) for at, k in enumerate([label, *listed])
        ]
        square, _, nearest = min(ranked)
        found.append((nearest, square))
    return found


def nearest_members_by_sorting(labels, squares, keys, count):
    found = [-1] * count
    for row in np.lexsort((keys, squares))[::-1].tolist():
        found[labels[row]] = row
    return found


def move_rows_by_cluster(work, before, labels, count):
    found = []
    for k in range(count):
        entered, left = (labels == k) & (before != k), (before == k) & (labels != k)
        found.append(work[entered].sum(axis=0, dtype=float) - work[left].sum(axis=0, dtype=float))
    return np.array(found)


# ---------------------------------------------------------------------- kernels/_pace.py


def front_in_integers(key, size, places, fronts):
    """The rank under a random point of slice p of `size` equal slices of range(front)."""
    found = []
    for place, front in zip(places, fronts, strict=True):
        point = int(place) * int(front) + below_in_integers(
            value_in_integers(key, place), int(front)
        )
        found.append(next(r for r in range(front) if (r + 1) * size > point))
    return found


def quotas_by_halving(shares, phases, epochs):
    """Draws of each group after 0, 1, ..., `epochs` epochs, a power of two: (epochs + 1, G).

    Every state is found by trying: of all ways to add one draw to some groups, the one that those
    furthest behind take, among numbers that both halves can still be filled from.

    shares : fractions, draws of each group in one epoch; their sum is whole
    phases : floats, by which a group counts as further behind than it is
    """
    groups, total = range(len(shares)), sum(shares)

    def rounded(at, low, high):
        exact = [at * share for share in shares]
        counts = [min(max(math.floor(exact[g]), low[g]), high[g]) for g in groups]
        while sum(counts) != at * total:
            step = 1 if sum(counts) < at * total else -1
            behind = [step * (exact[g] - counts[g]) for g in groups]
            able = [g for g in groups if low[g] <= counts[g] + step <= high[g]]
            nearer = [g for g in able if behind[g] > 0]  # after the step
            best = max(nearer, key=lambda g: behind[g] + step * phases[g], default=None)
            counts[max(able, key=behind.__getitem__) if best is None else best] += step
        return counts

    floors = [math.floor(share) for share in shares]
    most = [math.ceil(share) for share in shares]
    found = {0: [0] * len(shares)}

    def halve(first, last):
        if last - first == 1:
            return
        middle = (first + last) // 2
        left, right = middle - first, last - middle
        low = [max(found[first][g] + floors[g] * left, found[last][g] - most[g] * right)
               for g in groups]  # fmt: skip
        high = [min(found[first][g] + most[g] * left, found[last][g] - floors[g] * right)
                for g in groups]  # fmt: skip
        found[middle] = rounded(middle, low, high)
        halve(first, middle)
        halve(middle, last)

    first = 0
    for last in [1 << power for power in range(epochs.bit_length())]:
        span = last - first
        low = [found[first][g] + floors[g] * span for g in groups]
        found[last] = rounded(last, low, [found[first][g] + most[g] * span for g in groups])
        halve(first, last)
        first = last
    return [found[each] for each in range(epochs + 1)]


def nearest_by_products(later, earlier, counts, floor, highest, nearest):
    """Twin of `_dedup.refine`: highest cosines, their first rows, and the pairs above the floor."""
    highest, nearest, pairs = list(highest), list(nearest), set()
    for i, one in enumerate(later):
        for j in range(min(counts[i], len(earlier))):
            value = min(max(float(np.dot(one.astype(float), earlier[j].astype(float))), -1.0), 1.0)
            if value > floor:
                pairs.add((i, j))
            if value > highest[i] or (value == highest[i] and j < nearest[i]):
                highest[i], nearest[i] = value, j
    return highest, nearest, pairs


def drop_densities(sizes, recalls, density):
    """Algorithm 1 of DRoP, literally: the density of each class, with excess given back."""
    left, open_ = density * sum(sizes), set(range(len(sizes)))
    found = [0.0] * len(sizes)
    while left > 1e-9:
        z = sum(sizes[k] * (1 - recalls[k]) for k in open_) / left
        left = 0.0
        for k in sorted(open_):
            found[k] += (1 - recalls[k]) / z
            if found[k] > 1:
                left += sizes[k] * (found[k] - 1)
                found[k] = 1.0
                open_.discard(k)
    return found


def nearest_of_other_kinds(products, kinds, groups, other_kinds, other_groups, count):
    """The `count` columns of each row with the highest products, of another kind, in its group."""
    found = []
    for i, row in enumerate(products):
        allowed = [
            j
            for j in range(row.size)
            if kinds[i] >= 0 <= groups[i]
            and other_kinds[j] >= 0
            and other_kinds[j] != kinds[i]
            and other_groups[j] == groups[i]
        ]
        best = sorted(allowed, key=lambda j, row=row: (-row[j], j))[:count]
        found.append(best + [-1] * (count - len(best)))
    return np.array(found, np.int64).reshape(len(products), count)


def layers_by_earlier_events(first, second, shared):
    """One more than the highest layer of the earlier events that share an entity."""
    layers = []
    for i in range(len(first)):
        entities = {(0, first[i]), (0 if shared else 1, second[i])}
        entities = {each for each in entities if each[1] >= 0}
        earlier = [
            layers[j]
            for j in range(i)
            if entities & {(0, first[j]), (0 if shared else 1, second[j])}
        ]
        layers.append(1 + max(earlier, default=-1))
    return layers


def token_windows_by_walking(tokens, quotas):
    """(first, last + 1) of the draws of each epoch: those whose middle is before its end."""
    windows, draw, at, end = [], 0, 0, 0
    for quota in quotas:
        begin, end = draw, end + quota
        while at + tokens[draw] / 2 < end:
            at += tokens[draw]
            draw += 1
        windows.append((begin, draw))
    return windows
