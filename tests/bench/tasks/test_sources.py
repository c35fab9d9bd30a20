"""Which settings apply to which data, and what a name means."""

import numpy as np
import pytest
import torch

from sampling import bench
from sampling.bench._work import prepared
from sampling.bench.tasks._sources import APPLIES, source_of

GIVEN = {
    "label": "section", "features": "a,b", "labels": "y.npy", "split": "part", "model": "probe",
    "image_size": 8, "on_bad": "drop", "metric": "macro F1", "learning_rate": 0.3,
    "data_dir": "files",
}  # fmt: skip


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photos/cat", "photos/dog", "digits"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "table.parquet").touch()
    (tmp_path / "mine_for_sources.py").write_text("")
    x = torch.zeros(20, 1)
    return {
        "digits": "digits",
        "a folder of images": "photos",
        "a table": "table.parquet",
        "FILE.py:FUNCTION": "mine_for_sources.py:make",
        "a Task": bench.Task((x, [0, 1] * 10), (x, [0, 1] * 10), torch.nn.Identity),
    }


def test_every_setting_is_refused_where_it_does_not_apply(data):
    assert set(GIVEN) == set(APPLIES)
    for name, value in GIVEN.items():
        for kind, given in data.items():
            settings = bench.Settings(given, **{name: value})
            if kind in APPLIES[name][0]:
                continue
            with pytest.raises(ValueError, match=f"{name} must be omitted for {kind}") as caught:
                source_of(settings)
            assert "got" in str(caught.value)


def test_a_word_is_a_name_and_a_path_exists(data, tmp_path):
    assert source_of(bench.Settings("digits")).seeds == 5
    with pytest.raises(ValueError, match=r"digits must hold a folder of images for each class"):
        prepared(bench.Settings("./digits"), tmp_path / "out")
    assert source_of(bench.Settings("photos")).name == "photos"
    for given, error, message in (
        ("fashionmnist", ValueError, "a path must exist, got 'fashionmnist': did you mean 'fash"),
        ("photo", ValueError, "did you mean 'photos'"),
        ("./photo", FileNotFoundError, "must be a path that exists, got './photo'"),
        ("photos/cta", FileNotFoundError, "did you mean 'photos/cat'"),
        ("tabel.parquet", FileNotFoundError, "did you mean 'table.parquet'"),
    ):
        with pytest.raises(error, match=message):
            source_of(bench.Settings(given))
    with pytest.raises(ValueError, match="labels must name a file where data is omitted and feat"):
        source_of(bench.Settings(features="x.npy"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"a table that ends in .parquet, .*got the file 'notes"):
        source_of(bench.Settings("notes.txt"))


def test_the_learning_rate_and_the_metric_reach_the_recipe(tmp_path):
    for index, given in enumerate(({}, {"learning_rate": 0.3, "metric": "log-loss"})):
        benchmark = bench.prepare(bench.Settings("digits", out=tmp_path / str(index), **given))
        task = benchmark.data.task
        optimizer = task.built_optimizer(task.built_model(0))
        assert optimizer.param_groups[0]["lr"] == given.get("learning_rate", 0.05)
        assert benchmark.results.metric == given.get("metric", "accuracy")
        assert benchmark.results.identity.get("learning_rate") == given.get("learning_rate")


def test_a_batch_must_fit_and_the_own_metric_stays_in_a_long_tail(tmp_path):
    with pytest.raises(ValueError, match="at most the number of training samples, 50, got 64"):
        prepared(bench.Settings("digits", limit=50), tmp_path)
    x, y = np.zeros((40, 1), np.float32), np.arange(40) % 2
    for metric, found in ((None, "balanced accuracy"), ("macro F1", "macro F1")):
        task = bench.Task((x, y), (x, y), torch.nn.Identity, metric=metric, batch_size=4)
        settings = bench.Settings(task, imbalance=5.0, out=tmp_path / found)
        benchmark = bench.prepare(settings)
        assert benchmark.results.metric == found
        assert benchmark.data.long_tailed(5.0, 0).metric.name == found
