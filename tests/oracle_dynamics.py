"""The slow, obvious twins of `kernels/_dynamics.py` and of the scores made with them.

Whole histories as Python lists, one sample at a time; softmax and logarithms in exact sums.
"""

import math
import statistics

import numpy as np
from oracles import value_in_integers

# ---------------------------------------------------------------------- kernels


def bad_by_sets(indices, labels, n, classes):
    for place, (i, y) in enumerate(zip(indices.tolist(), labels.tolist(), strict=True)):
        if i not in range(n) or y not in range(classes):
            return place
    return -1


def lowered_by_sorting(logits, labels):
    """(below, margins, rows that are not finite)."""
    below, margins = np.zeros(logits.shape), np.full(len(logits), np.nan)
    for j, row in enumerate(logits.astype(np.float64).tolist()):
        ordered = sorted(row)
        if not all(map(math.isfinite, row)) or not math.isfinite(ordered[-1] - ordered[0]):
            continue
        below[j] = [z - ordered[-1] for z in row]
        own = row.pop(int(labels[j]))
        margins[j] = own - sorted(row)[-1]
    return below, margins, int(np.isnan(margins).sum())


def observed_by_softmax(logits, labels):
    """float64 (6, B): el2n, margin, p_y, loss, entropy, margin of probabilities."""
    found = []
    for row, y in zip(logits.astype(np.float64).tolist(), labels.tolist(), strict=True):
        top = max(row)
        total = math.fsum(math.exp(z - top) for z in row)
        p = [math.exp(z - top) / total for z in row]
        wrong = [p[k] for k in range(len(row)) if k != y]
        error = math.hypot(math.fsum(wrong), *wrong)
        rest = math.fsum(math.exp(z - top) for k, z in enumerate(row) if k != y)
        log_total = math.log1p(rest) if row[y] == top else math.log(total)
        entropy = math.fsum(-q * (z - top - log_total) for q, z in zip(p, row, strict=True))
        margin = row[y] - max(z for k, z in enumerate(row) if k != y)
        found.append([error, margin, p[y], log_total - (row[y] - top), entropy, p[y] - max(wrong)])
    return np.array(found).reshape(-1, 6).T


def numbers_by_counting(rows, before):
    return [before[row] + rows[: j + 1].count(row) for j, row in enumerate(rows)]


def sums_by_bincount(rows, values, n):
    return np.bincount(rows, weights=values, minlength=n)


def averages_by_powers(values, weight):
    """The weights written out: the first value keeps (1 - w)^(n-1), the others w (1 - w)^age."""
    last = len(values) - 1
    parts = [weight * (1 - weight) ** (last - j) * v for j, v in enumerate(values)]
    parts[0] = (1 - weight) ** last * values[0]
    return math.fsum(parts)


def history_by_text(margins, streaks):
    """(events, current streak, where each of `streaks` first ended) of one sample's margins."""
    text = "".join("1" if margin > 0 else "0" for margin in margins)
    reached = [text.find("1" * k) + k if "1" * k in text else 0 for k in range(1, streaks + 1)]
    return text.count("10"), len(text) - len(text.rstrip("1")), reached


def spread_by_lists(probabilities, margins):
    """(mean, sum of squared deviations, right answers) of one sample."""
    mean = statistics.fmean(probabilities)
    squares = statistics.pvariance(probabilities) * len(probabilities)
    return mean, squares, sum(margin > 0 for margin in margins)


def windows_by_slices(probabilities, width):
    """(sum of std, sum of std * (1 - mean)) over all windows of one sample."""
    found = [0.0, 0.0]
    for end in range(width, len(probabilities) + 1):
        window = [float(np.float32(p)) for p in probabilities[end - width : end]]
        std = statistics.stdev(window)
        found[0] += std
        found[1] += std * (1 - statistics.fmean(window))
    return tuple(found)


def travel_by_slices(probabilities, width, decay):
    """TDDS of one sample, as a sum over windows: probabilities (T, C) as lists."""
    steps = [[float(np.float32(p)) for p in row] for row in probabilities]
    moves = [
        math.fsum(
            b * abs(math.log(b + 1e-8) - math.log(a + 1e-8)) for a, b in zip(*pair, strict=True)
        )
        for pair in zip(steps, probabilities[1:], strict=False)
    ]
    windows = [moves[k : k + width - 1] for k in range(len(probabilities) - width + 1)]
    norms = [math.sqrt(statistics.pvariance(each) * len(each)) for each in windows]
    return math.fsum(
        decay * (1 - decay) ** (len(norms) - 1 - k) * norm for k, norm in enumerate(norms)
    )


def means_by_sums(probabilities):
    """The mean of every class over the presentations of one sample: (T, C) as lists."""
    return [statistics.fmean(column) for column in zip(*probabilities, strict=True)]


def hashes_in_integers(key, n):
    return [value_in_integers(key, i) for i in range(n)]


# ---------------------------------------------------------------------- scores


def histories(n, batches):
    """Row -> what `observed_by_softmax` says at each presentation, and all probabilities."""
    found = {i: [] for i in range(n)}
    for rows, logits, labels in batches:
        parts = np.exp(logits.astype(np.float64))
        every = parts / parts.sum(1, keepdims=True)
        for i, column, p in zip(
            rows.tolist(), observed_by_softmax(logits, labels).T, every, strict=True
        ):
            found[i].append([*column, *p])
    return found


def scores_of(history, window, ema, streaks):
    """Name -> score of one sample from its whole history, which is not empty."""
    el2n, margin, p, loss, entropy, probability_margin = np.array(history).T[:6].tolist()
    every = np.array(history)[:, 6:].tolist()
    count = len(history)
    events, _, reached = history_by_text(margin, streaks)
    stds, duals = windows_by_slices(p, window)
    windows = max(count - window + 1, 1)
    return {
        "el2n": sum(el2n) / count,
        "aum": sum(margin) / count,
        "confidence": sum(p) / count,
        "variability": statistics.pstdev(p),
        "correctness": sum(m > 0 for m in margin) / count,
        "forgetting": events if reached[0] else count,
        "first_learned": reached[0] or count + 1,
        "dyn_unc": stds / windows if count >= window else math.nan,
        "dual": duals / windows if count >= window else math.nan,
        "ema_loss": averages_by_powers(loss, ema),
        "entropy": entropy[-1],
        "margin": probability_margin[-1],
        "tdds": travel_by_slices(every, window, 0.9) if count >= window else math.nan,
    }
