"""Estimates: the formulas are evaluated as they read, and are a limit before any work."""

import math

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.record import Score
from sampling.selection import (
    METHODS,
    Method,
    cluster_uniform,
    d2,
    estimate,
    facility_location,
    lewis,
    method,
    moderate,
    pivotal,
    surrogate,
    top,
)
from sampling.selection.core._cost import bytes_of, check_formula, choice, say, terms
from selection.cases import CALLS, DATA, D, N

MIB = 2**20
FIXED = 64 * MIB
VALUES = {"N": 1000.0, "D": 8.0, "M": 100.0, "K": 50.0, "C": 2.0, "k": 5.0, "I": 3.0, "S": 4.0}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("N K D + N^2 D / K", 1000 * 50 * 8 + 1000**2 * 8 / 50),
        ("4 N D + 80 N bytes", 4 * 1000 * 8 + 80 * 1000),
        ("N log^2 N", 1000 * math.log2(1000) ** 2),
        ("16 N D log N + 8 D^2", 16 * 8000 * math.log2(1000) + 8 * 64),
        ("16 D sqrt(N M)", 16 * 8 * math.sqrt(1000 * 100)),
        ("33 N + 24 N D / C bytes", 33 * 1000 + 24 * 1000 * 8 / 2),
        ("N D / K C", 1000 * 8 / (50 * 2)),
        ("12 N k", 12 * 1000 * 5),
    ],
)
def test_formulas_are_evaluated_as_they_read(formula, value):
    assert sum(amount for _, amount in terms(formula, VALUES)) == pytest.approx(value)


def test_terms_are_named_as_they_are_written():
    assert [name for name, _ in terms("4 N D + N^2 D / K bytes", VALUES)] == ["4 N D", "N^2 D / K"]


def test_a_part_applies_where_its_argument_is_given():
    text = "4 N D + P bytes, or 9 N k bytes with num_neighbours"
    assert choice(text, {}) == "4 N D + P bytes"
    assert choice(text, {"num_neighbours": None}) == "4 N D + P bytes"
    assert choice(text, {"num_neighbours": np.array([3])}) == "9 N k bytes"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("N D^2 a step", "'a' is not understood"),
        ("N + blocks", "'b' is not understood"),
        ("N, 3 N", "', 3 N' is not understood"),
        ("N /", "a factor is missing"),
        ("sqrt(N M", "a bracket is not closed"),
        ("N^x", "a power is missing"),
        ("N / K / D", "'/ D' is not understood"),
        ("", "a factor is missing"),
    ],
)
def test_other_texts_are_refused_when_a_method_is_listed(text, reason):
    with pytest.raises(ValueError, match="time of x must be a formula of N, D, M, .*" + reason):
        check_formula("time of x", text)
    listed = dict(METHODS)
    with pytest.raises(ValueError, match="memory of mine must be a formula"):

        @method(needs="scores", label="baseline", ranked=True, time="N", memory=text)
        def mine(scores, budget):
            return None

    assert listed == METHODS


def test_every_formula_of_the_list_can_be_evaluated():
    for name, entry in METHODS.items():
        assert isinstance(entry, Method)
        small, large = (estimate(name, n, 64, budget=0.1) for n in (10**4, 10**7))
        assert FIXED < small.memory < large.memory
        assert 0 < small.seconds < large.seconds


def test_the_numbers_of_an_estimate():
    found = estimate("top", 10**6, budget=0.1)
    assert found.memory == FIXED + 41 * 10**6
    assert found.sizes["M"] == 10**5
    assert estimate("top", 10**6, budget=77).sizes["M"] == 77
    assert estimate("top", 10**6).sizes["M"] == 10**6
    assert estimate("kmq", 10**6, 8).sizes["K"] == round(math.sqrt(5e5))
    made, given = estimate("kmq", 10**6, 8, clusters=30), kmeans(DATA.embeddings, 4)
    assert (made.sizes["K"], made.sizes["I"]) == (30, 26)
    ready = estimate("kmq", 10**6, 8, clusters=given)
    assert (ready.sizes["K"], ready.sizes["I"]) == (4, 0)
    assert ready.seconds < made.seconds
    assert estimate("d2", 10**6, 8).sizes["k"] == 10
    assert estimate("d2", 10**6, 8, num_neighbours=3).sizes["k"] == 3
    assert estimate("lewis", 10**6, 8, max_iter=7).sizes["S"] == 7
    assert estimate("moderate", 10**6, 8, classes=10).memory < estimate("moderate", 10**6, 8).memory


