"""Keep the window of the ranking on which a linear model learns all rows best (BWS).

`window` needs the offset; this one tries several, and costs a least-squares fit for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check import _labels
from ...record import Selection
from ...record.keys import by_value
from ...types import Floats, Indices
from ..core._cost import Cost, Sizes, log2
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._select import select
from ..core._task import Picks, Task

__all__ = ["best_window"]

_NUMBERS = 2**20  # numbers of rows read at a time: 8 MiB of float64


def _cost(sizes: Sizes) -> Cost:
    n, d, m = sizes.N, sizes.D, sizes.M
    step = sizes.arguments.get("step", 0.05)
    valid = isinstance(step, int | float) and 0 < step <= 1  # others are refused by the method
    windows = 1 + (1 - min(1.0, m / n)) / step if valid else 1.0
    products = 2 * windows * (m * d**2 + n * d * sizes.C)
    steps = 2 * n * log2(n) + 2.2 * windows * n * (d + sizes.C)
    return Cost(products, steps, memory=70 * n + 32 * d**2 + 32 * d * sizes.C)


@method(
    local_only=True,
    needs="scores and embeddings",
    label="for replication",
    source="Choi 2024",
    ranked=False,
    minds={"scores": ("harder", "keep")},
    cost=_cost,
)
def best_window(
    scores: AnyScores,
    budget: float,
    *,
    embeddings: ArrayLike,
    labels: ArrayLike,
    step: float = 0.05,
    ridge: float = 0.01,
    **options: Unpack[Options],
) -> Selection:
    """Keep the window of M rows of the ranking on which a linear model learns all rows best (BWS).

    Windows begin at several offsets from the hardest row. A ridge regression of the classes on the
    embeddings is fitted to each, and its accuracy on all rows decides: a small budget usually needs
    easier rows than a large one.

    Parameters
    ----------
    scores : Score, or float array of shape (N,)
        Finite. For a `Score` the ranking begins with the hardest rows, or those most worth keeping.
        An array is assumed to be higher for harder rows.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    embeddings : array of shape (N, D)
        Features of the regression, centered, and divided by their root mean square.
    labels : int or str array of shape (N,)
        Class of each row, at least two.
    step : float in (0, 1], default 0.05
        Distance of the offsets as a fraction of N. The last window is that of the lowest scores.
    ridge : float > 0, default 0.01
        Added to the diagonal of the covariance, whose mean is 1 over all rows.
    **options
        Keywords of every selector; see `Options`. With `groups`, each group has a window of its
        own, evaluated on the rows of that group: it must have rows of at least two classes.

    Returns
    -------
    Selection
        By descending score, without weights. `info["offsets"]` are the rows above each window,
        `info["accuracies"]` the accuracy of each on all rows (both of one group after another), and
        `info["above"]` the rows above the window that is kept.

    Raises
    ------
    ValueError
        As `window`; if a row is not finite (the message names it), or all labels are equal.

    Notes
    -----
    Order
        By descending score, ties broken by a hash of (seed, id). Of windows of equal accuracy the
        one with the harder rows is kept.
    Cost
        O((M D^2 + N D C) / step + N log N) time; 70 N + 32 D^2 + 32 D C bytes. 19 windows of 10^4
        of 10^5 rows, D = 64, C = 10: 1.2 s of one core. Embeddings on disk are read once for each
        window, and its own rows once more.
    Gradients
        No weights.
    Source
        Choi, Ki, Chung, "BWS: Best Window Selection Based on Sample Scores for Data Pruning across
        Broad Ranges", ICML 2024, which fits kernel ridge regression. Here the kernel is linear, and
        the step of the offsets, the ridge and the scale of the features are choices of this
        package.

    Examples
    --------
    >>> rows, labels = [[9.0], [-9.0], [1.0], [-1.0], [2.0], [-2.0]], [1, 0, 0, 1, 0, 1]
    >>> picked = best_window([6, 5, 4, 3, 2, 1], 2, embeddings=rows, labels=labels, step=0.3)
    >>> picked.indices, picked.info["offsets"]
    (array([2, 3]), [0, 2, 4])
    """
    step = _check.number("step", step, "(0, 1]")
    ridge = _check.number("ridge", ridge, "(0, inf)")
    values, bad_score = scores_of("scores", scores, options)
    rows, bad_row = embeddings_of("embeddings", embeddings, options)
    _check.same_length("embeddings", rows, "scores", values.size)
    names, codes = _labels.grouped("labels", labels, "raise", "exclude those rows")
    _check.same_length("labels", codes, "scores", values.size)

    def core(task: Task) -> Picks:
        order = by_value(-task.of(values), task.keys)
        offsets = _offsets(order.size, task.budget, step)
        found = [1]  # one window: nothing to compare
        if len(offsets) > 1:
            found = _correct(rows, task.rows[order], codes, len(names), offsets, task.budget, ridge)
        above = offsets[int(np.argmax(found))]
        kept = order[above : above + task.budget]
        info: dict[str, Any] = {"above": above, "offsets": offsets}
        info["accuracies"] = [each / order.size for each in found] if len(offsets) > 1 else [None]
        merge = dict.fromkeys(("offsets", "accuracies"), lambda one, two: one + two)
        return Picks(kept, ruled=[(order[:above], "above the window")], info=info, merge=merge)

    return select(
        "best_window", values.size, budget, options, core, bad=either(bad_score, bad_row),
        scores=values, order="descending",
        arguments={"embeddings": rows, "labels": labels, "step": step, "ridge": ridge},
    )  # fmt: skip


def _offsets(size: int, count: int, step: float) -> list[int]:
    """Return the rows above each window, ascending; the last window ends with the last row."""
    last = size - count
    found = np.floor(np.arange(0.0, 1.0, step) * size + 0.5).astype(np.int64)
    return [*np.unique(found[found < last]).tolist(), last]


@dataclass(frozen=True)
class _Features:
    """Rows as the regression reads them: centered, of mean square 1, in a given order."""

    rows: NDArray[Any]
    order: Indices
    center: Floats | float = 0.0
    scale: float = 1.0

    def blocks(self, start: int, end: int) -> Any:  # pairs of a slice and float64 (b, D)
        """Yield the positions, and the rows, from `start` to `end`."""
        step = max(1, _NUMBERS // self.rows.shape[1])
        for at in range(start, end, step):
            part = slice(at, min(at + step, end))
            block = np.asarray(self.rows[self.order[part]], np.float64)
            yield part, (block - self.center) / self.scale

    def scaled(self) -> _Features:
        """Return the same with the center and scale of all rows."""
        size = self.order.size
        center = sum(block.sum(axis=0) for _, block in self.blocks(0, size)) / size
        moved = _Features(self.rows, self.order, center)
        square = sum(float(np.square(block).sum()) for _, block in moved.blocks(0, size))
        scale = float(np.sqrt(square / size / self.rows.shape[1]))
        return _Features(self.rows, self.order, center, scale or 1.0)


def _correct(  # noqa: PLR0913  # the data, the windows, the model
    rows: NDArray[Any],
    order: Indices,
    codes: Indices,
    num_classes: int,
    offsets: list[int],
    count: int,
    ridge: float,
) -> list[int]:
    """Return how many of all rows the model of each window classifies correctly."""
    known = codes[order]
    if (known == known[0]).all():
        raise ValueError(
            "labels must be of at least two classes, to compare windows by the accuracy of a "
            "model, got one (with groups, in a group): use window, or groups that mix classes"
        )
    features, found = _Features(rows, order).scaled(), []
    for above in offsets:
        weights, bias = _fitted(features, known, num_classes, above, above + count, ridge)
        correct = 0
        for part, block in features.blocks(0, order.size):
            correct += int(((block @ weights + bias).argmax(axis=1) == known[part]).sum())
        found.append(correct)
    return found


def _fitted(  # noqa: PLR0913  # the data, the window, the model
    features: _Features, known: Indices, num_classes: int, start: int, end: int, ridge: float
) -> tuple[Floats, Floats]:
    """Return weights (D, C) and bias (C,) of the ridge regression of one window."""
    wide, count = features.rows.shape[1], end - start
    squares, products = np.zeros((wide, wide)), np.zeros((wide, num_classes))
    total = np.zeros(wide)
    for part, block in features.blocks(start, end):
        own = known[part]
        squares += block.T @ block
        order = np.argsort(own, kind="stable")
        present, first = np.unique(own[order], return_index=True)
        products[:, present] += np.add.reduceat(block[order], first, axis=0).T
        total += block.sum(axis=0)
    shares = np.bincount(known[start:end], minlength=num_classes) / count
    mean = total / count
    covariance = squares / count - np.outer(mean, mean) + ridge * np.eye(wide)
    weights = np.linalg.solve(covariance, products / count - np.outer(mean, shares))
    found = np.asarray(weights, np.float64)
    return found, np.asarray(shares - mean @ found, np.float64)
