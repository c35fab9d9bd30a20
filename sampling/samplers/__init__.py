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

from ._save import full_state, load_full_state, load_state, save_state
from .batches._adaptive import AdaptiveBatchSampler
from .batches._classes_per_batch import ClassesPerBatchSampler
from .batches._epoch_batches import EpochBatchSampler
from .batches._group_batches import GroupBatchSampler
from .batches._token_budget import TokenBudgetBatchSampler
from .batches._two_streams import TwoStreamBatchSampler
from .core._epoch_sampler import EpochSampler
from .dynamic._dynamic_random import DynamicRandomSampler
from .dynamic._hardest import EpsilonGreedySampler, HardestSampler, UCBSampler
from .dynamic._ies import IESSampler
from .dynamic._importance import ImportanceGain, ImportanceSampler
from .dynamic._infobatch import InfoBatchSampler
from .dynamic._kakurenbo import KakurenboSampler
from .dynamic._late_stopping import LateStoppingSampler
from .dynamic._self_paced import SelfPacedSampler
from .dynamic._seta import SeTaSampler
from .dynamic._variance_budget import VarianceBudgetSampler
from .mixture._mixture_sampler import MixtureSampler
from .mixture._updates import ODM, DoReMi, MixtureUpdater
from .mixture._weights import effective_samples, temperature_weights
from .static._class_balanced import ClassBalancedSampler
from .static._cluster_clip import ClusterClipSampler
from .static._curriculum import CurriculumSampler
from .static._repeat_factor import RepeatFactorSampler
from .static._repeated_subset import RepeatedSubsetSampler
from .static._sensitivity import HolderFit, SensitivitySampler
from .static._shuffle import ShuffleSampler
from .static._subset import SubsetSampler
from .static._weighted import WeightedSampler

__all__ = [
    "AdaptiveBatchSampler",
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
    "ODM",
    "RepeatFactorSampler",
    "RepeatedSubsetSampler",
    "SeTaSampler",
    "SelfPacedSampler",
    "SensitivitySampler",
    "ShuffleSampler",
    "SubsetSampler",
    "TokenBudgetBatchSampler",
    "TwoStreamBatchSampler",
    "UCBSampler",
    "VarianceBudgetSampler",
    "WeightedSampler",
    "effective_samples",
    "full_state",
    "load_full_state",
    "load_state",
    "save_state",
    "temperature_weights",
]
