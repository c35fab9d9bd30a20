"""Spectral risks: weights from the rank of a loss in the global batch.

A spectrum gives the sample with the k-th smallest of n losses the share S(k/n) - S((k-1)/n), for a
convex S from 0 to 1. There are three: `cvar` weights only the worst losses of a batch, `extremile`
and `esrm` (exponential) weight all samples, increasingly with the loss. A penalty makes the weights
continuous in the losses.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import told
from ..distributed import gather_batch
from ..kernels import _isotonic
from ._batch import Batch, state_of
from ._reference import LossReference

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Penalty = Literal["chi2", "kl"]
Spectrum = Callable[[torch.Tensor], torch.Tensor]  # S, of float64 fractions in [0, 1]


@told
def cvar(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: LossReference | None = None,
    level: float = 0.5,
    penalty: Penalty | None = None,
    shift_cost: float = 1.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return CVaR weights: equal for the worst losses of the global batch, 0 for the others.

    The weighted mean of the losses is the CVaR. A baseline for tails: with level 0.9 only the worst
    tenth has a weight. With wrong labels that tenth consists of them; and a step learns from few
    samples, so use large batches. `extremile` and `esrm` exclude no sample.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and are ignored everywhere, see `lin_upper`.
    indices, groups, probabilities : ignored
    state : LossReference, optional
        Rank each loss among those of the dataset instead of the batch; only without a penalty.
    level : float in [0, 1), default 0.5
        Fraction of the samples, the easiest, with weight 0. A level of 0 is the mean.
    penalty : {"chi2", "kl"}, optional
        Maximise the weighted loss minus a penalty for weights that are not uniform (see Notes).
        None applies no penalty.
    shift_cost : float > 0, default 1
        Coefficient of the penalty, in units of the loss. A large value makes the weights uniform.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Mean 1 over the finite losses of all ranks. Equal losses get
        equal weights, the mean over their ranks. With a state the mean is 1 over the dataset, and
        a batch of harder samples has a larger mean.

    Notes
    -----
    Order
        Ranks gather all losses and compute the same; each takes the rows of its own batch.
    Cost
        O(n log n) for n losses over all ranks, which each rank gathers. Without a penalty one rank
        never waits for the device, and with several on GPUs the host waits once per step. With a
        penalty, a kernel on the host pools neighbours: the host waits. With a state O(B log N),
        with neither communication nor waiting.
    Gradients
        The weights are detached; by Danskin's theorem the weighted gradient is that of the batch's
        risk. On average the risk of a batch is smaller than that of the data, and the more so the
        smaller the batch; a state removes that bias, but its losses are old.
    Source
        Mehta, Roulet, Pillutla, Harchaoui, "Distributionally Robust Optimization with Bias and
        Variance Reduction" (Prospect), ICLR 2024. With sigma the spectrum, q lies in the convex
        hull of sigma's permutations and maximises sum q l - shift_cost D, with D = n/2 sum (q -
        1/n)^2 for "chi2" and sum q log(n q) for "kl"; weights are n q.

    Examples
    --------
    >>> losses = torch.tensor([4.0, 1.0, 3.0, 2.0])
    >>> cvar(losses)
    tensor([2., 0., 2., 0.])
    >>> cvar(losses, penalty="chi2", shift_cost=2.0)  # 1 + (l - 2.5) / 2, between 0 and 2
    tensor([1.7500, 0.2500, 1.2500, 0.7500])
    """
    level = _check.number("level", level, "[0, 1)")
    spectrum = functools.partial(_cut, level=level)
    return _weights(losses, spectrum, penalty, shift_cost, state, process_group)


