"""Weights by the position of a loss between the minimum and maximum of the global batch.

No state per sample, hence for runs that see each sample once. `lin_upper` increases over the lower
half and is constant above: easy samples have smaller weights, and outliers no larger ones than
other samples. `quadratic` favours the middle, `extremes` both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from .. import _check
from .._check._keywords import told
from ._batch import Batch, check_saved, state_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_EQUAL = 1e-6  # of the larger loss: losses that differ by less are equal up to float32 rounding
_NARROW = 1e-6  # the smallest range that losses are scaled from


@told
class BurnIn:
    """Burn-in: a number of first steps with weights of 1, when losses are not yet informative.

    Pass one to `lin_upper`, `quadratic` or `extremes` as `state`.

    Parameters
    ----------
    steps : int
        Calls that return 1. With gradient accumulation each micro-batch is a call.

    Attributes
    ----------
    seen : int
        Calls so far. All ranks call equally often, so their counts are equal without communication.

    Examples
    --------
    >>> burn_in = BurnIn(1)
    >>> losses = torch.tensor([1.0, 2.0])
    >>> lin_upper(losses, state=burn_in)
    tensor([1., 1.])
    >>> lin_upper(losses, state=burn_in).round(decimals=2)
    tensor([0.5400, 1.4600])
    """

    def __init__(self, steps: int) -> None:
        self.steps = _check.integer("steps", steps, 0)
        self.seen = 0

    def _burning(self) -> bool:
        """Count a call, and return whether it is within the burn-in."""
        self.seen += 1
        return self.seen <= self.steps

    def state_dict(self) -> dict[str, Any]:
        """Return the count as JSON values, the same on every rank."""
        return {"kind": "BurnIn", "steps": self.steps, "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the count of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another kind, or of another number of steps.
        """
        check_saved(state, self.state_dict(), ("steps",))
        self.seen = _check.integer("seen of the state", state["seen"], 0)


@told
def lin_upper(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: BurnIn | None = None,
    temperature: float = 1.0,
    clip: float | None = None,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights that increase with the loss to mid-range, and are constant above.

    For replication; of the three functions in this file, the one to begin with. Intended for
    one-pass pretraining, where past losses of a sample are not available. It changes the objective
    on purpose: log the plain mean in addition. With wrong labels the hardest samples still have the
    largest weight, though no larger than samples in the middle.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        One loss for each sample of this rank. Losses that are not finite get weight 0 and are
        ignored everywhere; in a sum they are still NaN, unless the sampler has nonfinite="drop".
    indices, groups, probabilities : ignored
    state : BurnIn, optional
        Number of steps with weights of 1 before the method begins.
    temperature : float > 0, default 1
        The largest weight is at most exp(1/temperature) times the smallest: 2.7 for 1, 12.2 for
        0.4, 1.01 for 100.
    clip : float in (0.5, 1), optional
        Clip losses to their `1 - clip` and `clip` quantiles over all ranks first: otherwise one
        outlier compresses all other losses at the lower end.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that form a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Mean 1 over the finite losses of all ranks, so with "batch_mean"
        under DistributedDataParallel the averaged loss is the weighted mean over all ranks (if B
        differs between ranks, that of "weighted_mean" is). Equal losses get equal weights.

    Notes
    -----
    Order
        Ranks agree because each computes from the same reduced numbers, independent of its position
        on a machine.
    Cost
        O(B), and with several ranks three all-reduces of two numbers; does not wait for a device.
        With `clip` all losses are gathered and sorted, and with several ranks on GPUs the host
        waits once per step.
    Gradients
        The weights are detached.
    Source
        Sow, Woisetschlaeger, Bulusu, Wang, Jacobsen, Liang, arXiv:2502.06733, 2025.
        f = min(h + 1, 1), weights softmax(f / temperature), h = the loss mapped linearly to
        [-1, 1].

    Examples
    --------
    >>> losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0])
    >>> [round(each, 2) for each in lin_upper(losses, temperature=0.4).tolist()]
    [0.2, 0.37, 0.7, 1.3, 2.43]
    """
    return _shaped(losses, state, temperature, clip, process_group, lambda h: (h + 1).clamp(max=1))


@told
def quadratic(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: BurnIn | None = None,
    temperature: float = 1.0,
    clip: float | None = None,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights that are largest in the middle of the range of losses.

    For replication. It reduces the weight of samples that are learnt and of those that may be
    mislabelled; see `lin_upper` for when such weights are suitable.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
    indices, groups, probabilities : ignored
    state : BurnIn, optional
    temperature : float > 0, default 1
    clip : float in (0.5, 1), optional
    process_group : torch.distributed.ProcessGroup, optional
        All as for `lin_upper`.

    Returns
    -------
    float32 tensor of shape (B,)
        As for `lin_upper`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost
        That of `lin_upper`.
    Gradients
        The weights are detached.
    Source
        As `lin_upper`, with f = 1 - h^2.

    Examples
    --------
    >>> losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0])
    >>> [round(each, 2) for each in quadratic(losses, temperature=0.4).tolist()]
    [0.23, 0.68, 1.49, 2.38, 0.23]
    """
    return _shaped(losses, state, temperature, clip, process_group, lambda h: 1 - h.square())


