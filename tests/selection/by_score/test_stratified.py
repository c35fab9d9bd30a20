"""`stratified` and `ccs` keep exactly the budget, whatever the strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.selection import ccs, stratified


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=60),
    st.data(),
    st.sampled_from(["width", "quantile"]),
)
def test_strata_give_exactly_the_budget(scores, data, strata):
    """Negative maxima, constants and heavy tails: `max * 1.0001` loses rows of all three."""
    budget = data.draw(st.integers(1, len(scores)))
    assert len(stratified(scores, budget, strata=strata)) == budget
    assert len(ccs(scores, budget, strata=strata)) == budget


def test_weights_make_sums_unbiased():
    """A score with a heavy tail: the weighted total over 400 seeds, within four deviations."""
    values = np.random.default_rng(3).pareto(2.0, 300)
    totals = []
    for seed in range(400):
        picked = stratified(values, 30, num_strata=5, strata="quantile", reweight=True, seed=seed)
        assert picked.weights.sum() == pytest.approx(300)
        totals.append((picked.weights * values[picked.indices]).sum())
    error = np.std(totals) / 20
    assert np.mean(totals) == pytest.approx(values.sum(), abs=4 * error)
    plain = stratified(values, 30, num_strata=5, strata="quantile", seed=399)
    assert plain.weights is None
    assert np.array_equal(plain.indices, picked.indices)


def test_weights_are_refused_where_a_stratum_has_no_row_kept():
    with pytest.raises(ValueError, match="budget must be at least 3, the strata .*got 2"):
        stratified([1.0, 2.0, 3.0], 2, num_strata=3, reweight=True)
