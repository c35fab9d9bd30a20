"""One run: train a model with a method, and measure its cost and its accuracy.

The cost includes everything that a method makes a user wait for: clustering, scoring and extra
forward passes, planning, and training. Evaluation on validation and test sets is excluded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..._check._keywords import short
from ..._rng import key
from ...batch_selection import SelectiveForward
from ...record import Score
from ...samplers import EpochSampler
from ..methods._method import Context, Lacking, Method, TrainingPlan, Unreachable
from ..results._run import FAILED, NOT_RUN, UNREACHABLE, Run
from ..tasks._data import Data
from ..tasks._metric import per_class
from ..tasks._parts import Part
from ..tasks._task import Task

FORWARD = 1 / 3  # assumed cost of a forward pass, of a training step, until it is measured
_MOST_COUNTED = 65535  # draws of a sample


class Failed(RuntimeError):
    """The run cannot be completed; the message says why."""


@dataclass(frozen=True)
class Job:
    """One run to be done.

    Parameters
    ----------
    method : str
        Name of the method.
    keep : float in (0, 1]
        The requested keep fraction; 1 for methods that always have the full cost.
    seed : int
        Seed of the run: initial weights, sampler, clustering, made data.
    budget : float
        Required draws in each epoch / N, on average.
    epochs : int
        Epochs of the run.
    full_epochs : int
        E, epochs of a run on all the data, in whose units costs are given.
    batch_size : int
        B.
    pilot : dict of str to float
        InfoBatch's setting at the same keep fraction and seed, if it ran.
    cost_limit : float, optional
        The total cost that the run must keep to, in units of the training on all data.
    """

    method: str
    keep: float
    seed: int
    budget: float
    epochs: int
    full_epochs: int
    batch_size: int
    pilot: dict[str, float] = field(default_factory=dict)
    cost_limit: float | None = None

    @property
    def asked(self) -> float:
        """Required draws / (N * E)."""
        return self.budget * self.epochs / self.full_epochs


class Clock:
    """Seconds spent inside `with clock:`, including device work.

    With several runs in parallel each waits for the processor; its own processor time, where that
    is less than the elapsed time, is what it needed.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._cuda = device.type == "cuda"
        self._since = (0.0, 0.0)

    def _now(self) -> tuple[float, float]:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def another(self) -> Clock:
        """Return a new clock of the same device."""
        return Clock(torch.device("cuda" if self._cuda else "cpu"))

    def __enter__(self) -> None:
        self._since = self._now()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        elapsed, used = (now - then for now, then in zip(self._now(), self._since, strict=True))
        self.seconds += elapsed if self._cuda else min(elapsed, used)


class Scorer:
    """Losses of the current model at given training samples, with a count of evaluations."""

    def __init__(self, task: Task, model: nn.Module, part: Part, device: torch.device) -> None:
        self.count = 0
        self.clock = Clock(device)
        self._task = task
        self._model = model
        self._part = part

    def __call__(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return losses in evaluation mode: int64 (m,) -> float32 (m,)."""
        found = [losses for _, losses, _, _ in self.batches(indices)]
        array: NDArray[np.float32] = torch.cat(found).float().cpu().numpy()
        return array

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield indices, losses, outputs and targets of batches in evaluation mode."""
        self.count += indices.size
        self._model.eval()
        with self.clock:
            found = []
            for rows, batch in self._part.rows(indices):
                with torch.no_grad():
                    outputs, targets = self._task.outputs(self._model, batch)
                    found.append((rows, self._task.losses(outputs, targets), outputs, targets))
        yield from found


Charge = dict[str, int]  # samples trained on, by what they were trained for
ScoreOf = Callable[[str], tuple[Score, Charge]]
ProbabilitiesOf = Callable[[], tuple[NDArray[np.float32], Charge]]
Record = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]


