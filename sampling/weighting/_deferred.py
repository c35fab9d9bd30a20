"""A schedule of any weighting: plain training first, its weights from an epoch on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .. import _check
from .._check._keywords import told
from .._warning import warn
from ..errors import StateError
from ._batch import Batch, check_saved
from ._keywords import keywords_for, weigh

Weighting = Callable[..., torch.Tensor]


@told
class Deferred:
    """A weighting that begins in an epoch; `deferred` makes one.

    Parameters
    ----------
    weighting : callable
    start : float >= 0
    before : callable, optional
    ramp_epochs : float >= 0, default 0
    num_epochs : int, optional
        All as for `deferred`.

    Attributes
    ----------
    epoch : float
        Set by `set_epoch`; 0 at first.
    """

    def __init__(
        self,
        weighting: Weighting,
        start: float,
        *,
        before: Weighting | None = None,
        ramp_epochs: float = 0,
        num_epochs: int | None = None,
    ) -> None:
        for name, each in (("weighting", weighting), ("before", before)):
            if not callable(each) and (name == "weighting" or each is not None):
                raise TypeError(f"{name} must be a function of losses, got {type(each).__name__}")
        self.start = _check.number("start", start, "[0, inf)")
        self.ramp_epochs = _check.number("ramp_epochs", ramp_epochs, "[0, inf)")
        if num_epochs is not None and self.start >= _check.integer("num_epochs", num_epochs, 1):
            warn(
                f"start should be < num_epochs, got {start:g} of {num_epochs} epochs: the "
                "weighting is never used"
            )
        if 0 < self.start < 1:
            warn(
                f"start should be a number of epochs, got {start:g}, within the first: for "
                "the last fifth of a run give 0.8 * num_epochs"
            )
        self.weighting, self.before, self.epoch = weighting, before, 0.0

    def set_epoch(self, epoch: float) -> None:
        """Set the epoch, also of the weightings that have a `set_epoch`.

        Parameters
        ----------
        epoch : float
            Epochs trained so far, >= 0; a fraction denotes a point within an epoch.
        """
        self.epoch = _check.number("epoch", epoch, "[0, inf)")
        for each in (self.weighting, self.before):
            if each is not None and hasattr(each, "set_epoch"):
                each.set_epoch(epoch)

    @property
    def progress(self) -> float:
        """The share of the weighting in the weights, in [0, 1]."""
        if self.epoch < self.start:
            return 0.0
        if self.ramp_epochs == 0:
            return 1.0
        return min(1.0, (self.epoch - self.start) / self.ramp_epochs)

    def __call__(self, losses: torch.Tensor, **given: Any) -> torch.Tensor:
        """Return the weights of a batch.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
        **given
            What the two weightings take. What they require must be given from the first epoch on.

        Returns
        -------
        floating tensor of shape (B,)
        """
        after = keywords_for(self.weighting, given)
        if self.before is not None:
            keywords_for(self.before, given)
        share = self.progress
        if share == 1.0:
            return self.weighting(losses, **after)
        if self.before is None:
            batch = Batch(losses, None)
            first = batch.finite.to(batch.values.dtype)
        else:
            first = weigh(self.before, losses, given)
        if share == 0.0:
            return first
        return (1.0 - share) * first + share * self.weighting(losses, **after)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, and the states of the weightings that have a `state_dict`."""
        own = {"kind": "Deferred", "epoch": self.epoch, "start": self.start}
        inner = {"weighting": _state_of(self.weighting), "before": _state_of(self.before)}
        return {**own, "ramp_epochs": self.ramp_epochs, **inner}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a saved run.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`.

        Raises
        ------
        StateError
            If the state is of another schedule, or one of its weightings refuses its own.
        """
        check_saved(state, self.state_dict(), ("start", "ramp_epochs"))
        for name, each in (("weighting", self.weighting), ("before", self.before)):
            if (state[name] is None) != (_state_of(each) is None):
                raise StateError(f"{name} of the state must be of the same weighting, got another")
            if state[name] is not None:
                each.load_state_dict(state[name])  # type: ignore[union-attr]  # it has a state
        self.epoch = _check.number("epoch of the state", state["epoch"], "[0, inf)")


def _state_of(weighting: Any) -> Any:  # a weighting, which may have a state
    return weighting.state_dict() if hasattr(weighting, "state_dict") else None


@told
def deferred(
    weighting: Weighting,
    start: float,
    *,
    before: Weighting | None = None,
    ramp_epochs: float = 0,
    num_epochs: int | None = None,
) -> Deferred:
    """Return a weighting whose weights begin in an epoch: plain training first.

    Recommended around class weights: features are learned from the natural distribution, and only
    the end of the run is balanced, as in deferred re-weighting (DRW). Call `set_epoch` of the
    result next to that of the sampler.

    Parameters
    ----------
    weighting : callable
        Any weighting for `reduce`, such as `ClassWeights`. It is not called before it begins.
    start : float >= 0
        Epoch in which it begins, not a fraction of the run. The paper: 160 of 200.
    before : callable, optional
        The weighting until then; by default all weights are 1.
    ramp_epochs : float >= 0, default 0
        The weights move linearly from those before to those of `weighting` over so many epochs.
    num_epochs : int, optional
        Number of epochs of the run, to warn of a start after its end.

    Returns
    -------
    Deferred
        A callable for `reduce`, with `set_epoch`, `progress`, `state_dict` and `load_state_dict`.

    Raises
    ------
    TypeError
        If a weighting is not callable.

    Notes
    -----
    Order
        Restore its state, or call `set_epoch`, when a run resumes.
    Gradients
        Those of the two weightings.
    Source
        Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
        NeurIPS 2019, arXiv:1906.07413. Its released code reads the phase from a list of two, and
        stops at twice the start.

    Examples
    --------
    >>> from sampling.weighting import ClassWeights
    >>> weighting = deferred(ClassWeights([90, 10]), start=2)
    >>> for epoch in (1, 2):
    ...     weighting.set_epoch(epoch)
    ...     print(weighting(torch.ones(2), labels=torch.tensor([0, 1])))
    tensor([1., 1.])
    tensor([0.2000, 1.8000])
    """
    return Deferred(weighting, start, before=before, ramp_epochs=ramp_epochs, num_epochs=num_epochs)
