"""Skill-It by the formula of its card, and the defects of its code."""

import numpy as np
import pytest

from sampling.samplers import MixtureSampler, SkillIt, full_state, load_full_state, skill_graph

GRAPH = np.array([[0.5, 0.2, 0.0], [0.0, 0.3, 0.0], [0.0, 0.4, 1.0]])
NAN = np.nan


def steps(rule, prior, *losses):
    states = [rule.begin(np.array(prior, float))]
    for each in losses:
        states.append(rule.step(states[-1], validation_losses=np.array(each, float)))
    return states


def by_formula(prior, graph, losses, eta):
    """prior * exp(eta * A S), S the sum of the losses given."""
    parts = np.array(prior) * np.exp(eta * np.asarray(graph) @ np.sum(losses, axis=0))
    return parts / parts.sum()


def test_golden_weights_restart_from_the_prior_in_every_update():
    """Card 3.3; a window of two of three evaluations, the first weights for losses of 1."""
    prior, losses = [0.5, 0.3, 0.2], [[3, 2, 1], [2, 2, 1], [1.5, 1.9, 0.5]]
    rule = SkillIt(GRAPH, window=2, step_size=0.4, normalize=False, floor=0.0)
    states = steps(rule, prior, *losses)
    np.testing.assert_allclose(states[0]["weights"], by_formula(prior, GRAPH, [[1, 1, 1]], 0.4))
    for at in range(3):
        window = losses[max(0, at - 1) : at + 1]
        np.testing.assert_allclose(states[at + 1]["weights"], by_formula(prior, GRAPH, window, 0.4))
    # by hand: A S of the first evaluation is 1.9, 0.6, 1.8
    parts = np.array([0.5, 0.3, 0.2]) * np.exp([0.76, 0.24, 0.72])
    np.testing.assert_allclose(states[1]["weights"], parts / parts.sum())
    np.testing.assert_allclose(states[1]["weights"], [0.574373, 0.204886, 0.220741], atol=1e-6)


def test_normalised_losses_do_not_depend_on_their_scale():
    losses = np.array([[3, 2, 1], [2, 2, 1], [1.5, 1.9, 0.5]])
    one = steps(SkillIt(GRAPH), [0.5, 0.3, 0.2], *losses)[-1]
    other = steps(SkillIt(GRAPH), [0.5, 0.3, 0.2], *(losses * [10, 1, 0.1]))[-1]
    np.testing.assert_allclose(one["weights"], other["weights"])
    expected = by_formula([0.5, 0.3, 0.2], GRAPH, losses / losses[0], 0.2)
    np.testing.assert_allclose(one["weights"], (1 - 1e-4) * expected + 1e-4 / 3)


def test_the_step_adapts_to_the_sum_of_the_losses():
    rule = SkillIt(GRAPH, window=1, adapt=True, normalize=False, floor=0.0, step_size=0.1)
    found = steps(rule, [1 / 3] * 3, [4, 2, 2], [2, 1, 1])[-1]
    np.testing.assert_allclose(found["weights"], by_formula([1] * 3, GRAPH, [[2, 1, 1]], 0.2))


def test_the_prior_is_never_written_to():
    """Defect of the released code: isolated sources changed the prior of later rounds."""
    graph = np.diag([1.0, 1.0, 0.5])
    graph[0, 1] = 0.7  # the third is isolated
    prior = np.array([0.5, 0.3, 0.2])
    rule = SkillIt(graph, isolated="even", floor=0.0, normalize=False, window=1)
    state = rule.begin(prior)
    for _ in range(3):
        state = rule.step(state, validation_losses=np.array([2.0, 1.0, 9.0]))
        np.testing.assert_array_equal(state["prior"], [0.5, 0.3, 0.2])
        assert state["weights"][2] == pytest.approx(1 / 3)
        pair = by_formula([0.5, 0.3], graph[:2, :2], [[2, 1]], 0.2)
        np.testing.assert_allclose(state["weights"][:2], 2 / 3 * pair)
    assert prior.tolist() == [0.5, 0.3, 0.2]
    np.testing.assert_allclose(
        steps(SkillIt(isolated="even", floor=0.0), [0.5, 0.3, 0.2], [1, 2, 3])[-1]["weights"], 1 / 3
    )


