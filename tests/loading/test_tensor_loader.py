import copy
import pickle

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling._check._rows import Rows
from sampling.integrations import check_loader
from sampling.loading import TensorLoader
from sampling.samplers import (
    AdaptiveBatchSampler,
    ClassesPerBatchSampler,
    EpochBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    SubsetSampler,
    load_state,
    save_state,
)

SIZE = 103
X = torch.arange(SIZE * 6, dtype=torch.float32).reshape(SIZE, 3, 2)
Y = torch.arange(SIZE) % 5


def loader(*tensors, sampler=None, batch_size=8, **options):
    return TensorLoader(sampler or ShuffleSampler(SIZE, seed=3), batch_size, *tensors, **options)


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_batches_of_a_dataloader(drop_last):
    ours = loader(X, Y, drop_last=drop_last)
    batches = EpochBatchSampler(ShuffleSampler(SIZE, seed=3), 8, drop_last)
    theirs = DataLoader(Indexed(TensorDataset(X, Y)), batch_sampler=batches)
    assert len(ours) == len(theirs)
    for epoch in range(2):
        ours.set_epoch(epoch)
        batches.set_epoch(epoch)
        for (indices, (x, y)), (others, (xs, ys)) in zip(ours, theirs, strict=True):
            assert indices.dtype == torch.int64 and torch.equal(indices, others)
            assert torch.equal(x, xs) and torch.equal(y, ys)


def test_what_is_yielded_has_the_form_of_what_was_given():
    indices, x = next(iter(loader(X)))
    assert torch.equal(x, X[indices])
    indices, batch = next(iter(loader({"x": X, 1: Y})))
    assert list(batch) == ["x", 1]
    assert torch.equal(batch["x"], X[indices]) and torch.equal(batch[1], Y[indices])
    indices, batch = next(iter(loader(X, Y, transform=lambda both: both[0].flip(2))))
    assert torch.equal(batch, X[indices].flip(2))


