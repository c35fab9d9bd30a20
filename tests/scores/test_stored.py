"""Scores of stored logits and probabilities, and of a saved run."""

import numpy as np
import pytest

from sampling.errors import StateError
from sampling.scores import (
    TrainingDynamics,
    _logits,
    confidence,
    el2n,
    entropy,
    margin,
    score_stored,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(50, 4))
LABELS = RANDOM.integers(0, 4, 50)
KINDS = ["el2n", "entropy", "margin", "confidence"]


@pytest.mark.parametrize("block", [1, 7, 50])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_they_are_those_of_the_functions(monkeypatch, block, dtype):
    monkeypatch.setattr(_logits, "_BLOCK", block)
    logits = LOGITS.astype(dtype)
    found = score_stored(KINDS, logits, LABELS)
    expected = {
        "el2n": el2n(logits, LABELS),
        "entropy": entropy(logits),
        "margin": margin(logits, LABELS),
        "confidence": confidence(logits, LABELS),
    }
    assert list(found) == KINDS
    for kind, score in expected.items():
        # the sum of an entropy begins at the label, hence the last digit
        assert found[kind].values == pytest.approx(score.values, rel=1e-13)
        assert found[kind].higher_is == score.higher_is
    without = score_stored(["confidence"], logits)["confidence"].values
    assert np.array_equal(without, confidence(logits).values)


def test_probabilities_are_those_of_their_logits():
    shares = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    ours = score_stored(KINDS, shares, LABELS, of="probabilities")
    for kind, score in score_stored(KINDS, LOGITS, LABELS).items():
        assert ours[kind].values == pytest.approx(score.values, abs=1e-12)
    sure = score_stored(KINDS, [[1.0, 0.0]], [0], of="probabilities")
    assert [sure[kind].values[0] for kind in KINDS] == pytest.approx([0.0, 0.0, 1.0, 1.0])


def test_a_memory_map_and_its_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(_logits, "_BLOCK", 8)
    np.save(tmp_path / "x.npy", LOGITS)
    seen = []
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    found = score_stored(["margin"], rows, progress=lambda *each: seen.append(each))
    assert np.array_equal(found["margin"].values, margin(LOGITS).values)
    assert seen == [(8, 50, "rows")] * 6 + [(2, 50, "rows")]


def test_bad_rows_are_named(monkeypatch):
    monkeypatch.setattr(_logits, "_BLOCK", 8)
    bad = LOGITS.copy()
    bad[20, 1] = np.nan
    with pytest.raises(ValueError, match="logits must be finite, got nan in row 20"):
        score_stored(["entropy"], bad)
    with pytest.raises(ValueError, match="probabilities must be finite, got nan in row 20"):
        score_stored(["entropy"], np.abs(bad) / 10, of="probabilities")
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\], got -0.5 in row 9"):
        shares = np.full((10, 2), 0.5)
        shares[9, 0] = -0.5
        score_stored(["entropy"], shares, of="probabilities")
    with pytest.raises(ValueError, match=r"labels must be in \[0, 4\), got 9 in row 3"):
        score_stored(["el2n"], LOGITS, np.where(np.arange(50) == 3, 9, LABELS))
    with pytest.raises(ValueError, match="labels must be given for 'el2n'"):
        score_stored(["el2n"], LOGITS)
    with pytest.raises(ValueError, match="kinds must be of .*, got 'el2': did you mean 'el2n'?"):
        score_stored(["el2"], LOGITS)
    with pytest.raises(ValueError, match="kinds must name at least one score"):
        score_stored([], LOGITS)


def test_a_saved_run_brings_its_arguments(tmp_path):
    run = TrainingDynamics(50, 4, fields=("aum", "dual"), window=3)
    for _ in range(4):
        run.update(np.arange(50), LOGITS, LABELS)
    run.save(tmp_path / "run.safetensors")
    again = TrainingDynamics.from_file(tmp_path / "run.safetensors")
    assert (again.fields, again.window, again.num_classes) == (("aum", "dual"), 3, 4)
    assert list(again.scores()) == ["aum", "dual"]
    assert np.array_equal(again.scores(["aum"])["aum"].values, run.aum().values)
    with pytest.raises(ValueError, match="fields must include 'el2n' for el2n, got 'aum', 'dual'"):
        again.scores(["el2n"])
    with pytest.raises(ValueError, match="names must be of .*, got 'aumm': did you mean 'aum'?"):
        again.scores(["aumm"])
    (tmp_path / "run.safetensors").write_bytes(b"cut")
    with pytest.raises(StateError, match="must be a whole file of TrainingDynamics.save"):
        TrainingDynamics.from_file(tmp_path / "run.safetensors")
