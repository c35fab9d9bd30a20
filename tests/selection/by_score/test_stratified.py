"""`stratified` and `ccs` keep exactly the budget, whatever the strata."""

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
