"""The indices of each batch, for loaders whose dataset cannot provide them."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from .._check._keywords import told
from ._loader_chain import refuse_misfit

_WRAP = "wrap the dataset in sampling.Indexed instead"


@told
class BatchTracker:
    """Yield (indices, batch) from a loader, by the order in which it yields batches.

    `sampler.reduce(losses, indices)` needs the indices of each batch. `Indexed` is the better way:
    there the index stays with its sample. Use the tracker if the dataset cannot be wrapped or its
    batches must not change; it records the output of the sampler and pairs its k-th batch of
    indices with the k-th batch of the loader.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader
        Or a subclass, such as torchdata's `StatefulDataLoader`, or the result of accelerate's
        `prepare`. With `sampler=` or `batch_sampler=`, of this package or any other.

    Attributes
    ----------
    loader : torch.utils.data.DataLoader
        Yields what it would yield without the tracker; save and load its state as before.

    Raises
    ------
    TypeError
        If `loader` is not a DataLoader, or its dataset is iterable-style and has no indices.
    ValueError
        If a sampler of this package was made for another number of samples than the dataset has; if
        `in_order=False`, or the loader is one of accelerate's that yields other batches than its
        sampler.
    RuntimeError
        While iterating, if a subclass of DataLoader yields more or fewer batches than its sampler.

    Notes
    -----
    Order
        That of the loader.
    Cost
        One int64 copy of the indices of each batch, held until the batch is yielded.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> letters = ["a", "b", "c", "d", "e"]
    >>> loader = DataLoader(letters, batch_size=2, sampler=ShuffleSampler(5))
    >>> for indices, batch in BatchTracker(loader):
    ...     if batch != [letters[i] for i in indices]:
    ...         raise ValueError(indices)
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._base = _loader_that_deals(loader)
        refuse_misfit(self._base)
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """Begin a pass over the loader.

        Returns
        -------
        iterator of (int64 tensor of shape (B,), batch)
            If the loader does not batch (`batch_size=None`), B is 1, or what its sampler yields.
        """
        refuse_misfit(self._base)  # the dataset may have grown
        return _TrackedPass(self.loader, self._base)


class _TrackedPass:
    """One pass: batches from the loader, paired with the indices its sampler yielded."""

    def __init__(self, loader: DataLoader[Any], base: DataLoader[Any]) -> None:
        if getattr(base, "_initial_iter_for_state_dict", False):
            # torchdata: `state_dict()` before the first `iter` has begun a pass, unrecorded.
            base.load_state_dict(base.state_dict())  # type: ignore[attr-defined]
        # When resumed, a loader may take batches from its sampler that it does not yield.
        self._astray = getattr(base, "next_iter_state", None) is not None
        # accelerate's loader skips this many of its own batches in each pass.
        self._skip = int(loader.skip_batches) if loader is not base else 0  # type: ignore[attr-defined]
        self._base = base
        self._heard = _heard(base)
        with _listening(base, self._heard):
            self._batches = iter(loader)
        # accelerate's loader is a generator: it begins its pass at the first `next`.
        self._begun = loader is base

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, Any]:
        try:
            batch = self._next_batch()
        except StopIteration:
            if self._heard.dealt and not self._astray:
                raise RuntimeError(self._parted("fewer")) from None
            raise
        except Exception:
            self._astray = True  # a batch that failed to load is consumed, a timed-out one is not
            raise
        dealt = self._heard.dealt
        if self._astray:
            self._astray = False
            waiting = len(getattr(self._batches, "_task_info", ()))  # sent to workers, not yielded
            while len(dealt) > waiting + 1:
                dealt.popleft()
        while self._skip and dealt:
            self._skip -= 1
            dealt.popleft()
        if not dealt:
            raise RuntimeError(self._parted("more"))
        return dealt.popleft(), batch

    def _next_batch(self) -> Any:  # whatever the loader collates
        if self._begun:
            return next(self._batches)
        self._begun = True
        with _listening(self._base, self._heard):
            return next(self._batches)

    def _parted(self, how: str) -> str:
        return (
            f"loader must yield what its sampler yields, got {type(self._base).__name__}, which "
            f"yields {how} batches: {_WRAP}"
        )


