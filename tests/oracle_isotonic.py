"""Slow twins of kernels/_isotonic.py: the minimax formula, block by block, in place of pooling."""

import math


def _minimax(n, level):
    """max over a <= i of min over b >= i of the level of the block a..b, for each i."""
    return [max(min(level(a, b + 1) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


def isotonic_by_minimax(values):
    """The non-decreasing sequence nearest to `values`."""
    values = [float(each) for each in values]
    return _minimax(len(values), lambda a, b: math.fsum(values[a:b]) / (b - a))


def shares_by_minimax(logits, shares):
    """Shares spread as exp(logits), with the scale exp(logit) / share nowhere decreasing."""
    logits, shares = [float(x) for x in logits], [float(x) for x in shares]

    def scale(a, b):
        top = max(logits[a:b])
        mass = top + math.log(math.fsum(math.exp(each - top) for each in logits[a:b]))
        share = math.fsum(shares[a:b])
        return mass - math.log(share) if share > 0 else math.inf

    return [math.exp(x - s) for x, s in zip(logits, _minimax(len(logits), scale), strict=True)]
