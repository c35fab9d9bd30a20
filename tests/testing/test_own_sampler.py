"""A sampler of somebody else's, as in docs/examples: public names alone, then every check."""

import ast
import subprocess
import sys
from collections import deque
from pathlib import Path

import numpy as np
import pytest
import torch

from sampling.errors import StateError
from sampling.samplers import (
    EpochSampler,
    Groups,
    InfoBatchSampler,
    ScoredSampler,
    full_state,
    load_full_state,
    load_state,
    random_key,
    save_state,
)
from sampling.samplers._registry import SAMPLERS
from sampling.samplers.tables import DrawTable, KeptTable, ListTable, ShuffledTable, WeightedTable
from sampling.testing import check_sampler
from sampling.testing._every_sampler import BATCH_CASES, DRAW_CASES

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LABELS = np.arange(61) ** 2 % 7


def example():
    sys.path.insert(0, str(EXAMPLES))
    try:
        from focal_class_sampler import FocalClassSampler
    finally:
        sys.path.remove(str(EXAMPLES))
    return FocalClassSampler


def test_the_example_uses_public_names_alone():
    for path in EXAMPLES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("sampling"):
                assert "._" not in node.module
                assert not any(alias.name.startswith("_") for alias in node.names)
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_") or node.attr == "__init__"


def test_the_example_passes_every_check():
    own = example()
    report = check_sampler(lambda **options: own(LABELS, **options))
    assert report


def test_the_example_draws_classes_by_their_mean_loss():
    sampler = example()(np.repeat([0, 1], 50))
    sampler.record(np.arange(100), torch.tensor([1.0, 3.0]).repeat_interleave(50))
    sampler.set_epoch(1)
    drawn = np.array(list(sampler))
    assert (drawn < 50).sum() == 25
    weights = sampler.importance_weights(np.unique(drawn))
    assert weights[0] == pytest.approx(2.0)
    assert weights[-1] == pytest.approx(2 / 3)


