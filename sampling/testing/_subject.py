"""The sampler under test: the options it takes, and how it is driven and loaded."""

from __future__ import annotations

import inspect
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DataLoader, Dataset

from .._optional import require
from ..errors import MissingExtraError
from ._outcomes import BATCHES, broken, does_not_apply
from ._watch import Watch

BATCH = 4  # draws per batch where the kit cuts batches
PREFETCH = 2  # batches that each worker prefetches
_EVERYBODYS = {"seed", "num_replicas", "rank", "drop_last"}  # what `**options` stands for

AnySampler: TypeAlias = Any  # a sampler or batch sampler of any library
Loader: TypeAlias = Any  # torch's or torchdata's
State: TypeAlias = Any
Options: TypeAlias = Mapping[str, object]
Factory: TypeAlias = Callable[..., AnySampler]


class Echo(Dataset[Any]):
    """A dataset of any size whose samples are their own indices; a list gives a list."""

    def __getitem__(self, index: Any) -> Any:  # an index or, uncollated, a batch
        return [int(each) for each in index] if isinstance(index, Iterable) else int(index)

    def __len__(self) -> int:
        return 2**31 - 1


class Subject:
    """A sampler given by its factory, with the operations that the checks need.

    Parameters
    ----------
    factory : callable
        Makes a new sampler each time. Takes as keywords those of `seed`, `num_replicas`, `rank`,
        `drop_last`, `pad` and `size` that the sampler has; `**options` stands for the first four.
    kind : {"sampler", "batch sampler"}
        What the factory makes.
    size : int, optional
        N; by default read from the sampler.
    num_workers : int, default 0
        Worker processes of the loaders that `loader` and `stateful_loader` make.
    other : callable, optional
        A factory as `factory`, with other data.
    """

    def __init__(
        self,
        factory: Factory,
        kind: str,
        size: int | None = None,
        num_workers: int = 0,
        other: Factory | None = None,
    ) -> None:
        self.factory, self.other = factory, other
        self.fork: Callable[[object], Any] | None = None  # for S1, made before any sampler
        self.batches = kind == BATCHES
        self.num_workers = num_workers
        self.given_size = size
        self._takes = keywords(factory)

    # ------------------------------------------------------------------ capabilities

    def takes(self, *names: str) -> bool:
        """Return whether the factory takes all of these keywords."""
        return set(names) <= self._takes

    def needs(self, *names: str) -> None:
        """Raise `NotApplicable` unless the factory takes all of these keywords."""
        missing = [name for name in names if name not in self._takes]
        if missing:
            does_not_apply(f"takes no {' and no '.join(missing)}")

    def needs_ranks(self) -> None:
        """Raise `NotApplicable` for a sampler without rank arguments."""
        if not self.takes("num_replicas", "rank"):
            does_not_apply("takes no ranks: a global view, which a trainer shards")

    def needs_epochs(self) -> None:
        """Raise `NotApplicable` for a sampler without epochs."""
        if not has_epochs(self.make()):
            does_not_apply("has no set_epoch (see C8)")

    def needs_position(self) -> None:
        """Raise `NotApplicable` without `state_dict(consumed=...)`."""
        if not keeps_position(self.make()):
            does_not_apply("has no state_dict(consumed=...) (see D3)")

    def needs_batches(self, count: int) -> None:
        """Raise `NotApplicable` if an epoch is too short to stop in."""
        batches = len(self.order(1)) // (1 if self.batches else BATCH)
        if batches < count:
            does_not_apply(f"an epoch has {batches} batches, fewer than the {count} of this check")

    @property
    def size(self) -> int | None:
        """N, as given or as reported by the sampler, or None."""
        sampler = self.make()
        for holder in (self.given_size, getattr(sampler, "size", None)):
            if isinstance(holder, int):
                return holder
        for name in ("data_source", "dataset"):
            if hasattr(getattr(sampler, name, None), "__len__"):
                return len(getattr(sampler, name))
        return None

    # ------------------------------------------------------------------ making and driving it

    def make(self, **options: object) -> AnySampler:
        """Return a new sampler, of one rank by default."""
        given: dict[str, object] = {"num_replicas": 1, "rank": 0, **options}
        return self.factory(**{name: given[name] for name in given if name in self._takes})

    def at(self, epoch: int, **options: object) -> AnySampler:
        """Return a new sampler advanced to an epoch as a training loop would."""
        sampler = self.make(**options)
        if is_dynamic(sampler):
            self._train(sampler, epoch, {k: v for k, v in options.items() if k in {"seed", "size"}})
        elif has_epochs(sampler):
            set_epoch(sampler, epoch)
        else:  # its epochs are passes
            for _ in range(epoch):
                drain(sampler)
        return sampler

    def _train(self, sampler: AnySampler, epoch: int, options: Options) -> None:
        """Record the losses of whole epochs, as if all ranks had merged theirs."""
        leader = self.make(**options)
        for each in range(epoch):
            leader.set_epoch(each)
            sampler.set_epoch(each)
            dealt = np.unique(flat(drain(leader)))
            for one in (leader, sampler):
                one.record(dealt, losses(dealt, each))
        sampler.set_epoch(epoch)

    def order(self, epoch: int, **options: object) -> list[Any]:
        """Return the items of a new sampler in an epoch: draws, or batches of them."""
        return drain(self.at(epoch, **options))

    def reborn(self, epoch: int, **options: object) -> AnySampler:
        """Return a new sampler as a restarted program has it before it loads a state of an epoch.

        A dynamic sampler restores its scores and its plan separately; a static one starts empty.
        """
        fresh = self.make(**options)
        if not is_dynamic(fresh):
            return fresh
        trained = self.at(epoch, **options)
        if has(trained, "state_dict"):
            trained.state_dict()  # a restored sampler has already reported its plan
        return trained

    # ------------------------------------------------------------------ loaders

    def loader(self, sampler: AnySampler, **options: object) -> Loader:
        """Return a `DataLoader` over `Echo` that draws from the sampler."""
        return DataLoader(Echo(), **self._settings(sampler, options))

    def stateful_loader(self, sampler: AnySampler, **options: object) -> Loader:
        """Return torchdata's `StatefulDataLoader` over `Echo`."""
        stateful = torchdata("torchdata.stateful_dataloader")
        return stateful.StatefulDataLoader(Echo(), **self._settings(sampler, options))

    def _settings(self, sampler: AnySampler, options: Options) -> dict[str, Any]:
        settings: dict[str, Any]
        if options.get("batch_size", BATCH) is None:  # items as the sampler yields them
            settings = {"sampler": sampler}
        elif "batch_sampler" in options:
            settings = {"collate_fn": list}
        elif self.batches:
            settings = {"batch_sampler": sampler, "collate_fn": list}
        else:
            settings = {"sampler": sampler, "batch_size": BATCH, "collate_fn": list}
        if options.get("num_workers", self.num_workers):
            settings |= {"num_workers": self.num_workers, "prefetch_factor": PREFETCH}
            settings["multiprocessing_context"] = start_method()
        return settings | dict(options)


