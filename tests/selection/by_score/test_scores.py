"""Selectors by score: what each keeps, the values of the cards, and the field's known bugs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.record import Score
from sampling.selection import (
    beta,
    bottom,
    ccs,
    gumbel,
    moderate,
    perplexity,
    preference_gap,
    quota,
    share_out,
    stratified,
    surrogate,
    top,
    water_fill,
    window,
)

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


def test_window_leaves_out_the_hardest():
    scores = np.arange(100.0)
    assert sorted(window(scores, 20, offset=0.1).indices) == list(range(70, 90))
    assert sorted(window(scores, 95, offset=0.1).indices) == list(range(95))  # moved up
    assert sorted(window(scores, 20, offset=0.0).indices) == list(range(80, 100))  # no [0:-0]
    easy = Score(scores, "easier", "aum")
    assert sorted(window(easy, 20, offset=0.1).indices) == list(range(10, 30))


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=60),
    st.data(),
    st.sampled_from(["width", "quantile"]),
)
def test_strata_give_exactly_the_budget(scores, data, strata):
    """Negative maxima, constants and heavy tails: `max * 1.0001` loses rows of all three."""
    budget = data.draw(st.integers(1, len(scores)))
    assert len(stratified(scores, budget, strata=strata)) == budget
    assert len(ccs(scores, budget, strata=strata)) == budget


def test_ccs_on_the_scores_that_break_the_released_one():
    for scores in (-1.0 - RANDOM.gamma(2, size=1000), np.zeros(1000), LONG):
        found = ccs(scores, 100, cut=0.1)
        assert len(found) == 100
        assert found.info["cut"] == round(0.1 * len(scores))


def test_ccs_drops_the_hardest_and_covers_the_rest():
    scores = np.arange(1000.0)
    found = ccs(scores, 100, cut=0.3, num_strata=50)
    assert found.indices.max() < 700
    assert np.histogram(found.indices, 50, (0, 700))[0].tolist() == [2] * 50
    by_margin = ccs(scores, 100, cut=0.3, margins=Score(scores, "easier", "aum"))
    assert by_margin.indices.min() >= 300
    assert ccs(scores, 900, cut=0.3).info["cut"] == 100  # never more than the budget leaves
    assert ccs(scores, 100).info["cut"] == 300  # the default at a prune rate of 0.9
    assert ccs(scores, 500).info["cut"] == 0


def test_ccs_by_class_uses_each_class_own_size():
    """The released class-balanced branch takes the last class's size for all of them."""
    labels = np.repeat([0, 1, 2], [700, 200, 100])
    found = ccs(RANDOM.gamma(2, size=1000), 100, groups=labels)
    assert np.bincount(labels[found.indices]).tolist() == [70, 20, 10]


def test_moderate_keeps_the_middle_and_not_the_tails():
    """D2's copy keeps ranks 0-14 and 85-99 of 100 at r = 0.3: the two tails."""
    rows = np.concatenate([np.zeros(1), np.arange(1.0, 51), -np.arange(1.0, 51)])[:, None]
    found = moderate(rows, 31)
    assert np.sort(np.abs(rows[found.indices, 0]))[[0, -1]].tolist() == [18, 33]
    with pytest.raises(ValueError, match=r"must be finite as float32, got 1e\+200 in row 1"):
        moderate([[1.0], [1e200]], 1)
    assert len(moderate([[1.0], [2.0], [7.0]], 2, labels=[0, 0, 1])) == 2  # a class of one row


def test_beta_has_the_parameters_of_the_card():
    """mu = 0.2: means 0.26, 0.30, 0.43, 0.56, 0.74 at prune rates 0.3, 0.5, 0.7, 0.8, 0.9."""
    scores = np.concatenate([np.full(10, 2.0), RANDOM.uniform(0, 1, 990)])
    confidence = np.concatenate([np.full(10, 0.2), RANDOM.uniform(0, 1, 990)])
    expected = {0.3: 0.26, 0.5: 0.30, 0.7: 0.43, 0.8: 0.56, 0.9: 0.74}
    for rate, mean in expected.items():
        info = beta(scores, round(1000 * (1 - rate)), confidence=confidence).info
        assert info["a"] / (info["a"] + info["b"]) == pytest.approx(mean, abs=0.005)
    easy = confidence[beta(np.ones(1000), 100, confidence=confidence).indices].mean()
    hard = confidence[beta(np.ones(1000), 700, confidence=confidence).indices].mean()
    assert easy > hard


def test_gumbel_draws_in_proportion():
    """First picks of 4,000 seeds against exp(score): chi-square, 3 degrees, p = 10^-6 at 30.7."""
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    first = [int(gumbel(np.log(weights), 1, seed=seed).indices[0]) for seed in range(4000)]
    expected = 400 * weights
    assert (np.square(np.bincount(first, minlength=4) - expected) / expected).sum() < 30.7
    assert gumbel(LONG, 5, temperature=1e-9).indices.tolist() == top(LONG, 5).indices.tolist()


