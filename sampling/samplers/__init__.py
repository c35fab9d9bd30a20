"""What to draw next: samplers for `torch.utils.data.DataLoader`."""

from ._adaptive import AdaptiveBatchSampler
from ._base import EpochSampler
from ._batches import EpochBatchSampler
from ._class_balanced import ClassBalancedSampler
from ._class_blocks import ClassesPerBatchSampler
from ._cluster_clip import ClusterClipSampler
from ._dynamic_random import DynamicRandomSampler
from ._gradient_noise import (
    per_sample_gradients,
    suggest_batch_size,
    suggest_batch_size_from_ranks,
)
from ._hardest import EpsilonGreedySampler, HardestSampler, UCBSampler
from ._infobatch import InfoBatchSampler
from ._repeat_factor import RepeatFactorSampler
from ._repeated_subset import RepeatedSubsetSampler
from ._save import full_state, load_full_state, load_state, save_state
from ._sensitivity import HolderFit, SensitivitySampler
from ._seta import SeTaSampler
from ._shuffle import ShuffleSampler
from ._subset import SubsetSampler
from ._token_budget import TokenBudgetBatchSampler
from ._two_streams import TwoStreamBatchSampler
from ._weighted import WeightedSampler
from ._whole_groups import GroupBatchSampler

__all__ = [
    "AdaptiveBatchSampler",
    "ClassBalancedSampler",
    "ClassesPerBatchSampler",
    "ClusterClipSampler",
    "DynamicRandomSampler",
    "EpochBatchSampler",
    "EpochSampler",
    "EpsilonGreedySampler",
    "GroupBatchSampler",
    "HardestSampler",
    "HolderFit",
    "InfoBatchSampler",
    "RepeatFactorSampler",
    "RepeatedSubsetSampler",
    "SeTaSampler",
    "SensitivitySampler",
    "ShuffleSampler",
    "SubsetSampler",
    "TokenBudgetBatchSampler",
    "TwoStreamBatchSampler",
    "UCBSampler",
    "WeightedSampler",
    "full_state",
    "load_full_state",
    "load_state",
    "per_sample_gradients",
    "save_state",
    "suggest_batch_size",
    "suggest_batch_size_from_ranks",
]
