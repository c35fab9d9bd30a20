"""Definition of a method of the benchmark: its context, and the training plan that it returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ..batch_selection import BatchSelector
from ..samplers import EpochSampler

PLAIN, LONG_TAIL, NOISE = "plain data", "imbalance", "label_noise"  # the latter two are options
ANY = (PLAIN, LONG_TAIL, NOISE)

Losses = Callable[[NDArray[np.int64]], NDArray[np.float32]]
Loss = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


class Unreachable(ValueError):
    """The method cannot run at the requested cost; the message gives the reason."""


@dataclass(frozen=True)
class Context:
    """What a method may know of its run.

    Parameters
    ----------
    labels : int64 array of shape (N,)
        Classes of the training samples.
    pixels : callable
        Returns the inputs as rows, float32 (N, D).
    losses : callable
        Maps indices (m,) to the losses of the current model, float32 (m,); counted in the cost.
    target : float in (0, 1]
        The requested keep fraction.
    budget : float in (0, 1]
        Required draws / (N * epochs): the target, or the cost that InfoBatch realised for it.
    pilot : dict of str to float
        Setting with which InfoBatch ran at this target and seed; empty if it did not run.
    epochs : int
        E, the epochs of a run on all the data.
    seed : int
        Seed for samplers and clusterings.
    batch_size : int
        B.
    noise : float, default 0
        Share of wrong labels, for methods that require it.
    """

    labels: NDArray[np.int64]
    pixels: Callable[[], NDArray[np.float32]]
    losses: Losses
    target: float
    budget: float
    pilot: dict[str, float]
    epochs: int
    seed: int
    batch_size: int
    noise: float = 0.0

    @property
    def size(self) -> int:
        """N."""
        return self.labels.size

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.labels.max()) + 1

    @property
    def draws(self) -> int:
        """Draws per epoch of a run whose epochs are all equal."""
        return at_least_one(self.budget * self.size)


def plain_loss(logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
    """Return the cross-entropy of each sample: float (B, C), int64 (B,) -> float (B,)."""
    return F.cross_entropy(logits, labels, reduction="none")


@dataclass(frozen=True)
class TrainingPlan:
    """TrainingPlan of one run.

    Parameters
    ----------
    sampler : callable
        Returns the sampler of an epoch; called once before each, in order.
    epochs : int
        Number of epochs; differs from the option only for `full-fewer`.
    loss : callable, default the cross-entropy
        Maps logits (B, C), labels (B,) and the epoch to the losses (B,).
    weighting : callable, optional
        A function of `sampling.weighting`, for `reduce`.
    selector : BatchSelector, optional
        Selects the rows of each batch to train on, from the losses of all rows.
    candidates : int, optional
        Rows of a batch before selection; by default the batch size.
    rate : callable, optional
        Factor on the learning rate in an epoch.
    setting : dict of str to float
        Values that the method chose itself, for the results.
    """

    sampler: Callable[[int], EpochSampler]
    epochs: int
    loss: Loss = plain_loss
    weighting: Callable[..., torch.Tensor] | None = None
    selector: BatchSelector | None = None
    candidates: int | None = None
    rate: Callable[[int], float] = lambda epoch: 1.0
    setting: dict[str, float] = field(default_factory=dict)


Build: TypeAlias = Callable[[Context], TrainingPlan]


@dataclass(frozen=True)
class Method:
    """A method on the command line.

    Parameters
    ----------
    help : str
        One line of help.
    build : callable
        Function from context to plan.
    swept : bool, default True
        Whether it runs at every keep fraction, or once at the full cost.
    pilot : bool, default False
        Whether the other methods of the same target and seed are matched to its realised cost.
    runs_on : tuple of str
        Kinds of data it supports: plain, with a long tail, with wrong labels.
    default_on : tuple of str
        Kinds of data on which it runs if no methods are named.
    """

    help: str
    build: Build
    swept: bool = True
    pilot: bool = False
    runs_on: tuple[str, ...] = ANY
    default_on: tuple[str, ...] = ()


def same(sampler: EpochSampler, context: Context, **setting: float) -> TrainingPlan:
    """Return the plan of a run with one sampler."""
    return TrainingPlan(lambda epoch: sampler, context.epochs, setting=setting)


def at_least_one(draws: float) -> int:
    """Round a number of draws, or raise `Unreachable` if it is zero."""
    if round(draws) < 1:
        raise Unreachable(f"unreachable: {draws:.2g} draws an epoch are less than one")
    return round(draws)
