"""What each training row does for each target, by whichever library, to one score a row.

A library of data attribution gives a matrix of training rows by targets, some the other way round,
some with the other sign. Here it is read in blocks, and reduced over the targets.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _labels
from .._keywords import told
from ..types import Floats, Score

_BLOCK = 2**26  # bytes of float64 in memory at once
_REDUCTIONS = ("mean", "max", "rank-mean", "rank-max")


@told
class AttributionScores:
    """What each of N training rows does for each of T targets.

    Hand its `score` on to `selection.top`. The highest rows are often near copies of each other:
    run `semdedup` first, or give `top` clusters of the rows as `groups`, with a `cap` on each.

    Parameters
    ----------
    matrix : float array or tensor of shape (N, T)
        What `trak` gives, or another library; a memory-mapped file is read in blocks.
    axis : int in [0, 2), default 0
        That of the training rows; 1 for a matrix (T, N), such as kronfluence gives.
    higher_is : {"keep", "drop"}, default "keep"
        "keep" where a high value says that training on the row lowers the loss of the target, as
        those of TRAK; "drop" where it raises it.
    tasks : int or str array of shape (T,), optional
        What each target belongs to. Targets of one task are averaged first, and the reduction is
        over tasks; by default each target is a task of its own.

    Attributes
    ----------
    matrix : array of shape (N, T)
        Without a copy.

    Notes
    -----
    Source      Engstrom, Feldmann, Madry, "DsDm: Model-Aware Dataset Selection with Datamodels",
                ICML 2024: the mean over the targets of a task, then over tasks, and the rows with
                the highest.

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
        """Return one number for each training row: "keep".

        Parameters
        ----------
        reduce : {"mean", "max", "rank-mean", "rank-max"}, default "mean"
            Over tasks. "mean" is DsDm's. Where targets differ in scale, the largest decide it:
            "rank-mean" takes, in place of the value, the number of rows that it is above, ties
            half. "max" and "rank-max" keep what helps one target much and others little; of the
            latter the highest are the best rows of each target, then the second best, and so on.
            Where labels are wrong take a mean: by TRAK on digits with one label in ten wrong,
            the mislabelled rows are the highest of both, and the lowest of the means.
        negative_last : bool, default False
            Put rows that harm on average, whose mean is negative, behind all others, by mean.

        Returns
        -------
        Score
            float64 (N,).

        Raises
        ------
        ValueError
            If a value is not finite; the row and the target are named.

        Notes
        -----
        Cost        "mean" and "max": one pass and 8 N bytes. By rank: O(N T log N), 80 N bytes,
                    and a pass for each 2**23 / N tasks, at least one for each; of a file (T, N)
                    a pass reads these tasks alone, of (N, T) all of it. Beside that 300 MiB.
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

    def _by_value(self, over: Any) -> Floats:  # noqa: ANN401  # np.add or np.maximum
        """Return the sum or the largest over tasks, of each row."""
        found = np.empty(len(self))
        for rows, block in self._blocks(0, self._sizes.size):
            found[rows] = over.reduce(block, axis=1)
        return found

    def _by_rank(self, over: Any) -> Floats:  # noqa: ANN401  # np.add or np.maximum
        """Return the same of how many rows each is above, in each task."""
        from scipy.stats import rankdata  # a second that only ranks need

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
        """Yield rows, and the mean of each of these tasks in them: (B, last - first), higher=keep.

        Sums are along a row, in C order: they do not hang on the blocks or on the axis.
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
