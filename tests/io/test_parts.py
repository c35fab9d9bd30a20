"""Tables read by an engine of other processes, in other folders: equal to what this one reads."""

import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling import engine, io, selection
from sampling.io import _parts

N, D = 5000, 4


class Elsewhere:
    """An engine whose parts are processed from copies, in another folder, the last one first."""

    def __init__(self, folder):
        self.folder, self.sent = folder, 0

    def run(self, function, parts):
        kept = [pickle.dumps(part) for part in parts]
        self.sent += len(kept)
        sent, here = pickle.dumps(function), Path.cwd()
        os.chdir(self.folder)
        try:
            work = pickle.loads(sent)
            return reversed([work(pickle.loads(part)) for part in reversed(kept)])
        finally:
            os.chdir(here)


@pytest.fixture
def elsewhere(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(_parts, "_SMALL", 0)
    monkeypatch.setattr(_parts, "_ROWS", 700)
    return Elsewhere(tmp_path_factory.mktemp("other"))


def columns_of(rows):
    quality = np.where(rows % 11 == 3, np.nan, np.sin(rows) * 0.5)
    language = [None if row % 13 == 0 else ("de", "en", "fr")[row % 3] for row in rows.tolist()]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.sin(np.arange(rows.size * D))), D)
    return pa.table({"quality": quality, "language": language, "x": vectors, "row": rows})


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Files of several row groups in folders that are a column, one of them without `quality`."""
    monkeypatch.chdir(tmp_path)
    for at, rows in enumerate(np.split(np.arange(N), [900, 901, 3000])):
        folder = Path(f"corpus/year={2000 + at}")
        folder.mkdir(parents=True)
        table = columns_of(rows)
        pq.write_table(table.drop(["quality"]) if at == 1 else table, folder / "a.parquet",
                       row_group_size=400)  # fmt: skip
    return "corpus"


WHERE = (["quality", ">=", 0.1], ["quality", "<", 0.4], ["language", "in", ["en", "de"]],
         ["year", "!=", 2003])  # fmt: skip


def found_in(corpus, folder):
    """What commands compute of a table, and the files that they write."""
    table = io.open_table(corpus, scratch=Path(folder, "scratch"))
    subset = selection.filter_from(table, WHERE)
    hard = selection.select_from(
        table, "top", 40, subset, columns={"scores": "quality", "groups": "language"}
    )
    facts = [
        io.export_rows(hard, corpus, Path(folder, order), rows_per_shard=9, order=order)
        for order in ("rows", "picks")
    ]
    written = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }
    values = [table.values(name).to_pylist() for name in ("row", "language", "year")]
    return (
        subset.indices.tolist(), hard.indices.tolist(), np.asarray(table.embeddings).tolist(),
        values, facts, written, io.digests(corpus),
    )  # fmt: skip


def test_another_process_reads_the_same(corpus, elsewhere):
    Path("one").mkdir()
    Path("two").mkdir()
    with engine.use(engine.Local(1)):
        expected = found_in(corpus, "one")
    assert 200 < len(expected[0]) < 1500
    with engine.use(elsewhere):
        found = found_in(corpus, "two")
    assert found == expected
    assert elsewhere.sent > 100


def test_conditions_are_those_of_plain_python(corpus, elsewhere):
    rows = [row for path in sorted(Path(corpus).rglob("*.parquet"))
            for row in pq.ParquetFile(path).read().to_pylist()]  # fmt: skip
    wanted = [
        at for at, row in enumerate(rows)
        if row.get("quality") is not None and 0.1 <= row["quality"] < 0.4
        and row["language"] in ("en", "de") and at < 3000
    ]  # fmt: skip
    with engine.use(elsewhere):
        assert selection.filter_from(io.open_table(corpus), WHERE).indices.tolist() == wanted


def test_rows_of_a_subset(corpus, elsewhere):
    table = io.open_table(corpus)
    half = table.take(np.arange(N - 1, 0, -2))
    with engine.use(elsewhere):
        assert half.values("row").to_pylist() == list(range(N - 1, 0, -2))
        flags = half.flags("row", _small)
    assert flags.tolist() == [row < 1000 for row in range(N - 1, 0, -2)]


def _small(values):
    return values.to_numpy() < 1000


def test_what_is_held_in_memory_is_not_sent(elsewhere, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("quality\n" + "\n".join(map(str, range(2000))))
    with engine.use(elsewhere):
        kept = selection.filter_from(io.open_table(path), [["quality", ">=", 1990]])
        io.export_rows(kept, path, tmp_path / "out")
    assert kept.indices.tolist() == list(range(1990, 2000))
    assert elsewhere.sent == 1  # the digest of the file


def test_a_value_that_does_not_fit_names_its_file(elsewhere, tmp_path):
    pq.write_table(pa.table({"x": [1.5, 2.0]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([2**60 + 1], pa.int64())}), tmp_path / "b.parquet")
    with engine.use(elsewhere):
        with pytest.raises(ValueError, match=r"'x' must fit double, .*got int64 in .*b\.parquet"):
            io.open_table(tmp_path).values("x")


def test_a_file_that_changes_during_an_export_is_refused_by_the_worker(corpus, elsewhere):
    table = io.open_table(corpus)
    picked = selection.filter_from(table, WHERE)
    run = elsewhere.run

    def changes(function, parts):
        items = list(parts)
        if items and isinstance(items[0], list):  # shards
            path = Path("corpus/year=2000/a.parquet")
            pq.write_table(columns_of(np.arange(899, -1, -1)), path)
        return run(function, items)

    elsewhere.run = changes
    with engine.use(elsewhere):
        with pytest.raises(ValueError, match=r"a\.parquet must not change while it is read"):
            io.export_rows(picked, corpus, "out", rows_per_shard=100)
    assert not list(Path("out").glob("*"))


@pytest.mark.parametrize("other", [np.arange(400), np.arange(2400)])
def test_a_file_with_other_groups_than_when_it_was_opened_is_refused(corpus, elsewhere, other):
    last = Path(corpus, "year=2003", "a.parquet")
    table = io.open_table(corpus)
    pq.write_table(columns_of(other), last, row_group_size=400)
    for one in (engine.Local(), elsewhere):
        with engine.use(one), pytest.raises(ValueError, match=r"a\.parquet must not change while"):
            table.column("row")  # of fewer rows, or those of the first groups
    with pytest.raises(ValueError, match="must not change while it is read, got other rows"):
        _ = table.embeddings


def test_a_file_with_other_columns_than_when_it_was_opened_is_refused(corpus):
    last = Path(corpus, "year=2003", "a.parquet")
    table = io.open_table(corpus)
    pq.write_table(pq.read_table(last, partitioning=None).drop(["quality"]), last,
                   row_group_size=400)  # fmt: skip
    with pytest.raises(ValueError, match="must not change while it is read, got other columns"):
        table.column("quality", missing=True)  # it would be missing in all its rows
