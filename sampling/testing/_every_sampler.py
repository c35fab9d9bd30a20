"""Every sampler of the package, in one case or several, over the same few samples.

The one list of them: the contract matrix, `sampling warm` and the tests all read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from ..record import Selection
from ..samplers import (
    ODM,
    AdaptiveBatchSampler,
    Batch,
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ClassPairBatchSampler,
    ClusterClipSampler,
    CurriculumSampler,
    DynamicRandomSampler,
    EpochBatchSampler,
    EpochSampler,
    EpsilonGreedySampler,
    GroupBatchSampler,
    HardestSampler,
    IESSampler,
    ImportanceSampler,
    InfoBatchSampler,
    KakurenboSampler,
    LateStoppingSampler,
    MixtureSampler,
    NeighborPairBatchSampler,
    PairBatchSampler,
    RCAPSampler,
    RepeatedSubsetSampler,
    RepeatFactorSampler,
    SelfPacedSampler,
    SensitivitySampler,
    SeTaSampler,
    ShuffleSampler,
    SubsetSampler,
    TemporalBatchSampler,
    TokenBudgetBatchSampler,
    TrajectorySampler,
    TwoStreamBatchSampler,
    UCBSampler,
    VarianceBudgetSampler,
    WeightedSampler,
)
from ..types import Floats

AnySampler: TypeAlias = EpochSampler | EpochBatchSampler
Factory: TypeAlias = Callable[..., AnySampler]
DrawFactory: TypeAlias = Callable[..., EpochSampler]

SIZE = 103  # a prime: no batch size and no number of ranks divides it
EPOCHS = 3
BATCH = 4
ROWS = np.arange(SIZE)
LABELS = ROWS**2 % 7
WEIGHTS: Floats = (1 + ROWS % 5).astype(np.float64)
TAGS = np.stack([np.ones(SIZE), ROWS < 10, ROWS < 3], axis=1).astype(int)
CENTER_LOSSES = np.linspace(0.5, 3.0, 7)
LENGTHS = 5 + ROWS**2 % 17
TABLE = (ROWS[:, None] + [1, 2, 7]) % SIZE
_WEIGHTED_ROWS = Selection(ROWS[1::2], weights=WEIGHTS[1::2])


def _draws(kind: type[EpochSampler], *arguments: Any, pad: bool = True, **options: Any) -> Any:
    """Make a sampler; `pad` is named, so that the contract kit knows that it is taken."""
    return kind(*arguments, pad=pad, **options)


def _batches(kind: type[EpochBatchSampler], *arguments: Any, **options: Any) -> Any:
    """Make a batch sampler from data."""
    return kind(*arguments, **options)


def _cut(
    kind: type[EpochBatchSampler],
    sampler: DrawFactory,
    drop_last: bool = False,
    **options: Any,
) -> AnySampler:
    """Make a batch sampler from a sampler; `drop_last` refers to its short batch."""
    return kind(sampler(**options), BATCH, drop_last)


def _by_length(sampler: DrawFactory, window: int | None = None, **options: Any) -> AnySampler:
    """Make batches of similar length of a sampler's draws."""
    return TokenBudgetBatchSampler(LENGTHS, 64, sampler=sampler(**options), window=window)


