"""The number of seeds, against the noncentral t of scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from sampling.bench.statistics import moderate, plan_seeds, seeds_needed

from .simulation import MARGIN, seeds_from_pilot, tables


def power(seeds, deviation, margin, level):
    df = seeds - 3
    return stats.nct.sf(stats.t.isf(level, df), df, margin / deviation * math.sqrt(seeds))


@pytest.mark.parametrize("level", [0.025, 0.0152 / 22])
@pytest.mark.parametrize("deviation", [0.1, 0.2, 0.3, 1.0])
def test_seeds_needed_is_the_smallest_with_the_power(deviation, level):
    found = seeds_needed(deviation, 0.3, level)
    assert power(found, deviation, 0.3, level) >= 0.8
    assert found == 5 or power(found - 1, deviation, 0.3, level) < 0.8


def test_seeds_needed_knows_the_difference_and_its_limits():
    assert seeds_needed(0.2, 0.3, 0.025, difference=-0.5) == seeds_needed(0.2, 0.2, 0.025)
    assert seeds_needed(0.0, 0.3, 0.025) == 5
    assert seeds_needed(1e9, 0.3, 0.025) == 1_000_000
    assert seeds_needed(0.2, 0.3, 0.025, difference=-0.3) == 1_000_000
    large = seeds_needed(10, 0.3, 0.025)  # by the normal distribution
    assert large == pytest.approx((10 / 0.3 * (1.959964 + 0.841621)) ** 2, rel=0.01)


def pilot(deviation, rows=22, seed=0):
    random = np.random.RandomState(seed)  # noqa: NPY002
    own = np.full(rows, deviation / math.sqrt(2))
    return tables(random, 1, np.zeros(rows), own, own[0], 3)[0]


def test_the_plan_uses_the_upper_limit_of_the_most_variable_pool():
    calm, wild = moderate(pilot(0.1)), moderate(pilot(0.2, seed=1))
    found = plan_seeds([calm, wild], 0.3, 44, 0.0152)
    df = float(wild.pooled_df)
    assert found.upper == pytest.approx(math.sqrt(wild.pooled * df / stats.chi2.ppf(0.2, df)))
    assert found.deviation == pytest.approx(math.sqrt(wild.pooled))
    assert found.wanted == seeds_needed(found.upper, 0.3, 0.0152 / 44)
    assert found == plan_seeds([wild, calm], 0.3, 44, 0.0152)


def test_the_plan_says_why_the_limit_does_not_suffice():
    found = plan_seeds([moderate(pilot(0.6))], 0.3, 22, 0.0152, 12)
    assert found.seeds == 12 < found.wanted
    assert found.power < 0.8
    assert found.reason.startswith(f"a power of 0.80 needs {found.wanted} seeds")
    decidable = float(found.reason.split("margin of ")[2].split(" ")[0])
    assert power(12, found.upper, decidable, 0.0152 / 22) == pytest.approx(0.8, abs=0.01)
    assert plan_seeds([moderate(pilot(0.01))], 0.3, 22, 0.0152).seeds == 5
    assert plan_seeds([moderate(pilot(0.01))], 0.3, 22, 0.0152).reason == ""


def test_a_pilot_without_spread_has_no_plan():
    with pytest.raises(ValueError, match="pools must hold a row with two seeds that differ"):
        plan_seeds([moderate(np.zeros((2, 3)))], 0.3, 2, 0.0152)


def test_the_simulation_plans_as_the_table_does():
    many = np.stack([pilot(d, seed=i) for i, d in enumerate((0.05, 0.1, 0.15, 0.2, 0.3))])
    wanted = [plan_seeds([moderate(each)], MARGIN, 22, 0.0152).seeds for each in many]
    assert seeds_from_pilot(many, 0.0152 / 22).tolist() == wanted
    assert len(set(wanted)) > 2
