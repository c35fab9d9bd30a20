"""What a loss counts: weights of a batch, for `reduce(losses, indices, weighting=...)`."""

from ._curriculum import CurriculumWeights, pairwise_easiness, pointwise_easiness
from ._difficulty import MomentumDifficulty

__all__ = [
    "CurriculumWeights",
    "MomentumDifficulty",
    "pairwise_easiness",
    "pointwise_easiness",
]
