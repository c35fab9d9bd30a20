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


class StampTwin:
    """Queues by class, as the method card has them; `pick(k)` chooses among k classes."""

    def __init__(self, capacity, classes, pick, *, highest=False, exact=False):
        self.capacity, self.limit, self.pick = capacity, 0.5 * math.log(classes), pick
        self.highest, self.exact = highest, exact
        self.queues = [[] for _ in range(classes)]  # of (number, entropy), the oldest first
        self.average = [0.0] * classes

    def add(self, number, chances, label, reference):
        h = entropy(chances)
        if not h < self.limit or label != reference:
            return
        if sum(map(len, self.queues)) == self.capacity:
            counts = [len(each) for each in self.queues] if self.exact else self.average
            held = [c for c, queue in enumerate(self.queues) if queue]
            most = [c for c in held if counts[c] == max(counts[k] for k in held)]
            queue = self.queues[most[self.pick(len(most))]]
            at = max(range(len(queue)), key=lambda k: queue[k][1]) if self.highest else 0
            del queue[at]
        self.queues[label].append((number, h))

    def read(self):
        """End a batch: the average of the counts is updated when the memory is read."""
        old = zip(self.average, self.queues, strict=True)
        self.average = [0.9 * mean + 0.1 * len(queue) for mean, queue in old]
        return sorted(number for queue in self.queues for number, _ in queue)


class RottaTwin:
    """One list of [number, class, entropy, age] for all classes, as the method card has it."""

    def __init__(self, capacity, classes):
        self.capacity, self.classes, self.held = capacity, classes, []

    def score(self, age, h):
        unsure = h if self.classes == 1 else h / math.log(self.classes)
        return 1 / (1 + math.exp(-age / self.capacity)) + unsure

    def add(self, number, chances, label):
        h = entropy(chances)
        if not math.isnan(h) and self.room(label, h):
            self.held.append([number, label, h, 0])
        for each in self.held:
            each[3] += 1

    def room(self, label, h):
        counts = [sum(each[1] == c for each in self.held) for c in range(self.classes)]
        if counts[label] < self.capacity / self.classes:
            if len(self.held) < self.capacity:
                return True
            rivals = [each for each in self.held if counts[each[1]] == max(counts)]
        else:
            rivals = [each for each in self.held if each[1] == label]
        worst = max(rivals, key=lambda each: self.score(each[3], each[2]))
        if not self.score(worst[3], worst[2]) > self.score(0, h):
            return False
        self.held.remove(worst)
        return True

    def weights(self):
        """The loss weight of each sample, by number."""
        ages = {each[0]: each[3] / self.capacity for each in self.held}
        return {number: math.exp(-a) / (1 + math.exp(-a)) for number, a in ages.items()}


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
