"""The path from a loader to its innermost sampler, through the wrappers of any framework."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getattr_static
from typing import Any, TypeAlias

from torch.utils.data import (
    BatchSampler,
    Dataset,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
)

from ..samplers import EpochBatchSampler, EpochSampler
from ..samplers.core import Indexed, refuse_size

AnySampler: TypeAlias = EpochSampler | EpochBatchSampler

_PASSING = {"torch", "torchdata", "accelerate", "lightning", "pytorch_lightning", "sampling"}
_PASSING |= {"lightning_fabric"}
_INNER = ("_batch_sampler", "wrapped", "batch_sampler", "sampler", "_sampler")


class WholeBatches(Dataset[Any]):
    """A dataset for `DataLoader(batch_sampler=...)` that fetches each batch whole, uncollated.

    Parameters
    ----------
    dataset : map-style dataset
        Takes a list of indices, such as `Indexed`.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: list[int]) -> Any:
        """Return the batch."""
        return self.dataset[indices]


def walk(loader: Any) -> Iterator[tuple[str, Any]]:
    """Yield the samplers of a loader from the outside in, with the expression for each."""
    name = "batch_sampler" if getattr(loader, "batch_sampler", None) is not None else "sampler"
    path, node = f"loader.{name}", getattr(loader, name)
    seen: list[Any] = []
    while node is not None and not any(node is each for each in seen):
        yield path, node
        seen.append(node)
        if isinstance(node, EpochSampler):
            return
        if "Sampler" in type(getattr(node, "dataset", None)).__name__:
            path, node = f"{path}.dataset", node.dataset  # a sampler presented as a dataset
        for attribute in _INNER:
            inner = getattr(node, attribute, None)
            if inner is not None:
                path, node = f"{path}.{attribute}", inner
                break
        else:
            return


def sampler_in(loader: Any) -> EpochSampler | None:
    """Return the sampler of this package whose draws the loader yields unchanged, if any.

    Only wrappers of torch, a framework or this package pass draws on unchanged: any other sampler
    around ours may map them to other indices.
    """
    nodes = [node for _, node in walk(loader)]
    if not nodes or not isinstance(nodes[-1], EpochSampler):
        return None
    known = all(
        isinstance(each, EpochBatchSampler) or type(each).__module__.partition(".")[0] in _PASSING
        for each in nodes[:-1]
    )
    return nodes[-1] if known else None


def refuse_misfit(loader: Any) -> None:
    """Raise if the dataset of a loader does not have the size that its sampler was made for."""
    sampler = sampler_in(loader)
    if sampler is not None:
        refuse_size(sampler, getattr(loader, "dataset", None), "sampler", "the loader's dataset")


def core_of(sampler: Any) -> Any:
    """Return the sampler of draws inside an `EpochBatchSampler`; any other unchanged."""
    return sampler.sampler if isinstance(sampler, EpochBatchSampler) else sampler


def path_to_indexed(path: str, dataset: object) -> str:
    """Return the expression for the first `Indexed` in a dataset; empty if there is none."""
    if isinstance(dataset, WholeBatches):
        dataset = dataset.dataset
    if dataset is None or isinstance(dataset, Indexed):
        return path if dataset is not None else ""
    inside = [(f"{path}.dataset", getattr_static(dataset, "dataset", None))]
    several = getattr_static(dataset, "datasets", None)
    if isinstance(several, list | tuple):
        inside += [(f"{path}.datasets[{i}]", each) for i, each in enumerate(several)]
    return next(filter(None, (path_to_indexed(*each) for each in inside)), "")


def is_a(node: object, *names: str) -> bool:
    """Return whether an object's class or a base is one of these names, "package.Class"."""
    own = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(node).__mro__}
    return not own.isdisjoint(names)


def is_stock(node: object) -> bool:
    """Return whether a (batch) sampler is one that torch and the frameworks add by default."""
    stock = (BatchSampler, RandomSampler, SequentialSampler, DistributedSampler)
    owner = type(node).__module__.partition(".")[0]
    return isinstance(node, stock) and owner in {"torch", "torchdata", "accelerate"}


def ranks_of(node: object) -> int:
    """Return over how many ranks an object shards by itself, not counting what it wraps."""
    if is_a(node, "accelerate.BatchSamplerShard"):
        return int(node.num_processes)  # type: ignore[attr-defined]
    if is_a(node, "accelerate.DataLoaderDispatcher"):
        return int(node.state.num_processes)  # type: ignore[attr-defined]
    if isinstance(node, EpochBatchSampler):
        return 1  # its ranks are those of the sampler that it wraps
    for name in ("num_replicas", "world_size"):
        if getattr_static(node, name, None) is not None:
            ranks = getattr(node, name)
            return ranks if isinstance(ranks, int) else 1
    return 1
