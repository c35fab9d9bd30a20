"""One of each sampler, over the same N = 103 samples (a prime: nothing divides it)."""

import numpy as np
import pytest

from sampling import Selection
from sampling.samplers import (
    ODM,
    ClassBalancedSampler,
    ClusterClipSampler,
    DynamicRandomSampler,
    ImportanceSampler,
    InfoBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    RepeatFactorSampler,
    SensitivitySampler,
    ShuffleSampler,
    SubsetSampler,
    VarianceBudgetSampler,
    WeightedSampler,
)

N = 103
LABELS = np.arange(N) ** 2 % 7
WEIGHTS = 1.0 + np.arange(N) % 5
TAGS = np.stack([np.ones(N), np.arange(N) < 10, np.arange(N) < 3], axis=1).astype(int)
CENTER_LOSSES = np.linspace(0.5, 3.0, 7)

FACTORIES = {
    "shuffle": lambda **o: ShuffleSampler(N, **o),
    "shuffle part": lambda **o: ShuffleSampler(N, 41, **o),
    "shuffle over": lambda **o: ShuffleSampler(N, 250, **o),
    "subset": lambda **o: SubsetSampler(np.arange(0, N, 2), **o),
    "subset weighted": lambda **o: SubsetSampler(
        Selection(np.arange(1, N, 2), weights=WEIGHTS[1::2]), **o
    ),
    "weighted": lambda **o: WeightedSampler(WEIGHTS, **o),
    "weighted independent": lambda **o: WeightedSampler(WEIGHTS, 57, independent=True, **o),
    "weighted distinct": lambda **o: WeightedSampler(WEIGHTS, 40, False, **o),
    "class balanced": lambda **o: ClassBalancedSampler(LABELS, **o),
    "progressive": lambda **o: ClassBalancedSampler(LABELS, 90, progressive_epochs=5, **o),
    "repeat factor": lambda **o: RepeatFactorSampler(TAGS, 0.3, **o),
    "rs2": lambda **o: RepeatedSubsetSampler(N, 0.3, **o),
    "rs2 large": lambda **o: RepeatedSubsetSampler(N, 0.8, **o),
    "rs2 replacement": lambda **o: RepeatedSubsetSampler(N, 0.3, replacement=True, **o),
    "rs2 stratified": lambda **o: RepeatedSubsetSampler(N, 0.3, labels=LABELS, **o),
    "cluster clip": lambda **o: ClusterClipSampler(LABELS, 60, num_epochs=6, **o),
    "cluster clip epoch": lambda **o: ClusterClipSampler(
        LABELS, 60, num_epochs=6, schedule="epoch", **o
    ),
    "cluster temperature": lambda **o: ClusterClipSampler(LABELS, temperature=2.0, **o),
    "mixture": lambda **o: MixtureSampler([60, 30, 13], 77, temperature=3.0, **o),
    "mixture odm": lambda **o: MixtureSampler(
        domains=LABELS, compose="shuffled", updater=ODM(exploration=0.1), **o
    ),
    "sensitivity": lambda **o: SensitivitySampler(
        WEIGHTS, LABELS, CENTER_LOSSES, 80, holder_constant=0.1, **o
    ),
    "infobatch": lambda **o: InfoBatchSampler(N, 8, **o),
    "infobatch buckets": lambda **o: InfoBatchSampler(N, 8, buckets=[(0.3, 0.4)], **o),
    "importance": lambda **o: ImportanceSampler(N, **o),
    "variance budget": lambda **o: VarianceBudgetSampler(N, 8, tau=0.2, **o),
    "dynamic random": lambda **o: DynamicRandomSampler(N, 8, **o),
}

EVERY = [pytest.param(make, id=name) for name, make in FACTORIES.items()]


def run_to(sampler, epoch):
    """Bring a sampler to an epoch as a training loop would, recording losses on the way."""
    for each in range(sampler.epoch, epoch + 1):
        sampler.set_epoch(each)
        if sampler.dynamic and each < epoch:
            dealt = np.unique(sampler.indices(each))
            sampler.record(dealt, 1.0 + np.sin(dealt + each))
    return sampler


def order(sampler):
    """The rest of the current epoch, from a throw-away copy of a dynamic sampler."""
    from copy import deepcopy

    return list(deepcopy(sampler))
