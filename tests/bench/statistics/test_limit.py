"""Where a method breaks: what is run next, and what may be claimed."""

import json

import numpy as np
import pytest

from sampling.bench.statistics import LimitSearch, find_limit, next_run
from sampling.bench.statistics._limit import GRID, _State

CURVE = dict(zip(GRID, (0, 0, -0.05, -0.1, -0.1, -1.2, -2, -4, -9), strict=True))


def world(means=CURVE, deviation=0.15, seed=1, seeds=20):
    random = np.random.RandomState(seed)  # noqa: NPY002
    reference = random.normal(0, deviation / np.sqrt(2), seeds)
    own = {keep: random.normal(0, deviation / np.sqrt(2), seeds) for keep in means}
    return {keep: dict(enumerate(mean + own[keep] - reference)) for keep, mean in means.items()}


def spend(truth, budget=10**6, known=None, **more):
    """Run what is asked for: the runs so far, their order, and the conclusion."""
    got = {} if known is None else known
    order = []
    while len(order) < budget:
        run = next_run(LimitSearch(got, 0.5, **more))
        if run is None:
            break
        order.append((run.keep, run.seed, run.why))
        got.setdefault(run.keep, {})[run.seed] = truth[run.keep][run.seed]
    return got, order, find_limit(LimitSearch(got, 0.5, **more))


def spend_rates(truth, **more):
    """Return the conclusion when all seeds of a rate are run at a time: the same, and faster."""
    got = {}
    while True:
        state = _State(LimitSearch(got, 0.5, **more))
        run = state.next_run()
        if run is None:
            return state.limit()
        seeds = range(state.seeds or 3)
        got.setdefault(run.keep, {}).update({seed: truth[run.keep][seed] for seed in seeds})


def test_the_limit_is_found_by_bisection_and_claimed_in_order():
    got, order, found = spend(world())
    pilot = [keep for keep, _, why in order if why == "locate"]
    assert pilot == [0.5] * 3 + [0.3] * 3 + [0.4] * 3
    decide = dict.fromkeys(keep for keep, _, why in order if why == "decide")
    assert list(decide) == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1, 0.2, 0.3]
    assert {len(each) for each in got.values()} == {found.seeds}
    assert spend_rates(world()) == found
    assert (found.non_inferior_up_to, found.inferior_from) == (0.5, 0.4)
    assert (found.undecided, found.more_seeds, found.evaluation) == ((), {}, 1)
    assert found.words == (
        "non-inferior up to a pruning rate of 0.5; inferior from a pruning rate of 0.6"
    )


def test_a_budget_that_ends_claims_what_is_complete():
    _, _, found = spend(world(), 4)
    assert found.evaluation == 0
    assert found.words == (
        "undecided at this budget: 2 more seeds (2 at 0.7) (the pilot is incomplete)"
    )
    _, order, whole = spend(world())
    _, _, found = spend(world(), 9 + 2 * whole.seeds + 2)
    assert (found.non_inferior_up_to, found.inferior_from) == (0.8, None)
    assert found.undecided == GRID[2:]
    assert sum(found.more_seeds.values()) == len(order) - 9 - 2 * whole.seeds - 2
    assert found.words.startswith("non-inferior up to a pruning rate of 0.2; undecided at this")


def test_a_rate_without_all_of_its_seeds_is_not_tested():
    got, _, whole = spend(world())
    del got[0.9][whole.seeds - 1]
    found = find_limit(LimitSearch(got, 0.5))
    assert (found.non_inferior_up_to, found.inferior_from) == (None, 0.4)
    assert 0.9 not in found.p_non_inferior
    assert next_run(LimitSearch(got, 0.5)).keep == 0.9


