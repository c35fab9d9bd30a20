"""Rows to keep of each cluster, and the first of them by a rank."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ... import _rng
from ...record.keys import by_group, digits_of
from ...types import Floats, Indices
from ..core._budget import share_out, water_fill
from ..core._task import Task

__all__ = ["Allocation", "first_of_clusters", "rows_of_clusters"]

Allocation = Literal["equal", "proportional", "sqrt"]


def rows_of_clusters(
    task: Task, sizes: Indices, allocation: Allocation, shares: Floats | None = None
) -> Indices:
    """Return the number of rows to keep of each cluster: (K,), adding up to the budget."""
    if shares is None and allocation == "equal":
        filled = water_fill(sizes, task.budget)
        level = int(filled[filled < sizes].min()) if (filled < sizes).any() else int(sizes.max())
        counts = np.minimum(sizes, level)
        # The clusters with one more row are random, not the largest: with M < K only these keep a
        # row.
        room = np.flatnonzero(sizes > level)
        order = np.argsort([int(_rng.subkey(task.key, int(each))) for each in room])
        counts[room[order[: task.budget - int(counts.sum())]]] += 1
        return counts
    weights = shares if shares is not None else sizes.astype(np.float64)
    if shares is None and allocation == "sqrt":
        weights = np.sqrt(weights)
    counts = share_out(weights, task.budget, sizes)
    missing = task.budget - int(counts.sum())  # the remainder comes from clusters of weight 0
    return counts + share_out(np.maximum(sizes, 1), missing, sizes - counts)


def first_of_clusters(codes: Indices, counts: Indices, rank: Floats) -> Indices:
    """Return the positions of the first counts[c] rows of each cluster by ascending rank."""
    order = by_group(codes, digits_of(rank))
    sizes = np.bincount(codes, minlength=counts.size)
    place = np.arange(codes.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return order[place < np.repeat(counts, sizes)]
