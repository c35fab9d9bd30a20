import copy

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.samplers import ShuffleSampler
from sampling.weighting import (
    CurriculumWeights,
    MomentumDifficulty,
    pairwise_easiness,
    pointwise_easiness,
)

EASY = np.array([1.0, 0.8, 0.5, 0.2, 0.0])


def losses_of(*values, **options):
    return torch.tensor(values, **options)


# ---- curriculum weights --------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [0, 1, 2.5, 7, 20, 21, 1000])
def test_weights_are_those_of_the_paper(epoch):
    weighting = CurriculumWeights(EASY)
    weighting.set_epoch(epoch)
    t = min(1.0, epoch / 20)
    found = weighting(torch.ones(3), indices=[4, 0, 2])
    assert weighting.progress == t
    np.testing.assert_allclose(found, (1 - t) * EASY[[4, 0, 2]] + t, rtol=1e-6)
    hard = CurriculumWeights(EASY, order="hard_first")
    hard.set_epoch(epoch)
    np.testing.assert_allclose(hard(torch.ones(5), indices=np.arange(5)), (1 - t) * EASY[::-1] + t)


def test_each_loss_gets_its_own_weight():
    """The released code takes the mean loss times the mean weight: the same for either order."""
    sampler = ShuffleSampler(5)
    weighting = CurriculumWeights(EASY, num_epochs=4)
    weighting.set_epoch(1)
    weights = 0.75 * EASY + 0.25
    losses = losses_of(1.0, 2.0, 3.0, 4.0, 10.0, requires_grad=True)
    loss = sampler.reduce(losses, np.arange(5), weighting=weighting)
    assert loss.item() == pytest.approx(float((weights * losses.detach().numpy()).mean()))
    assert loss.item() != pytest.approx(weights.mean() * losses.detach().numpy().mean(), rel=0.2)
    loss.backward()
    np.testing.assert_allclose(losses.grad, weights / 5, rtol=1e-6)  # not one factor for all
    mean = sampler.reduce(torch.full((5,), 3.0), np.arange(5), "weighted_mean", weighting=weighting)
    assert mean.item() == pytest.approx(3.0)  # no warm-up left


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_have_the_type_of_the_losses(dtype):
    weighting = CurriculumWeights(EASY)
    rows = torch.tensor([1, 1, 4])  # a sample twice
    found = weighting(torch.ones(3, dtype=dtype, requires_grad=True), indices=rows)
    assert found.dtype == dtype
    assert not found.requires_grad
    np.testing.assert_allclose(found.double(), [0.8, 0.8, 0.0], rtol=1e-2)


def test_curriculum_weights_resume():
    weighting = CurriculumWeights(EASY, num_epochs=8)
    weighting.set_epoch(3)
    again = CurriculumWeights(EASY, num_epochs=8)
    again.load_state_dict(weighting.state_dict())
    rows = np.arange(5)
    assert again(torch.ones(5), indices=rows).equal(weighting(torch.ones(5), indices=rows))
    with pytest.raises(StateError, match="state must have num_epochs 9, got 8"):
        CurriculumWeights(EASY, num_epochs=9).load_state_dict(weighting.state_dict())
    twin = copy.deepcopy(weighting)
    assert twin(torch.ones(1), indices=[1]).equal(weighting(torch.ones(1), indices=[1]))


def test_easiness_of_answers():
    np.testing.assert_allclose(
        pointwise_easiness([0.2, 0.2, 1.0], [True, False, False]), [0.2, 0.8, 0.0]
    )
    np.testing.assert_allclose(pairwise_easiness([0.9, 0.0], [0.1, 1.0]), [0.9, 0.0])
    # of several negatives the hardest, which scores highest
    np.testing.assert_allclose(
        pairwise_easiness([0.9, 0.5], [[0.1, 0.5, 0.3], [0.5, 0.2, 0.0]]), [0.7, 0.5]
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: CurriculumWeights([0.5, 1.5]),
            ValueError,
            r"easiness must be in \[0, 1\], got 1.",
        ),
        (
            lambda: CurriculumWeights([0, np.nan]),
            ValueError,
            "easiness must be .* got nan in row 1",
        ),
        (lambda: CurriculumWeights([0, -1]), ValueError, "easiness must be .* got -1.0 in row 1"),
        (lambda: CurriculumWeights(EASY, 0), ValueError, "num_epochs must be >= 1, got 0"),
        (lambda: CurriculumWeights(EASY, order="x"), ValueError, "order must be one of"),
        (lambda: CurriculumWeights(EASY).set_epoch(-1), ValueError, r"epoch must be in \[0, inf\)"),
        (
            lambda: CurriculumWeights(EASY)(torch.ones(2)),
            ValueError,
            "indices must be given, one for each loss, got None",
        ),
        (
            lambda: CurriculumWeights(EASY)(torch.ones(2), indices=[0, 5]),
            ValueError,
            r"indices must be in \[0, 5\), got 5 in row 1",
        ),
        (
            lambda: CurriculumWeights(EASY)(torch.ones(2), indices=[0, 1, 2]),
            ValueError,
            r"losses must have the shape of indices, \(3,\), got \(2,\)",
        ),
        (
            lambda: CurriculumWeights(EASY)(torch.ones(1), indices=[0.0]),
            TypeError,
            "indices must hold ints, got dtype float64",
        ),
        (
            lambda: CurriculumWeights(EASY)(torch.ones(1), indices=torch.ones(1)),
            TypeError,
            "indices must hold ints, got dtype torch.float32",
        ),
        (lambda: pointwise_easiness([0.5], [1]), TypeError, "positive must hold bools, got dtype"),
        (
            lambda: pointwise_easiness([0.5], [True, False]),
            ValueError,
            "positive must have the length of scores, 1, got 2",
        ),
        (lambda: pairwise_easiness([0.5], [[2.0]]), ValueError, r"negatives must be in \[0, 1\]"),
        (
            lambda: pairwise_easiness([0.5], [0.1, 0.2]),
            ValueError,
            "negatives must have the length of positive, 1, got 2",
        ),
        (
            lambda: pairwise_easiness([0.5], 0.5),
            ValueError,
            r"negatives must have shape \(N,\) or \(N, K\), got \(\)",
        ),
    ],
)
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- momentum difficulty -------------------------------------------------------------------------