def test_a_curve_that_never_breaks_and_one_that_always_has():
    _, order, found = spend(world(dict.fromkeys(GRID, 0.0)))
    assert (found.non_inferior_up_to, found.inferior_from) == (0.1, None)
    assert found.words == "non-inferior up to a pruning rate of 0.9"
    found = spend_rates(world(dict.fromkeys(GRID, -3.0)))
    assert (found.non_inferior_up_to, found.inferior_from) == (None, 0.9)


def test_a_curve_that_is_not_monotone_is_reported():
    dented = {**CURVE, 0.7: -3.0, 0.8: -3.0, 0.9: -3.0}
    got, _, found = spend(world(dented))
    assert found.not_monotone[0] > found.not_monotone[1]
    assert (found.non_inferior_up_to, found.inferior_from, found.more_seeds) == (None, None, {})
    assert found.words.startswith("the curve is not monotone: a pruning rate of 0.")
    assert next_run(LimitSearch(got, 0.5)) is None
    gain = {**CURVE, 0.9: -0.3, 0.8: 0.2}  # better when pruned, both above the margin
    assert spend(world(gain))[2].not_monotone is None


def test_what_stays_undecided_says_how_many_seeds_decide_it():
    truth = world({**CURVE, 0.5: -0.42, 0.4: -0.58}, seeds=60)
    got, _, first = spend(truth)
    assert first.undecided
    assert set(first.more_seeds) <= set(first.undecided)
    assert "undecided at this budget: " in first.words
    record = json.loads(json.dumps(first.record))
    more = {"earlier": [record], "seeds": first.seeds + 8, "max_seeds": 60}
    got, order, second = spend(truth, known=got, **more)
    assert second.evaluation == 2
    assert {keep for keep, _, _ in order} <= set(first.undecided)  # claims stay
    again = find_limit(LimitSearch(got, 0.5, earlier=[record, second.record], max_seeds=60))
    assert (again.evaluation, again.words) == (2, second.words)


def test_a_claim_of_the_flat_curve_at_the_margin_is_rarely_made():
    """40 curves, each side wrong with 0.0076: more than 4 of 40 has a probability below 1e-4."""
    flat = dict.fromkeys(GRID, -0.5)
    found = [spend_rates(world(flat, seed=seed)) for seed in range(40)]
    assert sum(each.non_inferior_up_to is not None for each in found) <= 4
    assert sum(each.inferior_from is not None for each in found) <= 4


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("means", [dict.fromkeys(GRID, -0.5), {**CURVE, 0.6: -0.5, 0.5: -0.5}])
def test_claims_hold_their_error_whatever_bisection_runs(means):
    """600 curves, planned once: wrong on a side at most 0.0125, plus three standard errors."""
    good = bad = 0
    for seed in range(600):
        found = spend_rates(world(means, seed=seed), planned=1)
        wrong = [keep for keep in GRID if means[keep] <= -0.5]
        right = [keep for keep in GRID if means[keep] >= -0.5]
        claimed, broken = found.record["non_inferior"], found.record["inferior"]
        good += bool(set(claimed) & set(wrong))
        bad += bool(set(broken) & set(right))
    assert max(good, bad) / 600 < 0.0125 + 3 * np.sqrt(0.0125 / 600)


def test_a_search_is_checked():
    for arguments, message in (
        ({"grid": (0.5, 0.9)}, "grid must descend from the gentlest keep fraction"),
        (
            {"differences": {0.55: {}}},
            "differences must be at keep fractions of the grid, got 0.55",
        ),
        ({"margin": 0}, r"margin must be in \(0, inf\), got 0"),
        ({"seeds": 4}, "seeds must be >= 5, got 4"),
        ({"max_seeds": 4}, "max_seeds must be >= 5, got 4"),
    ):
        with pytest.raises(ValueError, match=message):
            LimitSearch(**{"differences": {}, "margin": 0.5, **arguments})
    record = find_limit(LimitSearch({}, 0.5)).record
    with pytest.raises(ValueError, match="margin must be that of evaluation 0, 0.5, got 0.4"):
        LimitSearch({}, 0.4, earlier=[record])
