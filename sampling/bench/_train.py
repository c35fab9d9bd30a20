"""One run: train a model with a method, and measure its cost and its accuracy.

Seconds include everything that a method makes a user wait for: clustering, scoring and extra
forward passes, planning, and training. Evaluation on validation and test sets is excluded.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .. import _check
from .._rng import key
from ..batch_selection import SelectiveForward
from ..loading import TensorLoader
from ..samplers import EpochSampler
from ._data import Data, Part
from ._methods import METHODS
from ._models import RECIPES, Recipe, schedule
from ._training_plan import Context, TrainingPlan, Unreachable, plain_loss

_EVAL_BATCH = 1000
_COUNTS = {"seed": 0, "draws": 0, "epochs": 0, "scored": 0, "call": 0}  # fields of a run, from
_INTERVALS = {
    "target": "(0, 1]",
    "budget": "[0, inf)",
    "cost": "[0, inf)",
    "seconds": "[0, inf)",
    "test": "[0, 1]",
    "worst": "[0, 1]",
}


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Parameters
    ----------
    method : str
        Name of the method.
    target : float in (0, 1]
        The requested keep fraction; 1 for methods that always have the full cost.
    seed : int
        Seed of the run: initial weights, sampler, clustering, long tail.
    budget : float in (0, 1]
        The cost to match.
    pilot : dict of str to float
        InfoBatch's setting at the same target and seed, if it ran.
    noise : float, default 0
        Share of training labels that is wrong.
    """

    method: str
    target: float
    seed: int
    budget: float
    pilot: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0


@dataclass(frozen=True)
class Run:
    """Result of one run of the benchmark, or of a method of your own (see `table`).

    Parameters
    ----------
    method : str
        Of the job, like the next three.
    target : float in (0, 1]
        The requested keep fraction.
    seed : int
        Seed of the run.
    budget : float
        The cost to match.
    reason : str, default ""
        Why the cost cannot be reached; empty for a completed run.
    draws : int
        Draws trained on, over the whole run.
    cost : float
        Draws / (N * epochs).
    epochs : int
        Epochs trained.
    seconds : float
        Selection and training, without evaluation.
    scored : int
        Samples evaluated in extra forward passes.
    val_curve : list of float
        Validation metric after each epoch.
    test : float in [0, 1]
        Test metric at the last checkpoint, as a fraction, from the only evaluation of the test set.
    worst : float in [0, 1], optional
        Lowest test accuracy of a class, in that evaluation; None in old files.
    setting : dict of str to float
        Values that the method chose itself.
    call : int
        Call of the benchmark that did the run: row of `calls` in the results.

    Raises
    ------
    ValueError, TypeError
        If a field is not finite or out of range.
    """

    method: str
    target: float
    seed: int
    budget: float
    reason: str = ""
    draws: int = 0
    cost: float = 0.0
    epochs: int = 0
    seconds: float = 0.0
    scored: int = 0
    val_curve: list[float] = field(default_factory=list)
    test: float = 0.0
    worst: float | None = None
    setting: dict[str, float] = field(default_factory=dict)
    call: int = 0

    def __post_init__(self) -> None:
        _check.text("method", self.method)
        _check.text("reason", self.reason)
        for name, low in _COUNTS.items():
            object.__setattr__(self, name, _check.integer(name, getattr(self, name), low))
        for name, interval in _INTERVALS.items():
            value = getattr(self, name)
            if value is None and name == "worst":
                continue
            value = value.item() if getattr(value, "shape", None) == () else value
            if name in ("test", "worst") and isinstance(value, int | float) and 1 < value <= 100:
                raise ValueError(
                    f"{name} must be a fraction in [0, 1], got {value!r}: divide percent by 100"
                )
            object.__setattr__(self, name, _check.number(name, value, interval))

    @property
    def done(self) -> bool:
        """Whether there is a result, rather than a reason for its absence."""
        return not self.reason


