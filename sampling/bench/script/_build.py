"""The sampler of a method, built in the process of a run: only the script has the data."""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from ... import _check
from ..._check import _labels
from ..._rng import key
from ...record import Score
from ...samplers import EpochSampler
from ..methods._method import (
    CLASSES,
    EMBEDDINGS,
    LOOP,
    LOSSES,
    SCHEDULE,
    SHARE,
    TRAINED,
    Context,
    Lacking,
    Method,
    TrainingPlan,
    Unreachable,
)
from ..methods._named import method_named
from ..results._run import NOT_RUN, UNREACHABLE
from ..training._train import Job
from ._files import begun_beside
from ._session import Session, alone, first_rank
from ._watch import Watch, with_options

HOW: dict[str, str] = {  # level -> how a script gets there
    LOSSES: "wrap the dataset in sampling.Indexed and take sampler.reduce(losses, indices) as loss",
    SCHEDULE: "train for sampling.bench.num_epochs(...) epochs, with a schedule that follows from "
    "them or from sampler.progress",
}
_LOOP = (
    "needs forward passes or a loss of its own, which only the training loop of the benchmark has: "
    "give data and model as a sampling.bench.Task"
)
_FEW = 200  # rows of the plan by which kernels are compiled
_GIVE: dict[str, str] = {
    CLASSES: "needs classes: give labels= to sampling.bench.sampler",
    EMBEDDINGS: "needs embeddings: give embeddings= to sampling.bench.sampler",
    SHARE: "needs the share of wrong labels, which is unknown in a script",
    TRAINED: "needs the scores or predictions of a pilot run, which a script does not have: select "
    "with a score of your own, and give the subset file as a method",
}


def lacks(job: Job, method: Method, levels: set[str], given: set[str]) -> str:
    """Return why a script cannot run a method; empty if it can.

    levels : what the first run of the script did
    given : "classes" and "embeddings", if the script has them
    """
    if method.level == LOOP:
        return _LOOP
    needed: list[str] = [method.level]
    if job.epochs != job.full_epochs or job.cost_limit is not None:
        needed.append(SCHEDULE)
    for level in needed:
        if level not in levels:
            return f"needs the level {level!r}, which the script does not have: {HOW[level]}"
    missing = [each for each in method.needs if each not in given]
    if not missing:
        return ""
    return _GIVE.get(missing[0], f"needs {missing[0]}, which a script does not have")


class Given:
    """Labels and embeddings as the script gave them, read when a method needs them.

    Parameters
    ----------
    size : int
        N.
    labels, embeddings : array-like or callable, optional
        One label or row for each sample, or a function without arguments that returns them.
    """

    def __init__(self, size: int, labels: Any, embeddings: Any) -> None:
        self.size = size
        self._labels = labels
        self._embeddings = embeddings
        self._codes: NDArray[np.int64] | None = None
        self._rows: NDArray[np.float32] | None = None

    def codes(self) -> NDArray[np.int64] | None:
        """Return the classes, numbered 0 to C - 1, int64 (N,)."""
        if self._codes is None and self._labels is not None:
            values = self._labels() if callable(self._labels) else self._labels
            ids = _labels.ids("labels", values)
            _check.same_length("labels", ids, "dataset", self.size)
            self._codes = np.unique(ids, return_inverse=True)[1].astype(np.int64)
        return self._codes

    def rows(self) -> NDArray[np.float32] | None:
        """Return the embeddings, float32 (N, D)."""
        if self._rows is None and self._embeddings is not None:
            values = self._embeddings() if callable(self._embeddings) else self._embeddings
            rows = _check.embeddings("embeddings", values)
            _check.same_length("embeddings", rows, "dataset", self.size)
            self._rows = np.asarray(rows, np.float32)
        return self._rows


def sampler_of(
    run: Session, dataset: int | Sized, given: Given, ranks: dict[str, Any]
) -> EpochSampler:
    """Return the sampler of the run's method, watched; end the process if it cannot have one.

    ranks : num_replicas and rank, as given
    """
    order = run.order
    job = Job(**order.job)
    size = given.size
    if order.size and size != order.size:
        run.end(
            "failed", f"dataset must have {order.size} samples, as in the first run, got {size}"
        )
    if first_rank():
        begun_beside(run.path).touch()
    method = _method(order.folder, job.method)
    began = time.perf_counter()
    if EMBEDDINGS in method.needs:
        given.rows()
        began += _compiled(job, method, given)
    try:
        plan = _within(job, method, _context(job, size, given, order.batch_size),
                       lambda: time.perf_counter() - began, order.calibration)  # fmt: skip
        sampler = _the_one(plan)
        if method.level == LOSSES and not (order.first or order.logits):
            _refuse_without_logits(sampler)
    except Lacking as error:
        run.end(NOT_RUN, str(error))
    except Unreachable as error:
        run.end(UNREACHABLE, str(error))
    if run.asked_epochs and not order.first and run.asked_epochs != plan.epochs:
        run.end("failed", f"num_epochs must be called after sampler for {job.method}")
    sampler._size_of("dataset", dataset)  # a change of its length is refused in `set_epoch`
    with_options(sampler, auto_epoch=alone(), **ranks)
    run.plan = plan
    run.needs_losses = method.level == LOSSES or plan.weighting is not None
    run.watch = Watch(sampler, plan.weighting, order.bench)
    run.began = time.perf_counter()
    run.selecting = run.began - began
    run.starting = time.time() - order.began - run.selecting
    return sampler


