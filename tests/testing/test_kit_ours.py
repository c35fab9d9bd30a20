"""Every sampler and batch sampler of ours keeps every line of the contract."""

import pytest

from sampling.testing import parametrize_with_checks

from .ours import BATCH_SAMPLERS, SAMPLERS

SLOW = {
    "workers": pytest.mark.slow,
    "processes": [pytest.mark.slow, pytest.mark.distributed],
}


STALE = {
    "T3": "at an epoch's end the loader has also kept the sampler's own state, of the epoch "
    "before, which a sampler that has since planned the next refuses"
}


@parametrize_with_checks(
    SAMPLERS,
    workers=(0, 2),
    distributed=True,
    marks=SLOW,
    expected_failures={"infobatch": STALE, "infobatch buckets": STALE},
)
def test_sampler(factory, check):
    check(factory)


@parametrize_with_checks(
    BATCH_SAMPLERS,
    kind="batch sampler",
    workers=(0, 2),
    distributed=True,
    marks=SLOW,
    expected_failures={"batches of infobatch": STALE, "adaptive infobatch": STALE},
)
def test_batch_sampler(factory, check):
    check(factory)