def test_wrong_arguments_of_estimate_are_refused():
    with pytest.raises(ValueError, match="method must be one of .*beta.*, got 'best'"):
        estimate("best", 10)
    with pytest.raises(ValueError, match="dimensions must be given for kmq"):
        estimate("kmq", 10)
    with pytest.raises(ValueError, match="size must be >= 1, got 0"):
        estimate("top", 0)
    with pytest.raises(TypeError, match="top has no argument 'clusters'"):
        estimate("top", 10, clusters=3)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_selection_says_what_was_estimated_and_a_limit_refuses(name):
    found = CALLS[name](DATA, 60)
    need = found.info["estimate"]["memory"]
    assert need > FIXED
    assert found.info["estimate"]["seconds"] > 0
    again = CALLS[name](DATA, 60, max_memory=need)
    assert np.array_equal(again.indices, found.indices)
    if name == "facility_location":  # takes what there is
        least = CALLS[name](DATA, 60, max_memory=1)
        assert set(least.indices.tolist()) == set(found.indices.tolist())
        return
    message = f"max_memory must be at least .*, the estimate for {name} .*, got 1 MiB"
    with pytest.raises(ValueError, match=message):
        CALLS[name](DATA, 60, max_memory="1 MiB")


def test_nothing_is_done_before_a_refusal():
    bad = np.full((50, 4), np.nan)
    with pytest.raises(ValueError, match=r"for N=50, R=512, and 64 MiB\), got 1 KiB; .*fewer rows"):
        cluster_uniform(bad, 5, max_memory=1024)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        cluster_uniform(bad, 5, max_memory="1GiB")


def test_what_is_wrong_with_the_arguments_is_said_by_the_method():
    with pytest.raises(ValueError, match="scores must not be empty"):
        top([], 1, max_memory="1GiB")
    with pytest.raises(TypeError, match="budget"):
        top([1.0])
    with pytest.raises(ValueError, match="embeddings must have shape"):
        cluster_uniform([1.0, 2.0], 1)


def test_sizes_come_from_any_kind_of_data():
    rows = DATA.embeddings.tolist()
    need = FIXED + 4 * N * D + 100 * N
    assert cluster_uniform(rows, 9, clusters=1).info["estimate"]["memory"] == need
    assert top(Score(DATA.scores, "keep"), 9).info["estimate"]["memory"] == FIXED + 41 * N
    assert top(DATA.scores.tolist(), 9).info["estimate"]["memory"] == FIXED + 41 * N
    found = d2(DATA.scores, 9, embeddings=DATA.embeddings, num_neighbours=4)
    assert found.info["estimate"]["memory"] == FIXED + 4 * N * D + 100 * N + 28 * N * 4
    plain, spread = pivotal(DATA.scores + 1, 9), pivotal(DATA.scores + 1, 9, embeddings=rows)
    assert plain.info["estimate"]["memory"] < spread.info["estimate"]["memory"]
    classes = np.unique(DATA.labels).size
    found = moderate(DATA.embeddings, 9, labels=DATA.labels)
    assert found.info["estimate"]["memory"] == FIXED + math.ceil(33 * N + 24 * N * D / classes)
    assert surrogate(np.full((9, 2), 0.5), 3).info["estimate"]["memory"] == FIXED + 92 * 9


def test_the_path_taken_is_reported():
    rows = DATA.embeddings
    assert facility_location(rows, 9).info["path"] == "all pairs, in blocks"
    assert facility_location(rows, 9, num_neighbours=3).info["path"] == "neighbour graph"
    flat = np.concatenate([rows, rows[:, :1] * (1 + 1e-9)], axis=1).astype(np.float64)
    for name in ("leverage", "root_leverage", "lewis"):
        assert METHODS[name].function(rows, 9).info["path"] == "gram"
    assert METHODS["sensitivity_lp"].function(rows, 9, p=3.0).info["path"] == "gram"
    assert lewis(flat, 9).info["path"] == "qr"
    assert METHODS["leverage"].function(rows, 9, method="sketch").info["path"] == "sketch"
    with pytest.raises(ValueError, match="max_memory must be at least .*fewer"):
        facility_location(rows, 9, num_neighbours=3, max_memory=1)


@pytest.mark.parametrize(
    ("text", "size"),
    [(5, 5), ("1 B", 1), ("4GiB", 2**32), ("1.5 MiB", 3 * 2**19), ("2 MB", 2 * 10**6)],
)
def test_limits_are_read(text, size):
    assert bytes_of(text, 0) == size
    assert bytes_of(None, 7) == 7


@pytest.mark.parametrize("text", ["much", "4 gib", "-1 GiB", "", "4"])
def test_other_limits_are_refused(text):
    with pytest.raises(ValueError, match="max_memory must be bytes, or a text such as '4GiB', got"):
        top([1.0, 2.0], 1, max_memory=text)
    with pytest.raises(ValueError, match="max_memory must be >= 1, got 0"):
        top([1.0, 2.0], 1, max_memory=0)


def test_sizes_are_said_for_a_person():
    assert [say(n) for n in (1, 1023, 1024, 3 * 2**19, 2**40)] == [
        "1 B",
        "1023 B",
        "1 KiB",
        "1.5 MiB",
        "1 TiB",
    ]


def test_centers_of_some_rows_are_said_to_be():
    """Where not all rows fit, k-means finds its centers from a sample: never in silence."""
    rows = np.random.default_rng(0).normal(size=(60_000, 256)).astype(np.float16)
    some = cluster_uniform(rows, 9, clusters=4, max_memory="200 MB")
    assert some.info["path"] == "centers trained on the rows that fit into max_memory"
    assert "path" not in cluster_uniform(rows[:500], 9, clusters=4, max_memory="1GiB").info
