"""Rows of a batch that is a tensor, or nested mappings, tuples and lists of tensors.

The walk through a batch is not `torch.utils._pytree.tree_map`, which is private, and for which
subclasses of dict and list, and the `BatchEncoding` of transformers (a `UserDict`), are leaves:
they would need the walk all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import copy
from typing import Any

import numpy as np
import torch

from .. import _check
from .._check._keywords import told

Leaf = Callable[[Any], Any]


@told
def take_rows(batch: Any, rows: torch.Tensor, size: int | None = None) -> Any:
    """Return some rows of a batch, in the same structure.

    Tensors and arrays are indexed along their first dimension, which must have `size` rows.
    Mappings, tuples, named tuples and lists are traversed. A list with one item for each sample
    (strings, images of different sizes, one mapping for each image) is indexed by the rows. Single
    values (None, numbers, strings, tensors without dimensions) are unchanged.

    Parameters
    ----------
    batch : tensor, array, or mappings, tuples and lists of them
        The batch, of B rows.
    rows : int64 tensor of shape (k,)
        The rows to return, in [0, size).
    size : int, optional
        B; by default the length of the first tensor or array in the batch.

    Returns
    -------
    as `batch`
        Copies. Mappings of other classes than dict are copied and filled.

    Raises
    ------
    ValueError
        If a part has another number of rows; the message names the part.
    TypeError
        If a part has an unsupported type.

    Notes
    -----
    Order
        A list of tensors that all have `size` rows is traversed; any other list of `size` items
        holds one for each sample.
    Cost
        One copy of the rows. If `rows` is on a device and some of the batch is not, it
        synchronizes once.

    Examples
    --------
    >>> batch = {"x": torch.tensor([[1], [2], [3]]), "names": ["a", "b", "c"]}
    >>> take_rows(batch, torch.tensor([2, 0]))
    {'x': tensor([[3],
            [1]]), 'names': ['c', 'a']}
    """
    _check.refuse_mask("rows", rows)
    size = _length(batch) if size is None else size
    if size is None:
        raise ValueError("size must be given for a batch without tensors or arrays, got None")
    return walk(batch, size, RowsOf(rows))


class RowsOf:
    """Takes the same rows of each leaf: (B, ...) -> (k, ...)."""

    def __init__(self, rows: torch.Tensor) -> None:
        self._rows = rows
        self._on_host: torch.Tensor | None = None

    def __call__(self, leaf: Any) -> Any:
        """Return the rows of a tensor, an array or a list with one item for each sample."""
        if isinstance(leaf, torch.Tensor):
            rows = self._rows if self._rows.device == leaf.device else self._host()
            return leaf.index_select(0, rows.to(leaf.device))
        if isinstance(leaf, np.ndarray):
            return leaf[self._host().numpy()]
        return type(leaf)(leaf[row] for row in self._host().tolist())

    def _host(self) -> torch.Tensor:
        if self._on_host is None:
            self._on_host = self._rows.cpu()
        return self._on_host


def leaves_of(batch: Any, size: int) -> list[Any]:
    """Return the tensors, arrays and per-sample lists that a batch holds."""
    found: list[Any] = []
    walk(batch, size, found.append)
    return found


def rebuilt(batch: Any, size: int, leaves: list[Any]) -> Any:
    """Return a batch with the structure of `batch`, of `size` rows, and other leaves."""
    rest = iter(leaves)
    return walk(batch, size, lambda _: next(rest))


def walk(part: Any, size: int, leaf: Leaf, name: str = "batch") -> Any:
    """Replace each leaf of a nested batch that has one row for each of `size` samples."""
    if _is_plain(part):
        return part
    if isinstance(part, torch.Tensor | np.ndarray):
        if part.shape[0] != size:
            raise ValueError(f"{name} must have {size} rows, got shape {tuple(part.shape)}")
        return leaf(part)
    if isinstance(part, Mapping):
        filled: Any = copy(part)
        for key, value in part.items():
            filled[key] = walk(value, size, leaf, f"{name}[{key!r}]")
        return filled
    if isinstance(part, list | tuple):
        return _sequence(part, size, leaf, name)
    raise TypeError(
        f"{name} must be a tensor, an array, or mappings, tuples and lists of them, got "
        f"{type(part).__name__}: give a custom `take`"
    )


def _sequence(part: Any, size: int, leaf: Leaf, name: str) -> Any:
    nested = not all(_is_plain(each) for each in part)
    if len(part) == size and not (nested and all(_has_rows(each, size) for each in part)):
        return leaf(list(part) if hasattr(part, "_fields") else part)
    if part and not nested:
        raise ValueError(f"{name} must have {size} entries, one for each row, got {len(part)}")
    values = [walk(each, size, leaf, f"{name}[{i}]") for i, each in enumerate(part)]
    return type(part)(*values) if hasattr(part, "_fields") else type(part)(values)


def _has_rows(part: Any, size: int) -> bool:
    """Return whether a part has a row for each sample, instead of one value for the batch."""
    if _is_plain(part):
        return True
    if isinstance(part, torch.Tensor | np.ndarray):
        return bool(part.shape[0] == size)
    if isinstance(part, list | tuple) and len(part) == size:
        return True
    parts = _parts(part)
    return parts is not None and all(_has_rows(each, size) for each in parts)


def _length(part: Any) -> int | None:
    """Return the length of the first tensor or array in a batch; None without one."""
    if isinstance(part, torch.Tensor | np.ndarray):
        return int(part.shape[0]) if part.ndim else None
    found = (_length(each) for each in _parts(part) or ())
    return next((length for length in found if length is not None), None)


def _parts(part: Any) -> Collection[Any] | None:
    """Return the values of a mapping, or the items of a tuple or list; None of anything else."""
    if isinstance(part, Mapping):
        return part.values()
    return part if isinstance(part, list | tuple) else None


def _is_plain(part: Any) -> bool:
    if isinstance(part, torch.Tensor | np.ndarray):
        return part.ndim == 0
    return part is None or isinstance(part, str | bytes | int | float | complex | np.generic)
