import itertools
import math

import numpy as np
import pandas as pd
import pytest

from sampling.labeling import LearningCurve, allocate, fit_curve

PAIR = {"a": LearningCurve(0.0, 1.0, 0.5), "b": LearningCurve(0.0, 2.0, 0.5)}


def curves_of(seed, count=3):
    rng = np.random.default_rng(seed)
    return [
        LearningCurve(float(a), float(b), float(k))
        for a, b, k in zip(
            rng.uniform(0, 0.2, count),
            rng.uniform(0.5, 3, count),
            rng.uniform(0.2, 1.2, count),
            strict=True,
        )
    ]


def losses_of(curves, counts):
    return np.array([float(c.loss(max(n, 1))[0]) for c, n in zip(curves, counts, strict=True)])


def best_by_all_splits(curves, budget, objective, held=(0, 0, 0), caps=(10**9,) * 3):
    """The least objective over all whole counts that cost at most the budget."""
    ranges = [range(h, min(c, h + budget) + 1) for h, c in zip(held, caps, strict=True)]
    best = math.inf
    for counts in itertools.product(*ranges[:2]):
        rest = budget - sum(counts) + sum(held[:2])
        if rest >= 0:
            whole = (*counts, min(caps[2], held[2] + rest))
            best = min(best, objective(losses_of(curves, whole)))
    return best


def test_golden():
    found = allocate(PAIR, 1000)
    exact = 1000 / (1 + 2 ** (2 / 3)), 1000 / (1 + 2 ** (-2 / 3))
    np.testing.assert_allclose(exact, (386.48821, 613.51179), atol=1e-5)
    assert found.counts.tolist() == [386, 614]
    assert (found.names, found.spent) == (["a", "b"], 1000.0)
    assert found.price == pytest.approx(0.5 * 386.49**-1.5, rel=1e-2)
    assert np.isnan(found.low).all()  # curves that are given, not fitted


@pytest.mark.parametrize("seed", range(4))
def test_no_split_is_better(seed):
    curves = curves_of(seed)
    mean = allocate(curves, 60)
    assert mean.counts.sum() == 60
    assert mean.losses.sum() == pytest.approx(best_by_all_splits(curves, 60, np.sum))
    worst = allocate(curves, 60, rule="worst")
    assert worst.losses.max() == pytest.approx(best_by_all_splits(curves, 60, np.max))
    held, caps = (5, 10, 0), (15, 40, 30)
    found = allocate(curves, 40, held=held, available=caps)
    assert found.losses.sum() == pytest.approx(best_by_all_splits(curves, 40, np.sum, held, caps))
    assert (found.counts >= held).all()
    assert (found.counts <= caps).all()
    assert (found.collect == found.counts - held).all()


@pytest.mark.parametrize("seed", range(3))
def test_spending_in_small_rounds_is_nearly_as_good(seed):
    curves, costs = curves_of(seed), [1.0, 3.0, 0.5]
    whole = allocate(curves, 300, costs=costs, weights=[1, 2, 1])
    held = np.zeros(3, int)
    for _ in range(30):
        held = allocate(curves, 10, costs=costs, weights=[1, 2, 1], held=held).counts
    one, other = (float(losses_of(curves, n) @ [1, 2, 1]) for n in (whole.counts, held))
    assert one <= other * (1 + 1e-9)
    assert other < one * 1.02
    assert whole.spent <= 300 < whole.spent + 3.0


def test_rules_to_compare_with():
    found = allocate(PAIR, 90, rule="equal", costs=[1, 2])
    assert found.counts.tolist() == [30, 30]
    some = {"a": 100, "b": 200}
    assert allocate(PAIR, 90, rule="proportional", available=some).counts.tolist() == [30, 60]
    spend = allocate(PAIR, 90, rule="proportional_spend", available=some, costs=[1, 2])
    assert spend.counts.tolist() == [30, 30]
    capped = allocate(PAIR, 90, rule="equal", available=[10, 1000])
    assert capped.counts.tolist() == [10, 80]  # the rest is redistributed
    with pytest.raises(ValueError, match="available must be given for rule='proportional'"):
        allocate(PAIR, 90, rule="proportional")
    better = allocate(PAIR, 900)
    for rule in ("equal", "worst"):
        assert better.losses.sum() <= allocate(PAIR, 900, rule=rule).losses.sum()


def test_a_group_that_cannot_be_better_is_reported():
    curves = {"easy": LearningCurve(0.0, 1.0, 0.5), "stuck": LearningCurve(0.9, 1.0, 0.5)}
    found = allocate(curves, 500, rule="worst", available=pd.Series({"easy": 1000, "stuck": 50}))
    assert found.unreachable == ["stuck"]
    assert found.counts.tolist() == [450, 50]
    flat = allocate([LearningCurve(0.4, 0.0, 0.5), LearningCurve(0.0, 1.0, 0.5)], 50)
    assert flat.counts.tolist() == [0, 50]
    assert allocate([LearningCurve(0.4, 0.0, 0.5)], 50).counts.tolist() == [0]
    assert allocate([LearningCurve(0.0, 1.0, 0.5)], 50).counts.tolist() == [50]
    assert allocate(PAIR, 0, held=[3, 4]).counts.tolist() == [3, 4]
    assert allocate(PAIR, 10, available=[2, 3]).counts.tolist() == [2, 3]  # more than there is


def test_a_minimum_comes_first():
    found = allocate(PAIR, 100, minimum=45)
    assert found.counts.tolist() == [45, 55]
    with pytest.raises(ValueError, match="minimum must cost at most the budget, 100, got 120"):
        allocate(PAIR, 100, minimum=60)


def test_counts_have_an_interval_if_the_curves_are_fitted():
    sizes = np.array([50, 100, 200, 400, 800] * 2)
    rng = np.random.default_rng(0)
    fits = {
        name: fit_curve(sizes, (0.02 + scale * sizes**-0.5) * (1 + 0.05 * rng.normal(size=10)))
        for name, scale in (("a", 1.0), ("b", 2.0))
    }
    found = allocate(fits, 2000)
    assert (found.low < found.counts).all()
    assert (found.counts < found.high).all()
    assert 0 <= found.low.min() < found.high.max() <= 2000


def test_wrong_arguments_are_refused_by_name():
    for given, message in (
        ({"costs": [1.0]}, "costs must have the length of curves, 2, got 1"),
        ({"costs": [1.0, 0.0]}, r"costs must be in \(0, inf\), got 0"),
        ({"weights": {"a": 1.0}}, "weights must name the groups of curves, .*, got no 'b'"),
        ({"held": [1.5, 2]}, "held must hold whole numbers, got 1.5"),
        ({"held": [5, 5], "available": [4, 9]}, "available must be >= held, got 4 of group 'a'"),
        ({"minimum": -1}, "minimum must be >= 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            allocate(PAIR, 100, **given)
    with pytest.raises(TypeError, match="curves must hold LearningCurve, got 1 for group 0"):
        allocate([1], 100)
    with pytest.raises(ValueError, match="at least one curve"):
        allocate([], 100)
