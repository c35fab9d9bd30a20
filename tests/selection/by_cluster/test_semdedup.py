"""SemDeDup: the three rules, thresholds and budgets, and what is kept."""

import dataclasses

import numpy as np
import oracles
import pytest

from sampling.clustering import kmeans, second_nearest
from sampling.selection import semdedup

RANDOM = np.random.default_rng(11)
RULES = ("any_earlier", "greedy", "components")


def chain(n=300, d=8, step=0.12):
    """A random walk on the sphere: each row is close to the one before it."""
    rows = [RANDOM.normal(size=d)]
    for _ in range(n - 1):
        rows.append(rows[-1] / np.linalg.norm(rows[-1]) + step * RANDOM.normal(size=d))
    return np.array(rows)


CHAIN = chain()
BLOB = RANDOM.normal(size=(200, 6)) + 1.0


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rows", [CHAIN, BLOB], ids=["chain", "blob"])
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 0.999])
def test_rules_in_one_cluster_equal_all_pairs(rows, rule, threshold):
    quality = RANDOM.permutation(len(rows)).astype(float)
    found = semdedup(rows, threshold=threshold, quality=quality, rule=rule, clusters=1)
    expected = oracles.semdedup_by_pairs(rows, np.argsort(-quality), threshold, rule)
    assert set(found.indices.tolist()) == expected
    assert found.info["threshold"] == threshold
    assert found.info["copies"] == len(rows) - len(expected)


