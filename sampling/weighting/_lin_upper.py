"""Weights from where a loss lies between the smallest and the largest of the global batch.

No state per sample, hence for runs that see each sample once. `lin_upper` rises over the lower half
and is flat above: easy samples count less and outliers no more than others. `quadratic` favours the
middle, `extremes` both ends.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from .. import _check
from .._keywords import told
from ._batch import Batch, check_saved, state_of

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

_EQUAL = 1e-6  # of the larger loss: losses nearer than this are equal, up to float32's noise
_NARROW = 1e-6  # the smallest range that losses are stretched from


@told
class BurnIn:
    """The first steps of a run, in which all weights are 1: losses say little then.

    Give one to `lin_upper`, `quadratic` or `extremes` as `state`.

    Parameters
    ----------
    steps : int
        Calls that return 1. With gradient accumulation each micro-batch is a call.

    Attributes
    ----------
    seen : int
        Calls so far. All ranks call equally often, so they count alike and exchange nothing.

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
        """Count a call, and return whether it is one of the first."""
        self.seen += 1
        return self.seen <= self.steps

    def state_dict(self) -> dict[str, Any]:
        """Return the count as JSON values, the same on every rank."""
        return {"kind": "BurnIn", "steps": self.steps, "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting where `state_dict` was taken.

        Parameters
        ----------
        state : mapping

        Raises
        ------
        StateError
            If it is of something else, or of another number of steps.
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
    process_group: "ProcessGroup | None" = None,
) -> torch.Tensor:
    """Return weights that rise with the loss up to the middle of the range, and stay there.

    For replication, and of the three in this file the one to begin with. For pretraining in one
    pass, where losses of the past say nothing. It changes the objective on purpose: log the plain
    mean beside it. With wrong labels the hardest samples still count most, if no more than those of
    the middle.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
        One loss for each sample of this rank. Those that are not finite get weight 0 and count
        nowhere; in a sum they are still NaN, unless the sampler has nonfinite="drop".
    indices, groups, probabilities : ignored
    state : BurnIn, optional
        Steps with weights of 1 before the method begins.
    temperature : float > 0, default 1
        The largest weight is at most exp(1/temperature) times the smallest: 2.7 at 1, 12.2 at 0.4,
        1.01 at 100.
    clip : float in (0.5, 1), optional
        Losses are first clipped to their `1 - clip` and `clip` quantiles over all ranks: otherwise
        one outlier presses all others together at the lower end.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that make up a batch; all of them by default.

    Returns
    -------
    float32 tensor of shape (B,)
        float64 for float64 losses. Mean 1 over the finite losses of all ranks, so with "batch_mean"
        under DistributedDataParallel the averaged loss is the weighted mean over all of them (over
        ranks with unequal B, "weighted_mean" is). Equal losses get equal weights.

    Notes
    -----
    Order       Ranks agree because each computes from the same reduced numbers, not from its place
                on a machine.
    Cost        O(B), and with several ranks three exchanges of two numbers; no waiting for a
                device. With `clip` all losses are gathered and sorted, and with several ranks on
                GPUs the host waits once a step.
    Gradients   The weights are detached.
    Source      Sow, Woisetschlaeger, Bulusu, Wang, Jacobsen, Liang, arXiv:2502.06733, 2025.
                f = min(h + 1, 1), weights softmax(f / temperature), h = the loss mapped linearly
                to [-1, 1].

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
    process_group: "ProcessGroup | None" = None,
) -> torch.Tensor:
    """Return weights that are largest in the middle of the range of losses.

    For replication. It leaves out what is learnt and what may be wrong; `lin_upper` says when such
    weights fit at all.

    Parameters
    ----------
    losses : floating tensor of shape (B,)
    indices, groups, probabilities : ignored
    state : BurnIn, optional
    temperature : float > 0, default 1
    clip : float in (0.5, 1), optional
    process_group : torch.distributed.ProcessGroup, optional
        All as in `lin_upper`.

    Returns
    -------
    float32 tensor of shape (B,)
        As of `lin_upper`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost        That of `lin_upper`.
    Gradients   The weights are detached.
    Source      As `lin_upper`, with f = 1 - h^2.

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
    process_group: "ProcessGroup | None" = None,
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
        All as in `lin_upper`.

    Returns
    -------
    float32 tensor of shape (B,)
        As of `lin_upper`: mean 1 over the finite losses of all ranks.

    Notes
    -----
    Cost        That of `lin_upper`.
    Gradients   The weights are detached.
    Source      As `lin_upper`, with f = |h|.

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
    group: "ProcessGroup | None",
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
