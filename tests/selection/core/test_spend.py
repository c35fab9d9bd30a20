"""Budgets in tokens: the longest list of ranked picks that the budget pays for."""

import numpy as np
import pytest

from sampling.selection import METHODS, facility_location, gumbel, k_center, quota, top
from selection.cases import CALLS, DATA, LABELS, N

RANDOM = np.random.default_rng(5)
COSTS = RANDOM.integers(1, 50, N)
RANKED = sorted(name for name, entry in METHODS.items() if entry.ranked and name != "quota")


def one_after_another(name, costs, limit):
    """Take picks of the whole ranking while they can be paid for."""
    order = CALLS[name](DATA, N).indices
    kept, left = [], limit
    for row in order:
        if costs[row] > left:
            break
        kept.append(int(row))
        left -= int(costs[row])
    return kept, limit - left


@pytest.mark.parametrize("name", sorted(set(RANKED) - {"d4"}))
@pytest.mark.parametrize("limit", [60, 2500])
def test_the_picks_are_those_that_can_be_paid_for(name, limit):
    kept, spent = one_after_another(name, COSTS, limit)
    found = CALLS[name](DATA, limit, costs=COSTS)
    assert found.indices.tolist() == kept
    assert (found.info["cost"], found.info["unspent"]) == (spent, limit - spent)
    assert spent == COSTS[found.indices].sum() <= limit
    assert found.arguments["budget"] == limit
    plain = CALLS[name](DATA, len(kept))
    assert np.array_equal(plain.indices, found.indices)
    assert np.array_equal(plain.verdicts, found.verdicts)
    own = {"cost", "unspent", "seconds", "estimate"}
    assert {k: v for k, v in found.info.items() if k not in own} == {
        k: v for k, v in plain.info.items() if k not in own
    }


def test_fractions_are_of_the_sum_and_a_large_budget_takes_all():
    found = top(DATA.scores, 0.25, costs=COSTS)
    assert found.info["cost"] <= 0.25 * COSTS.sum() < found.info["cost"] + COSTS.max()
    assert len(top(DATA.scores, int(COSTS.sum()), costs=COSTS)) == N
    assert len(top(DATA.scores, 10**12, costs=COSTS)) == N
    assert len(top(DATA.scores, 5, costs=np.zeros(N, int))) == N


def test_the_first_try_may_be_too_short():
    """The best rows cost nothing: the number that the mean cost promises is far too low."""
    costs = np.where(np.arange(N) < 150, 1, 1000)
    found = top(-np.arange(N, dtype=float), 170, costs=costs)
    assert found.indices.tolist() == list(range(150))
    assert found.info["unspent"] == 20


def test_rows_kept_before_and_bad_rows_cost_nothing():
    scores = DATA.scores.copy()
    scores[7] = np.nan
    found = top(scores, 300, costs=COSTS, on_bad="drop", already_selected=[3, 5])
    assert not {3, 5, 7} & set(found.indices.tolist())
    assert found.info["cost"] == COSTS[found.indices].sum() <= 300


def test_smaller_budgets_are_the_head():
    whole = top(DATA.scores, 2500, costs=COSTS)
    assert np.array_equal(whole.head(4).indices, top(DATA.scores, 4).indices)


def test_what_has_no_ranking_is_refused():
    for name in sorted(set(METHODS) - set(RANKED) - {"quota", "samplemix"}):
        with pytest.raises(ValueError, match=f"costs must be omitted for {name}, whose picks are"):
            CALLS[name](DATA, 60, costs=COSTS)
    with pytest.raises(ValueError, match="costs must be omitted for facility_location"):
        facility_location(DATA.embeddings, 60, optimizer="stochastic", costs=COSTS)
    with pytest.raises(ValueError, match="costs must be omitted with groups, except for quota"):
        top(DATA.scores, 60, costs=COSTS, groups=LABELS)
    with pytest.raises(ValueError, match=r"robust must be 0 with costs, got 0\.1"):
        k_center(DATA.embeddings, 60, costs=COSTS, robust=0.1)


def test_wrong_costs_and_budgets_are_refused():
    with pytest.raises(ValueError, match="costs must be finite and >= 0, got -1.0 in row 2"):
        top([1, 2, 3], 2, costs=[1, 1, -1])
    with pytest.raises(ValueError, match=r"costs must be whole numbers, got 1\.5 in row 1"):
        gumbel([1, 2, 3], 2, costs=[1, 1.5, 1])
    with pytest.raises(ValueError, match="costs must have the length of the data, 3, got 2"):
        top([1, 2, 3], 2, costs=[1, 1])
    with pytest.raises(ValueError, match="budget must be at least 9, the cost of the first pick"):
        top([1, 2, 3], 8, costs=[1, 1, 9])
    for budget, kind in ((0, ValueError), (1.5, ValueError), (True, TypeError)):
        with pytest.raises(kind, match="budget must be"):
            top([1, 2, 3], budget, costs=[1, 1, 1])
        with pytest.raises(kind, match="budget must be"):
            quota([1, 2, 3], budget, costs=[1, 1, 1])
