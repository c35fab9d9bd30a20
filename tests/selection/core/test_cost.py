"""Costs of methods, and estimates from them, which are a limit before any work."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sampling.clustering import kmeans
from sampling.record import Score
from sampling.selection import (
    METHODS,
    Cost,
    Estimate,
    Sizes,
    cluster_uniform,
    d2,
    estimate,
    facility_location,
    lewis,
    moderate,
    pivotal,
    surrogate,
    top,
)
from sampling.selection.core._estimate import refuse_over
from sampling.selection.core._memory import bytes_of, say
from selection.cases import CALLS, DATA, D, N

MIB = 2**20
FIXED = 64 * MIB


def test_costs_add_up_and_are_numbers():
    found = Cost(1, 2, 3, 4) + Cost(products=10.0)
    assert found == Cost(11, 2, 3, 4)
    with pytest.raises(ValueError, match=r"memory must be in \[0, inf\), got -1"):
        Cost(memory=-1)
    with pytest.raises(ValueError, match=r"steps must be in \[0, inf\), got nan"):
        Cost(steps=math.nan)
    with pytest.raises(TypeError, match="products must be a number, got '3'"):
        Cost(products="3")


def test_rows_for_centers_fit_into_half_of_the_memory():
    sizes = Sizes(N=1000, D=8, I=26)
    assert sizes.R == 32_000
    assert replace(sizes, max_memory=128_000).R == 32_000
    assert replace(sizes, max_memory=127_999).R == 63_999
    assert replace(sizes, I=0).R == 0


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_cost_shown_is_that_of_the_docstring_and_its_number_that_of_the_cost(name):
    """The bytes of a row: in words in the docstring, in numbers in the function."""
    entry = METHODS[name]
    assert entry.time.startswith("O(")
    assert entry.memory.endswith(("bytes", "with `num_neighbours`", "with embeddings"))
    assert entry.summary.endswith(".")
    bases = [{}, {"num_neighbours": 5}] if name == "facility_location" else [{}]
    bases = [{}, {"embeddings": DATA.embeddings}] if name == "pivotal" else bases
    for arguments in bases:
        one, two = (
            entry.cost(Sizes(N=n, D=0, M=0, k=0, arguments=arguments)).memory for n in (1, 2)
        )
        assert f"{two - one:.0f} N" in entry.memory


def test_every_cost_grows_with_the_rows():
    for name in METHODS:
        small, large = (estimate(name, n, 64, budget=0.1) for n in (10**4, 10**7))
        assert isinstance(small, Estimate)
        assert FIXED < small.memory < large.memory
        assert 0 < small.seconds < large.seconds


@pytest.mark.parametrize(
    ("name", "settings", "remedy"),
    [
        ("top", {}, "fewer rows"),
        ("herding", {}, "fewer rows or fewer dimensions"),
        ("d2", {"num_neighbours": 9000}, "fewer rows or fewer neighbours"),
        ("leverage", {}, "fewer dimensions"),
        ("root_leverage", {"budget": 10**5}, "fewer rows or fewer dimensions or a .*"),
    ],
)
def test_the_remedy_is_the_size_that_saves_most(name, settings, remedy):
    size, dimensions = (100, 10**6) if name == "leverage" else (10**5, 10**3)
    need = estimate(name, size, dimensions, **{"budget": 10, **settings})
    with pytest.raises(ValueError, match=f"got 1 KiB; use {remedy}$"):
        refuse_over(need, 1024)


def test_the_numbers_of_an_estimate():
    found = estimate("top", 10**6, budget=0.1)
    assert found.memory == FIXED + 41 * 10**6
    assert found.sizes.M == 10**5
    assert estimate("top", 10**6, budget=77).sizes.M == 77
    assert estimate("top", 10**6).sizes.M == 10**6
    assert estimate("kmq", 10**6, 8).sizes.K == round(math.sqrt(5e5))
    made, given = estimate("kmq", 10**6, 8, clusters=30), kmeans(DATA.embeddings, 4)
    assert (made.sizes.K, made.sizes.I) == (30, 26)
    ready = estimate("kmq", 10**6, 8, clusters=given)
    assert (ready.sizes.K, ready.sizes.I) == (4, 0)
    assert ready.seconds < made.seconds
    assert estimate("d2", 10**6, 8).sizes.k == 10
    assert estimate("d2", 10**6, 8, num_neighbours=3).sizes.k == 3
    assert estimate("lewis", 10**6, 8, max_iter=7).sizes.S == 7
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
        # Blocks of another size: a product may differ in the last digit of float32, and so a pick.
        assert np.isin(least.indices, found.indices).sum() >= 59
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
