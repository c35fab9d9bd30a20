"""Reduction of an attribution matrix, training rows by targets, to one score for each row.

Data attribution libraries return a matrix of training rows by targets; some transpose it, and some
use the opposite sign. The matrix is read in blocks and reduced over the targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check import _labels
from .._check._keywords import told
from ..record import Score
from ..types import Floats

_BLOCK = 2**26  # bytes of float64 in memory at once
_REDUCTIONS = ("mean", "max", "rank-mean", "rank-max")


@told
class AttributionScores:
    """Attribution of N training rows to T targets.

    Pass the result of `score` to `selection.top`. The highest rows are often near-duplicates of
    each other: run `semdedup` first, or pass clusters of the rows to `top` as `groups`, with a
    `cap` on each.

    Parameters
    ----------
    matrix : float array or tensor of shape (N, T)
        As returned by `trak` or another library; a memory-mapped file is read in blocks.
    axis : int in [0, 2), default 0
        Axis of the training rows; 1 for a matrix (T, N), such as kronfluence returns.
    higher_is : {"keep", "drop"}, default "keep"
        "keep" if a high value means that training on the row lowers the loss of the target, as in
        TRAK; "drop" if it means that training on the row raises it.
    tasks : int or str array of shape (T,), optional
        Task of each target. Targets of one task are averaged first, and the reduction is
        over tasks; by default each target is its own task.

    Attributes
    ----------
    matrix : array of shape (N, T)
        Not copied.

    Notes
    -----
    Source
        Engstrom, Feldmann, Madry, "DsDm: Model-Aware Dataset Selection with Datamodels", ICML 2024:
        the mean over the targets of a task, then over tasks; the rows with the highest mean are
        selected.

    Examples
    --------
    >>> from sampling.selection import top
    >>> scores = AttributionScores([[3.0, -1.0], [1.0, 1.0], [-2.0, 2.0], [-5.0, 0.0]])
    >>> scores.score("mean").values
    array([ 1. ,  1. ,  0. , -2.5])
    >>> top(scores.score("rank-max"), 2).indices  # the best of one target and of the other
    array([2, 0])
    >>> clusters = [0, 0, 0, 1]
    >>> top(scores.score(), 2, groups=clusters, group_budgets="equal", cap=1).indices
    array([1, 3])
    """

    def __init__(
        self,
        matrix: ArrayLike,
        *,
        axis: int = 0,
        higher_is: Literal["keep", "drop"] = "keep",
        tasks: ArrayLike | None = None,
    ) -> None:
        values = _check.host(matrix, "matrix")
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(f"matrix must have shape (N, T) with N, T >= 1, got {values.shape}")
        if values.dtype.kind not in "fiu":
            raise TypeError(f"matrix must hold numbers, got dtype {values.dtype}")
        self.matrix: NDArray[Any] = values.T if _check.integer("axis", axis, 0, 2) else values
        higher_is = _check.choice("higher_is", higher_is, ("keep", "drop"))
        self._sign = 1.0 if higher_is == "keep" else -1.0
        number = self.matrix.shape[1]
        codes = np.arange(number)
        if tasks is not None:
            codes = _labels.grouped("tasks", tasks)[1]
            _check.same_length("tasks", codes, "the targets", number)
        self._columns = np.argsort(codes, kind="stable")  # targets, task by task
        self._sizes = np.bincount(codes)
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)])

    def __len__(self) -> int:
        return len(self.matrix)

    def score(
        self,
        reduce: Literal["mean", "max", "rank-mean", "rank-max"] = "mean",
        *,
        negative_last: bool = False,
    ) -> Score:
        """Return the attribution score of each training row, with `higher_is="keep"`.

        Parameters
        ----------
        reduce : {"mean", "max", "rank-mean", "rank-max"}, default "mean"
            Reduction over tasks. "mean" is that of DsDm. If targets differ in scale, those with
            the largest values dominate it: "rank-mean" replaces each value by the number of rows
            that it exceeds, counting ties as one half. "max" and "rank-max" keep rows that help
            one target a lot and the others little; with "rank-max" the highest scores are the best
            row of each target, then the second best, and so on. If labels are noisy, use a mean:
            with TRAK on digits and one label in ten wrong, the mislabelled rows have the highest
            scores by "max" and "rank-max", and the lowest by "mean" and "rank-mean".
        negative_last : bool, default False
            Rank rows whose mean is negative (harmful on average) after all others, by mean.

        Returns
        -------
        Score
            float64 (N,).

        Raises
        ------
        ValueError
            If a value is not finite; the message names the row and the target.

        Notes
        -----
        Cost
            "mean" and "max": one pass and 8 N bytes. By rank: O(N T log N), 80 N bytes, and one
            pass for each 2**23 / N tasks, at least one for each task; for a file (T, N) a pass
            reads only these tasks, for (N, T) the whole file. In addition, 300 MiB.
        """
        negative_last = _check.flag("negative_last", negative_last)
        reduce = _check.choice("reduce", reduce, _REDUCTIONS)
        over: Any = np.maximum if reduce.endswith("max") else np.add
        found = self._by_rank(over) if reduce.startswith("rank") else self._by_value(over)
        if reduce.endswith("mean"):
            found /= self._sizes.size
        if negative_last:
            mean = found if reduce == "mean" else self._by_value(np.add) / self._sizes.size
            behind = mean < 0
            low = float(found[~behind].min()) if not behind.all() else 0.0
            found[behind] = mean[behind] + (low - abs(low) - 1.0)
        return Score(found, "keep", f"attribution by {reduce}")

    def _by_value(self, over: Any) -> Floats:  # np.add or np.maximum
        """Return the sum or maximum over tasks for each row."""
        found = np.empty(len(self))
        for rows, block in self._blocks(0, self._sizes.size):
            found[rows] = over.reduce(block, axis=1)
        return found

    def _by_rank(self, over: Any) -> Floats:  # np.add or np.maximum
        """Return the sum or maximum over tasks of the number of rows that each row exceeds."""
        from scipy.stats import rankdata  # takes a second to import, and only ranks need it

        found = np.zeros(len(self))
        at_once = max(1, _BLOCK // (8 * len(self)))
        for first in range(0, self._sizes.size, at_once):
            last = min(first + at_once, self._sizes.size)
            table = np.empty((last - first, len(self)))
            for rows, block in self._blocks(first, last):
                table[:, rows] = block.T
            for values in table:
                over(found, rankdata(values) - 1.0, out=found)
        return found

    def _blocks(self, first: int, last: int) -> Iterator[tuple[slice, Floats]]:
        """Yield rows and their mean values for these tasks: (B, last - first), higher is "keep".

        Sums run along a row, in C order: they depend neither on the blocks nor on the axis.
        """
        starts = self._starts[first : last + 1]
        columns = self._columns[starts[0] : starts[-1]]
        step = max(1, _BLOCK // (8 * columns.size))
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            block = np.array(self.matrix[rows][:, columns], np.float64, order="C")
            if not np.isfinite(block).all():
                i, j = np.argwhere(~np.isfinite(block))[0]
                raise ValueError(
                    f"matrix must be finite, got {block[i, j]} in row {start + i}, "
                    f"target {columns[j]}"
                )
            block *= self._sign
            if columns.size > last - first:
                block = np.add.reduceat(block, starts[:-1] - starts[0], axis=1)
                block /= self._sizes[first:last]
            yield rows, block