def test_the_example_resumes_in_a_new_process_and_not_into_other_data(tmp_path):
    own = example()
    sampler = own(LABELS, gamma=2.0, seed=3)
    sampler.record(np.arange(61), np.sin(np.arange(61.0)) + 2)
    sampler.set_epoch(1)
    save_state(sampler, tmp_path / "state.safetensors", 20)
    code = (
        "import sys, numpy as np\n"
        f"sys.path.insert(0, {str(EXAMPLES)!r})\n"
        "from focal_class_sampler import FocalClassSampler\n"
        "from sampling.samplers import load_state\n"
        "sampler = FocalClassSampler(np.arange(61) ** 2 % 7, gamma=2.0, seed=3)\n"
        f"load_state(sampler, {str(tmp_path / 'state.safetensors')!r})\n"
        "print(*sampler)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [int(each) for each in ran.stdout.split()] == sampler.indices(1, 20).tolist()
    for other, message in [
        (own(LABELS[::-1], gamma=2.0, seed=3), "labels of the values here"),
        (own(LABELS, gamma=1.0, seed=3), "gamma=1.0, got gamma=2.0"),
    ]:
        with pytest.raises(StateError, match=message):
            load_state(other, tmp_path / "state.safetensors")


# ---- what identifies a sampler -------------------------------------------------------------------


class Static(EpochSampler):
    """Draws what it is given, and forgets to say what that is."""

    def __init__(self, data, **options):
        self.count = 5
        super().__init__(5, 5, **options)

    def table(self, epoch):
        return ShuffledTable(5, 5, random_key(self.seed, epoch, "static"))


class Named(Static):
    def identity(self):
        return {"data": "the second version"}


DATA = {
    "array": (np.arange(5.0), np.arange(5.0) + 1),
    "dtype": (np.arange(5.0), np.arange(5.0, dtype=np.float32)),
    "tensor": (torch.zeros(3), torch.ones(3)),
    "list": ([1] * 99 + [2], [1] * 99 + [3]),
    "names": (["a", None, "b"], ["a", "b", None]),
    "nested": ({"a": [1, np.zeros(2)]}, {"a": [1, np.ones(2)]}),
    "number": (0.5, 0.25),
    "nan": (float("nan"), 1.0),
    "objects": (np.array(["a", "b"], object), np.array(["a", "c"], object)),
    "set": ({1, 2}, {3, 4}),
    "range": (range(3), range(1, 4)),
    "bytes": (bytearray(b"ab"), bytearray(b"ac")),
    "deque": (deque([1, 2]), deque([1, 3])),
    "keys": ({"a": 1}.keys(), {"b": 1}.keys()),
    "groups": (Groups("l", [0, 1, 0]), Groups("l", [0, 1, 1])),
    "sampler": (InfoBatchSampler(5, 3, seed=1), InfoBatchSampler(5, 3, seed=2)),
    "key types": ({1: "a"}, {"1": "a"}),
    "dtype itself": (np.dtype(np.int32), np.dtype(np.int64)),
    "date": (np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
    "complex": (1j, 2j),
    "length": (torch.utils.data.TensorDataset(torch.zeros(3)), [0, 0]),
}


@pytest.mark.parametrize("name", DATA)
def test_a_state_is_refused_with_other_arguments(name):
    one, other = DATA[name]
    Static(one).load_state_dict(Static(one).state_dict())
    with pytest.raises(StateError, match="of the same data and arguments, data"):
        Static(other).load_state_dict(Static(one).state_dict())


def test_arguments_count_as_they_were_when_it_was_made():
    given = np.arange(5.0)
    sampler = Static(given)
    given[0] = 9
    Static(np.arange(5.0)).load_state_dict(sampler.state_dict())


@pytest.mark.parametrize(
    "given",
    [
        len,
        np.float32,
        np.random.Generator(np.random.PCG64(0)),
        (i for i in "ab"),
        torch.nn.Sequential(torch.nn.ReLU()),
        torch.zeros(3).to_sparse(),
        np.ma.masked_array([1, 2], [True, False]),
        [1, len],
        np.array([len], object),
    ],
    ids=lambda given: type(given).__name__,
)
def test_an_argument_that_nothing_identifies_must_be_named_at_the_first_save(given):
    sampler = Static(given)  # not here
    assert len(list(sampler)) == 5
    with pytest.raises(TypeError, match=r"identity\(\) of Static must name the argument 'data', a"):
        sampler.state_dict()
    with pytest.raises(TypeError, match="must name the argument 'data'"):
        sampler.load_state_dict(Static(1).state_dict())
    Named(given).load_state_dict(Named(1).state_dict())


class Hostile:
    """What a dataset without a length does, as torch's data pipes."""

    def __len__(self):
        raise TypeError("object has no len()")

    def __getitem__(self, index):
        raise NotImplementedError


def test_an_argument_that_raises_hides_no_other():
    class Two(Static):
        def __init__(self, data, labels):
            super().__init__(1)

        def identity(self):
            return {"data": "a stream"}

    endless = []
    endless.append(endless)
    for data in (Hostile(), endless):
        with pytest.raises(TypeError, match="must name the argument 'data'"):
            Static(data).state_dict()
        with pytest.raises(StateError, match="labels=2"):
            Two(data, 2).load_state_dict(Two(data, 1).state_dict())


def test_ranks_and_counters_are_no_part_of_the_identity():
    state = Static(1, num_replicas=2, rank=1, drop_last=True).state_dict()
    Static(1).load_state_dict(state)


def test_arguments_that_a_subclass_of_ours_adds_are_part_of_it():
    class More(InfoBatchSampler):
        def __init__(self, size, num_epochs, extra, **options):
            super().__init__(size, num_epochs, **options)

    same = More(9, 4, extra=1).state_dict()
    More(9, 4, extra=1).load_state_dict(same)
    for other, what in [(More(9, 4, extra=2), "extra=2"), (More(9, 4, 1, drop_prob=0.2), "drop")]:
        with pytest.raises(StateError, match=what):
            other.load_state_dict(same)


def test_constructors_that_python_makes_or_that_come_from_elsewhere():
    class Takes:
        def __init__(self, data):
            super().__init__(5, 5)

    class Mixed(Takes, EpochSampler):
        def table(self, epoch):
            return ShuffledTable(5, 5, random_key(self.seed, epoch, "mixed"))

    class Scored(ScoredSampler):
        def scored_table(self, epoch, scores):
            return ShuffledTable(self.size, self.size, random_key(self.seed, epoch, "scored"))

    class Seeded(Static):
        def __init__(self, rank=0):
            super().__init__(1)

    for one, other, what in [
        (Mixed(1), Mixed(2), "data=2"),
        (Scored(8, score_ema=0.5), Scored(8, score_ema=0.25), "score_ema=0.25"),
        (Seeded(2), Seeded(3), "rank=3"),  # an argument of its own, which is no option
    ]:
        with pytest.raises(StateError, match=what):
            other.load_state_dict(one.state_dict())


@pytest.mark.parametrize("named", [{"data": torch.ones(2)}, {"data": {1, 2}}, {"data": Path("a")}])
def test_an_identity_of_any_kind_of_values(named):
    class Own(Static):
        def identity(self):
            return named

    Own(len).load_state_dict(Own(len).state_dict())


def test_an_identity_that_names_nothing():
    class Own(Static):
        def identity(self):
            return None

    with pytest.raises(TypeError, match="of Own must return a mapping of arguments to values, got"):
        Own(1).state_dict()


class Short(DrawTable):
    size, population = 8, 8

    def take(self, slots):
        return slots[:-1]

    def expected(self, indices):
        return np.ones(indices.size)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda: np.arange(4), TypeError, "must be a draw table, got ndarray: ListTable"),
        (lambda: None, TypeError, "must be a draw table, got NoneType"),
        (lambda: ListTable(np.array([1, 2, 3, 99]), 8), ValueError, r"in \[0, 8\), got 99"),
        (lambda: ListTable(np.array([-1, 2, 3, 1]), 8), ValueError, r"in \[0, 8\), got -1"),
        (lambda: ListTable(np.array([True, False]), 8), TypeError, "samples must be ints"),
        (lambda: ListTable(np.array([1.0, 2.0]), 8), TypeError, "samples must be ints"),
        (
            lambda: ListTable(np.arange(4), 8, np.ones(4)),
            ValueError,
            "the length of the data, 8, got 4",
        ),
        (
            lambda: ListTable(np.arange(4), 8, np.full(8, np.nan)),
            ValueError,
            "expected must be fin",
        ),
        (lambda: ListTable(np.arange(4), 0), ValueError, "population of the table must be >= 1"),
        (
            lambda: ShuffledTable(9, 4, np.uint64(1)),
            ValueError,
            "over the 8 samples of the sampler",
        ),
        (lambda: WeightedTable(np.ones(6), 4, np.uint64(1)), ValueError, "over the 8 samples"),
        (lambda: KeptTable.of(np.ones(9, bool)), ValueError, "over the 8 samples"),
        (lambda: KeptTable.of(np.array([3, 5])), TypeError, "kept must be a mask, bool"),
        (lambda: KeptTable.of(np.ones(8, bool), 50.0), ValueError, r"share must be in \(0, 1\]"),
        (Short, ValueError, "must draw ints, one for each slot"),
    ],
)
def test_tables_that_do_not_fit_are_refused_when_an_epoch_is_planned(made, error, message):
    class Own(EpochSampler):
        def table(self, epoch):
            return made()

    with pytest.raises(error, match=message):
        list(Own(8, 4))


