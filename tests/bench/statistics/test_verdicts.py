"""Verdicts of a table over its evaluations."""

import json
import math

import numpy as np
import pytest

from sampling.bench.statistics import Row, components, evaluate, level_at, seeds_needed

from .simulation import tables


def rows_of(differences, seeds=None, keep=0.5, **more):
    shown = differences.copy()
    if seeds is not None:
        shown[:, seeds:] = np.nan
    return [Row(f"m{i}", keep, each, **more) for i, each in enumerate(shown)]


def table(means, deviation=0.2, seed=1):
    random = np.random.RandomState(seed)  # noqa: NPY002
    own = np.full(len(means), deviation / math.sqrt(2))
    return tables(random, 1, means, own, own[0])[0]


MEANS = [0, 0, -0.3, -1, 0]
DATA = table(MEANS)


def decisions(found):
    return [each.decision for each in found.verdicts]


def kept(found):
    return json.loads(json.dumps(found.record()))


def test_a_pilot_has_a_plan_and_no_verdicts():
    found = evaluate(rows_of(DATA, 3), 0.3)
    assert (found.number, found.is_new, found.spent) == (0, False, 0)
    assert decisions(found) == ["pilot"] * 5
    assert found.plan.seeds == 13
    for each in found.verdicts:
        assert math.isnan(each.p_non_inferior + each.p_zero + each.low_all)
        assert each.low < each.mean < each.high
        assert not each.zero_excluded
        assert 5 <= each.seeds_needed < 40


def test_an_evaluation_decides_by_holm_at_its_own_level():
    found = evaluate(rows_of(DATA, 14), 0.3)
    assert (found.number, found.is_new, found.spent) == (1, True, level_at(1))
    assert decisions(found) == ["non-inferior"] * 2 + ["undecided", "inferior", "non-inferior"]
    assert [each.zero_excluded for each in found.verdicts] == [False] * 2 + [True, True, False]
    for each in found.verdicts:
        assert each.low_all < each.low < each.mean < each.high < each.high_all
        assert (each.seeds_needed is None) == (each.decision != "undecided")
        assert each.p_non_inferior == pytest.approx(1 - each.p_inferior)
    assert found.verdicts[2].words == "undecided"


def test_decisions_of_earlier_evaluations_stay_and_printing_again_is_none():
    records, seen = [], []
    for seeds in (8, 8, 12, 20):
        found = evaluate(rows_of(DATA, seeds), 0.3, earlier=records)
        again = evaluate(rows_of(DATA, seeds), 0.3, earlier=[*records, kept(found)])
        assert (again.number, again.is_new) == (found.number, False)
        assert decisions(again) == decisions(found)
        seen.append((found.number, found.is_new, found.spent))
        records += [kept(found)] if found.is_new else []
        at = {each.decided_at for each in found.verdicts}
        assert at <= {None, *range(1, found.number + 1)}
    assert seen == [
        (1, True, level_at(1)), (1, False, level_at(1)), (2, True, level_at(2)),
        (3, True, level_at(3)),
    ]  # fmt: skip
    assert decisions(found) == ["non-inferior"] * 2 + ["undecided", "inferior", "non-inferior"]
    worse = DATA.copy()
    worse[1, 10:] = -2
    found = evaluate(rows_of(worse, 20), 0.3, earlier=[r for r in records if r["evaluation"] < 3])
    assert found.verdicts[1].decision == "non-inferior"
    assert found.verdicts[1].note.endswith("the mean is now below minus the margin")


def test_another_margin_or_family_does_not_inherit_decisions():
    first = kept(evaluate(rows_of(DATA, 14), 0.3, family="accuracy"))
    tight = evaluate(rows_of(DATA, 15), 0.05, earlier=[first], family="accuracy")
    assert tight.number == 2
    assert "non-inferior" not in decisions(tight)
    assert evaluate(rows_of(DATA, 15), 0.3, earlier=[first], family="loss").number == 1


def test_rows_added_later_join_the_family():
    first = kept(evaluate(rows_of(DATA[:2], 14), 0.3))
    pilot = [*rows_of(DATA[:2], 14), Row("new", 0.3, np.where(np.arange(20) < 3, DATA[4], np.nan))]
    found = evaluate(pilot, 0.3, earlier=[first])
    assert (found.number, found.is_new) == (1, False)
    assert decisions(found) == ["non-inferior", "non-inferior", "pilot"]
    found = evaluate([*pilot[:2], Row("new", 0.3, DATA[4])], 0.3, earlier=[first])
    assert (found.number, found.is_new) == (2, True)
    tail = found.spent / 3
    from scipy.stats import t

    new = found.verdicts[2]
    squares = ((DATA[4] - DATA[4].mean()) ** 2).sum()
    squares -= ((DATA[4, :3] - DATA[4, :3].mean()) ** 2).sum()
    assert new.high_all - new.mean == pytest.approx(t.isf(tail, 17) * math.sqrt(squares / 17 / 20))