@told
def extremes(  # noqa: PLR0913  # one signature for the family
    losses: torch.Tensor,
    *,
    indices: object = None,
    groups: object = None,
    probabilities: object = None,
    state: BurnIn | None = None,
    temperature: float = 1.0,
    clip: float | None = None,
    process_group: ProcessGroup | None = None,
) -> torch.Tensor:
    """Return weights that are largest at both ends of the range of losses.

    For replication, as a contrast to `quadratic`.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
    indices, groups, probabilities : ignored
    state : BurnIn, optional
    temperature : float > 0, default 1
    clip : float in (0.5, 1), optional
    process_group : torch.distributed.ProcessGroup, optional
        All as for `lin_upper`.

    Returns
    -------
    float32 tensor of shape (B,)
        As for `lin_upper`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost
        That of `lin_upper`.
    Gradients
        The weights are detached.
    Source
        As `lin_upper`, with f = |h|.

    Examples
    --------
    >>> losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 9.0])
    >>> [round(each, 2) for each in extremes(losses, temperature=0.4).tolist()]
    [1.68, 0.9, 0.48, 0.26, 1.68]
    """
    return _shaped(losses, state, temperature, clip, process_group, torch.abs)


def _shaped(
    losses: torch.Tensor,
    state: BurnIn | None,
    temperature: float,
    clip: float | None,
    group: ProcessGroup | None,
    shape: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return softmax(shape(h) / temperature) over the batch of all ranks, h in [-1, 1]."""
    temperature = _check.number("temperature", temperature, "(0, inf)")
    quantile = None if clip is None else _check.number("clip", clip, "(0.5, 1)")
    burn_in = None if state is None else state_of(state, BurnIn, "lin_upper and its like")
    batch = Batch(losses, group)
    if burn_in is not None and burn_in._burning():
        return batch.finite.to(batch.values.dtype)
    values = batch.values if quantile is None else _clipped(batch, quantile)
    high, low = batch.largest(values, -values)
    low = -low
    width = high - low
    h = (2 * values - (high + low)) / width.clamp(min=_NARROW)
    equal = width <= _EQUAL * torch.maximum(high.abs(), low.abs())
    return batch.softmax(shape(torch.where(equal, 0.0, h)) / temperature)


def _clipped(batch: Batch, quantile: float) -> torch.Tensor:
    """Return the losses (B,) clipped to two quantiles over all ranks, linearly interpolated."""
    ordered, count = batch.sorted()
    if ordered.numel() == 0:
        return batch.values
    ends = torch.stack([(1 - quantile) * (count - 1), quantile * (count - 1)]).clamp(min=0)
    below = ends.floor()
    at = torch.take(ordered, below.long())
    after = torch.take(ordered, torch.minimum(below.long() + 1, (count - 1).clamp(min=0)))
    low, high = (at + (ends - below) * (after - at)).unbind()
    return torch.minimum(torch.maximum(batch.values, low), high)
