"""The slow, obvious twins of the weightings and filters: lists, `math`, one sample at a time."""

import math


def softmax(row):
    top = max(row)
    if not all(map(math.isfinite, row)):
        return [math.nan] * len(row)
    exps = [math.exp(each - top) for each in row]
    return [each / math.fsum(exps) for each in exps]


def entropy(chances):
    if any(math.isnan(each) for each in chances):
        return math.nan
    return -math.fsum(p * math.log(p) for p in chances if p > 0)


class EATATwin:
    def __init__(self, epsilon, limit, momentum=0.9):
        self.epsilon, self.limit, self.momentum, self.mean = epsilon, limit, momentum, None

    def select(self, logits):
        """Rows, their weights."""
        rows, weights, held = [], [], []
        for at, row in enumerate(logits):
            p = softmax(row)
            h = entropy(p)
            if not h < self.limit:
                continue
            if self.mean is not None:
                product = math.fsum(a * b for a, b in zip(p, self.mean, strict=True))
                if abs(product) / (math.hypot(*p) * math.hypot(*self.mean)) >= self.epsilon:
                    continue
            rows.append(at)
            weights.append(math.exp(self.limit - h))
            held.append(p)
        if held:
            fresh = [math.fsum(column) / len(held) for column in zip(*held, strict=True)]
            if self.mean is None:
                self.mean = fresh
            else:
                m = self.momentum
                self.mean = [m * a + (1 - m) * b for a, b in zip(self.mean, fresh, strict=True)]
        return rows, weights


def class_weights_by_formula(counts, *, power=1.0, beta=None, max_ratio=None):
    """Mean 1 over the classes that occur; 0 for others."""
    raw = {}
    for c, n in enumerate(counts):
        if n == 0:
            continue
        if beta is None or beta == "inverse":
            raw[c] = n**-power
        else:
            raw[c] = (1 - beta) / (1 - beta**n)
    if max_ratio is not None:
        least = min(raw.values())
        raw = {c: min(w, max_ratio * least) for c, w in raw.items()}
    mean = math.fsum(raw.values()) / len(raw)
    return [raw.get(c, 0.0) / mean for c in range(len(counts))]


def rebalanced_by_formula(labels, counts, alpha, beta, gamma):
    found = []
    for row in labels:
        total = math.fsum(1 / n for n, y in zip(counts, row, strict=True) if y)
        ratios = [1 / n / total if total else 0.0 for n in counts]
        found.append([alpha + 1 / (1 + math.exp(-beta * (r - gamma))) for r in ratios])
    return found


def adjusted_losses(logits, labels, counts, tau):
    total = sum(counts)
    found = []
    for row, y in zip(logits, labels, strict=True):
        shifted = [z + tau * math.log(n / total) for z, n in zip(row, counts, strict=True)]
        found.append(-math.log(softmax(shifted)[y]))
    return found


def density_weights_by_loops(targets, *, bins, smoothing, power, max_ratio):
    low, high = min(targets), max(targets)
    if low == high:
        return [1.0] * len(targets)
    places = [min(bins - 1, int((t - low) / (high - low) * bins)) for t in targets]
    counts = [places.count(b) for b in range(bins)]
    if smoothing:
        smooth = []
        for b in range(bins):
            kernel = [math.exp(-0.5 * ((b - other) / smoothing) ** 2) for other in range(bins)]
            mass = math.fsum(kernel)
            smooth.append(math.fsum(k * n for k, n in zip(kernel, counts, strict=True)) / mass)
        counts = smooth
    weights = [counts[b] ** -power for b in places]
    if max_ratio is not None:
        order = sorted(weights)
        half = len(order) // 2
        median = order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2
        weights = [min(max(w, median / max_ratio), median * max_ratio) for w in weights]
    mean = math.fsum(weights) / len(weights)
    return [w / mean for w in weights]


def transition_weights_by_loops(logits, labels, transition):
    found = []
    for row, y in zip(logits, labels, strict=True):
        f = softmax(row)
        found.append(
            f[y] / (math.fsum(t * p for t, p in zip(transition[y], f, strict=True)) + 1e-12)
        )
    return found


def group_scaling_by_loops(losses, groups, *, form, coefficient=0.5, temperature=1.0, gamma=1.0):
    means = {
        g: math.fsum(v for v, o in zip(losses, groups, strict=True) if o == g) / groups.count(g)
        for g in set(groups)
    }
    if form == "identity":
        raw = [
            math.exp(((1 - coefficient) * v + coefficient * means[g]) / temperature)
            for v, g in zip(losses, groups, strict=True)
        ]
    else:
        raw = [(means[g] / max(means.values())) ** gamma for g in groups]
    mean = math.fsum(raw) / len(raw)
    return [each / mean for each in raw]
