import numpy as np
import pandas as pd
import pytest

from sampling import Score, selection
from sampling.scores import TrainingDynamics, _dynamics_tables, mean_scores, rank_average

LOSS = Score(np.array([0.1, 9.0, 0.5, 0.5]), "harder", "loss")
MARGIN = Score(np.array([3.0, -1.0, 2.0, -2.0]), "easier", "margin")


def ranks_by_counting(values):
    """(Those below + half of the others that are equal + 1/2) / N, one by one."""
    known = [v for v in values if not np.isnan(v)]
    return [
        np.nan
        if np.isnan(v)
        else (sum(w < v for w in known) + (sum(w == v for w in known)) / 2) / len(known)
        for v in values
    ]


def test_golden():
    found = rank_average([LOSS, MARGIN])
    np.testing.assert_allclose(found.values, [0.125, 0.75, 0.4375, 0.6875])
    assert (found.higher_is, found.name) == ("harder", "rank average of loss, margin")
    easier = rank_average([MARGIN, LOSS])
    np.testing.assert_allclose(easier.values, 1 - found.values)  # the direction of the first
    assert easier.higher_is == "easier"


@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_those_of_counting(seed):
    rng = np.random.default_rng(seed)
    rows = np.round(rng.normal(size=(3, 40)), 1)
    rows[0, 3] = np.nan
    rows[1, 5], rows[1, 6] = np.inf, -np.inf
    scores = [Score(row, word, str(i)) for i, (row, word) in enumerate(
        zip(rows, ("keep", "drop", "keep"), strict=True))]  # fmt: skip
    turned = [rows[0], -rows[1], rows[2]]
    expected = np.mean([ranks_by_counting(row) for row in turned], axis=0)
    np.testing.assert_allclose(rank_average(scores).values, expected)
    assert np.flatnonzero(np.isnan(expected)).tolist() == [3]


def test_a_scale_or_an_outlier_changes_no_rank():
    one = rank_average([LOSS, MARGIN]).values
    other = rank_average([Score(LOSS.values**3 * 1e30, "harder", "cubed"), MARGIN]).values
    np.testing.assert_array_equal(one, other)


def test_standardized_mean():
    found = mean_scores([LOSS, MARGIN], standardize=True)
    z = [(v - v.mean()) / v.std() for v in (LOSS.values, -MARGIN.values)]
    np.testing.assert_allclose(found.values, np.mean(z, axis=0))
    assert (found.higher_is, found.name) == ("harder", "mean of loss, margin")
    flat = Score(np.full(4, 0.3), "harder", "flat")
    alone = mean_scores([LOSS, flat], standardize=True)
    np.testing.assert_allclose(alone.values, z[0] / 2)  # a constant score says nothing
    missing = Score(np.array([np.nan, 1.0, 2.0, 3.0]), "harder", "gap")
    assert np.isnan(mean_scores([LOSS, missing], standardize=True).values).tolist() == [
        True, False, False, False,
    ]  # fmt: skip


def test_what_cannot_be_combined_is_refused():
    for call in (rank_average, lambda s: mean_scores(s, standardize=True)):
        with pytest.raises(ValueError, match="hard is not the same as worth keeping"):
            call([LOSS, Score(np.ones(4), "keep", "quality")])
        with pytest.raises(ValueError, match=r"scores\[1\] must have the length of scores\[0\], 4"):
            call([LOSS, Score(np.ones(3), "harder")])
        with pytest.raises(TypeError, match=r"scores\[0\] must be a Score, .* got a ndarray"):
            call([LOSS.values])
        with pytest.raises(ValueError, match="in a list, got one alone"):
            call(LOSS)
        with pytest.raises(ValueError, match="got none"):
            call([])
    with pytest.raises(ValueError, match="standardize=True and rank_average combine"):
        mean_scores([LOSS, MARGIN])


def test_a_consensus_selects():
    assert selection.top(rank_average([LOSS, MARGIN]), 2).indices.tolist() == [1, 3]
    column = Score(pd.Series([1, 2, 3, 4]), "harder", "column")
    assert rank_average([column]).values.tolist() == [0.125, 0.375, 0.625, 0.875]
    flags = Score(np.array([True, False, True, True]), "easier", "flags")
    np.testing.assert_allclose(rank_average([flags]).values, [0.625, 0.125, 0.625, 0.625])
    assert rank_average([column, flags]).higher_is == "harder"
    with pytest.raises(TypeError, match=r"scores\[0\] must hold numbers, got dtype <U1"):
        rank_average([Score(np.array(["a", "b"]), "harder")])


def test_running_probabilities_count_each_sample():
    """TiDAL's rule is e / (e + 1) of the epoch; a sample seen twice in one keeps its mean."""
    dynamics = TrainingDynamics(3, 2, fields="probabilities")
    for p in (0.2, 0.8):
        dynamics.update([0, 0, 1], np.log([[p, 1 - p], [0.5, 0.5], [p, 1 - p]]), [0, 0, 1])
    means = dynamics.probabilities(missing="nan")
    assert (means.dtype, means.shape) == (np.float32, (3, 2))
    np.testing.assert_allclose(means[:2], [[0.5, 0.5], [0.5, 0.5]], atol=1e-6)
    assert np.isnan(means[2]).all()
    with pytest.raises(ValueError, match=r"at least 1 times for probabilities, got 0 in row 2"):
        dynamics.probabilities()
    with pytest.raises(ValueError, match="fields must include 'probabilities'"):
        TrainingDynamics(3, 2).probabilities()
    again = TrainingDynamics(3, 2, fields="probabilities")
    again.load_state_dict(dynamics.state_dict())
    np.testing.assert_array_equal(again.probabilities(missing="nan"), means)
    underflow = TrainingDynamics(1, 2, fields=("probabilities", "tdds"), window=3)
    for _ in range(3):
        underflow.update([0], [[900.0, -900.0]], [0])
    assert underflow.probabilities().tolist() == [[1.0, 0.0]]
    assert np.isfinite(underflow.tdds().values).all()


def test_running_probabilities_travel_between_ranks(monkeypatch):
    """What a rank writes to its journal is replayed into the same means."""
    batches = [(np.arange(4), np.random.default_rng(i).normal(size=(4, 3)), [0, 1, 2, 0])
               for i in range(3)]  # fmt: skip
    plain, ranked = (TrainingDynamics(4, 3, fields="probabilities") for _ in range(2))
    monkeypatch.setattr(_dynamics_tables, "gather_rows", lambda rows, group: [rows])
    ranked._ranks = 2
    for batch in batches:
        plain.update(*batch)
        ranked.update(*batch)
    ranked._ranks = 1
    ranked._journal.replay(ranked._tables.record, 4, None)
    np.testing.assert_array_equal(plain.probabilities(), ranked.probabilities())
    softmax = [np.exp(z) / np.exp(z).sum(1, keepdims=True) for _, z, _ in batches]
    np.testing.assert_allclose(plain.probabilities(), np.mean(softmax, axis=0), atol=1e-6)
