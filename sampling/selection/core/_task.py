"""What the core of a selector is given, a `Task`, and what it returns, `Picks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..._check._keywords import told
from ...types import Floats, Indices, Keys

__all__ = ["Picks", "Task"]

T = TypeVar("T", bound=np.generic)


@told
@dataclass(frozen=True)
class Task:
    """The rows that a core may pick, and the budget.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Eligible rows of the input, in ascending order.
    budget : int
        Number of rows to pick, in [1, n].
    keys : uint64 array of shape (n,)
        Tie-breaking keys: the lower key wins.
    already : int64 array
        Rows of the input that are already selected.
    seed : int
    key : numpy.uint64
        Key for the random decisions of the core; different in each group.
    size : int
        N.
    codes : int64 array of shape (N,), optional
        Group of each row, if the budget is apportioned to groups; -1 for none.
    """

    rows: Indices
    budget: int
    keys: Keys
    already: Indices
    seed: int
    key: np.uint64
    size: int
    codes: Indices | None = None

    def of(self, array: NDArray[T]) -> NDArray[T]:
        """Return the entries of an array (N, ...) that belong to the rows; no copy if all do."""
        return array if self.rows.size == self.size else array[self.rows]


@told
@dataclass
class Picks:
    """Result of a core.

    Attributes
    ----------
    places : int64 array of shape (m,)
        Positions in `Task.rows`, in selection order.
    weights : float64 array of shape (m,), optional
    ruled : list of (int array or bool array, str)
        Positions that a rule dropped, and the rule; all others were beyond the budget.
    info : dict
    merge : dict of str to callable
        Functions that combine entries of `info` over groups, such as `max`; by default the last one
        is kept.
    """

    places: Indices
    weights: Floats | None = None
    ruled: list[tuple[NDArray[Any], str]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    merge: dict[str, Callable[..., Any]] = field(default_factory=dict)
    shorten: Callable[[int], Indices] | None = (
        None  # positions for a smaller budget, if not a prefix
    )