def test_perplexity_has_the_chances_of_the_card():
    """The published boundaries: 0.280, 1.19, 0.584, 0.016 stepwise; about 47 % of a corpus."""
    marks = [536394.99320948, 662247.50212365, 919250.87225178]
    values = np.repeat([3e5, 6e5, 8e5, 1e6], 2500)
    found = perplexity(values, 4700, rule="stepwise", boundaries=marks, reweight=True)
    chances = {v: 1 / found.weights[values[found.indices] == v].mean() for v in (3e5, 8e5, 1e6)}
    assert chances[3e5] / chances[8e5] == pytest.approx(0.280 / 0.584, rel=0.01)
    assert chances[1e6] / chances[8e5] == pytest.approx(0.016 / 0.584, rel=0.03)
    assert found.info["factor"] * marks[0] / (marks[1] - marks[0]) > 0
    bell = perplexity(np.repeat([1.0, 2.0, 3.0], 1000), 900, boundaries=[0.5, 1.0, 2.0],
                      reweight=True)  # fmt: skip
    kept = np.repeat([1.0, 2.0, 3.0], 1000)[bell.indices]
    one, two, three = (1 / bell.weights[kept == x].mean() for x in (1.0, 2.0, 3.0))
    assert two / one == pytest.approx(0.62 / 0.78, abs=0.01)
    assert three / one == pytest.approx(0.32 / 0.78, abs=0.01)
    # A value equal to the middle boundary has a branch here.
    assert len(perplexity(np.full(10, marks[1]), 4, rule="stepwise", boundaries=marks)) == 4
    with pytest.raises(ValueError, match="boundaries must be three ascending numbers"):
        perplexity(values, 9, boundaries=[3.0, 2.0, 4.0])
    with pytest.raises(ValueError, match="perplexities must be > 0, got 0.0 in row 1"):
        perplexity([1.0, 0.0], 1)


def test_surrogate_prefers_doubt_or_certainty():
    q = np.concatenate([np.full(500, 0.5), np.full(500, 0.99)])
    doubt = (surrogate(q, 100, exponent=1.0).indices < 500).mean()
    sure = (surrogate(q, 100, exponent=-1.0).indices < 500).mean()
    even = (surrogate(q, 100, exponent=0.0).indices < 500).mean()
    assert doubt > 0.9 > 0.7 > even > 0.3 > 0.1 > sure
    assert surrogate(q, 100).weights is None
    two = surrogate(np.stack([q, 1 - q], axis=1), 100, exponent=1.0, reweight=True)
    assert two.scores == pytest.approx(2 * q * (1 - q))
    with pytest.raises(ValueError, match="add up to 1 over classes"):
        surrogate([[0.5, 0.6], [0.5, 0.5]], 1)
    with pytest.raises(ValueError, match=r"in \[0, 1\].* in row 1"):
        surrogate([0.5, 1.5], 1)


def test_preference_gap_takes_reversed_pairs_last():
    chosen, rejected = np.array([1.0, 5.0, 2.0, 0.0]), np.array([3.0, 1.0, 1.0, 0.5])
    assert preference_gap(chosen, 4, rejected=rejected).indices.tolist() == [1, 2, 3, 0]
    close = preference_gap(chosen, 3, rejected=rejected, keep="smallest")
    assert close.indices.tolist()[:2] == [2, 1]
    assert close.info["reversed"] == 1
    plain = preference_gap(chosen, 2, rejected=rejected, keep="smallest", drop_reversed=False)
    assert plain.indices.tolist() == [0, 3]


GROUPS = np.repeat(["a", "b", "c"], [70, 20, 10])


def counts(found):
    return {g: int((GROUPS[found.indices] == g).sum()) for g in "abc"}


def test_quota_rules():
    scores = RANDOM.normal(size=100)
    assert counts(quota(scores, 10, groups=GROUPS)) == {"a": 7, "b": 2, "c": 1}
    assert counts(quota(scores, 30, groups=GROUPS, group_budgets="equal")) == dict.fromkeys(
        "abc", 10
    )
    found = quota(scores, 60, groups=GROUPS, group_budgets="equal")
    assert counts(found) == {"a": 30, "b": 20, "c": 10}  # one level for all that have room
    assert counts(quota(scores, 10, groups=GROUPS, floor=3)) == {"a": 4, "b": 3, "c": 3}
    assert counts(quota(scores, 40, groups=GROUPS, cap={"a": 20})) == {"a": 20, "b": 13, "c": 7}
    given = quota(scores, 9, groups=GROUPS, group_budgets={"a": 1, "b": 0, "c": 8})
    assert counts(given) == {"a": 1, "b": 0, "c": 8}
    for group in "ac":
        own = np.flatnonzero(GROUPS == group)
        best = own[np.argsort(-scores[own])][: counts(given)[group]]
        assert [i for i in given.indices if GROUPS[i] == group] == best.tolist()


