"""Sets of n-grams, and matches among them, against sets of Python strings."""

import numpy as np
import oracle_text as oracles
import pytest

from sampling.kernels._text import (
    ANY_EARLIER,
    COMPONENTS,
    GREEDY,
    gram_sets,
    jaccards,
    join_buckets,
    match_earlier,
)

RULES = {"any_earlier": ANY_EARLIER, "greedy": GREEDY, "components": COMPONENTS}
WORDS = ["", "a", "ab", "abc", "abcabcabc", "aaaa", "a\0b", "\0ab", "😀x", "😀x😀", "éàü", "x" * 50]


def sets_of(texts, width):
    points = np.array([ord(each) for text in texts for each in text], np.uint32)
    ends = np.cumsum([len(text) for text in texts])
    out, counts = np.empty(points.size, np.uint64), np.empty(len(texts), np.int64)
    used = gram_sets(points, ends, width, out, counts)
    assert used == counts.sum()
    return out[:used], np.concatenate([[0], np.cumsum(counts)])


def random_texts(count, seed=0):
    """Texts of few words, so that many are alike."""
    random = np.random.default_rng(seed)
    words = ["red", "green", "blue", "grey", "pink", "gold"]
    return [" ".join(random.choice(words, random.integers(3, 6))) for _ in range(count)]


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
def test_gram_sets_are_those_of_the_strings(width):
    grams, starts = sets_of(WORDS, width)
    sets = [oracles.sets_of_grams(text, width) for text in WORDS]
    assert np.diff(starts).tolist() == list(map(len, sets))
    names = {}  # one number for each n-gram, whichever text it is in
    for i, own in enumerate(sets):
        numbers = grams[starts[i] : starts[i + 1]]
        assert (np.diff(numbers.astype(object)) > 0).all()
        for gram in own:
            single, _ = sets_of([gram], width)
            assert names.setdefault(gram, int(single[0])) == int(single[0])
            assert int(single[0]) in numbers
    assert len(set(names.values())) == len(names)


def test_jaccards_of_all_pairs():
    grams, starts = sets_of(WORDS, 3)
    sets = [oracles.sets_of_grams(text) for text in WORDS]
    one, other = map(np.ravel, np.indices((len(WORDS), len(WORDS))))
    found = np.empty(one.size)
    jaccards(one, other, grams, starts, found)
    expected = [oracles.jaccard_of_sets(sets[i], sets[j]) for i, j in zip(one, other, strict=True)]
    assert found.tolist() == expected


def matched(texts, buckets, classes, rule, threshold, forced=0, crowd=256):
    grams, starts = sets_of(texts, 3)
    n, k = len(texts), int(buckets.max()) + 1
    found = (np.zeros(n), np.full(n, -1, np.int32), np.ones(n, bool))
    roots, tally = np.arange(n, dtype=np.int32), np.zeros(2, np.int64)
    scratch = (np.full((2, k), -1, np.int32), np.full(buckets.shape, -1, np.int32),
               np.zeros(k, np.int32), np.full(n, -1, np.int32), roots)  # fmt: skip
    for start in range(0, n, 17):
        stop = min(start + 17, n)
        settings = (threshold, RULES[rule], forced, crowd)
        match_earlier(
            start, stop, buckets, (grams, starts, classes), settings, scratch, found, tally
        )
    if rule == "components":
        for i in range(n):
            found[2][i] = roots[i] == i or i < forced
    return found, tally


@pytest.mark.parametrize("seed", range(4))
def test_buckets_connect_texts(seed):
    random = np.random.default_rng(seed)
    buckets = np.stack([random.integers(-8, 12, 40), random.integers(-8, 12, 40) + 12])
    buckets = np.where((buckets < 0) | (buckets - [[0], [12]] < 0), -1, buckets).astype(np.int32)
    roots = np.arange(40, dtype=np.int32)
    join_buckets(buckets, np.full(24, -1, np.int32), roots)
    assert roots.tolist() == oracles.components_by_search(buckets)
    assert 5 < np.unique(roots).size < 40


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("crowd", [256, 1, 4])
def test_match_earlier_finds_all_that_share_a_bucket(rule, crowd):
    texts = random_texts(90)
    random = np.random.default_rng(1)
    buckets = np.stack([random.integers(-1, 6, 90), random.integers(6, 20, 90)]).astype(np.int32)
    classes = random.integers(0, 2, 90).astype(np.int32)
    found, tally = matched(texts, buckets, classes, rule, 0.6, 5, crowd)
    sets = [oracles.sets_of_grams(text) for text in texts]
    expected = oracles.earlier_matches(sets, buckets, classes, rule, 0.6, forced=5)
    assert 10 < sum(not each[2] for each in expected) < 80
    assert tally[0] > 0
    if tally[1] == 0:
        assert found[0].tolist() == [each[0] for each in expected]
        assert found[1].tolist() == [each[1] for each in expected]
    if rule != "components" or tally[1] == 0:
        assert found[2].tolist() == [each[2] for each in expected]


def test_a_crowd_takes_few_comparisons_and_no_copy_is_kept():
    """Of any rule: a bucket of variants; each is compared with some of the others."""
    n, crowd = 400, 8
    texts = [f"{'the same line of every page ' * 2}{i:04d}" for i in range(n)]
    buckets, classes = np.zeros((1, n), np.int32), np.zeros(n, np.int32)
    for rule, most in (("greedy", n), ("any_earlier", n * 10), ("components", n * 10)):
        found, tally = matched(texts, buckets, classes, rule, 0.7, crowd=crowd)
        assert found[2].sum() == 1
        assert tally[0] <= most
        assert (tally[1] > 0) == (rule != "greedy")
