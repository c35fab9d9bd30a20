"""Rows whose column has the histogram of a target."""

import numpy as np
import pandas as pd
import pytest

from sampling.selection import match_histogram

RANDOM = np.random.default_rng(5)
LENGTHS = RANDOM.gamma(2.0, 100.0, 5000)


def test_quantiles_are_those_of_the_target():
    target = RANDOM.gamma(6.0, 60.0, 800)
    picked = match_histogram(LENGTHS, 500, target=target, num_bins=25)
    assert picked.info["distance"] < 0.02  # less than one row of each of 25 bins
    parts = np.linspace(0.05, 0.95, 7)
    found = np.quantile(LENGTHS[picked.indices], parts)
    assert found == pytest.approx(np.quantile(target, parts), rel=0.06)
    assert len(set(picked.indices.tolist())) == 500


def test_counts_by_hand():
    values = [5, 15, 15, 25, 25, 25, 99, -1]
    given = {"edges": [0, 10, 20, 30], "shares": [2, 1, 1]}
    picked = match_histogram(values, 4, target=given)
    # half of 4 rows in the first bin, which has one: the excess goes to the others evenly
    assert [row[3] for row in picked.info["histogram"]] == [1, 2, 1]
    assert picked.info["distance"] == pytest.approx((0.25 + 0.25 + 0.0) / 2)
    assert picked.explain(6).rule == "outside of the histogram"
    whole = match_histogram(values, 8, target=given)
    assert sorted(whole.indices.tolist()) == list(range(8))


def test_bins_of_share_zero_come_before_rows_outside():
    given = {"edges": [0.0, 1.0, 2.0], "shares": [1.0, 0.0]}
    values = [0.5, 1.5, 1.5, 7.0]
    assert match_histogram(values, 1, target=given).indices.tolist() == [0]
    assert sorted(match_histogram(values, 3, target=given).indices.tolist()) == [0, 1, 2]


def test_edges_belong_to_the_bin_above_and_the_last_is_closed():
    given = {"edges": [0.0, 1.0, 2.0], "shares": [1, 1]}
    found = match_histogram([0.0, 1.0, 2.0, 2.1], 3, target=given)
    assert [row[4] for row in found.info["histogram"]] == [1, 2]


def test_a_target_of_one_value_and_repeated_values():
    picked = match_histogram([1.0, 2.0, 2.0, 3.0], 2, target=[2.0])
    assert sorted(picked.indices.tolist()) == [1, 2]
    picked = match_histogram([1.0, 2.0, 2.0, 3.0], 2, target=[2.0] * 50 + [3.0], num_bins=10)
    assert set(picked.indices.tolist()) <= {1, 2, 3}


def test_few_values_of_the_target_bound_the_bins_and_huge_ones_do_not_overflow():
    found = match_histogram([1.0, 3.05, 3.1, 9.0], 2, target=[3.0, 3.1])
    assert sorted(found.indices.tolist()) == [1, 2]
    assert found.info["histogram"] == [[3.0, 3.1, 1.0, 2, 2]]
    found = match_histogram([1e307, -1e307, 0.0], 2, target=[1e308, 0.0, -1e308])
    assert np.isfinite(found.info["histogram"]).all()


def test_groups_each_have_the_histogram():
    groups = np.arange(5000) % 2
    picked = match_histogram(LENGTHS, 400, target=LENGTHS, groups=groups, num_bins=4)
    for group in (0, 1):
        own = LENGTHS[picked.indices[groups[picked.indices] == group]]
        counts = np.histogram(own, np.quantile(LENGTHS, np.arange(5) / 4, method="inverted_cdf"))[0]
        assert counts.tolist() == [50, 50, 50, 50]


def test_missing_values_of_pandas_and_float32():
    column = pd.Series([1, None, 3, 4], dtype="Int64").astype("Float32")
    with pytest.raises(ValueError, match="scores must be finite, got nan in row 1"):
        match_histogram(column, 2, target=[3.0, 4.0])
    found = match_histogram(column, 2, target=[3.0, 4.0], num_bins=1, on_bad="drop")
    assert sorted(found.indices.tolist()) == [2, 3]


def test_bad_targets():
    for target, message in (
        ({"edges": [0, 1], "shares": [1, 2]}, "edges of target must be 3 in ascending order"),
        ({"edges": [0, 2, 1], "shares": [1, 2]}, "edges of target must be 3 in ascending order"),
        ({"edges": [0, 1]}, "target must be the values .* got the keys \\['edges'\\]"),
        ({"edges": [0, 1], "shares": [0]}, "shares of target must not all be 0"),
        ([1.0, float("nan")], "target must be finite, got nan in row 1"),
        ([], "target must not be empty"),
    ):
        with pytest.raises(ValueError, match=message):
            match_histogram([1.0, 2.0], 1, target=target)