def test_without_an_edge_the_prior_remains():
    found = steps(SkillIt(np.zeros((2, 2)), floor=0.0), [0.7, 0.3], [5, 1])[-1]
    np.testing.assert_allclose(found["weights"], [0.7, 0.3])


def test_sources_that_were_not_evaluated():
    """The last loss of each; before the first one it has no effect."""
    rule = SkillIt(np.eye(2), window=1, normalize=False, floor=0.0, step_size=1.0)
    first, second = steps(rule, [0.5, 0.5], [2, NAN], [NAN, 1])[1:]
    np.testing.assert_allclose(first["weights"], by_formula([1, 1], np.eye(2), [[2, 0]], 1.0))
    np.testing.assert_allclose(second["weights"], by_formula([1, 1], np.eye(2), [[2, 1]], 1.0))
    assert rule.step(second, validation_losses=np.array([NAN, NAN])) is second
    assert rule.step(second, np.array([1.0, 2.0])) is second  # training losses are not read


def test_other_evaluation_sets_are_averaged():
    """Card 3.3: the mean of the window where the targets are not the sources."""
    graph = np.array([[1.0], [0.0], [0.5]])
    rule = SkillIt(graph, targets=["mmlu"], normalize=False, floor=0.0, step_size=1.0)
    found = steps(rule, [1 / 3] * 3, [2], [1])[-1]
    np.testing.assert_allclose(found["weights"], by_formula([1] * 3, graph, [[1.5]], 1.0))
    sampler = MixtureSampler({"a": 20, "b": 20, "c": 20}, 30, updater=rule)
    sampler.record_validation({"mmlu": 2.0})
    sampler.set_epoch(1)
    np.testing.assert_allclose(sampler.shares(1), by_formula([1] * 3, graph, [[2.0]], 1.0))
    with pytest.raises(ValueError, match="losses must name sources of"):
        sampler.record_validation({"a": 2.0})


def test_resume_is_exact():
    def made():
        return MixtureSampler({"a": 40, "b": 30, "c": 20}, 50, updater=SkillIt(GRAPH))

    one, other = made(), made()
    for epoch in range(6):
        one.set_epoch(epoch)
        one.record_validation({"a": 3 - epoch / 4, "b": 2.0, "c": 1 + epoch / 7})
        if epoch == 3:
            load_full_state(other, full_state(one))
        elif epoch > 3:
            other.set_epoch(epoch)
            other.record_validation({"a": 3 - epoch / 4, "b": 2.0, "c": 1 + epoch / 7})
    for each in (one, other):
        each.set_epoch(6)
    np.testing.assert_array_equal(one.indices(6), other.indices(6))
    for name, each in one.updater_state.items():
        np.testing.assert_array_equal(each, other.updater_state[name])


def test_a_graph_of_short_runs():
    graph = skill_graph([2.0, 4.0], [[1.0, 4.0], [2.5, 3.0], [2.0, 1.0]])
    np.testing.assert_allclose(graph, [[0.5, 0], [0, 0.25], [0, 0.75]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SkillIt(window=-1), "window must be >= 1, got -1"),
        (lambda: SkillIt([[1, -1], [0, 1]]), "graph must be >= 0, got -1 in row 0"),
        (lambda: SkillIt([[1, NAN], [0, 1]]), "graph must be finite"),
        (lambda: SkillIt(targets=["a"]), "graph must be given with targets"),
        (lambda: SkillIt(np.ones((2, 2)), targets=["a", "a"]), "targets must be distinct"),
        (lambda: MixtureSampler([3, 4, 5], updater=SkillIt(np.eye(2))),
         r"graph must have shape \(3, 3\), one row for each source"),
        (lambda: skill_graph([0.0], [[1.0]]), "before must be > 0, got 0 in row 0"),
        (lambda: skill_graph([1.0], [[1.0, 2.0]]), r"after must have shape \(K, 1\)"),
    ],
)  # fmt: skip
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()
