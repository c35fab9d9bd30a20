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
