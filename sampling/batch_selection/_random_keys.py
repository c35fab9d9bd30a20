"""Random numbers for the rows of a batch, and draws from them, without synchronizing the device."""

from __future__ import annotations

import math

import numpy as np
import torch

from .. import _check
from ..kernels._keys import keys_of_ids
from ..types import Floats

_BELOW_ONE = 1.0 - 2.0**-24  # the largest float32 below 1


def host_uniforms(key: np.uint64, size: int) -> Floats:
    """Return a random number in [0, 1) for each of `size` rows: float64 (size,)."""
    words = np.empty(size, np.uint64)
    keys_of_ids(np.arange(size, dtype=np.int64), key, words)
    found: Floats = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def uniforms(key: np.uint64, size: int, device: torch.device) -> torch.Tensor:
    """Return the same as float32, on the device of the losses."""
    return to_device(np.minimum(host_uniforms(key, size), _BELOW_ONE), device)


def to_device(values: Floats, device: torch.device) -> torch.Tensor:
    """Return numbers as float32 on the device of the losses, without synchronizing."""
    tensor = torch.from_numpy(values.astype(np.float32))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def check_keep(keep: float) -> float:
    """Return a count (int) or a fraction of a batch (float in (0, 1]), checked."""
    if isinstance(keep, float | np.floating):
        return _check.number("keep", keep, "(0, 1]")
    return _check.integer("keep", keep, 1)


def count_of(keep: float, size: int) -> int:
    """Return how many of `size` rows to keep, at least 1: a fraction of them is rounded up."""
    if isinstance(keep, int):
        return min(keep, size)
    return max(1, math.ceil(keep * size - 1e-9))  # 0.1 * 30 is a little more than 3


def hardest_first(losses: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return the rows by descending loss, ties at random, losses that are not finite last.

    uniform : a random number in [0, 1) for each row
    """
    usable = torch.where(torch.isfinite(losses), losses, -math.inf)
    mixed = torch.argsort(uniform)
    return mixed[torch.argsort(usable[mixed], descending=True, stable=True)]


def draw_in_proportion(chance: torch.Tensor, count: int, uniform: torch.Tensor) -> torch.Tensor:
    """Draw `count` rows one after another without replacement, each in proportion to `chance`.

    Each row gets an exponential arrival time of rate `chance`; the first `count` rows are drawn
    (Efraimidis, Spirakis 2006). Rows with chance 0 come last. Ascending.

    uniform : a random number in [0, 1) for each row
    """
    arrival = -torch.log1p(-uniform) / chance  # infinite, or NaN if uniform is 0, at chance 0
    arrival = torch.where(chance > 0, arrival, math.inf)
    return torch.topk(arrival, count, largest=False).indices.sort().values
