"""Properties of a training loader for `LightningSamplerCallback`: its sampler and batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from torch.utils.data import DataLoader

from ..loading import TensorLoader
from ..samplers import EpochBatchSampler, EpochSampler
from ._loader_chain import AnySampler, core_of

Cut: TypeAlias = EpochBatchSampler | int  # how draws are cut into batches: a sampler, or a size

NO_SHARDING = (
    "construct Trainer(use_distributed_sampler=False): the sampler shards over the ranks itself"
)


def checked(found: object) -> AnySampler:
    """Return a sampler of this package, or raise if it is none."""
    if isinstance(found, AnySampler):
        return found
    raise TypeError(
        "sampler must be an EpochSampler, an EpochBatchSampler, or a function of the trainer that "
        f"returns one, got {type(found).__name__}"
    )


def leaves(loaders: Any) -> Iterator[Any]:
    """Yield the loaders of a trainer, which may be nested in dictionaries and lists."""
    if isinstance(loaders, Mapping):
        loaders = loaders.values()
    elif not isinstance(loaders, list | tuple):
        if loaders is not None:
            yield loaders
        return
    for each in loaders:
        yield from leaves(each)


def loader_of(trainer: Any, sampler: AnySampler) -> Any | None:
    """Return the training loader that has the sampler; None if there is none yet."""
    for loader in leaves(trainer.train_dataloader):
        found = map(core_of, samplers_of(loader))
        if isinstance(loader, DataLoader | TensorLoader) and any(
            each is core_of(sampler) for each in found
        ):
            return loader
    return None


def samplers_of(loader: Any) -> list[Any]:
    """Return the samplers of a loader, one inside the other."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    found = [batch_sampler, getattr(batch_sampler, "sampler", None)]
    found.append(getattr(loader, "sampler", None))
    return [each for each in found if each is not None]


def cut_of(loader: Any) -> Cut:
    """Return how a loader cuts draws into batches: an `EpochBatchSampler`, or a size."""
    batch_sampler = loader.batch_sampler
    for found in (batch_sampler, loader.sampler):  # the latter with batch_size=None
        if isinstance(found, EpochBatchSampler):
            return found
    return 1 if batch_sampler is None else int(batch_sampler.batch_size)


def batches_left(loader: Any, inner: EpochSampler) -> int:
    """Return this rank's batches from the position of the sampler to the end of the epoch."""
    cut = cut_of(loader)
    return _rounded(inner.remaining, cut, loader) if isinstance(cut, int) else cut.remaining


def batches_in(epoch: int, loader: Any, inner: EpochSampler) -> int:
    """Return this rank's batches in an epoch of a static sampler."""
    cut = cut_of(loader)
    return _rounded(inner.length(epoch), cut, loader) if isinstance(cut, int) else cut.length(epoch)


def _rounded(draws: int, batch_size: int, loader: Any) -> int:
    drop_last = getattr(loader.batch_sampler, "drop_last", False)
    return math.floor(draws / batch_size) if drop_last else math.ceil(draws / batch_size)