def _compiled(job: Job, method: Method, given: Given) -> float:
    """Build a small plan first, whose seconds of imports and compilation are returned."""
    began = time.perf_counter()
    rows, codes = given.rows(), given.codes()
    if rows is None or given.size <= _FEW:
        return 0.0
    few = np.linspace(0, given.size - 1, _FEW).astype(np.int64)
    small = Given(_FEW, None if codes is None else codes[few], rows[few])
    with contextlib.suppress(ValueError):  # too few rows for the method: it compiles as it runs
        method.build(_context(job, _FEW, small, 1)(job.epochs))
    return time.perf_counter() - began


def epochs_of(run: Session, default: int) -> int:
    """Return the number of epochs that the script is to train, before or after `sampler`."""
    order = run.order
    if order.first:
        return default
    if run.plan is not None:
        return run.plan.epochs
    job = Job(**order.job)
    method = _method(order.folder, job.method)
    context = _context(job, order.size, Given(order.size, None, None), order.batch_size)
    try:
        return _within(job, method, context, lambda: 0.0, order.calibration).epochs
    except (Lacking, Unreachable):  # `sampler` ends the run, or needs the data, as few methods do
        return job.epochs


def _method(folder: str, name: str) -> Method:
    """Return the method, whose path may be relative to where `sampling bench` runs."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        return method_named(name)
    finally:
        os.chdir(here)


def _within(
    job: Job,
    method: Method,
    context: Callable[[int], Context],
    selecting: Callable[[], float],
    calibration: dict[str, float],
) -> TrainingPlan:
    """Build the plan; where the total cost is limited, with as many epochs as that leaves."""
    plan = method.build(context(job.epochs))
    if job.cost_limit is None:
        return plan
    per_sample = calibration.get("sample_seconds", 0.0)
    unit = context(job.epochs).size * job.full_epochs
    spent = selecting() / per_sample / unit if per_sample else 0.0
    epochs = int((job.cost_limit - spent) * job.full_epochs / job.budget)
    if epochs < 1:
        raise Unreachable(
            f"unreachable: selecting costs {spent:.2g} of a full run, and {job.cost_limit:.2g} are "
            "allowed"
        )
    return plan if epochs >= job.epochs else method.build(context(epochs))


def _the_one(plan: TrainingPlan) -> EpochSampler:
    """Return the sampler of all epochs, or raise for a plan that a script cannot follow."""
    if plan.loss is not None or plan.selector is not None or plan.forwards:
        raise Lacking(_LOOP)
    if any(plan.rate(epoch) != 1.0 for epoch in range(plan.epochs)):
        raise Lacking("changes the learning rate, which only the script can: see `Task`")
    found = plan.sampler(0)
    if plan.epochs > 1 and plan.sampler(1) is not found:
        raise Lacking("has another sampler in each epoch, and a loader keeps the first")
    if hasattr(found, "rescore"):
        raise Lacking(_LOOP)
    return found


def _refuse_without_logits(sampler: EpochSampler) -> None:
    """Raise for a sampler that learns from more than the losses that the script gives."""
    trial = copy.deepcopy(sampler)
    try:
        trial.record(trial.indices(trial.epoch, 0, 1), torch.zeros(1))
    except ValueError as error:
        raise Lacking(f"needs more than losses: {error}") from None


def _context(job: Job, size: int, given: Given, batch_size: int) -> Callable[[int], Context]:
    def of(epochs: int) -> Context:
        return Context(
            size=size,
            keep=job.keep,
            budget=job.budget,
            epochs=epochs,
            seed=int(key(job.seed, 0, "bench sampler")),
            batch_size=batch_size or 1,
            find_labels=given.codes(),
            find_embeddings=given.rows,
            losses=_no_losses,
            loss=_no_loss,
            score=_no_score,
            pilot=job.pilot,
        )

    return of


def _no_losses(indices: NDArray[np.int64]) -> NoReturn:
    raise Lacking(_LOOP)


def _no_loss(outputs: Any, targets: Any) -> NoReturn:
    raise Lacking(_LOOP)


def _no_score(name: str) -> Score:
    raise Lacking(
        f"needs the score {name!r} of a pilot run, which a script does not have: select with a "
        "score of your own, and give the subset file as a method"
    )
