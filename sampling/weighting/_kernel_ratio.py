"""Density ratios by kernels: by least squares (uLSIF), by matched means (KMM, double weighting).

`density_ratio_weights` needs a classifier that fits the data; these need a bandwidth. All columns
are standardized by the two samples together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check._keywords import told
from .._warning import warn
from ..types import Floats
from ._density_ratio import sides, weighting_of
from ._sample_weights import SampleWeights

_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the median distance
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_PAIRS = 500  # rows whose distances give the median, and pairs that are left out
_CHANGE = 1e-4  # of a weight, at which an iteration has converged
_HALVINGS = 60
_BLIND = 0.01  # mean similarity, from 0 or 1, at which a kernel does not tell rows apart


@told
def ulsif_weights(  # noqa: PLR0913  # a basis, its penalty, the limits of the weights
    source: ArrayLike,
    target: ArrayLike,
    *,
    num_basis: int = 100,
    bandwidth: float | None = None,
    ridge: float | None = None,
    relative: float = 0.0,
    clip_quantile: float = 0.99,
    power: float = 1.0,
    seed: int = 0,
) -> SampleWeights:
    """Return weights of mean 1 under which source samples look like target samples, by uLSIF.

    The density ratio is fitted by least squares as a sum of Gaussians at target samples, with a
    solution in closed form.

    Parameters
    ----------
    source : float array of shape (N, D)
        Embeddings of the samples to be weighted, at least 20.
    target : float array of shape (T, D)
        Embeddings of the target, at least 20.
    num_basis : int >= 1, default 100
        Number of random target samples with a Gaussian.
    bandwidth, ridge : float > 0, optional
        Standard deviation of the Gaussians in standardized columns, and the penalty. By default
        those of the least error of leave-one-out, of 0.25 to 4 times the median distance and 0.001
        to 1.
    relative : float in [0, 1), default 0.0
        r of the ratio to the mixture (1 - r) source + r target, which is at most 1 / r. Defaults of
        bandwidth and ridge are those of r = 0.
    clip_quantile, power, seed
        As those of `density_ratio_weights`; the seed chooses the samples of the basis.

    Returns
    -------
    SampleWeights
        Of mean 1, with the warnings of `density_ratio_weights`, one if the weighted source does
        not reach half of the target's mean in the kernel space, and one if a given bandwidth makes
        nearly all samples alike or unlike.

    Raises
    ------
    ValueError
        As `density_ratio_weights`; if all ratios are 0, or all that `clip_quantile` leaves.

    Notes
    -----
    Cost
        O((N + T) b (D + b)) for b Gaussians, 5 times if the bandwidth is not given; 8 (N + T) b
        bytes. Both of 10^5 samples, D = 64: 4.3 s of one core.
    Source
        Kanamori, Hido, Sugiyama, "A Least-squares Approach to Direct Importance Estimation", JMLR
        2009; the grids and the standardized columns are choices of this package, and so is that
        negative ratios are set to 0: the authors set negative coefficients to 0.

    Examples
    --------
    >>> source = np.repeat([[0.0], [1.0]], [30, 10], axis=0)
    >>> target = np.repeat([[0.0], [1.0]], [10, 30], axis=0)
    >>> weighting = ulsif_weights(source, target)
    >>> bool(weighting.values[-1] > 5 * weighting.values[0])  # 9 without the penalty
    True
    """
    rows, others = _standardized(*sides(source, target))
    count = _check.integer("num_basis", num_basis, 1)
    width = None if bandwidth is None else _check.number("bandwidth", bandwidth, "(0, inf)")
    penalty = None if ridge is None else _check.number("ridge", ridge, "(0, inf)")
    part = _check.number("relative", relative, "[0, 1)")
    limit = _check.number("clip_quantile", clip_quantile, "(0, 1]")
    power = _check.number("power", power, "(0, 1]")
    key = _rng.key(_check.seed(seed), 0, "ulsif_weights")
    centers = others[_some(len(others), count, _rng.subkey(key, 0))]
    widths = (
        [width] if width is not None else [each * _median(rows, others, key) for each in _WIDTHS]
    )
    ridges = [penalty] if penalty is not None else list(_RIDGES)
    if width is not None:
        _warn_blind(rows, others, width, key)
    best, ratios, unmatched = np.inf, np.zeros(len(rows)), 1.0
    for each in widths:
        phi, psi = _gaussians(rows, centers, each), _gaussians(others, centers, each)
        errors = [np.inf if len(widths) * len(ridges) > 1 else -np.inf]
        if len(widths) * len(ridges) > 1:
            errors = [_left_out(phi, psi, one, key) for one in ridges]
        if min(errors) < best:
            best = min(errors)
            ratios = _fitted(phi, psi, ridges[int(np.argmin(errors))], part)
            unmatched = _unmatched(phi, ratios, psi, np.ones(len(others)))
    return weighting_of(ratios, limit, power, unmatched)


def _unmatched(phi: NDArray[Any], own: Floats, psi: NDArray[Any], others: Floats) -> float:
    """Return the squared distance of the two weighted means, as a fraction of the target's square.

    phi, psi    : features of the source (N, F) and the target (T, F)
    own, others : their weights, (N,) and (T,)
    """
    if not own.any() or not others.any():
        return 1.0
    aim = others @ psi / others.sum()
    gap = own @ phi / own.sum() - aim
    return float(gap @ gap) / (float(aim @ aim) or 1.0)


def _fitted(phi: Floats, psi: Floats, ridge: float, relative: float) -> Floats:
    """Return the ratio of each source row: max(0, phi (H + ridge I)^-1 h), (N,)."""
    square = (1 - relative) * (phi.T @ phi) / len(phi)
    if relative:
        square += relative * (psi.T @ psi) / len(psi)
    theta = np.linalg.solve(square + ridge * np.eye(phi.shape[1]), psi.mean(axis=0))
    found: Floats = np.maximum(phi @ theta, 0.0)
    return found


def _left_out(phi: Floats, psi: Floats, ridge: float, key: np.uint64) -> float:
    """Return the error of leave-one-out over pairs of a source and a target row.

    Without source row i, H + ridge I changes by a matrix of rank 1, so one inverse serves all.
    """
    n, m = len(phi), len(psi)
    count = min(n, m, _PAIRS)
    own = phi[_some(n, count, _rng.subkey(key, 1))].T
    other = psi[_some(m, count, _rng.subkey(key, 2))].T
    inverse = np.linalg.inv(phi.T @ phi / n + ridge * (n - 1) / n * np.eye(len(own)))
    means = (m * psi.mean(axis=0)[:, None] - other) / (m - 1)
    turned, solved = inverse @ own, inverse @ means
    factor = (own * solved).sum(axis=0) / (n - (own * turned).sum(axis=0))
    theta = (n - 1) / n * (solved + turned * factor)
    at_source = np.maximum((own * theta).sum(axis=0), 0.0)
    at_target = np.maximum((other * theta).sum(axis=0), 0.0)
    return float((0.5 * at_source**2 - at_target).mean())


@told
def kmm_weights(  # noqa: PLR0913  # a kernel, its limits, the limits of the weights
    source: ArrayLike,
    target: ArrayLike,
    *,
    bandwidth: float | None = None,
    max_weight: float = 1000.0,
    num_features: int = 100,
    max_iter: int = 300,
    clip_quantile: float = 0.99,
    power: float = 1.0,
    seed: int = 0,
) -> SampleWeights:
    """Return weights of mean 1 that give the source the target's mean in a kernel space (KMM).

    Parameters
    ----------
    source : float array of shape (N, D)
        Embeddings of the samples to be weighted, at least 20.
    target : float array of shape (T, D)
        Embeddings of the target, at least 20.
    bandwidth : float > 0, optional
        Of the Gaussian kernel, in standardized columns; by default the median distance.
    max_weight : float >= 1, default 1000.0
        Largest weight, before they are scaled to mean 1.
    num_features : int >= 1, default 100
        Pairs of random Fourier features that replace the kernel.
    max_iter : int >= 1, default 300
        Steps of the accelerated projected gradient, which ends earlier if no weight changes by more
        than 1e-4.
    clip_quantile, power, seed
        As those of `density_ratio_weights`; the seed draws the features.

    Returns
    -------
    SampleWeights
        Of mean 1, with the warnings of `density_ratio_weights`, one if the weighted source does
        not reach half of the target's mean in the kernel space, and one if a given bandwidth makes
        nearly all samples alike or unlike.

    Raises
    ------
    ValueError
        As `density_ratio_weights`; if all weights are 0, or all that `clip_quantile` leaves.

    Notes
    -----
    Cost
        O((N + T) F (D + S)) for F features and S steps; 24 (N + T) F bytes. Both of 10^5 samples,
        D = 64: 12 s of one core.
    Source
        Huang et al., "Correcting Sample Selection Bias by Unlabeled Data", NeurIPS 2006, whose
        limits of the mean, 1 +- (1 - 1 / sqrt(N)), these are. Random features instead of the
        matrix of all pairs, and the default bandwidth, are choices of this package.

    Examples
    --------
    >>> source = np.repeat([[0.0], [1.0]], [30, 10], axis=0)
    >>> target = np.repeat([[0.0], [1.0]], [10, 30], axis=0)
    >>> weighting = kmm_weights(source, target)
    >>> bool(weighting.values[-1] > 8 * weighting.values[0])
    True
    """
    limit = _check.number("clip_quantile", clip_quantile, "(0, 1]")
    power = _check.number("power", power, "(0, 1]")
    weights, _, unmatched = _matched(
        source, target, bandwidth, max_weight, 1.0, num_features, max_iter, seed
    )
    return weighting_of(weights, limit, power, unmatched)


@told
def double_weights(  # noqa: PLR0913  # a kernel, its limits, the limits of the weights
    source: ArrayLike,
    target: ArrayLike,
    *,
    relaxation: float,
    bandwidth: float | None = None,
    max_weight: float = 1000.0,
    num_features: int = 100,
    max_iter: int = 300,
    clip_quantile: float = 0.99,
    power: float = 1.0,
    seed: int = 0,
) -> tuple[SampleWeights, Floats]:
    """Return weights of source and target under which both have one mean, by double weighting.

    Target samples where the source has none are given up: they get weights below 1, so that no
    source sample needs a very large one.

    Parameters
    ----------
    source : float array of shape (N, D)
        Embeddings of the samples to be weighted, at least 20.
    target : float array of shape (T, D)
        Embeddings of the target, at least 20.
    relaxation : float >= 1
        D of the paper: 1 is `kmm_weights`; a larger one allows lower weights of the target, and
        limits those of the source to max_weight / sqrt(relaxation).
    bandwidth, max_weight, num_features, max_iter
        As those of `kmm_weights`.
    clip_quantile, power, seed
        As those of `density_ratio_weights`; the seed draws the features.

    Returns
    -------
    weighting : SampleWeights
        Of the source, of mean 1, with the warnings of `kmm_weights`.
    target_weights : float64 array of shape (T,)
        In [0, 1]; low for target samples that the source does not represent.

    Raises
    ------
    ValueError
        As `kmm_weights`.

    Notes
    -----
    Cost
        As `kmm_weights`. Both of 10^5 samples, D = 64: 11 s of one core.
    Source
        Segovia-Martin, Mazuelas, Liu, "Double-Weighting for Covariate Shift Adaptation", ICML 2023,
        with its limits of the weights. Random features and projected gradient steps replace its
        solver.

    Examples
    --------
    >>> source = np.repeat([[0.0], [1.0]], [30, 10], axis=0)
    >>> target = np.repeat([[1.0], [9.0]], [30, 10], axis=0)
    >>> weighting, found = double_weights(source, target, relaxation=4.0)
    >>> bool(found[0] > 0.9 > 0.5 > found[-1])
    True
    """
    relaxation = _check.number("relaxation", relaxation, "[1, inf)")
    limit = _check.number("clip_quantile", clip_quantile, "(0, 1]")
    power = _check.number("power", power, "(0, 1]")
    weights, others, unmatched = _matched(
        source, target, bandwidth, max_weight, relaxation, num_features, max_iter, seed
    )
    return weighting_of(weights, limit, power, unmatched), others


def _matched(  # noqa: PLR0913  # those of the public functions
    source: ArrayLike,
    target: ArrayLike,
    bandwidth: float | None,
    max_weight: float,
    relaxation: float,
    num_features: int,
    max_iter: int,
    seed: int,
) -> tuple[Floats, Floats, float]:
    """Return weights b of the source (N,), a of the target (T,), and what is not matched."""
    rows, others = _standardized(*sides(source, target))
    largest = _check.number("max_weight", max_weight, "[1, inf)")
    most = largest / float(np.sqrt(relaxation))
    if most < 1:
        raise ValueError(
            f"max_weight must be at least sqrt(relaxation), {np.sqrt(relaxation):g}, got "
            f"{largest:g}: source weights below 1 would not match any target"
        )
    count = _check.integer("num_features", num_features, 1)
    steps = _check.integer("max_iter", max_iter, 1)
    key = _rng.key(_check.seed(seed), 0, "kmm_weights")
    if bandwidth is None:
        width = _median(rows, others, key)
    else:
        width = _check.number("bandwidth", bandwidth, "(0, inf)")
        _warn_blind(rows, others, width, key)
    turn = _normals(rows.shape[1], count, key) / width
    phi, psi = (_waves(each @ turn).astype(np.float32) for each in (rows, others))
    own, given = minimized(phi, psi, most, relaxation, steps)
    return own, given, _unmatched(phi, own, psi, given)


def minimized(
    phi: NDArray[Any], psi: NDArray[Any], most: float, relaxation: float, steps: int
) -> tuple[Floats, Floats]:
    """Minimize |mean(b phi) - mean(a psi)|^2 over weights b (N,) and a (T,) within their limits.

    0 <= b <= most, 0 <= a <= 1, |mean b - mean a| <= 1 - 1 / sqrt(N), and
    |a - 1| <= (1 - 1 / sqrt(relaxation)) sqrt(T): accelerated projected gradient, restarted where
    the objective increases. Weights are divided by the root of N and T, for one step size.
    """
    n, m = len(phi), len(psi)
    joint = np.concatenate([phi, -psi])
    joint[:n] /= np.sqrt(n)
    joint[n:] /= np.sqrt(m)  # times (b, a) / root: the gap
    rate = 1.0 / float(np.linalg.eigvalsh(joint.T @ joint)[-1])
    scale = np.concatenate([np.full(n, np.sqrt(n)), np.full(m, np.sqrt(m))])
    project = _projection(n, m, most, relaxation)

    def gap_of(weights: Floats) -> Floats:
        gap: Floats = ((weights / scale).astype(joint.dtype) @ joint).astype(np.float64)
        return gap

    now = ahead = project(np.ones(n + m))
    gap = gap_ahead = gap_of(now)
    momentum, last = 1.0, np.inf
    for _ in range(steps):
        # in units of `scale`, weights of both sides have one step size
        slope = (joint @ gap_ahead.astype(joint.dtype)).astype(np.float64)
        found = project(ahead - rate * scale * slope)
        own = gap_of(found)
        value = float(np.square(own).sum())
        if value > last:
            momentum, ahead, gap_ahead, last = 1.0, now, gap, np.inf
            continue
        change = float(np.abs(found - now).max())
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        pull = (momentum - 1) / following
        ahead, gap_ahead = found + pull * (found - now), own + pull * (own - gap)
        now, gap, momentum, last = found, own, following, value
        if change < _CHANGE:
            break
    return now[:n], now[n:]


def _projection(n: int, m: int, most: float, relaxation: float) -> Callable[[Floats], Floats]:
    """Return the projection of (b, a), (N + T,), to the limits of the weights.

    In the metric of the steps, |b|^2 / N + |a|^2 / T.
    """
    slack, radius = 1 - 1 / np.sqrt(n), (1 - 1 / np.sqrt(relaxation)) * np.sqrt(m)

    def within_ball(short: Floats) -> Floats:
        """Return 1 - a in [0, 1], of length `radius` at most."""
        found: Floats = np.clip(short, 0.0, 1.0)
        if np.linalg.norm(found) <= radius:
            return found
        low, high = 0.0, max(1.0, float(np.linalg.norm(short)) / max(radius, 1e-300))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            inside = np.linalg.norm(np.clip(short / (1 + middle), 0.0, 1.0)) <= radius
            low, high = (low, middle) if inside else (middle, high)
        shrunk: Floats = np.clip(short / (1 + high), 0.0, 1.0)
        return shrunk

    def shifted(joint: Floats, shift: float) -> Floats:
        own = np.clip(joint[:n] - shift, 0.0, most)
        if relaxation == 1.0:
            return np.concatenate([own, np.ones(m)])
        return np.concatenate([own, 1.0 - within_ball(1.0 - joint[n:] - shift)])

    def project(joint: Floats) -> Floats:
        found = shifted(joint, 0.0)
        gap = float(found[:n].mean() - found[n:].mean())
        if abs(gap) <= slack:
            return found
        aim = np.copysign(slack, gap)
        far = most + 1 + float(np.abs(joint).max())
        low, high = (0.0, far) if gap > 0 else (-far, 0.0)
        for _ in range(_HALVINGS):  # the gap decreases with the shift
            middle = (low + high) / 2
            found = shifted(joint, middle)
            above = found[:n].mean() - found[n:].mean() > aim
            low, high = (middle, high) if above else (low, middle)
        return found

    return project


def _standardized(rows: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return both with columns of mean 0 and deviation 1, together; constant columns are 0."""
    every = np.concatenate([rows, others])
    every -= every.mean(axis=0)
    largest = np.abs(every).max(axis=0)
    every /= np.where(largest > 0, largest, 1.0)  # before the squares
    spread = every.std(axis=0)
    every /= np.where(spread > 0, spread, 1.0)
    return every[: len(rows)], every[len(rows) :]


