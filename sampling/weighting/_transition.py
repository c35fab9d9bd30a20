"""Weights from a noise-transition matrix, by resampling a batch or by Dirichlet draws.

A label y of a batch is believed as far as the model predicts it and the matrix explains it: w =
f[y] / sum_c T[y, c] f[c]. `RENTWeights` resamples the batch in proportion to w, `DirichletWeights`
draws weights around w.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from .. import _check, _rng
from .._check._keywords import told
from ..distributed import this_rank
from ..types import Floats
from ._batch import check_batch, check_saved
from ._class_weights import classes_of

_UNITS = 1e-3  # by how much the sum of a column may differ from 1
_TINY = 1e-12  # as in the released code


@told
def symmetric_transition(num_classes: int, rate: float) -> Floats:
    """Return the transition matrix of labels that are wrong at a rate, all others equally likely.

    Parameters
    ----------
    num_classes : int
        C, at least 2.
    rate : float in [0, 1)
        Share of wrong labels.

    Returns
    -------
    float64 array of shape (C, C)
        1 - rate on the diagonal, rate / (C - 1) elsewhere.

    Examples
    --------
    >>> symmetric_transition(3, 0.2)
    array([[0.8, 0.1, 0.1],
           [0.1, 0.8, 0.1],
           [0.1, 0.1, 0.8]])
    """
    size = _check.integer("num_classes", num_classes, 2)
    rate = _check.number("rate", rate, "[0, 1)")
    found = np.full((size, size), rate / (size - 1))
    np.fill_diagonal(found, 1.0 - rate)
    return found


class _TransitionWeights:
    """What both weightings share: the matrix, the weights of a batch, and a count of the calls."""

    def __init__(
        self,
        transition: ArrayLike,
        clip: float | None,
        seed: int,
        rank: int | None,
    ) -> None:
        self._transition = torch.from_numpy(_columns(transition).astype(np.float32))
        self.clip = clip
        if clip is not None:
            self.clip = _check.number("clip", clip, "(0, inf)")
        self.seed = _check.seed(seed)
        self.rank = this_rank() if rank is None else _check.integer("rank", rank, 0)
        self.step = 0
        self._shares = torch.empty(0)

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self._transition)

    @property
    def effective_sample_size(self) -> float:
        """(sum w)^2 / sum w^2 of the last batch; NaN before the first. Waits for the device."""
        total = self._shares.sum()
        return float(total.square() / self._shares.square().sum())

    def transition_weights(
        self, losses: torch.Tensor, *, labels: torch.Tensor | ArrayLike, logits: torch.Tensor
    ) -> torch.Tensor:
        """Return f[y] / sum_c T[y, c] f[c] of each sample, from which the weights are drawn.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            Those that are not finite, and samples without a label (-100), have weight 0.
        labels : int tensor or array of shape (B,)
        logits : floating tensor of shape (B, C)

        Returns
        -------
        float32 tensor of shape (B,)
        """
        check_batch("losses", losses)
        if not isinstance(logits, torch.Tensor) or logits.shape != (len(losses), self.num_classes):
            shape = tuple(getattr(logits, "shape", ()))
            raise ValueError(
                f"logits must be a tensor of shape ({len(losses)}, {self.num_classes}), got {shape}"
            )
        ids, inside, usable = classes_of(labels, losses, self.num_classes)
        if self._transition.device != losses.device:
            self._transition = self._transition.to(losses.device)
        chances = logits.detach().float().softmax(1)
        own = chances.gather(1, ids[:, None]).squeeze(1)
        explained = (self._transition[ids] * chances).sum(1)
        found = own / (explained + _TINY)
        if self.clip is not None:
            found = found.clamp(max=self.clip)
        known = torch.isfinite(losses.detach()) & torch.isfinite(found) & usable
        found = torch.where(known, found, 0.0)
        return torch.where(inside, found, torch.nan)

    def _drawn_by(
        self, losses: torch.Tensor, labels: torch.Tensor | ArrayLike, logits: torch.Tensor
    ) -> torch.Tensor:
        """Return the weights that a batch is drawn by, some of which are > 0 unless B is 0."""
        found = self.transition_weights(losses, labels=labels, logits=logits)
        if found.is_cpu and len(found) and not bool(found.any()):
            raise ValueError(
                f"some weight f[y] / sum T[y] f of a batch must be > 0, got {len(found)} that are "
                "0: losses or logits are not finite, labels are missing, or the model excludes them"
            )
        self._shares = found
        return found

    def _key(self) -> np.uint64:
        """Return the key of the random decisions of this call, which it counts."""
        name = f"{type(self).__name__} of rank {self.rank}"
        found = _rng.subkey(_rng.key(self.seed, 0, name), self.step)
        self.step += 1
        return found

    def _settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "clip": self.clip, "transition": self._transition.cpu().tolist()}

    def state_dict(self) -> dict[str, Any]:
        """Return the number of calls, and the arguments, as JSON values."""
        return {"kind": type(self).__name__, "step": self.step, **self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the number of calls of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind or of other arguments.
        """
        check_saved(state, self.state_dict(), tuple(self._settings()))
        self.step = _check.integer("step of the state", state["step"], 0)


