"""The slow, obvious twins of selection by gradients, in float64, and gradients of a last layer."""

import numpy as np


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def last_layer_gradients(features, labels, weight):
    """Of the cross-entropy of each row by a (C, H) weight, flattened: (n, C H)."""
    errors = softmax(features @ weight.T)
    errors[np.arange(len(labels)), labels] -= 1.0
    return (errors[:, :, None] * features[:, None, :]).reshape(len(labels), -1)


def grad_match(rows, count, ratio, *, target=None, tolerance=0.0):
    """Orthogonal matching pursuit; after each pick, weights by solving the normal equations again.

    Returns the picks, in order, and their weights.
    """
    rows = np.asarray(rows, np.float64)
    target = rows.sum(axis=0) if target is None else np.asarray(target, np.float64)
    ridge = ratio * (rows**2).sum(axis=1).mean()

    def solved(kept):
        own = rows[kept]
        return np.linalg.solve(own @ own.T + ridge * np.eye(len(kept)), own @ target)

    def objective(kept, weights):
        return ((target - weights @ rows[kept]) ** 2).sum() + ridge * (weights**2).sum()

    picks, weights = [], np.zeros(0)
    while len(picks) < count:
        gap = target - weights @ rows[picks]
        if np.linalg.norm(gap) <= tolerance * np.linalg.norm(target):
            break
        products = np.array([-np.inf if i in picks else rows[i] @ gap for i in range(len(rows))])
        best = int(np.flatnonzero(products >= products.max() - 1e-9 * abs(products.max()))[0])
        if products[best] <= 0:
            break
        kept, now = [*picks, best], np.append(weights, 0.0)
        try:
            while (goal := solved(kept)).min() <= 0:
                steps = [w / (w - g) if g <= 0 else np.inf for w, g in zip(now, goal, strict=True)]
                now = now + min(steps) * (goal - now)
                out = int(np.argmin(steps))
                kept, now = kept[:out] + kept[out + 1 :], np.delete(now, out)
        except np.linalg.LinAlgError:  # a copy, without a penalty
            break
        if objective(kept, goal) > objective(picks, weights) - 1e-12 * (target**2).sum():
            break
        picks, weights = kept, goal
    return picks, weights


def glister(rows, count, validation, rate, *, every=1, already=()):
    rows, picks = np.asarray(rows, np.float64), []
    for t in range(count):
        if t % every == 0:
            gradient = validation(-rate * rows[[*already, *picks]].sum(axis=0))
        gains = rows @ gradient
        gains[[*already, *picks]] = -np.inf
        picks.append(int(np.flatnonzero(gains >= gains.max() - 1e-12 * abs(gains.max()))[0]))
    return picks
