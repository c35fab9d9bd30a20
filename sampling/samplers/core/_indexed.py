"""A dataset that returns the index of each sample, which `reduce` of a sampler needs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from copy import copy
from operator import index as as_int
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset

from ... import _check
from ..._check._keywords import short, told
from . import _fetch
from ._fetch import CollateFn


@told
class Indexed(Dataset[Any]):
    """Return (index, sample) instead of sample; the outermost wrapper of a dataset.

    `sampler.reduce(losses, indices)` needs the indices of the samples of a batch. Wrap once,
    outside everything else, so that the index is the one that the sampler yielded:
    `Indexed(Subset(ds))` is right, `Subset(Indexed(ds))` gives indices of `ds`, which `reduce`
    refuses because they were never drawn.

    Indexed by a list, it returns (indices, batch) with the whole batch fetched at once: in
    `DataLoader(Indexed(ds), sampler=EpochBatchSampler(...), batch_size=None)`, several times as
    fast as sample by sample for data in memory.

    Parameters
    ----------
    dataset : map-style dataset
        Any object with `__getitem__` and `__len__`; a tensor or array of shape (N, ...), a
        Hugging Face dataset, a pyarrow table or a pandas DataFrame. `__getitems__` is used if it
        exists.
    key : str, optional
        Instead of a pair, add the index under this key to each sample, which must then be a
        mapping: collators and trainers that expect mappings keep it.
    collate_fn : callable, optional
        Function that makes a batch of a list of samples, where `Indexed` is indexed by a list. By
        default, samples that the dataset returns one by one are collated as by torch's loader, and
        batches that it returns at once are passed on. In a loader with a batch size, give the
        loader's `collate_fn` instead.

    Raises
    ------
    TypeError
        If the dataset is iterable-style; if `key` is given and a sample or batch is no mapping;
        for indices that are neither an int nor a list, tensor or array of ints.
    ValueError
        If a sample already has the key.
    IndexError
        For an index beyond the dataset.

    Notes
    -----
    Single samples
        A row of a pandas DataFrame, or of an Arrow table, is a dict of its values by column. A
        negative index counts from the end, and the index of the sample is returned: that from the
        front.
    Whole batches
        The batch is what the dataset returns for the indices: of a `TensorDataset`, or a `Subset`
        of one, a tuple of tensors (which a `DataLoader` passes on as a list); of a Hugging Face
        dataset a dict of columns, tensors after `with_format("torch")`; of a table or DataFrame its
        rows as one of its kind. A `__getitems__` that returns a list returns samples, which are
        collated; anything else that it returns is the batch. With `collate_fn`, it is that
        function's result for a list of samples, whatever the dataset.
    Names
        All other attributes are those of the dataset.
    Workers
        It can be pickled, and works in forked and spawned workers.
    Collating
        A custom `collate_fn` of a loader with a batch size gets pairs: pass
        `Indexed.collate(collate_fn)` to reuse one for samples.

    Examples
    --------
    >>> Indexed(["a", "b"])[1]
    (1, 'b')
    >>> Indexed([{"x": 5}], key="index")[0]
    {'x': 5, 'index': 0}
    >>> Indexed(torch.arange(10) ** 2)[[3, 1]]
    (tensor([3, 1]), tensor([9, 1]))
    """

    def __init__(
        self, dataset: Any, key: str | None = None, collate_fn: CollateFn | None = None
    ) -> None:
        _check.refuse_names("dataset", dataset)
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "dataset must be map-style, with __getitem__ and __len__, got "
                f"{type(dataset).__name__}"
            )
        self.dataset = dataset
        self.key = key
        self.collate_fn = collate_fn

    def __getitem__(self, index: int | Sequence[int] | torch.Tensor | NDArray[np.integer]) -> Any:
        if hasattr(index, "__index__") and not getattr(index, "ndim", 0):
            row = as_int(index)
            if row < 0:
                row = int(self._from_the_front(_fetch.on_host([row]))[0])
            try:
                return self._mark(row, _fetch.one(self.dataset, row))
            except IndexError as error:
                self._refuse_beyond(row, error)
                raise
        rows = self._from_the_front(_numbers(index))
        try:
            return self._mark(rows, _fetch.batch(self.dataset, rows, self.collate_fn))
        except IndexError as error:
            self._refuse_beyond(int(rows.max()), error)
            raise

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Fetch a batch, through the dataset's own `__getitems__` if it has one."""
        rows = self._from_the_front(_numbers(indices)).tolist()
        try:
            samples = _fetch.samples(self.dataset, rows)
        except IndexError as error:
            self._refuse_beyond(max(rows), error)
            raise
        return [self._mark(i, each) for i, each in zip(rows, samples, strict=True)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Only reached for names not found here. While unpickling there is no `dataset` yet, and
        # reading it would recurse without end.
        if name.startswith("__") or "dataset" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.dataset, name)

    @staticmethod
    def collate(collate_fn: CollateFn) -> Collate:
        """Return a `collate_fn` for pairs: indices as a tensor, samples through `collate_fn`."""
        return Collate(collate_fn)

    def _from_the_front(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows with the negative ones, which count from the end, as numbers >= 0: (B,)."""
        if not rows.numel() or int(rows.min()) >= 0:
            return rows
        size = len(self.dataset)
        if int(rows.min()) < -size:
            raise IndexError(f"indices must be in [-{size}, {size}), got {int(rows.min())}")
        return torch.where(rows < 0, rows + size, rows)

    def _refuse_beyond(self, row: int, error: IndexError) -> None:
        """Name the highest row and the size of the dataset in an error, if that is its cause."""
        size = len(self.dataset)
        if row >= size:
            raise IndexError(
                f"indices must be in [0, {size}), the rows of the dataset, got {row}: make the "
                f"sampler for these {size} samples"
            ) from error

    def _mark(self, index: int | torch.Tensor, sample: Any) -> Any:
        """Return a sample, or a batch, with its index or indices."""
        if self.key is None:
            return index, sample
        if hasattr(sample, "append_column"):  # a pyarrow table
            names, numbers = sample.schema.names, np.asarray(index).tolist()
            chunks: Any = [numbers] if hasattr(sample, "combine_chunks") else numbers
            return sample.append_column(self._new_key(names, index), chunks)
        if hasattr(sample, "assign"):  # a pandas DataFrame
            column = self._new_key(sample.columns, index)
            return sample.assign(**{column: np.asarray(index)})
        if not isinstance(sample, Mapping):
            raise TypeError(
                f"samples must be mappings to take the key {self.key!r}, got "
                f"{type(sample).__name__} in row {_first(index)}"
            )
        marked: Any = copy(sample)
        marked[self._new_key(sample, index)] = index
        return marked

    def _new_key(self, names: Container[str], index: int | torch.Tensor) -> str:
        if self.key in names:
            raise ValueError(
                f"samples must not have the key {self.key!r} yet, got it in row {_first(index)}"
            )
        return str(self.key)


def _first(index: int | torch.Tensor) -> int:
    return index if isinstance(index, int) else int(index[0])


def _numbers(indices: Any) -> torch.Tensor:
    """Return the indices of a batch: int64 (B,)."""
    if isinstance(indices, np.ndarray):
        indices = np.ascontiguousarray(indices)  # torch knows no negative strides
    try:
        found = torch.as_tensor(indices, device="cpu")
    except (TypeError, ValueError, RuntimeError):  # strings, or lists of several lengths
        found = torch.empty(0, 0, device="cpu")
    wrong = found.is_floating_point() or found.is_complex() or found.dtype == torch.bool
    if found.ndim != 1 or (found.numel() and wrong):
        raise TypeError(
            f"indices must be an int, or a list, tensor or array of ints, got {short(indices)}"
        )
    return found.long()


class Collate:
    """A `collate_fn` for (index, sample) pairs that wraps one for samples; pickles if that does."""

    def __init__(self, collate_fn: CollateFn) -> None:
        self.collate_fn = collate_fn

    def __call__(self, pairs: Sequence[tuple[int, Any]]) -> tuple[Any, Any]:
        """Collate a batch."""
        if isinstance(pairs, tuple):  # (indices, batch)
            raise TypeError(
                "pairs must be a list of (index, sample), got a whole batch: in a loader with "
                "batch_size=None, give the function to Indexed(dataset, collate_fn=...)"
            )
        indices = _fetch.on_host([index for index, _ in pairs])
        return indices, self.collate_fn([sample for _, sample in pairs])
