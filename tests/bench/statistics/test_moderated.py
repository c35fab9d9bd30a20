"""The moderated t against its hand-worked case, scipy, a slow loop and simulation."""

import math

import numpy as np
import pytest
from scipy import special, stats

from sampling.bench.statistics import all_equal, moderate, pool, prior
from sampling.bench.statistics._distributions import inverse_trigamma, t_quantile, t_tail

from .simulation import tables


def generator(seed=0):
    return np.random.RandomState(seed)  # noqa: NPY002


def test_a_single_row_has_the_paired_t_test_of_scipy():
    full, other = generator().normal(90, 0.3, (2, 7))
    found = moderate([other - full])
    wanted = stats.ttest_rel(other, full)
    assert found.not_zero() == pytest.approx(wanted.pvalue)
    assert found.df == wanted.df
    ends = wanted.confidence_interval(0.95)
    assert np.ravel(found.interval(0.025)) == pytest.approx((ends.low, ends.high))
    for p, side in ((found.non_inferior(0.3), "greater"), (found.inferior(0.3), "less")):
        assert p == pytest.approx(stats.ttest_1samp(other - full, -0.3, alternative=side).pvalue)


def test_the_prior_of_a_case_worked_by_hand():
    """Two rows of 2 df and variances exp(+-pi / sqrt 6).

    Their logs spread by pi**2 / 3; trigamma(1) = pi**2 / 6 of it is chance, so trigamma(d0 / 2) is
    the other pi**2 / 6 and d0 = 2. The digammas cancel, and s0**2 = exp(0).
    """
    a = math.pi / math.sqrt(6)
    assert prior([math.exp(a), math.exp(-a)], [2, 2]) == pytest.approx((1, 2))


def test_without_excess_spread_the_prior_is_infinite_and_the_variance_pooled():
    rows = generator().normal(0, 1, (6, 5))
    rows = (rows - rows.mean(1, keepdims=True)) / rows.std(1, ddof=1, keepdims=True) + 0.4
    found = moderate(rows, correlation=0.0)
    assert (found.prior_df, found.prior_variance) == (math.inf, pytest.approx(1))
    assert found.df == pytest.approx(24)
    assert found.not_zero() == pytest.approx(2 * stats.t.sf(0.4 * math.sqrt(5), 24))


def test_rows_of_unlike_lengths_agree_with_a_loop_over_rows():
    rows = generator(1).normal(0, [[1], [1.5], [0.6], [1], [2]], (5, 8))
    rows[1, 5:] = rows[2, ::2] = np.nan
    found = moderate(rows, correlation=0.6)
    own, df = [], []
    for row in rows:
        row = row[~np.isnan(row)]  # noqa: PLW2901
        own.append(row.var(ddof=1))
        df.append(len(row) - 1)
    e = [math.log(v) - special.digamma(d / 2) + math.log(d / 2) for v, d in zip(own, df)]  # noqa: B905
    excess = np.var(e, ddof=1) - (1 - 0.36) * np.mean([special.polygamma(1, d / 2) for d in df])
    d0 = 2 * float(inverse_trigamma(excess))
    s0 = math.exp(np.mean(e) + special.digamma(d0 / 2) - math.log(d0 / 2))
    pairs = sum(min(a, b) for i, a in enumerate(df) for j, b in enumerate(df) if i != j)
    worth = sum(df) ** 2 / (sum(df) + 0.36 * pairs)
    for i in range(5):
        shrunk = (d0 * s0 + df[i] * own[i]) / (d0 + df[i])
        up = shrunk >= own[i]
        assert found.shrunk[i] == pytest.approx(shrunk)
        assert found.variance[i] == pytest.approx(shrunk if up else own[i])
        assert found.df[i] == pytest.approx(max(df[i], min(d0 + df[i], worth)) if up else df[i])
        assert found.mean[i] == pytest.approx(np.nanmean(rows[i]))
    assert {float(each) for each in found.variance - found.own if each == 0}  # some are not shrunk
    assert (found.variance > found.own).any()


def test_few_rows_have_their_own_variances():
    rows = generator().normal(0, 1, (4, 6))
    assert (moderate(rows[:3]).df == 5).all()
    assert (moderate(rows).df > 5).any()


