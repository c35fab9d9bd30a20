"""Aioli by the algorithm of its card, on losses that follow a known mixing law."""

import numpy as np
import pytest

from sampling.samplers import Aioli, MixtureSampler, full_state, load_full_state

LAW = np.array([[0.4, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.5]])  # drop of loss i from source j


def run(rule, weights, epochs, law=LAW):
    """The states of a run whose losses drop by law @ weights in each epoch."""
    losses, states = np.full(len(law), 50.0), [rule.begin(np.array(weights, float))]
    for _ in range(epochs):
        losses = losses - law @ states[-1]["weights"]
        states.append(rule.step(states[-1], validation_losses=losses))
    return states


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_golden_step_from_a_known_law(share):
    """The law is found again by the solve, whatever the probes, and one step is taken with it."""
    rule = Aioli(rounds=2, hold=3, probe_share=share, step_size=0.5)
    weights = np.array([0.5, 0.3, 0.2])
    states = run(rule, weights, 16)
    probes = rule.probes(3)
    for state in states[1:7]:  # two of each, in another order in each round
        assert any(np.allclose(state["weights"], each) for each in probes)
        np.testing.assert_array_equal(state["mixture"], weights)
    counts = np.sum([state["weights"] for state in states[1:7]], axis=0)
    np.testing.assert_allclose(counts, 2 * probes.sum(axis=0))
    estimate = LAW / LAW.sum()
    expected = weights * np.exp(0.5 * estimate.sum(axis=0))
    for state in states[7:10]:  # held for three epochs
        np.testing.assert_allclose(state["weights"], expected / expected.sum())
    again = expected * np.exp(0.5 * estimate.sum(axis=0))
    np.testing.assert_allclose(states[16]["weights"], again / again.sum())


def test_golden_probes_of_two_sources():
    np.testing.assert_allclose(Aioli().probes(2), [[0.625, 0.375], [0.375, 0.625]])


def test_a_moving_average_restarts_from_uniform_weights():
    rule = Aioli(rounds=1, hold=1, probe_share=1.0, step_size=1.0, decay=0.25, normalize=False)
    state = rule.begin(np.array([0.8, 0.2]))
    laws = [np.diag([1.0, 0.0]), np.diag([0.0, 1.0])]
    losses, found = np.array([50.0, 50.0]), []
    for epoch in range(7):
        losses = losses - laws[epoch >= 3] @ state["weights"]
        state = rule.step(state, validation_losses=losses)
        found.append(state["mixture"])
    np.testing.assert_allclose(found[2], np.exp([1, 0]) / np.exp([1, 0]).sum())
    kept = np.exp([0.25, 0.75])
    np.testing.assert_allclose(found[5], kept / kept.sum())


def test_negative_drops_favour_the_least_harmful():
    states = run(Aioli(rounds=1, hold=1, probe_share=1.0), [0.5, 0.5], 3,
                 np.array([[-1.0, -0.1], [-1.0, -0.1]]))  # fmt: skip
    assert states[-1]["mixture"][1] > 0.5


def test_equal_drops_change_nothing():
    """Defect of the released code: 0 / 0 after the shift, when nothing changed."""
    for law in (np.zeros((2, 2)), np.full((2, 2), -1.0)):
        states = run(Aioli(rounds=1, hold=1, probe_share=1.0), [0.7, 0.3], 3, law)
        np.testing.assert_allclose(states[-1]["mixture"], [0.7, 0.3])


def test_the_first_step_starts_from_the_given_mixture():
    """Defect of the released code: from uniform weights, whatever the run began with."""
    states = run(Aioli(rounds=1, hold=1, probe_share=1.0, step_size=1e-9), [0.7, 0.3], 3,
                 np.eye(2))  # fmt: skip
    np.testing.assert_allclose(states[-1]["mixture"], [0.7, 0.3], rtol=1e-6)


def test_one_source_and_an_epoch_without_evaluation():
    states = run(Aioli(rounds=1, hold=1), [1.0], 4, np.ones((1, 1)))
    assert states[-1]["weights"].tolist() == [1.0]
    assert Aioli().step(states[-1], np.array([1.0])) is states[-1]


def test_probes_do_not_depend_on_the_step_of_samples():
    """Defect of the released code: it subtracts steps from samples; here both are epochs."""
    rule = Aioli(rounds=1, hold=2, probe_share=0.8)
    sampler = MixtureSampler([40, 30], 50, updater=rule, weights=[1, 1])
    lengths = []
    for epoch in range(9):
        sampler.set_epoch(epoch)
        lengths.append(sampler.length(epoch))
        sampler.record_validation([2.0 - epoch / 10, 2.0])
    assert lengths == [50] * 9


def test_resume_in_the_middle_of_a_sweep():
    def made():
        rule = Aioli(rounds=2, hold=2, probe_share=0.8)
        return MixtureSampler({"a": 40, "b": 30}, 50, updater=rule)

    one, other = made(), made()
    for epoch in range(12):
        for each in (one, other) if epoch > 3 else (one,):
            each.set_epoch(epoch)
            each.record_validation({"a": 3 - epoch / 9, "b": 2 - 1 / (epoch + 2)})
        if epoch == 3:
            load_full_state(other, full_state(one))
    for each in (one, other):
        each.set_epoch(12)
    np.testing.assert_array_equal(one.indices(12), other.indices(12))


def test_refuses():
    with pytest.raises(ValueError, match="probe_share must not be 1 / K, 0.5 with 2 sources"):
        MixtureSampler([3, 4], updater=Aioli(probe_share=0.5))
    with pytest.raises(ValueError, match=r"probe_share must be in \(0, 1\], got 0"):
        Aioli(probe_share=0)
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\), got 1"):
        Aioli(decay=1)
