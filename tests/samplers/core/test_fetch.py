"""Whole batches from `Indexed`: what each kind of dataset gives for a list of indices."""

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, StackDataset, Subset, TensorDataset

from sampling import Indexed
from sampling.integrations import check_loader
from sampling.samplers import EpochBatchSampler, ShuffleSampler

N = 23
X = torch.arange(N * 2.0).reshape(N, 2)
Y = torch.arange(N) % 3
ROWS = [7, 0, 22, 7]
TABLE = pa.table({"x": list(range(N)), "word": [f"w{i}" for i in range(N)]})


class Single(Dataset):
    """Gives single samples only, and refuses anything but an int."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        assert type(index) is int
        return X[index], int(Y[index])


class Fetching(Single):
    """Fetches samples by `__getitems__`."""

    def __getitems__(self, indices):
        return [self[each] for each in indices]


class Whole(Single):
    """Fetches batches by `__getitems__`."""

    def __getitems__(self, indices):
        return {"x": X[indices], "n": len(indices)}


class Changed(TensorDataset):
    """A `TensorDataset` whose samples are not the rows of its tensors."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + 1, y


PAIRS = {
    "tensors": TensorDataset(X, Y),
    "single": Single(),
    "fetching": Fetching(),
    "stack": StackDataset(X, Y),
    "subset": Subset(TensorDataset(X, Y), range(N)),
    "subset of single": Subset(Single(), range(N)),
    "subset of subset": Subset(Subset(TensorDataset(X, Y), torch.arange(N).flip(0)),
                               list(range(N))[::-1]),
    "list": [(X[i], int(Y[i])) for i in range(N)],
}  # fmt: skip


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_come_as_a_collated_batch(kind):
    for rows in (ROWS, torch.tensor(ROWS), np.array(ROWS, np.int32), tuple(ROWS)):
        indices, (x, y) = Indexed(PAIRS[kind])[rows]
        assert indices.dtype == torch.int64 and indices.tolist() == ROWS
        assert torch.equal(x, X[ROWS]) and torch.equal(y, Y[ROWS])
    samples = Indexed(PAIRS[kind]).__getitems__(ROWS)
    assert [index for index, _ in samples] == ROWS
    assert all(torch.equal(x, X[i]) and int(y) == int(Y[i]) for i, (x, y) in samples)


def test_a_redefined_access_is_not_passed_over():
    x = Indexed(Changed(X, Y))[ROWS][1][0]
    assert torch.equal(x, X[ROWS] + 1)
    assert torch.equal(Indexed(Changed(X, Y)).__getitems__(ROWS)[0][1][0], X[7] + 1)


def test_a_batch_of_the_datasets_own_making_is_passed_on():
    batch = Indexed(Whole())[ROWS][1]
    assert torch.equal(batch["x"], X[ROWS]) and batch["n"] == 4
    marked = Indexed(Whole(), key="at")[torch.tensor(ROWS)]
    assert marked["at"].tolist() == ROWS and marked["n"] == 4


def test_arrays_and_tensors():
    assert torch.equal(Indexed(X)[ROWS][1], X[ROWS])
    assert np.array_equal(Indexed(X.numpy())[ROWS][1], X[ROWS].numpy())
    indices, x = Indexed(X)[[]]
    assert indices.dtype == torch.int64 and x.shape == (0, 2)


def test_tables_and_frames():
    for data in (TABLE, TABLE.to_pandas()):
        assert Indexed(data)[3] == (3, {"x": 3, "word": "w3"})
        batch = Indexed(data)[ROWS][1]
        assert type(batch) is type(data) and list(batch["x"]) == list(data["x"].take(ROWS))
        marked = Indexed(data, key="at")[ROWS]
        assert [int(str(each)) for each in marked["at"]] == ROWS
        with pytest.raises(ValueError, match="must not have the key 'word' yet, got it in row 7"):
            Indexed(data, key="word")[ROWS]
    assert Indexed(TABLE.to_pandas()["word"])[3] == (3, "w3")


def test_pieces_and_batches_of_tables():
    piece = Subset(TABLE.to_pandas(), [5, 6])
    assert Indexed(piece)[1] == (1, {"x": 6, "word": "w6"})
    assert Indexed(Subset(TABLE, [5, 6])).__getitems__([0]) == [(0, {"x": 5, "word": "w5"})]
    (batch,) = TABLE.to_batches()
    assert Indexed(batch, key="at")[ROWS]["at"].to_pylist() == ROWS
    assert Indexed(TABLE)[[]][1].num_rows == 0


