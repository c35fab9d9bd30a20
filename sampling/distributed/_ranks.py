"""All queries to torch.distributed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import told
from ..kernels import _scores
from ..types import Scores

_uneven: ContextVar[str] = ContextVar("uneven", default="")  # why ranks have unequal batches
_BLOCK = 2**22  # samples whose scores are gathered in one exchange: at most 48 MiB per rank


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()


@told
def world_size(group: dist.ProcessGroup | None = None) -> int:
    """Return the number of ranks that train together: 1 if torch.distributed is not initialised."""
    return dist.get_world_size(group) if _running() else 1


@told
def this_rank(group: dist.ProcessGroup | None = None) -> int:
    """Return the rank of this process among those that train together, 0 without others."""
    return dist.get_rank(group) if _running() else 0


@told
def rank_and_replicas(rank: int | None, num_replicas: int | None) -> tuple[int, int]:
    """Return (rank, num_replicas): those given, else those of torch.distributed, else (0, 1).

    Without torch.distributed one of the two is not enough: every process would be rank 0 of 8, or
    rank 3 of 1, and the ranks would draw the same samples or none.
    """
    if rank is not None and num_replicas is None and not _running():
        raise ValueError(
            "rank must come with num_replicas where torch.distributed is not initialised, got "
            f"rank={rank!r} alone: give num_replicas=, the number of ranks, too, or call "
            "init_process_group first"
        )
    world = world_size()
    num_replicas = world if num_replicas is None else num_replicas
    num_replicas = _check.integer("num_replicas", num_replicas, 1)
    if rank is None and num_replicas > 1 and num_replicas != world:
        where = f"has {world} ranks" if _running() else "is not initialised"
        raise ValueError(
            f"num_replicas must come with rank where torch.distributed {where}, got "
            f"num_replicas={num_replicas} alone: give rank=, in [0, {num_replicas}), too, or call "
            "init_process_group first"
        )
    if rank is None:
        rank = dist.get_rank() if _running() and num_replicas > 1 else 0
    return _check.integer("rank", rank, 0, num_replicas), num_replicas


@told
@contextmanager
def uneven(reason: str) -> Iterator[None]:
    """Refuse everything that waits for all ranks, if their numbers of batches differ.

    reason : why they differ, and the remedy; nothing is refused if it is empty

    A rank without a batch left does not answer: the others wait forever, or, inside the `join` of
    DistributedDataParallel, receive one of its own collectives with another size, and the process
    is aborted. So it is refused in the first batch, on every rank, and not in the last.
    """
    token = _uneven.set(reason)
    try:
        yield
    finally:
        _uneven.reset(token)


@told
def refuse_uneven(what: str, group: dist.ProcessGroup | None) -> None:
    """Raise if `what` would wait for ranks that may have no batch left; see `uneven`."""
    reason = _uneven.get()
    if reason and world_size(group) > 1:
        raise ValueError(
            f"{what} needs a batch on every rank of each step, got ranks with unequal numbers of "
            f"batches: {reason}"
        )


@told
def all_reduce_sum(value: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Return the sum of `value` over the ranks, detached; on one rank the value itself."""
    value = value.detach()
    if world_size(group) > 1:
        refuse_uneven("an all-reduce over the ranks", group)
        value = value.clone()
        dist.all_reduce(value, group=group)
    return value


