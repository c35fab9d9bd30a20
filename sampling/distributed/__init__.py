"""Ranks of a training run: who am I, and what do we hold together."""

from ._ranks import (
    all_reduce_sum,
    gather_rows,
    merge_means,
    rank_and_replicas,
    world_size,
)

__all__ = ["all_reduce_sum", "gather_rows", "merge_means", "rank_and_replicas", "world_size"]