@told
class RENTWeights(_TransitionWeights):
    """RENT: resample a batch in proportion to the weights that a transition matrix gives it.

    For noisy labels whose transition matrix is known. For replication. The number of times that a
    sample was drawn is its weight, so a sample that was not drawn has weight 0. It requires logits
    and labels: `sampler.reduce(losses, indices, logits=logits, labels=labels, weighting=w)`.

    Parameters
    ----------
    transition : array-like of shape (C, C)
        T[a, b]: probability of the label a for a sample of class b; columns sum to 1. That of
        cleanlab's `noise_matrix`, or `symmetric_transition`.
    ratio : float > 0, default 1.0
        Draws from a batch of B: ratio * B, rounded, at least 1.
    clip : float > 0, optional
        Limit on the weights before the draw, which are unbounded where the model excludes a label.
    seed : int in [0, 2**64), default 0
        Draws are a function of (seed, rank, number of the call).
    rank : int, default from `torch.distributed` if initialised, else 0
        Each rank resamples its own batches.

    Attributes
    ----------
    step : int
        Number of calls so far.
    effective_sample_size : float
        Of the weights of the last batch, before the draw.

    Raises
    ------
    ValueError
        If the columns of the matrix do not sum to 1; in a call, if logits are of another shape or
        all weights of a batch are 0. On a device, where checking would synchronise, the weights are
        NaN then.

    Notes
    -----
    Order
        With replacement, evenly spread draws would have less variance, but the paper's are
        independent.
    Cost
        O(B C); does not wait for a device.
    Gradients
        The weights are detached, of mean 1 over the batch of this rank. In expectation over the
        draw, the loss is the mean weighted by w / mean(w). With the identity matrix w is 1, and the
        batch is a bootstrap sample: plain training has less variance.
    Source
        Bae, Shin, Na, Kim, Moon, "Dirichlet-based Per-Sample Weighting by Transition Matrix for
        Noisy Label Learning", ICLR 2024, arXiv:2403.02690. The released code fails for a batch of
        one sample.

    Examples
    --------
    >>> weighting = RENTWeights(symmetric_transition(3, 0.2))
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]] * 3).log()
    >>> weighting.transition_weights(torch.ones(3), labels=[0, 1, 2], logits=logits)
    tensor([1.1864, 0.8333, 0.5882])
    >>> float(weighting(torch.ones(3), labels=[0, 1, 2], logits=logits).mean())
    1.0
    """

    def __init__(
        self,
        transition: ArrayLike,
        ratio: float = 1.0,
        *,
        clip: float | None = None,
        seed: int = 0,
        rank: int | None = None,
    ) -> None:
        self.ratio = _check.number("ratio", ratio, "(0, inf)")
        super().__init__(transition, clip, seed, rank)

    def __call__(
        self, losses: torch.Tensor, *, labels: torch.Tensor | ArrayLike, logits: torch.Tensor
    ) -> torch.Tensor:
        """Return how often each sample was drawn, times B / number of draws.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
        labels : int tensor or array of shape (B,)
            The labels as given, perhaps wrong.
        logits : floating tensor of shape (B, C)

        Returns
        -------
        float32 tensor of shape (B,)
        """
        shares = self._drawn_by(losses, labels, logits)
        size = len(shares)
        draws = max(1, round(self.ratio * size))
        points = _on(_uniforms(self._key(), draws), shares)
        edges = shares.double().cumsum(0) if not shares.is_mps else shares.cumsum(0)
        if size == 0:
            return shares
        drawn = torch.searchsorted(edges, points.to(edges) * edges[-1], right=True)
        # rounding may put the last point at the total, behind samples of weight 0
        last = torch.where(shares > 0, torch.arange(size, device=shares.device), 0).amax()
        counts = torch.zeros_like(shares).index_add_(
            0, torch.minimum(drawn, last), torch.ones_like(shares[:1]).expand(draws)
        )
        known = edges[-1] > 0  # False for NaN
        return torch.where(known, counts * (size / draws), torch.nan)

    def _settings(self) -> dict[str, Any]:
        return {"ratio": self.ratio, **super()._settings()}


