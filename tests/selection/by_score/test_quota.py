"""Quotas of groups, in rows and in tokens."""

import numpy as np
import pytest

from sampling.selection import quota, share_out, water_fill

RANDOM = np.random.default_rng(3)
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
