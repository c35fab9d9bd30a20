import math

import numpy as np
import pytest
import torch
from helpers import assert_hits, assert_mean, counts_of

from sampling.errors import StateError
from sampling.record import Score
from sampling.samplers import CurriculumSampler

N = 50
DIFFICULTY = np.random.default_rng(0).permutation(N) / 7.0  # no ties
RANKS = np.argsort(np.argsort(DIFFICULTY))
CLASSES = np.repeat([0, 1, 2, 3], [24, 15, 8, 3])


def make(difficulty=DIFFICULTY, num_epochs=4, **arguments):
    return CurriculumSampler(difficulty, num_epochs, **arguments)


def competence_by_hand(u, pacing, c0, p):
    """Of the card: c(t) = min(1, (t (1 - c0^p)/T + c0^p)^(1/p)), with u = t/T."""
    if pacing == "step":
        return c0 if u < 1 else 1.0
    p = 1 if pacing == "linear" else p
    return min(1.0, (u * (1 - c0**p) + c0**p) ** (1 / p))


# ---- the pace ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pacing", ["root", "linear", "step"])
@pytest.mark.parametrize("p", [1, 2, 3.5])
@pytest.mark.parametrize(("c0", "full_at"), [(0.01, 0.5), (0.3, 1.0), (1.0, 0.2)])
def test_competence_is_that_of_the_paper(pacing, p, c0, full_at):
    sampler = make(num_epochs=5, pacing=pacing, p=p, c0=c0, full_at=full_at)
    for epoch in range(7):
        for consumed in (0, 1, 17, N - 1):
            done = (epoch + consumed / N) / 5
            wanted = competence_by_hand(done / full_at, pacing, c0, p)
            assert sampler.competence(epoch, consumed) == pytest.approx(wanted, rel=1e-12)


def test_competence_begins_at_c0_and_is_one_from_full_at_on():
    for pacing in ("root", "linear", "step"):
        sampler = make(num_epochs=10, pacing=pacing, c0=0.1, full_at=0.3)
        assert sampler.competence(0) == pytest.approx(0.1)
        assert sampler.competence(2, N - 1) < 1
        assert sampler.competence(3) == 1
        assert sampler.competence(2**40) == 1


def test_an_epoch_has_one_competence_if_it_grows_by_epochs():
    sampler = make(grow="epoch", c0=0.2, full_at=1.0)
    assert (
        sampler.competence(1, 0)
        == sampler.competence(1, 9)
        == make(c0=0.2, full_at=1.0).competence(1)
    )


# ---- the draws -----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_samples", [None, 20, 170])
@pytest.mark.parametrize("grow", ["draw", "epoch"])
@pytest.mark.parametrize("pacing", ["root", "linear", "step"])
def test_no_draw_is_harder_than_the_competence_of_its_time(num_samples, grow, pacing):
    seen = 0
    for seed in range(5):
        settings = {"grow": grow, "pacing": pacing, "c0": 0.1, "full_at": 0.9, "seed": seed}
        sampler = make(num_epochs=3, num_samples=num_samples, **settings)
        for epoch in range(3):
            for slot, index in enumerate(sampler.indices(epoch)):
                front = max(1, math.floor(sampler.competence(epoch, slot) * N + 1e-9))
                assert RANKS[index] < front
                seen = max(seen, RANKS[index])
    assert seen > 0.6 * N or pacing == "step"  # and they come near it


def test_a_draw_is_uniform_on_its_front():
    seeds, epoch, slots = 3000, 1, [0, 7, 19]
    hits = np.zeros((3, N))
    for seed in range(seeds):
        found = make(num_samples=20, c0=0.05, full_at=0.9, seed=seed).indices(epoch)[slots]
        hits[range(3), RANKS[found]] += 1
    sampler = make(num_samples=20, c0=0.05, full_at=0.9)
    for row, slot in enumerate(slots):
        front = math.floor(sampler.competence(epoch, slot) * N)
        assert 1 < front < N
        assert_hits(hits[row], seeds, np.where(np.arange(N) < front, 1 / front, 0.0))


