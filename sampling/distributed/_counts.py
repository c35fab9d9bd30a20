"""Counts that ranks keep apart and add up now and then."""

import numpy as np
import torch
import torch.distributed as dist

from .._keywords import told
from ..types import Counts
from ._ranks import _device, world_size

_BLOCK = 2**22  # samples whose counts travel in one exchange: 32 MiB


@told
def sum_counts(counts: Counts, own: Counts, group: dist.ProcessGroup | None) -> Counts:
    """Return the counts of all ranks, the same on every rank.

    counts : unsigned int (N,)  what all ranks counted before the last call, and this rank since;
                                changed in place, unless the sums need a wider type
    own    : unsigned int (N,)  what this rank counted since the last call; cleared

    Collective. What the others add is total - own. Memory: one block of 4 million samples at a
    time, as int64, whatever type this rank's counts have; and the wider copy, where one is needed.
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
    """Return counts in a type that holds `most`: as they are, or a copy in the next that does."""
    if most <= np.iinfo(counts.dtype).max:
        return counts
    return counts.astype(np.min_scalar_type(most))
