"""Factories of our samplers and batch samplers, as the kit calls them."""

import numpy as np
from contracts.cases import FACTORIES, LABELS, N

from sampling.samplers import (
    AdaptiveBatchSampler,
    ClassesPerBatchSampler,
    EpochBatchSampler,
    GroupBatchSampler,
    ShuffleSampler,
    TokenBudgetBatchSampler,
    TwoStreamBatchSampler,
)

LENGTHS = 5 + np.arange(N) ** 2 % 17


def padded(make):
    """Name `pad`, which stands for nobody else's samplers, beside the options of all."""

    def factory(pad=True, **options):
        return make(pad=pad, **options)

    return factory


def cut(make, batches=EpochBatchSampler, size=4):
    """Cut a sampler into batches; there `drop_last` is about the short batch."""

    def factory(drop_last=False, **options):
        return batches(make(**options), size, drop_last)

    return factory


def shuffle(size=N, pad=True, **options):
    return ShuffleSampler(size, pad=pad, **options)


def shuffled_batches(size=N, seed=0, num_replicas=None, rank=None, drop_last=False):
    sampler = ShuffleSampler(size, seed=seed, num_replicas=num_replicas, rank=rank)
    return EpochBatchSampler(sampler, 4, drop_last)


SAMPLERS = {"shuffle sized": shuffle, **{name: padded(make) for name, make in FACTORIES.items()}}

BATCH_SAMPLERS = {
    "batches": shuffled_batches,
    "batches of weighted": cut(FACTORIES["weighted"]),
    "batches of rs2": cut(FACTORIES["rs2 large"]),
    "batches of infobatch": cut(FACTORIES["infobatch"]),
    "adaptive": cut(FACTORIES["shuffle"], AdaptiveBatchSampler),
    "adaptive infobatch": cut(FACTORIES["infobatch"], AdaptiveBatchSampler),
    "classes": lambda **o: ClassesPerBatchSampler(LABELS, 3, 2, **o),
    "groups": lambda **o: GroupBatchSampler(np.arange(N) // 4, 2, **o),
    "tokens": lambda **o: TokenBudgetBatchSampler(LENGTHS, 64, **o),
    "tokens unpadded": lambda **o: TokenBudgetBatchSampler(LENGTHS, 64, padded=False, **o),
    "two streams": lambda **o: TwoStreamBatchSampler(np.arange(80), np.arange(80, N), 6, 2, **o),
}
