import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from sampling.bench.tasks import _builtin
from sampling.bench.tasks._builtin import load
from sampling.bench.tasks._data import data_of, first_of_each_class
from sampling.bench.tasks._own import Own
from sampling.bench.tasks._task import Task
from sampling.samplers import ShuffleSampler

from ..conftest import idx_bytes


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_digits_split_is_fixed_and_stratified(digits):
    again = load("digits")
    sizes = [len(part) for part in (digits.train, digits.val, digits.test)]
    assert sum(sizes) == 1797
    assert digits.digest == again.digest
    for name in ("train", "val", "test"):
        mine, other = getattr(digits, name), getattr(again, name)
        assert torch.equal(mine.x, other.x)
        counts = torch.bincount(mine.y, minlength=10)
        assert int(counts.max() - counts.min()) <= 0.1 * len(mine)


def test_parts_do_not_overlap_and_scale_by_train():
    ids = np.arange(300, dtype=np.float32)
    x = np.broadcast_to(ids[:, None, None], (300, 2, 2))
    labels = np.arange(300) % 3
    data = _builtin._assemble(
        Own("digits"), (x[:200], labels[:200]), (x[200:], labels[200:]), val_share=0.1
    )
    mean = data.train.x.mean()
    assert float(mean) == pytest.approx(0, abs=1e-5)
    assert float(data.train.x.std(correction=0)) == pytest.approx(1, abs=1e-5)
    values = [set(part.x[:, 0, 0, 0].tolist()) for part in (data.train, data.val, data.test)]
    assert [len(v) for v in values] == [179, 21, 100]  # 7 of 66 or 67 in each class
    assert len(set.union(*values)) == 300
    assert torch.bincount(data.val.y).tolist() == [7, 7, 7]


def test_long_tail(digits):
    tail = digits.long_tailed(100.0, seed=0)
    counts = torch.bincount(tail.train.y).tolist()
    most = int(torch.bincount(digits.train.y).max())
    have = torch.bincount(digits.train.y).tolist()
    wanted = [round(most * 100 ** (-c / 9)) for c in range(10)]
    assert counts == [min(a, b) for a, b in zip(wanted, have, strict=True)]
    assert counts[-1] == 1
    assert tail.metric.name == "balanced accuracy"
    assert torch.equal(tail.val.y, digits.val.y)
    assert torch.equal(tail.test.y, digits.test.y)
    assert torch.equal(tail.train.x, digits.long_tailed(100.0, seed=0).train.x)
    assert not torch.equal(tail.train.x, digits.long_tailed(100.0, seed=1).train.x)
    assert min(torch.bincount(digits.long_tailed(1e9, seed=0).train.y)) == 1


def test_few(digits):
    few = digits.few(30)
    assert torch.bincount(few.train.y).tolist() == [3] * 10
    assert len(few.val) == len(few.test) == 30


def test_limit_keeps_shares_and_every_class():
    y = np.repeat([0, 1, 2, 3], [880, 100, 19, 1])
    data = data_of(Task((y[:, None] / 1.0, y), (np.zeros((4, 1)), np.arange(4)), linear))
    counts = torch.bincount(data.limited(50).train.y).tolist()
    assert sum(counts) == 50
    assert counts[3] == 1
    assert counts[0] == pytest.approx(0.88 * 50, abs=1)
    with pytest.raises(ValueError, match="number of classes, 4, got 3"):
        data.limited(3)


def linear():
    return torch.nn.Linear(1, 4)


def test_pixels_are_rows(digits):
    assert digits.embeddings().shape == (len(digits.train), 64)
    assert digits.embeddings().dtype == np.float32
    assert digits.labels().dtype == np.int64


def test_first_of_each_class_is_the_obvious_one():
    labels = np.random.RandomState(0).choice(40, 500)
    counts = [c % 7 for c in range(40)]
    order = ShuffleSampler(500, seed=5).indices(0)
    chosen = [order[labels[order] == c][:n] for c, n in enumerate(counts)]
    np.testing.assert_array_equal(
        first_of_each_class(labels, counts, 5), np.sort(np.concatenate(chosen))
    )


