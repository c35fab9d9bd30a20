"""What the benchmark trains: data, model, loss and metric, each given once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import IterableDataset

from ... import _check
from ..._check._keywords import short, told
from ._metric import METRICS, Metric, metric_of
from ._models import schedule
from ._parts import Part

LABEL_KEYS = ("labels", "label")
Forward = Callable[[nn.Module, Any], tuple[torch.Tensor, torch.Tensor]]


@told
@dataclass(frozen=True)
class Task:
    """Data, a model and how to train it, for `sampling bench my_task.py:make`.

    Parameters
    ----------
    train, test : map-style datasets, or pairs (x, y) of arrays or tensors
        Samples as the loader collates them: a pair (input, target), or a mapping whose key "labels"
        or "label" is the target and whose other keys are arguments of the model. The test set is
        evaluated once per run, after its last epoch. Pairs of arrays are kept in memory and read
        by whole batches, which is several times as fast.
    model : callable
        Returns a new model. Called once per run, with torch's generator seeded by the run.
    loss : callable, optional
        Maps outputs and targets of a batch to the loss of each sample, (B,). By default the
        cross-entropy, or the squared error for targets that are floats.
    metric : str or callable, optional
        "accuracy", "balanced accuracy", "macro F1", "R2", "log-loss", or a function of all outputs
        and targets of a set, as numpy arrays, that returns a float where higher is better. By
        default accuracy, or R2 for targets that are floats.
    val : dataset or pair, optional
        Samples for the curves, by default a seventh of `train`, stratified by class.
    labels : array-like of int of shape (N,), optional
        Class of each sample of `train`, in [0, C). By default those of the dataset, from its
        attribute `targets` or `labels`, its column, or else by reading it once.
    embeddings : array-like of shape (N, D), or callable, optional
        Rows by which methods cluster and select, or a function that returns them. By default the
        inputs themselves if they are in memory; without any, such methods are listed as not run.
    optimizer : callable, optional
        Maps the model's parameters to an optimizer, such as ``partial(torch.optim.SGD, lr=0.1)``;
        by default AdamW with a learning rate of 1e-3.
    schedule : callable, optional
        Factor on the learning rate at a progress in [0, 1] of the run; by default a linear warm-up
        over 15 %, then a cosine to 0.
    epochs : int, default 20
        E, epochs of a run on all the data.
    batch_size : int, default 64
        B.
    collate_fn : callable, optional
        Makes a batch of a list of samples.
    num_workers : int, default 0
        Processes of each loader.
    forward : callable, optional
        Maps the model and a batch to (outputs, targets), where the default does not fit.
    amp : {"bfloat16", "float16"}, optional
        Type of automatic mixed precision.
    examples : callable, optional
        Maps indices of `train`, int64 (m,), to a list of texts, images (uint8 arrays of shape
        (height, width) or (height, width, 3)) or Pillow images, for the report.
    class_names : sequence of str, optional
        Names of the classes, in their order.
    threads : int, optional
        Number of torch threads of a run; by default the cores divided among the processes.
    name : str, default "task"
        Name in tables and of the folder of results.

    Raises
    ------
    TypeError, ValueError
        If a field cannot be used; the message names it.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> import torch
    >>> x, y = load_wine(return_X_y=True)
    >>> task = Task((x[::2], y[::2]), (x[1::2], y[1::2]), lambda: torch.nn.Linear(13, 3))
    >>> task.epochs, task.metric_of.name
    (20, 'accuracy')
    """

    train: Any
    test: Any
    model: Callable[[], nn.Module]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    metric: str | Callable[..., float] | None = None
    _: KW_ONLY
    val: Any = None
    labels: ArrayLike | None = None
    embeddings: ArrayLike | Callable[[], ArrayLike] | None = None
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None
    schedule: Callable[[float], float] | None = None
    epochs: int = 20
    batch_size: int = 64
    collate_fn: Callable[[list[Any]], Any] | None = None
    num_workers: int = 0
    forward: Forward | None = None
    amp: Literal["bfloat16", "float16"] | None = None
    examples: Callable[..., list[Any]] | None = None
    class_names: tuple[str, ...] | None = None
    threads: int | None = None
    name: str = "task"

    def __post_init__(self) -> None:
        _check_sets(self)
        _check_functions(self)
        if self.metric is not None:
            metric_of(self.metric)
        counts = {"epochs": 1, "batch_size": 1, "num_workers": 0, "threads": 1}
        for name, low in counts.items():
            given = getattr(self, name)
            if given is not None or name != "threads":
                object.__setattr__(self, name, _check.integer(name, given, low))
        if self.amp is not None:
            _check.choice("amp", self.amp, ("bfloat16", "float16"))
        if self.class_names is not None:
            names = tuple(_check.words("class_names", self.class_names))
            object.__setattr__(self, "class_names", names)
        if not _check.text("name", self.name).strip(".") or set(self.name) & set("/\\\0"):
            raise ValueError(
                f"name must be one that a folder can have, without separators, got {self.name!r}"
            )

    @functools.cached_property
    def metric_of(self) -> Metric:
        """The metric; accuracy if it was not given."""
        return METRICS["accuracy"] if self.metric is None else metric_of(self.metric)

    def built_model(self, seed: int) -> nn.Module:
        """Build the model; its initial weights depend only on the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = self.model()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must return a torch.nn.Module, got {short(model)}")
        return model

    def built_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Build the optimizer of a model."""
        make = self.optimizer or functools.partial(torch.optim.AdamW, lr=1e-3)
        optimizer = make(model.parameters())
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"optimizer must return a torch optimizer, got {short(optimizer)}")
        return optimizer

    def factor(self, progress: float) -> float:
        """Return the factor on the learning rate at a progress of the run."""
        return (self.schedule or schedule)(progress)

    def outputs(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return outputs and targets of a batch."""
        return (self.forward or forward)(model, batch)

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each sample, (B,).

        Raises
        ------
        ValueError
            If it has another shape.
        """
        losses = (self.loss or _default_loss(targets))(outputs, targets)
        if losses.shape != (len(targets),):
            raise ValueError(
                f"loss must return one loss for each sample, shape ({len(targets)},), got shape "
                f"{tuple(losses.shape)}: pass reduction='none'"
            )
        return losses


def _check_sets(task: Task) -> None:
    for name in ("train", "test", "val"):
        given = getattr(task, name)
        if given is None and name == "val":
            continue
        _check.refuse_names(name, given)
        if isinstance(given, IterableDataset):
            raise TypeError(
                f"{name} must be a map-style dataset or a pair (x, y), got an iterable dataset, "
                f"{type(given).__name__}, whose samples have no indices: make a list of it"
            )
        if isinstance(given, Part):
            continue
        if not (hasattr(given, "__getitem__") and hasattr(given, "__len__")):
            raise TypeError(
                f"{name} must be a map-style dataset or a pair (x, y), got {short(given)}"
            )


def _check_functions(task: Task) -> None:
    if isinstance(task.model, nn.Module):
        raise TypeError(
            "model must be a function that returns a new model, got a model: each run starts "
            "from its own initial weights"
        )
    for name in ("model", "loss", "optimizer", "schedule", "collate_fn", "forward", "examples"):
        given = getattr(task, name)
        if not callable(given) and (given is not None or name == "model"):
            raise TypeError(f"{name} must be a function, got {short(given)}")


def forward(model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and targets of a batch: a pair (input, target), or a mapping."""
    if isinstance(batch, Mapping):
        name = next((each for each in LABEL_KEYS if each in batch), None)
        if name is None:
            raise ValueError(
                f"batches must have the key 'labels' or 'label', got {', '.join(map(str, batch))}: "
                "give `forward`"
            )
        outputs = model(**{key: value for key, value in batch.items() if key != name})
        return getattr(outputs, "logits", outputs), batch[name]
    if not isinstance(batch, tuple | list) or len(batch) != 2:  # noqa: PLR2004
        raise ValueError(
            f"batches must be pairs (input, target) or mappings, got {short(batch)}: give `forward`"
        )
    outputs = model(batch[0])
    return getattr(outputs, "logits", outputs), batch[1]


def _default_loss(
    targets: torch.Tensor,
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    return squared_error if targets.is_floating_point() else cross_entropy


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each sample: float (B, C), int64 (B,) -> float (B,)."""
    return F.cross_entropy(logits, labels, reduction="none")


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the squared error of each sample, averaged over its targets: (B, ...) -> (B,)."""
    errors = (outputs.reshape(targets.shape) - targets) ** 2
    return errors.reshape(len(errors), -1).mean(1)
