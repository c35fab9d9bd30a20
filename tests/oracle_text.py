"""Slow twins of kernels/_text.py and _ngrams.py, and of `dedup_text`: strings, sets, all pairs."""

import re
import unicodedata

import numpy as np
from scipy import sparse


def same(text):
    """A text in the form of `normalize="casefold"`."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split())


def sets_of_grams(text, width=3):
    """The n-grams of a text; all of it if it is shorter, and none if it is empty."""
    if not text:
        return set()
    return {text[i : i + width] for i in range(max(1, len(text) - width + 1))}


def jaccard_of_sets(one, other):
    """Shared members as a fraction of all; 0 for two empty sets."""
    every = len(one | other)
    return len(one & other) / every if every else 0.0


def components_by_search(buckets):
    """The first text that can be reached from each text over shared buckets."""
    found = []
    for text in range(buckets.shape[1]):
        reached, grown = set(), {text}
        while grown - reached:
            reached |= grown
            shared = {bucket for each in reached for bucket in buckets[:, each] if bucket >= 0}
            grown = {each for each in range(buckets.shape[1]) if shared & {*buckets[:, each]}}
        found.append(min(reached))
    return found


def earlier_matches(sets, buckets, classes, rule, threshold, forced=0):
    """(similarity to the most similar earlier match, its number or -1, kept) of each set, in order.

    Earlier sets are those of the same class with a bucket in common; for "greedy" the kept ones.
    """
    found, edges = [], []
    for i, own in enumerate(sets):
        best = (0.0, -1)
        for j in range(i):
            together = (buckets[:, i] == buckets[:, j]) & (buckets[:, i] >= 0)
            if not together.any() or classes[i] != classes[j]:
                continue
            if rule == "greedy" and not found[j][2]:
                continue
            value = jaccard_of_sets(own, sets[j])
            if value >= threshold:
                edges.append((i, j))
                best = max(best, (value, -j)) if best[1] != -1 else (value, -j)
        hit = best[0] >= threshold
        found.append((best[0], -best[1] if hit else -1, not hit or i < forced))
    if rule != "components":
        return found
    first = list(range(len(sets)))
    for _ in sets:
        for i, j in edges:
            first[i] = first[j] = min(first[i], first[j])
    return [(value, near, first[i] == i or i < forced) for i, (value, near, _) in enumerate(found)]


def join_of_texts(texts, threshold, width=3, block=512):
    """All pairs (i < j) of normalized texts at or above a threshold, by sparse products: (p, 2)."""
    sets = [sorted(sets_of_grams(same(text), width)) for text in texts]
    names = {gram: i for i, gram in enumerate(sorted({gram for each in sets for gram in each}))}
    ends = np.cumsum([0, *map(len, sets)])
    columns = np.array([names[gram] for each in sets for gram in each], np.int32)
    ones = np.ones(columns.size, np.int32)
    matrix = sparse.csr_matrix((ones, columns, ends), shape=(len(sets), max(1, len(names))))
    sizes, pairs = np.diff(ends), []
    for start in range(0, len(sets), block):
        shared = (matrix[start : start + block] @ matrix.T).tocoo()
        i, j, count = shared.row + start, shared.col, shared.data
        value = count / (sizes[i] + sizes[j] - count)
        good = (i < j) & (value >= threshold)
        pairs.append(np.stack([i[good], j[good]]))
    return np.concatenate(pairs, axis=1).T


def kept_by_comparing(texts, order, threshold, rule, classes=None):
    """Which texts are kept, comparing all pairs in an order: bool (N,)."""
    classes = [0] * len(texts) if classes is None else list(classes)
    words = [same(text) for text in texts]
    sets = [sets_of_grams(word) for word in words]
    # of equal texts, also empty ones, the first is kept under every rule
    firsts = list({(words[row], classes[row]): row for row in reversed(order)}.values())[::-1]
    ranked = [row for row in order if row in set(firsts)]
    together = np.zeros((1, len(ranked)), int)
    found = earlier_matches(
        [sets[row] for row in ranked], together, [classes[row] for row in ranked], rule, threshold
    )
    kept = np.zeros(len(texts), bool)
    kept[[row for row, each in zip(ranked, found, strict=True) if each[2]]] = True
    return kept


def mix(word):
    """The finaliser of SplitMix64, in Python's integers."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> shift)) * factor % 2**64
    return word ^ (word >> 31)


def ngrams_by_words(text, width, modulus):
    """The bucket of every sequence of 1 to `width` tokens, and the number of tokens."""
    tokens = re.findall(r"\w+|[^\w\s]+", text)
    hashes = []
    for token in tokens:
        code = 0
        for character in token:
            code = mix(code) ^ (ord(character) + 1)
        hashes.append(mix(code))
    buckets = []
    for end in range(1, len(tokens) + 1):
        for start in range(end - 1, max(end - width, 0) - 1, -1):
            gram = 0
            for each in hashes[start:end]:
                gram = mix(gram ^ each)
            buckets.append(gram % modulus)
    return buckets, len(tokens)
