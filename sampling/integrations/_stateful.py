"""torchdata's `StatefulDataLoader`: loading its state with another number of workers.

torchdata keeps the state under private keys, in one layout for `num_workers=0` and in another with
workers, and loads a layout only in the setting that it came from. Both contain the sampler's state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ..samplers import EpochBatchSampler, EpochSampler
from ._loader_chain import refuse_misfit

_OURS = {"version", "sampler", "epoch", "consumed", "fingerprint"}


@told
def load_loader_state(
    loader: DataLoader[Any], state: Mapping[str, Any], *, ignore_dataset_state: bool = False
) -> None:
    """Load the state of a `StatefulDataLoader`, also if `num_workers` has changed.

    `loader.load_state_dict(state)` refuses a state from another number of workers. This function
    calls it if possible; otherwise it finds the state of our sampler inside, and sets the sampler
    to the position of the training loop: after the batches that were yielded, not after those that
    were prefetched. Call it before the next `iter(loader)`.

    Parameters
    ----------
    loader : torch.utils.data.DataLoader
        With a sampler of this package as `sampler=` or `batch_sampler=`, and any number of workers.
        A plain DataLoader is accepted, since the sampler keeps the position. The number of ranks
        may have changed, and the batch size too, unless the run was saved with
        `snapshot_every_n_steps` above 1.
    state : mapping
        A result of `state_dict()` of a `StatefulDataLoader`.
    ignore_dataset_state : bool, default False
        Continue without the state of the dataset, which belongs to each worker, if it cannot be
        loaded.

    Raises
    ------
    StateError
        If `num_workers` has changed, and the state includes none of our sampler (torch's
        `BatchSampler` hides it), or includes one of the dataset; if the sampler's state is of other
        data or arguments.
    ValueError
        If the sampler was made for another number of samples than the dataset has.
    TypeError
        If `num_workers` has changed, and the loader has no sampler of this package.

    Notes
    -----
    Order
        Continues at the next draw. The next `state_dict()` of the loader is complete.
    Cost
        O(1) in the position: nothing is replayed except the at most `snapshot_every_n_steps` - 1
        batches since the last snapshot.

    Examples
    --------
    >>> from sampling.samplers import ShuffleSampler
    >>> inside = {**ShuffleSampler(6).state_dict(), "consumed": 4}
    >>> state = {
    ...     "_sampler_iter_state": {"samples_yielded": 4, "sampler_iter_state": inside},
    ...     "_sampler_iter_yielded": 2,
    ...     "_iterator_finished": False,
    ... }
    >>> loader = DataLoader(range(6), batch_size=2, sampler=ShuffleSampler(6))
    >>> load_loader_state(loader, state)
    >>> loader.sampler.remaining
    2
    """
    ignore_dataset_state = _check.flag("ignore_dataset_state", ignore_dataset_state)
    if state:  # empty for a loader that was never used
        _load(loader, state, ignore_dataset_state)
    refuse_misfit(loader)


def _load(loader: DataLoader[Any], state: Mapping[str, Any], ignore_dataset_state: bool) -> None:
    saved = _Saved(state)
    native = hasattr(loader, "load_state_dict") and saved.num_workers == loader.num_workers
    # At the end of an epoch with drop_last and workers, torchdata itself would begin the next pass
    # after the last full batch, not at the beginning of the next epoch.
    if native and not (saved.finished and saved.light and not saved.has_dataset):
        loader.load_state_dict(state)  # type: ignore[attr-defined]
        return
    if saved.light is None:
        raise StateError(saved.why_not(loader.num_workers))
    if saved.has_dataset and not ignore_dataset_state:
        raise StateError(
            f"num_workers must be {saved.num_workers} to load a state that holds one of the "
            f"dataset for each worker, got {loader.num_workers}; ignore_dataset_state=True resumes "
            "without it"
        )
    sampler = _sampler_of(loader)
    sampler.load_state_dict(saved.light)
    saved.advance(sampler, loader)
    if hasattr(loader, "load_state_dict"):
        loader.load_state_dict({})  # discards a pass that `state_dict()` may have begun


class _Saved:
    """The parts of a loader's state that a sampler needs, from either layout."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        snapshot = state.get("_snapshot")
        main = state if snapshot is None else snapshot.get("_main_snapshot", {})
        if not {"_sampler_iter_state", "_sampler_iter_yielded"} <= set(main):
            raise StateError(
                "state must be what StatefulDataLoader.state_dict() returned, got the keys "
                f"{sorted(map(str, state))}"
            )
        self.num_workers = 0 if snapshot is None else int(main["_num_workers"])
        self.finished = bool(state.get("_iterator_finished"))
        self.behind = int(state.get("_steps_since_snapshot", 0))  # batches since the snapshot
        self._batches = int(main["_sampler_iter_yielded"])
        own = main["_sampler_iter_state"] or {}
        self._draws = own.get("samples_yielded")  # None: the loader does not cut batches itself
        self._epoch_state = own.get("sampler_state") or main.get("_index_sampler_state")
        self._foreign = (
            self._epoch_state
            or own.get("sampler_iter_state")
            or (own if self._draws is None else None)
        )
        found = [each for each in (own, own.get("sampler_iter_state")) if _is_ours(each)]
        self.light: Mapping[str, Any] | None = found[0] if found else None
        workers = [] if snapshot is None else snapshot.get("_worker_snapshots", {}).values()
        datasets = [state.get("dataset_state"), *(each.get("dataset_state") for each in workers)]
        self.has_dataset = any(each is not None for each in datasets)

    def why_not(self, num_workers: int) -> str:
        """Explain why this state cannot be used by a loader with another number of workers."""
        found = f"only that {self._batches} batches were yielded"
        if _is_ours(self._epoch_state):
            found = "its epoch but not its position, since its iterator has no state_dict"
        elif self._foreign:
            found = "that of another sampler"
        return (
            f"num_workers must be {self.num_workers}, as in the saved run, got {num_workers}: "
            f"instead of the state of a sampler of this package, the loader's holds {found}. Give "
            "it sampler=sampler, or batch_sampler=EpochBatchSampler(sampler, ...) instead of "
            "torch's BatchSampler, which hides the sampler's state"
        )

    def advance(self, sampler: EpochSampler | EpochBatchSampler, loader: DataLoader[Any]) -> None:
        """Move a sampler from the position of the snapshot to that of the training loop."""
        items = self.behind
        if self._draws is not None:
            sampler = getattr(sampler, "sampler", sampler)
            items *= self._batch_size(loader)
        elif items and isinstance(sampler, EpochSampler) and loader.batch_size is not None:
            raise StateError(
                "state must be of a loader that is built alike, sampler= or batch_sampler=, where "
                f"snapshot_every_n_steps > 1, got one of another kind, {self.behind} batches "
                "behind"
            )
        light = self.light or {}
        if self.finished and light.get("consumed", 0) > 0:
            # The loop had ended too: any remainder is less than a batch, which was dropped.
            sampler.load_state_dict(sampler.state_at_start(light["epoch"] + 1))
        elif items:
            rest: Any = iter(sampler)
            deque(islice(rest, items), maxlen=0)
            sampler.load_state_dict(rest.state_dict())

    def _batch_size(self, loader: DataLoader[Any]) -> int:
        """Return the B of the saved run; before its first snapshot, that of the loader."""
        if self._draws and self._batches:
            return -(-int(self._draws) // self._batches)
        return int(loader.batch_size or 1)


def _is_ours(state: object) -> bool:
    return isinstance(state, Mapping) and _OURS <= set(state)


def _sampler_of(loader: DataLoader[Any]) -> EpochSampler | EpochBatchSampler:
    batches = getattr(loader, "batch_sampler", None)
    for each in (batches, getattr(batches, "sampler", None), loader.sampler):
        if isinstance(each, EpochSampler | EpochBatchSampler):
            return each
    raise TypeError(
        "loader must have a sampler of this package to take a state from another number of "
        f"workers, got {type(batches or loader.sampler).__name__}"
    )