def test_draws_of_two_slots_are_spread_not_tied():
    """Stratified: two draws of a full front never agree where M = N, and know no more than that."""
    seeds = 2000
    pairs = np.zeros((5, 5))
    for seed in range(seeds):
        first, second = make(np.arange(5.0), c0=1.0, seed=seed).indices(0)[:2]
        pairs[first, second] += 1
    assert_hits(pairs, seeds, (1 - np.eye(5)) / 20)


@pytest.mark.parametrize("size", [50, 70_000])  # a table of places, and a computed one
def test_from_full_competence_on_an_epoch_is_a_shuffle(size):
    sampler = make(np.arange(float(size)), num_epochs=4, full_at=0.5)
    order = sampler.indices(2)
    np.testing.assert_array_equal(np.sort(order), np.arange(size))
    third, ninth = (sampler.indices(epoch, 0, 50) for epoch in (3, 9))
    assert (third != order[:50]).any()
    assert (third != ninth).any()


def test_seeds_differ():
    assert (make(seed=1).indices(3) != make(seed=2).indices(3)).any()


@pytest.mark.parametrize("num_samples", [1, 20, 50, 130])
def test_draws_are_even_over_the_front(num_samples):
    sampler = make(num_epochs=5, num_samples=num_samples, grow="epoch", c0=0.1, seed=3)
    for epoch, counts in enumerate(counts_of(sampler, 5)):
        front = int(sampler.competence(epoch) * N + 1e-9)
        assert counts.sum() == num_samples
        assert np.abs(counts[RANKS < front] - num_samples / front).max() < 2
        assert counts[RANKS >= front].sum() == 0


def test_growing_by_epochs_deals_each_sample_of_the_front_once():
    sampler = make(num_epochs=10, grow="epoch", pacing="linear", c0=0.1, full_at=0.6)
    lengths = [math.floor(N * min(1, 0.1 + 0.9 * e / 6) + 1e-9) for e in range(10)]
    assert [sampler.length(epoch) for epoch in range(10)] == lengths
    assert sampler.expected_samples(10) == sum(lengths)
    for epoch, length in enumerate(lengths):
        sampler.set_epoch(epoch)
        assert len(sampler) == length
        assert sorted(RANKS[list(sampler)]) == list(range(length))


def test_a_front_is_never_empty():
    for grow in ("draw", "epoch"):
        for size in (1, 3):
            sampler = make(np.arange(float(size)), num_epochs=3, c0=1e-9, grow=grow)
            assert sampler.indices(0)[0] == 0
            assert len(sampler) == (1 if grow == "epoch" else size)


# ---- the order -----------------------------------------------------------------------------------


def test_ties_stand_in_random_order():
    seeds = 2000
    first = np.zeros(6)
    for seed in range(seeds):
        sampler = make([1, 0, 0, 0, 0, 5], grow="epoch", c0=1 / 6, pacing="step", seed=seed)
        first[sampler.indices(0)] += 1
    assert_hits(first, seeds, np.array([0, 1, 1, 1, 1, 0]) / 4)


def test_the_order_of_ties_holds_for_the_run():
    sampler = make(np.zeros(N), num_epochs=8, grow="epoch", full_at=1.0, c0=0.1)
    before = set()
    for epoch in range(8):
        now = set(sampler.indices(epoch).tolist())
        assert before <= now
        before = now


def test_hard_first_is_the_other_way_round():
    arguments = {"grow": "epoch", "c0": 0.2, "pacing": "step"}
    easy, hard = make(**arguments), make(**arguments, order="hard_first")
    assert sorted(RANKS[easy.indices(0)]) == list(range(10))
    assert sorted(RANKS[hard.indices(0)]) == list(range(40, 50))


def test_the_control_keeps_the_pace_and_does_not_look():
    arguments = {"grow": "epoch", "c0": 0.2, "full_at": 1.0}
    ours, control = make(**arguments), make(**arguments, order="random")
    other = make(DIFFICULTY[::-1], **arguments, order="random")
    assert [ours.length(e) for e in range(4)] == [control.length(e) for e in range(4)]
    for epoch in range(4):
        np.testing.assert_array_equal(control.indices(epoch), other.indices(epoch))
    chosen = np.zeros(N)
    for seed in range(1000):
        chosen[make(**arguments, order="random", seed=seed).indices(0)] += 1
    assert_hits(chosen, 1000, 0.2)