class _Answering(EpochSampler):
    """Derives predictions from the losses: the matrix records nothing else."""

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return the signals of the method for these predictions."""
        losses = batch.losses
        made = torch.stack([1.0 - losses, losses - 1.0], dim=1) * 4.0
        labels = torch.zeros_like(losses, dtype=torch.int64)
        return super().signals(replace(batch, logits=made, labels=labels))


class _Kakurenbo(_Answering, KakurenboSampler):
    """Predicts correctly and with confidence at a loss below 0.9."""


class _LateStopping(_Answering, LateStoppingSampler):
    """Predicts correctly at a loss below 1."""


def _mixture_by_odm(pad: bool = True, **options: Any) -> MixtureSampler:
    """Make a mixture with an updater of its own: each sampler needs another."""
    updater = ODM(exploration=0.1)
    return MixtureSampler(domains=LABELS, compose="shuffled", updater=updater, pad=pad, **options)


_SHUFFLE = partial(_draws, ShuffleSampler, SIZE)
_PRUNED = partial(_draws, InfoBatchSampler, SIZE, 8)

# Class -> case -> factory. A new sampler adds its cases here, and all tests and the matrix have it.
# The factories can be pickled: the contract kit then runs them in a new interpreter.
DRAW_CASES: dict[str, dict[str, DrawFactory]] = {
    "ShuffleSampler": {
        "shuffle": _SHUFFLE,
        "shuffle part": partial(_draws, ShuffleSampler, SIZE, 41),
        "shuffle over": partial(_draws, ShuffleSampler, SIZE, 250),
    },
    "SubsetSampler": {
        "subset": partial(_draws, SubsetSampler, ROWS[::2]),
        "subset weighted": partial(_draws, SubsetSampler, _WEIGHTED_ROWS),
    },
    "WeightedSampler": {
        "weighted": partial(_draws, WeightedSampler, WEIGHTS),
        "weighted independent": partial(_draws, WeightedSampler, WEIGHTS, 57, independent=True),
        "weighted distinct": partial(_draws, WeightedSampler, WEIGHTS, 40, False),
        "weighted run": partial(
            _draws, WeightedSampler, WEIGHTS**2, 57, max_repeats=7, num_epochs=6
        ),
    },
    "ClassBalancedSampler": {
        "class balanced": partial(_draws, ClassBalancedSampler, LABELS),
        "progressive": partial(_draws, ClassBalancedSampler, LABELS, 90, progressive_epochs=5),
        "class balanced run": partial(
            _draws, ClassBalancedSampler, LABELS, 90, max_repeats=7, num_epochs=6
        ),
    },
    "RepeatFactorSampler": {
        "repeat factor": partial(_draws, RepeatFactorSampler, TAGS, 0.3),
        "repeat factor run": partial(
            _draws, RepeatFactorSampler, TAGS, 0.9, max_repeats=8, num_epochs=6
        ),
    },
    "RepeatedSubsetSampler": {
        "rs2 large": partial(_draws, RepeatedSubsetSampler, SIZE, 0.8),
        "rs2": partial(_draws, RepeatedSubsetSampler, SIZE, 0.3),
        "rs2 replacement": partial(_draws, RepeatedSubsetSampler, SIZE, 0.3, replacement=True),
        "rs2 stratified": partial(_draws, RepeatedSubsetSampler, SIZE, 0.3, labels=LABELS),
    },
    "ClusterClipSampler": {
        "cluster clip": partial(_draws, ClusterClipSampler, LABELS, 60, num_epochs=6),
        "cluster clip epoch": partial(
            _draws, ClusterClipSampler, LABELS, 60, num_epochs=6, schedule="epoch"
        ),
        "cluster temperature": partial(_draws, ClusterClipSampler, LABELS, temperature=2.0),
    },
    "MixtureSampler": {
        "mixture": partial(_draws, MixtureSampler, [60, 30, 13], 77, temperature=3.0),
        "mixture odm": _mixture_by_odm,
        "mixture tokens": partial(
            _draws,
            MixtureSampler,
            [60, 30, 13],
            num_tokens=1000,
            sample_tokens=LENGTHS,
            max_repeats={2: 3.0},
            weights=[2, 1, 1],
        ),
        "mixture tokens odm": partial(_mixture_by_odm, num_tokens=900, sample_tokens=LENGTHS),
    },
    "SensitivitySampler": {
        "sensitivity": partial(
            _draws, SensitivitySampler, WEIGHTS, LABELS, CENTER_LOSSES, 80, holder_constant=0.1
        ),
        "sensitivity limited": partial(
            _draws,
            SensitivitySampler,
            WEIGHTS,
            LABELS,
            CENTER_LOSSES,
            80,
            holder_constant=0.1,
            max_repeats_per_epoch=1,
        ),
    },
    "TrajectorySampler": {
        "trajectory": partial(_draws, TrajectorySampler, [40, 3, 60], [1.0, 3.0, 2.0], alpha=0.5),
        "trajectory top": partial(_draws, TrajectorySampler, [40, 63], [1.0, 2.0], 70, top=0.5),
    },
    "InfoBatchSampler": {
        "infobatch": _PRUNED,
        "infobatch buckets": partial(_draws, InfoBatchSampler, SIZE, 8, buckets=[(0.3, 0.4)]),
    },
    "KakurenboSampler": {"kakurenbo": partial(_draws, _Kakurenbo, SIZE, 5)},
    "IESSampler": {"ies": partial(_draws, IESSampler, SIZE, 12, delta=0.1)},
    "LateStoppingSampler": {
        "late stopping": partial(
            _draws, _LateStopping, SIZE, 5, keep=0.6, rounds=(1, 1), warm_up=0
        ),
    },
    "ImportanceSampler": {"importance": partial(_draws, ImportanceSampler, SIZE)},
    "VarianceBudgetSampler": {
        "variance budget": partial(_draws, VarianceBudgetSampler, SIZE, 8, tau=0.2)
    },
    "DynamicRandomSampler": {"dynamic random": partial(_draws, DynamicRandomSampler, SIZE, 8)},
    "CurriculumSampler": {"curriculum": partial(_draws, CurriculumSampler, ROWS % 9, 3, c0=0.2)},
    "SelfPacedSampler": {"self-paced": partial(_draws, SelfPacedSampler, SIZE, 5)},
    "HardestSampler": {"hardest": partial(_draws, HardestSampler, SIZE, 5)},
    "EpsilonGreedySampler": {"epsilon-greedy": partial(_draws, EpsilonGreedySampler, SIZE, 5)},
    "UCBSampler": {"ucb": partial(_draws, UCBSampler, SIZE, 5, refresh_every=2)},
    "RCAPSampler": {"rcap": partial(_draws, RCAPSampler, SIZE, 5, LABELS)},
    "SeTaSampler": {"seta": partial(_draws, SeTaSampler, SIZE, 5)},
}
BATCH_CASES: dict[str, dict[str, Factory]] = {
    "EpochBatchSampler": {
        "batches": partial(_cut, EpochBatchSampler, _SHUFFLE),
        "batches of infobatch": partial(_cut, EpochBatchSampler, _PRUNED),
        "batches of weighted": partial(
            _cut, EpochBatchSampler, DRAW_CASES["WeightedSampler"]["weighted"]
        ),
        "batches of rs2": partial(
            _cut, EpochBatchSampler, DRAW_CASES["RepeatedSubsetSampler"]["rs2 large"]
        ),
    },
    "AdaptiveBatchSampler": {
        "adaptive": partial(_cut, AdaptiveBatchSampler, _SHUFFLE),
        "adaptive infobatch": partial(_cut, AdaptiveBatchSampler, _PRUNED),
    },
    "ClassesPerBatchSampler": {
        "classes": partial(_batches, ClassesPerBatchSampler, LABELS, 3, 2),
        "classes inside groups": partial(
            _batches, ClassesPerBatchSampler, LABELS, 2, 2, outer=ROWS // 40
        ),
    },
    "GroupBatchSampler": {"groups": partial(_batches, GroupBatchSampler, ROWS // 4, 2)},
    "TokenBudgetBatchSampler": {
        "tokens": partial(_batches, TokenBudgetBatchSampler, LENGTHS, 64),
        "tokens unpadded": partial(_batches, TokenBudgetBatchSampler, LENGTHS, 64, padded=False),
        "tokens of infobatch": partial(_by_length, _PRUNED),
        "tokens of curriculum": partial(
            _by_length, DRAW_CASES["CurriculumSampler"]["curriculum"], 40
        ),
    },
    "PairBatchSampler": {
        "pairs": partial(_batches, PairBatchSampler, LABELS, 4),
        "pairs of lisa": partial(
            _batches,
            PairBatchSampler,
            LABELS,
            4,
            {"intra_label": 0.5, "intra_domain": 0.5},
            domains=ROWS % 3,
        ),
    },
    "NeighborPairBatchSampler": {
        "pairs of a table": partial(_batches, NeighborPairBatchSampler, TABLE, 4, 2)
    },
    "ClassPairBatchSampler": {
        "class pairs": partial(_batches, ClassPairBatchSampler, LABELS, 1 + np.eye(4), 4)
    },
    "TemporalBatchSampler": {
        "events": partial(_batches, TemporalBatchSampler, ROWS % 9, ROWS % 11, max_events=4)
    },
    "TwoStreamBatchSampler": {
        "two streams": partial(_batches, TwoStreamBatchSampler, ROWS[:80], ROWS[80:], 6, 2)
    },
}


def _named(cases: Mapping[str, Mapping[str, Factory]]) -> dict[str, Factory]:
    """Return the first case of each class by the name of the class."""
    return {name: next(iter(each.values())) for name, each in cases.items()}


# What the contract matrix, `sampling warm` and the tests of every class run.
SAMPLERS: dict[str, Factory] = {
    **_named(DRAW_CASES),
    "MixtureSampler with ODM": DRAW_CASES["MixtureSampler"]["mixture odm"],
    **_named(BATCH_CASES),
    "EpochBatchSampler of InfoBatch": BATCH_CASES["EpochBatchSampler"]["batches of infobatch"],
}
