"""Moderated paired t (Smyth 2004): rows of one keep fraction share what they know of the variance.

Three to twenty seeds say little about the variance of one row. The rows of a table are alike: each
variance is drawn from a prior, whose mean and degrees of freedom are estimated from all of them,
and a row is tested with a variance between its own and that of the prior.

Four things differ from genes on a chip. Each was simulated before it was mended (4,000 to 60,000
tables; one-sided level 0.025; "the last row" is the one that Holm's method tests at the whole
level):

Correlated rows
    All differences of a seed contain the same reference run, so rows are correlated (1/2 if
    reference and methods have one variance, more if the reference's is larger), and the pool of R
    rows of d degrees of freedom is worth R d / (1 + (R - 1) rho**2), not R d: 14, not 88, for 22
    rows of 5 seeds. With Smyth's count the error of the last row is 0.031 (22 rows, 5 seeds), and
    0.043 if the reference has twice the methods' deviation; with the count above, 0.025 and 0.028.
    rho is estimated, and at least 1/2. The same correlation hides spread between variances: of
    trigamma(d / 2), the share rho**2 is common to all rows and is not subtracted.
A row that is unlike the others
    The row at the margin is often the one of the largest variance, and a variance shrunk downwards
    rejects too often: 0.075 (two and a half times the others' variance, 22 rows, 10 seeds) to 0.11
    (six and a half times, 5 seeds), where the plain t has 0.025. So rows are shrunk upwards only: a
    row whose own variance is above the moderated one keeps it, with its own degrees of freedom. The
    error is then at most 0.025 in all of these cases. It costs power (0.94 becomes 0.83 for 22
    equal rows of 10 seeds; the plain t has 0.80), which the number of seeds pays for.
Few rows
    Two or three rows say little about a prior: 0.027 for two rows, 0.026 for three. Below four rows
    each has its own variance.
A number of seeds that depends on the variance
    Where three seeds happen to agree, few more are run, and the variance of all of them is too
    small: 0.037 for a single row, 0.031 for two. Given that number, all else is independent of the
    pilot's sum of squares around its own mean, so without it the t test is exact again (0.024 and
    0.025): two degrees of freedom less, and all seeds in the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ._distributions import Floats, digamma, inverse_trigamma, t_quantile, t_tail, trigamma

FEW = 4  # rows that say something about a prior
SHARED = 0.5  # correlation of rows by the reference alone, if all runs have one variance
_EQUAL = 1e-9  # differences within this, relative to the largest or to 1, are rounding


@dataclass(frozen=True)
class Moderated:
    """Mean and variance of paired differences, with what their tests need.

    Attributes
    ----------
    mean : float64 array of shape (..., R)
        Mean difference of each row; NaN without a seed.
    seeds : int64 array of shape (..., R)
        Seeds of each row.
    own : float64 array of shape (..., R)
        Variance of the differences of the row alone; NaN below two seeds.
    variance : float64 array of shape (..., R)
        Variance that the row is tested with.
    df : float64 array of shape (..., R)
        Degrees of freedom of `variance`.
    shrunk : float64 array of shape (..., R)
        Smyth's posterior variance, shrunk in both directions: the better estimate of one variance.
    prior_variance, prior_df : float64 array of shape (...)
        Mean and degrees of freedom of the prior; NaN and 0 below four rows.
    pooled, pooled_df : float64 array of shape (...)
        Variance over all rows, and the degrees of freedom that it is worth.
    equal : bool array of shape (..., R)
        Rows with two seeds or more, all of whose differences are equal.
    """

    mean: Floats
    seeds: np.ndarray
    own: Floats
    variance: Floats
    df: Floats
    shrunk: Floats
    prior_variance: Floats
    prior_df: Floats
    pooled: Floats
    pooled_df: Floats
    equal: np.ndarray

    @property
    def error(self) -> Floats:
        """Standard error of the mean, float64 (..., R)."""
        return np.asarray(np.sqrt(self.variance / np.maximum(self.seeds, 1)), float)

    def non_inferior(self, margin: float) -> Floats:
        """One-sided p-value of mean > -margin, float64 (..., R)."""
        return t_tail((self.mean + margin) / self._divisor, self.df)

    def inferior(self, margin: float) -> Floats:
        """One-sided p-value of mean < -margin, float64 (..., R)."""
        return t_tail(-(self.mean + margin) / self._divisor, self.df)

    def not_zero(self) -> Floats:
        """Two-sided p-value of mean != 0, float64 (..., R)."""
        return 2 * t_tail(np.abs(self.mean) / self._divisor, self.df)

    def interval(self, tail: ArrayLike) -> tuple[Floats, Floats]:
        """Interval of the mean with probability `tail` on each side."""
        half = t_quantile(tail, self.df) * self._divisor
        return self.mean - half, self.mean + half

    @property
    def _divisor(self) -> Floats:
        return np.where(self.equal | (self.seeds < 2), np.nan, self.error)


def moderate(
    differences: ArrayLike, *, pilot: int = 0, correlation: ArrayLike | None = None
) -> Moderated:
    """Return what the tests of each row need, from its differences and those of the other rows.

    Parameters
    ----------
    differences : array of shape (..., R, S), converted to float64
        Difference of each row from the reference at each seed; NaN where the row has no such seed.
        The R rows are those of one keep fraction and metric.
    pilot : int, default 0
        First seeds whose spread set the number of seeds; 0 if it was fixed beforehand. Their spread
        around their own mean is not used again, in rows that have more seeds.
    correlation : array of shape (...), optional
        Correlation of two rows' differences in one seed; by default estimated, and at least 1/2.

    Returns
    -------
    Moderated
        Below four rows, and where a row is more variable than the others, the plain paired t.
    """
    values = np.asarray(differences, float)
    known = np.isfinite(values)
    seeds = known.sum(-1)
    filled = np.where(known, values, 0.0)
    mean = np.where(seeds > 0, filled.sum(-1) / np.maximum(seeds, 1), np.nan)
    residuals = np.where(known, values - mean[..., None], 0.0)
    squares = (residuals**2).sum(-1)
    df = np.maximum(seeds - 1, 0).astype(float)
    first = known[..., :pilot].sum(-1)
    part = residuals[..., :pilot]
    inside = (part**2).sum(-1) - part.sum(-1) ** 2 / np.maximum(first, 1)
    sized = (first > 1) & (seeds > first)
    squares = np.where(sized, np.maximum(squares - inside, 0.0), squares)
    df = np.where(sized, df - (first - 1), df)
    own = np.where(df > 0, squares / np.maximum(df, 1), np.nan)
    equal = (df > 0) & all_equal(values)
    usable = np.where(equal | (own <= 0), np.nan, own)

    shared = _correlation(residuals, known) if correlation is None else np.asarray(correlation)
    shared = shared**2
    pooled, pooled_df = pool(usable, df, shared)
    prior_variance, prior_df = np.full(pooled.shape, np.nan), np.zeros(pooled.shape)
    if usable.shape[-1] >= FEW:
        enough = np.isfinite(usable).sum(-1) >= FEW
        prior_variance, prior_df = prior(usable, df, shared)
        prior_variance = np.where(enough, prior_variance, np.nan)
        prior_df = np.where(enough, prior_df, 0.0)
    # An infinite prior has all of the weight
    weight = np.where(np.isfinite(prior_df), prior_df, 1e300)[..., None]
    base = np.where(np.isfinite(prior_variance), prior_variance, 0.0)[..., None]
    shrunk = (weight * base + df * np.where(df > 0, own, 0.0)) / (weight + np.maximum(df, 1e-300))
    upwards = (prior_df[..., None] > 0) & (df > 0) & ~(shrunk < own * (1 - 1e-12))
    total = np.clip(prior_df[..., None] + df, df, np.maximum(df, pooled_df[..., None]))
    return Moderated(
        mean=mean,
        seeds=seeds,
        own=own,
        variance=np.where(upwards, shrunk, own),
        df=np.where(df > 0, np.where(upwards, total, df), np.nan),
        shrunk=np.where(prior_df[..., None] > 0, shrunk, own),
        prior_variance=prior_variance,
        prior_df=prior_df,
        pooled=pooled,
        pooled_df=pooled_df,
        equal=equal,
    )


def prior(variance: ArrayLike, df: ArrayLike, shared: ArrayLike = 0.0) -> tuple[Floats, Floats]:
    """Estimate the prior of variances from the moments of their logarithms (Smyth 2004, §6.2).

    1 / sigma**2 is chi-square of d0 degrees of freedom, divided by d0 s0**2. Then the logarithm of
    a row's variance has mean log s0**2 + digamma(d / 2) - digamma(d0 / 2) + log(d0 / d) and
    variance trigamma(d / 2) + trigamma(d0 / 2), which are solved for s0**2 and d0.

    Parameters
    ----------
    variance : array of shape (..., R)
        Variance of each row. NaN, 0 and rows without degrees of freedom are ignored.
    df : array of shape (..., R)
        Degrees of freedom of each.
    shared : array of shape (...), default 0
        Squared correlation of two rows: the share of trigamma(d / 2) that does not show as spread
        between rows. 0 is the estimate of Smyth, for independent rows.

    Returns
    -------
    variance, df : float64 arrays of shape (...)
        s0**2 and d0. Without excess spread d0 is infinite and s0**2 the pooled variance. Below two
        rows there is no prior: NaN and 0.
    """
    variance, df = np.broadcast_arrays(np.asarray(variance, float), np.asarray(df, float))
    used = np.isfinite(variance) & (variance > 0) & (df > 0)
    rows = used.sum(-1)
    d = np.where(used, df, 1.0)
    logs = np.log(np.where(used, variance, 1.0)) - digamma(d / 2) + np.log(d / 2)
    count = np.maximum(rows, 1)
    mean = np.where(used, logs, 0.0).sum(-1) / count
    spread = np.where(used, (logs - mean[..., None]) ** 2, 0.0).sum(-1) / np.maximum(rows - 1, 1)
    within = np.where(used, trigamma(d / 2), 0.0).sum(-1) / count
    excess = spread - (1 - np.asarray(shared, float)) * within
    finite = (rows > 1) & (excess > 0)
    d0 = 2 * inverse_trigamma(np.where(finite, excess, 1.0))
    s0 = np.exp(mean + digamma(d0 / 2) - np.log(d0 / 2))
    weights = np.where(used, df, 0.0)
    pooled = (weights * np.where(used, variance, 0.0)).sum(-1) / np.maximum(weights.sum(-1), 1e-300)
    none = rows < 2
    return (
        np.where(none, np.nan, np.where(finite, s0, pooled)),
        np.where(none, 0.0, np.where(finite, d0, np.inf)),
    )


def pool(variance: ArrayLike, df: ArrayLike, shared: ArrayLike = 0.0) -> tuple[Floats, Floats]:
    """Return the mean variance of rows, weighted by df, and the degrees of freedom it is worth.

    With `shared`, the squared correlation of rows, by Satterthwaite: two rows' variances are
    correlated as their common degrees of freedom. (..., R) -> (...); NaN and 0 without a row.
    """
    variance, df = np.broadcast_arrays(np.asarray(variance, float), np.asarray(df, float))
    used = np.isfinite(variance) & (df > 0)
    d = np.where(used, df, 0.0)
    total = d.sum(-1)
    common = np.minimum(d[..., :, None], d[..., None, :]).sum((-1, -2)) - total
    scatter = np.where(total > 0, total + np.asarray(shared, float) * common, 1.0)
    mean = (d * np.where(used, variance, 0.0)).sum(-1) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan), total**2 / scatter


def all_equal(differences: ArrayLike) -> np.ndarray:
    """Return whether the differences of each row are equal up to rounding, (..., S) -> (...).

    A row without a difference counts as equal.
    """
    values = np.asarray(differences, float)
    known = np.isfinite(values)
    high = np.where(known, values, -np.inf).max(-1, initial=-np.inf)
    low = np.where(known, values, np.inf).min(-1, initial=np.inf)
    scale = np.maximum(1.0, np.abs(np.where(known, values, 0.0)).max(-1, initial=0.0))
    return np.asarray(~known.any(-1) | (np.where(known.any(-1), high - low, 0.0) <= _EQUAL * scale))


def _correlation(residuals: Floats, known: np.ndarray) -> Floats:
    """Return the mean correlation of two rows in one seed, at least `SHARED`: (..., R, S) -> (...).

    The mean covariance over pairs of rows comes from the sums over rows, without the pairs.
    """
    own = (residuals**2).sum((-1, -2))
    products = (residuals.sum(-2) ** 2).sum(-1) - own
    counts = known.astype(float)
    common = np.maximum(np.swapaxes(counts, -1, -2).sum(-1), 0.0)
    rows = (known.sum(-1) > 0).sum(-1)
    # seeds in common minus 1, summed over ordered pairs of rows
    pairs = (common * (common - 1)).sum(-1) - rows * (rows - 1)
    df = np.maximum(known.sum(-1) - 1, 0).sum(-1)
    variance = own / np.maximum(df, 1)
    found = products / np.maximum(pairs, 1) / np.where(variance > 0, variance, 1.0)
    return np.asarray(np.clip(np.where((pairs > 0) & (variance > 0), found, 0), SHARED, 1), float)
