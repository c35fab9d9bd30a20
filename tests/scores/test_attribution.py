import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.scores import AttributionScores, _attribution
from sampling.selection import top

REDUCTIONS = ["mean", "max", "rank-mean", "rank-max"]


def twin(matrix, reduce, higher_is="keep", tasks=None, negative_last=False):
    """Row by row and value by value, of nested lists."""
    sign = 1.0 if higher_is == "keep" else -1.0
    rows = [[sign * float(value) for value in row] for row in matrix]
    tasks = list(range(len(rows[0]))) if tasks is None else list(tasks)
    names = sorted(set(tasks))
    means = []
    for row in rows:
        parts = [[v for v, task in zip(row, tasks, strict=True) if task == n] for n in names]
        means.append([sum(part) / len(part) for part in parts])
    used = means
    if reduce.startswith("rank"):
        used = [
            [
                sum((value > other[k]) + 0.5 * (value == other[k]) for other in means) - 0.5
                for k, value in enumerate(row)
            ]
            for row in means
        ]
    found = [max(row) if reduce.endswith("max") else sum(row) / len(row) for row in used]
    if negative_last:
        mean = [sum(row) / len(row) for row in means]
        low = min((v for v, m in zip(found, mean, strict=True) if m >= 0), default=0.0)
        found = [low - abs(low) - 1.0 + m if m < 0 else v for v, m in zip(found, mean, strict=True)]
    return np.array(found)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.integers(1, 9),
    st.integers(1, 6),
    st.sampled_from(["<f8", "<f4", "<f2", "<i4"]),
    st.sampled_from(["keep", "drop"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_like_its_twin(rows, targets, dtype, higher_is, tasked, negative_last, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-4, 5, (rows, targets)).astype(dtype)  # with ties
    tasks = rng.choice(["a", "b", "c"], targets) if tasked else None
    for reduce in REDUCTIONS:
        expected = twin(matrix, reduce, higher_is, tasks, negative_last)
        for axis, given_ in enumerate([matrix, matrix.T.copy()]):
            scores = AttributionScores(given_, axis=axis, higher_is=higher_is, tasks=tasks)
            score = scores.score(reduce, negative_last=negative_last)
            assert (score.higher_is, len(scores)) == ("keep", rows)
            np.testing.assert_allclose(score.values, expected, atol=1e-12)


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("tasked", [False, True])
def test_blocks_and_axis_change_no_bit(reduce, tasked, monkeypatch):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(101, 37)).astype(np.float32)
    tasks = rng.integers(0, 5, 37) if tasked else None
    expected = AttributionScores(matrix, tasks=tasks).score(reduce).values
    for block in (1, 3000, 101 * 8 * 4):
        monkeypatch.setattr(_attribution, "_BLOCK", block)
        for axis, given_ in enumerate([torch.from_numpy(matrix), np.asfortranarray(matrix.T)]):
            found = AttributionScores(given_, axis=axis, tasks=tasks).score(reduce).values
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_a_file_is_not_loaded_whole(tmp_path, axis, reduce, monkeypatch):
    matrix = np.random.default_rng(0).normal(size=(2000, 250)).astype(np.float32)  # 2 MB
    np.save(tmp_path / "scores.npy", matrix.T if axis else matrix)
    expected = AttributionScores(matrix).score(reduce).values
    monkeypatch.setattr(_attribution, "_BLOCK", 2**15)
    opened = np.load(tmp_path / "scores.npy", mmap_mode="r")
    tracemalloc.start()
    found = AttributionScores(opened, axis=axis).score(reduce).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, expected)
    assert peak < 4e5
    with pytest.raises(ValueError, match="read-only"):
        opened[0, 0] = 1.0


def test_dsdms_mean_counts_tasks_alike_and_not_targets():
    matrix = [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0]]
    scores = AttributionScores(matrix, tasks=["many", "many", "many", "one"])
    assert top(scores.score("mean"), 1).indices.tolist() == [1]
    assert top(AttributionScores(matrix).score("mean"), 1).indices.tolist() == [0]


def test_the_highest_by_rank_max_are_the_best_of_each_target():
    matrix = np.random.default_rng(0).normal(size=(50, 5)) * [1e-3, 1e3, 1, 1, 1]
    best = np.argsort(-matrix, axis=0)
    for depth in (1, 2, 4):
        union = np.unique(best[:depth])
        picked = top(AttributionScores(matrix).score("rank-max"), len(union))
        assert set(picked.indices) == set(union)


def test_rows_that_harm_on_average_come_last():
    matrix = [[9.0, -10.0], [0.5, 0.5], [-1.0, -1.0], [0.1, 0.1]]
    scores = AttributionScores(matrix)
    assert top(scores.score("max"), 4).indices.tolist() == [0, 1, 3, 2]
    assert top(scores.score("max", negative_last=True), 4).indices.tolist() == [1, 3, 0, 2]
    assert top(scores.score("rank-max", negative_last=True), 4).indices.tolist() == [1, 3, 0, 2]
    all_harm = AttributionScores(-np.abs(matrix)).score("max", negative_last=True)
    assert top(all_harm, 4).indices.tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize("reduce", REDUCTIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named(reduce, bad, monkeypatch):
    monkeypatch.setattr(_attribution, "_BLOCK", 100)
    matrix = np.zeros((30, 4))
    matrix[17, 2] = bad
    tasks = [1, 0, 0, 1]  # which moves target 2
    for axis, given_ in enumerate([matrix, matrix.T]):
        with pytest.raises(
            ValueError, match=f"matrix must be finite, got {bad} in row 17, targ.* 2"
        ):
            AttributionScores(given_, axis=axis, tasks=tasks).score(reduce)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"matrix must have shape \(N, T\).*got \(3,\)"):
        AttributionScores(np.zeros(3))
    with pytest.raises(ValueError, match=r"matrix must have shape \(N, T\).*got \(3, 0\)"):
        AttributionScores(np.zeros((3, 0)))
    with pytest.raises(TypeError, match="matrix must hold numbers, got dtype bool"):
        AttributionScores(np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match=r"axis must be in \[0, 2\), got 2"):
        AttributionScores(np.zeros((3, 2)), axis=2)
    with pytest.raises(ValueError, match="higher_is must be one of 'keep', 'drop', got 'harder'"):
        AttributionScores(np.zeros((3, 2)), higher_is="harder")
    with pytest.raises(ValueError, match="tasks must have the length of the targets, 2, got 3"):
        AttributionScores(np.zeros((3, 2)), tasks=[0, 0, 1])
    with pytest.raises(ValueError, match="reduce must be one of 'mean', .*got 'median'"):
        AttributionScores(np.zeros((3, 2))).score("median")
