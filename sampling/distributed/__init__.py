"""Ranks of a training run: the rank of this process, and collective operations over all ranks."""

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