def test_rows_are_shared_not_copied(digits):
    part = digits.train
    some = part.take(np.array([3, 1])).take(np.array([1]))
    assert some.x.equal(part.x[[1]])
    assert some._inputs.data_ptr() == part._inputs.data_ptr()
    (indices, (x, y)), *_ = some.batches(ShuffleSampler(1, seed=0), 4)
    assert indices.tolist() == [0]
    assert x.equal(part.x[[1]])
    assert y.equal(part.y[[1]])


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.float16])
def test_near_copies_in_every_type(dtype):
    x = (np.random.RandomState(0).rand(60, 5) * 200).astype(dtype)
    y = np.arange(60) % 3
    data = data_of(Task((x, y), (x[:6], y[:6]), linear, val=(x[:6], y[:6])))
    copied = data.copied(0.5, seed=1)
    changed = (copied.train.x != data.train.x).any(1)
    assert 25 <= int(changed.sum()) <= 30
    assert copied.train.x.dtype == data.train.x.dtype
    np.testing.assert_array_equal(copied.embeddings(), copied.train.x.float().numpy())
    assert len(data.copied(0.99999, seed=1).train) == 60  # one original is left
    nearest = torch.cdist(copied.train.x.float(), data.train.x.float()).min(1)
    assert float(nearest.values.max()) < 60
    assert copied.train.y.equal(data.train.y[nearest.indices])


@pytest.mark.parametrize(("scale", "dtype"), [(1, np.float32), (40, np.float32), (1, np.uint8)])
def test_the_noise_of_copies_is_a_twentieth_of_a_deviation_and_pixels_stay_pixels(scale, dtype):
    greys = scale * np.array([0, 255, 100])
    y = np.arange(600) // 200
    x = np.repeat(greys[y], 2).reshape(-1, 2).astype(dtype)
    data = data_of(Task((x, y), (x, y), linear, val=(x, y)))
    copied = data.copied(0.5, seed=1).train
    off = copied.x.numpy().astype(float) - greys[copied.y.numpy()][:, None]
    noise = off[off != 0]
    deviation = 0.05 * x.astype(float).std()
    assert 0.2 * off.size < noise.size <= 0.5 * off.size
    assert np.abs(noise).max() <= deviation * 3**0.5 + (0.5 if dtype is np.uint8 else 1e-3)
    if dtype is np.uint8:
        inside = off[copied.y.numpy() == 2]  # of grey 100, far from the ends
        assert set(np.unique(inside)) == set(range(-9, 10))
        assert copied.x.dtype == torch.uint8
    else:
        assert noise.std() == pytest.approx(deviation, rel=0.1)
        assert abs(noise.mean()) < 0.15 * deviation


def test_rows_and_their_origin_go_through_every_change():
    """Given embeddings are those of the original of a copy; `origin` is a sample's own row."""
    y = np.arange(120) % 3
    x = np.arange(120, dtype=np.float32)[:, None]
    data = data_of(Task((x, y), (x, y), linear, embeddings=x))
    assert 90 < len(data.train) < 110
    assert np.array_equal(data.origin, data.train.x[:, 0].numpy())
    small = data.limited(60).long_tailed(3.0, 1)
    assert np.array_equal(small.origin, small.train.x[:, 0].numpy())
    assert np.array_equal(small.embeddings(), small.train.x.numpy())
    assert small.whole == 120
    copied = small.copied(0.5, 2).noisy(0.3, 3)
    assert np.array_equal(copied.origin, small.origin)
    changed = (copied.train.x != small.train.x)[:, 0].numpy()
    assert changed.sum() == round(0.5 * len(small.train))
    drawn = copied.embeddings()[:, 0]
    assert np.array_equal(drawn[~changed], small.origin[~changed])
    near = 0.05 * float(small.train.x.std()) * 3**0.5
    assert np.abs(drawn - copied.train.x[:, 0].numpy()).max() <= near * 1.001
    assert (np.isin(drawn[changed], small.origin[~changed])).all()
    assert copied.noise == 0.3
    assert len({data.digest, data.limited(60).digest, data.limited(50).digest}) == 3


