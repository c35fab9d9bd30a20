"""Ranks of a training run: the rank of this process, and collective operations over all ranks.

Samplers use them; call them in a sampler, a score or a training loop of your own. Without
`torch.distributed` there is one rank, and they return what they are given.

Ranks
    this_rank, world_size       of the ranks that train together
    rank_and_replicas           those given, or those of `torch.distributed`

Values of all ranks
    all_reduce_sum              the sum, detached
    all_reduce_max              the maximum, detached
    gather_batch                the values of a batch
    gather_rows                 arrays, also of different lengths
    merge_means                 scores that any rank wrote, averaged
    sum_counts, fitting         counts, in the narrowest dtype that holds them

Agreement
    meet                        waits until every rank makes the same call
    uneven                      refuses what waits for all ranks, if their batches may differ
    refuse_uneven               raises in that case
"""

from __future__ import annotations

from ._counts import fitting, sum_counts
from ._meet import meet
from ._ranks import (
    all_reduce_max,
    all_reduce_sum,
    gather_batch,
    gather_rows,
    merge_means,
    rank_and_replicas,
    refuse_uneven,
    this_rank,
    uneven,
    world_size,
)

__all__ = [
    "all_reduce_max",
    "all_reduce_sum",
    "fitting",
    "gather_batch",
    "gather_rows",
    "meet",
    "merge_means",
    "rank_and_replicas",
    "refuse_uneven",
    "sum_counts",
    "this_rank",
    "uneven",
    "world_size",
]
