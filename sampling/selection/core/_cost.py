"""Cost of a method as a function of the sizes of its input."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._check._keywords import told

__all__ = ["FIXED", "Cost", "Sizes", "copy_bytes", "kmeans_cost", "log2"]

FIXED = 64 * 2**20  # bytes of blocks, of a size that does not depend on the data


@told
@dataclass(frozen=True)
class Sizes:
    """Sizes that determine the cost of a method.

    Parameters
    ----------
    N : float
        Rows.
    D : float, default 1
        Dimensions of the embeddings.
    M : float, default 1
        Rows kept.
    K : float, default 1
        Clusters.
    C : float, default 1
        Classes.
    k : float, default 1
        Nearest neighbours of each row, `num_neighbours`.
    I : float, default 0
        Passes of k-means over the rows; 0 if no clusters are computed.
    S : float, default 1
        Maximum number of steps, `max_iter`.
    max_memory : int, optional
        Memory limit in bytes.
    arguments : mapping, default {}
        Arguments of the call, including defaults.
    """

    N: float
    D: float = 1
    M: float = 1
    K: float = 1
    C: float = 1
    k: float = 1
    I: float = 0  # noqa: E741  # the letter of the docstrings
    S: float = 1
    max_memory: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def R(self) -> float:  # noqa: N802  # the letter of the docstrings
        """Bytes of the float32 rows that k-means is trained on.

        4 N D, or half of `max_memory` if it is less than 16 N D; 0 if no clusters are computed.
        """
        every = 4 * self.N * self.D if self.I else 0
        if self.max_memory is None or 4 * every <= self.max_memory:
            return every
        return self.max_memory // 2

    def given(self, argument: str) -> bool:
        """Return whether an argument of the call is given, and not None.

        Parameters
        ----------
        argument : str

        Returns
        -------
        bool
        """
        return self.arguments.get(argument) is not None


@told
@dataclass(frozen=True)
class Cost:
    """Operations and memory of a method; costs can be added.

    Parameters
    ----------
    products : float, default 0
        Multiplications and additions of matrix products.
    steps : float, default 0
        All other operations: steps over rows in memory, about 300 times as slow.
    memory : float, default 0
        Peak memory in bytes, in addition to the input and to blocks of constant size.
    optional : float, default 0
        Additional bytes that it uses if `max_memory`, 1 GiB by default, leaves them. With less it
        is slower. A method with optional memory is never refused for its memory.

    Raises
    ------
    TypeError, ValueError
        If one is not a number, or is negative.

    Examples
    --------
    >>> Cost(steps=100.0, memory=8.0) + Cost(memory=4.0)
    Cost(products=0, steps=100.0, memory=12.0, optional=0)
    """

    products: float = 0
    steps: float = 0
    memory: float = 0
    optional: float = 0

    def __post_init__(self) -> None:
        for name in ("products", "steps", "memory", "optional"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be in [0, inf), got {value}")

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.products + other.products,
            self.steps + other.steps,
            self.memory + other.memory,
            self.optional + other.optional,
        )


def kmeans_cost(sizes: Sizes) -> Cost:
    """Return the cost of the clusters of a method; none if they are given."""
    return Cost(products=sizes.I * sizes.N * sizes.K * sizes.D, memory=sizes.R)


def copy_bytes(size: float, dimensions: float, rest: float, limit: int | None) -> float:
    """Return the bytes of a float32 copy of the rows that is held in memory.

    0 if `max_memory` leaves no room for it next to the `rest`: then it is in a temporary file.
    """
    every = 4 * size * dimensions
    return every if limit is None or FIXED + rest + every <= limit else 0


def log2(value: float) -> float:
    """Return the number of halvings of a size; at least 1."""
    return math.log2(max(value, 2.0))
