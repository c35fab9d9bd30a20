"""Selectors as anyone would write them: public names only, and `mypy --strict` finds nothing."""

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from sampling import Score, Selection
from sampling.selection import (
    Cost,
    Options,
    Picks,
    Sizes,
    Task,
    embeddings_of,
    method,
    scores_of,
    select,
)


def cost(sizes: Sizes) -> Cost:
    return Cost(steps=20 * sizes.N, memory=50 * sizes.N)


@method(needs="scores", label="baseline", ranked=True, cost=cost)
def nearest(
    scores: ArrayLike | Score,
    budget: float,
    *,
    target: float = 0.0,
    **options: Unpack[Options],
) -> Selection:
    """Keep the rows whose score is nearest to a target.

    Notes
    -----
    Cost
        O(N log N) time; 50 N bytes.
    """
    values, bad = scores_of("scores", scores, options)

    def core(task: Task) -> Picks:
        distance = np.abs(task.of(values) - target)
        return Picks(np.lexsort((task.keys, distance))[: task.budget])

    return select(
        "nearest", values.size, budget, options, core, arguments={"target": target},
        bad=bad, scores=values,
    )  # fmt: skip


@method(
    needs="embeddings",
    label="baseline",
    ranked=True,
    cost=lambda sizes: Cost(products=sizes.N * sizes.D, memory=8 * sizes.N),
)
def longest(embeddings: ArrayLike, budget: float, **options: Unpack[Options]) -> Selection:
    """Keep the rows of the largest norm."""
    rows, bad = embeddings_of("embeddings", embeddings, options)
    lengths = np.linalg.norm(np.asarray(rows, np.float64), axis=1)

    def core(task: Task) -> Picks:
        return Picks(np.lexsort((task.keys, -task.of(lengths)))[: task.budget])

    return select("longest", len(rows), budget, options, core, arguments={}, bad=bad)
