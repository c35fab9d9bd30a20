"""The memory of a stream: against the memories of STAMP and RoTTA, and where their code errs."""

import json
import math

import numpy as np
import pytest
import torch
from oracle_weighting import RottaTwin, StampTwin

from sampling import _rng
from sampling.batch_selection import ClassBalancedMemory
from sampling.errors import StateError

NAN = float("nan")


def stream(step, size=10, classes=4, scale=3.0):
    """Probabilities of a batch in which the first classes are frequent."""
    rows = np.random.default_rng(step).normal(0, scale, (size, classes))
    rows[: size // 2, step % min(2, classes)] += 2 * scale
    return torch.from_numpy(rows).softmax(1)


def certain(*labels, classes=3):
    return np.eye(classes)[list(labels)]


def picks(seed):
    """Choose a class as the memory does, for the sample of a number."""
    key = _rng.key(seed, 0, "class to evict from")
    return lambda number, k: int(_rng.uniform(_rng.subkey(key, number)) * k)


@pytest.mark.parametrize(
    ("options", "twin_options"),
    [
        ({"count": "ema"}, {}),
        ({"count": "ema", "evict": "highest_entropy"}, {"highest": True}),
        ({}, {"exact": True}),
    ],
)
def test_against_the_memory_of_stamp(options, twin_options):
    memory = ClassBalancedMemory(7, 4, seed=3, **options)
    pick, now = picks(3), [0]
    twin = StampTwin(7, 4, lambda k: pick(now[0], k), **twin_options)
    for step in range(12):
        chances = stream(step)
        labels = chances.argmax(1).tolist()
        reference = [0 if row % 5 == 4 else label for row, label in enumerate(labels)]
        for row in range(10):
            now[0] = 10 * step + row
            twin.add(now[0], chances[row].tolist(), labels[row], reference[row])
        memory.add(chances, reference=reference)
        assert sorted(memory.indices.tolist()) == twin.read()
        if not twin.exact:
            np.testing.assert_allclose(memory.class_counts, twin.average)
    held = {number: c for c, queue in enumerate(twin.queues) for number, _ in queue}
    assert {*zip(memory.indices.tolist(), memory.classes.tolist(), strict=True)} == {*held.items()}
    assert min(memory.num_unreliable, memory.num_disagreeing) > 0
    assert memory.num_offered == 120


@pytest.mark.parametrize(("capacity", "classes"), [(8, 4), (7, 4), (3, 5), (4, 1)])
def test_against_the_memory_of_rotta(capacity, classes):
    memory = ClassBalancedMemory(capacity, classes, evict="score")
    twin = RottaTwin(capacity, classes)
    for step in range(12):
        chances = stream(step, classes=classes, scale=1.0)
        if step == 3:
            chances[2] = NAN
        labels = chances.nan_to_num().argmax(1).tolist()
        for row in range(10):
            twin.add(10 * step + row, chances[row].tolist(), labels[row])
        memory.add(chances, classes=labels)
        assert sorted(memory.indices) == sorted(each[0] for each in twin.held)
        ages = dict(zip(memory.indices.tolist(), memory.ages.tolist(), strict=True))
        assert ages == {each[0]: each[3] for each in twin.held}
    found = dict(zip(memory.indices.tolist(), memory.weights().tolist(), strict=True))
    assert found == pytest.approx(twin.weights())
    assert memory.num_nonfinite == 1
    assert memory.num_unreliable == 0
    assert (memory.num_refused > 0) == (classes > 1)  # of one class, all entropies are 0


def test_more_classes_than_capacity_hold_one_sample_each():
    memory = ClassBalancedMemory(3, 5, evict="score")
    memory.add(certain(0, 0, 1, 1, 2, 2, 3, 4, classes=5))
    assert sorted(memory.classes.tolist()) == sorted(set(memory.classes.tolist()))
    assert len(memory) == 3


def test_slots_are_where_to_keep_the_samples():
    memory, samples = ClassBalancedMemory(4, 3), torch.zeros(4, dtype=torch.int64)
    for step in range(8):
        chances = stream(step, 6, 3, scale=8.0)
        numbers = torch.arange(6) + 100 * step
        slots = memory.add(chances, numbers)
        kept = slots >= 0
        assert len({*slots[kept].tolist()}) == kept.sum()  # a later row replaced the earlier one
        samples[slots[kept]] = numbers[kept]
        assert samples[: len(memory)].tolist() == memory.indices.tolist()


def test_while_the_average_is_zero_the_class_is_random():
    """The first fill: counts are exact only from the second batch on."""
    chosen = set()
    for seed in range(20):
        memory = ClassBalancedMemory(4, 3, count="ema", seed=seed)
        memory.add(certain(0, 0, 0, 1, 2))
        chosen.add(tuple(sorted(memory.classes.tolist())))
    assert chosen == {(0, 0, 1, 2), (0, 0, 0, 2)}
    exact = ClassBalancedMemory(4, 3)
    exact.add(certain(0, 0, 0, 1, 2))
    assert sorted(exact.indices.tolist()) == [1, 2, 3, 4]


def test_the_average_lags_behind_a_run_of_one_class():
    held = {}
    for count in ("ema", "exact"):
        memory = ClassBalancedMemory(12, 3, count=count)
        for label in (0, 1, 2):
            for _ in range(3):
                memory.add(certain(*[label] * 8))
        held[count] = np.bincount(memory.classes, minlength=3).tolist()
    assert max(held["exact"]) - min(held["exact"]) <= 2  # equal counts, and one at random
    assert held["ema"][2] > 6


def test_the_entropy_admits_and_does_not_evict_unless_asked():
    """In the released code of STAMP a low entropy is only the condition of admission."""
    sure, unsure = [0.99, 0.01, 0.0], [0.9, 0.1, 0.0]
    for evict, left in (("oldest", [1, 2]), ("highest_entropy", [0, 2])):
        memory = ClassBalancedMemory(2, 3, evict=evict)
        memory.add([sure, unsure, sure])
        assert sorted(memory.indices.tolist()) == left


def test_weights_of_a_memory_that_is_not_full_have_mean_1():
    """The released code scales them to sum 64, so the loss of 3 samples is 21 times too large."""
    memory = ClassBalancedMemory(64, 3)
    memory.add(certain(0, 1, 2))
    entropies = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    weights = memory.weights(entropies)
    raw = [math.exp(-each) for each in entropies.tolist()]
    assert weights.tolist() == pytest.approx([3 * each / sum(raw) for each in raw])
    weights[0].backward()  # they are not detached
    assert entropies.grad.abs().min() > 0
    assert memory.weights(entropies.detach().half()).dtype == torch.float16


def test_rows_that_are_not_finite_are_counted_and_age_the_others():
    memory = ClassBalancedMemory(4, 3)
    slots = memory.add([[1, 0, 0], [NAN, 0, 1], [math.inf, 0, 0]])
    assert slots.tolist() == [0, -1, -1]
    assert (memory.num_nonfinite, memory.num_offered, memory.ages.tolist()) == (2, 3, [3])


def test_an_empty_memory_and_an_empty_batch():
    memory = ClassBalancedMemory(4, 3)
    assert memory.add(torch.empty(0, 3)).shape == (0,)
    memory.add(np.full((5, 3), 1 / 3))
    assert (len(memory), memory.num_unreliable) == (0, 5)
    assert memory.weights().shape == memory.weights(torch.empty(0)).shape == (0,)
    assert memory.indices.dtype == np.int64


def test_a_probability_of_0_has_an_entropy():
    memory = ClassBalancedMemory(4, 3)
    memory.add(torch.tensor([[1.0, 0, 0]], dtype=torch.bfloat16))
    assert memory.entropies.tolist() == [0]


def test_classes_may_differ_from_the_highest_probability():
    memory = ClassBalancedMemory(4, 3)
    memory.add(certain(0, 1), classes=torch.tensor([2, 2]), reference=[2, 1])
    assert memory.classes.tolist() == [2]
    assert memory.num_disagreeing == 1


@pytest.mark.parametrize("options", [{"count": "ema"}, {"evict": "score"}])
def test_a_loaded_state_continues_as_the_memory_would(options):
    memory = ClassBalancedMemory(5, 4, seed=1, **options)
    ClassBalancedMemory(5, 4, seed=1, **options).load_state_dict(memory.state_dict())  # empty
    for step in range(4):
        memory.add(stream(step))
    state = json.loads(json.dumps(memory.state_dict()))
    again = ClassBalancedMemory(5, 4, seed=1, **options)
    again.load_state_dict(state)
    for step in range(4, 8):
        assert memory.add(stream(step)).tolist() == again.add(stream(step)).tolist()
    assert memory.state_dict() == again.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity": 6}, "capacity must be 5, got 6"),
        ({"seed": 9}, "seed must be 0, got 9"),
        ({"indices": [1] * 6}, "got another: number of samples must be in"),
        ({"classes": [9, 9]}, r"classes must be in \[0, 4\), got 9 in row 0"),
        ({"ages": [1]}, "ages must have the length of indices"),
        ({"ages": [1, 3]}, r"ages must be in \[0, 3\), got 3 in row 1"),
        ({"num_offered": -1}, "num_offered must be >= 0"),
        ({"entropies": [0.0]}, "got another"),
        ({"average": [0.0]}, "got another"),
        ({"classes": [0.5, 1.0]}, "classes must hold ints"),
        ({"ages": [1, 1]}, "ages must be above 0, and all different"),
        ({"ages": [0, 1]}, "ages must be above 0, and all different"),
        ({"entropies": [0.0, float("nan")]}, "entropies must be finite and >= 0, got nan"),
        ({"average": [0.0, -1.0, 0.0, 0.0]}, "average must be finite and >= 0, got -1"),
        ({"indices": [10**30, 1]}, "got another"),
        ({"indices": None}, "got another"),
        ({"num_refused": 9}, "not stored must be at most num_offered, 2, got"),
        ({"entropies": [0.0, 5.0]}, "entropies must be at most log num_classes, 1.386, got 5"),
        ({"average": [1e6] * 4}, "average must have a sum of at most the capacity, 5, got"),
    ],
)
def test_a_state_of_another_memory_is_refused(change, message):
    memory = ClassBalancedMemory(5, 4)
    memory.add(certain(0, 1, classes=4))
    before = memory.state_dict()
    with pytest.raises(StateError, match=message):
        memory.load_state_dict({**before, **change})
    assert memory.state_dict() == before
    with pytest.raises(StateError, match=r"missing \['seed'\]"):
        memory.load_state_dict({name: each for name, each in before.items() if name != "seed"})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ClassBalancedMemory(0, 3), ValueError, "capacity must be >= 1, got 0"),
        (lambda: ClassBalancedMemory(4, 0), ValueError, "num_classes must be >= 1, got 0"),
        (lambda: ClassBalancedMemory(4, 1), ValueError, "entropy_limit must be given for num_cl"),
        (lambda: ClassBalancedMemory(4, 3, evict="last"), ValueError, "evict must be"),
        (lambda: ClassBalancedMemory(4, 3, count="sum"), ValueError, "count must be"),
        (
            lambda: ClassBalancedMemory(4, 3, score_weights=[1]),
            ValueError,
            r"score_weights must be two numbers, of age and of entropy, got \[1\]",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).add(np.ones((2, 4))),
            ValueError,
            r"probabilities must have shape \(B, 3\), a column for each class, got \(2, 4\)",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).add([[1, 0, 0], [3.0, -1.0, 0.5]]),
            ValueError,
            r"got -1 to 3 with sum 2.5 in row 1: give logits.softmax\(1\)",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).add(certain(0, 1), classes=[0, 3]),
            ValueError,
            r"classes must be in \[0, 3\), got 3 in row 1",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).add(certain(0, 1), indices=[5]),
            ValueError,
            "indices must have the length of probabilities, 2, got 1",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).weights(torch.ones(2)),
            ValueError,
            r"one for each of the 0 stored samples, got torch.float32 of shape \(2,\)",
        ),
        (
            lambda: ClassBalancedMemory(4, 3).weights([0.5]),
            TypeError,
            "entropies must be a tensor, got list",
        ),
    ],
)
def test_what_cannot_work_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_empty_memory_is_saved_and_no_mapping_is_a_state():
    memory = ClassBalancedMemory(5, 4)
    memory.load_state_dict(memory.state_dict())
    assert len(memory) == 0
    with pytest.raises(StateError, match="state must be a mapping, got NoneType"):
        memory.load_state_dict(None)


def test_entropies_of_a_broken_model_have_no_weights():
    memory = ClassBalancedMemory(5, 4)
    memory.add(certain(0, 1, classes=4))
    with pytest.raises(ValueError, match="entropies must be finite"):
        memory.weights(torch.tensor([0.0, float("inf")]))
