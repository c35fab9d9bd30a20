"""Cost of a method as a function of the sizes of its input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._check._keywords import told

__all__ = ["FIXED", "Cost", "Sizes", "copy_bytes", "kmeans_cost", "leverage_cost", "log2",
           "neighbours_products", "products_of", "spread_cost"]  # fmt: skip

FIXED = 64 * 2**20  # bytes of blocks, of a size that does not depend on the data
_PAIR = 12  # dimensions that take as long as to write and compare the product of a pair


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
        Multiplications (and additions) of float32 matrix products; `products_of` counts them.
    steps : float, default 0
        All other operations, in units of a sort of n numbers, which takes n log2(n).
    memory : float, default 0
        Peak memory in bytes, in addition to the input and to blocks of constant size.
    optional : float, default 0
        Additional bytes that it uses if `max_memory`, 1 GiB by default, leaves them. With less it
        is slower. A method with optional memory is never refused for its memory.
    reads : float, default 0
        Bytes of rows that are read from memory for little work each, such as a product with one
        vector.

    Raises
    ------
    TypeError, ValueError
        If one is not a number, or is negative.

    Examples
    --------
    >>> Cost(steps=100.0, memory=8.0) + Cost(memory=4.0)
    Cost(products=0, steps=100.0, memory=12.0, optional=0, reads=0)
    """

    products: float = 0
    steps: float = 0
    memory: float = 0
    optional: float = 0
    reads: float = 0

    def __post_init__(self) -> None:
        for name in ("products", "steps", "memory", "optional", "reads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise TypeError(f"{name} must be a number, got {value!r}")
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be in [0, inf), got {value}")

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.products + other.products,
            self.steps + other.steps,
            self.memory + other.memory,
            self.optional + other.optional,
            self.reads + other.reads,
        )


def kmeans_cost(sizes: Sizes) -> Cost:
    """Return the cost of the clusters of a method; none if they are given."""
    one = 1.4 * products_of(sizes.N, sizes.K, sizes.D)
    return Cost(products=sizes.I * one, memory=sizes.R)


def products_of(rows: float, others: float, dimensions: float) -> float:
    """Return the operations of the products of all pairs, and of what is done with each."""
    return rows * others * (dimensions + _PAIR)


def copy_bytes(size: float, dimensions: float, rest: float, limit: int | None) -> float:
    """Return the bytes of a float32 copy of the rows that is held in memory.

    0 if `max_memory` leaves no room for it next to the `rest`: then it is in a temporary file.
    """
    every = 4 * size * dimensions
    return every if limit is None or FIXED + rest + every <= limit else 0


def log2(value: float) -> float:
    """Return the number of halvings of a size; at least 1."""
    return math.log2(max(value, 2.0))


def neighbours_products(size: float, dimensions: float) -> float:
    """Return the operations of an exact graph of nearest neighbours."""
    return 1.3 * products_of(size, size, dimensions + 36)  # each pair is compared with the k-th


def spread_cost(sizes: Sizes) -> Cost:
    """Return the cost of an order of the rows along which neighbours are near in space."""
    return Cost(steps=10 * sizes.N * sizes.D + 1.5 * sizes.N * log2(sizes.N) ** 2)


def leverage_cost(sizes: Sizes, rounds: float = 1) -> Cost:
    """Return the time of leverages, computed `rounds` times in float64, and of a spread draw."""
    spread = spread_cost(sizes)
    return Cost(1.5 * rounds * sizes.N * sizes.D**2, spread.steps * (0.5 + 0.5 * rounds))
