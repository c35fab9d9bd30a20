"""Score files: the direction stays with the column."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.io import load_scores, open_table, read_vector, save_scores, score_of
from sampling.record import Score
from sampling.selection import ccs, select_from, top

VALUES = np.random.default_rng(0).normal(size=30)


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "scores.parquet"
    values = VALUES.copy()
    values[3] = np.nan
    save_scores({"a": Score(VALUES, "easier"), "b": Score(values, "keep")}, path, info={"x": 1})
    found = load_scores(path)
    assert [(name, each.higher_is, each.name) for name, each in found.items()] == [
        ("a", "easier", "a"),
        ("b", "keep", "b"),
    ]
    assert np.array_equal(found["a"].values, VALUES)
    assert np.array_equal(found["b"].values, values, equal_nan=True)


def test_a_selector_minds_the_direction(tmp_path):
    path = tmp_path / "scores.parquet"
    save_scores({"margin": Score(VALUES, "easier")}, path)
    pq.write_table(pa.table({"plain": VALUES}), tmp_path / "plain.parquet")
    table, plain = open_table(path), open_table(tmp_path / "plain.parquet")
    hard = select_from(table, "ccs", 5, columns={"scores": "margin"})
    assert np.array_equal(hard.indices, ccs(Score(VALUES, "easier"), 5).indices)
    assert not np.array_equal(hard.indices, ccs(VALUES, 5).indices)
    high = select_from(plain, "top", 5, columns={"scores": "plain"})
    assert np.array_equal(high.indices, top(VALUES, 5).indices)
    assert isinstance(score_of(plain, "plain"), np.ndarray)
    with pytest.raises(ValueError, match="higher_is must be 'keep' or its opposite, got 'easier'"):
        np.save(tmp_path / "rows.npy", np.arange(60.0).reshape(30, 2))
        rows = open_table(tmp_path / "rows.npy", beside=[path])
        select_from(rows, "semdedup", 5, columns={"quality": "margin"})


def test_files_of_something_else_are_refused(tmp_path):
    pq.write_table(pa.table({"x": VALUES}), tmp_path / "plain.parquet")
    with pytest.raises(ValueError, match=r"must have a column with a direction, got \['x'\]"):
        load_scores(tmp_path / "plain.parquet")
    odd = pa.schema([pa.field("x", pa.float64(), metadata={"higher_is": "louder"})])
    pq.write_table(pa.table([VALUES], schema=odd), tmp_path / "odd.parquet")
    with pytest.raises(ValueError, match=r"higher_is of x must be one of .*, got 'louder'"):
        load_scores(tmp_path / "odd.parquet")
    (tmp_path / "half.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="must be a whole Parquet file"):
        load_scores(tmp_path / "half.parquet")
    with pytest.raises(FileNotFoundError, match="must exist"):
        load_scores(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="b must have the length of a, 30, got 29"):
        save_scores({"a": Score(VALUES, "keep"), "b": Score(VALUES[1:], "keep")}, tmp_path / "x")
    with pytest.raises(ValueError, match="scores must hold at least one score"):
        save_scores({}, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_vectors(tmp_path):
    np.save(tmp_path / "y.npy", np.arange(3))
    assert read_vector(tmp_path / "y.npy").tolist() == [0, 1, 2]
    np.save(tmp_path / "y.npy", np.eye(3))
    with pytest.raises(ValueError, match=r"y\.npy must have shape \(N,\), got \(3, 3\)"):
        read_vector(tmp_path / "y.npy")
    np.save(tmp_path / "y.npy", np.array([{}, []], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"y\.npy must be a whole \.npy file of numbers"):
        read_vector(tmp_path / "y.npy")
