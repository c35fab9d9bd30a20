"""Check of a loader that a framework rebuilt: whether its sampler is still there and in effect.

Lightning and accelerate rebuild loaders, silently even if that disables a sampler. This check walks
from the loader to its innermost sampler and compares. It imports no framework: their classes are
recognised by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_convert,
)

from .._check._keywords import told
from ..distributed import world_size
from ..samplers import EpochBatchSampler, EpochSampler
from ..samplers.core import Collate, Indexed, length_of, misfit
from ._loader_chain import (
    core_of,
    is_a,
    is_stock,
    path_to_indexed,
    ranks_of,
    sampler_in,
    walk,
)

_OUTERMOST = {"", "loader.dataset"}
_LIGHTNING = "construct Trainer(use_distributed_sampler=False)"
_ACCELERATE = (
    "make the sampler with num_replicas=1 (scores still merge over all ranks), or prepare the "
    "loader with sampling.integrations.prepare_loader"
)


@told
@dataclass(frozen=True)
class LoaderProblem:
    """One problem in a loader that keeps its sampler from taking effect.

    Attributes
    ----------
    problem : str
        One of "replaced", "reshuffled", "sharded twice", "not sharded", "batch size lost", "batches
        of batches", "pairs expected", "epoch not delivered", "state hidden", "another size", "not
        outermost", "out of order".
    where : str
        The position, as an expression: `loader.batch_sampler.sampler`.
    found : str
        What was found there, and its consequence.
    advice : str
        The remedy.
    """

    problem: str
    where: str
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.problem}, at {self.where}: {self.found}; {self.advice}"


@told
@dataclass(frozen=True)
class LoaderReport:
    """Result of `check_loader`; true if there are problems.

    Attributes
    ----------
    chain : str
        The classes from the loader to its innermost sampler.
    problems : tuple of LoaderProblem
        All problems found, in the order of the checks.
    """

    chain: str
    problems: tuple[LoaderProblem, ...]

    def __bool__(self) -> bool:
        return bool(self.problems)

    def __len__(self) -> int:
        return len(self.problems)

    def __iter__(self) -> Iterator[LoaderProblem]:
        return iter(self.problems)

    def __str__(self) -> str:
        head = f"{len(self.problems) or 'no'} problem{'s' * (len(self) != 1)} in {self.chain}"
        return "\n".join([head, *(f"  {each}" for each in self.problems)])

    def raise_for_problems(self, *but: str) -> None:
        """Raise if any problem was found.

        Parameters
        ----------
        *but : str
            Known problems to ignore, such as "not sharded".

        Raises
        ------
        ValueError
            With the report as its message.
        """
        rest = tuple(each for each in self.problems if each.problem not in but)
        if rest:
            raise ValueError(str(LoaderReport(self.chain, rest)))


@told
def check_loader(loader: Any, sampler: Any = None) -> LoaderReport:  # any framework's
    """Report what a framework, or the way it was constructed, did to a loader's sampler.

    Call it on the loader that training uses: after `accelerator.prepare(loader)`, on
    `trainer.train_dataloader` inside a Lightning hook, on `trainer.get_train_dataloader()`.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader
        Or the result of a framework's rebuilding of one.
    sampler : sampler or batch sampler, optional
        The one that was given to the loader, of this package or any other. Without it, "replaced"
        is reported only if all samplers left are those of torch and the frameworks.

    Returns
    -------
    LoaderReport
        True if there are problems; prints as a list of them.

    Raises
    ------
    TypeError
        If `loader` has neither a sampler nor a batch sampler.

    Notes
    -----
    Order
        Nothing is iterated and nothing is changed.
    Cost
        Less than a millisecond.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> sampler = ShuffleSampler(6)
    >>> print(check_loader(DataLoader(range(6), sampler=sampler)))
    no problems in DataLoader > BatchSampler > ShuffleSampler
    >>> report = check_loader(DataLoader(range(6), shuffle=True), sampler)
    >>> [each.problem for each in report], bool(report)
    (['replaced'], True)
    """
    look = _Look(loader, sampler)
    checks: tuple[Callable[[], Iterator[LoaderProblem]], ...] = (
        look.replaced,
        look.batch_size_lost,
        look.batches_of_batches,
        look.pairs_expected,
        look.reshuffled,
        look.sharded,
        look.epoch_not_delivered,
        look.state_hidden,
        look.another_size,
        look.not_outermost,
        look.out_of_order,
    )
    chain = " > ".join(type(node).__name__ for _, node in look.chain)
    return LoaderReport(chain, tuple(problem for check in checks for problem in check()))


class _Look:
    """The chain from a loader to its innermost sampler, and the checks applied to it."""

    def __init__(self, loader: Any, sampler: Any) -> None:
        while not isinstance(loader, DataLoader) and hasattr(loader, "_dataloader"):
            loader = loader._dataloader  # Lightning Fabric's
        if not (hasattr(loader, "sampler") or hasattr(loader, "batch_sampler")):
            raise TypeError(
                f"loader must be a DataLoader or what a framework made of one, got "
                f"{type(loader).__name__}"
            )
        self.loader, self.given = loader, sampler
        self.chain: list[tuple[str, Any]] = [("loader", loader), *walk(loader)]
        self.end_path, self.end = self.chain[-1]
        self.samplers = [node for _, node in self.chain[1:]]
        self.shards = [
            (path, node)
            for path, node in self.chain
            if is_a(node, "accelerate.BatchSamplerShard", "accelerate.DataLoaderDispatcher")
        ]

    @property
    def ours(self) -> EpochSampler | None:
        """The sampler of draws of this package, if it is in the chain."""
        return self.end if isinstance(self.end, EpochSampler) else None

    # ------------------------------------------------------------------ the checks

    def replaced(self) -> Iterator[LoaderProblem]:
        """Check whether the sampler was replaced."""
        if not self._is_replaced():
            return
        stands = type(self.end).__name__
        found = f"a {stands} without a sampler in it; if the loader was given one, it was replaced"
        if self.given is not None:
            found = f"{type(self.given).__name__} was replaced by a {stands}"
        advice = "give the sampler to the loader as sampler= or batch_sampler="
        if isinstance(self.end, DistributedSampler):
            advice = f"Lightning does that to samplers in DDP: {_LIGHTNING}"
        elif is_a(self.end, "accelerate.SeedableRandomSampler"):
            advice = (
                "accelerate does that to subclasses of torch's RandomSampler: derive from Sampler, "
                "or set DataLoaderConfiguration(use_seedable_sampler=False)"
            )
        yield LoaderProblem("replaced", self.end_path, found, advice)

    def batch_size_lost(self) -> Iterator[LoaderProblem]:
        """Check for batches of an unrequested size, or that are skipped for their size."""
        if self._is_replaced():
            size = getattr(self.samplers[0], "batch_size", None)
            wanted = getattr(self.given, "batch_size", None)
            single = self.loader.batch_sampler is None and isinstance(self.end, DistributedSampler)
            if single or (wanted is not None and size != wanted):
                now = "single samples" if single else f"batches of {size}"
                asked = "" if wanted is None else f" instead of {wanted}"
                found = f"the loader yields {now}{asked}, since its batch sampler was replaced"
                yield LoaderProblem("batch size lost", "loader", found, _LIGHTNING)
                return
        if self._draws_single():
            found = f"batch_size=None, while {type(self.samplers[0]).__name__} yields single "
            found += "indices: the loader yields single samples, without a batch dimension"
            advice = "set batch_size, or give sampler=EpochBatchSampler(sampler, batch_size)"
            yield LoaderProblem("batch size lost", self.chain[1][0], found, advice)
        for path, node in self.shards:
            cut = getattr(node, "batch_sampler", None)
            if is_a(node, "accelerate.BatchSamplerShard") and node.batch_size is not None:
                yield from _sizes_left_out(path, node.batch_size, cut, self.loader)

    def batches_of_batches(self) -> Iterator[LoaderProblem]:
        """Look for a batch sampler that was given as the sampler."""
        for (path, node), inside in zip(self.chain, self.samplers, strict=False):
            cuts = type(node) is BatchSampler or is_a(node, "torchdata.BatchSampler")
            if cuts and isinstance(inside, EpochBatchSampler | BatchSampler):
                found = f"{type(node).__name__} makes batches of the batches of "
                found += type(inside).__name__
                advice = "give it to the loader as batch_sampler=, without batch_size, or with "
                advice += "batch_size=None to fetch whole batches"
                yield LoaderProblem("batches of batches", path, found, advice)

    def pairs_expected(self) -> Iterator[LoaderProblem]:
        """Look for a loader of whole batches that collates them as if they were pairs."""
        loader = self.loader
        if not isinstance(loader, DataLoader) or loader.batch_sampler is not None:
            return
        if isinstance(loader.collate_fn, Collate):
            found = "batch_size=None fetches whole batches, which Indexed.collate does not take"
        elif isinstance(loader.dataset, Indexed) and loader.collate_fn is not default_convert:
            got = "the pair (indices, batch)" if loader.dataset.key is None else "the whole batch"
            found = f"with batch_size=None the function is called with {got} that Indexed returns, "
            found += "not with a list of samples"
        else:
            return
        advice = "give the function to Indexed(dataset, collate_fn=...)"
        yield LoaderProblem("pairs expected", "loader.collate_fn", found, advice)

    def reshuffled(self) -> Iterator[LoaderProblem]:
        """Check for a sampler that reshuffles the order of another."""
        for (path, node), inside in zip(self.chain, self.samplers, strict=False):
            if isinstance(node, DistributedSampler) and node.shuffle:
                found = f"{type(node).__name__} shuffles the order of {type(inside).__name__}, so "
                found += "that its order, curriculum or batches are lost"
                yield LoaderProblem("reshuffled", path, found, f"{_LIGHTNING}, or shuffle=False")

    def sharded(self) -> Iterator[LoaderProblem]:
        """Check for several objects that shard over the ranks, or for none."""
        dealers = [(path, node, ranks_of(node)) for path, node in self.chain if ranks_of(node) > 1]
        if len(dealers) > 1:
            (path, outer, ranks), (_, inner, own) = dealers[0], dealers[-1]
            found = (
                f"{type(outer).__name__} shards over {ranks} processes what {type(inner).__name__} "
                f"already shards over {own} ranks: each sees only a fraction of its share"
            )
            advice = _LIGHTNING if isinstance(outer, DistributedSampler) else _ACCELERATE
            if advice == _ACCELERATE and not isinstance(inner, EpochSampler):
                advice = f"let only accelerate shard over ranks, without {type(inner).__name__}"
            yield LoaderProblem("sharded twice", path, found, advice)
        if self.ours is not None and not dealers:
            ranks = world_size(self.ours.process_group)
            if ranks > 1:
                found = f"num_replicas=1 on {ranks} ranks, so that each trains on the whole epoch"
                advice = (
                    "construct it after init_process_group or with num_replicas= and rank=, or let "
                    "accelerate shard; ranks that must see the same data take a process_group="
                )
                yield LoaderProblem("not sharded", self.end_path, found, advice)

    def epoch_not_delivered(self) -> Iterator[LoaderProblem]:
        """Check for a `set_epoch` of the loader that does not reach the sampler."""
        target = core_of(self.end if self.given is None else self.given)
        if not (hasattr(self.loader, "set_epoch") and hasattr(target, "set_epoch")):
            return
        # The positions at which accelerate's loaders look: one, two and three deep.
        outer = self.loader.batch_sampler
        inner = getattr(outer, "batch_sampler", None)
        reached = (outer, getattr(outer, "sampler", None), getattr(inner, "sampler", None))
        if any(core_of(each) is target for each in reached):
            return
        if any(core_of(each) is target for each in self.samplers):
            found = f"accelerate's set_epoch does not reach as deep as the {type(target).__name__}"
            advice = "call sampler.set_epoch(epoch) before each pass, or train with our callback"
            yield LoaderProblem("epoch not delivered", self.end_path, found, advice)

    def state_hidden(self) -> Iterator[LoaderProblem]:
        """Check for a stateful loader whose state does not include that of our sampler."""
        base = getattr(self.loader, "base_dataloader", self.loader)
        if self.ours is None or not is_a(base, "torchdata.StatefulDataLoader"):
            return
        outer = self.samplers[0]
        wrapped = outer.sampler if is_a(outer, "torchdata.BatchSampler") else outer
        if not isinstance(wrapped, EpochSampler | EpochBatchSampler):
            found = f"{type(outer).__name__} has no state_dict, so that the loader's state lacks "
            found += f"the epoch and the position of {type(self.ours).__name__}"
            advice = "use sampler=sampler, or batch_sampler=EpochBatchSampler(sampler, ...)"
            if type(outer).__module__.startswith("accelerate"):
                advice = "save the sampler itself, with sampling.samplers.save_state"
            yield LoaderProblem("state hidden", "loader.batch_sampler", found, advice)

    def another_size(self) -> Iterator[LoaderProblem]:
        """Check for a dataset of another length than our sampler was made for."""
        sampler, dataset = sampler_in(self.loader), getattr(self.loader, "dataset", None)
        if sampler is None or path_to_indexed("loader.dataset", dataset) not in _OUTERMOST:
            return
        wrong = misfit(sampler, dataset)
        if wrong is not None:
            found = f"made for {wrong.size} samples where the dataset has {length_of(dataset)}, "
            found += f"the {wrong.wrong}"
            yield LoaderProblem("another size", self.end_path, found, wrong.advice)

    def not_outermost(self) -> Iterator[LoaderProblem]:
        """Check for an `Indexed` dataset inside another one, which has its own indices."""
        outer = getattr(self.loader, "dataset", None)
        path = path_to_indexed("loader.dataset", outer)
        if path not in _OUTERMOST:
            found = f"Indexed inside {type(outer).__name__} yields indices of the inner dataset"
            advice = "wrap last, as in Indexed(Subset(dataset, ...)), and make the sampler for that"
            yield LoaderProblem("not outermost", path, found, advice)

    def out_of_order(self) -> Iterator[LoaderProblem]:
        """Check for workers that may overtake each other."""
        if not getattr(self.loader, "in_order", True):
            found = "with in_order=False batches come as workers finish them, so that neither "
            found += "order nor position is that of the sampler"
            advice = "leave in_order=True; it costs speed only where loading times vary widely"
            yield LoaderProblem("out of order", "loader.in_order", found, advice)

    # ------------------------------------------------------------------ helpers

    def _draws_single(self) -> bool:
        """Return whether the loader does not batch, and its sampler yields single indices."""
        torchs = (RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)
        single = (EpochSampler, DistributedSampler, *torchs)
        return getattr(self.loader, "batch_sampler", None) is None and all(
            isinstance(each, single) for each in self.samplers
        )

    def _is_replaced(self) -> bool:
        if self.given is None:
            return all(is_stock(node) for node in self.samplers)
        inner = getattr(self.given, "sampler", None)
        kept = inner is not None and any(node is inner for node in self.samplers)
        return not any(
            # Lightning makes batch samplers again, around the same sampler if all went well.
            node is self.given or (kept and type(node) is type(self.given))
            for node in self.samplers
        )


def _sizes_left_out(path: str, size: int, cut: Any, loader: Any) -> Iterator[LoaderProblem]:
    """Report a batch sampler whose batches cannot all have the size that accelerate expects."""
    name, now = type(cut).__name__, getattr(cut, "batch_size", None)
    if is_stock(cut) and now == size:
        return
    found = ""
    if now != size:
        found = f"accelerate expects batches of {size}, and {name} now has batch_size={now}"
    elif not is_a(cut, "sampling.EpochBatchSampler", "sampling.EqualBatches"):  # sizes are known
        source: Any = getattr(cut, "sampler", None)
        draws = len(source if hasattr(source, "__len__") else loader.dataset)
        if len(cut) not in {draws // size, -(-draws // size)}:
            found = f"{name} has batch_size={size} but cuts {draws} samples into {len(cut)} batches"
    if found:
        found += ": accelerate skips batches of another size"
        advice = "set batch_size=None on the batch sampler before prepare"
        yield LoaderProblem("batch size lost", path, found, advice)
