"""The samples of a dataset at given indices: one of them, or a whole batch at once.

A loop over single samples spends microseconds of Python on each: one call, one small tensor, and
its copy into the batch. Data in memory give the rows of a batch in one call.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import Subset, TensorDataset, default_collate

CollateFn: TypeAlias = Callable[[list[Any]], Any]


def one(dataset: Any, index: int) -> Any:
    """Return a sample; a row of an Arrow table or of a pandas DataFrame as a dict."""
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
    their `__getitems__` gives. Samples that come one by one are collated.
    """
    if isinstance(dataset, torch.Tensor):
        return dataset.index_select(0, indices.to(dataset.device))
    if isinstance(dataset, np.ndarray):
        return dataset[indices.numpy()]
    if keeps_access(dataset, TensorDataset):
        return tuple(batch(each, indices) for each in dataset.tensors)
    numbers = indices.tolist()
    if keeps_access(dataset, Subset):
        inner = torch.tensor([int(dataset.indices[each]) for each in numbers], dtype=torch.int64)
        return batch(dataset.dataset, inner, collate_fn)
    if _is_hugging_face(dataset):
        return dataset[numbers]
    if _is_arrow(dataset):
        return dataset.take(numbers)
    if _is_frame(dataset):
        return dataset.iloc[numbers]
    samples = several(dataset, numbers)
    return (collate_fn or default_collate)(samples) if isinstance(samples, list) else samples


def several(dataset: Any, indices: list[int]) -> Any:
    """Return what `__getitems__` of the dataset returns, if it has one, or a list of samples."""
    fetch = getattr(dataset, "__getitems__", None)
    if callable(fetch):
        return fetch(indices)
    if keeps_access(dataset, TensorDataset):  # rows of one copy, not a copy for each sample
        rows = torch.tensor(indices, dtype=torch.int64)
        columns = (column.unbind() for column in batch(dataset, rows))
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