@pytest.mark.parametrize("kind", [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_numbers(kind):
    values = torch.arange(N).to(kind)
    assert Indexed(values)[ROWS][1].tolist() == ROWS
    samples = Indexed(TensorDataset(values)).__getitems__(ROWS)
    assert [int(each) for _, (each,) in samples] == ROWS
    assert Indexed(np.arange(N).astype(">f4"))[np.array(ROWS)[::-1]][1].dtype == np.float32


def test_a_batch_is_not_taken_for_samples():
    with pytest.raises(TypeError, match="must return a list of samples .* batch_size=None"):
        Indexed(Whole()).__getitems__([0, 1])


def test_hugging_face():
    data = datasets.Dataset(TABLE)
    assert Indexed(data)[ROWS][1] == {"x": ROWS, "word": [f"w{i}" for i in ROWS]}
    batch = Indexed(data.with_format("torch"), key="at")[ROWS]
    assert batch["x"].tolist() == batch["at"].tolist() == ROWS
    chosen = data.select([5, 6, 7])
    assert Indexed(chosen)[[2, 0]][1]["x"] == [7, 5]


@pytest.mark.parametrize("kind", [*PAIRS, "hugging face", "table", "array"])
def test_a_given_collate_function_gets_the_samples_of_any_dataset(kind):
    data = {**PAIRS, "hugging face": datasets.Dataset(TABLE), "table": TABLE, "array": X}[kind]
    found = Indexed(data, collate_fn=lambda samples: samples)[ROWS][1]
    assert type(found) is list and len(found) == 4
    for i, sample in zip(ROWS, found, strict=True):
        if kind == "array":
            assert torch.equal(sample, X[i])
        elif isinstance(sample, dict):
            assert sample == {"x": i, "word": f"w{i}"}
        else:
            assert torch.equal(sample[0], X[i]) and int(sample[1]) == Y[i]


def test_what_check_loader_says_of_loaders_without_a_batch_size():
    batches = EpochBatchSampler(ShuffleSampler(N), 4)
    pairs = Indexed.collate(list)
    loader = DataLoader(Indexed(X), sampler=batches, batch_size=None, collate_fn=pairs)
    assert [each.problem for each in check_loader(loader)] == ["pairs expected"]
    loader = DataLoader(Indexed(X), sampler=batches, batch_size=4)
    (problem,) = check_loader(loader)
    assert problem.problem == "batches of batches" and "batch_size=None" in problem.advice


@pytest.mark.parametrize(
    "data", [X, TensorDataset(X), list(range(N)), TABLE, TABLE.to_pandas(), Subset(X, range(N)),
             datasets.Dataset(TABLE)], ids=lambda data: type(data).__name__
)  # fmt: skip
def test_rows_from_the_end_and_beyond(data):
    whole = Indexed(data, collate_fn=list)
    assert whole[-1][0] == whole[[-1]][0].item() == whole.__getitems__([-1])[0][0] == N - 1
    assert str(whole[-1][1]) == str(whole[[-1]][1][0]) == str(whole[N - 1][1])
    for wrong in (lambda: whole[N], lambda: whole[[0, N]], lambda: whole.__getitems__([0, N])):
        with pytest.raises(
            IndexError, match=rf"in \[0, {N}\), the rows of the dataset, got {N}: make"
        ):
            wrong()
    for wrong in (lambda: whole[-N - 1], lambda: whole[[0, -N - 1]]):
        with pytest.raises(IndexError, match=rf"in \[-{N}, {N}\), got -{N + 1}"):
            wrong()


def test_samples_that_need_a_collate_function():
    words = ["a", "bcd", "ef"]
    with pytest.raises(TypeError, match=r"give Indexed\(dataset, collate_fn=...\)"):
        Indexed([torch.ones(3), torch.ones(2)])[[0, 1]]
    assert Indexed(words, collate_fn="+".join)[[2, 0]][1] == "ef+a"
    with pytest.raises(TypeError, match=r"Indexed\(dataset, collate_fn="):
        Indexed.collate("+".join)(Indexed(words)[[2, 0]])


@pytest.mark.parametrize("rows", [[1.5], ["a"], [[1]], [True, False], "ab", None, 1.0, slice(2)])
def test_refused_indices(rows):
    with pytest.raises(TypeError, match="indices must be an int, or a list, tensor or array"):
        Indexed(X)[rows]


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader_with_workers(workers):
    sampler = EpochBatchSampler(ShuffleSampler(N, seed=1), 4)
    context = "fork" if workers else None
    loader = DataLoader(
        Indexed(TensorDataset(X, Y)),
        sampler=sampler,
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=context,
    )
    assert not check_loader(loader, sampler) and len(loader) == 6
    for epoch in range(2):
        sampler.set_epoch(epoch)
        drawn = [(indices, x, y) for indices, (x, y) in loader]
        assert [each.tolist() for each, _, _ in drawn] == sampler.batches(epoch)
        assert all(torch.equal(x, X[i]) and torch.equal(y, Y[i]) for i, x, y in drawn)
