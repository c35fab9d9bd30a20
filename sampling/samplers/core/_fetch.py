"""The samples of a dataset at given indices: one of them, or a whole batch at once.

A loop over single samples spends microseconds of Python on each: one call, one small tensor, and
its copy into the batch. Data in memory give the rows of a batch in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import Subset, TensorDataset, default_collate

from ..._check import native

CollateFn: TypeAlias = Callable[[list[Any]], Any]


# torch gathers single numbers of these types only as those of the same size.
_SAME_SIZE = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def rows(
    tensor: torch.Tensor, indices: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Return rows of a tensor, in `out` if it is given; the indices are on its device."""
    kind = _SAME_SIZE.get(tensor.dtype)
    if kind is None:
        return torch.index_select(tensor, 0, indices, out=out)
    target = None if out is None else out.view(kind)
    return torch.index_select(tensor.view(kind), 0, indices, out=target).view(tensor.dtype)


def on_host(indices: list[int]) -> torch.Tensor:
    """Return indices as a tensor on the host, whatever torch's default device is."""
    return torch.tensor(indices, dtype=torch.int64, device="cpu")


def one(dataset: Any, index: int) -> Any:
    """Return a sample; a row of an Arrow table or of a pandas DataFrame as a dict."""
    if keeps_access(dataset, Subset):
        return one(dataset.dataset, int(dataset.indices[index]))
    if _is_arrow(dataset):
        return dataset.slice(index, 1).to_pylist()[0]
    if _is_frame(dataset):
        row = dataset.iloc[[index]]
        return {name: row[name].iloc[0] for name in row} if row.ndim == 2 else row.iloc[0]
    return dataset[index]


def batch(dataset: Any, indices: torch.Tensor, collate_fn: CollateFn | None = None) -> Any:
    """Return the batch of samples at these indices, in one call where the dataset allows it.

    Tensors and arrays are indexed, as are those of a `TensorDataset`; Arrow tables, pandas
    DataFrames and Hugging Face datasets give what their own access by a list gives; others what
    their `__getitems__` gives. Samples that come one by one are collated, and all are if
    `collate_fn` is given.
    """
    if collate_fn is not None:
        return collate_fn(samples(dataset, indices.tolist()))
    if isinstance(dataset, torch.Tensor):
        return rows(dataset, indices.to(dataset.device))
    if isinstance(dataset, np.ndarray):
        return native(dataset[indices.numpy()])
    if keeps_access(dataset, TensorDataset):
        return tuple(batch(each, indices) for each in dataset.tensors)
    numbers = indices.tolist()
    if keeps_access(dataset, Subset):
        return batch(dataset.dataset, on_host([int(dataset.indices[each]) for each in numbers]))
    if _is_hugging_face(dataset):
        return dataset[numbers]
    if _is_arrow(dataset):
        return dataset.take(indices.numpy())
    if _is_frame(dataset):
        return dataset.iloc[numbers]
    found = several(dataset, numbers)
    return _collated(found) if isinstance(found, list) else found


def _collated(found: list[Any]) -> Any:
    try:
        return default_collate(found)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            "samples must be tensors, arrays, numbers or strings, of one shape, to make a batch, "
            f"got {type(found[0]).__name__} ({error}): give Indexed(dataset, collate_fn=...)"
        ) from error


def samples(dataset: Any, indices: list[int]) -> list[Any]:
    """Return a list of samples; refuse a dataset that can only give them as one batch."""
    found = several(dataset, indices)
    if not isinstance(found, list):
        raise TypeError(
            f"__getitems__ of {type(dataset).__name__} must return a list of samples where they "
            f"are collated, got {type(found).__name__}: to fetch whole batches, give the loader "
            "batch_size=None and an EpochBatchSampler as sampler="
        )
    return found


def several(dataset: Any, indices: list[int]) -> Any:
    """Return what `__getitems__` of the dataset returns, if it has one, or a list of samples."""
    if keeps_access(dataset, Subset):
        return several(dataset.dataset, [int(dataset.indices[index]) for index in indices])
    fetch = getattr(dataset, "__getitems__", None)
    if callable(fetch):
        return fetch(indices)
    if keeps_access(dataset, TensorDataset):  # rows of one copy, not a copy for each sample
        whole = batch(dataset, on_host(indices))
        columns = (column.unbind() for column in whole)
        return list(zip(*columns, strict=True))
    return [one(dataset, index) for index in indices]


def keeps_access(dataset: Any, kind: type[Any]) -> bool:
    """Return whether a dataset is of this class of torch, and has not redefined its access."""
    return isinstance(dataset, kind) and all(
        getattr(type(dataset), name, None) is getattr(kind, name, None)
        for name in ("__getitem__", "__getitems__")
    )


def _is_hugging_face(dataset: Any) -> bool:
    return hasattr(dataset, "column_names") and hasattr(dataset, "with_format")


def _is_arrow(dataset: Any) -> bool:  # pyarrow's Table, RecordBatch
    return hasattr(dataset, "to_pylist") and hasattr(dataset, "take") and hasattr(dataset, "schema")


def _is_frame(dataset: Any) -> bool:  # pandas' DataFrame, Series
    return hasattr(dataset, "iloc") and hasattr(dataset, "to_numpy")
