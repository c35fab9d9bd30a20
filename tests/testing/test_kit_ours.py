"""Every sampler and batch sampler of ours keeps every line of the contract."""

import pytest
from products import in_turn

from sampling.testing import parametrize_with_checks

from .ours import BATCH_SAMPLERS, FURTHER, FURTHER_BATCHES, SAMPLERS

SLOW = {
    "workers": pytest.mark.slow,
    "processes": [pytest.mark.slow, pytest.mark.distributed],
}


@in_turn(
    parametrize_with_checks(SAMPLERS, workers=(0, 2), distributed=True, marks=SLOW),
    few=FURTHER,
)
def test_sampler(factory, check):
    check(factory)


@in_turn(
    parametrize_with_checks(
        BATCH_SAMPLERS, kind="batch sampler", workers=(0, 2), distributed=True, marks=SLOW
    ),
    few=FURTHER_BATCHES,
)
def test_batch_sampler(factory, check):
    check(factory)
