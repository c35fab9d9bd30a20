"""`Selection.apply`: the rows of a dataset, in its own type, order and repeats."""

import re

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from torch.utils.data import IterableDataset, Subset, TensorDataset

from sampling import Selection
from sampling._check._rows import Rows
from sampling.io import Table

ROWS = [4, 0, 4, 2]  # repeats, in an order of their own
PICKED = Selection(np.array(ROWS), weights=np.array([1.0, 2.0, 1.0, 5.0]), size=6)
DATA = np.arange(12.0).reshape(6, 2)


def of_arrays(tmp_path):
    (tmp_path / "x").write_bytes(DATA.tobytes())
    return {
        "numpy": DATA,
        "tensor": torch.from_numpy(DATA),
        "rows on disk": Rows(tmp_path / "x", DATA.shape, np.float64),
    }


@pytest.mark.parametrize("kind", ["numpy", "tensor", "rows on disk"])
def test_arrays_stay_arrays_of_their_type(kind, tmp_path):
    given = of_arrays(tmp_path)[kind]
    found = PICKED.apply(given)
    assert type(found) is type(given)
    assert np.array_equal(np.asarray(found), DATA[ROWS])


def test_tensors_stay_on_their_device_and_in_their_graph():
    found = PICKED.apply(torch.ones(6, 2, device="meta"))
    assert found.device.type == "meta"
    given = torch.ones(6, requires_grad=True)
    PICKED.apply(given).sum().backward()
    assert given.grad.tolist() == [1, 0, 1, 0, 2, 0]


def test_sparse_matrices_of_any_format():
    assert np.array_equal(PICKED.apply(sparse.coo_array(DATA)).toarray(), DATA[ROWS])


def test_tables_of_pandas_and_arrow():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame({"x": range(6)}, index=list("abcdef"))
    assert PICKED.apply(frame)["x"].tolist() == ROWS
    assert PICKED.apply(frame["x"]).index.tolist() == list("eaec")
    assert PICKED.apply(frame.index).tolist() == list("eaec")
    table = pa.table({"x": range(6)})
    assert PICKED.apply(table)["x"].to_pylist() == ROWS
    assert PICKED.apply(table["x"]).to_pylist() == ROWS
    assert PICKED.apply(table["x"].combine_chunks()).to_pylist() == ROWS
    assert PICKED.apply(table.to_batches()[0]).num_rows == len(ROWS)


def test_tables_of_polars():
    polars = pytest.importorskip("polars", reason="needs polars")
    frame = polars.DataFrame({"x": range(6)})
    assert PICKED.apply(frame)["x"].to_list() == ROWS
    assert PICKED.apply(frame["x"]).to_list() == ROWS
    with pytest.raises(TypeError, match=r"got a LazyFrame: give dataset.collect\(\)"):
        PICKED.apply(frame.lazy())


def test_datasets_of_hugging_face():
    datasets = pytest.importorskip("datasets", reason="needs datasets")
    given = datasets.Dataset.from_dict({"x": list(range(6))})
    found = PICKED.apply(given)
    assert isinstance(found, datasets.Dataset)
    assert found["x"][:] == ROWS
    with pytest.raises(TypeError, match="got a DatasetDict of 'train': give one of its values"):
        PICKED.apply(datasets.DatasetDict({"train": given}))
    with pytest.raises(TypeError, match="got a IterableDataset"):
        PICKED.apply(given.to_iterable_dataset())


class Decoded:
    """A dataset whose samples are expensive."""

    def __len__(self):
        return 6

    def __getitem__(self, row):
        raise AssertionError("a sample was read")


def test_torch_datasets_become_subsets_without_reading_a_sample():
    found = PICKED.apply(TensorDataset(torch.from_numpy(DATA)))
    assert isinstance(found, Subset)
    assert [found[at][0][0].item() for at in range(4)] == DATA[ROWS, 0].tolist()
    assert PICKED.apply(Decoded()).indices == ROWS


def test_lists_and_our_own_tables():
    assert PICKED.apply(list("abcdef")) == list("eaec")
    assert PICKED.apply(tuple("abcdef")) == tuple("eaec")
    assert PICKED.apply(range(6)) == ROWS
    assert PICKED.apply(Table((), 6, ())).size == 4


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(6))


@pytest.mark.parametrize("size", [3, 5, 7])  # 5 has all rows
def test_data_of_another_size_are_refused_before_they_are_used(size):
    more = "a selection is of the rows that it was made from"
    rule = f"dataset must have 6 rows, got {size}: {more}"
    for given in (range(size), np.ones((size, 2)), torch.ones(size), sparse.eye(size)):
        with pytest.raises(ValueError, match=re.escape(rule)):
            PICKED.apply(given)
    if size == 3:
        with pytest.raises(ValueError, match="dataset must have more than 4 rows, got 3"):
            Selection(np.array(ROWS)).apply(range(size))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"train": range(6)}, "got a dict of 'train': give one of its values"),
        (Stream(), "an iterable dataset has no length"),
        (np.float64(3), "got a float64 of a single value"),
        ("abcdef", "got 'abcdef'"),
    ],
)
def test_what_has_no_rows_is_refused(given, words):
    with pytest.raises(TypeError, match=words):
        PICKED.apply(given)
