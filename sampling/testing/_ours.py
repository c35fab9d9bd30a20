"""One of each sampler of the package, over the same few samples, for the contract matrix."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..samplers import (
    AdaptiveBatchSampler,
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ClusterClipSampler,
    DynamicRandomSampler,
    EpochBatchSampler,
    EpochSampler,
    EpsilonGreedySampler,
    GroupBatchSampler,
    HardestSampler,
    InfoBatchSampler,
    RepeatedSubsetSampler,
    RepeatFactorSampler,
    SensitivitySampler,
    SeTaSampler,
    ShuffleSampler,
    SubsetSampler,
    TokenBudgetBatchSampler,
    TwoStreamBatchSampler,
    UCBSampler,
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


def _pruning(**options: Any) -> InfoBatchSampler:  # noqa: ANN401
    return InfoBatchSampler(SIZE, EPOCHS + 2, **options)


SAMPLERS: dict[str, Factory] = {
    "ShuffleSampler": lambda **o: ShuffleSampler(SIZE, **o),
    "SubsetSampler": lambda **o: SubsetSampler(_ROWS[::2], **o),
    "WeightedSampler": lambda **o: WeightedSampler(_WEIGHTS, **o),
    "ClassBalancedSampler": lambda **o: ClassBalancedSampler(_LABELS, **o),
    "RepeatFactorSampler": lambda **o: RepeatFactorSampler(_TAGS, 0.3, **o),
    "RepeatedSubsetSampler": lambda **o: RepeatedSubsetSampler(SIZE, 0.7, **o),
    "ClusterClipSampler": lambda **o: ClusterClipSampler(_LABELS, 50, num_epochs=EPOCHS, **o),
    "SensitivitySampler": lambda **o: SensitivitySampler(
        _WEIGHTS, _LABELS, _CENTER_LOSSES, 50, holder_constant=0.1, **o
    ),
    "InfoBatchSampler": _pruning,
    "DynamicRandomSampler": lambda **o: DynamicRandomSampler(SIZE, EPOCHS + 2, **o),
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
