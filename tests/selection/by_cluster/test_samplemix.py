"""SampleMix: the shares of the card, by loops; uses under a cap, in rows or tokens."""

import numpy as np
import pytest

from sampling.clustering import Clustering, kmeans
from sampling.record import Score
from sampling.selection import samplemix

RANDOM = np.random.default_rng(4)
N = 120
ROWS = np.concatenate([RANDOM.normal(size=(60, 3)), 6 + 3 * RANDOM.normal(size=(60, 3))])
QUALITY = RANDOM.gamma(2.0, size=N)
COSTS = RANDOM.integers(1, 40, N)
FOUND = kmeans(ROWS, 5)


def shares_by_loops(alpha, clusters):
    """W of each row, as the card says it, with the floor at the 5th percentile."""
    labels, centers = clusters.labels, clusters.centers.astype(np.float64)
    diversity = []
    for row in range(N):
        own = np.flatnonzero(labels == labels[row])
        compact = np.mean([np.linalg.norm(ROWS[i] - centers[labels[row]]) for i in own])
        others = [j for j in range(len(centers)) if j != labels[row]]
        apart = np.mean([np.linalg.norm(centers[j] - centers[labels[row]]) for j in others])
        diversity.append(compact * apart)
    diversity = np.maximum(diversity, np.percentile(diversity, 5))
    scaled = (diversity - diversity.min()) / (diversity.max() - diversity.min())
    quality = (QUALITY - QUALITY.min()) / (QUALITY.max() - QUALITY.min())
    return alpha * scaled + (1 - alpha) * quality


def filled_by_steps(weights, ceilings, total):
    """Raise one level until the amounts under their ceilings add up to the total."""
    low, high = 0.0, 1e12
    for _ in range(300):
        level = (low + high) / 2
        low, high = (level, high) if np.minimum(ceilings, level * weights).sum() < total else (
            low, level)  # fmt: skip
    return np.minimum(ceilings, high * weights)


def uses_of(picked):
    counts = np.zeros(N)
    counts[picked.indices] = picked.weights
    return counts


