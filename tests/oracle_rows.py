"""The slow, obvious twins of the selectors by row: dense, one row at a time, by the definition."""

import numpy as np


def leverage_by_pinv(rows, ridge=0.0):
    """a^T (A^T A + ridge I)^+ a, row by row."""
    rows = np.asarray(rows, np.float64)
    if ridge:
        inverse = np.linalg.inv(rows.T @ rows + ridge * np.eye(rows.shape[1]))
        return np.array([row @ inverse @ row for row in rows])
    return np.array(
        [row @ column for row, column in zip(rows, np.linalg.pinv(rows).T, strict=True)]
    )


def lewis_residual(rows, weights, p):
    """How far w is from the leverage of W^(1/2 - 1/p) A, relative, over rows that are not 0."""
    rows, counted = np.asarray(rows, np.float64), weights > 0
    scales = np.zeros(len(rows))
    scales[counted] = weights[counted] ** (0.5 - 1 / p)
    own = leverage_by_pinv(rows * scales[:, None])
    return np.abs(own[counted] / weights[counted] - 1).max()


def kd_by_recursion(rows, keys, axis=0):
    """The k-d order: sort by one coordinate, halve, go on with the next in each half."""

    def halve(places, axis):
        if len(places) <= 1:
            return places
        places = sorted(places, key=lambda i: (rows[i][axis], keys[i]))
        middle = (len(places) + 1) // 2
        turn = (axis + 1) % len(rows[0])
        return halve(places[:middle], turn) + halve(places[middle:], turn)

    return halve(list(range(len(rows))), axis)


def propagate_by_loops(core, weights, rows, k, classes, cut=np.inf):
    """Each row asks its nearest core rows of its class."""
    rows = np.asarray(rows, np.float64)
    found, reached = np.ones(len(rows)), np.zeros(len(rows), bool)
    for i, row in enumerate(rows):
        asked = [j for j, c in enumerate(core) if classes[c] == classes[i]]
        if not asked:
            continue
        reached[i] = True
        squares = np.array([((row - rows[core[j]]) ** 2).sum() for j in asked])
        near = np.argsort(squares, kind="stable")[:k]
        if squares[near[0]] == 0:
            votes = (squares[near] == 0).astype(float)
        else:
            votes = np.exp(-squares[near] / (2 * squares[near[-1]]))
        own = np.minimum([weights[asked[j]] for j in near], cut)
        found[i] = (votes * own).sum() / votes.sum()
    found[reached] *= reached.sum() / found[reached].sum()
    return found


def unimax_by_turns(sizes, total, cap):
    """The paper's loop: the smallest first, each takes its share of what is left or its cap."""
    left, amounts = total, [0.0] * len(sizes)
    for turn, place in enumerate(sorted(range(len(sizes)), key=lambda k: sizes[k])):
        share = left / (len(sizes) - turn)
        amounts[place] = min(share, cap * sizes[place])
        left -= amounts[place]
    return amounts, left


def shares_by_bisection(weights, total, cap):
    """min(cap, level * w) with the level at which they add up."""
    low, high = 0.0, 1.0
    while sum(min(cap, high * w) for w in weights) < total:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        below = sum(min(cap, middle * w) for w in weights) < total
        low, high = (middle, high) if below else (low, middle)
    return [min(cap, high * w) for w in weights]
