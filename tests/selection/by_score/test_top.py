"""`top` and `bottom`, against sorting."""

import numpy as np

from sampling.selection import bottom, top

RANDOM = np.random.default_rng(3)
LONG = np.exp(3 * RANDOM.normal(size=500))


def test_top_and_bottom_by_sorting():
    scores = np.round(LONG, 1)
    for budget in (1, 7, 250, 500):
        assert sorted(scores[top(scores, budget).indices]) == sorted(np.sort(scores)[-budget:])
        assert sorted(scores[bottom(scores, budget).indices]) == sorted(np.sort(scores)[:budget])
        kept = scores[top(scores, budget).indices]
        assert (np.diff(kept) <= 0).all()


def test_ties_do_not_hang_on_the_order_of_the_rows():
    """Sorted classes and a stable argsort would keep one class only (Data Diet's loader)."""
    classes = np.repeat(np.arange(10), 100)
    kept = classes[top(np.zeros(1000), 300).indices]
    counts = np.bincount(kept, minlength=10)
    # Hypergeometric, mean 30, sd 4.35: outside of 30 +- 5 sd once in 10^5 seeds over ten classes.
    assert (np.abs(counts - 30) < 22).all()
    assert set(top(np.zeros(1000), 300, seed=1).indices) != set(top(np.zeros(1000), 300).indices)


GROUPS = np.repeat(["a", "b", "c"], [70, 20, 10])


def counts(found):
    return {g: int((GROUPS[found.indices] == g).sum()) for g in "abc"}