class Clock:
    """Seconds spent inside `with clock:`, including device work."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._cuda = device.type == "cuda"
        self._since = 0.0

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def __enter__(self) -> None:
        self._since = self._now()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds += self._now() - self._since


class Scorer:
    """Losses of the current model at given training samples, with a count of evaluations."""

    def __init__(self, model: nn.Module, part: Part) -> None:
        self.count = 0
        self._model = model
        self._part = part

    def __call__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return losses in evaluation mode: int64 (m,) -> float32 (m,)."""
        found = [losses for _, losses, _, _ in self.batches(indices)]
        array: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return array

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield indices, losses, logits and labels of batches in evaluation mode."""
        self.count += indices.size
        self._model.eval()
        for rows in torch.split(torch.tensor(indices).to(self._part.y.device), _EVAL_BATCH):
            labels = self._part.y[rows]
            with torch.no_grad():
                logits = self._model(self._part.x[rows])
                losses = plain_loss(logits, labels, 0)
            yield rows, losses, logits, labels


def train(
    job: Job,
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    device: torch.device,
    after_epoch: Callable[[float], None],
) -> Run:
    """Do one run.

    Parameters
    ----------
    job : Job
        The run to do.
    data : Data
        The data to run on.
    epochs, batch_size : int
        E of a run on all the data, and B.
    device : torch.device
        Device of the model and the data.
    after_epoch : callable
        Called after every epoch with the completed fraction of the run.

    Returns
    -------
    Run
        With `reason` set, and nothing trained, if the method cannot have the job's budget.
    """
    recipe = RECIPES[data.name]
    part, val, test = data.train.to(device), data.val.to(device), data.test.to(device)
    model = recipe.model(data.n_classes, int(key(job.seed, 0, "bench model"))).to(device)
    scorer, clock = Scorer(model, part), Clock(device)
    loop = _Loop(model, recipe, part, batch_size, scorer)
    try:
        with clock:
            plan = METHODS[job.method].build(_context(job, data, epochs, batch_size, scorer))
    except Unreachable as error:
        return Run(job.method, job.target, job.seed, job.budget, reason=str(error))
    draws, curve = 0, []
    for epoch in range(plan.epochs):
        with clock:
            draws += loop.epoch(plan, epoch)
        curve.append(measure(model, val, data).value)
        after_epoch((epoch + 1) / plan.epochs)
    final = measure(model, test, data)
    return Run(
        job.method,
        job.target,
        job.seed,
        job.budget,
        draws=draws,
        cost=draws / (len(part) * epochs),
        epochs=plan.epochs,
        seconds=clock.seconds,
        scored=scorer.count,
        val_curve=curve,
        test=final.value,
        worst=final.worst,
        setting=plan.setting,
    )


def _context(job: Job, data: Data, epochs: int, batch_size: int, losses: Scorer) -> Context:
    return Context(
        labels=data.labels(),
        pixels=data.pixels,
        losses=losses,
        target=job.target,
        budget=job.budget,
        pilot=job.pilot,
        epochs=epochs,
        seed=int(key(job.seed, 0, "bench sampler")),
        batch_size=batch_size,
        noise=job.noise,
    )


@runtime_checkable
class _Rescored(Protocol):
    """A sampler that records losses of the samples it excluded, such as `KakurenboSampler`."""

    @property
    def hidden(self) -> NDArray[np.int64]: ...

    def rescore(
        self,
        indices: torch.Tensor,
        losses: torch.Tensor,
        *,
        logits: torch.Tensor,
        labels: torch.Tensor,
    ) -> None: ...


class _Loop:
    """The common training loop, with the sampler that the plan names.

    Batches come from a `TensorLoader`: collating 60,000 single images would take longer than the
    model.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, part: Part, batch_size: int, scorer: Scorer
    ) -> None:
        self._model = model
        self._scorer = scorer
        self._optimizer = recipe.optimizer(model)
        self._peak = recipe.learning_rate
        self._part = part
        self._batch_size = batch_size

    def epoch(self, plan: TrainingPlan, epoch: int) -> int:
        """Train one epoch and return its number of draws."""
        sampler = plan.sampler(epoch)
        sampler.set_epoch(epoch)
        self._model.train()
        device, consumed, trained = self._part.y.device, 0, 0
        peak = self._peak * plan.rate(epoch)
        size = plan.candidates or self._batch_size
        for indices, batch in TensorLoader(sampler, size, self._part.x, self._part.y):
            rate = peak * schedule(sampler.progress(epoch, consumed, plan.epochs))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            consumed += len(indices)
            loss, rows = self._loss(plan, sampler, epoch, indices.to(device), batch)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            trained += rows
        if isinstance(sampler, _Rescored) and sampler.hidden.size:
            for hidden, losses, logits, labels in self._scorer.batches(sampler.hidden):
                sampler.rescore(hidden, losses, logits=logits, labels=labels)
        return trained

    def _loss(
        self,
        plan: TrainingPlan,
        sampler: EpochSampler,
        epoch: int,
        indices: torch.Tensor,
        batch: tuple[torch.Tensor, torch.Tensor],
    ) -> tuple[torch.Tensor, int]:
        """Return the loss for `backward`, and its number of rows."""
        x, y = batch
        if plan.selector is None:
            logits = self._model(x)
            losses = plan.loss(logits, y, epoch)
            loss = sampler.reduce(
                losses, indices, logits=logits, labels=y, weighting=plan.weighting
            )
            return loss, losses.numel()

        def loss_of(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return plan.loss(model(batch[0]), batch[1], epoch)

        plan.selector.set_epoch(epoch)
        step = SelectiveForward(self._model, loss_of, plan.selector)((x, y), indices)
        self._scorer.count += indices.numel()
        chosen = cast(torch.Tensor, step.indices)  # always given here
        loss = sampler.reduce(step.losses, chosen, weighting=step.weighting)
        return loss, step.losses.numel()


@dataclass(frozen=True)
class Measured:
    """Metrics of a model.

    Parameters
    ----------
    value : float
        Accuracy, or balanced accuracy (the mean over classes of their accuracy).
    worst : float
        The lowest accuracy of a class.
    """

    value: float
    worst: float


def measure(model: nn.Module, part: Part, data: Data) -> Measured:
    """Evaluate a model on a part, by the metric of the data."""
    right = _predictions(model, part) == part.y
    counts = torch.bincount(part.y, minlength=data.n_classes)
    hits = torch.bincount(part.y[right], minlength=data.n_classes)
    shares = (hits / counts)[counts > 0]
    value = right.float().mean() if data.metric == "accuracy" else shares.mean()
    return Measured(float(value), float(shares.min()))


def _predictions(model: nn.Module, part: Part) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return torch.cat([model(x).argmax(1) for x in torch.split(part.x, _EVAL_BATCH)])
