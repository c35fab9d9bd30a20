"""Error spent over evaluations and over rows."""

import numpy as np
import pytest
from scipy import stats

from sampling.bench.statistics import adjusted, holm, level_at, level_for_seeds


def test_the_open_series_never_spends_more_than_the_level():
    levels = [level_at(k) for k in range(1, 20_000)]
    assert levels[0] == pytest.approx(0.025 * 6 / np.pi**2)
    assert 0.02499 < sum(levels) < 0.025
    assert all(a > b for a, b in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("planned", [1, 2, 3, 5])
def test_a_plan_spends_as_lan_and_demets(planned):
    levels = [level_at(k, planned) for k in range(1, planned + 1)]
    time = np.arange(1, planned + 1) / planned
    wanted = 2 * stats.norm.sf(stats.norm.isf(0.0125) / np.sqrt(time))
    assert np.cumsum(levels) == pytest.approx(wanted)
    assert sum(levels) == pytest.approx(0.025)
    assert level_at(planned + 1, planned) == 0
    assert level_for_seeds(1, planned) == levels[-1]


def test_three_planned_evaluations_have_the_published_error():
    """Cumulative error of the two-sided 0.05 at thirds: 0.0001, 0.0060 and 0.0250 on one side."""
    found = np.cumsum([level_at(k, 3) for k in (1, 2, 3)])
    assert found.round(4).tolist() == [0.0001, 0.006, 0.025]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "evaluation must be >= 1, got 0"), ((1, 0), "planned must be >= 1, got 0"),
     ((1, None, 0.5), r"level must be in \(0, 0.5\), got 0.5")],
)  # fmt: skip
def test_spending_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        level_at(*arguments)


def slow_holm(p, level):
    left = {i: each for i, each in enumerate(p)}
    rejected = set()
    while left:
        i = min(left, key=lambda each: (np.isnan(left[each]), left[each]))
        if not left[i] <= level / len(left):
            break
        rejected.add(i)
        del left[i]
    return [i in rejected for i in range(len(p))]


def test_holm_agrees_with_one_rejection_at_a_time():
    random = np.random.RandomState(0)  # noqa: NPY002
    p = random.rand(300, 7) ** 4
    p[random.rand(300, 7) < 0.1] = np.nan
    found = holm(p, 0.05)
    assert found.tolist() == [slow_holm(row, 0.05) for row in p]
    assert (found == (adjusted(p) <= 0.05)).all()
    assert found.any(1).sum() > 100
    assert not found.all(1).all()


def test_decided_rows_stay_and_leave_the_family():
    p = [0.9, 0.012, 0.03, np.nan]
    assert holm(p, 0.025).tolist() == [False] * 4
    assert holm(p, 0.025, [True, False, False, False]).tolist() == [True] + [False] * 3
    assert holm(p, 0.025, [True, False, False, True]).tolist() == [True, True, False, True]
    assert holm(p, 0.0, [True, False, False, False]).tolist() == [True] + [False] * 3
    assert holm([0.0], 0.0).tolist() == [False]
    assert holm([], 0.025).tolist() == []