def test_rules_differ_on_a_chain():
    """Along a walk one pass keeps less than a sequence does, and components next to nothing."""
    kept = {
        rule: len(semdedup(CHAIN, threshold=0.9, quality=-np.arange(300.0), rule=rule, clusters=1))
        for rule in RULES
    }
    assert kept["components"] < kept["any_earlier"] < kept["greedy"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("budget", [1, 40, 150, 299, 300])
def test_budgets_find_the_threshold(rule, budget):
    found = semdedup(CHAIN, budget, rule=rule, clusters=1)
    assert len(found) == budget
    again = semdedup(CHAIN, threshold=found.info["threshold"], rule=rule, clusters=1)
    assert set(again.indices.tolist()) <= set(found.indices.tolist())
    if rule == "any_earlier":
        assert len(again) == budget


def test_the_best_of_copies_is_kept():
    base = RANDOM.normal(size=(50, 16))
    copies = np.repeat(base, 4, axis=0) + 1e-4 * RANDOM.normal(size=(200, 16))
    quality = RANDOM.normal(size=200)
    best = [4 * i + int(np.argmax(quality[4 * i : 4 * i + 4])) for i in range(50)]
    found = semdedup(copies, threshold=0.999, quality=quality, clusters=5)
    assert sorted(found.indices) == best
    dropped = int(np.setdiff1d(np.arange(200), best)[0])
    why = found.explain(dropped, copies)
    assert why.rule == "near copy of a row ranked before it"
    assert why.nearest == best[dropped // 4]


def test_hard_keeps_the_outer_and_easy_the_inner_of_two():
    rows = np.array([[1.0, 0.0], [1.0, 0.05], [1.0, 0.1]])
    hard = semdedup(rows, threshold=0.99, keep="hard", clusters=1)
    easy = semdedup(rows, threshold=0.99, keep="easy", clusters=1)
    assert len(hard) == len(easy) == 1
    assert easy.indices[0] == 1
    assert hard.indices[0] in (0, 2)


def test_classes_are_kept_apart():
    rows = np.repeat(RANDOM.normal(size=(10, 8)), 2, axis=0)
    labels = np.tile([0, 1], 10)
    assert len(semdedup(rows, threshold=0.99, clusters=2)) == 10
    assert len(semdedup(rows, threshold=0.99, labels=labels, clusters=2)) == 20
    shared = kmeans(rows, 3, spherical=True)  # whose clusters hold both classes
    assert len(semdedup(rows, threshold=0.99, clusters=shared)) == 10
    for assignments in (1, 2):
        for clusters in (shared, 4):
            found = semdedup(rows, threshold=0.99, labels=labels, clusters=clusters,
                             num_assignments=assignments)  # fmt: skip
            assert len(found) == 20


def test_clusters_made_by_hand_have_their_second_ones_found():
    rows = RANDOM.normal(size=(2000, 8))
    made = kmeans(rows, 12, spherical=True)
    by_hand = dataclasses.replace(made, seconds=None)
    one, other = (semdedup(rows, threshold=0.9, clusters=each) for each in (made, by_hand))
    assert np.array_equal(one.indices, other.indices)
    assert one.info["search"] == other.info["search"]
    moved = dataclasses.replace(by_hand, labels=(made.labels + 1) % 12)
    away = second_nearest(rows, moved, spherical=True)
    assert (away != moved.labels).all()
    other = made.labels != moved.labels  # there the nearest center is not the row's own
    assert np.array_equal(away[other], made.labels[other])
    with pytest.raises(ValueError, match="dimensions of the centers, 8, got 7"):
        second_nearest(rows[:, :7], made)
    assert second_nearest(rows, kmeans(rows, 1)).max() == -1


def test_two_assignments_find_copies_across_borders():
    base = RANDOM.normal(size=(1000, 8))
    rows = np.concatenate([base, base + 0.02 * RANDOM.normal(size=(1000, 8))])
    missed = {
        k: len(semdedup(rows, threshold=0.995, clusters=40, num_assignments=k)) - 1000
        for k in (1, 2)
    }
    assert missed[2] < 0.3 * missed[1]


@pytest.mark.parametrize("assignments", [1, 2])
def test_who_is_compared_with_whom(assignments):
    """Rows of one cluster, and rows with those of their second nearest cluster, either way."""
    rows, quality = RANDOM.normal(size=(3000, 5)), RANDOM.random(3000)
    where = kmeans(rows, 25, spherical=True)
    found = semdedup(rows, threshold=0.95, quality=quality, clusters=where,
                     num_assignments=assignments)  # fmt: skip
    first, second = where.labels, where.seconds
    compared = first[:, None] == first[None, :]
    if assignments == 2:
        compared |= (first[:, None] == second[None, :]) | (second[:, None] == first[None, :])
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    earlier = quality[None, :] > quality[:, None]
    highest = np.where(compared & earlier, units @ units.T, -1.0).max(axis=1)
    np.testing.assert_allclose(found.scores, highest, atol=1e-6)
    sure = np.abs(highest - 0.95) > 1e-6
    np.testing.assert_array_equal(found.mask()[sure], (highest <= 0.95)[sure])


def test_zero_rows_are_like_nothing_and_duplicates_go():
    rows = np.concatenate([np.zeros((3, 4)), np.ones((7, 4))])
    found = semdedup(rows, threshold=0.9, clusters=1)
    assert len(found) == 4
    assert len(semdedup(np.ones((9, 4)), threshold=0.9)) == 1


def test_given_clusters_are_used():
    rows = RANDOM.normal(size=(500, 8))
    clusters = kmeans(rows, 4, spherical=True)
    found = semdedup(rows, 400, clusters=clusters)
    assert found.info["clusters"] == 4
    with pytest.raises(
        ValueError, match="clusters must have the length of embeddings, 500, got 100"
    ):
        semdedup(rows, 400, clusters=kmeans(rows[:100], 4))


def test_what_is_kept_already_drops_its_copies():
    rows = np.repeat(RANDOM.normal(size=(10, 8)), 2, axis=0)
    found = semdedup(rows, threshold=0.99, clusters=1, already_selected=np.arange(0, 20, 2))
    assert len(found) == 0
    assert found.explain(1).rule == "near copy of a row ranked before it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either budget or threshold must be given, got neither"),
        ({"budget": 3, "threshold": 0.5}, "must be given, got both, 3 and 0.5"),
        ({"threshold": 1.5}, r"threshold must be in \[-1, 1\], got 1.5"),
        ({"threshold": 0.5, "rule": "all"}, "rule must be one of"),
        ({"threshold": 0.5, "keep": "quality"}, "quality must be given for keep='quality'"),
        ({"threshold": 0.5, "quality": [1.0]}, "quality must have the length of embeddings, 200"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        semdedup(BLOB, **arguments)
