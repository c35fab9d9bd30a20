"""One sampler of each class of the package, over the same few samples, for the contract matrix."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch

from ..samplers import (
    ODM,
    AdaptiveBatchSampler,
    Batch,
    ClassBalancedSampler,
    ClassesPerBatchSampler,
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
    RepeatedSubsetSampler,
    RepeatFactorSampler,
    SelfPacedSampler,
    SensitivitySampler,
    SeTaSampler,
    ShuffleSampler,
    SubsetSampler,
    TokenBudgetBatchSampler,
    TwoStreamBatchSampler,
    UCBSampler,
    VarianceBudgetSampler,
    WeightedSampler,
)

AnySampler: TypeAlias = EpochSampler | EpochBatchSampler
Factory: TypeAlias = Callable[..., AnySampler]

SIZE = 61  # a prime: no batch size and no number of ranks divides it
EPOCHS = 3
BATCH = 4
_ROWS = np.arange(SIZE)
_LABELS = _ROWS**2 % 7
_WEIGHTS = 1.0 + _ROWS % 5
_TAGS = np.stack([np.ones(SIZE), _ROWS < 9, _ROWS < 3], axis=1).astype(int)
_CENTER_LOSSES = np.linspace(0.5, 3.0, 7)


def _pruning(**options: Any) -> InfoBatchSampler:
    return InfoBatchSampler(SIZE, EPOCHS + 2, **options)


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


SAMPLERS: dict[str, Factory] = {
    "ShuffleSampler": lambda **o: ShuffleSampler(SIZE, **o),
    "SubsetSampler": lambda **o: SubsetSampler(_ROWS[::2], **o),
    "WeightedSampler": lambda **o: WeightedSampler(_WEIGHTS, **o),
    "ClassBalancedSampler": lambda **o: ClassBalancedSampler(_LABELS, **o),
    "RepeatFactorSampler": lambda **o: RepeatFactorSampler(_TAGS, 0.3, **o),
    "RepeatedSubsetSampler": lambda **o: RepeatedSubsetSampler(SIZE, 0.7, **o),
    "ClusterClipSampler": lambda **o: ClusterClipSampler(_LABELS, 50, num_epochs=EPOCHS, **o),
    "MixtureSampler": lambda **o: MixtureSampler([30, 20, 11], temperature=3.0, **o),
    "MixtureSampler with ODM": lambda **o: MixtureSampler(
        [30, 20, 11], updater=ODM(exploration=0.1), **o
    ),
    "SensitivitySampler": lambda **o: SensitivitySampler(
        _WEIGHTS, _LABELS, _CENTER_LOSSES, 50, holder_constant=0.1, **o
    ),
    "InfoBatchSampler": _pruning,
    "KakurenboSampler": lambda **o: _Kakurenbo(SIZE, EPOCHS + 2, **o),
    "IESSampler": lambda **o: IESSampler(SIZE, 12, delta=0.1, **o),
    "LateStoppingSampler": lambda **o: _LateStopping(
        SIZE, EPOCHS + 2, keep=0.6, rounds=(1, 1), warm_up=0, **o
    ),
    "ImportanceSampler": lambda **o: ImportanceSampler(SIZE, num_samples=50, **o),
    "VarianceBudgetSampler": lambda **o: VarianceBudgetSampler(SIZE, EPOCHS + 2, tau=0.2, **o),
    "DynamicRandomSampler": lambda **o: DynamicRandomSampler(SIZE, EPOCHS + 2, **o),
    "CurriculumSampler": lambda **o: CurriculumSampler(_ROWS % 9, EPOCHS, c0=0.2, **o),
    "SelfPacedSampler": lambda **o: SelfPacedSampler(SIZE, EPOCHS + 2, **o),
    "HardestSampler": lambda **o: HardestSampler(SIZE, EPOCHS + 2, **o),
    "EpsilonGreedySampler": lambda **o: EpsilonGreedySampler(SIZE, EPOCHS + 2, **o),
    "UCBSampler": lambda **o: UCBSampler(SIZE, EPOCHS + 2, refresh_every=2, **o),
    "SeTaSampler": lambda **o: SeTaSampler(SIZE, EPOCHS + 2, **o),
    "EpochBatchSampler": lambda **o: EpochBatchSampler(ShuffleSampler(SIZE, **o), BATCH),
    "EpochBatchSampler of InfoBatch": lambda **o: EpochBatchSampler(_pruning(**o), BATCH),
    "AdaptiveBatchSampler": lambda **o: AdaptiveBatchSampler(ShuffleSampler(SIZE, **o), BATCH),
    "ClassesPerBatchSampler": lambda **o: ClassesPerBatchSampler(_LABELS, 2, 2, **o),
    "GroupBatchSampler": lambda **o: GroupBatchSampler(_ROWS // 4, **o),
    "TokenBudgetBatchSampler": lambda **o: TokenBudgetBatchSampler(3 + _ROWS % 17, 40, **o),
    "TwoStreamBatchSampler": lambda **o: TwoStreamBatchSampler(_ROWS[:50], _ROWS[50:], 5, 1, **o),
}
