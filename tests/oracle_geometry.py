"""The slow, obvious twins of selection by geometry: everything at once, in float64."""

from itertools import combinations

import numpy as np


def squares_of(rows, others):
    rows, others = np.asarray(rows, np.float64), np.asarray(others, np.float64)
    return ((rows[:, None] - others[None]) ** 2).sum(axis=2)


# ---------------------------------------------------------------------- kernels/_greedy.py


def farthest_by_sorting(distances, keys, count):
    order = sorted(range(len(distances)), key=lambda i: (-distances[i], int(keys[i])))
    return order[:count]


def look_ahead_by_definition(rows, distances, keys, count):
    """Pick the farthest of all, as long as it is no farther down the ranking than the last was."""
    distances, picks = list(distances), []
    limit = (distances[-1], -int(keys[-1]))
    while len(picks) < count:
        rank = [(distances[i], -int(keys[i])) for i in range(len(distances))]
        best = rank.index(max(rank))
        if distances[best] <= 0 or rank[best] < limit:
            break
        picks.append(best)
        nearer = np.minimum(distances, squares_of(rows, rows[best : best + 1])[:, 0])
        distances = nearer.tolist()
        distances[best] = -1.0
        for pick in picks:
            distances[pick] = -1.0
    return picks


def nearest_by_definition(rows, centers, distances):
    return np.minimum(distances, squares_of(rows, centers).min(axis=1))


def ends_of_edges(neighbours, distances):
    """Of each row the rows that are joined to it, by an adjacency matrix: {row: distance}."""
    joined = np.full((len(neighbours), len(neighbours)), np.inf)
    for i, (rows, gaps) in enumerate(zip(neighbours, distances, strict=True)):
        for j, gap in zip(rows, gaps, strict=True):
            if j >= 0:
                joined[i, j] = joined[j, i] = gap
    return [{int(j): row[j] for j in np.flatnonzero(np.isfinite(row))} for row in joined]


def messages_of_neighbours(edges, own, unit):
    return [
        own[i] + sum(np.exp(-gap / unit) * own[j] for j, gap in ends.items())
        for i, ends in enumerate(edges)
    ]


def messages_by_scanning(edges, pull, before, values, allowed, count):
    """pull : of a distance, the fraction of a pick's value that a neighbour loses"""
    values, left, picks = np.array(values), set(allowed), []
    for t in range(len(before) + count):
        if t < len(before):
            pick = before[t]
        else:
            pick = max(left, key=lambda i: (values[i], -i))
            left.remove(pick)
            picks.append(pick)
        sent = max(values[pick], 0.0)
        for other, gap in edges[pick].items():
            values[other] -= pull(gap) * sent
    return picks, values


def gains_by_definition(values, old, new):
    wide = values.astype(np.float64)
    return (np.maximum(wide - new[:, None], 0) - np.maximum(wide - old[:, None], 0)).sum(axis=0)


def products_of_whole_numbers(rows, turned):
    return [sum(a * b for a, b in zip(row, turned.tolist(), strict=True)) for row in rows.tolist()]


def minus_distances(rows, columns):
    return -np.sqrt(squares_of(rows, columns))


def pairs_by_scanning(values, current):
    return [[i for i in range(len(current)) if row[i] > current[i]] for row in values]


def greedy_on_pairs(similarities, current, count):
    """Facility location on a matrix (n, c) whose missing similarities are -inf."""
    current, picks, gains = current.astype(np.float64).copy(), [], []
    for _ in range(count):
        gain = np.maximum(similarities - current[:, None], 0).sum(axis=0)
        gain[picks] = -1
        pick = int(gain.argmax())
        picks.append(pick)
        gains.append(gain[pick])
        current = np.maximum(current, similarities[:, pick])
    return picks, gains, current


# ---------------------------------------------------------------------- selectors


