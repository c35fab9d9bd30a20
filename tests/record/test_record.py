"""What a selection says of dropped rows: rank, nearest kept row, coverage; other thresholds."""

from dataclasses import replace

import numpy as np
import pytest
from selection.cases import CALLS, DATA, N

from sampling import Selection
from sampling.io import save_selection
from sampling.selection import (  # fmt: skip
    METHODS,
    bottom,
    gumbel,
    moderate,
    preference_gap,
    prototypes,
    quota,
    semdedup,
    top,
    window,
)

RANDOM = np.random.default_rng(9)
SCORES = RANDOM.normal(size=80)
ROWS = RANDOM.normal(size=(80, 3)) + 4.0


def rank_by_sorting(values, row, candidates):
    order = sorted(candidates, key=lambda each: -values[each])
    return order.index(row)


@pytest.mark.parametrize(
    ("select", "sign"),
    [
        (lambda: top(SCORES, 30), 1),
        (lambda: bottom(SCORES, 30), -1),
        (lambda: window(SCORES, 30, offset=0.2), 1),
        (lambda: quota(SCORES, 30), 1),
        (lambda: prototypes(ROWS, 30, clusters=2), 1),
        (lambda: prototypes(ROWS, 30, clusters=2, keep="near"), -1),
        (lambda: moderate(ROWS, 30), -1),
        (lambda: preference_gap(SCORES, 30, rejected=np.zeros(80)), 1),
    ],
)
def test_ranks_of_dropped_rows(select, sign, tmp_path):
    found = select()
    save_selection(found, tmp_path / "a.parquet", dropped=True)
    again = Selection.load(tmp_path / "a.parquet")
    values = sign * np.asarray(found.scores)
    for row in np.flatnonzero(~found.mask())[:20].tolist():
        assert found.explain(row).rank == rank_by_sorting(values, row, range(80))
        assert found.explain(row, ROWS) == again.explain(row, ROWS)
    for place, row in enumerate(found.indices.tolist()):
        assert found.explain(row).rank == place


def test_ranks_go_on_where_ranked_picks_end():
    found = top(SCORES, 30)
    ranks = [found.explain(row).rank for row in range(80)]
    assert sorted(ranks) == list(range(80))
    tied = top([2.0, 1.0, 1.0, 1.0, 0.0], 2)
    assert sorted(tied.explain(row).rank for row in range(5)) == [0, 1, 2, 2, 4]


def test_rows_that_were_no_choice_have_no_rank():
    scores = SCORES.copy()
    scores[4] = np.nan
    found = top(scores, 30, on_bad="drop", already_selected=[9])
    assert found.explain(4).rank is None
    assert found.explain(9).rank is None
    others = set(range(80)) - {4, 9}
    row = int(next(iter(others - set(found.indices.tolist()))))
    assert found.explain(row).rank == rank_by_sorting(scores, row, others)
    noisy = gumbel(SCORES, 30)
    assert noisy.explain(int(np.flatnonzero(~noisy.mask())[0])).rank is None


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_rank_is_a_place_or_none(name):
    found = CALLS[name](DATA, 60)
    row = int(np.flatnonzero(~found.mask())[0])
    why = found.explain(row, DATA.embeddings)
    assert why.rank is None or 0 <= why.rank < N
    gaps = np.linalg.norm(DATA.embeddings[found.indices] - DATA.embeddings[row], axis=1)
    assert gaps[found.indices.tolist().index(why.nearest)] == pytest.approx(gaps.min())


def test_coverage_of_the_dropped(monkeypatch):
    found = top(SCORES, 11)
    rows = np.flatnonzero(~found.mask())
    gaps = np.linalg.norm(ROWS[rows][:, None] - ROWS[found.indices][None], axis=2).min(axis=1)
    for numbers in (2**21, 7):  # in one block, in many
        monkeypatch.setattr("sampling.record._kept._NUMBERS", numbers)
        monkeypatch.setattr("sampling.record._kept._COLUMNS", 4 if numbers == 7 else 4096)
        coverage = found.summary(embeddings=ROWS)["coverage"]
        assert coverage["mean"] == pytest.approx(gaps.mean(), rel=1e-12)
        assert coverage["largest"] == pytest.approx(gaps.max(), rel=1e-12)
    assert "coverage" not in found.summary()
    assert top(SCORES, 80).summary(embeddings=ROWS)["coverage"] is None


