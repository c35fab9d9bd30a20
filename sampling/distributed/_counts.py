"""Counts that ranks keep apart and add up now and then."""

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from ._ranks import _device, world_size

_BLOCK = 2**22  # samples whose counts travel in one exchange: 16 MiB


def sum_counts(
    counts: NDArray[np.uint8], own: NDArray[np.uint8], group: dist.ProcessGroup | None
) -> None:
    """Give every rank the counts of all ranks; 255 stands for 255 and more.

    counts : uint8 (N,)  what all ranks counted before the last call, and this rank since; changed
                         in place, equal on all ranks afterwards
    own    : uint8 (N,)  what this rank counted since the last call; cleared

    Collective. What the others add is total - own. That is exact although both saturate: where one
    of them stands at 255, so does the sum, and counts >= own. Memory: one block of 4 million
    samples at a time, as int32, since the sum over ranks does not fit a byte.
    """
    if world_size(group) == 1:
        own[:] = 0
        return
    for start in range(0, counts.size, _BLOCK):
        here = slice(start, start + _BLOCK)
        total = torch.from_numpy(own[here]).to(_device(group), torch.int32)
        dist.all_reduce(total, group=group)
        others = total.clamp_(max=255).cpu().numpy().astype(np.int32) - own[here]
        counts[here] = np.minimum(counts[here] + others, 255)
    own[:] = 0
