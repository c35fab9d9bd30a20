"""Seconds of a training step and of a forward pass, measured once, alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from ..._check._keywords import short
from ...samplers import ShuffleSampler
from ..tasks._data import Data
from ..tasks._models import torch_threads
from ..tasks._parts import Part

_SECONDS = 1.0  # of each measurement
_WARM_UP = 3  # batches
_MOST = 10**4  # epochs


def calibrated(data: Data, device: str, threads: int | None, batch_size: int) -> dict[str, float]:
    """Return "sample_seconds", of training on a sample, and "forward_ratio", of a pass to it.

    Measured while no other run is in progress, on as many batches as fit in one second.

    Raises
    ------
    ValueError
        If the outputs of the model do not fit the data: each run would fail, as late as in its
        evaluation.
    """
    task, where = data.task, torch.device(device)
    part = data.train.to(where)
    model = task.built_model(0).to(where)
    optimizer = task.built_optimizer(model)

    def step(batch: object) -> None:
        outputs, targets = task.outputs(model, batch)
        _check_outputs(data, outputs, targets)
        optimizer.zero_grad()
        task.losses(outputs, targets).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def forward(batch: object) -> None:
        with torch.no_grad():
            outputs, targets = task.outputs(model, batch)
            _check_outputs(data, outputs, targets)
            task.losses(outputs, targets)

    with torch_threads(threads):
        model.train()
        training = _per_sample(step, part, batch_size, where)
        model.eval()
        passing = _per_sample(forward, part, batch_size, where)
    return {"sample_seconds": training, "forward_ratio": passing / training}


def _check_outputs(data: Data, outputs: Any, targets: torch.Tensor) -> None:
    """Refuse outputs from which no loss, or no metric, could be computed."""
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"its outputs must be a tensor, got {short(outputs)}: give `forward`")
    metric, own_loss = data.metric, data.task.loss is not None
    if targets.is_floating_point():
        if metric.kind == "values" and outputs.numel() != targets.numel():
            raise ValueError(
                f"its outputs must have the shape of the targets, {tuple(targets.shape)}, got "
                f"{tuple(outputs.shape)}"
            )
    elif data.n_classes and (not own_loss or metric.kind in ("classes", "losses")):
        low = (len(targets), data.n_classes)
        fits = (
            outputs.ndim == len(low) and outputs.shape[0] == low[0] and outputs.shape[1] >= low[1]
        )
        if not (fits and outputs.is_floating_point()):
            raise ValueError(
                f"its outputs must be one float for each of {low[1]} classes or more, shape {low}, "
                f"got {str(outputs.dtype).removeprefix('torch.')} of shape {tuple(outputs.shape)}"
            )


def _per_sample(
    function: Callable[[Any], None], part: Part, batch_size: int, device: torch.device
) -> float:
    """Return the seconds of a function for each sample, after a few batches to warm up."""
    sampler = ShuffleSampler(len(part), seed=0)
    batches = (pair for epoch in range(_MOST) for pair in _epoch(part, sampler, epoch, batch_size))
    for _, batch in islice(batches, _WARM_UP):
        function(batch)
    began, samples = _now(device), 0
    for indices, batch in batches:
        function(batch)
        samples += len(indices)
        if _now(device) - began > _SECONDS:
            break
    return (_now(device) - began) / samples


def _epoch(
    part: Part, sampler: ShuffleSampler, epoch: int, batch_size: int
) -> Iterator[tuple[torch.Tensor, Any]]:
    sampler.set_epoch(epoch)
    return part.batches(sampler, batch_size)


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
