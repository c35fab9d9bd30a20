"""Rows drawn with a probability for each rank of the loss in the batch."""

from __future__ import annotations

import numpy as np
import torch

from .._inclusion import certain_or_scaled
from ..types import Floats
from ._batch_selector import Candidates
from ._random_keys import draw_in_proportion, hardest_first, to_device


def draw_by_rank(candidates: Candidates, chances: Floats, count: int) -> torch.Tensor:
    """Draw `count` rows without replacement, each in proportion to the chance of its rank.

    chances : positive float64 (B,), relative probability of each rank, hardest first
    """
    chance = _of_rows(candidates, chances)
    return draw_in_proportion(chance, count, candidates.uniforms(1))


def draw_each_by_rank(
    candidates: Candidates, chances: Floats, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw each row independently, `count` on average; return rows (k,) and probabilities (k,).

    chances : positive float64 (B,), relative probability of each rank, hardest first
    """
    scaled, scale = certain_or_scaled(chances, count)
    chance = _of_rows(candidates, np.minimum(1.0, scaled * scale))
    rows = torch.nonzero(candidates.uniforms(1) < chance).flatten()
    return rows, chance[rows]


def _of_rows(candidates: Candidates, chances: Floats) -> torch.Tensor:
    """Return the chance of each row: 0 for losses that are not finite, ties at random."""
    losses = candidates.losses
    by_rank = to_device(chances, losses.device)
    order = hardest_first(losses, candidates.uniforms(0))
    chance = torch.empty_like(by_rank).index_copy_(0, order, by_rank)
    return torch.where(torch.isfinite(losses), chance, 0.0)
