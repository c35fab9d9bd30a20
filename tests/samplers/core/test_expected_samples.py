"""Trainers ask before the first epoch how many samples a run will draw."""

import pytest

from sampling.samplers import MixtureSampler
from sampling.testing._every_sampler import BATCH_CASES, DRAW_CASES

CASES = {
    name: make for cases in (DRAW_CASES, BATCH_CASES) for each in cases.values()
    for name, make in each.items()
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_a_new_sampler_tells_how_much_a_run_of_three_epochs_draws(name):
    sampler = CASES[name]()
    assert sampler.expected_samples(0) == 0
    assert sampler.expected_samples(1) > 0
    assert sampler.expected_samples(3) > sampler.expected_samples(1)


@pytest.mark.parametrize("stop", ["cycle", "first_exhausted", "all_exhausted"])
def test_a_mixture_with_an_updater_counts_epochs_to_come_as_the_current_one(stop):
    from sampling.samplers import ODM

    sampler = MixtureSampler([60, 30, 13], stop=stop, updater=ODM(), seed=0)
    assert sampler.expected_samples(4) == 4 * sampler.length(0)
    assert sampler.length(0) == len(sampler)
