"""What docs/pairs.md prints runs, with the libraries that it names."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[3] / "docs" / "pairs.md"


@pytest.fixture(scope="module")
def names():
    pytest.importorskip("pytorch_metric_learning")
    pytest.importorskip("imblearn")
    found = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, "docs/pairs.md", "exec"), found)
    return found


def test_the_page_runs(names):
    assert np.isfinite(float(names["loss"].detach()))
    assert 0 <= names["share"].min() <= names["share"].max() <= 1


def test_cutmix_has_the_area_of_its_label(names):
    torch, generator = names["torch"], names["generator"]
    first, second = torch.zeros(3, 2, 10, 12), torch.ones(3, 2, 10, 12)
    for share in (0.0, 0.31, 0.999, 1.0):
        mixed, found = names["cutmix"](first, second, share, generator)
        assert float(1 - mixed.mean()) == pytest.approx(found)
        assert found == pytest.approx(share, abs=0.11)  # whole pixels
    assert not first.any()


def test_the_shares_of_the_page_are_those_of_the_controls(names):
    labels, cross = names["labels"].numpy(), names["cross"]
    counts = np.bincount(labels[names["control"].indices(0)])
    np.testing.assert_allclose(counts / 200, cross.class_shares, atol=0.011)
    assert names["by_class"].class_shares[2] > cross.class_shares[2] > 8 / 200


def test_smote_makes_what_it_says_and_near_miss_selects_rows(names):
    rows, synthetic = names["rows"], names["synthetic"]
    np.testing.assert_array_equal(rows[~synthetic], names["x"].numpy())
    assert np.bincount(names["classes"]).tolist() == [160] * 3
    x, labels = names["x"].numpy(), names["labels"].numpy()
    for row, each in list(zip(rows[synthetic], names["classes"][synthetic], strict=True))[::16]:
        mine = x[labels == each].astype(np.float64)  # on a segment between two rows of the class
        gaps = np.linalg.norm(mine - row, axis=1)
        lengths = np.linalg.norm(mine[:, None] - mine[None], axis=2)
        assert np.abs(gaps[:, None] + gaps[None] - lengths).min() < 1e-4
    subset = names["subset"]
    assert np.bincount(labels[subset.indices(0)]).tolist() == [8, 8, 8]


def test_the_miner_finds_pairs_in_every_batch(names):
    for batch in names["composed"].batches(1):
        y = names["labels"][batch]
        found = names["trunk"](names["x"][batch])
        assert all(len(each) for each in names["miner"](found, y))


def test_batches_inside_domains(names):
    domains = names["domains"].numpy()
    for batch in names["inside"]:
        assert len(set(domains[batch])) == 1


def test_negatives_of_the_page(names):
    labels = names["labels"].numpy()
    for table, coarse in ((names["first_stage"], False), (names["second_stage"], True)):
        here = table.indices >= 0
        other = labels[table.indices]
        assert (other != labels[:, None])[here].all()
        assert ((other // 2 == (labels // 2)[:, None]) == coarse)[here].all()
    assert here[labels < 2].all()
    assert not here[labels == 2].any()  # the only fine class of its coarse class
