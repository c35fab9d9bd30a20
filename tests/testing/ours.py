"""The registry as the kit calls it, and samplers that take a size, which no case there does."""

from sampling.samplers import EpochBatchSampler, ShuffleSampler
from sampling.testing._every_sampler import BATCH_CASES, DRAW_CASES, SIZE


def shuffle(size=SIZE, pad=True, **options):
    return ShuffleSampler(size, pad=pad, **options)


def shuffled_batches(size=SIZE, seed=0, num_replicas=None, rank=None, drop_last=False):
    sampler = ShuffleSampler(size, seed=seed, num_replicas=num_replicas, rank=rank)
    return EpochBatchSampler(sampler, 4, drop_last)


def flat(cases):
    return {name: make for own in cases.values() for name, make in own.items()}


def further(cases):
    """Return the factories of a class after its first."""
    return [make for own in cases.values() for make in list(own.values())[1:]]


SAMPLERS = {"shuffle sized": shuffle, **flat(DRAW_CASES)}
BATCH_SAMPLERS = {"batches sized": shuffled_batches, **flat(BATCH_CASES)}
FURTHER = further(DRAW_CASES)
FURTHER_BATCHES = further(BATCH_CASES)
