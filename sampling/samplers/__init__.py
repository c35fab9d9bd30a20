"""Samplers for `torch.utils.data.DataLoader`: which samples to draw, in which order.

    core/      the base: an epoch is a draw table behind a keyed permutation
    static/    epochs that follow from the arguments; every one can be computed at any time
    dynamic/   epochs planned from the losses recorded before them
    mixture/   several sources, each with its share
    batches/   where the draws are cut into batches

A class is loaded when it is first used. To add one, derive from `EpochSampler` or `ScoredSampler`,
with a table of `sampling.samplers.tables`; the samplers of the package are listed in `_registry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late
from ._registry import OTHERS, SAMPLERS

if TYPE_CHECKING:
    from . import tables as tables
    from ._save import full_state as full_state
    from ._save import load_full_state as load_full_state
    from ._save import load_state as load_state
    from ._save import save_state as save_state
    from .batches._adaptive import AdaptiveBatchSampler as AdaptiveBatchSampler
    from .batches._class_pairs import ClassPairBatchSampler as ClassPairBatchSampler
    from .batches._classes_per_batch import ClassesPerBatchSampler as ClassesPerBatchSampler
    from .batches._epoch_batches import EpochBatchSampler as EpochBatchSampler
    from .batches._group_batches import GroupBatchSampler as GroupBatchSampler
    from .batches._neighbor_pairs import NeighborPairBatchSampler as NeighborPairBatchSampler
    from .batches._pairs import PairBatchSampler as PairBatchSampler
    from .batches._selmix import selmix_pairs as selmix_pairs
    from .batches._temporal import TemporalBatchSampler as TemporalBatchSampler
    from .batches._token_budget import TokenBudgetBatchSampler as TokenBudgetBatchSampler
    from .batches._two_streams import TwoStreamBatchSampler as TwoStreamBatchSampler
    from .core._batch import Batch as Batch
    from .core._epoch_sampler import EpochSampler as EpochSampler
    from .core._groups import Groups as Groups
    from .core._options import EpochOptions as EpochOptions
    from .core._random_key import random_key as random_key
    from .core._scored_sampler import RecordedScores as RecordedScores
    from .core._scored_sampler import ScoredSampler as ScoredSampler
    from .dynamic._dynamic_random import DynamicRandomSampler as DynamicRandomSampler
    from .dynamic._epsilon_greedy import EpsilonGreedySampler as EpsilonGreedySampler
    from .dynamic._hardest import HardestSampler as HardestSampler
    from .dynamic._ies import IESSampler as IESSampler
    from .dynamic._importance import ImportanceGain as ImportanceGain
    from .dynamic._importance import ImportanceSampler as ImportanceSampler
    from .dynamic._infobatch import InfoBatchSampler as InfoBatchSampler
    from .dynamic._kakurenbo import KakurenboSampler as KakurenboSampler
    from .dynamic._late_stopping import LateStoppingSampler as LateStoppingSampler
    from .dynamic._rcap import RCAPSampler as RCAPSampler
    from .dynamic._self_paced import SelfPacedSampler as SelfPacedSampler
    from .dynamic._seta import SeTaSampler as SeTaSampler
    from .dynamic._ucb import UCBSampler as UCBSampler
    from .dynamic._variance_budget import VarianceBudgetSampler as VarianceBudgetSampler
    from .mixture._aioli import Aioli as Aioli
    from .mixture._allocation import effective_samples as effective_samples
    from .mixture._allocation import max_epochs_for as max_epochs_for
    from .mixture._allocation import temperature_weights as temperature_weights
    from .mixture._by_performance import ByPerformance as ByPerformance
    from .mixture._doremi import DoReMi as DoReMi
    from .mixture._mixture_sampler import MixtureSampler as MixtureSampler
    from .mixture._odm import ODM as ODM
    from .mixture._regression import MixtureFit as MixtureFit
    from .mixture._regression import mixture_regression as mixture_regression
    from .mixture._regression import random_mixtures as random_mixtures
    from .mixture._skill_it import SkillIt as SkillIt
    from .mixture._skill_it import skill_graph as skill_graph
    from .mixture._updater import MixtureUpdater as MixtureUpdater
    from .static._class_balanced import ClassBalancedSampler as ClassBalancedSampler
    from .static._cluster_clip import ClusterClipSampler as ClusterClipSampler
    from .static._curriculum import CurriculumSampler as CurriculumSampler
    from .static._repeat_factor import RepeatFactorSampler as RepeatFactorSampler
    from .static._repeated_subset import RepeatedSubsetSampler as RepeatedSubsetSampler
    from .static._sensitivity import HolderFit as HolderFit
    from .static._sensitivity import SensitivitySampler as SensitivitySampler
    from .static._shuffle import ShuffleSampler as ShuffleSampler
    from .static._subset import SubsetSampler as SubsetSampler
    from .static._trajectory import TrajectorySampler as TrajectorySampler
    from .static._weighted import WeightedSampler as WeightedSampler

_MODULES = {name: entry.module for name, entry in SAMPLERS.items()} | OTHERS
__all__ = sorted([*_MODULES, "tables"])  # noqa: PLE0605  # one list, in `_registry`

__getattr__, __dir__ = late(__name__, {**_MODULES, "tables": ""})
