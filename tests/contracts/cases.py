"""Every sampler in every case of the one registry, and how a test brings it to an epoch."""

import numpy as np
import pytest

from sampling.testing._every_sampler import DRAW_CASES, SIZE

N = SIZE

FACTORIES = {name: make for cases in DRAW_CASES.values() for name, make in cases.items()}
EVERY = [pytest.param(make, id=name) for name, make in FACTORIES.items()]


def run_to(sampler, epoch):
    """Bring a sampler to an epoch as a training loop would, recording losses on the way."""
    for each in range(sampler.epoch, epoch + 1):
        sampler.set_epoch(each)
        if sampler.dynamic and each < epoch:
            drawn = np.unique(sampler.indices(each))
            sampler.record(drawn, 1.0 + np.sin(drawn + each))
    return sampler


def order(sampler):
    """The rest of the current epoch, from a throw-away copy of a dynamic sampler."""
    from copy import deepcopy

    return list(deepcopy(sampler))
