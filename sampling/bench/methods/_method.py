"""Definition of a method of the benchmark: its context, and the training plan that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ...batch_selection import BatchSelector
from ...errors import MissingExtraError
from ...record import Score
from ...samplers import EpochSampler

PLAIN, LONG_TAIL, NOISE = "plain data", "imbalance", "label_noise"  # the latter two are options
ANY = (PLAIN, LONG_TAIL, NOISE)
CLASSES, EMBEDDINGS, SHARE = "classes", "embeddings", "the share of wrong labels"
TRAINED = "a pilot run"  # whose logits are recorded: the benchmark trains it, a script cannot

# What a training script must do for a method: draw with the sampler; record losses and weigh them;
# take the number of epochs and the schedule from the benchmark. What needs forward passes, a loss
# or a learning rate of its own runs only in the training loop of the benchmark.
Level: TypeAlias = Literal["draws", "losses", "schedule", "own loop"]
DRAWS: Level = "draws"
LOSSES: Level = "losses"
SCHEDULE: Level = "schedule"
LOOP: Level = "own loop"

Losses = Callable[[NDArray[np.int64]], NDArray[np.float32]]
Loss = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


class Unreachable(ValueError):
    """The method cannot run at the requested cost; the message gives the reason."""


class Lacking(ValueError):
    """The method needs something that the data do not have; the message says what."""


@dataclass(frozen=True)
class Context:
    """What a method may know of its run.

    Parameters
    ----------
    size : int
        N.
    keep : float in (0, 1]
        The requested keep fraction.
    budget : float
        Required draws / (N * epochs): that of the protocol, or the cost that InfoBatch realised.
    epochs : int
        E, the epochs of a run on all the data.
    seed : int
        Seed for samplers and clusterings.
    batch_size : int
        B.
    find_labels : int64 array of shape (N,), optional
        Classes of the training samples; None if the targets are no classes.
    find_embeddings : callable
        Returns the rows of the samples, float32 (N, D), or None.
    losses : callable
        Maps indices (m,) to the losses of the current model, float32 (m,); counted in the cost.
    loss : callable
        Maps outputs and targets to the loss of each sample, (B,): that of the task.
    score : callable
        Maps the name of a score, such as "el2n", to it: from a pilot run of this seed, which is
        charged to the method.
    pilot : dict of str to float
        Setting with which InfoBatch ran at this keep fraction and seed; empty if it did not run.
    noise : float, default 0
        Share of wrong labels, for methods that require it.
    find_probabilities : callable, optional
        Returns the predictions of the training samples by cross-validation, float32 (N, C), charged
        to the method.
    origin : int64 array of shape (N,), optional
        Row of each training sample in the whole training set, of which validation was split off; by
        default 0 to N - 1.
    whole : int, optional
        Number of rows of the whole training set; by default N.
    """

    size: int
    keep: float
    budget: float
    epochs: int
    seed: int
    batch_size: int
    find_labels: NDArray[np.int64] | None
    find_embeddings: Callable[[], NDArray[np.float32] | None]
    losses: Losses
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    score: Callable[[str], Score]
    pilot: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    find_probabilities: Callable[[], NDArray[np.float32]] | None = None
    origin: NDArray[np.int64] | None = None
    whole: int | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """Classes of the training samples, int64 (N,)."""
        if self.find_labels is None:
            raise Lacking("needs classes, and the targets of the data are floats")
        return self.find_labels

    @property
    def has_labels(self) -> bool:
        """Whether the targets are classes."""
        return self.find_labels is not None

    def embeddings(self) -> NDArray[np.float32]:
        """Return the rows of the samples, float32 (N, D)."""
        found = self.find_embeddings()
        if found is None:
            raise Lacking("needs embeddings: give `embeddings` to the task")
        return found

    def probabilities(self) -> NDArray[np.float32]:
        """Return the predictions of the samples by cross-validation, float32 (N, C)."""
        if self.find_labels is None or self.find_probabilities is None:
            self.labels  # noqa: B018  # raises `Lacking`
            raise Lacking("needs a cross-validation, which only the benchmark's own training has")
        return self.find_probabilities()

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.labels.max()) + 1

    @property
    def draws(self) -> int:
        """Draws per epoch of a run whose epochs are all equal."""
        return at_least_one(self.budget * self.size)


@dataclass(frozen=True)
class Rows:
    """Where the training samples of the benchmark are from.

    Parameters
    ----------
    origin : int64 array of shape (N,)
        Row of each in the whole training set.
    whole : int
        Number of rows of the whole training set.
    """

    origin: NDArray[np.int64]
    whole: int


@dataclass(frozen=True)
class TrainingPlan:
    """Plan of one run.

    Parameters
    ----------
    sampler : callable
        Returns the sampler of an epoch; called once before each, in order.
    epochs : int
        Number of epochs.
    loss : callable, optional
        Maps outputs (B, C), labels (B,) and the epoch to the losses (B,); by default the task's.
    weighting : callable, optional
        A function of `sampling.weighting`, for `reduce`, which is given labels and logits if the
        targets are classes.
    selector : BatchSelector, optional
        Selects the rows of each batch to train on, from the losses of all rows.
    candidates : int, optional
        Rows of a batch before selection; by default the batch size.
    rate : callable, optional
        Factor on the learning rate in an epoch.
    forwards : float, default 0
        Extra forward passes in each epoch / N, as far as they are known in advance.
    setting : dict of str to float
        Values that the method chose itself, for the results.
    """

    sampler: Callable[[int], EpochSampler]
    epochs: int
    loss: Loss | None = None
    weighting: Callable[..., torch.Tensor] | None = None
    selector: BatchSelector | None = None
    candidates: int | None = None
    rate: Callable[[int], float] = lambda epoch: 1.0
    forwards: float = 0.0
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
        Whether the other methods of the same keep fraction and seed are matched to its realised
        cost.
    needs : tuple of str
        What it requires: "classes", "embeddings", "the share of wrong labels", "a pilot run".
    level : {"draws", "losses", "schedule", "own loop"}
        What a training script must do for it; "own loop" if no script can run it.
    scores : bool, default False
        Whether it costs more than the samples that it trains on, so that it gets a control of equal
        total cost.
    keep : float, optional
        The one keep fraction at which it can run, of a given subset.
    default_on : tuple of str
        Kinds of data on which it runs if no methods are named.
    resolve : callable, optional
        Takes the method and `Rows`, and returns the method for those data, or raises an error: what
        is checked once the data are known and before any run, such as a file made for other data.
    sampler : str, default ""
        Name of the class in `sampling.samplers` that it compares, if it is about one.
    """

    help: str
    build: Build
    swept: bool = True
    pilot: bool = False
    needs: tuple[str, ...] = ()
    level: Level = "losses"
    scores: bool = False
    keep: float | None = None
    default_on: tuple[str, ...] = ()
    resolve: Callable[[Method, Rows], Method] | None = None
    sampler: str = ""


def with_cleanlab(method: Method, rows: Rows) -> Method:
    """Return the method, if cleanlab is installed."""
    if find_spec("cleanlab") is None:
        raise MissingExtraError(
            "label quality in `sampling bench` needs cleanlab: pip install 'sampling[cleanlab]'"
        )
    return method


def same(sampler: EpochSampler, context: Context, **setting: float) -> TrainingPlan:
    """Return the plan of a run with one sampler."""
    return TrainingPlan(lambda epoch: sampler, context.epochs, setting=setting)


def at_least_one(draws: float) -> int:
    """Round a number of draws, or raise `Unreachable` if it is zero."""
    if round(draws) < 1:
        raise Unreachable(f"unreachable: {draws:.2g} draws an epoch are less than one")
    return round(draws)
