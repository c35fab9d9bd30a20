"""A dataset that returns the index of each sample, which `reduce` of a sampler needs."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from ... import _check
from ..._check._keywords import told


@told
class Indexed(Dataset[Any]):
    """Return (index, sample) instead of sample; the outermost wrapper of a dataset.

    `sampler.reduce(losses, indices)` needs the indices of the samples of a batch. Wrap once,
    outside everything else, so that the index is the one that the sampler yielded:
    `Indexed(Subset(ds))` is right, `Subset(Indexed(ds))` gives indices of `ds`, which `reduce`
    refuses because they were never drawn.

    Parameters
    ----------
    dataset : map-style dataset
        Any object with `__getitem__` and `__len__`; `__getitems__` is used if it exists.
    key : str, optional
        Instead of a pair, add the index under this key to each sample, which must then be a
        mapping: collators and trainers that expect mappings keep it.

    Raises
    ------
    TypeError
        If the dataset is iterable-style, or `key` is given and a sample is no mapping.
    ValueError
        If a sample already has the key.

    Notes
    -----
    All other attributes are those of the dataset. It can be pickled, and works in forked and
    spawned workers. A custom `collate_fn` gets pairs: pass `Indexed.collate(collate_fn)` to reuse
    one for samples.

    Examples
    --------
    >>> Indexed(["a", "b"])[1]
    (1, 'b')
    >>> Indexed([{"x": 5}], key="index")[0]
    {'x': 5, 'index': 0}
    """

    def __init__(self, dataset: Any, key: str | None = None) -> None:
        _check.refuse_names("dataset", dataset)
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise TypeError(
                "dataset must be map-style, with __getitem__ and __len__, got "
                f"{type(dataset).__name__}"
            )
        self.dataset = dataset
        self.key = key

    def __getitem__(self, index: int) -> Any:
        return self._mark(int(index), self.dataset[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Fetch a batch, through the dataset's own `__getitems__` if it has one."""
        fetch = getattr(self.dataset, "__getitems__", None)
        samples = fetch(indices) if fetch else [self.dataset[index] for index in indices]
        return [self._mark(int(i), each) for i, each in zip(indices, samples, strict=True)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        # Only reached for names not found here. While unpickling there is no `dataset` yet, and
        # reading it would recurse without end.
        if name.startswith("__") or "dataset" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.dataset, name)

    @staticmethod
    def collate(collate_fn: Callable[[list[Any]], Any]) -> "Collate":
        """Return a `collate_fn` for pairs: indices as a tensor, samples through `collate_fn`."""
        return Collate(collate_fn)

    def _mark(self, index: int, sample: Any) -> Any:
        if self.key is None:
            return index, sample
        if not isinstance(sample, Mapping):
            raise TypeError(
                f"samples must be mappings to take the key {self.key!r}, got "
                f"{type(sample).__name__} in row {index}"
            )
        if self.key in sample:
            raise ValueError(
                f"samples must not have the key {self.key!r} yet, got it in row {index}"
            )
        marked: Any = copy(sample)
        marked[self.key] = index
        return marked


class Collate:
    """A `collate_fn` for (index, sample) pairs that wraps one for samples; pickles if that does."""

    def __init__(self, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.collate_fn = collate_fn

    def __call__(self, pairs: Sequence[tuple[int, Any]]) -> tuple[Any, Any]:
        """Collate a batch."""
        import torch

        indices = torch.tensor([index for index, _ in pairs], dtype=torch.int64)
        return indices, self.collate_fn([sample for _, sample in pairs])