def difficulty_by_hand(old, given, momentum):
    fresh = 1 - given
    return fresh if old is None else momentum * old + (1 - momentum) * fresh


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.5])
def test_momentum_difficulty_is_its_formula(momentum, gamma):
    random = np.random.default_rng(2)
    weighting = MomentumDifficulty(6, momentum=momentum, gamma=gamma)
    known, weights = [None] * 6, np.ones(6)
    for epoch in range(4):
        weighting.set_epoch(epoch)
        for _ in range(2):
            rows = random.permutation(6)[:3]
            given = random.uniform(0.05, 0.95, 3)
            found = weighting(torch.tensor(-np.log(given)), indices=rows)
            np.testing.assert_allclose(found, weights[rows], rtol=1e-4)
            for row, each in zip(rows, given, strict=True):
                known[row] = difficulty_by_hand(known[row], each, momentum)
        seen = [each for each in known if each is not None]
        weights = np.array(
            [1 if each is None else (each / np.mean(seen)) ** gamma for each in known]
        )
    assert np.isnan(weighting.difficulty).tolist() == [each is None for each in known]


def test_probabilities_stand_before_the_loss():
    weighting = MomentumDifficulty(2, momentum=0.0)
    losses = losses_of(5.0, 5.0, requires_grad=True)
    found = weighting(losses, indices=[0, 1], probabilities=losses_of(0.75, 0.25))
    assert found.tolist() == [1, 1]
    assert not found.requires_grad
    np.testing.assert_allclose(weighting.difficulty, [0.25, 0.75])
    with pytest.raises(ValueError, match=r"probabilities must have shape \(2,\), got \(3,\)"):
        weighting(losses, indices=[0, 1], probabilities=torch.ones(3))


def test_odd_losses_leave_the_difficulty_a_number():
    weighting = MomentumDifficulty(4, momentum=0.5)
    losses = losses_of(np.nan, np.inf, -3.0, 0.0, dtype=torch.float16)
    weighting(losses, indices=[0, 1, 2, 3])
    np.testing.assert_array_equal(weighting.difficulty, [np.nan, 1, 0, 0])
    weighting.set_epoch(0)
    found = weighting(torch.ones(4), indices=[0, 1, 2, 3])
    np.testing.assert_allclose(found, [1, 3, 0, 0], rtol=1e-6)
    easy = MomentumDifficulty(2)
    easy(torch.zeros(2), indices=[0, 1])  # nothing is hard: the mean is 0
    easy.set_epoch(1)
    assert easy(torch.zeros(2), indices=[0, 1]).tolist() == [1, 1]


def test_the_weights_of_an_epoch_hold_until_the_next():
    weighting = MomentumDifficulty(2, momentum=0.0)
    weighting(losses_of(0.1, 2.0), indices=[0, 1])
    weighting.set_epoch(1)
    before = weighting(losses_of(2.0, 0.1), indices=[0, 1])
    weighting.set_epoch(1)
    assert weighting(losses_of(1.0, 1.0), indices=[0, 1]).equal(before)
    weighting.set_epoch(2)
    assert weighting(losses_of(1.0, 1.0), indices=[0, 1]).tolist() == [1, 1]


def test_momentum_difficulty_resumes_in_the_midst_of_an_epoch():
    random = np.random.default_rng(3)

    def go_on(weighting, epochs):
        found = []
        for epoch, losses in epochs:
            weighting.set_epoch(epoch)
            found.append(weighting(torch.tensor(losses), indices=np.arange(5)).tolist())
        return found

    epochs = [(epoch // 2, random.exponential(size=5)) for epoch in range(8)]  # two halves each
    whole = go_on(MomentumDifficulty(5), epochs)
    first, second = MomentumDifficulty(5), MomentumDifficulty(5)
    found = go_on(first, epochs[:3])
    state = first.state_dict()
    go_on(first, epochs[3:5])  # the state is a copy
    second.load_state_dict(state)
    assert found + go_on(second, epochs[3:]) == whole
    with pytest.raises(StateError, match="state must have gamma 2.0, got 1.0"):
        MomentumDifficulty(5, gamma=2.0).load_state_dict(state)
    with pytest.raises(StateError, match="state must have N 6, got 5"):
        MomentumDifficulty(6).load_state_dict(state)


def test_reduce_takes_momentum_difficulty():
    sampler, weighting = ShuffleSampler(3), MomentumDifficulty(3, momentum=0.0)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        weighting.set_epoch(epoch)
        losses = losses_of(0.0, np.log(2.0), np.log(4.0), requires_grad=True)
        loss = sampler.reduce(losses, np.arange(3), weighting=weighting)
    loss.backward()
    difficulty = np.array([0, 0.5, 0.75])
    np.testing.assert_allclose(losses.grad, difficulty / difficulty.mean() / 3, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"gamma": -1.0}, r"gamma must be in \[0, inf\), got -1.0"),
        ({"data_source": 0}, r"data_source must be in \[1, .*\), got 0"),
    ],
)
def test_momentum_difficulty_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        MomentumDifficulty(**{"data_source": 3, **arguments})