def train(
    job: Job,
    method: Method,
    data: Data,
    *,
    device: torch.device,
    score_of: ScoreOf,
    calibration: dict[str, float],
    after_epoch: Callable[[float], None] = lambda part: None,
    probabilities_of: ProbabilitiesOf | None = None,
) -> tuple[Run, dict[str, NDArray[Any]]]:
    """Do one run.

    Parameters
    ----------
    job : Job
        The run to do.
    method : Method
        Its method.
    data : Data
        The data to run on.
    device : torch.device
        Device of the model and the data.
    score_of : callable
        Maps the name of a score to it and the samples that its pilot trained on, by the name of
        what they were trained for: those of one name are charged once.
    calibration : dict of str to float
        "sample_seconds" of training and "forward_ratio", where they were measured.
    after_epoch : callable
        Called after every epoch with the completed fraction of the run.
    probabilities_of : callable, optional
        Returns the predictions of a cross-validation, (N, C), and what it trained on.

    Returns
    -------
    run : Run
        With `reason` set, and nothing trained, if the method cannot have the job's budget.
    details : dict of str to array
        "outcomes" and "targets" of the test samples, and "counts", the draws of each training
        sample.
    """
    task = data.task
    part, val, test = data.train.to(device), data.val.to(device), data.test.to(device)
    model = task.built_model(int(key(job.seed, 0, "bench model"))).to(device)
    scorer = Scorer(task, model, part, device)
    bill = Bill(job, len(part), scorer, Clock(device), Clock(device), calibration)
    try:
        plan = _planned(job, method, data, scorer, score_of, bill, probabilities_of)
    except Unreachable as error:
        return _without(job, UNREACHABLE, error), {}
    except Lacking as error:
        return _without(job, NOT_RUN, error), {}
    loop = Loop(task, model, part, job.batch_size, scorer, bill)
    evaluating, curve, costs = Clock(device), [], []
    try:
        for epoch in range(plan.epochs):
            loop.epoch(plan, epoch)
            with evaluating:
                curve.append(_evaluated(task, model, val, data).value)
            costs.append(bill.total)
            after_epoch((epoch + 1) / plan.epochs)
        with evaluating:
            final = _evaluated(task, model, test, data)
    except (Failed, FloatingPointError) as error:
        return _without(job, FAILED, error), {}
    run = Run(
        job.method,
        job.keep,
        job.seed,
        job.asked,
        draws=bill.draws,
        steps=loop.steps,
        epochs=plan.epochs,
        cost=bill.draws / bill.unit,
        scored=scorer.count,
        piloted=bill.piloted,
        total_cost=bill.total,
        seconds={**bill.seconds, "evaluating": evaluating.seconds},
        val_curve=curve,
        cost_curve=costs,
        test=final.value,
        metrics=final.metrics,
        setting=plan.setting,
    )
    return run, {"outcomes": final.outcomes, "targets": final.targets, "counts": bill.counts}


def _without(job: Job, state: str, error: Exception) -> Run:
    return Run(
        job.method, job.keep, job.seed, job.asked, state=state, reason=str(error) or repr(error)
    )


