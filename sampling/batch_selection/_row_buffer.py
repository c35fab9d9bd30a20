"""A buffer for rows of several batches until there are enough to train on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from .. import _check
from ..errors import StateError
from ._take_rows import RowsOf, leaves_of, rebuilt


class Rows(NamedTuple):
    """Chosen rows: a batch (k, ...), dataset indices (k,) or None, and weights (k,)."""

    batch: Any
    indices: torch.Tensor | None
    weights: torch.Tensor


class RowBuffer:
    """Collect rows until there are `size` of them.

    Parameters
    ----------
    size : int or None
        Number of rows; None disables the buffer.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size
        self._leaves: list[Any] = []  # of the batch, then indices if any, then weights
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def exchange(self, whole: Rows, rows: torch.Tensor, candidates: int) -> Rows | None:
        """Add rows; return `size` rows in order of arrival, or None if there are too few.

        whole      : batch (B, ...) and indices (B,) that contain the rows, weights (k,) of the rows
        rows       : int64 (k,)
        candidates : B
        """
        size = self.size or 0
        if candidates > size:
            raise ValueError(
                f"collect must be at least the size of a batch, {candidates}, got {size}: more "
                "rows could be added than removed"
            )
        # Whether a list holds samples or tensors is decided from the whole batch: with few rows the
        # two could be confused.
        take = RowsOf(rows)
        fresh = [take(leaf) for leaf in leaves_of(whole.batch, candidates)]
        parts = len(fresh)
        if whole.indices is not None:
            fresh.append(whole.indices.to(rows.device)[rows])
        fresh.append(whole.weights)
        if self._waiting:
            if len(fresh) != len(self._leaves):
                raise ValueError(
                    f"a batch must have the {len(self._leaves) - 1} parts of the last one, got "
                    f"{len(fresh) - 1}"
                )
            pairs = zip(self._leaves, fresh, strict=True)
            fresh = [_joined(old, new) for old, new in pairs]
        self._leaves, self._waiting = fresh, self._waiting + rows.numel()
        if self._waiting < size:
            return None
        ready = [leaf[:size] for leaf in self._leaves]
        self._leaves = [_copied(leaf[size:]) for leaf in self._leaves]
        self._waiting -= size
        batch = rebuilt(whole.batch, candidates, ready[:parts])
        return Rows(batch, ready[parts] if whole.indices is not None else None, ready[-1])

    def state(self) -> list[Any]:
        """Return the buffered rows: arrays, and lists of JSON values."""
        return [_saved(leaf) for leaf in self._leaves] if self._waiting else []

    def restore(self, leaves: list[Any]) -> None:
        """Restore the result of `state`."""
        self._leaves = [each if isinstance(each, list) else np.array(each) for each in leaves]
        self._waiting = len(self._leaves[-1]) if leaves else 0


def _joined(old: Any, new: Any) -> Any:
    if isinstance(new, torch.Tensor):
        if not isinstance(old, torch.Tensor):  # from a state
            old = torch.from_numpy(old)
        return torch.cat([old.to(new.device, new.dtype), new])
    if isinstance(new, np.ndarray):
        return np.concatenate([old, new])
    return type(new)([*old, *new])


def _copied(leaf: Any) -> Any:
    """Return a slice of a leaf without keeping the memory of the whole."""
    if isinstance(leaf, torch.Tensor):
        return leaf.clone()
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def _saved(leaf: Any) -> Any:
    if isinstance(leaf, torch.Tensor | np.ndarray):
        return np.array(_check.host(leaf))
    for each in leaf:
        if not isinstance(each, str | int | float | None):
            raise StateError(
                "buffered rows must be tensors, arrays, strings or numbers to be saved, got a "
                f"list of {type(each).__name__}"
            )
    return list(leaf)