def test_a_plan_is_given_beforehand_and_ends():
    first = kept(evaluate(rows_of(DATA, 8), 0.3, planned=2))
    with pytest.raises(ValueError, match="planned must be that of evaluation 1, 2, got None"):
        evaluate(rows_of(DATA, 9), 0.3, earlier=[first])
    with pytest.raises(ValueError, match="level must be that of evaluation 1, 0.025, got 0.05"):
        evaluate(rows_of(DATA, 9), 0.3, earlier=[first], planned=2, level=0.05)
    second = evaluate(rows_of(DATA, 9), 0.3, earlier=[first], planned=2)
    assert first["evaluation"] == 1
    assert second.spent + level_at(1, 2) == pytest.approx(0.025)
    assert second.plan is None
    third = evaluate(rows_of(DATA, 20), 0.3, earlier=[first, kept(second)], planned=2)
    assert third.spent == 0
    assert decisions(third) == decisions(second)
    assert "evaluation 3 of 2 planned: the error is spent" in third.verdicts[2].note


def test_equal_differences_have_no_verdict():
    data = DATA.copy()
    data[1] = -0.1
    found = evaluate(rows_of(data, 14), 0.3).verdicts[1]
    assert (found.decision, found.all_equal, found.zero_excluded) == ("all equal", True, False)
    assert found.note == "all 14 differences are -0.1: their spread is unknown"
    assert math.isnan(found.low)
    only = evaluate(rows_of(np.zeros((1, 6))), 0.3)
    assert decisions(only) == ["all equal"]
    assert only.plan is None


def test_a_fixed_number_of_seeds_uses_the_spread_of_all():
    from scipy.stats import ttest_1samp

    row = rows_of(DATA[:1], 5)
    found = evaluate(row, 0.3, planned=1, pilot=0)
    wanted = ttest_1samp(DATA[0, :5], -0.3, alternative="greater").pvalue
    assert found.spent == pytest.approx(0.025)
    assert found.verdicts[0].p_non_inferior == pytest.approx(wanted)


def test_seeds_needed_is_that_of_the_row_at_the_level_of_the_next_evaluation():
    found = evaluate(rows_of(DATA[2:3], 20), 0.3)
    deviation = math.sqrt(
        (((DATA[2] - DATA[2].mean()) ** 2).sum() - 2 * DATA[2, :3].var(ddof=1)) / 17
    )
    assert found.verdicts[0].seeds_needed == seeds_needed(deviation, 0.3, level_at(2))


def test_a_decision_that_new_examples_do_not_share_is_on_this_test_set():
    random = np.random.RandomState(0)  # noqa: NPY002
    data = DATA[:1, :12]
    for spread, words in ((200.0, "non-inferior on this test set"), (0.5, "non-inferior")):
        cells = random.normal(0, spread, (1, 400)) + random.normal(0, 1, (12, 400))
        cells += (data[0] - cells.mean(1))[:, None]
        found = evaluate([Row("m", 0.5, data[0], components(cells))], 0.3)
        (verdict,) = found.verdicts
        assert verdict.words == words
        assert verdict.new_examples.low <= verdict.low + 1e-9
        assert found.record()["rows"][0]["on_test_set"] == words.endswith("set")
        row = [Row("m", 0.5, data[0], components(cells))]
        assert evaluate(row, 0.3, earlier=[kept(found)]).verdicts[0].words == words
    with pytest.raises(ValueError, match="examples of a row must have its seeds, got 12 seeds"):
        evaluate([Row("m", 0.5, data[0, :8], components(cells))], 0.3)


def test_tables_are_checked():
    with pytest.raises(ValueError, match=r"got 'm0' at keep 0.5 twice \(row 1\)"):
        evaluate(rows_of(DATA[:1]) * 2, 0.3)
    with pytest.raises(ValueError, match=r"one shape \(S,\).*, got \(4,\), \(5,\)"):
        evaluate([Row("a", 0.5, np.zeros(4)), Row("b", 0.5, np.zeros(5))], 0.3)
    with pytest.raises(ValueError, match=r"margin must be in \(0, inf\), got 0"):
        evaluate(rows_of(DATA), 0)
    assert evaluate([], 0.3).verdicts == ()
    unseen = evaluate(rows_of(np.full((2, 5), np.nan)), 0.3)
    assert decisions(unseen) == ["pilot", "pilot"]
    assert (unseen.number, unseen.plan) == (0, None)
