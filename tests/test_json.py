"""JSON that others read: names of groups as keys, and nothing that JSON has not."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling._files._json import json_text
from sampling.cli import app
from sampling.io import load_selection, save_selection
from sampling.selection import SelectionPlan, Stage, quota, top


def strict(text):
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_keys_of_every_kind_and_no_nan():
    given = {"cat": 1, -1: np.int64(2), b"x": [np.nan, (np.inf,)], "-1": 3.5}
    told = {"cat": 1, "(-1)": 2, "x": [None, [None]], "-1": 3.5}
    for ordered in (True, False):
        assert strict(json_text(given, ordered=ordered)) == told
    assert list(json.loads(json_text({10: 0, 9: 0}, ordered=True))) == ["9", "10"]


def test_unlabelled_rows_beside_groups_that_are_words(tmp_path):
    labels, scores = ["a", None, "b", None, "a", "b"], np.arange(6.0)
    found = quota(scores, 4, groups=labels, unlabeled="group")
    found.save(tmp_path / "own.parquet")
    counts = load_selection(tmp_path / "own.parquet").info["group_counts"]
    assert sum(counts.values()) == 4
    assert set(counts) == {"a", "b", "-1"}
    pq.write_table(pa.table({"label": labels, "s": scores}), tmp_path / "t.parquet")
    stage = Stage(
        "quota", 4, columns={"scores": "s", "groups": "label"}, settings={"unlabeled": "group"}
    )
    plan = SelectionPlan(tmp_path / "t.parquet", [stage], export={"folder": tmp_path / "chosen"})
    for _ in range(2):  # read again the second time
        assert plan.run(tmp_path / "work").indices.tolist() == found.indices.tolist()
    assert strict((tmp_path / "work" / "manifest.json").read_text())["stages"][0]["groups"] == {
        "label": {"-1": 2, "a": 2, "b": 2}
    }


def test_a_score_that_is_missing_is_null(tmp_path):
    found = replace(top([0.0, 1.0, 2.0], 1), scores=np.array([np.nan, 1.0, 2.0]))
    save_selection(found, tmp_path / "own.parquet", dropped=True)
    done = CliRunner().invoke(
        app, ["explain", str(tmp_path / "own.parquet"), "--row", "0", "--json"]
    )
    assert strict(done.output)["score"] is None
