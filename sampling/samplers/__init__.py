"""What to draw next: samplers for `torch.utils.data.DataLoader`."""

from ._base import EpochSampler
from ._class_balanced import ClassBalancedSampler
from ._cluster_clip import ClusterClipSampler
from ._dynamic_random import DynamicRandomSampler
from ._infobatch import InfoBatchSampler
from ._repeat_factor import RepeatFactorSampler
from ._repeated_subset import RepeatedSubsetSampler
from ._sensitivity import HolderFit, SensitivitySampler
from ._shuffle import ShuffleSampler
from ._subset import SubsetSampler
from ._weighted import WeightedSampler

__all__ = [
    "ClassBalancedSampler",
    "ClusterClipSampler",
    "DynamicRandomSampler",
    "EpochSampler",
    "HolderFit",
    "InfoBatchSampler",
    "RepeatFactorSampler",
    "RepeatedSubsetSampler",
    "SensitivitySampler",
    "ShuffleSampler",
    "SubsetSampler",
    "WeightedSampler",
]
