"""Temperature, phases and tokens, by the values of the cards."""

import numpy as np
import pytest

from sampling.samplers import (
    MixtureSampler,
    effective_samples,
    max_epochs_for,
    temperature_weights,
)
from sampling.selection import unimax

MC4 = [2733, 162, 39, 1]


@pytest.mark.parametrize(
    ("temperature", "weights"),
    [
        (3.33, (0.555540, 0.237799, 0.155056, 0.051605)),
        (5, (0.454302, 0.258178, 0.194191, 0.093329)),
        (100, (0.259440, 0.252212, 0.248646, 0.239702)),
    ],
)
def test_golden_temperature(temperature, weights):
    np.testing.assert_allclose(temperature_weights(MC4, temperature), weights, atol=1e-6)
    np.testing.assert_allclose(
        MixtureSampler(MC4, temperature=temperature).shares(0), weights, atol=1e-6
    )


def test_temperature_at_its_ends():
    np.testing.assert_allclose(temperature_weights(MC4, np.inf), 0.25)
    np.testing.assert_allclose(temperature_weights(MC4, 1), np.array(MC4) / 2935)
    np.testing.assert_array_equal(temperature_weights(MC4, 1e-9), [1, 0, 0, 0])
    np.testing.assert_array_equal(temperature_weights([7, 7], 1e-300), [0.5, 0.5])
    np.testing.assert_allclose(temperature_weights([1e300, 1e-300], 100).sum(), 1)
    np.testing.assert_allclose(
        temperature_weights([10, 1000, 40], 1, limit=40), [1 / 9, 4 / 9, 4 / 9]
    )


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_temperature_refuses(temperature):
    with pytest.raises(ValueError, match=r"temperature must be in \(0, inf\)"):
        temperature_weights(MC4, temperature)


def test_golden_unimax():
    """Of the card; the sampler calls the formula of `selection`."""
    np.testing.assert_allclose(unimax([10, 100, 1000], 600, max_epochs=4).amounts, [40, 280, 280])
    over = unimax([10, 100, 1000], 6000, max_epochs=4)
    np.testing.assert_allclose(over.amounts, [40, 400, 4000])
    assert over.shortfall == 1560


def test_cooldown():
    natural = np.array(MC4) / 2935
    sampler = MixtureSampler(MC4, 500, phases=[(0, 5.0), (0.5, 1.0)], num_epochs=7)
    for epoch in range(10):
        weights = temperature_weights(MC4, 5) if epoch < 4 else natural  # from half of 7 on
        np.testing.assert_allclose(sampler.shares(epoch), weights)
        assert sampler.phase(epoch) == (epoch >= 4)
    assert sampler.progress(4) == 4 / 7


def test_order_matters():
    """Large sources first, then all of them: in epochs before the switch the small ones rest."""
    sampler = MixtureSampler([80, 60, 5], 50, phases=[(0, [80, 60, 0]), (3, 5.0)])
    for epoch in range(5):
        assert (sampler.quotas(epoch)[2] > 0) == (epoch >= 3)
    with pytest.raises(ValueError, match="domain 2 has share 0 and is never drawn"):
        sampler.importance_weights([0])
    sampler.set_epoch(3)
    sampler.importance_weights([0])


def test_staged_weights_by_name():
    sampler = MixtureSampler(
        domains=["a", "b", "b"],
        num_samples=12,
        phases=[(0, {"a": 1, "b": 3}), (5, {"b": 1, "a": 1})],
    )
    assert sampler.quotas(4).tolist() == [3, 9]
    assert sampler.quotas(5).tolist() == [6, 6]
    assert sampler.phase(2**64 - 1) == 1


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([], "phases must be a list of"),
        ([(1, 2.0)], "phases must begin at 0, got 1"),
        ([(0, 2.0), (0.5, 1.0)], r"num_epochs must be given if phases\[1\]\[0\] is a frac"),
        ([(0, 2.0), (3, 1.0), (3, 5.0)], "got epoch 3 for phases"),
        ([(0, 2.0), (-1, 1.0)], r"phases\[1\]\[0\] must be >= 0, got -1"),
        ([(0, 2.0), (1.0, 1.0)], r"phases\[1\]\[0\] must be in \[0, 1\), got 1.0"),
        ([(0, 0.0)], r"phases\[0\]\[1\] must be in \(0, inf\), got 0.0"),
        ([(0, [1, 2, 3])], r"phases\[0\]\[1\] must have the length of the domains, 2, got 3"),
        ([3.0], r"phases\[0\] must be \(start, weights or temperature\), got 3.0"),
    ],
)
def test_phases_refuse(phases, message):
    with pytest.raises(ValueError, match=message):
        MixtureSampler([8, 4], phases=phases)


def test_token_quotas():
    """Documents of 100, 50 and 10 tokens: as many tokens of each, so 1 : 2 : 10 documents."""
    tokens = np.array([100, 50, 10])
    sampler = MixtureSampler([500, 500, 500], 1300, weights=[1, 1, 1], mean_tokens=tokens)
    np.testing.assert_array_equal(sampler.quotas(0), [100, 200, 1000])
    natural = MixtureSampler([30, 20, 50], mean_tokens=tokens)  # temperature goes by tokens
    np.testing.assert_allclose(natural.shares(0), [0.3, 0.2, 0.5])
    flat = MixtureSampler([30, 20, 50], mean_tokens=tokens, temperature=2.0)
    shares = flat.shares(0) * tokens
    np.testing.assert_allclose(shares / shares.sum(), temperature_weights([3000, 1000, 500], 2.0))
    capped = MixtureSampler([10, 100, 1000], 60, weights="unimax", max_repeats=4, num_epochs=10,
                            mean_tokens=[2, 2, 2])  # fmt: skip
    np.testing.assert_allclose(capped.shares(0) * 600, [40, 280, 280])


def test_golden_worth_of_repeats():
    found = [effective_samples(10, 10 * n) / (10 * n) for n in (2, 4, 8, 16, 40)]
    np.testing.assert_allclose(found, [0.984, 0.931, 0.828, 0.661, 0.379], atol=5e-4)
    assert effective_samples(10, 10) == 10
    assert effective_samples(10, 3) == 3
    losses = [1 - each for each in found]
    assert [max_epochs_for(loss) for loss in losses] == pytest.approx([2, 4, 8, 16, 40])
    assert max_epochs_for(0) == 1.0
    assert max_epochs_for(0.999999, r_star=0.5) == pytest.approx(1.5e6)
    with pytest.raises(ValueError, match=r"loss_fraction must be in \[0, 1\), got 1"):
        max_epochs_for(1)


def test_the_law_of_repeats_with_its_constants():
    """The README of the law's code: 6.34e9 parameters, 242e9 tokens of 25e9."""

    def worth(unique, used, star):
        return effective_samples(unique, used, r_star=star)

    a, b, e, exponent = np.exp(6.255414), np.exp(7.3049974), np.exp(0.6254804), 0.3526596
    unique, drawn, parameters = 25e9, 242e9, 6.34e9
    fit = min(parameters, unique * (a / b) ** (1 / exponent))  # what the unique data can use
    effective = worth(fit, parameters, 5.309743)
    loss = e + a / effective**exponent + b / worth(unique, drawn, 15.387756) ** exponent
    assert loss == pytest.approx(2.2256440889984477, rel=1e-6)