@pytest.mark.parametrize("alpha", [0.0, 0.8, 1.0])
def test_the_shares_of_the_card(alpha):
    found = samplemix(ROWS, 50, quality=QUALITY, clusters=FOUND, alpha=alpha)
    assert found.scores == pytest.approx(shares_by_loops(alpha, FOUND), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(("cap", "budget"), [(None, 300), (3, 300), (2, 230), (1, 40), (4, 7)])
def test_uses_are_the_whole_numbers_beside_the_shares(cap, budget):
    found = samplemix(ROWS, budget, quality=QUALITY, clusters=FOUND, max_repeat=cap)
    weights = np.exp(found.scores / 0.2)
    ceilings = np.full(N, np.inf if cap is None else cap)
    exact = filled_by_steps(weights, ceilings, budget)
    uses = uses_of(found)
    assert uses.sum() == budget == found.info["uses"]
    assert (np.abs(uses - exact) < 1 + 1e-6).all()
    assert uses.max() <= ceilings.max()
    assert (found.weights >= 1).all()


@pytest.mark.parametrize("rounding", ["systematic", "bernoulli"])
@pytest.mark.parametrize("costs", [None, COSTS])
def test_the_mean_of_the_uses_is_the_share(rounding, costs):
    """400 seeds: each within 5 standard errors of a Bernoulli variable, 0.5 / 20."""
    budget = 200 if costs is None else 3000
    settings = {"quality": QUALITY, "clusters": FOUND, "max_repeat": 4, "rounding": rounding}
    runs = [samplemix(ROWS, budget, costs=costs, seed=seed, **settings) for seed in range(400)]
    weights = np.exp(runs[0].scores / 0.2)
    unit = np.ones(N) if costs is None else costs
    exact = filled_by_steps(weights * unit, 4.0 * unit, budget) / unit
    uses = np.array([uses_of(run) for run in runs])
    assert np.abs(uses.mean(axis=0) - exact).max() < 5 * 0.5 / 20
    spent = uses @ unit
    assert spent.mean() == pytest.approx(budget, rel=0.01)
    if costs is not None:
        assert [run.info["cost"] for run in runs] == spent.tolist()
    if rounding == "systematic":
        assert np.ptp(uses.sum(axis=1)) <= (0 if costs is None else 1)


def test_one_cluster_equal_quality_and_rows_alone():
    one = samplemix(ROWS, 60, quality=np.ones(N), clusters=1)
    assert (one.scores == 0.5).all()
    alone = Clustering(
        centers=ROWS[[0, 1]].astype(np.float32), labels=np.r_[0, np.ones(N - 1, int)],
        distances=np.r_[0, np.ones(N - 1)].astype(np.float32), nearest=np.array([0, 1]),
        sizes=np.array([1, N - 1]), objective=0.0, n_iter=1, seed=0,
    )  # fmt: skip
    found = samplemix(ROWS, 60, quality=np.arange(N), clusters=alone, alpha=1.0)
    assert (found.scores == 0.5).all()  # the one row is raised to the 5th percentile of the others


def test_the_temperature_and_the_direction():
    cold = samplemix(ROWS, 9, quality=QUALITY, clusters=1, tau=1e-4)
    assert cold.indices.tolist() == [int(QUALITY.argmax())]
    assert cold.weights.tolist() == [9]
    hot = samplemix(ROWS, N, quality=QUALITY, clusters=1, tau=1e9)
    assert hot.weights.tolist() == [1] * N
    bad = Score(QUALITY, "drop", "perplexity")
    assert samplemix(ROWS, 1, quality=bad, clusters=1, tau=1e-4).indices == QUALITY.argmin()


def test_groups_share_uses_too():
    groups = np.arange(N) % 3
    found = samplemix(ROWS, 3 * N, quality=QUALITY, clusters=FOUND, max_repeat=5, groups=groups)
    assert np.bincount(groups, uses_of(found)).tolist() == [N, N, N]
    assert found.info["uses"] == 3 * N


def test_rows_that_cost_nothing_are_left_out():
    costs = np.where(np.arange(N) == 7, 0, COSTS)
    found = samplemix(ROWS, 0.9, quality=QUALITY, clusters=FOUND, costs=costs)
    assert 7 not in found.indices
    assert found.arguments["budget"] == 0.9
    assert abs(found.info["cost"] - 0.9 * costs.sum()) < 5 * 0.5 * np.linalg.norm(costs)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"budget must be in \[1, 361\), got 361"):
        samplemix(ROWS, 361, quality=QUALITY, clusters=1, max_repeat=3)
    with pytest.raises(
        ValueError, match="budget must be at most 357, 3 times the number of eligible"
    ):
        samplemix(ROWS, 358, quality=QUALITY, clusters=1, max_repeat=3, already_selected=[1])
    most = 2 * int(COSTS.sum())
    with pytest.raises(ValueError, match=f"budget must be at most {most}, the cost of 2 repeats"):
        samplemix(ROWS, most + 1, quality=QUALITY, clusters=1, max_repeat=2, costs=COSTS)
    with pytest.raises(ValueError, match="costs must be omitted with groups"):
        samplemix(ROWS, 9, quality=QUALITY, clusters=1, costs=COSTS, groups=COSTS)
    with pytest.raises(ValueError, match=r"tau must be in \(0, inf\), got 0"):
        samplemix(ROWS, 9, quality=QUALITY, tau=0)
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got 1\.5"):
        samplemix(ROWS, 9, quality=QUALITY, alpha=1.5)
    with pytest.raises(ValueError, match="rounding must be one of 'systematic', 'bernoulli'"):
        samplemix(ROWS, 9, quality=QUALITY, rounding="up")
    with pytest.raises(ValueError, match="max_repeat must be in"):
        samplemix(ROWS, 9, quality=QUALITY, max_repeat=0)
    with pytest.raises(ValueError, match="quality must have the length of embeddings, 120, got 3"):
        samplemix(ROWS, 9, quality=[1, 2, 3])
    with pytest.raises(ValueError, match="quality must be finite, got nan in row 0"):
        samplemix(ROWS, 9, quality=np.full(N, np.nan))
