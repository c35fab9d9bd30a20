"""A loader of tensors in memory: each batch is one gather for each tensor, and no worker."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.utils.data import TensorDataset

from .. import _check
from .._check._containers import is_missing
from .._check._keywords import told
from .._check._rows import Rows
from ..samplers import EpochBatchSampler, EpochSampler
from ..samplers.core import Indexed, keeps_access, refuse_size, rows
from ..types import Indices

Source: TypeAlias = torch.Tensor | Rows


@told
class TensorLoader:
    """Iterate over (indices, batch) of tensors in memory, drawn by a sampler.

    For data that fit in memory it replaces `DataLoader`: each batch is taken from each tensor by
    one `index_select`, where a `DataLoader` fetches, copies and collates single samples. It has no
    workers and runs nothing in advance, so the sampler's own position is that of training.

    Parameters
    ----------
    sampler : EpochSampler or EpochBatchSampler
        The order, the epochs and the ranks.
    batch_size : int or None
        B, draws in a batch of one rank; None for an `EpochBatchSampler`, which has its own.
    *tensors : tensor or array of shape (N, ...), or one mapping of str to these
        The data, or one `TensorDataset` of it: torch tensors on any device, numpy arrays and
        memory maps, and what `numpy` reads as an array of numbers, such as a DataFrame. Not copied
        where torch can share them.
    device : torch.device or str, optional
        Device of the batches; by default each is on the device of its tensor. Batches of host
        tensors are gathered in pinned memory and copied without blocking if the device is CUDA.
        The fastest is to move tensors that fit to the device once, before.
    transform : callable, optional
        Function of a batch, on its device, that returns the batch to yield, such as a random crop
        of all its images at once. Random numbers are its own: for a resumed run to repeat them,
        save `torch.get_rng_state()` together with the sampler's state.
    drop_last : bool, default False
        Exclude the last batch if it is short; of an `EpochBatchSampler` its own setting holds.

    Attributes
    ----------
    sampler : EpochSampler
        Sampler of the draws.
    batch_sampler : EpochBatchSampler
        Batch sampler of the batches: as given, or made around `sampler`.
    dataset : TensorRows
        The tensors; `len(loader.dataset)` is N.

    Raises
    ------
    TypeError
        If `sampler` is not of this package, or a tensor holds no numbers.
    RuntimeError
        If torch cannot use the device.
    ValueError
        If the tensors differ in length, there are none, or the sampler was made for another
        number of samples; if a batch size is given twice or not at all.

    Yields
    ------
    indices : int64 tensor of shape (B,)
        On the host, for `reduce(losses, indices)`.
    batch : tensor, tuple of tensors, or dict of tensors
        One tensor if one was given, a tuple of several, or a dict if a mapping was given.

    Notes
    -----
    Order
        That of `EpochBatchSampler(sampler, batch_size)`: rank r of W takes batches r, r + W, ...
        Call `set_epoch` before each pass.
    Resume
        `save_state(sampler, path)` in the loop saves the position after the current batch, without
        `consumed=`, and `load_state` restores it.
    Cost
        The gather of the rows, and some 20 ns a sample; no memory beyond a batch.
    Gradients
        None flow to the tensors.

    Examples
    --------
    >>> import torch
    >>> from sampling.loading import TensorLoader
    >>> from sampling.samplers import ShuffleSampler
    >>> x, y = torch.arange(10.0), torch.arange(10) % 2
    >>> loader = TensorLoader(ShuffleSampler(10, seed=0), 4, x, y)
    >>> loader.set_epoch(1)
    >>> [(indices.tolist(), labels.tolist()) for indices, (_, labels) in loader]
    [([6, 8, 1, 2], [0, 0, 1, 0]), ([3, 0, 9, 5], [1, 0, 1, 1]), ([4, 7], [0, 1])]
    """

    def __init__(
        self,
        sampler: EpochSampler | EpochBatchSampler,
        batch_size: int | None,
        *tensors: torch.Tensor | ArrayLike | Mapping[str, torch.Tensor | ArrayLike],
        device: torch.device | str | None = None,
        transform: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
    ) -> None:
        self.batch_sampler = _in_batches(sampler, batch_size, _check.flag("drop_last", drop_last))
        self.sampler = self.batch_sampler.sampler
        self.dataset = TensorRows(tensors)
        refuse_size(self.sampler, self.dataset, "sampler", "the tensors")
        self.device = None if device is None else _usable(device)
        if transform is not None and not callable(transform):
            raise TypeError(f"transform must be a function of a batch, got {transform!r}")
        self.transform = transform

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield this rank's batches, from the position of a resume."""
        return map(self._fetch, self.batch_sampler._arrays())

    def __len__(self) -> int:
        """Return this rank's number of batches in the current epoch, whether resumed or not."""
        return len(self.batch_sampler)

    @property
    def batch_size(self) -> int | None:
        """B; None if sizes vary."""
        return self.batch_sampler.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the sampler; see `EpochSampler.set_epoch`."""
        self.sampler.set_epoch(epoch)

    def _fetch(self, drawn: Indices) -> tuple[torch.Tensor, Any]:
        indices = torch.from_numpy(drawn)
        batch = self.dataset.take(indices, self.device)
        return indices, batch if self.transform is None else self.transform(batch)


class TensorRows:
    """The tensors of a loader, and the gather of a batch from them.

    Parameters
    ----------
    given : tuple
        Tensors or arrays, or one mapping of them.
    """

    def __init__(self, given: tuple[Any, ...]) -> None:
        if len(given) == 1 and isinstance(given[0], Indexed):  # the loader adds the indices
            given = (given[0].dataset,)
        if len(given) == 1 and keeps_access(given[0], TensorDataset):
            given = given[0].tensors
        elif len(given) == 1 and type(given[0]) is tuple:
            given = given[0]
        if len(given) == 1 and isinstance(given[0], Mapping):
            named = {f"tensors[{name!r}]": each for name, each in given[0].items()}
            self._names: list[Any] | None = list(given[0])
        else:
            named = {f"tensors[{number}]": each for number, each in enumerate(given)}
            self._names = None
        if not named:
            raise ValueError("tensors must be given, at least one, got none")
        self.tensors = [_source(name, each) for name, each in named.items()]
        for name, each in zip(named, self.tensors, strict=True):
            if len(each) != len(self):
                raise ValueError(
                    f"{name} must have the length of the first tensor, {len(self)}, got {len(each)}"
                )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take(self, indices: torch.Tensor, device: torch.device | None) -> Any:
        """Return the rows at these indices, in the form in which the tensors were given."""
        found = [_rows(each, indices, device) for each in self.tensors]
        if self._names is not None:
            return dict(zip(self._names, found, strict=True))
        return tuple(found) if len(found) > 1 else found[0]


def _in_batches(
    sampler: EpochSampler | EpochBatchSampler, batch_size: int | None, drop_last: bool
) -> EpochBatchSampler:
    """Return the batch sampler of a loader."""
    if not isinstance(sampler, EpochSampler | EpochBatchSampler):
        raise TypeError(
            "sampler must be a sampler or batch sampler of this package, got "
            f"{type(sampler).__name__}: such as ShuffleSampler(N, seed=0)"
        )
    if not isinstance(sampler, EpochBatchSampler):
        if batch_size is None:
            raise ValueError("batch_size must be given for a sampler of single draws, got None")
        return EpochBatchSampler(sampler, batch_size, drop_last)
    if batch_size is not None or drop_last:
        raise ValueError(
            "batch_size must be None and drop_last False for a batch sampler, which has its own, "
            f"got {batch_size} and {drop_last}"
        )
    return sampler


def _usable(device: torch.device | str) -> torch.device:
    """Return a device after trying it."""
    try:
        return torch.empty(0, device=device).device
    except AssertionError as error:  # torch was built without CUDA
        raise RuntimeError(
            f"device must be one that torch can use, got {device!r}: {error}"
        ) from None


def _source(name: str, values: Any) -> Source:  # a tensor, or what numpy reads as an array
    """Return data as a tensor that shares their memory where possible, or as rows in a file."""
    if isinstance(values, Rows):
        return values
    if not isinstance(values, torch.Tensor):
        values = _shared(name, _check.host(values, name), values)
    if values.ndim == 0:
        raise ValueError(f"{name} must have shape (N, ...), got a number alone")
    detached: torch.Tensor = values.detach()
    return detached


def _shared(name: str, array: Any, given: Any) -> torch.Tensor:  # an array of any dtype
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of read-only arrays: nothing writes here
            return torch.from_numpy(array)
    except TypeError:
        raise TypeError(f"{name} must hold numbers, got {_remedy(array, given)}") from None


def _remedy(array: Any, given: Any) -> str:  # an array that torch does not read; what it is of
    """Return what was found, and what to give instead."""
    if hasattr(given, "toarray"):  # of scipy
        return f"a sparse {type(given).__name__}: give its toarray()"
    if array.dtype.names is not None:
        fields = ", ".join(map(repr, array.dtype.names[:5]))
        return f"a structured array of {fields}: give one of its fields, or several as a mapping"
    if array.dtype.kind in "fciu":
        return f"dtype {array.dtype}, which torch does not have: give it as float64"
    kinds = {str(each) for each in getattr(given, "dtypes", ())} if array.ndim == 2 else set()
    if kinds and all(re.match("u?int|float|bool", each) for each in kinds):
        return f"columns of {' and '.join(sorted(kinds))}: make them one dtype, as with astype"
    values = array.ravel().tolist() if array.dtype == object else []
    if any(map(is_missing, values)) and all(
        isinstance(each, bool | int | float) or is_missing(each) for each in values
    ):
        return f"dtype {array.dtype} with missing values: fill them, or exclude those rows"
    return (
        f"dtype {array.dtype}: of a table give the columns of numbers; number classes, as with "
        "numpy.unique(labels, return_inverse=True)"
    )


def _rows(source: Source, indices: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    """Return rows of a tensor on a device, or on that of the tensor."""
    if isinstance(source, Rows):
        found = torch.from_numpy(source[indices.numpy()])
    elif source.is_cpu and device is not None and device.type == "cuda":
        shape = (len(indices), *source.shape[1:])
        pinned = torch.empty(shape, dtype=source.dtype, device="cpu", pin_memory=True)
        found = rows(source, indices, pinned)
    else:
        found = rows(source, indices.to(source.device, non_blocking=True))
    return found if device is None else found.to(device, non_blocking=True)
