"""Samplers for `torch.utils.data.DataLoader`: which samples to draw, in which order.

The training loop is the same for all of them; the first line is what changes:

    sampler = InfoBatchSampler(dataset, num_epochs=30, seed=0)
    loader = DataLoader(Indexed(dataset), batch_size=256, sampler=sampler)
    for epoch in range(30):
        sampler.set_epoch(epoch)
        for indices, (x, y) in loader:
            losses = cross_entropy(model(x), y, reduction="none")
            loss = sampler.reduce(losses, indices)  # instead of losses.mean()

All samples, a subset, or weights of your own
    ShuffleSampler              in place of RandomSampler and DistributedSampler of torch
    SubsetSampler               rows that were selected before, with the weights of a `Selection`
    WeightedSampler             in proportion to weights, with or without replacement
    TrajectorySampler           transitions of robots or offline RL, by return or advantage

Fewer samples in each epoch
    RepeatedSubsetSampler       RS2: a new random subset in each round; begin with it
    InfoBatchSampler            excludes a random fraction of the easy samples, by their losses
    DynamicRandomSampler        the control: the same schedule, without losses
    VarianceBudgetSampler       as few samples as a limit on the gradient's variance allows
    ImportanceSampler           in proportion to the loss or a bound on the gradient, unbiased
    ImportanceGain              what that would gain, from `ImportanceSampler.gain`
    HardestSampler              the highest last losses
    EpsilonGreedySampler        the highest average losses, and some of the others at random
    UCBSampler                  the highest average losses plus their spread
    SeTaSampler                 a window over groups of losses that slides from easy to hard
    KakurenboSampler            without samples that are predicted correctly with confidence
    IESSampler                  without samples whose loss has converged

Class balance
    ClassBalancedSampler        classes in any shares, also progressively
    RepeatFactorSampler         several labels a sample: rare categories are repeated
    RCAPSampler                 classes by their losses, fewer samples in each epoch

Easy samples first, noisy labels
    CurriculumSampler           by a score, from more samples over the run
    SelfPacedSampler            the lowest losses, a fraction that grows to 1
    LateStoppingSampler         reduces noisy data to the samples that are learnt first

From clusters of embeddings
    ClusterClipSampler          clusters evenly, each until its samples were repeated too often
    SensitivitySampler          by a bound on the loss, from one loss for each cluster
    HolderFit                   the constant of that bound, estimated

Mixtures of sources
    MixtureSampler              several sources in shares of samples or tokens
    MixtureUpdater              base of the rules that learn the shares, and of your own
    ODM                         from training losses: sources of high loss, by a bandit
    DoReMi                      from training losses: excess over a reference model
    SkillIt, skill_graph        from validation losses, by a graph of which source helps which
    Aioli                       from validation losses, with the graph estimated during training
    ByPerformance               from any metric
    temperature_weights         shares in proportion to sizes ** (1 / temperature)
    effective_samples           what repeated passes over a small source are worth
    max_epochs_for              how many passes over it still pay
    random_mixtures             mixtures for small runs
    mixture_regression          the best mixture, predicted from such runs
    MixtureFit                  its result

Batches
    EpochBatchSampler           any sampler's draws in batches, sharded over the ranks as a whole
    TokenBudgetBatchSampler     samples of similar length, up to a number of tokens
    ClassesPerBatchSampler      P classes and K samples of each, for metric learning
    GroupBatchSampler           whole bags, documents or videos
    TwoStreamBatchSampler       a fixed number of samples of a second set in each batch
    TemporalBatchSampler        events in the order of time, no two of one entity
    AdaptiveBatchSampler        a batch size that may change during training

Pairs, for mixup and contrastive losses
    PairBatchSampler            a partner of the same or another class or domain
    NeighborPairBatchSampler    a partner from a table of neighbours or hard negatives
    ClassPairBatchSampler       pairs of classes in given shares
    selmix_pairs                the shares of pairs that improve a metric most

Checkpoints
    save_state, load_state              one file, which resumes on other ranks and workers, too
    full_state, load_full_state         the same as a dict, for a checkpoint of your own

A sampler of your own
    EpochSampler                base class: define `table(epoch)`
    ScoredSampler               base class of samplers that learn from losses
    tables                      the draw tables to choose from
    Groups                      the samples of each class or cluster
    EpochOptions                the options of every sampler, such as `seed` and `rank`
    random_key                  the key of an epoch's random numbers
    RecordedScores, Batch       what a `ScoredSampler` is given: losses so far, and of a batch
"""

# Where things are
#   core/      the base: an epoch is a draw table behind a keyed permutation
#   static/    epochs that follow from the arguments; every one can be computed at any time
#   dynamic/   epochs planned from the losses recorded before them
#   mixture/   several sources, each with its share
#   batches/   where the draws are cut into batches
# A class is loaded when it is first used. `_registry` lists the samplers of the package.

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
