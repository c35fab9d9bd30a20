"""Seconds of a training step and of a forward pass, measured once, alone."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

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
    """
    task, where = data.task, torch.device(device)
    part = data.train.to(where)
    model = task.built_model(0).to(where)
    optimizer = task.built_optimizer(model)

    def step(batch: object) -> None:
        outputs, targets = task.outputs(model, batch)
        optimizer.zero_grad()
        task.losses(outputs, targets).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def forward(batch: object) -> None:
        with torch.no_grad():
            task.losses(*task.outputs(model, batch))

    with torch_threads(threads):
        model.train()
        training = _per_sample(step, part, batch_size, where)
        model.eval()
        passing = _per_sample(forward, part, batch_size, where)
    return {"sample_seconds": training, "forward_ratio": passing / training}


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
