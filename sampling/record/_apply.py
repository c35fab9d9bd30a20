"""Rows of a dataset of any framework, in the type of that framework.

Called by `Selection.apply`; the rows are checked. No framework is imported, except torch for a
dataset that only torch's `Subset` can be of.
"""

from __future__ import annotations

from typing import Any

from .. import _check
from .._check._rows import Rows
from ..types import Indices

__all__ = ["length_of", "rows_of"]


def _kin(dataset: Any) -> set[str]:
    """Return the libraries that the class of an object and its bases belong to."""
    return {each.__module__.partition(".")[0] for each in type(dataset).__mro__}


def length_of(dataset: Any) -> int:
    """Return N of a dataset; refuse what has none."""
    _check.refuse_names("dataset", dataset)
    kind = type(dataset).__name__
    if hasattr(dataset, "collect") and hasattr(dataset, "lazy"):
        raise TypeError(f"dataset must have rows, got a {kind}: give dataset.collect()")
    shape = getattr(dataset, "shape", None)
    if isinstance(shape, tuple) and hasattr(dataset, "dtype"):
        if not shape:
            raise TypeError(f"dataset must have rows, got a {kind} of a single value")
        return int(shape[0])
    if hasattr(dataset, "embeddings_shape"):  # a `sampling.io.Table`
        return int(dataset.size)
    return len(dataset) if hasattr(dataset, "__len__") else _check.size("dataset", dataset)


def rows_of(dataset: Any, rows: Indices) -> Any:
    """Return the rows with these numbers, in this order, repeats included."""
    kin = _kin(dataset)
    if hasattr(dataset, "iloc"):  # pandas, and what behaves like it
        return dataset.iloc[rows]
    if "datasets" in kin and hasattr(dataset, "select"):
        return dataset.select(rows)
    if isinstance(dataset, Rows) or hasattr(dataset, "embeddings_shape"):
        return dataset.take(rows)
    if "pyarrow" in kin or ("pandas" in kin and hasattr(dataset, "take")):
        return dataset.take(rows)
    if hasattr(dataset, "tocsr"):  # of scipy, most of which cannot be indexed
        return dataset.tocsr()[rows]
    if hasattr(dataset, "index_select"):  # a tensor, on its device
        return dataset.index_select(0, _tensor(rows, dataset.device))
    if "polars" in kin or (hasattr(dataset, "shape") and hasattr(dataset, "dtype")):
        return dataset[rows]
    if type(dataset) in {list, tuple, range}:
        found = [dataset[row] for row in rows.tolist()]
        return tuple(found) if type(dataset) is tuple else found
    from torch.utils.data import Subset

    return Subset(dataset, rows.tolist())


def _tensor(rows: Indices, device: Any) -> Any:  # torch's
    import torch

    return torch.as_tensor(rows, device=device)