def greedy_with_weights(similarities, weights, count):
    """The row that adds most to the weighted sum of similarities to the nearest pick, each time."""
    current, picks = np.zeros(len(similarities)), []
    for _ in range(count):
        gains = (weights[:, None] * np.maximum(similarities - current[:, None], 0)).sum(axis=0)
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        current = np.maximum(current, similarities[:, picks[-1]])
    return picks


def k_center(rows, count, first):
    """Picks by definition; ties are for the caller to avoid."""
    picks = [first]
    near = squares_of(rows, rows[first : first + 1])[:, 0]
    while len(picks) < count:
        near[picks] = -1
        picks.append(int(near.argmax()))
        near = np.minimum(near, squares_of(rows, rows[picks[-1]][None])[:, 0])
    return picks, float(np.sqrt(near.max()))


def herding(rows, count, sign=1):
    """Picks by definition; with sign -1 those of the copy that takes the worst row."""
    rows = np.asarray(rows, np.float64)
    mean, picks = rows.mean(axis=0), []
    for t in range(count):
        gap = np.linalg.norm((t + 1) * mean - rows[picks].sum(axis=0) - rows, axis=1)
        gap[picks] = sign * np.inf
        picks.append(int((sign * gap).argmin()))
    return picks


def similarity(rows, metric):
    rows = np.asarray(rows, np.float64)
    if metric == "cosine":
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return (1 + unit @ unit.T) / 2
    return 2 * np.linalg.norm(rows - rows.mean(axis=0), axis=1).max() + minus_distances(rows, rows)


def graph_cut(rows, count, redundancy, *, already=(), coverage=1.0):
    """Picks by the objective itself, of all pairs; `coverage` is what a copy multiplies instead."""
    similar, picks = similarity(rows, "cosine"), []

    def objective(kept):
        return coverage * similar[:, kept].sum() - redundancy * similar[np.ix_(kept, kept)].sum()

    for _ in range(count):
        kept = [*already, *picks]
        values = np.array([
            -np.inf if j in kept else objective([*kept, j]) for j in range(len(similar))
        ])  # fmt: skip
        picks.append(int(np.flatnonzero(values >= values.max() - 1e-9)[0]))
    return picks, objective([*already, *picks])


def d2(scores, rows, count, k, gamma):
    """The card's own version, on a matrix of who is joined with whom."""
    values = (scores - scores.min()) / (scores.max() - scores.min())
    gaps = -minus_distances(rows, rows)
    np.fill_diagonal(gaps, np.inf)
    near = np.argsort(gaps, axis=1)[:, :k]
    edges = ends_of_edges(near, np.take_along_axis(gaps, near, 1))
    unit = np.median([gap for ends in edges for gap in ends.values()])
    values = messages_of_neighbours(edges, values, unit)
    rows = range(len(rows))
    return messages_by_scanning(
        edges, lambda d: np.exp(-gamma * d / unit), [], values, rows, count
    )[0]


# ---- determinantal point processes ---------------------------------------------------------------


def gaussian_kernel(rows, metric, bandwidth):
    """Similarities of all pairs, from their differences."""
    rows = np.asarray(rows, np.float64)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1)[:, None]
    return np.exp(-np.square(rows[:, None] - rows).sum(-1) / (2 * bandwidth**2))


def greedy_determinant(kernel, count, already=()):
    """The row that increases the determinant most, each time; and the factors of increase."""
    kept, gains = list(already), []
    for _ in range(count):
        before = np.linalg.det(kernel[np.ix_(kept, kept)]) if kept else 1.0
        ratios = np.full(len(kernel), -np.inf)
        for i in set(range(len(kernel))) - set(kept):
            some = [*kept, i]
            ratios[i] = np.linalg.det(kernel[np.ix_(some, some)]) / before
        kept.append(int(ratios.argmax()))
        gains.append(ratios.max())
    return kept[len(already) :], gains


def determinants(kernel, k):
    """The probability of each set of k rows under the k-DPP, by all determinants."""
    sets = combinations(range(len(kernel)), k)
    found = np.array([np.linalg.det(kernel[np.ix_(each, each)]) for each in sets])
    return found / found.sum()
