"""A split of the data, in batches on the device: tensors in memory, or any dataset.

Tensors are read by a `TensorLoader`, some ten times as fast as a `DataLoader`, which everything
else gets, with workers if the task asks for them.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Subset

from ...loading import TensorLoader
from ...samplers import EpochBatchSampler, EpochSampler
from ...samplers.core import Indexed

EVALUATED = 1000  # rows of a batch without gradients


class Part(ABC):
    """A split of the data.

    Attributes
    ----------
    labels : int64 array of shape (M,), optional
        Class of each sample in [0, C), or -1 for none; None if the targets are no classes.
    """

    labels: NDArray[np.int64] | None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> Part:
        """Return the given rows as a new part."""

    @abstractmethod
    def relabeled(self, labels: NDArray[np.int64]) -> Part:
        """Return the part with other classes as targets."""

    @abstractmethod
    def to(self, device: torch.device) -> Part:
        """Return the part with its batches on a device."""

    @abstractmethod
    def batches(self, sampler: EpochSampler, size: int) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield (indices, batch) of an epoch of a sampler, in batches of a size."""

    @abstractmethod
    def rows(self, indices: NDArray[np.int64]) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield (indices, batch) of given rows, for evaluation."""

    def all_rows(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield (indices, batch) of all rows in their order."""
        return self.rows(np.arange(len(self)))


class TensorPart(Part):
    """Inputs and targets in memory, or in a memory map: batches are pairs (x, y).

    Parts of one dataset share its inputs: each knows its rows, and `take` copies none. A memory
    map is therefore never read as a whole, and shared by all processes that map the file.

    Parameters
    ----------
    x : tensor of shape (M, ...), or of shape (N, ...) with `held`
        Inputs.
    y : tensor of shape (M,) or (M, k)
        Targets: classes in [0, C) as int64, or numbers as float32.
    held : int64 tensor of shape (M,), optional
        Rows of `x` that the part holds; by default all.
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, held: torch.Tensor | None = None) -> None:
        self.y = y
        self._inputs, self._held = x, held

    @property
    def x(self) -> torch.Tensor:
        """Inputs of the part, (M, ...); a copy if it holds some rows of a dataset."""
        return self._inputs if self._held is None else self._inputs[self._held]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the input of a sample."""
        return tuple(self._inputs.shape[1:])

    @property
    def holds_values(self) -> bool:
        """Whether inputs are floats, or bytes of images: other ints are ids, such as of tokens."""
        return self._inputs.is_floating_point() or self._inputs.dtype == torch.uint8

    @property
    def labels(self) -> NDArray[np.int64] | None:  # type: ignore[override]
        """Class of each sample; None for targets that are no classes."""
        return None if self.y.is_floating_point() or self.y.ndim != 1 else self.y.cpu().numpy()

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.int64]) -> TensorPart:
        chosen = torch.from_numpy(rows)
        held = chosen if self._held is None else self._held[chosen]
        return TensorPart(self._inputs, self.y[chosen], held)

    def relabeled(self, labels: NDArray[np.int64]) -> TensorPart:
        return TensorPart(self._inputs, torch.from_numpy(labels), self._held)

    def to(self, device: torch.device) -> TensorPart:
        if device.type == self._inputs.device.type == "cpu":
            return self
        return TensorPart(self.x.to(device), self.y.to(device))

    def batches(self, sampler: EpochSampler, size: int) -> Iterator[tuple[torch.Tensor, Any]]:
        if self._held is None:
            return iter(TensorLoader(sampler, size, self._inputs, self.y))

        def fetched(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
            return self._inputs[batch[0]], batch[1]

        return iter(TensorLoader(sampler, size, self._held, self.y, transform=fetched))

    def feed(self, digest: hashlib.blake2b) -> None:
        """Add everything that the part holds to a hash."""
        for tensor in (self._inputs, self.y, self._held):
            if tensor is not None:
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)

    def rows(self, indices: NDArray[np.int64]) -> Iterator[tuple[torch.Tensor, Any]]:
        for chosen in torch.split(torch.from_numpy(indices).to(self.y.device), EVALUATED):
            held = chosen if self._held is None else self._held[chosen]
            yield chosen.cpu(), (self._inputs[held], self.y[chosen])


class DatasetPart(Part):
    """Any map-style dataset, read by a `DataLoader`.

    Parameters
    ----------
    dataset : Dataset
        Returns a sample for an index.
    labels : int64 array of shape (M,), optional
        Class of each sample.
    collate_fn : callable, optional
        Makes a batch of a list of samples.
    num_workers : int
        Workers of the loaders.
    device : torch.device, optional
        Where batches are moved to.
    """

    def __init__(
        self,
        dataset: Any,
        labels: NDArray[np.int64] | None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        num_workers: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.dataset = dataset
        self.labels = labels
        self._collate_fn = collate_fn
        self._num_workers = num_workers
        self._device = device

    def _like(self, dataset: Any, labels: NDArray[np.int64] | None) -> DatasetPart:
        return DatasetPart(dataset, labels, self._collate_fn, self._num_workers, self._device)

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, rows: NDArray[np.int64]) -> DatasetPart:
        labels = None if self.labels is None else self.labels[rows]
        return self._like(Subset(self.dataset, rows.tolist()), labels)

    def relabeled(self, labels: NDArray[np.int64]) -> DatasetPart:
        return self._like(_Relabeled(self.dataset, labels), labels)

    def to(self, device: torch.device) -> DatasetPart:
        return DatasetPart(self.dataset, self.labels, self._collate_fn, self._num_workers, device)

    def batches(self, sampler: EpochSampler, size: int) -> Iterator[tuple[torch.Tensor, Any]]:
        return self._loaded(EpochBatchSampler(sampler, size))

    def rows(self, indices: NDArray[np.int64]) -> Iterator[tuple[torch.Tensor, Any]]:
        return self._loaded([chunk.tolist() for chunk in _chunks(indices)])

    def _loaded(self, batches: Any) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield batches, each fetched whole by a list of indices."""
        loader: DataLoader[Any] = DataLoader(
            Indexed(self.dataset, collate_fn=self._collate_fn),
            sampler=batches,
            batch_size=None,
            num_workers=self._num_workers,
        )
        for indices, batch in loader:
            yield torch.as_tensor(indices), moved(batch, self._device)


def _chunks(indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [indices[start : start + EVALUATED] for start in range(0, indices.size, EVALUATED)]


class _Relabeled(Dataset[Any]):
    """A dataset of pairs (x, y) with other classes.

    Parameters
    ----------
    dataset : Dataset
        Returns pairs, or mappings with the key "label" or "labels".
    labels : int64 array of shape (M,)
        The classes.
    """

    def __init__(self, dataset: Any, labels: NDArray[np.int64]) -> None:
        self._dataset = dataset
        self._labels = labels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        sample, label = self._dataset[index], int(self._labels[index])
        if isinstance(sample, Mapping):
            (name,) = [each for each in ("label", "labels") if each in sample]
            return {**sample, name: label}
        return (sample[0], label, *sample[2:])


def moved(batch: Any, device: torch.device | None) -> Any:
    """Return a batch with its tensors on a device, in the same containers."""
    if device is None:
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: moved(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device) for value in batch))
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return type(batch)(moved(value, device) for value in batch)  # type: ignore[call-arg]
    return batch.to(device) if hasattr(batch, "to") else batch