def test_coverage_leaves_rows_out_that_are_not_finite():
    rows, scores = ROWS.copy(), SCORES.copy()
    rows[5], scores[5] = np.nan, np.nan
    found = top(scores, 10, on_bad="drop")
    assert np.isfinite(found.summary(embeddings=rows)["coverage"]["largest"])


def test_copies_of_kept_rows_are_at_distance_0():
    rows = np.repeat(1e4 + RANDOM.normal(size=(20, 3)), 2, axis=0)
    found = top(np.tile([1.0, 0.0], 20), 20)
    assert found.summary(embeddings=rows)["coverage"] == {"mean": 0.0, "largest": 0.0}


# ---------------------------------------------------------------------- other thresholds

CUT = {"rule": "near copy of a row ranked before it", "count": "copies", "range": "[-1, 1]"}
NEAR = np.concatenate([ROWS, ROWS[:25] + 0.3 * RANDOM.normal(size=(25, 3)), ROWS[:9]])
IDS = [f"n{i}" for i in range(len(NEAR))]


def cut(**given):
    found = semdedup(NEAR, clusters=2, **given)
    return replace(found, info={**found.info, "cut": CUT, "order": "ascending"})


def same(one, two, but=("seconds", "estimate", "cut", "order")):
    assert np.array_equal(one.indices, two.indices)
    assert np.array_equal(one.verdicts, two.verdicts)
    assert (one.ids is None) == (two.ids is None)
    assert one.ids is None or np.array_equal(one.ids, two.ids)
    assert one.arguments == two.arguments
    assert {k: v for k, v in one.info.items() if k not in but} == {
        k: v for k, v in two.info.items() if k not in but
    }


@pytest.mark.parametrize("value", [-1.0, 0.9, 0.99, 0.9999, 1.0])
def test_another_threshold_is_a_run_at_it(value, tmp_path):
    fresh = cut(threshold=value)
    for first in (cut(threshold=0.995), cut(budget=40)):
        same(first.rethreshold(value), fresh)
        save_selection(first, tmp_path / "a.parquet", dropped=True)
        same(Selection.load(tmp_path / "a.parquet").rethreshold(value), fresh)
    already = cut(threshold=0.995, already_selected=[0, 4])
    same(already.rethreshold(value), cut(threshold=value, already_selected=[0, 4]))


def test_named_rows_of_a_file_come_back_if_their_names_are_saved(tmp_path):
    first = cut(threshold=0.995, ids=IDS)
    save_selection(first, tmp_path / "a.parquet", dropped=True)
    again = Selection.load(tmp_path / "a.parquet")
    same(again.rethreshold(0.9), cut(threshold=0.9, ids=IDS))
    same(again.rethreshold(1.0), cut(threshold=1.0, ids=IDS))
    with pytest.raises(ValueError, match="threshold must not add rows to a selection from a file"):
        replace(again, row_ids=None).rethreshold(1.0)


def test_other_selections_have_no_threshold():
    with pytest.raises(ValueError, match="rethreshold needs a selection determined .* of top"):
        top(SCORES, 3).rethreshold(0.5)
    with pytest.raises(ValueError, match="rethreshold needs the scores of all rows"):
        replace(cut(threshold=0.9), scores=None).rethreshold(0.5)
    with pytest.raises(ValueError, match=r"threshold must be in \[-1, 1\], got 2"):
        cut(threshold=0.9).rethreshold(2)


def test_a_method_that_says_it_can_keeps_names_in_memory():
    from sampling.selection import Picks, select

    values = np.array([0.1, 0.5, 0.5, 0.9, 0.1])

    def run(limit):
        def core(task):
            kept = task.of(values) <= limit
            order = np.lexsort((task.keys, task.of(values)))[: task.budget]
            info = {"threshold": limit, "copies": int((~kept).sum()), "cut": CUT}
            return Picks(order, ruled=[(~kept, CUT["rule"])], info=info)

        count = int((values <= limit).sum())
        return select(
            "semdedup", 5, None, {"ids": IDS[:5], "seed": 3}, core, count=count, scores=values,
            arguments={"threshold": limit}, order="ascending", bad=None,
        )  # fmt: skip

    for before in (0.1, 0.5, 0.9):
        for after in (0.0, 0.1, 0.5, 0.9):
            same(run(before).rethreshold(after), run(after))
