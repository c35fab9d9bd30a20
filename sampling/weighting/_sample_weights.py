"""Weights that are known for each sample before training: by domain, by target, or given."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check import _labels
from .._check._keywords import told
from .._shares import effective_size, temperature_shares
from ..types import Floats, Indices, Scores
from ._rows import Rows

_REACH = 8  # standard deviations of a kernel beyond which it is 0


@told
class SampleWeights:
    """Weights of the samples of a dataset, as a weighting for `reduce`.

    Parameters
    ----------
    weights : array-like of shape (N,)
        Weight of each sample of the dataset, finite and >= 0, not all 0. They are used as given:
        with mean 1 the loss keeps its scale.

    Attributes
    ----------
    values : float32 array of shape (N,)
        The weights.
    effective_sample_size : float
        See `effective_sample_size`.

    Raises
    ------
    ValueError
        If a weight is negative, or not finite as float32, or all are 0.

    Notes
    -----
    Cost
        4 N bytes, and 4 N on each device that losses are on. Never waits for a device.
    Gradients
        The objective becomes the weighted mean over the data.

    Examples
    --------
    >>> weighting = SampleWeights([0.5, 1.0, 1.5])
    >>> weighting(torch.ones(2), indices=[2, 0])
    tensor([1.5000, 0.5000])
    """

    def __init__(self, weights: ArrayLike) -> None:
        given: Any = weights  # a SampleWeights, or what `double_weights` returns, by mistake
        several = isinstance(given, tuple) and given
        if isinstance(given[0] if several else given, SampleWeights):
            which = "the first of the results" if several else "them"
            raise TypeError(f"weights must be numbers, got SampleWeights: use {which} as they are")
        found = _check.weights("weights", weights)
        with np.errstate(over="ignore"):  # refused below
            self._weights = found.astype(np.float32)
        beyond = np.flatnonzero(np.isinf(self._weights))
        if beyond.size:
            given = float(_check.host(weights, "weights")[beyond[0]])  # `found` may be scaled
            raise ValueError(
                f"weights must be finite as float32, got {given:g} in row {beyond[0]}: divide them "
                "by their mean"
            )
        if not self._weights.any():
            raise ValueError(
                f"weights must not all be 0 as float32, got at most {found.max():g}: divide them "
                "by their mean"
            )
        self.effective_sample_size = effective_size(found)
        self._rows = Rows(self._weights)

    @property
    def values(self) -> Scores:
        """The weights, float32 (N,)."""
        return self._weights.copy()

    def __len__(self) -> int:
        return self._weights.size

    def __call__(self, losses: torch.Tensor, *, indices: ArrayLike | torch.Tensor) -> torch.Tensor:
        """Return the weights of a batch.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            Only their device and dtype are used.
        indices : int array or tensor of shape (B,)
            Dataset indices of the samples.

        Returns
        -------
        floating tensor of shape (B,)
        """
        return self._rows.of(indices, losses)


@told
def effective_sample_size(weights: ArrayLike) -> float:
    """Return the number of equally weighted samples with the same variance: (sum w)^2 / sum w^2.

    Parameters
    ----------
    weights : array-like of shape (N,)
        Finite and >= 0, not all 0; their scale has no effect.

    Returns
    -------
    float
        In [1, N].

    Notes
    -----
    Source
        Kish, "Survey Sampling", 1965.

    Examples
    --------
    >>> effective_sample_size([1.0, 1.0, 1.0, 1.0])
    4.0
    >>> round(effective_sample_size([9.0, 1.0, 1.0, 1.0]), 3)
    1.714
    """
    return effective_size(_check.weights("weights", weights))


@told
def upweight(domains: ArrayLike, temperature: float) -> SampleWeights:
    """Return the loss weights that equal temperature sampling of domains, for plain shuffling.

    A control: in expectation the gradient is that of `MixtureSampler(domains=domains,
    temperature=temperature)`, but its variance is never smaller and grows with the temperature.
    Prefer the sampler; use weights where the order of the data is fixed, and see
    `effective_sample_size` of the result, N divided by the factor of the variance.

    Parameters
    ----------
    domains : int or str array-like of shape (N,)
        Domain of each sample of the dataset.
    temperature : float > 0, or infinity
        Domains have weight in proportion to n_k ** (1 / temperature): 1 is natural, infinity
        weights all domains equally.

    Returns
    -------
    SampleWeights
        p_k(temperature) / p_k(1) of the domain of each sample, mean 1 over the data.

    Raises
    ------
    ValueError
        If a sample has no domain, or the temperature is not positive.

    Notes
    -----
    Cost
        O(N), 4 N bytes.
    Gradients
        Unbiased for the mean over domains in their shares, under a sampler that draws every sample
        equally often; `reduce(..., reduction="batch_mean")`.
    Source
        Li, Xu, Tan, Murray, Khashabi, "Upsample or Upweight? Balanced Training on Heavily
        Imbalanced Datasets", NAACL 2025, arXiv:2410.04579.

    Examples
    --------
    >>> weighting = upweight(["en"] * 3 + ["sw"], temperature=float("inf"))
    >>> weighting.values.round(3)
    array([0.667, 0.667, 0.667, 2.   ], dtype=float32)
    >>> round(weighting.effective_sample_size, 9)
    3.0
    """
    if temperature != float("inf"):
        temperature = _check.number("temperature", temperature, "(0, inf)")
    codes = _labels.labelled("domains", domains).codes
    if codes.min() < 0:
        row = int(codes.argmin())
        raise ValueError(f"domains must name a domain in each row, got none in row {row}")
    counts = np.bincount(codes).astype(np.float64)
    weights = temperature_shares(counts, temperature) / (counts / codes.size)
    return SampleWeights(weights[codes])


@told
def target_density_weights(
    targets: ArrayLike,
    *,
    bins: int | ArrayLike = 100,
    smoothing: float = 2.0,
    power: float = 0.5,
    max_ratio: float | None = 10.0,
) -> Floats:
    """Return weights of samples by the density of their targets, for imbalanced regression.

    The number of samples in each bin of targets is smoothed over the bins near it, and a sample of
    density d has a weight in proportion to d ** -power. For the loss use `SampleWeights(weights)`,
    to draw rare targets more often `WeightedSampler(weights)`; not both. Weights depend on the
    bins: compare a few, and see `effective_sample_size(weights)`.

    Parameters
    ----------
    targets : float array-like of shape (N,)
        Finite.
    bins : int or float array-like of shape (K + 1,), default 100
        Number of bins of equal width, or their edges in ascending order. Targets beyond the edges
        belong to the outer bins. For quantile bins give `np.quantile(targets, levels)`.
    smoothing : float >= 0, default 2.0
        Standard deviation of the Gaussian kernel, in bins; 0 for none. At the ends it is normalised
        over the bins that exist.
    power : float >= 0, default 0.5
        1 is inverse density, 1/2 its square root, 0 gives equal weights.
    max_ratio : float >= 1, optional, default 10.0
        Weights are clipped to [1 / max_ratio, max_ratio] times their median. None for no limit.

    Returns
    -------
    float64 array of shape (N,)
        Mean 1.

    Raises
    ------
    ValueError
        If a target is not finite (the message names the row), or edges are not ascending.

    Notes
    -----
    Cost
        O(N + K * min(K, smoothing)), 32 N bytes.
    Gradients
        As weights of the loss, biased towards rare targets.
    Source
        After Yang et al., "Delving into Deep Imbalanced Regression", ICML 2021, arXiv:2102.09554
        (label distribution smoothing).

    Examples
    --------
    >>> weights = target_density_weights([0.0, 0.0, 0.0, 9.0], bins=2, smoothing=0, power=1)
    >>> weights.round(3)
    array([0.667, 0.667, 0.667, 2.   ])
    """
    found = _check.floats("targets", targets)
    smoothing = _check.number("smoothing", smoothing, "[0, inf)")
    power = _check.number("power", power, "[0, inf)")
    codes, size = _binned(found, bins)
    density = _smoothed(np.bincount(codes, minlength=size).astype(np.float64), smoothing)
    present = density[np.unique(codes)]
    logs = -power * np.log(np.where(density > 0, density, present.min()))[codes]
    if max_ratio is not None:
        limit = np.log(_check.number("max_ratio", max_ratio, "[1, inf)"))
        half = logs.size // 2
        parts = np.partition(logs, (half, logs.size - 1 - half))
        middle = np.logaddexp(parts[half], parts[logs.size - 1 - half]) - np.log(2.0)
        logs = np.clip(logs, middle - limit, middle + limit)
    weights: Floats = np.exp(logs - logs.max())  # no overflow at any power
    return weights / float(weights.mean())


def _binned(targets: Floats, bins: int | ArrayLike) -> tuple[Indices, int]:
    """Return the bin of each target, (N,), and the number of bins."""
    if np.ndim(bins) == 0:
        size = _check.integer("bins", bins, 1)
        low, high = float(targets.min()), float(targets.max())
        width = (high / 2 - low / 2) / size  # halved: high - low may overflow
        if width == 0:
            return np.zeros(targets.size, np.int64), 1
        codes = ((targets / 2 - low / 2) / width).astype(np.int64)
        return np.minimum(codes, size - 1), size
    edges = _check.floats("bins", bins)
    if edges.size < 2 or (np.diff(edges) < 0).any():  # noqa: PLR2004
        raise ValueError(
            f"bins must be a number, or at least 2 edges in ascending order, got {edges[:8]}"
        )
    edges = np.unique(edges)  # quantiles of repeated targets are equal
    return np.searchsorted(edges[1:-1], targets, side="right"), max(1, edges.size - 1)


def _smoothed(counts: Floats, smoothing: float) -> Floats:
    """Return counts (K,) averaged with those near them, by a Gaussian kernel."""
    if smoothing == 0:
        return counts
    reach = min(counts.size, int(_REACH * smoothing) + 2)
    distance = np.arange(reach) / smoothing
    kernel = np.exp(-0.5 * np.square(distance))
    whole = np.concatenate([kernel[:0:-1], kernel])
    here = slice(reach - 1, reach - 1 + counts.size)  # of the full convolution
    smoothed: Floats = (
        np.convolve(counts, whole)[here] / np.convolve(np.ones_like(counts), whole)[here]
    )
    return smoothed
