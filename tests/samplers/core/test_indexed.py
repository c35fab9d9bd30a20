import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from sampling import Indexed
from sampling.samplers import ShuffleSampler


class Tens(Dataset):
    """Ten times the index; fetches batches itself and counts how often."""

    classes = ("a", "b")

    def __init__(self, size=12):
        self.size = size
        self.batches = 0

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return torch.tensor(index * 10)

    def __getitems__(self, indices):
        self.batches += 1
        return [self[each] for each in indices]


class Mappings(Dataset):
    def __init__(self, kind=dict):
        self.kind = kind

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.kind(x=index * 10.0)


def test_pairs():
    data = Indexed(["a", "b", "c"])
    assert len(data) == 3
    assert [data[i] for i in range(3)] == [(0, "a"), (1, "b"), (2, "c")]
    assert type(data[np.int64(1)][0]) is int
    assert data.__getitems__([2, 0]) == [(2, "c"), (0, "a")]


@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_key_is_added_to_a_copy(kind):
    samples = [kind(x=5), kind(x=6)]
    data = Indexed(samples, key="index")
    assert data[1] == {"x": 6, "index": 1}
    assert type(data[1]) is kind
    assert data.__getitems__([1, 0]) == [{"x": 6, "index": 1}, {"x": 5, "index": 0}]
    assert samples == [{"x": 5}, {"x": 6}]
    data[0]  # again: the dataset's own sample did not keep the key


def test_uses_the_datasets_own_batch_fetch():
    inner = Tens()
    loader = DataLoader(Indexed(inner), batch_size=4, sampler=ShuffleSampler(12, seed=1))
    for indices, values in loader:
        assert indices.dtype == torch.int64
        assert torch.equal(values, indices * 10)
    assert inner.batches == 3
    plain = DataLoader(Indexed(TensorDataset(torch.arange(12) * 10)), batch_size=5)
    for indices, (values,) in plain:
        assert torch.equal(values, indices * 10)


def test_a_batch_fetch_of_another_length_is_refused():
    class Short(Tens):
        def __getitems__(self, indices):
            return super().__getitems__(indices)[:-1]

    with pytest.raises(ValueError, match="zip"):
        Indexed(Short()).__getitems__([1, 2, 3])


def test_dict_batches_keep_the_index():
    loader = DataLoader(Indexed(Mappings(), key="index"), batch_size=4)
    for batch in loader:
        assert set(batch) == {"x", "index"}
        assert torch.equal(batch["x"], batch["index"] * 10.0)


def test_forwards_attributes():
    data = Indexed(Tens())
    assert data.classes == ("a", "b")
    assert data.size == 12
    assert Indexed(Subset(Tens(), [1, 5])).indices == [1, 5]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data.nothing
    assert not hasattr(data, "__array__")
    assert getattr(data, "nothing", 3) == 3


def test_outermost_over_a_subset():
    data = Indexed(Subset(Tens(), [7, 3]))
    assert len(data) == 2
    assert data[0] == (0, torch.tensor(70))
    assert data.__getitems__([1]) == [(1, torch.tensor(30))]


@pytest.mark.parametrize("key", [None, "index"])
@pytest.mark.parametrize(
    "copy_of",
    [
        copy.copy,
        copy.deepcopy,
        lambda data: pickle.loads(pickle.dumps(data, 2)),
        lambda data: pickle.loads(pickle.dumps(data)),
    ],
)
def test_copies_and_pickles(copy_of, key):
    """Delegating before `dataset` exists ends in a RecursionError."""
    data = copy_of(Indexed(Mappings(), key=key))
    assert data.key == key
    assert data[2] == ({"x": 20.0, "index": 2} if key else (2, {"x": 20.0}))
    assert data.kind is dict


def test_an_empty_shell_has_no_attributes():
    shell = Indexed.__new__(Indexed)
    with pytest.raises(AttributeError, match="no attribute 'dataset'"):
        _ = shell.dataset
    with pytest.raises(AttributeError, match="no attribute 'anything'"):
        _ = shell.anything


def total(samples):
    """A user's own collate function, at module level so that it pickles."""
    return sum(float(each) for each in samples)


def test_collate_keeps_a_users_function():
    loader = DataLoader(Indexed(Tens()), batch_size=4, collate_fn=Indexed.collate(total))
    batches = list(loader)
    assert [indices.tolist() for indices, _ in batches] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert all(indices.dtype == torch.int64 for indices, _ in batches)
    assert [value for _, value in batches] == [60.0, 220.0, 380.0]
    again = pickle.loads(pickle.dumps(Indexed.collate(total)))
    assert again([(3, 1.0), (1, 2.0)])[1] == 3.0


@pytest.mark.slow
def test_spawned_workers():
    data = Indexed(Tens())
    sampler = ShuffleSampler(data, seed=2)
    loader = DataLoader(
        data,
        batch_size=5,
        sampler=sampler,
        num_workers=1,
        multiprocessing_context="spawn",
        collate_fn=Indexed.collate(total),
    )
    seen = []
    for indices, value in loader:
        assert value == 10 * indices.sum()
        seen += indices.tolist()
    assert seen == sampler.indices(0).tolist()


def test_refuses_what_is_not_map_style():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    with pytest.raises(TypeError, match="dataset must be map-style, .* got Stream"):
        Indexed(Stream())
    with pytest.raises(TypeError, match="dataset must be map-style, .* got generator"):
        Indexed(each for each in range(3))


def test_refuses_samples_that_take_no_key():
    with pytest.raises(
        TypeError, match="samples must be mappings to take the key 'index', got Tensor in row 4"
    ):
        Indexed(Tens(), key="index")[4]
    with pytest.raises(ValueError, match="samples must not have the key 'x' yet, got it in row 2"):
        Indexed(Mappings(), key="x")[2]
