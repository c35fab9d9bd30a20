"""Importance of texts for a target corpus, against dictionaries of n-grams."""

import hashlib
import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sampling.selection import NgramCounts, dsir_scores, gumbel, kl_reduction

RANDOM = np.random.default_rng(1)
NEWS, MATHS = [f"news{i}" for i in range(40)], [f"maths{i}" for i in range(40)]


def made(words, count, length):
    return [" ".join(each) for each in RANDOM.choice(words, (count, length))]


RAW = made(NEWS, 300, 30) + made(MATHS, 100, 30) + made(NEWS + MATHS, 100, 30)
TARGET = made(MATHS, 50, 40)


def grams(text, width=2):
    tokens = re.findall(r"\w+|[^\w\s]+", text.lower())
    found = Counter(tokens)
    for size in range(2, width + 1):
        found.update(" ".join(tokens[i : i + size]) for i in range(len(tokens) - size + 1))
    return found


def by_dictionaries(texts, target, buckets, pseudo=0.0, width=2):
    """The formulas of the card, with its hash: Python's dictionaries and integers alone."""

    def hashed(text):
        found = Counter()
        for gram, count in grams(text, width).items():
            found[int(hashlib.sha256(gram.encode()).hexdigest(), 16) % buckets] += count
        return found

    def shares(corpus, extra):
        counts = Counter()
        for text in corpus:
            counts.update(hashed(text))
        total = sum(counts.values()) + extra * buckets
        return [(counts[bucket] + extra) / total for bucket in range(buckets)]

    aim, own = shares(target, pseudo), shares(texts, 0.0)
    return [
        sum(
            count * (math.log(aim[bucket] + 1e-8) - math.log(own[bucket] + 1e-8))
            for bucket, count in hashed(text).items()
        )
        for text in texts
    ]


@pytest.mark.parametrize(("pseudo", "width"), [(0.0, 2), (0.5, 2), (0.0, 3)])
def test_scores_are_those_of_the_formulas(pseudo, width):
    texts, target = [*RAW[:20], "Odd: one, two!"], [*TARGET[:5], "ONE, two; three"]
    aim = NgramCounts(target, num_buckets=300, hashing="sha256", ngram=width)
    found = dsir_scores(texts, aim, min_tokens=0, pseudo_count=pseudo)
    expected = by_dictionaries(texts, target, 300, pseudo, width)
    assert found.values == pytest.approx(expected, rel=1e-9)
    each = [sum(grams(text, width).values()) for text in texts]
    normal = dsir_scores(texts, aim, min_tokens=0, pseudo_count=pseudo, length_normalize=True)
    assert normal.values == pytest.approx(np.array(expected) / each, rel=1e-9)


def test_a_bucket_is_sha256_modulo_their_number():
    counts = NgramCounts(["To be"], num_buckets=10_000, hashing="sha256")
    expected = Counter(
        int(hashlib.sha256(gram).hexdigest(), 16) % 10_000 for gram in (b"to", b"be", b"to be")
    )
    assert {at: counts.counts[at] for at in np.flatnonzero(counts.counts)} == expected


@pytest.mark.parametrize("hashing", ["fast", "sha256"])
def test_the_texts_of_the_target_are_found(hashing):
    aim = NgramCounts(TARGET, hashing=hashing)
    scores = dsir_scores(RAW, aim, min_tokens=10)
    picked = gumbel(scores, 100)
    assert set(picked.indices.tolist()) == set(range(300, 400))
    before, after = NgramCounts(RAW, hashing=hashing), [RAW[i] for i in picked.indices]
    assert kl_reduction(aim, before, after) > 0.5
    assert kl_reduction(aim, before, RAW[:100]) < 0.0