def test_a_score_says_its_direction():
    harder = make(Score(DIFFICULTY - 3.0, "harder"), grow="epoch")
    easier = make(Score(3.0 - DIFFICULTY, "easier"), grow="epoch")
    for epoch in range(4):
        np.testing.assert_array_equal(harder.indices(epoch), easier.indices(epoch))
        np.testing.assert_array_equal(harder.indices(epoch), make(grow="epoch").indices(epoch))
    with pytest.raises(ValueError, match="higher_is must be 'harder' or its opposite, got 'keep'"):
        make(Score(DIFFICULTY, "keep"))


# ---- classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["easy_first", "hard_first", "random"])
def test_no_class_is_lost_early_on(order):
    """Class 3 is the hardest: the front of the whole data would not have it for long."""
    difficulty = CLASSES + np.linspace(0, 0.5, N)
    names = np.array(["a", "b", "c", "d"])[CLASSES]
    for seed in range(5):
        arguments = {"num_epochs": 12, "grow": "epoch", "full_at": 1.0, "seed": seed}
        sampler = make(difficulty, labels=names, order=order, **arguments)
        assert sampler.length(0) == 4  # c0 N is less than one
        for epoch in range(12):
            dealt = sampler.indices(epoch)
            counts = np.bincount(CLASSES[dealt], minlength=4)
            assert counts.min() >= 1
            assert np.abs(counts - dealt.size * np.bincount(CLASSES) / N).max() <= 1.5
    blind = make(difficulty, num_epochs=12, grow="epoch", full_at=1.0)
    assert 3 not in CLASSES[blind.indices(5)]


def test_classes_are_ordered_inside():
    labels = np.arange(N) % 2
    sampler = make(labels=labels, grow="epoch", c0=0.4, pacing="step")
    dealt = sampler.indices(0)
    for name in (0, 1):
        own = np.sort(DIFFICULTY[labels == name])
        np.testing.assert_array_equal(np.sort(DIFFICULTY[dealt[labels[dealt] == name]]), own[:10])


def test_unlabelled_samples_are_a_class():
    labels = np.where(np.arange(N) < 5, -1, 7)
    sampler = make(labels=labels, c0=0.01, grow="epoch")
    assert sorted(labels[sampler.indices(0)]) == [-1, 7]


# ---- weights -------------------------------------------------------------------------------------


def test_original_is_refused_while_a_sample_is_never_drawn():
    message = "no importance weights: 29 of 50 samples are not drawn in epoch 0"
    with pytest.raises(ValueError, match=message):
        make(pacing="linear", full_at=1.0, c0=0.25, objective="original")
    sampler = make(pacing="linear", full_at=1.0, c0=0.25)
    with pytest.raises(ValueError, match=message):
        sampler.importance_weights([int(np.argmin(DIFFICULTY))])
    sampler.set_epoch(4)
    np.testing.assert_array_equal(sampler.importance_weights(np.arange(N)), 1)
    sampler = make(c0=1.0, objective="original")
    np.testing.assert_array_equal(sampler.weights_for(np.arange(N)), 1)


def test_a_sample_that_is_not_open_yet_is_no_draw():
    sampler = make(grow="epoch", c0=0.2)
    hardest = int(np.argmax(DIFFICULTY))
    with pytest.raises(ValueError, match=f"indices must be draws of epoch 0, got {hardest} in row"):
        sampler.reduce(torch.ones(1), [hardest])
    with pytest.raises(ValueError, match=r"indices must be in \[0, 50\), got 50 in row 0"):
        sampler.record([50], [1.0])
    dealt = sampler.indices(0)
    assert sampler.reduce(torch.full((10,), 3.0), dealt) == 3


