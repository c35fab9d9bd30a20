"""BWS: the window on which a linear model learns all rows best."""

import numpy as np
import pytest

from sampling.record import Score
from sampling.selection import best_window, window

RANDOM = np.random.default_rng(5)
N = 160
LABELS = np.array(list("abc"))[RANDOM.integers(0, 3, N)]
CODES = np.unique(LABELS, return_inverse=True)[1]
HARD = np.round(RANDOM.normal(size=N), 1)  # ties
CENTERS = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
ROWS = CENTERS[CODES] + RANDOM.normal(size=(N, 3)) * np.exp(HARD)[:, None]


def accuracy_by_lstsq(order, above, count, ridge):
    """Accuracy on all rows of the regression of one window, as one least-squares problem."""
    rows = ROWS - ROWS.mean(axis=0)
    rows = rows / np.sqrt(np.mean(rows**2))
    own = order[above : above + count]
    x, y = rows[own], np.eye(3)[CODES[own]]
    mean, share = x.mean(axis=0), y.mean(axis=0)
    tall = np.vstack([x - mean, np.sqrt(ridge * count) * np.eye(3)])
    fit = np.linalg.lstsq(tall, np.vstack([y - share, np.zeros((3, 3))]), rcond=None)[0]
    return float((((rows - mean) @ fit + share).argmax(axis=1) == CODES).mean())


@pytest.mark.parametrize("block", [30, 2**20])
@pytest.mark.parametrize(("count", "step"), [(8, 0.05), (40, 0.1), (150, 0.05), (159, 0.3)])
def test_the_definition(count, step, block, monkeypatch):
    monkeypatch.setattr("sampling.selection.by_score._best_window._NUMBERS", block)
    found = best_window(HARD, count, embeddings=ROWS, labels=LABELS, step=step)
    order = np.array(best_window(HARD, N, embeddings=ROWS, labels=LABELS).indices)
    offsets = sorted({round(k * step * N) for k in range(20) if k * step * N < N - count})
    assert found.info["offsets"] == [*offsets, N - count]
    expected = [accuracy_by_lstsq(order, each, count, 0.01) for each in found.info["offsets"]]
    np.testing.assert_allclose(found.info["accuracies"], expected, atol=1e-12)
    above = found.info["offsets"][int(np.argmax(expected))]
    assert found.info["above"] == above
    assert np.array_equal(found.indices, order[above : above + count])
    same = window(HARD, count, offset=above / N)
    assert np.array_equal(same.indices, found.indices)


def test_noise_at_the_hard_end_is_left_out():
    labels = CODES.copy()
    hardest = np.argsort(-HARD)[:40]
    labels[hardest] = (labels[hardest] + 1) % 3
    found = best_window(HARD, 40, embeddings=ROWS, labels=labels)
    assert found.info["above"] >= 40
    assert max(found.info["accuracies"]) > found.info["accuracies"][0] + 0.2


def test_directions_and_scale():
    plain = best_window(HARD, 40, embeddings=ROWS, labels=LABELS)
    easy = best_window(Score(-HARD, "easier"), 40, embeddings=ROWS, labels=LABELS)
    assert np.array_equal(plain.indices, easy.indices)
    for factor in (1e-30, 1e30):
        rows = (ROWS * factor).astype(np.float32)
        found = best_window(HARD, 40, embeddings=rows, labels=LABELS)
        assert np.array_equal(found.indices, plain.indices)


def test_groups_bad_rows_and_one_row():
    groups = np.arange(N) % 2
    found = best_window(HARD, 40, embeddings=ROWS, labels=LABELS, groups=groups)
    assert np.bincount(groups[found.indices]).tolist() == [20, 20]
    assert found.info["offsets"].count(0) == 2
    assert len(found.info["offsets"]) == len(found.info["accuracies"])
    broken = ROWS.copy()
    broken[5, 1] = np.nan
    hard = HARD.copy()
    hard[6] = np.inf
    with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 5"):
        best_window(HARD, 9, embeddings=broken, labels=LABELS)
    found = best_window(hard, 150, embeddings=broken, labels=LABELS, on_bad="drop")
    assert not {5, 6} & set(found.indices.tolist())
    assert best_window([1.0], 1, embeddings=[[3.0]], labels=["a"]).indices.tolist() == [0]
    equal = np.ones((N, 3))
    assert best_window(HARD, 9, embeddings=equal, labels=LABELS).info["above"] >= 0


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"labels must be of at least two classes.*got one"):
        best_window(HARD, 9, embeddings=ROWS, labels=np.zeros(N, int))
    with pytest.raises(ValueError, match=r"labels must be of at least two classes.*in a group"):
        best_window(HARD, 9, embeddings=ROWS, labels=LABELS, groups=LABELS)
    with pytest.raises(ValueError, match=r"step must be in \(0, 1\], got 0"):
        best_window(HARD, 9, embeddings=ROWS, labels=LABELS, step=0)
    with pytest.raises(ValueError, match=r"ridge must be in \(0, inf\), got 0"):
        best_window(HARD, 9, embeddings=ROWS, labels=LABELS, ridge=0)


def test_a_row_without_a_label_is_refused():
    labels = np.array([0.0, 1.0, np.nan, 1.0])
    with pytest.raises(ValueError, match="labels must have a name in each row, got nan in row 2"):
        best_window([4.0, 3.0, 2.0, 1.0], 2, embeddings=np.eye(4), labels=labels)
