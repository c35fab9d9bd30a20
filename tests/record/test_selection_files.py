"""Subset files: whole or not at all, and readable by others."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling.io import load_selection, save_selection, written_whole
from sampling.selection import ccs, pivotal, top

SCORES = np.random.default_rng(0).gamma(2.0, size=50)
IDS = [f"row-{i}" for i in range(50)]


def test_the_file_is_plain_parquet(tmp_path):
    found = pivotal(SCORES, 7, ids=IDS)
    found.save(tmp_path / "subset.parquet")
    table = pq.read_table(tmp_path / "subset.parquet")
    assert table.column_names == ["index", "id", "weight", "score"]
    assert table["index"].to_pylist() == found.indices.tolist()
    assert table["id"].to_pylist() == [IDS[i] for i in found.indices]
    assert table["score"].to_pylist() == SCORES[found.indices].tolist()
    manifest = json.loads(table.schema.metadata[b"sampling"])
    assert manifest["method"] == "pivotal"
    assert manifest["size"] == 50
    assert manifest["arguments"]["budget"] == 7


def test_dropped_rows_bring_the_reasons_back(tmp_path):
    path = tmp_path / "subset.parquet"
    found = ccs(SCORES, 10, cut=0.2)
    save_selection(found, path, dropped=True)
    again = load_selection(path)
    assert np.array_equal(again.scores, found.scores)
    assert np.array_equal(again.verdicts, found.verdicts)
    hardest = int(np.argmax(SCORES))
    assert again.explain(hardest).rule == "among the hardest"
    assert again.summary() == found.summary()
    save_selection(top(SCORES, 3), path)  # another selection, without them
    assert load_selection(path).verdicts is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["subset.parquet"]


def test_dropped_rows_of_another_selection_are_refused(tmp_path):
    save_selection(top(SCORES, 3), tmp_path / "a.parquet", dropped=True)
    save_selection(top(SCORES, 4), tmp_path / "b.parquet", dropped=True)
    (tmp_path / "a.dropped.parquet").replace(tmp_path / "b.dropped.parquet")
    with pytest.raises(ValueError, match=r"b\.dropped\.parquet must be of the same selection"):
        load_selection(tmp_path / "b.parquet")


def test_every_way_to_cut_a_file_is_refused(tmp_path):
    path = tmp_path / "subset.parquet"
    top(SCORES, 9).save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="must be a whole Parquet file"):
            Selection.load(path)


def test_other_files_are_refused(tmp_path):
    import pyarrow as pa

    pq.write_table(pa.table({"index": [1]}), tmp_path / "plain.parquet")
    with pytest.raises(ValueError, match="must be a subset file, of .*, got another file"):
        Selection.load(tmp_path / "plain.parquet")
    with pytest.raises(FileNotFoundError):
        Selection.load(tmp_path / "absent.parquet")


def test_an_error_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "subset.parquet"
    top(SCORES, 9).save(path)
    before = path.read_bytes()

    def full(table, where, **options):
        where.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        top(SCORES, 20).save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["subset.parquet"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="the folder of .* must exist"):
        top(SCORES, 9).save(tmp_path / "none" / "subset.parquet")
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "none" / "x"):
        pass


def test_sets_and_masks():
    high, low = top(SCORES, 20, ids=IDS), top(-SCORES, 40, ids=IDS)
    both, either, rest = high & low, high | low, high - low
    assert set(both.indices) == set(high.indices) & set(low.indices)
    assert set(either.indices) == set(high.indices) | set(low.indices)
    assert set(rest.indices) == set(high.indices) - set(low.indices)
    assert either.ids.tolist() == [IDS[i] for i in either.indices]
    assert high.mask().sum() == 20
    assert Selection(np.array([3])).mask(5).tolist() == [False, False, False, True, False]
    with pytest.raises(ValueError, match="size must be given"):
        Selection(np.array([3])).mask()
    with pytest.raises(ValueError, match="size must be 50, the number of rows that this .* got 60"):
        high.mask(60)
    with pytest.raises(ValueError, match="size must be > 3, got 3"):
        Selection(np.array([3])).mask(3)
    with pytest.raises(ValueError, match="selections must be of the same input, got 50 and 3 rows"):
        high & top([1.0, 2.0, 3.0], 1)
    with pytest.raises(ValueError, match=r"budget must be in \[0, 21\), got 21"):
        high.head(21)


def test_summaries_count_groups_and_weights():
    found = pivotal(SCORES, 10)
    groups = np.repeat(["a", "b"], 25)
    summary = found.summary(groups)
    assert summary["groups"]["a"][1] == 25
    assert sum(kept for kept, _ in summary["groups"].values()) == 10
    assert summary["effective"] == pytest.approx(
        found.weights.sum() ** 2 / np.square(found.weights).sum()
    )


def test_the_manifest_names_the_versions(tmp_path):
    save_selection(top([0.1, 0.9], 1), tmp_path / "subset.parquet")
    manifest = json.loads(pq.read_schema(tmp_path / "subset.parquet").metadata[b"sampling"])
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["versions"]["sampling"]