def test_counts_in_blocks_and_merged_are_those_of_all():
    whole, blocks, other = NgramCounts(RAW), NgramCounts(), NgramCounts(RAW[300:])
    for start in range(0, 300, 70):
        blocks.update(RAW[start : min(start + 70, 300)])
    blocks.merge(other)
    assert np.array_equal(whole.counts, blocks.counts)
    assert whole.num_texts == blocks.num_texts == 500
    once = dsir_scores(RAW, TARGET, min_tokens=0)
    parts = [
        dsir_scores(RAW[at : at + 100], TARGET, raw=whole, min_tokens=0)
        for at in range(0, 500, 100)
    ]
    assert np.array_equal(np.concatenate([each.values for each in parts]), once.values)


def test_short_and_missing_texts_have_no_score():
    texts = ["one two three", "", None, "one two"]
    with pytest.warns(UserWarning, match="3 of 4 texts have fewer than min_tokens=3 tokens"):
        scores = dsir_scores(pd.Series(texts), ["one two three"], min_tokens=3)
    assert np.isnan(scores.values).tolist() == [False, True, True, True]
    # as many as there are candidates: the released code raises here
    assert gumbel(scores, 1, on_bad="drop").indices.tolist() == [0]
    assert np.isnan(dsir_scores(texts, ["one"], min_tokens=0).values).tolist() == [
        False, True, True, False,
    ]  # fmt: skip


def test_equal_weights_draw_a_uniform_subset():
    scores = dsir_scores(["a b c"] * 8, ["a b c"], min_tokens=0)
    assert scores.values == pytest.approx(0.0)
    drawn = Counter(
        each for seed in range(400) for each in gumbel(scores, 2, seed=seed).indices.tolist()
    )
    assert max(abs(drawn[row] - 100) for row in range(8)) < 4 * 75**0.5


def test_a_pseudo_count_bounds_what_the_target_lacks():
    texts = ["maths0 maths1 unheard", "maths0 maths1 maths2"]
    hard = dsir_scores(texts, TARGET, min_tokens=0)
    soft = dsir_scores(texts, TARGET, min_tokens=0, pseudo_count=1.0)
    assert np.isfinite(hard.values).all()
    assert hard.values[0] < soft.values[0] - 10


def test_containers_of_texts_agree():
    scores = dsir_scores(RAW[:50], TARGET, min_tokens=0).values
    for other in (np.array(RAW[:50]), pd.Series(RAW[:50]), pa.array(RAW[:50])):
        assert np.array_equal(dsir_scores(other, TARGET, min_tokens=0).values, scores)


def test_the_reduction_is_the_mean_over_targets():
    one, two = NgramCounts(TARGET), NgramCounts(made(NEWS, 20, 30))
    both = kl_reduction([one, two], RAW, RAW[:300])
    each = [kl_reduction(aim, RAW, RAW[:300]) for aim in (one, two)]
    assert both == pytest.approx(np.mean(each))


def test_bad_arguments():
    with pytest.raises(ValueError, match="target must have a token at least, got none in 2 texts"):
        dsir_scores(RAW, ["", " "])
    with pytest.raises(ValueError, match="raw must have a token at least, got none in 1 texts"):
        dsir_scores([""], TARGET)
    with pytest.raises(ValueError, match="selected must have a token at least, got none in 0 tex"):
        kl_reduction(TARGET, RAW, NgramCounts())
    with pytest.raises(ValueError, match=r"raw must have the num_buckets, ngram and hashing \(10"):
        dsir_scores(RAW, TARGET, raw=NgramCounts(RAW, ngram=3))
    with pytest.raises(TypeError, match="texts must hold strings, got 3 of type int in row 1"):
        dsir_scores(["a", 3], TARGET)
    with pytest.raises(TypeError, match="target must hold one text for each row, got one text"):
        dsir_scores(RAW, "a text")
    with pytest.raises(ValueError, match=r"ngram must be in \[1, 16\), got 0"):
        NgramCounts(ngram=0)
    with pytest.raises(ValueError, match="other must have the num_buckets"):
        NgramCounts().merge(NgramCounts(num_buckets=3))
