"""How much more often a sample is predicted correctly by models that were trained on it."""

import numpy as np
import pytest
import torch

from sampling.scores import memorization
from sampling.selection import bags, top

RANDOM = np.random.default_rng(4)
R, N = 12, 50
BAGS = bags(N, R, draws=0.7, replacement=False, seed=3)
INSIDE = np.array([bag.counts > 0 for bag in BAGS])
CORRECT = RANDOM.random((R, N)) < 0.3 + 0.5 * INSIDE


def by_loops(correct, inside, least=1):
    """One sample after another: the two lists of models, and their means."""
    found = []
    for i in range(correct.shape[1]):
        seen = [float(correct[r, i]) for r in range(len(correct)) if inside[r, i]]
        unseen = [float(correct[r, i]) for r in range(len(correct)) if not inside[r, i]]
        enough = min(len(seen), len(unseen)) >= least
        found.append(sum(seen) / len(seen) - sum(unseen) / len(unseen) if enough else np.nan)
    return found


@pytest.mark.parametrize("least", [1, 3, 5])
def test_the_definition(least):
    found = memorization(CORRECT, BAGS, min_models=least)
    assert (found.higher_is, found.name) == ("harder", "memorization")
    np.testing.assert_allclose(found.values, by_loops(CORRECT, INSIDE, least), atol=1e-12)
    assert np.isnan(found.values).any() == (least > 1)
    for same in (INSIDE, INSIDE.tolist(), torch.tensor(INSIDE), BAGS[:]):
        other = memorization(torch.tensor(CORRECT), same, min_models=least)
        np.testing.assert_array_equal(other.values, found.values)


def test_rows_of_bags_with_repeats_count_once():
    repeated = bags(N, R)
    inside = np.array([bag.counts > 0 for bag in repeated])
    found = memorization(CORRECT, repeated).values
    np.testing.assert_allclose(found, by_loops(CORRECT, inside), atol=1e-12)
    counts = np.array([bag.counts for bag in repeated])
    np.testing.assert_array_equal(memorization(CORRECT, counts).values, found)


def test_what_is_learned_by_heart_is_first():
    correct = np.ones((R, N), bool)
    correct[:, 7] = INSIDE[:, 7]
    correct[:, 8] = False  # never learned: not memorized
    found = memorization(correct, BAGS)
    assert top(found, 1).indices.tolist() == [7]
    assert found.values[8] == 0.0
    chances = np.where(correct, 0.75, 0.25).astype(np.float16)
    assert memorization(chances, BAGS).values[7] == pytest.approx(0.5)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"models and samples of correct, \(12, 49\), got .*50\)"):
        memorization(CORRECT[:, :49], BAGS)
    with pytest.raises(ValueError, match=r"correct, \(11, 50\), got \(12, 50\)"):
        memorization(CORRECT[:11], INSIDE)
    with pytest.raises(ValueError, match=r"correct must have shape \(R, N\).*got \(50,\)"):
        memorization(CORRECT[0], BAGS)
    with pytest.raises(ValueError, match="each of bags must have .* 50.* got 49"):
        memorization(CORRECT, [*BAGS[:11], bags(49, 1)[0]])
    broken = CORRECT.astype(float)
    broken[3, 9] = np.nan
    with pytest.raises(ValueError, match=r"in \[0, 1\], got nan for sample 9 of model 3"):
        memorization(broken, BAGS)
    with pytest.raises(TypeError, match="bags must be those of selection.bags, or bools, got .*64"):
        memorization(CORRECT, INSIDE.astype(float))
    with pytest.raises(ValueError, match="at least 1 with a sample and 1 without it, got no such"):
        memorization([[1]], [[1]])
    with pytest.raises(ValueError, match="min_models must be >= 1, got 0"):
        memorization(CORRECT, BAGS, min_models=0)


def test_bags_of_indices_are_refused_with_the_way_to_count_them():
    with pytest.raises(TypeError, match="lists of different lengths: of indices i, give np.bincou"):
        memorization(np.ones((2, 3)), [np.array([0]), np.array([0, 1])])
