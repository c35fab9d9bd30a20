"""Batches that a batch sampler makes of the draws of any sampler, by an order of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from ...types import Indices, Packed


class Arrangement(ABC):
    """Another order of an epoch's draws, and its batches: an argument of the sampler that draws.

    The draws stay the sampler's, and so do weights, scores and state; a position of the epoch
    counts them in the new order.
    """

    @abstractmethod
    def __call__(self, draws: Indices, seed: int, epoch: int) -> tuple[Packed, Indices]:
        """Return `(order, cuts)`: int (M,), positions in `draws`, and int64 (batches + 1,).

        draws : int64 (M,)  the epoch in the sampler's order
        """

    @abstractmethod
    def identity(self) -> Mapping[str, object]:
        """Return what determines the order, by argument."""