def test_changes_that_cannot_be_made():
    x, y = np.zeros((20, 1), np.float32), np.arange(20) / 19
    numbers = data_of(Task((x, y), (x, y), linear))
    ids = data_of(
        Task((x.astype(int), np.arange(20) % 2), (x.astype(int), np.arange(20) % 2), linear)
    )
    listed = list(zip(x, np.arange(20) % 2, strict=True))
    dataset = data_of(Task(listed, listed, linear))
    with pytest.raises(ValueError, match="label_noise must be omitted for targets that are no"):
        numbers.check_changes(None, 0.1, None)
    with pytest.raises(ValueError, match="near_copies must be omitted for inputs that are neither"):
        ids.check_changes(None, None, 0.1)
    with pytest.raises(ValueError, match="near_copies must be omitted for data that are not"):
        dataset.check_changes(2.0, 0.1, 0.1)
    assert ids.embeddings() is None


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("inner", [".", "FashionMNIST/raw"])
def test_fashion_in_either_layout(tmp_path, write_fashion, compress, inner):
    write_fashion(tmp_path / inner, compress=compress)
    data = load("fashion-mnist", tmp_path)
    assert [len(part) for part in (data.train, data.val, data.test)] == [280, 20, 40]
    assert data.train.x.shape == (280, 1, 28, 28)


def test_fashion_in_the_working_folder(tmp_path, write_fashion, monkeypatch):
    monkeypatch.setattr(_builtin, "_DEBIAN_FOLDER", tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    write_fashion(Path("data", "FashionMNIST", "raw"))
    assert len(load("fashion-mnist").test) == 40


def test_absent_fashion_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt-get install dataset-fashion-mnist") as caught:
        load("fashion-mnist", tmp_path)
    assert "train-images-idx3-ubyte" in str(caught.value)
    assert "--data-dir" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_incomplete_fashion_names_the_file(tmp_path, write_fashion):
    (write_fashion(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        load("fashion-mnist", tmp_path)


WRONG = {
    "fewer labels": ("train-labels-idx1-ubyte", np.zeros(9), "one label per image, 300, got 9"),
    "class 10": (
        "t10k-labels-idx1-ubyte",
        np.r_[np.arange(39) % 10, 10],
        r"\[0, 10\), got 10 in row 39",
    ),
    "no class 3": ("t10k-labels-idx1-ubyte", np.zeros(40), "every class twice, got 0 of 1"),
    "other images": ("t10k-images-idx3-ubyte", np.zeros((40, 28, 27)), "28 x 28, got 28 x 27"),
}


@pytest.mark.parametrize(("file", "array", "message"), WRONG.values(), ids=WRONG.keys())
def test_files_that_do_not_fit(tmp_path, write_fashion, file, array, message):
    (write_fashion(tmp_path) / file).write_bytes(idx_bytes(array))
    with pytest.raises(ValueError, match=message):
        load("fashion-mnist", tmp_path)


def test_damaged_fashion_names_the_file(tmp_path, write_fashion):
    path = write_fashion(tmp_path, compress=True) / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz must be a whole gzip file"):
        load("fashion-mnist", tmp_path)
    path.write_bytes(gzip.compress(b"no"))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz must start with"):
        load("fashion-mnist", tmp_path)


def test_wrong_labels_are_a_share_of_every_class_and_spread_over_the_others():
    data = load("digits")
    noisy = data.noisy(0.3, seed=1)
    wrong = (noisy.train.y != data.train.y).numpy()
    for c in range(10):
        here = data.labels() == c
        assert wrong[here].sum() == round(0.3 * here.sum())
    shifts = (noisy.labels() - data.labels())[wrong] % 10
    counts = np.bincount(shifts, minlength=10)
    assert counts[0] == 0
    assert np.ptp(counts[1:]) <= 1
    assert noisy.val is data.val
    assert noisy.test is data.test
    assert noisy.train.y.equal(data.noisy(0.3, seed=1).train.y)
    assert not noisy.train.y.equal(data.noisy(0.3, seed=2).train.y)
