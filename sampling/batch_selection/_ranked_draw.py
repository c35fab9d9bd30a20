"""Draws by the rank of a loss in its batch: the base of `SelectiveBackprop` and `RankedBatch`."""

import numpy as np
import torch

from .._inclusion import certain_or_scaled
from ..types import Floats
from ._random_keys import count_of, hardest_first, race, to_device
from ._selector import BatchSelector, Candidates, Chosen, unweighted


class RankedDraw(BatchSelector):
    """Base class of selectors that draw rows with a probability for each rank in the batch.

    Order: a fixed number without replacement; or, unbiased, each row independently, with weights
    1 / probability.
    """

    keep: float
    unbiased: bool

    def _chances(self, size: int, part: float) -> Floats:
        """Return the relative probability of each rank, hardest first: positive float64 (size,)."""
        raise TypeError(f"{type(self).__name__} must define _chances")

    def _choose(self, candidates: Candidates) -> Chosen:
        losses = candidates.losses
        size = losses.numel()
        count = count_of(self.keep, size)
        chances = self._chances(size, count / size if self.keep >= 1 else self.keep)
        if self.unbiased:
            scaled, scale = certain_or_scaled(chances, count)
            chances = np.minimum(1.0, scaled * scale)
        by_rank = to_device(chances, losses.device)
        order = hardest_first(losses, candidates.lots(0))
        chance = torch.empty_like(by_rank).index_copy_(0, order, by_rank)
        chance = torch.where(torch.isfinite(losses), chance, 0.0)
        if self.unbiased:
            rows = torch.nonzero(candidates.lots(1) < chance).flatten()
            return Chosen(rows, self._weights(1.0 / chance[rows], size))
        return unweighted(race(chance, count, candidates.lots(1)))