def _loader_that_deals(loader: object) -> DataLoader[Any]:
    """Return the DataLoader whose sampler determines the batches, or raise if there is none."""
    name = type(loader).__name__
    if not isinstance(loader, DataLoader):
        raise TypeError(
            f"loader must be a DataLoader, got {name}: give the DataLoader inside it, or {_WRAP}"
        )
    if isinstance(loader.dataset, IterableDataset):
        raise TypeError(
            "loader must have a map-style dataset, got an IterableDataset, which has no indices: "
            "let it yield them with its samples"
        )
    if not getattr(loader, "in_order", True):
        raise ValueError(
            "loader must have in_order=True, got False: workers then overtake each other, and the "
            f"order does not identify the batches; drop in_order=False or {_WRAP}"
        )
    if type(loader).__module__.partition(".")[0] != "accelerate":
        return loader
    base: DataLoader[Any] = loader.base_dataloader  # type: ignore[attr-defined]
    if name != "DataLoaderShard":
        raise ValueError(
            f"loader must yield what its sampler yields, got accelerate's {name}, which cuts and "
            f"sends batches of another process: use dispatch_batches=False, or {_WRAP}"
        )
    if hasattr(base, "state_dict"):
        raise ValueError(
            "loader must not be accelerate's around a StatefulDataLoader, which reads ahead on its "
            f"own: use use_stateful_dataloader=False, or {_WRAP}"
        )
    return base


# ---------------------------------------------------------------------- recording a sampler


class _Dealing:
    """Replaces a loader's sampler while a pass begins, and records its output."""

    def __init__(self, sampler: Any) -> None:  # any iterable is a sampler
        self.sampler_of_loader = sampler
        self.dealt: deque[torch.Tensor] = deque()

    def __iter__(self) -> Iterator[Any]:
        inner = iter(self.sampler_of_loader)
        return (_StatefulWriter if _is_stateful(inner) else _Writer)(inner, self.dealt)

    def __len__(self) -> int:
        return len(self.sampler_of_loader)

    def __getattr__(self, name: str) -> Any:  # whatever the sampler has
        return getattr(self.__dict__["sampler_of_loader"], name)


class _StatefulDealing(_Dealing):
    """The same for a sampler with a state: torchdata looks for these two in the class."""

    def state_dict(self) -> Any:  # the sampler's
        return self.sampler_of_loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sampler_of_loader.load_state_dict(state)


class _Writer:
    """Passes on the items of an iterator, and records them."""

    def __init__(self, inner: Iterator[Any], dealt: deque[torch.Tensor]) -> None:
        self._inner: Any = inner
        self._dealt = dealt

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:  # ints, or batches of them
        dealt = next(self._inner)
        self._dealt.append(_rows(dealt))
        return dealt


class _StatefulWriter(_Writer):
    """The same for an iterator with a state."""

    def state_dict(self) -> Any:  # the iterator's
        return self._inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._inner.load_state_dict(state)


def _is_stateful(thing: object) -> bool:
    return hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")


def _heard(base: DataLoader[Any]) -> _Dealing:
    sampler = base.batch_sampler if base.batch_sampler is not None else base.sampler
    return (_StatefulDealing if _is_stateful(sampler) else _Dealing)(sampler)


@contextmanager
def _listening(base: DataLoader[Any], heard: _Dealing) -> Iterator[None]:
    """Replace the sampler of the loader by `heard` while the loader begins its pass.

    A loader reads its sampler when a pass begins, with workers many batches ahead, and refuses
    another one after construction; so its `__dict__` is written directly, and restored at once.
    """
    name = "batch_sampler" if base.batch_sampler is not None else "sampler"
    sampler = heard.sampler_of_loader
    workers = getattr(base, "_iterator", None)  # kept by persistent workers
    base.__dict__[name] = heard
    if workers is not None:
        workers._index_sampler = heard
    try:
        yield
    finally:
        base.__dict__[name] = sampler
        for each in (workers, getattr(base, "_iterator", None)):
            if each is not None:
                each._index_sampler = sampler


def _rows(dealt: object) -> torch.Tensor:
    """Return the output of a sampler, an index or a batch of them, as a new int64 tensor (B,)."""
    if type(dealt) is list and dealt and type(dealt[0]) is int:
        array = np.array(dealt)  # 4 times as fast as the general case below
        if array.dtype == np.int64 and array.ndim == 1:
            return torch.from_numpy(array)
    single = not isinstance(dealt, Iterable) or getattr(dealt, "ndim", 1) == 0
    try:
        rows = [operator.index(index) for index in ([dealt] if single else dealt)]  # type: ignore
    except TypeError:
        raise TypeError(
            f"the loader's sampler must yield ints or lists of ints, got {dealt!r}"
        ) from None
    return torch.tensor(rows, dtype=torch.int64)