@told
def extremile(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: LossReference | None = None,
    order: float = 2.0,
    penalty: Penalty | None = None,
    shift_cost: float = 1.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return extremile weights: the weighted mean is the expected largest of `order` losses.

    A baseline like `cvar`, but softer: all samples have a weight.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
    indices, groups, probabilities : ignored
    state : LossReference, optional
    order : float >= 1, default 2
        r: the shares are (k^r - (k - 1)^r) / n^r. 1 is the mean.
    penalty : {"chi2", "kl"}, optional
    shift_cost : float > 0, default 1
    process_group : torch.distributed.ProcessGroup, optional
        All others as for `cvar`.

    Returns
    -------
    float32 tensor of shape (B,)
        As for `cvar`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost
        That of `cvar`.
    Gradients
        As for `cvar`.
    Source
        As for `cvar`.

    Examples
    --------
    >>> extremile(torch.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor([1.7500, 0.2500, 1.2500, 0.7500])
    """
    order = _check.number("order", order, "[1, inf)")
    spectrum = functools.partial(torch.pow, exponent=order)
    return _weights(losses, spectrum, penalty, shift_cost, state, process_group)


@told
def esrm(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: LossReference | None = None,
    aversion: float = 1.0,
    penalty: Penalty | None = None,
    shift_cost: float = 1.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights of the exponential spectral risk measure, exponential in the rank of the loss.

    A baseline like `cvar`, but softer: all samples have a weight.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
    indices, groups, probabilities : ignored
    state : LossReference, optional
    aversion : float > 0, default 1
        rho: in a large batch the weight increases by a factor of exp(rho) from the smallest loss to
        the largest.
    penalty : {"chi2", "kl"}, optional
    shift_cost : float > 0, default 1
    process_group : torch.distributed.ProcessGroup, optional
        All others as for `cvar`.

    Returns
    -------
    float32 tensor of shape (B,)
        As for `cvar`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost
        That of `cvar`.
    Gradients
        As for `cvar`.
    Source
        As for `cvar`: shares e^-rho (e^(rho k/n) - e^(rho (k-1)/n)) / (1 - e^-rho).

    Examples
    --------
    With rho = log 4, the weight of a loss is twice that of the loss half the batch below it.

    >>> import math
    >>> losses = torch.tensor([2.0, 1.0])
    >>> esrm(losses, aversion=math.log(4.0)).round(decimals=4)
    tensor([1.3333, 0.6667])
    """
    aversion = _check.number("aversion", aversion, "(0, inf)")
    spectrum = functools.partial(_exponential, aversion=aversion)
    return _weights(losses, spectrum, penalty, shift_cost, state, process_group)


def _cut(part: torch.Tensor, level: float) -> torch.Tensor:
    return ((part - level) / (1 - level)).clamp(min=0)


def _exponential(part: torch.Tensor, aversion: float) -> torch.Tensor:
    rise = torch.expm1(-aversion * part) / math.expm1(-aversion)
    return torch.exp(-aversion * (1 - part)) * rise  # neither overflows nor cancels


def _weights(
    losses: torch.Tensor,
    spectrum: Spectrum,
    penalty: Penalty | None,
    shift_cost: float,
    state: LossReference | None,
    group: ProcessGroup | None,
) -> torch.Tensor:
    """Return n times the share (B,) of each loss among those of all ranks."""
    if penalty is not None:
        penalty = _check.choice("penalty", penalty, ("chi2", "kl"))
    shift_cost = _check.number("shift_cost", shift_cost, "(0, inf)")
    reference = None if state is None else state_of(state, LossReference, "cvar and its like")
    if reference is not None and penalty is not None:
        raise ValueError(f"penalty must be None with a state, got {penalty!r}")
    batch = Batch(losses, group)
    if reference is not None:
        weights = reference._weights(batch.values, spectrum)
    elif penalty is None:
        weights = _by_rank(batch, spectrum)
    else:
        weights = _pooled(batch, spectrum, penalty, shift_cost)
    return torch.where(batch.finite, weights, 0.0).to(batch.values.dtype)


def _by_rank(batch: Batch, spectrum: Spectrum) -> torch.Tensor:
    """Return n times the shares (B,) of the spectrum itself; those of equal losses are averaged."""
    ordered, count = batch.sorted()
    below = torch.searchsorted(ordered, batch.values)
    upto = torch.searchsorted(ordered, batch.values, right=True)
    size = count.clamp(min=1).double()
    rises = spectrum((upto / size).clamp(max=1)) - spectrum((below / size).clamp(max=1))
    return rises * (size / (upto - below).clamp(min=1))


def _pooled(batch: Batch, spectrum: Spectrum, penalty: Penalty, shift_cost: float) -> torch.Tensor:
    """Return n times the shares (B,) that maximise the penalised risk. On the host."""
    device = batch.values.device
    own = torch.where(batch.finite, batch.values, torch.nan)
    gathered, start = gather_batch(own, batch.group)
    everywhere = gathered.cpu().numpy().astype(np.float64)
    kept = np.flatnonzero(np.isfinite(everywhere))
    weights = np.zeros(everywhere.size)
    if kept.size:
        order = kept[np.argsort(everywhere[kept], kind="stable")]
        ladder = torch.arange(order.size + 1, dtype=torch.float64) / order.size
        shares = np.diff(spectrum(ladder).numpy())
        weights[order] = order.size * _solved(everywhere[order], shares, penalty, shift_cost)
    mine = torch.from_numpy(weights[start : start + own.numel()])
    return mine.to(device)


def _solved(
    ordered: NDArray[np.float64], shares: NDArray[np.float64], penalty: Penalty, shift_cost: float
) -> NDArray[np.float64]:
    """Return the shares q (n,) that maximise the penalised risk, for losses in ascending order."""
    n = ordered.size
    chi2 = penalty == "chi2"
    # No share changes if a constant is added, or if a gap is widened that no pool spans: 1 for a
    # sum of shares, and 2000 where exp(-700) underflows. So digits do not depend on outliers.
    with np.errstate(over="ignore"):
        gaps = np.diff(ordered) / (shift_cost * n if chi2 else shift_cost)
    scaled = np.concatenate([[0.0], np.cumsum(np.minimum(gaps, 1.0 if chi2 else 2000.0))])
    out, sums, starts = np.empty(n), np.empty(n), np.empty(n, np.int64)
    if chi2:
        _isotonic.pool_means(scaled - shares, out, sums, starts)
        return np.maximum(scaled - out, 0.0)
    _isotonic.pool_shares(scaled, shares, out, np.empty(n), sums, starts)
    return out