@told
def all_reduce_max(value: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Return the elementwise maximum of `value` over the ranks, detached; no entry may be NaN."""
    value = value.detach()
    if world_size(group) > 1:
        refuse_uneven("an all-reduce over the ranks", group)
        value = value.clone()
        dist.all_reduce(value, op=dist.ReduceOp.MAX, group=group)
    return value


@told
def gather_batch(values: torch.Tensor, group: dist.ProcessGroup | None) -> tuple[torch.Tensor, int]:
    """Return the values of all ranks, in rank order, and where those of this rank begin.

    values : (B,), detached; ranks may hold different numbers of them, or none

    Collective. The start of this rank's values follows from its rank in the group: LOCAL_RANK,
    which starts again on every machine, would give the values of another rank. With several ranks
    on GPUs the host waits for the device once, for the numbers; on one rank nothing is copied.
    """
    if world_size(group) == 1:
        return values, 0
    refuse_uneven("a gather over the ranks", group)
    parts = _gather(values.to(_device(group)), group)
    start = sum(part.numel() for part in parts[: dist.get_rank(group)])
    return torch.cat(parts).to(values.device), start


@told
def gather_rows(
    array: NDArray[np.generic], group: dist.ProcessGroup | None
) -> list[NDArray[np.generic]]:
    """Return every rank's array, in rank order; the arrays may differ in length.

    array : (n,) of any dtype that torch supports -> one (n_r,) for each rank r
    """
    parts = _gather(torch.from_numpy(array).to(_device(group)), group)
    return [part.cpu().numpy() for part in parts]


def _gather(values: torch.Tensor, group: dist.ProcessGroup | None) -> list[torch.Tensor]:
    """Return the (n_r,) of each rank r, on the device used for communication."""
    length = torch.tensor([values.numel()], dtype=torch.int64, device=values.device)
    lengths = [torch.zeros_like(length) for _ in range(world_size(group))]
    dist.all_gather(lengths, length, group=group)
    counts = [int(each) for each in lengths]
    padded = values.new_zeros(max(counts))
    padded[: values.numel()] = values
    parts = [torch.zeros_like(padded) for _ in counts]
    dist.all_gather(parts, padded, group=group)
    return [part[:n] for part, n in zip(parts, counts, strict=True)]


@told
def merge_means(
    scores: Scores, touched: NDArray[np.bool_], group: dist.ProcessGroup | None
) -> None:
    """Give every rank the scores that any rank wrote; one written by several becomes their mean.

    scores  : float32 (N,)  equal on all ranks except where `touched`; changed in place
    touched : bool (N,)     written by this rank since the last merge; cleared

    Collective. A rank sends what it wrote: 8 bytes a score, its index in the block and its bits,
    both as int32 in one message, so that nothing is rounded; before these, N and the start of the
    block, so that ranks of different data are refused before any score changes. Every rank adds
    the same numbers in the order of the ranks, so the scores are bit-identical, and every rank
    raises the same error. Memory: 12 bytes a sample of a block of 4 million, and what all ranks
    wrote in it.

    Raises
    ------
    RuntimeError
        If a rank has another N, is at another block, or sends an index outside the block.
    """
    size = min(_BLOCK, scores.size)
    sums, counts = np.zeros(size), np.zeros(size, np.int32)
    for start in range(0, max(scores.size, 1), _BLOCK):  # without samples too: others wait
        block = scores[start : start + _BLOCK]
        rows = np.flatnonzero(touched[start : start + _BLOCK]).astype(np.int32)
        place = np.array([scores.size, start], np.int64).view(np.int32)
        sent = np.concatenate([place, rows, block[rows].view(np.int32)])
        for others, values in _received(gather_rows(sent, group), place, block.size):
            _scores.add_written(sums, counts, others, values)
        _scores.store_means(block, sums[: block.size], counts[: block.size])
    touched[:] = False


def _received(
    parts: list[NDArray[Any]], place: NDArray[np.int32], size: int
) -> list[tuple[NDArray[np.int32], Scores]]:
    """Return the indices and scores that each rank sent; refuse those of other data.

    place : N of this rank and the start of its block, as sent
    """
    found = []
    total, start = place.view(np.int64).tolist()
    for rank, part in enumerate(parts):
        there, rest = part[: place.size], part[place.size :]
        rows, bits = rest[: rest.size // 2], rest[rest.size // 2 :]
        wrong = _scores.first_outside(rows.astype(np.int64), size)
        if not np.array_equal(there, place) or rows.size != bits.size:
            own = there.view(np.int64).tolist() if there.size == place.size else []
            got = f"{own[0]} samples at block {own[1] // _BLOCK}" if own else "no such message"
            ours = f"{total} samples at block {start // _BLOCK}"
        elif wrong >= 0:
            ours, got = f"indices in [0, {size})", f"{rows[wrong]} at block {start // _BLOCK}"
        else:
            found.append((rows, bits.view(np.float32)))
            continue
        raise RuntimeError(
            f"every rank must merge scores of the same data, {ours}, got {got} from rank {rank} of "
            "the group: give every rank the same dataset, in the same order"
        )
    return found


def _device(group: dist.ProcessGroup | None) -> torch.device:
    """Return the device on which tensors can be communicated: NCCL requires the GPU."""
    if dist.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
