"""Samplers for `torch.utils.data.DataLoader`: which samples to draw, in which order.

The life of a draw, and the files that implement it:

    set_epoch    _base       ranks, lengths, position, the options of every sampler (_options)
                 _plan       the plan of an epoch: a draw table (_tables) behind a shuffle (_order)
    iterate      _iterate    Python ints, and the position of the pass (_state, on disk _save)
    reduce       _objective  loss weights and what is recorded (_reduce, _device)

A method adds a table, or the shares for one; one family per file:

    by known properties     _shuffle _subset _repeated_subset _weighted _class_balanced
                            _repeat_factor _cluster_clip _sensitivity; quotas in _groups
    by the losses           _pruning, the engine (_levels, _breaks, _hidden), and on it _infobatch
                            _dynamic_random _hardest _seta _kakurenbo _ies _late_stopping
                            _self_paced _variance_budget; separately _importance (_signal)
    several sources         _mixture, with its _sources and _mixture_*
    easy before hard        _curriculum
    whole batches           _batches (_cuts), and on it _class_blocks _whole_groups _token_budget
                            _two_streams _adaptive (_gradient_noise)
    rows of a large batch   _selectors, and on it _selective_backprop _top_k_loss _rho_loss
                            _ranked_batch _multistage (_skip_predictor); the step that uses them is
                            _selective_forward, which does not change the model (_frozen)
"""

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