def test_quota_shortfalls():
    scores, asked = np.arange(100.0), {"a": 10, "b": 10, "c": 30}
    with pytest.raises(ValueError, match="'raise' and 10 rows in group 'c', which is to give 30"):
        quota(scores, 50, groups=GROUPS, group_budgets=asked)
    more = quota(scores, 50, groups=GROUPS, group_budgets=asked, shortfall="redistribute")
    assert len(more) == 50
    assert counts(more)["c"] == 10
    less = quota(scores, 50, groups=GROUPS, group_budgets=asked, shortfall="accept")
    assert counts(less) == {"a": 10, "b": 10, "c": 10}
    with pytest.raises(ValueError, match="floor must be <= cap, got 5 > 2 in group 'b'"):
        quota(scores, 50, groups=GROUPS, floor=5, cap={"b": 2})
    with pytest.raises(ValueError, match="floors must add up to at most the budget, 10, got 15"):
        quota(scores, 10, groups=GROUPS, floor=5)
    with pytest.raises(ValueError, match="group_budgets must add up to the budget, 50, got 3"):
        quota(scores, 50, groups=GROUPS, group_budgets={"a": 3, "b": 0, "c": 0})


@pytest.mark.parametrize(
    ("budgets", "expected"),
    [
        ({"a": 0.6, "b": 0.3, "c": 0.1}, {"a": 30, "b": 15, "c": 5}),
        ({"a": 0.7, "b": 0.15, "c": 0.15}, {"a": 35, "b": 8, "c": 7}),  # which sorts first
        ({"a": 1.0, "b": 0.0, "c": 0.0}, {"a": 50, "b": 0, "c": 0}),
        ({"a": 0.999, "b": 0.001, "c": 0}, {"a": 50, "b": 0, "c": 0}),
        ({"a": 30.0, "b": 20, "c": np.float64(0)}, {"a": 30, "b": 20, "c": 0}),
    ],
)
def test_group_budgets_are_counts_or_shares(budgets, expected):
    found = quota(np.arange(100.0), 50, groups=GROUPS, group_budgets=budgets)
    assert counts(found) == expected


def test_shares_keep_to_floors_caps_and_the_shortfall_rule():
    shares, scores = {"a": 0.6, "b": 0.2, "c": 0.2}, np.arange(100.0)
    given = {"groups": GROUPS, "group_budgets": shares}
    assert counts(quota(scores, 30, **given, cap={"a": 10})) == {"a": 10, "b": 10, "c": 10}
    assert counts(quota(scores, 20, **given, floor={"b": 6})) == {"a": 11, "b": 6, "c": 3}
    with pytest.raises(ValueError, match="'raise' and 10 rows in group 'c', which is to give 12"):
        quota(scores, 60, **given)
    assert counts(quota(scores, 60, **given, shortfall="accept"))["c"] == 10
    head = quota(scores, 50, **given).head(20)
    assert counts(head) == {"a": 12, "b": 4, "c": 4}
    costs = np.full(100, 10)
    assert counts(quota(scores, 500, costs=costs, **given)) == {"a": 30, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"a": 10.9, "b": 39.1, "c": 0}, ValueError, "got 10.9 for group 'a', and 50 in all"),
        ({"a": 0.5, "b": 0.3, "c": 0.1}, ValueError, "shares that add up to 1, got 0.5 .*0.9 in"),
        ({"a": 1, "b": 0, "c": 0}, ValueError, "must add up to the budget, 50, got 1"),
        ({"a": -1, "b": 51, "c": 0}, ValueError, r"group_budgets\['a'\] must be in \[0, inf\)"),
        ({"a": True, "b": 49, "c": 0}, TypeError, r"group_budgets\['a'\] must be a number"),
        ({"a": 25, "b": 25}, ValueError, r"group_budgets must name all groups, missing \['c'\]"),
        ({"z": 50}, ValueError, r"group_budgets must name groups of .*, got 'z'"),
        (
            [25, 25, 0],
            TypeError,
            "group_budgets must be a mapping from groups, or a word, got list",
        ),
        ("even", ValueError, "group_budgets must be one of 'proportional'"),
    ],
)
def test_group_budgets_of_something_else_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        quota(np.arange(100.0), 50, groups=GROUPS, group_budgets=settings)


