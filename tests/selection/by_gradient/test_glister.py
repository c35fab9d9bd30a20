"""GLISTER: picks by a validation gradient that follows them."""

import numpy as np
import oracle_gradients as oracles
import pytest

from sampling.selection import glister

RANDOM = np.random.default_rng(6)
CLASSES, WIDTH = 3, 4
CENTERS = 2 * RANDOM.normal(size=(CLASSES, WIDTH))
LABELS, CLEAN = RANDOM.integers(0, CLASSES, 160), RANDOM.integers(0, CLASSES, 60)
FEATURES = CENTERS[LABELS] + RANDOM.normal(size=(160, WIDTH))
HELD_OUT = CENTERS[CLEAN] + RANDOM.normal(size=(60, WIDTH))
WEIGHT = 0.1 * RANDOM.normal(size=(CLASSES, WIDTH))
ROWS = oracles.last_layer_gradients(FEATURES, LABELS, WEIGHT).astype(np.float32)


def validation(change):
    """The gradient of the mean cross-entropy of the held-out rows by the last layer."""
    moved = WEIGHT + change.reshape(WEIGHT.shape)
    return oracles.last_layer_gradients(HELD_OUT, CLEAN, moved).mean(axis=0)


def loss(change):
    chances = oracles.softmax(HELD_OUT @ (WEIGHT + change.reshape(WEIGHT.shape)).T)
    return -np.log(chances[np.arange(60), CLEAN]).mean()


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4])
@pytest.mark.parametrize("every", [1, 4])
def test_the_picks_of_the_definition(rate, every):
    found = glister(ROWS, 40, validation=validation, learning_rate=rate, picks_per_refresh=every)
    assert found.indices.tolist() == oracles.glister(ROWS, 40, validation, rate, every=every)
    assert found.info["refreshes"] == 40 // every


def test_the_validation_gradient_is_refreshed():
    """A copy asks for it once: the highest products with the first gradient, whatever the rate."""
    calls = []

    def counted(change):
        calls.append(change)
        return validation(change)

    found = glister(ROWS, 40, validation=counted, learning_rate=0.3)
    never = np.argsort(-(ROWS @ validation(np.zeros(12))))[:40]
    assert len(calls) == 40
    assert calls[-1] == pytest.approx(-0.3 * ROWS[found.indices[:-1]].sum(axis=0), rel=1e-5)
    assert len(set(found.indices.tolist()) & set(never.tolist())) < 35
    assert loss(-0.3 * ROWS[found.indices].sum(axis=0)) < loss(-0.3 * ROWS[never].sum(axis=0))


def test_wrong_labels_are_not_picked():
    wrong = np.arange(160) % 2 == 1
    rows = oracles.last_layer_gradients(FEATURES, np.where(wrong, (LABELS + 1) % 3, LABELS), WEIGHT)
    assert not wrong[glister(rows, 20, validation=validation, learning_rate=0.01).indices].any()


def test_the_gain_is_the_decrease_of_the_loss():
    found = glister(ROWS, 10, validation=validation, learning_rate=1e-3)
    assert found.info["no_gain"] == 0
    fall = loss(np.zeros(12)) - loss(-1e-3 * ROWS[found.indices].sum(axis=0))
    assert found.info["gain"] == pytest.approx(fall, rel=0.02)
    assert glister(ROWS, 160, validation=validation).info["no_gain"] > 0


def test_rows_already_selected_are_stepped_on_first():
    found = glister(ROWS, 20, validation=validation, learning_rate=0.5, already_selected=[2, 9])
    picks = oracles.glister(ROWS, 20, validation, 0.5, already=(2, 9))
    assert found.indices.tolist() == picks


def test_groups_do_not_see_each_other():
    found = glister(ROWS, 30, validation=validation, learning_rate=0.5, groups=LABELS,
                    group_budgets="equal")  # fmt: skip
    for group in range(CLASSES):
        own = np.flatnonzero(LABELS == group)
        picks = own[oracles.glister(ROWS[own], 10, validation, 0.5)]
        assert set(found.indices[LABELS[found.indices] == group].tolist()) == set(picks.tolist())
    assert found.info["refreshes"] == 30


def test_copies_are_distinguished_by_id_and_not_by_row():
    rows = np.repeat(ROWS[:16], 10, axis=0)
    order, ids = RANDOM.permutation(160), np.arange(160)
    one, two = (
        glister(rows[some], 40, ids=ids[some], validation=validation) for some in (ids, order)
    )
    assert one.ids.tolist() == two.ids.tolist()
    assert np.unique(one.indices).size == 40


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_the_scale_of_the_data_does_not_matter(scale):
    narrow = ROWS.astype(np.float32)
    found = glister(narrow, 30, validation=validation)
    scaled = glister(
        narrow * np.float32(scale), 30, validation=validation, learning_rate=0.05 / scale
    )
    assert np.array_equal(found.indices, scaled.indices)
    assert scaled.info["gain"] == pytest.approx(found.info["gain"])


def test_rows_without_a_gradient_are_last_and_one_row_is_kept():
    rows = ROWS.copy()
    rows[::2] = 0.0
    found = glister(rows, 160, validation=lambda change: np.full(12, -1.0))
    assert len(found) == 160
    assert glister(ROWS[:1], 1, validation=validation).indices.tolist() == [0]
    assert glister(ROWS, 3, validation=np.zeros_like).info["no_gain"] == 3


def test_what_cannot_work_is_refused():
    with pytest.raises(TypeError, match="validation must be a function .* got ndarray"):
        glister(ROWS, 5, validation=np.ones(12))
    with pytest.raises(ValueError, match=r"validation\(change\) must have length 12, got 3"):
        glister(ROWS, 5, validation=lambda _: np.ones(3))
    with pytest.raises(ValueError, match=r"validation\(change\) must be finite, got nan in row 0"):
        glister(ROWS, 5, validation=lambda _: np.full(12, np.nan))
    rows = ROWS.copy()
    rows[4, 0] = np.inf
    with pytest.raises(ValueError, match="gradients must be finite, got inf in row 4"):
        glister(rows, 5, validation=validation)
    assert 4 not in glister(rows, 159, validation=validation, on_bad="drop").indices


def test_a_step_beyond_float32_is_refused():
    rows = np.eye(3) - 0.2
    with pytest.raises(ValueError, match=r"validation\(change\) must be within .* float32"):
        glister(rows, 2, validation=lambda change: change - 1.0, learning_rate=1e300)
