"""Counts that each rank keeps, and that are summed over the ranks from time to time."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist

from .._check._keywords import told
from ..types import Counts
from ._ranks import _device, world_size

_BLOCK = 2**22  # samples whose counts are reduced in one exchange: 32 MiB


@told
def sum_counts(counts: Counts, own: Counts, group: dist.ProcessGroup | None) -> Counts:
    """Return the counts of all ranks, the same on every rank.

    counts : unsigned int (N,)
        Counts of all ranks up to the last call, and of this rank since; changed in place, unless
        the sums need a wider type.
    own : unsigned int (N,)
        Counts of this rank since the last call; cleared.

    Collective. The other ranks add total - own. Memory: one block of 4 million samples at a time,
    as int64, whatever the dtype of this rank's counts; and the wider copy, if one is needed.
    """
    if world_size(group) > 1:
        for start in range(0, counts.size, _BLOCK):
            here = slice(start, start + _BLOCK)
            mine = own[here].astype(np.int64)
            total = torch.tensor(mine, device=_device(group))
            dist.all_reduce(total, group=group)
            sums = counts[here].astype(np.int64) + (total.cpu().numpy() - mine)
            counts = fitting(counts, int(sums.max(initial=0)))
            counts[here] = sums
    own[:] = 0
    return counts


@told
def fitting(counts: Counts, most: int) -> Counts:
    """Return counts in a dtype that holds `most`: unchanged, or a copy in the next wider one."""
    if most <= np.iinfo(counts.dtype).max:
        return counts
    return counts.astype(np.min_scalar_type(most))