def test_rows_without_spread_or_seeds_are_no_member_of_the_prior():
    rows = generator(2).normal(0, 1, (7, 5))
    rows[4], rows[5, 1:], rows[6] = 0.1 + 0.2, np.nan, np.nan
    found, others = moderate(rows, correlation=0.5), moderate(rows[:4], correlation=0.5)
    assert found.prior_df == others.prior_df
    assert found.prior_variance == others.prior_variance
    assert found.equal.tolist() == [False] * 4 + [True, False, False]
    assert found.seeds.tolist() == [5] * 5 + [1, 0]
    assert np.isnan(found.not_zero()[4:]).all()
    assert np.isfinite(found.not_zero()[:4]).all()
    alone = moderate(np.zeros((3, 5)))
    assert alone.equal.all()
    assert np.isnan(alone.non_inferior(0.3)).all()
    assert all_equal([[1e6, 1e6 + 1e-5], [0.0, 1e-5], [np.nan, 1.0]]).tolist() == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("reference", [0.5, 1.0, 2.0])
def test_what_correlated_rows_are_worth(reference):
    """The variance of the pooled variance of 22 rows, over 4,000 tables (10 % tolerance)."""
    many = tables(generator(), 4000, np.zeros(22), np.ones(22), reference, 5)
    rho = reference**2 / (1 + reference**2)
    own = many.var(2, ddof=1)
    mean, df = pool(own, np.full(own.shape, 4.0), rho**2)
    assert mean == pytest.approx(own.mean(1))
    assert df[0] == pytest.approx(88 / (1 + 21 * rho**2))
    assert mean.var() == pytest.approx(2 * (1 + reference**2) ** 2 / df[0], rel=0.1)
    used = (many.shape[1] * 4 / moderate(many[:500]).pooled_df - 1) / 21  # rho**2 that was used
    assert np.mean(np.sqrt(used)) == pytest.approx(max(rho, 0.5), abs=0.12)


def test_the_spread_of_a_pilot_is_not_used_again():
    row = generator().normal(0, 1, 9)
    found = moderate([row], pilot=3)
    squares = ((row - row.mean()) ** 2).sum() - ((row[:3] - row[:3].mean()) ** 2).sum()
    assert found.own == pytest.approx(squares / 6)
    assert found.df == 6
    assert found.mean == pytest.approx(row.mean())
    assert moderate([row[:3]], pilot=3).df == 2  # nothing else is known
    row[1] = np.nan
    assert moderate([row], pilot=3).df == 6
    many = generator().normal(0, 1, (4000, 1, 8))
    both = moderate(many, pilot=3).own[:, 0], many[:, 0, :3].var(1, ddof=1)
    assert abs(np.corrcoef(*both)[0, 1]) < 4 / math.sqrt(4000)


@pytest.mark.parametrize("deviations", [np.ones(10), np.geomspace(0.5, 2, 10)])
def test_intervals_cover_as_often_as_they_say_in_every_row(deviations):
    """2,000 tables of five seeds: at least 95 % of each row, within four standard errors."""
    many = tables(generator(3), 2000, np.full(10, 0.2), deviations, 1.0, 5)
    low, high = moderate(many).interval(0.025)
    covered = ((low <= 0.2) & (high >= 0.2)).mean(0)
    assert (covered > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2000)).all()
    assert covered.mean() < 0.985


def test_distributions_are_those_of_scipy_stats():
    t, df = np.array([-3, 0.2, 2.5, 9.0]), np.array([1.0, 4.3, 22.7, math.inf])
    assert t_tail(t, df) == pytest.approx(stats.t.sf(t, df))
    tail = np.array([0.4, 0.025, 1e-4, 1e-6])
    assert t_quantile(tail, df) == pytest.approx(stats.t.isf(tail, df))
    assert t_quantile(0, 3) == math.inf
    y = np.array([1e-8, 1e-3, 0.5, 3, 1e5, 1e9])
    assert special.polygamma(1, inverse_trigamma(y)) == pytest.approx(y, rel=1e-6)
