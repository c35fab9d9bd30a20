"""A barrier over the ranks that names missing ranks and ranks whose arguments differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.distributed as dist
from torch.distributed import distributed_c10d

from .._check._keywords import told
from ._ranks import gather_rows, world_size

_meetings: dict[str, int] = {}  # group -> number of barriers of this process so far


@told
def meet(what: str, facts: Mapping[str, int], group: dist.ProcessGroup | None) -> dict[str, Any]:
    """Wait until every rank makes the same call with the same facts; return all ranks' facts.

    Parameters
    ----------
    what : str
        The call, such as "InfoBatchSampler.set_epoch(3)"; the same on every rank.
    facts : mapping of str to int
        64-bit integers. Those whose name begins with ``own_`` may differ between ranks.
    group : torch.distributed.ProcessGroup, optional
        All ranks by default. With one rank the function returns at once.

    Returns
    -------
    dict of str to int64 array of shape (W,)
        Each fact on every rank, in rank order.

    Raises
    ------
    RuntimeError
        If a rank does not make the call before the store's timeout, which `init_process_group` set
        (30 minutes by default), or if ranks make different calls or pass different facts. The
        message names them.

    Notes
    -----
    Cost
        A few messages to the store of `init_process_group`, and one all-gather of a few numbers:
        once an epoch.
    """
    ranks = np.arange(1)
    if world_size(group) > 1:
        ranks = np.array(dist.get_process_group_ranks(group or dist.group.WORLD))
        _wait_for_all(what, ranks.tolist(), group)
    call = hashlib.blake2b(what.encode(), digest_size=8).digest()
    numbers = [int.from_bytes(call, "little"), *(int(fact) for fact in facts.values())]
    own = np.array([number % 2**64 for number in numbers], np.uint64).view(np.int64)
    rows = np.stack(gather_rows(own, group) if ranks.size > 1 else [own])
    for column, name in enumerate(["call", *facts]):
        values = rows[:, column]
        differ = np.flatnonzero(values != values[0])
        if differ.size and not name.startswith("own_"):
            raise RuntimeError(
                f"{name} must be the same on all ranks in {what}, got another than rank "
                f"{ranks[0]}'s on {_names(ranks[differ])}: give every rank the same data, "
                "arguments and seed, and call set_epoch and save_state everywhere, equally often"
            )
    return {name: rows[:, column + 1] for column, name in enumerate(facts)}


def _wait_for_all(what: str, ranks: list[int], group: dist.ProcessGroup | None) -> None:
    """Return once every rank of the group has arrived, or name those that have not.

    A collective would wait too, but fail without naming the missing ranks; `monitored_barrier`
    names them, but supports gloo only.
    """
    store = distributed_c10d._get_default_store()
    name = "-".join(map(str, ranks)) if group is not None else "all"
    number = _meetings[name] = _meetings.get(name, 0) + 1
    prefix = f"sampling/{name}/{number}"
    me = dist.get_rank()
    store.delete_key(f"sampling/{name}/{number - 2}/{me}")  # all ranks have left that one
    store.set(f"{prefix}/{me}", what)
    if store.add(f"{prefix}/count", 1) == len(ranks):
        store.set(f"{prefix}/all", "here")
    try:
        store.wait([f"{prefix}/all"])
    except (RuntimeError, ValueError) as error:  # DistStoreError, or what older backends raise
        missing = [rank for rank in ranks if not store.check([f"{prefix}/{rank}"])]
        if not missing:
            raise
        limit = store.timeout.total_seconds()  # type: ignore[attr-defined]
        raise RuntimeError(
            f"{_names(np.array(missing))} did not reach {what} within {limit:g} s, where rank "
            f"{me} waits: every rank must call set_epoch and save_state, equally often; a sampler "
            "that only one rank uses takes process_group=, a group of that rank alone"
        ) from error


def _names(ranks: np.ndarray[Any, Any]) -> str:
    shown = ", ".join(map(str, ranks[:8].tolist())) + (", ..." if ranks.size > 8 else "")
    return f"rank {shown}" if ranks.size == 1 else f"ranks {shown}"