class Lengths:
    """The length of an epoch as Lightning read it, and as it is.

    Attributes
    ----------
    read : int or float
        Batches in an epoch, as Lightning last read them from the loader; it draws no more.
    """

    def __init__(self) -> None:
        self.read: float = 0
        self._draws = 0  # of the epoch whose length was read
        self._flag: int | None = None  # the user's reload_dataloaders_every_n_epochs, if replaced

    def note(self, trainer: Any, loader: Any, inner: EpochSampler) -> None:
        """Record the length that Lightning, which has just built its loaders, has read."""
        self.read = trainer.fit_loop.max_batches if _is_whole(trainer) else len(loader)
        self._draws = inner.consumed_after(inner.num_samples, 1)

    def agree(self, trainer: Any, loader: Any, inner: EpochSampler) -> int:
        """Return the batches of this epoch before the pass, and make Lightning count the same.

        It counts those of the checkpoint, which is wrong for another number of ranks or batch size,
        and, if `max_steps` is set, also at the beginning of an epoch, which it would truncate.
        """
        counted = trainer.fit_loop.epoch_loop.batch_progress
        current = counted.current
        done = len(loader) - batches_left(loader, inner)
        late = current.processed - current.completed  # compensated when the loop resets itself
        handled = late and not done and current.processed >= self.read
        if current.processed != done and not handled:
            current.ready = current.started = current.processed = done
            current.completed = done - late
            counted.is_last_batch = False
        return done

    def prepare(self, trainer: Any, loader: Any, inner: EpochSampler, epoch: int) -> bool:
        """Set the next epoch already if Lightning is to read its length; return whether it did."""
        flag = trainer.reload_dataloaders_every_n_epochs
        if not flag:
            if inner.dynamic and self._draws >= inner.num_samples:
                return False  # no epoch is longer
            if not inner.dynamic and batches_in(epoch, loader, inner) <= self.read:
                return False
        inner.set_epoch(epoch)
        if flag != 1 and len(loader) > self.read:
            self._flag, trainer.reload_dataloaders_every_n_epochs = flag, 1
        return True

    def give_back(self, trainer: Any) -> bool:
        """Restore the user's flag; return whether it had been replaced."""
        if self._flag is None:
            return False
        trainer.reload_dataloaders_every_n_epochs, self._flag = self._flag, None
        return True

    def tell(self, trainer: Any, loader: Any, inner: EpochSampler) -> None:
        """Tell Lightning the number of batches of the epoch that begins now."""
        if self.give_back(trainer) or trainer.reload_dataloaders_every_n_epochs:
            self.note(trainer, loader, inner)
        batches = len(loader)
        if not _is_whole(trainer):
            return
        if batches > self.read:
            raise RuntimeError(
                f"epoch {inner.epoch} has {batches} batches, and Lightning would cut it to "
                f"{self.read}, which it read before this length was known: construct "
                "Trainer(reload_dataloaders_every_n_epochs=1)"
            )
        if not trainer.reload_dataloaders_every_n_epochs:
            trainer.fit_loop.max_batches = batches
        interval, due = trainer.val_check_interval, trainer.val_check_batch
        if isinstance(interval, float) and due not in {None, float("inf")}:
            trainer.val_check_batch = max(1, int(batches * interval))


def _is_whole(trainer: Any) -> bool:
    """Return whether the trainer has one training loader, and trains on all of its batches."""
    asked = trainer.limit_train_batches
    alone = len(list(leaves(trainer.train_dataloader))) == 1
    return alone and isinstance(asked, float) and asked == 1.0


def refuse_hidden(loader: Any, inner: EpochSampler) -> None:
    """Refuse a stateful loader that would skip the batches that the callback skips too."""
    ours = isinstance(loader.batch_sampler, EpochBatchSampler) or loader.sampler is inner
    if hasattr(loader, "load_state_dict") and not ours:
        raise ValueError(
            f"batch_sampler of a {type(loader).__name__} must be an EpochBatchSampler, got "
            f"{type(loader.batch_sampler).__name__}: it hides the state of the sampler inside, and "
            "resuming would skip its first batches twice"
        )


def not_found(trainer: Any, sampler: AnySampler) -> str:
    """Describe the samplers that the training loader has instead of the given one."""
    chains = [
        " > ".join(type(each).__name__ for each in [loader, *samplers_of(loader)])
        for loader in leaves(trainer.train_dataloader)
    ]
    advice = "give the same object to the loader and to LightningSamplerCallback"
    if any("Distributed" in chain for chain in chains):
        advice = f"Lightning reshuffled or replaced it; {NO_SHARDING}"
    return (
        f"the training loader must have the {type(sampler).__name__} of this callback, got "
        f"{', '.join(chains) or 'no loader'}: {advice}"
    )