@told
class DirichletWeights(_TransitionWeights):
    """DWS: weights of a batch from Dirichlet draws around those that a transition matrix gives it.

    One family from reweighting (alpha -> infinity) to resampling: the first two moments of
    `RENTWeights` are those of alpha = B - 1 and one draw. For replication. It requires logits and
    labels, as `RENTWeights`.

    Parameters
    ----------
    transition : array-like of shape (C, C)
        As for `RENTWeights`.
    alpha : float > 0
        Concentration: the weights v of a batch are drawn from Dirichlet(alpha * mu) with mu = w /
        sum(w), so their variance is mu (1 - mu) / (alpha + 1).
    num_draws : int, optional
        Draws that are averaged, which divides the variance; by default B, as in the released code.
    clip : float > 0, optional
    seed : int in [0, 2**64), default 0
    rank : int, default from `torch.distributed` if initialised, else 0
        All as for `RENTWeights`.

    Attributes
    ----------
    step : int
        Number of calls so far.
    effective_sample_size : float
        Of the weights of the last batch, before the draw.

    Raises
    ------
    ValueError
        As for `RENTWeights`.

    Notes
    -----
    Cost
        O(B C + B num_draws), the draws on the host: waits for the device.
    Gradients
        The weights are detached, of mean 1 over the batch of this rank. In expectation over the
        draws, the loss is the mean weighted by w / mean(w).
    Source
        Bae et al., ICLR 2024, as `RENTWeights`. Two files of the released code scale the
        concentration differently, as alpha * w and alpha * mu; this is the latter.

    Examples
    --------
    >>> weighting = DirichletWeights(symmetric_transition(3, 0.2), alpha=1e9)
    >>> logits = torch.tensor([[0.7, 0.2, 0.1]] * 3).log()
    >>> weighting(torch.ones(3), labels=[0, 1, 2], logits=logits).round(decimals=2)
    tensor([1.3600, 0.9600, 0.6800])
    """

    def __init__(
        self,
        transition: ArrayLike,
        alpha: float,
        *,
        num_draws: int | None = None,
        clip: float | None = None,
        seed: int = 0,
        rank: int | None = None,
    ) -> None:
        self.alpha = _check.number("alpha", alpha, "(0, inf)")
        self.num_draws = num_draws
        if num_draws is not None:
            self.num_draws = _check.integer("num_draws", num_draws, 1)
        super().__init__(transition, clip, seed, rank)

    def __call__(
        self, losses: torch.Tensor, *, labels: torch.Tensor | ArrayLike, logits: torch.Tensor
    ) -> torch.Tensor:
        """Return B times the mean of the draws.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
        labels : int tensor or array of shape (B,)
            The labels as given, perhaps wrong.
        logits : floating tensor of shape (B, C)

        Returns
        -------
        float32 tensor of shape (B,)
        """
        shares = self._drawn_by(losses, labels, logits)
        size = len(shares)
        held = _check.host(shares).astype(np.float64)
        key = self._key()
        if size == 0 or not held.sum() > 0:  # the latter on a device alone
            return torch.full_like(shares, torch.nan)
        there = np.flatnonzero(held > 0)  # 0 is no parameter of a Dirichlet distribution
        concentration = self.alpha * held[there] / held.sum()
        draws = size if self.num_draws is None else self.num_draws
        logs = _log_gammas(np.broadcast_to(concentration, (draws, there.size)), key)
        drawn = np.exp(logs - logs.max(axis=1, keepdims=True))
        drawn /= drawn.sum(axis=1, keepdims=True)
        weights = np.zeros(size)
        weights[there] = size * drawn.mean(axis=0)
        return _on(weights, shares)

    def _settings(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "num_draws": self.num_draws, **super()._settings()}


def _columns(transition: ArrayLike) -> Floats:
    """Return a transition matrix, float64 (C, C), whose columns sum to 1."""
    found = np.asarray(_check.matrix("transition", transition), np.float64)
    if found.shape[0] != found.shape[1] or len(found) < 2:  # noqa: PLR2004
        raise ValueError(f"transition must have shape (C, C), C >= 2, got {found.shape}")
    if not np.isfinite(found).all() or found.min() < 0:
        row, column = np.argwhere(~(np.isfinite(found) & (found >= 0)))[0]
        raise ValueError(
            f"transition must be >= 0, got {found[row, column]} at position ({row}, {column})"
        )
    sums = found.sum(axis=0)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > _UNITS:
        rows = np.abs(found.sum(axis=1) - 1).max() <= _UNITS
        remedy = ": its rows do, so give transition.T" if rows else ""
        raise ValueError(
            f"transition must have columns of sum 1, got {sums[worst]:g} in column {worst}{remedy}"
        )
    return found


def _uniforms(key: np.uint64, size: int) -> Floats:
    """Return random numbers in (0, 1) of a key, float64 (size,)."""
    words = _rng.values(key, np.arange(size, dtype=np.uint64))
    found: Floats = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return found


def _log_gammas(shape: Floats, key: np.uint64) -> Floats:
    """Return logarithms of draws of gamma distributions, one of each shape parameter.

    By inversion at a + 1, and log U / a: a draw at a itself is 0 in float64 where a is small.
    """
    from scipy.special import gammaincinv

    first = _uniforms(_rng.subkey(key, 0), shape.size).reshape(shape.shape)
    second = _uniforms(_rng.subkey(key, 1), shape.size).reshape(shape.shape)
    found: Floats = np.log(gammaincinv(shape + 1.0, first)) + np.log(second) / shape
    return found


def _on(values: Floats, like: torch.Tensor) -> torch.Tensor:
    """Return numbers as float32 on the device of a tensor, without waiting for it."""
    tensor = torch.from_numpy(values.astype(np.float32))
    if like.device.type == "cuda":
        return tensor.pin_memory().to(like.device, non_blocking=True)
    return tensor.to(like.device)
