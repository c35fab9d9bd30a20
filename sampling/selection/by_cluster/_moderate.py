"""Moderate coreset: rows whose distance to their class is near the median distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check import _labels
from ...record import Selection
from ...record.keys import by_value
from ...types import Floats, Indices
from ..core._cost import FIXED, Cost, Sizes, log2
from ..core._inputs import embeddings_of
from ..core._memory import bytes_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["moderate"]

_BLOCK = 2**20  # numbers of rows read at a time: 8 MiB of float64


def _cost(sizes: Sizes) -> Cost:
    n, d = sizes.N, sizes.D
    columns = d if sizes.max_memory is None else _columns(n, n / sizes.C, d, sizes.max_memory)
    return Cost(0, 20 * n * d + n * log2(n), 33 * n + 24 * n * columns / sizes.C)


def _columns(size: float, own: float, dimensions: float, limit: int) -> int:
    """Return for how many columns the medians of a class of `own` rows are found at a time."""
    room = limit - FIXED - 33 * size
    return int(max(1, min(dimensions, room // (24 * own))))


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    source="Xia 2023",
    ranked=False,
    cost=_cost,
)
def moderate(
    embeddings: ArrayLike,
    budget: float,
    *,
    labels: ArrayLike | None = None,
    per_class: bool = False,
    **options: Unpack[Options],
) -> Selection:
    """Keep the rows whose distance to the center of their class is closest to the median distance.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        In the paper, features of the last hidden layer. A memory-mapped array is read class by
        class, and not copied.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    labels : int or str array of shape (N,), optional
        Class of each row; all rows are one class by default.
    per_class : bool, default False
        Use the median of each class, with a budget in proportion to its size; by default the median
        of all distances together, as in the paper, which skews the class distribution.
    **options
        Keywords of every selector; see `Options`.

    Returns
    -------
    Selection
        By ascending distance, without weights. `scores` are the distances.

    Raises
    ------
    ValueError
        If a row is not finite; the message names it.

    Notes
    -----
    Order
        By distance, ties broken by a hash of (seed, id).
    Cost
        O(N D log N) time; 33 N + 24 N D / C bytes. The second term is 24 bytes for each number in
        the rows of one class; if `max_memory` is less, it is for as many columns as fit, and the
        rows are read once for each such part of the columns.
    Gradients
        No weights.
    Source
        Xia, Liu, Yu, Shen, Han, Liu, "Moderate Coreset", ICLR 2023. The center is the
        coordinate-wise median; for a class of one row, that row. A widely used implementation keeps
        the two tails instead.

    Examples
    --------
    >>> moderate([[0.0], [1.0], [2.0], [3.0], [9.0]], 2).indices
    array([3, 1])
    """
    per_class = _check.flag("per_class", per_class)
    rows, bad = embeddings_of("embeddings", embeddings, options)
    codes = np.zeros(len(rows), np.int64)
    if labels is not None:
        codes = _labels.grouped("labels", labels)[1]
    _check.same_length("labels", codes, "embeddings", len(rows))
    limit = options.get("max_memory")
    distances = _distances(rows, codes, bad, None if limit is None else bytes_of(limit, 0))
    if per_class:
        if options.get("groups") is not None:
            raise ValueError("per_class must be False if groups are given, got True")
        options["groups"] = codes if labels is None else labels

    def core(task: Task) -> Picks:
        order = by_value(task.of(distances), task.keys)
        start = (order.size - task.budget) // 2
        near, far = order[:start], order[start + task.budget :]
        ruled = [(near, "nearer than the middle"), (far, "farther than the middle")]
        return Picks(order[start : start + task.budget], ruled=ruled)

    return select(
        "moderate", len(rows), budget, options, core, bad=bad, scores=distances, order="ascending",
        arguments={"labels": labels, "per_class": per_class},
    )  # fmt: skip


def _distances(
    rows: NDArray[np.floating], codes: Indices, bad: NDArray[np.bool_] | None, limit: int | None
) -> Floats:
    """Return the distance of each row to the median of its class; 0 for bad rows."""
    found, dimensions = np.zeros(len(rows)), rows.shape[1]
    open_ = np.arange(len(rows)) if bad is None else np.flatnonzero(~bad)
    _, codes = np.unique(codes[open_], return_inverse=True)
    order = open_[np.argsort(codes, kind="stable")]
    for own in np.split(order, np.cumsum(np.bincount(codes))[:-1]):
        width = dimensions
        if limit is not None:
            width = _columns(len(rows), own.size, dimensions, limit)
        if width == dimensions:
            members = np.asarray(rows[own], np.float64)
            found[own] = np.linalg.norm(members - np.median(members, axis=0), axis=1)
            continue
        middle = np.empty(dimensions)
        step = max(1, _BLOCK // dimensions)
        parts = [own[at : at + step] for at in range(0, own.size, step)]
        for start in range(0, dimensions, width):
            columns = slice(start, min(start + width, dimensions))
            members = np.concatenate([rows[part][:, columns].astype(np.float64) for part in parts])
            middle[columns] = np.median(members, axis=0, overwrite_input=True)
        for part in parts:
            found[part] = np.linalg.norm(np.asarray(rows[part], np.float64) - middle, axis=1)
    return found