def test_limits_of_groups_are_whole_and_hold_for_given_counts():
    scores, asked = np.arange(100.0), {"a": 30, "b": 15, "c": 5}
    for name in ("floor", "cap"):
        with pytest.raises(ValueError, match=f"{name} must be whole numbers, got 10.5 for group"):
            quota(scores, 50, groups=GROUPS, **{name: {"b": 10.5}})
    with pytest.raises(ValueError, match="must keep to the cap, 20, got 30 for group 'a'"):
        quota(scores, 50, groups=GROUPS, group_budgets=asked, cap=20)
    with pytest.raises(ValueError, match="must keep to the floor, 6, got 5 for group 'c'"):
        quota(scores, 50, groups=GROUPS, group_budgets=asked, floor=6)


def test_words_for_groups_with_numbers_as_toml_and_json_have_them():
    groups = np.repeat([0, 1], 50)
    found = quota(np.arange(100.0), 10, groups=groups, group_budgets={"0": 7, "1": 3})
    assert found.info["group_counts"]
    assert (np.array(found.indices) < 50).sum() == 7
    with pytest.raises(ValueError, match="must name each of the groups once, got '0' again"):
        quota(np.arange(100.0), 10, groups=groups, group_budgets={0: 7, "0": 0, "1": 3})


def test_amounts_with_fractions_are_refused_not_cut_off():
    with pytest.raises(ValueError, match="caps must be whole numbers, got 3.9 in row 1"):
        share_out([1, 1], 9, caps=[3, 3.9])
    with pytest.raises(ValueError, match="capacities must be whole numbers, got 0.5 in row 0"):
        water_fill([0.5, 9], 3)
    assert quota(np.arange(100.0), 0.29, costs=np.ones(100)).info["cost"] == 29


def test_quota_heads_keep_the_quotas():
    scores = RANDOM.normal(size=100)
    whole = quota(scores, 50, groups=GROUPS)
    for budget in (1, 10, 33):
        assert set(whole.head(budget).indices) == set(quota(scores, budget, groups=GROUPS).indices)


def test_quota_in_tokens():
    scores, tokens = RANDOM.normal(size=100), RANDOM.integers(1, 40, size=100)
    found = quota(scores, 300, costs=tokens, groups=GROUPS, cap={"a": 100})
    spent = {g: int(tokens[found.indices][GROUPS[found.indices] == g].sum()) for g in "abc"}
    assert found.info["cost"] == sum(spent.values()) <= 300
    assert spent["a"] <= 100
    left = found.info["unspent"]
    rest = np.setdiff1d(np.arange(100), found.indices)
    fits = [
        r for r in rest if tokens[r] <= left and (GROUPS[r] != "a" or tokens[r] + spent["a"] <= 100)
    ]
    assert not fits
    with pytest.raises(ValueError, match="costs must be whole numbers, got 1.5 in row 1"):
        quota(scores, 300, costs=np.where(np.arange(100) == 1, 1.5, 1))


@pytest.mark.parametrize("method", [top, window, ccs, gumbel, quota])
def test_bad_rows_are_named_or_dropped(method):
    scores = np.arange(20.0)
    scores[[3, 7]] = np.nan, np.inf
    with pytest.raises(
        ValueError, match=r"scores must be finite, got nan in row 3 \(2 such rows\)"
    ):
        method(scores, 5)
    found = method(scores, 18, on_bad="drop")
    assert sorted(found.indices) == [i for i in range(20) if i not in (3, 7)]
    assert found.explain(7).rule == "a value that is not finite"
    with pytest.raises(ValueError, match="budget must be at most 18, the number of eligible rows"):
        method(scores, 19, on_bad="drop")
    with pytest.raises(TypeError, match="scores must hold numbers"):
        method(np.array(["a", "b"]), 1)
    with pytest.raises(ValueError, match="on_bad must be one of 'raise', 'drop', got 'ignore'"):
        method(scores, 5, on_bad="ignore")


def test_scores_say_what_high_means():
    values = np.arange(10.0)
    easy = Score(values, "easier", "aum")
    assert ccs(easy, 3, cut=0.5).indices.min() >= 5
    assert len(ccs(Score(values, "keep", "quality"), 3)) == 3
    assert quota(Score(values, "drop"), 3).indices.tolist() == [0, 1, 2]


def test_a_row_that_is_bad_in_either_input_is_dropped():
    scores, margins, fine = np.arange(20.0), np.arange(20.0), np.arange(20.0)
    scores[3], margins[7] = np.nan, np.nan
    left = [row for row in range(20) if row not in (3, 7)]
    found = ccs(scores, 18, margins=margins, on_bad="drop")
    assert sorted(found.indices) == left
    assert sorted(preference_gap(scores, 18, rejected=margins, on_bad="drop").indices) == left
    assert 3 not in ccs(scores, 19, margins=fine, on_bad="drop").indices
    assert 7 not in ccs(fine, 19, margins=margins, on_bad="drop").indices