def test_the_epoch_in_which_the_front_arrives_can_be_unbiased():
    losses = 1.0 + 3.0 * RANKS / N
    found = {"sampled": [], "original": []}
    for seed in range(1500):
        sampler = make(num_epochs=2, num_samples=40, c0=0.5, full_at=0.25, seed=seed)
        order = sampler.indices(0)
        assert sampler.competence(0, 19) < 1 == sampler.competence(0, 20)
        found["sampled"].append(losses[order].mean())
        found["original"].append((sampler.importance_weights(order) * losses[order]).mean())
    assert_mean(found["original"], losses.mean())
    with pytest.raises(AssertionError, match="standard errors off"):
        assert_mean(found["sampled"], losses.mean())


# ---- resume and ranks ----------------------------------------------------------------------------


@pytest.mark.parametrize("grow", ["draw", "epoch"])
def test_ranks_deal_one_order_at_one_pace_and_a_resume_goes_on(grow):
    arguments = {"grow": grow, "c0": 0.5, "labels": CLASSES, "seed": 5}
    whole = make(**arguments).indices(1).tolist()
    for rank in range(3):
        sampler = make(**arguments, num_replicas=3, rank=rank, pad=False)
        sampler.set_epoch(1)
        assert list(sampler) == whole[rank::3]
    state = sampler.state_dict(consumed=7)
    for ranks in (1, 2):
        rest = []
        for rank in range(ranks):
            resumed = make(**arguments, num_replicas=ranks, rank=rank, pad=False)
            resumed.load_state_dict(state)
            rest.append(list(resumed))
        assert rest == [whole[7:][rank::ranks] for rank in range(ranks)]


@pytest.mark.parametrize(
    "other",
    [
        {"difficulty": DIFFICULTY[::-1]},
        {"order": "hard_first"},
        {"order": "random"},
        {"pacing": "linear"},
        {"c0": 0.02},
        {"p": 3},
        {"full_at": 0.6},
        {"grow": "epoch"},
        {"num_epochs": 5},
        {"labels": CLASSES},
    ],
)
def test_a_state_of_other_arguments_is_refused(other):
    with pytest.raises(StateError, match="of the same data and arguments"):
        make(**other).load_state_dict(make().state_dict(3))


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"difficulty": []}, ValueError, "difficulty must not be empty, got length 0"),
        ({"difficulty": [[1.0]]}, ValueError, r"difficulty must have shape \(N,\), got \(1, 1\)"),
        ({"difficulty": ["a"]}, TypeError, "difficulty must hold numbers, got dtype"),
        (
            {"difficulty": [0.0, math.nan, -1.0]},
            ValueError,
            r"difficulty must be finite and >= 0, got nan in row 1 \(2 such rows\)",
        ),
        ({"difficulty": [0, -2]}, ValueError, "difficulty must be .* got -2.0 in row 1"),
        (
            {"difficulty": Score(np.array([0, np.inf]), "harder")},
            ValueError,
            "difficulty must be finite, got inf in row 1",
        ),
        ({"num_epochs": 0}, ValueError, r"num_epochs must be in \[1, 2147483648\), got 0"),
        ({"num_samples": 0}, ValueError, r"num_samples must be in \[1, 4294967296\), got 0"),
        ({"c0": 0}, ValueError, r"c0 must be in \(0, 1\], got 0"),
        ({"c0": 1.5}, ValueError, r"c0 must be in \(0, 1\], got 1.5"),
        ({"p": 0.5}, ValueError, r"p must be in \[1, inf\), got 0.5"),
        ({"full_at": 0.0}, ValueError, r"full_at must be in \(0, 1\], got 0.0"),
        ({"pacing": "sqrt"}, ValueError, "pacing must be one of 'root', .*, got 'sqrt'"),
        ({"order": "easy"}, ValueError, "order must be one of .*, got 'easy'"),
        ({"grow": "batch"}, ValueError, "grow must be one of 'draw', 'epoch', got 'batch'"),
        (
            {"labels": CLASSES[1:]},
            ValueError,
            "labels must have the length of difficulty, 50, got 49",
        ),
        ({"labels": np.full(N, 0.5)}, ValueError, "labels must be class ids, got 0.5 in row 0"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        make(**arguments)
