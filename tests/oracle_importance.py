"""The slow, obvious twins of importance sampling: lists, `math`, one sample at a time."""

import math

import numpy as np


def extremes_by_sorting(scores):
    """(how many are not NaN, the least of them, the largest); infinities of none."""
    seen = sorted(float(score) for score in scores if not math.isnan(score))
    return len(seen), *((seen[0], seen[-1]) if seen else (math.inf, -math.inf))


def moments_by_fsum(scores, least):
    """Sums of g and g ** 2, without any rounding but that of the terms."""
    seen = [float(score) - least for score in scores if not math.isnan(score)]
    return math.fsum(seen), math.fsum(g * g for g in seen)


def powers_by_list(scores, least, power):
    """(g ** power, NaN where there is no score; their sum)."""
    found = [math.nan if math.isnan(s) else (float(s) - least) ** power for s in scores]
    return found, math.fsum(each for each in found if not math.isnan(each))


def relative_by_formula(powers, scale, floor):
    """N p of each sample; 1 where there is no score."""
    return [1.0 if math.isnan(each) else floor + scale * each for each in powers]


def octaves_by_frexp(scores):
    """Number of a half octave -> (how many scores, sum of their squares)."""
    found = {}
    for score in scores:
        if math.isnan(score):
            continue
        mantissa, exponent = math.frexp(float(score))  # mantissa in [0.5, 1)
        if score < 2.0**-126:  # a subnormal float32, or 0
            octave = int(score >= 2.0**-127)
        else:
            octave = 2 * (exponent + 126) + (mantissa >= 0.75)
        count, squares = found.get(octave, (0, 0.0))
        found[octave] = (count + 1, squares + float(score) ** 2)
    return found


def gain_by_definition(scores, probabilities):
    """(E_u[g^2] / E_p[(g / (N p))^2], 1 / sqrt(1 - |g - u|^2 / |g|^2)) of scores >= 0, all seen."""
    n, total = len(scores), math.fsum(scores)
    uniform = math.fsum(g * g for g in scores) / n
    pairs = list(zip(scores, probabilities, strict=True))
    weighted = math.fsum(p * (g / (n * p)) ** 2 for g, p in pairs)
    shares = [g / total for g in scores]
    apart = math.fsum((share - 1 / n) ** 2 for share in shares)
    return uniform / weighted, 1 / math.sqrt(1 - apart / math.fsum(share**2 for share in shares))


def kept_by_bisection(scores, floor, budget):
    """Keep probability of each sample for itself: clip(c x, floor, 1), least c within a budget."""
    x = np.asarray(scores, np.float64)
    low, high = 0.0, 1 / x[x > 0].min()
    for _ in range(200):
        c = (low + high) / 2
        added = (1 / np.clip(c * x, floor, 1) - 1) @ x**2
        low, high = (low, c) if added <= budget else (c, high)
    return np.clip(high * x, floor, 1)