def test_ranks_take_whole_batches():
    seen = []
    for rank in range(3):
        own = loader(Y, sampler=ShuffleSampler(SIZE, seed=3, num_replicas=3, rank=rank, pad=False))
        seen.append([indices.tolist() for indices, _ in own])
    whole = [indices.tolist() for indices, _ in loader(Y)]
    assert [seen[number % 3][number // 3] for number in range(len(whole))] == whole


@pytest.mark.parametrize("dynamic", [False, True])
def test_resume_without_a_count(tmp_path, dynamic):
    def made():
        sampler = InfoBatchSampler(SIZE, 4, seed=3) if dynamic else ShuffleSampler(SIZE, seed=3)
        return loader(Y, sampler=sampler)

    def run(own, stop=None):
        drawn = []
        for epoch in range(own.sampler.epoch, 3):
            own.set_epoch(epoch)
            for number, (indices, _) in enumerate(own, 1):
                own.sampler.reduce(indices % 7 + 0.1 * epoch, indices)
                drawn.append((epoch, indices.tolist()))
                if (epoch, number) == stop:
                    save_state(own.sampler, tmp_path / "state.safetensors")
                    return drawn
        return drawn

    whole = run(made())
    first = run(made(), stop=(1, 4))
    again = made()
    load_state(again.sampler, tmp_path / "state.safetensors")
    assert first + run(again) == whole


def test_the_epoch_is_read_when_iter_is_called():
    own = loader(Y)
    begun = iter(own)
    own.set_epoch(1)
    assert next(begun)[0].tolist() == next(iter(loader(Y)))[0].tolist()


def test_batch_samplers_have_their_own_sizes():
    sampler = ClassesPerBatchSampler(Y.numpy(), classes_per_batch=2, samples_per_class=3, seed=1)
    for indices, y in loader(Y, sampler=sampler, batch_size=None):
        assert y.unique().numel() == 2 and len(indices) == 6
    sampler = AdaptiveBatchSampler(ShuffleSampler(SIZE, seed=3), 4)
    sizes = []
    for indices, _ in loader(Y, sampler=sampler, batch_size=None):
        sizes.append(len(indices))
        sampler.set_batch_size(50)
    assert sizes == [4, 50, 49]


def test_what_people_have(tmp_path):
    np.save(tmp_path / "x.npy", X.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    frame = pa.table({"a": range(SIZE), "b": range(SIZE)}).to_pandas()
    rows = Rows(tmp_path / "x.npy", (SIZE, 6), np.float32, offset=128)
    big, back = np.arange(SIZE, dtype=">f4"), np.arange(SIZE)[::-1]
    given = {"m": mapped, "f": frame, "s": frame["a"], "r": rows, "big": big, "back": back,
             "list": list(range(SIZE)), "bf16": X.bfloat16(), "grad": X.clone().requires_grad_(),
             "bool": Y > 2, "u16": torch.arange(SIZE).to(torch.uint16),
             "dataset": pa.array(range(SIZE))}  # fmt: skip
    indices, batch = next(iter(loader(given)))
    at = indices.numpy()
    assert torch.equal(batch["m"], X[indices]) and torch.equal(batch["r"], X[indices].flatten(1))
    assert batch["f"].tolist() == [[i, i] for i in indices] and batch["s"].tolist() == at.tolist()
    assert batch["big"].tolist() == at.tolist() == batch["list"].tolist()
    assert batch["back"].tolist() == (SIZE - 1 - at).tolist()
    assert batch["bf16"].dtype == torch.bfloat16 and not batch["grad"].requires_grad
    assert batch["u16"].dtype == torch.uint16 and batch["u16"].tolist() == at.tolist()
    assert batch["bool"].dtype == torch.bool and batch["dataset"].tolist() == at.tolist()


def test_a_tensor_dataset_or_one_tuple():
    for given in (TensorDataset(X, Y), Indexed(TensorDataset(X, Y)), (X, Y)):
        indices, (x, y) = next(iter(loader(given)))
        assert torch.equal(x, X[indices]) and torch.equal(y, Y[indices])


def test_what_is_no_numbers_is_told_with_its_remedy():
    sparse = pytest.importorskip("scipy.sparse")
    frame = pa.table({"a": range(SIZE), "b": [True] * SIZE}).to_pandas()
    fields = np.zeros(SIZE, [("x", "f4"), ("y", "f4")])
    gaps = np.array([True, None] + [False] * (SIZE - 2), object)
    for given, message in (
        (sparse.eye(SIZE).tocsr(), r"a sparse csr_matrix: give its toarray\(\)"),
        (fields, "a structured array of 'x', 'y': give one of its fields"),
        (np.zeros(SIZE, np.longdouble), "which torch does not have: give it as float64"),
        (frame, "columns of bool and int64: make them one dtype"),
        (gaps, "dtype object with missing values: fill them"),
        (np.array(["a"] * SIZE), "number classes, as with numpy.unique"),
    ):
        with pytest.raises(TypeError, match=r"tensors\[0\] must hold numbers, got .*" + message):
            loader(given)
    with pytest.raises(TypeError, match=r"batch_size must be an int, got <float32 \(103, 3, 2\)>$"):
        TensorLoader(ShuffleSampler(SIZE), X, Y)


def test_a_loader_is_no_sampler_to_save(tmp_path):
    with pytest.raises(TypeError, match="got TensorLoader: give its `sampler`"):
        save_state(loader(Y), tmp_path / "state.safetensors")
    with pytest.raises(TypeError, match="sampler must be a sampler or batch sampler .*Dataset"):
        TensorLoader(TensorDataset(X), 8, X)


def test_batches_are_on_the_device():
    indices, (x, y) = next(iter(loader(X, Y, device="meta")))
    assert x.is_meta and y.is_meta and indices.is_cpu
    for bad in ("gpu", "cuda:99"):
        with pytest.raises(RuntimeError, match="device|CUDA"):
            loader(X, device=bad)


def test_subset_of_a_larger_dataset():
    own = loader(Y, sampler=SubsetSampler([3, 5, 90], seed=0), batch_size=2)
    assert sorted(i for indices, _ in own for i in indices.tolist()) == [3, 5, 90]


def test_it_is_checked_like_any_loader():
    own = loader(X, Y)
    assert not check_loader(own, own.sampler)
    assert not check_loader(own)


def test_copies_begin_their_epoch():
    own = loader(Y)
    expected = [indices.tolist() for indices, _ in own]
    for copied in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        assert [indices.tolist() for indices, _ in copied] == expected


@pytest.mark.parametrize(
    ("tensors", "options", "error", "message"),
    [
        ((), {}, ValueError, "tensors must be given, at least one, got none"),
        (({},), {}, ValueError, "at least one"),
        ((X, Y[:50]), {}, ValueError, r"tensors\[1\] must have the length .* 103, got 50"),
        ((Y[:50],), {}, ValueError, "sampler must be made for the 50 samples of the tensors"),
        (
            (np.array(["a"] * SIZE),),
            {},
            TypeError,
            r"\[0\] must hold numbers, got dtype <U1",
        ),
        (({"y": "abc"},), {}, (TypeError, ValueError), "tensors"),
        ((torch.tensor(3),), {}, ValueError, "a number alone"),
        ((Y,), {"batch_size": None}, ValueError, "batch_size must be given"),
        ((Y,), {"batch_size": 0}, ValueError, "batch_size must be"),
        ((Y,), {"transform": 3}, TypeError, "transform must be a function"),
        ((Y,), {"drop_last": "no"}, TypeError, "drop_last must be"),
        ((Y,), {"sampler": torch.utils.data.SequentialSampler(Y)}, TypeError, "of this package"),
    ],
)
def test_refused(tensors, options, error, message):
    with pytest.raises(error, match=message):
        loader(*tensors, **options)
    batches = EpochBatchSampler(ShuffleSampler(SIZE, seed=3), 8)
    with pytest.raises(ValueError, match="batch_size must be None"):
        TensorLoader(batches, 8, Y)


def test_torchs_default_device_changes_nothing(tmp_path):
    def run():
        sampler = InfoBatchSampler(SIZE, 4, seed=3)
        drawn = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            for indices, x in loader(X, sampler=sampler):
                assert sampler.reduce(x[:, 0, 0] * (indices % 7), indices).is_cpu
                drawn.append(indices.tolist())
        save_state(sampler, tmp_path / "state.safetensors")
        drawn.append(Indexed(TensorDataset(X))[[4, 2]][1][0].tolist())
        return drawn

    expected = run()
    torch.set_default_device("meta")
    try:
        assert run() == expected
    finally:
        torch.set_default_device(None)