def must_exist(subject: Subject) -> None:
    """Raise `NotApplicable` unless the sampler can be constructed."""
    with Watch() as watch:
        subject.make()
    if watch.error is not None:
        does_not_apply("cannot be constructed (see C1)")


def keywords(factory: Factory) -> set[str]:
    """Return the names of the keywords that a factory takes, including those of `**options`."""
    found: set[str] = set()
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= _EVERYBODYS
        elif parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            found.add(name)
    return found


def has(thing: object, *methods: str) -> bool:
    """Return whether an object has all of these methods."""
    return all(callable(getattr(thing, method, None)) for method in methods)


def has_epochs(sampler: object) -> bool:
    """Return whether it, or the sampler inside a batch sampler, has `set_epoch`."""
    return has(sampler, "set_epoch") or has(getattr(sampler, "sampler", None), "set_epoch")


def set_epoch(sampler: AnySampler, epoch: int) -> None:
    """Call `set_epoch` of the sampler, or of the one inside a batch sampler."""
    (sampler if has(sampler, "set_epoch") else sampler.sampler).set_epoch(epoch)


def is_dynamic(sampler: object) -> bool:
    """Return whether recorded losses affect later epochs."""
    return bool(getattr(sampler, "dynamic", False)) and has(sampler, "record")


def keeps_position(sampler: object) -> bool:
    """Return whether `state_dict(consumed=...)` takes the position from the training loop."""
    if not has(sampler, "state_dict", "load_state_dict"):
        return False
    return "consumed" in inspect.signature(sampler.state_dict).parameters  # type: ignore[attr-defined]


def drain(dealt: Iterable[Any]) -> list[Any]:
    """Return the remaining items as a list, up to a bound, so that it always ends."""
    try:
        bound = min(4 * len(dealt) + 1000, 1_000_000)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):  # no length, which C4 reports
        bound = 1_000_000
    found = list(itertools.islice(dealt, bound))
    if len(found) == bound:
        broken(f"no end after {bound} items")
    return found


def take(count: int, dealt: Iterator[Any]) -> list[Any]:
    """Return the next `count` items, or those that are left."""
    return list(itertools.islice(dealt, count))


def flat(items: Iterable[Any]) -> list[int]:
    """Return the draws of batches, or of draws."""
    return [i for item in items for i in (item if isinstance(item, Iterable) else [item])]


def losses(indices: ArrayLike, epoch: int) -> NDArray[np.float64]:
    """Return a loss for each index that differs from epoch to epoch: float64, in [0, 2]."""
    values: NDArray[np.float64] = 1.0 + np.sin(np.asarray(indices, np.int64) * 7.0 + epoch)
    return values


def weights_of(sampler: AnySampler, indices: ArrayLike) -> list[float]:
    """Return the loss weights of these samples, if the sampler provides them."""
    if not has(sampler, "weights_for"):
        return []
    return [float(each) for each in sampler.weights_for(indices)]


def start_method() -> str | None:
    """Return how to start workers: by fork if that is fast and safe."""
    if "fork" in multiprocessing.get_all_start_methods() and not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "fork"
    return None


def torchdata(module: str) -> Any:  # a module
    """Import a module of torchdata, or raise `NotApplicable`."""
    try:
        return require(module, "stateful", "StatefulDataLoader")
    except MissingExtraError as missing:
        does_not_apply(str(missing))
