"""KL-regularised DRO: weights exp(loss / temperature), the worst distribution near the data.

Within one batch it is a softmax, normalised by that batch alone, which is biased towards uniform
weights. With a running normaliser the weights of successive batches are on one scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from .. import _check
from .._check._keywords import told
from ._batch import Batch, check_saved, state_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@told
class RunningRisk:
    """The running risk of `kl_dro`, temperature * log of the mean of exp(loss / temperature).

    Parameters
    ----------
    momentum : float in (0, 1), default 0.1
        Weight of the new batch in the mean. A small value is less biased and slower to follow the
        model.

    Notes
    -----
    Order
        Every rank updates it from the same sums, so it is equal on all ranks.

    Examples
    --------
    >>> state = RunningRisk(momentum=0.5)
    >>> _ = kl_dro(torch.tensor([0.0, 0.0]), state=state)
    >>> _ = kl_dro(torch.log(torch.tensor([3.0, 3.0])), state=state)
    >>> round(state.value, 4)  # log of (1 + 3) / 2
    0.6931
    """

    def __init__(self, momentum: float = 0.1) -> None:
        self.momentum = _check.number("momentum", momentum, "(0, 1)")
        self._risk: float | torch.Tensor = math.nan

    @property
    def value(self) -> float:
        """The risk, in units of the loss; NaN before the first batch. Waits for the device."""
        return float(self._risk)

    def _update(self, found: torch.Tensor, any_: torch.Tensor, temperature: float) -> torch.Tensor:
        """Average in the risk of a batch, a scalar, if it has `any_` finite loss; return it."""
        held = self._risk
        held = held.to(found) if isinstance(held, torch.Tensor) else torch.full_like(found, held)
        old = torch.where(torch.isnan(held), found, held)
        top = torch.maximum(old, found)
        # One of the exponentials is 1: neither a small temperature nor a large loss overflows.
        mixed = (1 - self.momentum) * torch.exp((old - top) / temperature)
        mixed = mixed + self.momentum * torch.exp((found - top) / temperature)
        self._risk = torch.where(any_, top + temperature * torch.log(mixed), held)
        return self._risk

    def state_dict(self) -> dict[str, Any]:
        """Return the risk as JSON values, the same on every rank; waits for the device."""
        value = self.value
        saved = None if math.isnan(value) else value
        return {"kind": "RunningRisk", "momentum": self.momentum, "risk": saved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, or has another momentum.
        """
        check_saved(state, self.state_dict(), ("momentum",))
        risk = state["risk"]
        self._risk = math.nan if risk is None else _check.number("risk of the state", risk)


@told
def kl_dro(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: RunningRisk | None = None,
    temperature: float = 1.0,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights proportional to exp(loss / temperature).

    A baseline for distributionally robust optimisation: minimising
    temperature * log mean exp(loss / temperature) guards against every reweighting near the data.
    Wrong labels have the largest losses, so it is harmful with label noise: `lin_upper` has a cap.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        Losses that are not finite get weight 0 and are ignored everywhere, see `lin_upper`.
    indices, groups, probabilities : ignored
    state : RunningRisk, optional
        Divide by a running mean of exp(loss / temperature) instead of the batch's own, which
        removes most of the bias of small batches. The resulting steps have no bound by which to set
        a learning rate: a batch with outliers may have weights up to n / momentum. Clip gradients,
        or begin with a large temperature; without either, a small CNN on Fashion-MNIST with a long
        tail diverged at the learning rate that suited plain training.
    temperature : float > 0, default 1
        In units of the loss. A large value gives uniform weights, a small one only the largest
        loss.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Without a state the mean is 1 over the finite losses of all
        ranks. With one it is 1 in the long run, and a batch of harder samples has a larger mean; no
        weight exceeds n / momentum, for n losses in the batch of all ranks.

    Notes
    -----
    Cost
        O(B), and with several ranks two all-reduces of a few numbers; does not wait for a device.
    Gradients
        The weights are detached, and are those of the gradient of the risk: with the true mean of
        exp(loss / temperature) the weighted gradient is unbiased for it. The mean of the batch
        itself biases it towards uniform weights; the error of the running mean is of the order of
        its momentum.
    Source
        Compositional form of KL-regularised distributionally robust optimisation:
        u <- (1 - momentum) u + momentum mean exp(loss / temperature), kept as a logarithm.

    Examples
    --------
    >>> [round(each, 4) for each in kl_dro(torch.log(torch.tensor([1.0, 3.0]))).tolist()]
    [0.5, 1.5]
    """
    temperature = _check.number("temperature", temperature, "(0, inf)")
    running = None if state is None else state_of(state, RunningRisk, "kl_dro")
    batch = Batch(losses, process_group)
    (top,) = batch.largest(batch.values)
    top = torch.where(torch.isfinite(top), top, 0.0)
    shares = torch.exp((batch.values - top) / temperature)
    total, count = batch.sums(shares, torch.ones_like(shares))
    if running is None:
        tiny = torch.finfo(shares.dtype).tiny
        return torch.where(batch.finite, shares * (count / total.clamp(min=tiny)), 0.0)
    found = top + temperature * torch.log(total / count.clamp(min=1))
    risk = running._update(found, count > 0, temperature)
    weights = torch.exp((batch.values - risk) / temperature)
    return torch.where(batch.finite, weights, 0.0)
