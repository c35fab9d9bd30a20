"""Embeddings that come as a list for each row."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sampling import _check, selection
from sampling.samplers import RepeatFactorSampler

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]]
GAPS = [[1.0, 2.0], None, [5.0, None]]

FORMS = {
    "list": list,
    "series": pd.Series,
    "series of arrays": lambda rows: pd.Series([None if r is None else np.array(r) for r in rows]),
    "object array": lambda rows: pd.Series(rows).to_numpy(),
    "arrow list": lambda rows: pa.array(rows, pa.list_(pa.float32())),
    "arrow fixed": lambda rows: pa.array(rows, pa.list_(pa.float32(), 2)),
    "arrow large": lambda rows: pa.array(rows, pa.large_list(pa.float64())),
    "arrow sliced": lambda rows: pa.array([None, [9.0, 9.0], *rows], pa.list_(pa.float32()))[2:],
    "arrow fixed sliced": lambda rows: pa.array([[9.0, 9.0], *rows], pa.list_(pa.float32(), 2))[1:],
    "arrow chunks": lambda rows: pa.chunked_array(
        [pa.array(part, pa.list_(pa.float32())) for part in (rows[:1], [], rows[1:])]
    ),
    "arrow series": lambda rows: pd.Series(rows, dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_lists_are_rows_and_missing_ones_are_nan(form):
    assert np.array_equal(_check.matrix("embeddings", form(ROWS)), ROWS)
    found = _check.matrix("embeddings", form(GAPS))
    nan = np.nan
    assert np.array_equal(found, [[1.0, 2.0], [nan, nan], [5.0, nan]], equal_nan=True)


@pytest.mark.parametrize("form", ["series", "arrow list", "arrow chunks", "object array"])
def test_a_row_of_another_length_is_named(form):
    rows = [None, [1.0, 2.0], [1.0, 2.0, 3.0]]
    with pytest.raises(ValueError, match="one length, got 3 numbers in row 2 after 2 in row 1"):
        _check.matrix("embeddings", FORMS[form](rows))


def test_on_bad_applies_to_missing_rows():
    column = pa.array([[float(i), 1.0] for i in range(8)] + [None], pa.list_(pa.float32(), 2))
    for given in (column, column.to_pandas()):
        with pytest.raises(ValueError, match="finite, got nan in row 8"):
            selection.k_center(given, 3)
        kept = selection.k_center(given, 3, on_bad="drop")
        assert 8 not in kept.indices


@pytest.mark.parametrize(
    "given", [pd.Series(["a", "b"]), pa.array([["a"], ["b"]]), pd.Series([["a"], ["b"]])]
)
def test_words_are_no_embeddings(given):
    with pytest.raises((TypeError, ValueError), match="embeddings must h"):
        _check.matrix("embeddings", given)


@pytest.mark.parametrize("kind", ["Float32", "Float64", "Int64", "float[pyarrow]", "boolean"])
def test_a_frame_of_nullable_columns_is_a_matrix(kind):
    frame = pd.DataFrame({"a": [1, 0, 1], "b": [0, 1, 1]}).astype(kind)
    frame.iloc[1, 0] = pd.NA
    array = _check.matrix("embeddings", frame)
    assert array.dtype == (np.float32 if kind in ("Float32", "float[pyarrow]") else np.float64)
    assert np.isnan(array[1, 0])
    assert array[2].tolist() == [1.0, 1.0]
    words = pd.get_dummies(pd.Series(["x", "y", "x"], dtype="string[pyarrow]"))
    assert RepeatFactorSampler(words, 0.5).size == 3
    assert _check.host(frame.notna()).dtype == bool
