"""What to draw next: samplers for `torch.utils.data.DataLoader`."""

from ._adaptive import AdaptiveBatchSampler
from ._base import EpochSampler
from ._batches import EpochBatchSampler
from ._class_balanced import ClassBalancedSampler
from ._class_blocks import ClassesPerBatchSampler
from ._cluster_clip import ClusterClipSampler
from ._curriculum import CurriculumSampler
from ._dynamic_random import DynamicRandomSampler
from ._frozen import frozen_statistics
from ._gradient_noise import (
    per_sample_gradients,
    suggest_batch_size,
    suggest_batch_size_from_ranks,
)
from ._hardest import EpsilonGreedySampler, HardestSampler, UCBSampler
from ._ies import IESSampler
from ._importance import ImportanceGain, ImportanceSampler
from ._infobatch import InfoBatchSampler
from ._kakurenbo import KakurenboSampler
from ._late_stopping import LateStoppingSampler
from ._mixture import MixtureSampler
from ._mixture_updates import ODM, DoReMi, MixtureUpdater
from ._mixture_weights import effective_samples, temperature_weights
from ._multistage import MultistageFilter
from ._nested import take_rows
from ._progress_scheduler import ProgressScheduler
from ._ranked_batch import RankedBatch
from ._repeat_factor import RepeatFactorSampler
from ._repeated_subset import RepeatedSubsetSampler
from ._rho_loss import RHOLoss
from ._save import full_state, load_full_state, load_state, save_state
from ._selective_backprop import SelectiveBackprop
from ._selective_forward import SelectedStep, SelectiveForward
from ._selectors import BatchSelector, Chosen, SelectionCost
from ._self_paced import SelfPacedSampler
from ._sensitivity import HolderFit, SensitivitySampler
from ._seta import SeTaSampler
from ._shuffle import ShuffleSampler
from ._skip_predictor import SkipPredictor
from ._subset import SubsetSampler
from ._token_budget import TokenBudgetBatchSampler
from ._top_k_loss import TopKLoss
from ._two_streams import TwoStreamBatchSampler
from ._variance_budget import VarianceBudgetSampler
from ._weighted import WeightedSampler
from ._whole_groups import GroupBatchSampler

__all__ = [
    "AdaptiveBatchSampler",
    "BatchSelector",
    "Chosen",
    "ClassBalancedSampler",
    "ClassesPerBatchSampler",
    "ClusterClipSampler",
    "CurriculumSampler",
    "DoReMi",
    "DynamicRandomSampler",
    "EpochBatchSampler",
    "EpochSampler",
    "EpsilonGreedySampler",
    "GroupBatchSampler",
    "HardestSampler",
    "HolderFit",
    "IESSampler",
    "ImportanceGain",
    "ImportanceSampler",
    "InfoBatchSampler",
    "KakurenboSampler",
    "LateStoppingSampler",
    "MixtureSampler",
    "MixtureUpdater",
    "MultistageFilter",
    "ODM",
    "ProgressScheduler",
    "RHOLoss",
    "RankedBatch",
    "RepeatFactorSampler",
    "RepeatedSubsetSampler",
    "SeTaSampler",
    "SelectedStep",
    "SelectionCost",
    "SelectiveBackprop",
    "SelectiveForward",
    "SelfPacedSampler",
    "SensitivitySampler",
    "ShuffleSampler",
    "SkipPredictor",
    "SubsetSampler",
    "TokenBudgetBatchSampler",
    "TopKLoss",
    "TwoStreamBatchSampler",
    "UCBSampler",
    "VarianceBudgetSampler",
    "WeightedSampler",
    "effective_samples",
    "frozen_statistics",
    "full_state",
    "load_full_state",
    "load_state",
    "per_sample_gradients",
    "save_state",
    "suggest_batch_size",
    "suggest_batch_size_from_ranks",
    "take_rows",
    "temperature_weights",
]