def test_draws_that_are_not_those_of_the_table():
    class Lies(Static):
        def draws(self, epoch):
            return 4 + epoch

    with pytest.raises(ValueError, match=r"draws\(epoch\) slots, 4, got 5 in epoch 0 of Lies"):
        list(Lies(1))


def test_plans_that_differ_only_in_how_they_are_drawn():
    class Own(ScoredSampler):
        def scored_table(self, epoch, scores):
            return ListTable(np.arange(6), 6, np.ones(6, np.float32))

    full = full_state(Own(6))
    for name, change in (("table.words", 1), ("table.expected", 0)):
        arrays = {key: each.copy() for key, each in full["arrays"].items()}
        arrays[name][change] += 1
        with pytest.raises(StateError, match="arrays must give plan"):
            load_full_state(Own(6), {**full, "arrays": arrays})
    with pytest.raises(StateError, match="must have num_nonfinite of"):
        load_full_state(Own(6), {**full, "notes": {"table": "ListTable"}})
    load_full_state(Own(6), full)


def test_a_table_of_another_length_is_refused():
    class Few(Static):
        def table(self, epoch):
            return ListTable(np.arange(3), 5)

    with pytest.raises(
        ValueError, match=r"table\(epoch\) must have draws\(epoch\) slots, 5, got 3"
    ):
        list(Few(1))


def test_a_sampler_without_a_table_cannot_be_made():
    class Empty(EpochSampler):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Empty(3, 3)
    assert DrawTable.__abstractmethods__ == {"take", "expected"}


def test_every_sampler_of_the_registry_has_a_case_for_the_contract():
    assert {*DRAW_CASES, *BATCH_CASES} == set(SAMPLERS)
    for name in SAMPLERS:
        assert SAMPLERS[name].module.rpartition("._")[0] in (
            "static",
            "dynamic",
            "mixture",
            "batches",
        )