def _some(size: int, count: int, key: np.uint64) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return random row numbers, at most `count`."""
    return np.argsort(_rng.values(key, np.arange(size, dtype=np.uint64)), kind="stable")[:count]


def _median(rows: Floats, others: Floats, key: np.uint64) -> float:
    """Return the median distance of random source rows to random target rows; 1 if it is 0."""
    return float(np.sqrt(np.median(_pairs(rows, others, key)))) or 1.0


def _warn_blind(rows: Floats, others: Floats, width: float, key: np.uint64) -> None:
    """Warn if a bandwidth makes nearly all pairs alike: all weights would be about 1."""
    squares = _pairs(rows, others, key)
    alike = float(np.exp(-squares / width / width / 2).mean())
    if not _BLIND < alike < 1 - _BLIND:
        middle = float(np.sqrt(np.median(squares))) or 1.0
        warn(
            f"bandwidth must be near the distances of the samples, whose median is {middle:.3g}, "
            f"got {width:g}: a sample and one of the target have a similarity of {alike:.2g} on "
            "average, so that the weights say little; omit bandwidth"
        )


def _pairs(rows: Floats, others: Floats, key: np.uint64) -> Floats:
    """Return the squared distances of random source rows to random target rows."""
    one = rows[_some(len(rows), _PAIRS, _rng.subkey(key, 3))]
    two = others[_some(len(others), _PAIRS, _rng.subkey(key, 4))]
    return _squares(one, two)


def _squares(rows: Floats, centers: Floats) -> Floats:
    """Return squared distances, (n, D), (b, D) -> (n, b)."""
    found: Floats = np.square(rows).sum(axis=1)[:, None] - 2 * (rows @ centers.T)
    found += np.square(centers).sum(axis=1)
    return np.maximum(found, 0.0, out=found)


def _gaussians(rows: Floats, centers: Floats, width: float) -> Floats:
    return np.asarray(np.exp(-_squares(rows, centers) / width / width / 2), np.float64)


def _normals(rows: int, columns: int, key: np.uint64) -> Floats:
    """Return standard normal numbers, by Box and Muller: (rows, columns)."""
    words = _rng.values(_rng.subkey(key, 5), np.arange(2 * rows * columns, dtype=np.uint64))
    points = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    one, two = points.reshape(2, rows, columns)
    found: Floats = np.sqrt(-2 * np.log(one)) * np.cos(2 * np.pi * two)
    return found


def _waves(phases: Floats) -> Floats:
    """Return features whose products are about those of the Gaussian kernel: (n, F) -> (n, 2 F)."""
    found: Floats = np.concatenate([np.cos(phases), np.sin(phases)], axis=1)
    found /= np.sqrt(phases.shape[1])
    return found
