"""Slow, obvious twins of what concerns pairs: every pair of samples is written down."""

import numpy as np

ALLOWED = {  # rule -> what a partner needs: same class, same domain; None if it does not matter
    "random": (None, None),
    "cross_class": (False, None),
    "same_class": (True, None),
    "cross_domain": (None, False),
    "same_domain": (None, True),
    "intra_label": (True, False),
    "intra_domain": (False, True),
    "cross_both": (False, False),
}


def partners_of(i, labels, domains, rule):
    """The samples that may be the partner of sample i."""
    same_class, same_domain = ALLOWED[rule]
    if domains[i] < 0:
        same_domain = None
    return [
        j
        for j in range(len(labels))
        if j != i
        and labels[j] >= 0
        and (same_class is None or (labels[i] == labels[j]) == same_class)
        and (same_domain is None or (domains[i] == domains[j]) == same_domain)
    ]


def chances(labels, domains, rule, pick="sample", on_missing="random"):
    """The chance of each sample j to be drawn as the partner of sample i: (N, N)."""
    labels = np.asarray(labels)
    domains = np.zeros_like(labels) if domains is None else np.asarray(domains)
    found = np.zeros((labels.size, labels.size))
    for i in np.flatnonzero(labels >= 0):
        allowed = partners_of(i, labels, domains, rule)
        if not allowed:
            if on_missing == "skip":
                continue
            others = partners_of(i, labels, domains, "random")
            allowed = others if on_missing == "random" and others else [i]
            found[i, allowed] = 1 / len(allowed)
            continue
        if pick == "sample":
            found[i, allowed] = 1 / len(allowed)
            continue
        classes = set(labels[allowed])
        for each in classes:
            mine = [j for j in allowed if labels[j] == each]
            found[i, mine] = 1 / len(classes) / len(mine)
    return found


def metric_of_logits(logits, slopes):
    """The sum of slopes times the soft confusion matrix of logits (C, C), of rows 1 / C."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return float((slopes * odds).sum() / len(logits))


def gain_by_a_step(slopes, logits, features, layer, share, i, j, bias=0.0):
    """How the metric changes if the layer makes a gradient step on one mixed prototype."""
    mixed = share * features[i] + (1 - share) * features[j]
    rate = 1e-6
    odds = np.exp(layer @ mixed + bias)
    odds /= odds.sum()
    step = np.outer(np.eye(len(layer))[i] - odds, mixed)  # minus the gradient of cross-entropy
    moved = logits + rate * features @ step.T
    return (metric_of_logits(moved, slopes) - metric_of_logits(logits, slopes)) / rate