@dataclass
class Bill:
    """What a run has cost so far.

    Parameters
    ----------
    job : Job
        The run.
    size : int
        N.
    scorer : Scorer
        Counts forward passes.
    selecting, training : Clock
        Time of building the plan and of training.
    calibration : dict of str to float
        Measured seconds of a sample, and ratio of a forward pass to it.
    """

    job: Job
    size: int
    scorer: Scorer
    selecting: Clock
    training: Clock
    calibration: dict[str, float]
    draws: int = 0
    piloted: int = 0
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        self.counts = np.zeros(self.size, np.int64)

    @property
    def unit(self) -> int:
        """N * E, samples trained on by a run on all the data."""
        return self.size * self.job.full_epochs

    def count(self, indices: torch.Tensor) -> None:
        """Count samples that were trained on."""
        self.draws += len(indices)
        rows = indices.cpu().numpy()
        np.add.at(self.counts, rows, 1)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by phase; scoring passes are not counted in the phase that asked for them."""
        scoring = self.scorer.clock.seconds
        return {
            "selecting": self.selecting.seconds,
            "scoring": scoring,
            "training": self.training.seconds,
        }

    @property
    def total(self) -> float:
        """Total cost, in units of the training on all data."""
        per_sample = self.calibration.get("sample_seconds") or (
            self.training.seconds / self.draws if self.draws else 0.0
        )
        ratio = self.calibration.get("forward_ratio", FORWARD)
        samples = self.draws + self.piloted + ratio * self.scorer.count
        if per_sample:
            samples += self.selecting.seconds / per_sample
        return samples / self.unit


def _planned(  # noqa: PLR0913  # what a context is made of
    job: Job,
    method: Method,
    data: Data,
    scorer: Scorer,
    score_of: ScoreOf,
    bill: Bill,
    probabilities_of: ProbabilitiesOf | None,
) -> TrainingPlan:
    """Build the plan; of a limited total cost, with as many epochs as that leaves, rounded."""
    charged: Charge = {}
    piloting = bill.selecting.another()

    def charge(trained: Charge) -> None:
        for name, samples in trained.items():
            charged[name] = max(charged.get(name, 0), samples)
        bill.piloted = sum(charged.values())

    def score(name: str) -> Score:
        with piloting:
            found, trained = score_of(name)
        charge(trained)
        return found

    def probabilities() -> NDArray[np.float32]:
        with piloting:
            found, trained = probabilities_of()  # type: ignore[misc]  # not called if None
        charge(trained)
        return found

    def built(epochs: int) -> TrainingPlan:
        given = None if probabilities_of is None else probabilities
        return method.build(_context(job, data, epochs, scorer, score, given))

    with _without_scoring(bill.selecting, scorer):
        plan = built(job.epochs)
    bill.selecting.seconds -= piloting.seconds  # a pilot run is charged by its samples
    if job.cost_limit is None:
        return plan
    ratio = bill.calibration.get("forward_ratio", FORWARD)
    left = job.cost_limit - bill.total
    epochs = round(left * job.full_epochs / (job.budget + ratio * plan.forwards))
    if epochs < 1:
        raise Unreachable(
            f"unreachable: selecting and scoring cost {bill.total:.2g} of a full run, and "
            f"{job.cost_limit:.2g} are allowed"
        )
    return plan if epochs >= job.epochs else built(epochs)


@contextlib.contextmanager
def _without_scoring(clock: Clock, scorer: Scorer) -> Iterator[None]:
    """Time a phase without the forward passes inside it, which the scorer counts."""
    before = scorer.clock.seconds
    with clock:
        yield
    clock.seconds -= scorer.clock.seconds - before


def _context(  # noqa: PLR0913  # what a method may know
    job: Job,
    data: Data,
    epochs: int,
    scorer: Scorer,
    score: Callable[[str], Score],
    probabilities: Callable[[], NDArray[np.float32]] | None,
) -> Context:
    return Context(
        size=len(data.train),
        keep=job.keep,
        budget=job.budget,
        epochs=epochs,
        seed=int(key(job.seed, 0, "bench sampler")),
        batch_size=job.batch_size,
        find_labels=data.labels(),
        find_embeddings=data.embeddings,
        losses=scorer,
        loss=data.task.losses,
        score=score,
        pilot=job.pilot,
        noise=data.noise,
        find_probabilities=probabilities,
        origin=data.origin,
        whole=data.whole,
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


class Loop:
    """The common training loop, with the sampler that the plan names.

    Parameters
    ----------
    task : Task
        How to train.
    model : nn.Module
        On its device.
    part : Part
        Training samples, on the device of the model.
    batch_size : int
        B.
    scorer : Scorer
        Counts forward passes.
    bill : Bill
        Counts draws and seconds.
    record : callable, optional
        Called with indices, outputs and targets of every batch that is trained on, such as
        `TrainingDynamics.update`.
    """

    def __init__(  # noqa: PLR0913  # the parts of a loop
        self,
        task: Task,
        model: nn.Module,
        part: Part,
        batch_size: int,
        scorer: Scorer,
        bill: Bill,
        record: Record | None = None,
    ) -> None:
        self.steps = 0
        self._task = task
        self._model = model
        self._scorer = scorer
        self._optimizer = task.built_optimizer(model)
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]
        self._part = part
        self._batch_size = batch_size
        self._bill = bill
        self._record = record
        device = next(model.parameters()).device
        self._device = device
        half = task.amp == "float16" and device.type == "cuda"
        self._scaler = torch.amp.GradScaler(device.type, enabled=half)

    def epoch(self, plan: TrainingPlan, epoch: int) -> None:
        """Train one epoch.

        Raises
        ------
        Failed
            If a loss was not finite.
        """
        with _without_scoring(self._bill.selecting, self._scorer):
            sampler = plan.sampler(epoch)
            sampler.set_epoch(epoch)
        with _without_scoring(self._bill.training, self._scorer):
            total = self._pass(plan, sampler, epoch)
            if isinstance(sampler, _Rescored) and sampler.hidden.size:
                for hidden, losses, logits, labels in self._scorer.batches(sampler.hidden):
                    sampler.rescore(hidden, losses, logits=logits, labels=labels)
        if not np.isfinite(total):
            raise Failed(f"the loss was {total} in epoch {epoch}")

    def _pass(self, plan: TrainingPlan, sampler: EpochSampler, epoch: int) -> float:
        """Train on the draws of an epoch; return the sum of the losses of its steps."""
        self._model.train()
        consumed, factor = 0, plan.rate(epoch)
        total = torch.zeros((), device=self._device)
        for indices, batch in self._part.batches(sampler, plan.candidates or self._batch_size):
            rate = factor * self._task.factor(sampler.progress(epoch, consumed, plan.epochs))
            for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
                group["lr"] = peak * rate
            consumed += len(indices)
            loss, trained = self._loss(plan, sampler, epoch, indices, batch)
            self._optimizer.zero_grad()
            self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self._scaler.step(self._optimizer)
            self._scaler.update()
            self.steps += 1
            self._bill.count(trained)
            total += loss.detach()
        return float(total)

    def _loss(
        self,
        plan: TrainingPlan,
        sampler: EpochSampler,
        epoch: int,
        indices: torch.Tensor,
        batch: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss for `backward`, and the indices of its rows."""
        there = indices.to(self._device)
        if plan.selector is None:
            with self._autocast():
                outputs, targets = self._task.outputs(self._model, batch)
                losses = self._losses(plan, outputs, targets, epoch)
            if self._record is not None:
                self._record(indices, outputs.detach(), targets)
            given: dict[str, Any] = {}
            if not targets.is_floating_point():
                given = {"labels": targets}
                if outputs.ndim == 2:  # noqa: PLR2004
                    given["logits"] = outputs
            return sampler.reduce(losses, there, weighting=plan.weighting, **given), indices

        def loss_of(model: nn.Module, batch: Any) -> torch.Tensor:
            with self._autocast():
                return self._losses(plan, *self._task.outputs(model, batch), epoch)

        plan.selector.set_epoch(epoch)
        step = SelectiveForward(self._model, loss_of, plan.selector)(batch, there)
        self._scorer.count += indices.numel()
        chosen = cast(torch.Tensor, step.indices)  # always given here
        return sampler.reduce(step.losses, chosen, weighting=step.weighting), chosen

    def _losses(
        self, plan: TrainingPlan, outputs: torch.Tensor, targets: torch.Tensor, epoch: int
    ) -> torch.Tensor:
        if plan.loss is not None:
            return plan.loss(outputs, targets, epoch)
        return self._task.losses(outputs, targets)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._task.amp is None:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, getattr(torch, self._task.amp))


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Parameters
    ----------
    value : float
        The metric.
    metrics : dict of str to float
        Further metrics.
    outcomes, targets : array of shape (M, ...)
        What the metric keeps of each sample, and its target.
    """

    value: float
    metrics: dict[str, float]
    outcomes: NDArray[Any]
    targets: NDArray[Any]


def _as_float(value: Any, name: str) -> float:  # what a user's metric returned
    try:
        return float(value)
    except (TypeError, ValueError):
        raise Failed(f"the metric {name} must return a float, got {short(value)}") from None


def _evaluated(task: Task, model: nn.Module, part: Part, data: Data) -> Evaluated:
    """Evaluate a model on a part, by the metric of the data."""
    model.eval()
    metric = data.metric
    outcomes, targets, others = [], [], []
    with torch.no_grad():
        for _, batch in part.all_rows():
            outputs, wanted = task.outputs(model, batch)
            if outputs.isnan().any():
                raise Failed("the outputs of the model were nan in evaluation")
            outcomes.append(metric.outcome(outputs, wanted).cpu())
            targets.append(wanted.cpu())
            if data.n_classes and metric.kind != "classes" and outputs.ndim == 2:  # noqa: PLR2004
                others.append(outputs.argmax(1).cpu())
    found, wanted_all = torch.cat(outcomes).numpy(), torch.cat(targets).numpy()
    value = _as_float(metric.value(found, wanted_all), metric.name)
    if not np.isfinite(value):
        raise Failed(f"the metric {metric.name} was {value}")
    metrics: dict[str, float] = {}
    predicted = found if metric.kind == "classes" else torch.cat(others).numpy() if others else None
    if predicted is not None:
        by_class = per_class(predicted, wanted_all)
        metrics = {
            "accuracy": float((predicted == wanted_all).mean()),
            "balanced accuracy": float(np.nanmean(by_class)),
            "worst class": float(np.nanmin(by_class)),
        }
    return Evaluated(value, metrics, found, wanted_all)
