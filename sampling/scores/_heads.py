"""Conversion of the logits and labels of any classifier to one output per class.

A binary classifier may have one output z, the log odds of class 1, with labels 0 and 1 (or 0. and
1., of shape (B, 1), as binary cross-entropy takes them). The sigmoid of z is the softmax of (0, z),
so all code after these functions sees two columns, never one: the results are bit-identical to
those of a model of two outputs 0 and z.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check
from ..types import Indices

Values = TypeVar("Values", NDArray[Any], torch.Tensor)

_ONE_OUTPUT = "a model of one output distinguishes classes 0 and 1"
_MULTI_LABEL = "for multi-label data pass one class at a time: logits[:, [c]], labels[:, c]"


def is_one_output(logits: Any, count: int) -> bool:  # array or tensor
    """Return whether the logits of `count` samples have one output: (B, 1) or (B,)."""
    return tuple(logits.shape) in {(count, 1), (count,)}


def two_columns(logits: Values) -> Values:
    """Return logits of one output as those of two classes: (B, 1) or (B,) -> (B, 2), (0, z)."""
    single = logits.reshape(-1)
    if isinstance(single, torch.Tensor):
        return torch.stack([torch.zeros_like(single), single], dim=1)
    return np.stack([np.zeros_like(single), single], axis=1)


def two_probabilities(name: str, probabilities: NDArray[Any], start: int = 0) -> NDArray[Any]:
    """Return probabilities of class 1 as those of both: (B, 1) or (B,) -> (B, 2), (1 - p, p).

    start : number of the first row, for the message
    """
    single = probabilities.reshape(-1)
    bad = np.flatnonzero(~((single >= 0) & (single <= 1)))
    if bad.size:
        got, row = single[bad[0]], start + bad[0]
        raise ValueError(f"{name} must be in [0, 1], got {got} in row {row}")
    return np.stack([1 - single, single], axis=1)


def stored_probabilities(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return probabilities of all classes, (N, C) in their own precision, at least 32 bits.

    values : (N, C), or (N, 1) or (N,) of class 1; refused unless each row is >= 0 and sums to 1
    """
    probs = _check.host(values, name)
    if probs.dtype.kind == "f" and probs.size and column(probs).ndim == 1:
        probs = two_probabilities(name, probs)
    if probs.ndim != 2 or probs.shape[0] == 0 or probs.shape[1] < 2:  # noqa: PLR2004
        raise ValueError(f"{name} must have shape (N, C) with N >= 1, C >= 2, got {probs.shape}")
    if probs.dtype.kind != "f":
        raise TypeError(f"{name} must hold floats, got dtype {probs.dtype}")
    if probs.dtype.itemsize < 4:  # noqa: PLR2004
        probs = probs.astype(np.float32)
    totals = probs.sum(axis=1, dtype=np.float64)
    # 0.01: the rounding error of 1000 classes in half precision is smaller
    for rule, bad, found in (
        ("sum to 1 in each row", ~(np.abs(totals - 1.0) <= 0.01), totals),
        ("be >= 0", probs.min(axis=1) < 0, probs.min(axis=1)),
    ):
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"{name} must {rule}, got {found[row]:g} in row {row} ({bad.sum()} such rows): of "
                "logits give logits.softmax(1)"
            )
    return probs


def binary_ids(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return the labels of a model of one output as class ids: int64 (B,), 0 or 1.

    labels : (B,) or (B, 1), of ints, bools, or floats that are 0 or 1; for ints -100 is "no label"
             and kept, but -1 is not accepted, since elsewhere it denotes the class opposite to 1

    Other labels are refused on the host. On a device, where checking would synchronise, they
    become -1.
    """
    if tuple(labels.shape) not in {(count,), (count, 1)}:
        raise ValueError(
            f"labels must have shape ({count},) or ({count}, 1) for logits of one column, got "
            f"{tuple(labels.shape)}: {_ONE_OUTPUT}"
        )
    given = labels.detach().reshape(-1)
    if given.is_complex():
        raise TypeError(f"labels must hold 0 or 1 for logits of one column, got {given.dtype}")
    known = (given == 0) | (given == 1)
    if not given.is_floating_point() and given.dtype != torch.bool:
        known = known | (given == -100)
    if given.is_cpu and not bool(known.all()):
        row = int((~known).nonzero()[0, 0])
        raise ValueError(
            f"labels must be 0 or 1 for logits of one column, got {given[row].item():g} in row "
            f"{row}: {_ONE_OUTPUT}"
        )
    return torch.where(known, given, -1).to(torch.int64)


def binary_ids_on_host(labels: NDArray[Any], count: int) -> Indices:
    """Return the same for an array; "no label" is refused too."""
    if labels.dtype.kind not in "iufb":
        raise TypeError(f"labels must hold 0 or 1 for logits of one column, got {labels.dtype}")
    whole = labels if labels.dtype.kind != "u" else labels.astype(np.int64)
    found = binary_ids(torch.from_numpy(np.ascontiguousarray(whole)), count).numpy()
    _check.codes("labels", found, 2)
    return found


def one_class(labels: torch.Tensor) -> torch.Tensor:
    """Return the class of each row of targets (B, C), the one of the largest target: int64 (B,).

    Rows must be distributions over the classes, as one-hot, mixed and smoothed labels are: rows of
    multi-label targets have no single class, and are refused on the host; on a device they become
    -1.
    """
    targets = labels.detach().float()
    sums = targets.sum(dim=1)
    known = (sums - 1.0).abs() <= 0.01  # tolerates half precision and rounded smoothing
    if targets.is_cpu and not bool(known.all()):
        row = int((~known).nonzero()[0, 0])
        raise ValueError(
            f"labels of shape (B, C) must sum to 1 in each row, got {sums[row].item():g} in row "
            f"{row}: one class per sample is required; {_MULTI_LABEL}"
        )
    return torch.where(known, targets.argmax(dim=1), -1)


def column(values: Any) -> Any:  # array, tensor or lists
    """Return (N, 1) as (N,), and everything else unchanged."""
    if isinstance(values, list | tuple):
        rows = [len(each) if isinstance(each, list | tuple) else 0 for each in values]
        return [each[0] for each in values] if rows and set(rows) == {1} else values
    if not hasattr(values, "reshape"):
        return values
    shape = tuple(values.shape)
    return values.reshape(-1) if len(shape) == 2 and shape[1] == 1 else values


def refuse_table(labels: Any) -> None:  # array or tensor
    """Refuse labels (B, C), C > 1, where class ids are required."""
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"labels must have shape ({labels.shape[0]},), one class id per sample, got "
            f"{tuple(labels.shape)}: for one-hot labels pass labels.argmax(1); {_MULTI_LABEL}"
        )


def refuse_one_class(name: str, value: object) -> None:
    """Refuse C = 1, the number of outputs of a binary model rather than of its classes."""
    if isinstance(value, int | np.integer) and value == 1:
        raise ValueError(f"{name} must be >= 2, got 1: {_ONE_OUTPUT}, which are two")
