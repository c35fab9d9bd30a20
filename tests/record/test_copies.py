"""Which row was kept instead of each copy, in memory, in files and at other thresholds."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from sampling import Selection
from sampling.io import load_selection, save_selection
from sampling.selection import semdedup, twins_of

RNG = np.random.Generator(np.random.PCG64(3))
BASE = RNG.normal(size=(40, 6))
ROWS = np.concatenate([BASE + s * RNG.normal(size=BASE.shape) for s in (0.0, 0.05, 0.2, 0.4)])
UNIT = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
IDS = [f"doc-{i:03d}" for i in range(len(ROWS))]
QUALITY = RNG.permutation(len(ROWS)).astype(float)


def kept_instead(rule, limit):
    """Obvious: rows by descending quality, each compared with all before it."""
    order = np.argsort(-QUALITY)
    kept, instead = [], {}
    chain = {}
    for at, row in enumerate(order):
        before = order[:at]
        cosines = UNIT[before] @ UNIT[row]
        if rule == "greedy":
            near = [(UNIT[k] @ UNIT[row], -at, k) for at, k in enumerate(kept)]
            best = max((each for each in near if each[0] > limit), default=None)
            copy = best is not None
            if copy:
                instead[row] = best[2]
        elif rule == "components":
            seen, todo = set(), [row]
            while todo:
                one = todo.pop()
                near = np.flatnonzero(UNIT @ UNIT[one] > limit)
                todo += [i for i in near if i not in seen]
                seen.update(near)
            first = next(each for each in order if each in seen or each == row)
            copy = first != row
            if copy:
                instead[row] = first
        else:
            copy = at > 0 and cosines.max() > limit
            if copy:
                chain[row] = before[cosines.argmax()]
                end = chain[row]
                while end in chain:
                    end = chain[end]
                instead[row] = end
        if not copy:
            kept.append(row)
    return instead


def check(found, limit, rule="any_earlier"):
    wanted = kept_instead(rule, limit)
    told = {int(row): int(found.kept_rows[row]) for row in np.flatnonzero(found.kept_rows >= 0)}
    assert told == {int(row): int(kept) for row, kept in wanted.items()}
    assert set(told) == {*range(len(ROWS))} - {*found.indices.tolist()}
    for row, kept in told.items():
        assert found.similarities[row] == pytest.approx(UNIT[row] @ UNIT[kept], abs=1e-5)


@pytest.mark.parametrize("rule", ["any_earlier", "greedy", "components"])
def test_the_kept_row_of_each_copy(rule, tmp_path):
    found = semdedup(ROWS, threshold=0.93, rule=rule, quality=QUALITY, clusters=1, ids=IDS)
    check(found, 0.93, rule)
    save_selection(found, tmp_path / "s.parquet", dropped=True)
    again = load_selection(tmp_path / "s.parquet")
    check(again, 0.93, rule)
    rest = pq.read_table(tmp_path / "s.dropped.parquet")
    for row, kept, name in zip(*(rest[n].to_pylist() for n in ("index", "kept_row", "kept_id")),
                               strict=True):  # fmt: skip
        assert name == IDS[kept]
        why = again.explain(IDS[row])
        assert (why.kept_row, why.kept_id) == (kept, IDS[kept])
        assert why.similarity == pytest.approx(UNIT[row] @ UNIT[kept], abs=1e-5)
    assert again.explain(IDS[again.indices[0]]).kept_row is None


@pytest.mark.parametrize("other", [0.8, 0.97])
def test_another_threshold_finds_other_kept_rows(other, tmp_path):
    first = semdedup(ROWS, threshold=0.93, quality=QUALITY, clusters=1, ids=IDS)
    save_selection(first, tmp_path / "s.parquet", dropped=True)
    for found in (first, load_selection(tmp_path / "s.parquet")):
        again = found.rethreshold(other, ROWS)
        fresh = semdedup(ROWS, threshold=other, quality=QUALITY, clusters=1, ids=IDS)
        assert np.array_equal(again.indices, fresh.indices)
        assert again.ids.tolist() == fresh.ids.tolist()
        check(again, other)
        unknown = found.rethreshold(other)
        assert np.array_equal(unknown.kept_rows, again.kept_rows)
        known = ~np.isnan(unknown.similarities)
        assert known[(unknown.kept_rows >= 0) & (unknown.kept_rows == first.earlier)].all()
        assert np.allclose(unknown.similarities[known], again.similarities[known], atol=1e-5)


def test_twins_are_the_kept_rows_where_no_embeddings_are_given():
    found = semdedup(ROWS, threshold=0.95, clusters=1)
    pairs = twins_of(found, count=1000)
    assert len(pairs) == np.count_nonzero(found.kept_rows >= 0) > 10
    assert all(found.kept_rows[each.dropped] == each.kept for each in pairs)
    near = twins_of(found, ROWS, count=1000)  # the most similar kept row, not that of the chain
    assert {each.dropped for each in near} == {each.dropped for each in pairs}


def test_the_kept_row_may_be_already_selected():
    rows = np.array([[1, 0.0], [1, 0.001], [0, 1.0], [0.001, 1]])
    found = semdedup(rows, threshold=0.99, already_selected=[1], clusters=1)
    assert found.kept_rows[0] == 1
    assert found.rethreshold(0.98).kept_rows[0] == 1
    assert found.head(0).kept_rows.tolist() == [1, -1, -1, -1]


def test_files_of_earlier_versions_and_of_others(tmp_path):
    save_selection(Selection(np.array([1]), size=3), tmp_path / "s.parquet", dropped=True)
    assert load_selection(tmp_path / "s.parquet").kept_rows is None
    assert load_selection(tmp_path / "s.parquet").explain(0).kept_row is None
    save_selection(semdedup(ROWS, threshold=0.9, clusters=1), tmp_path / "s.parquet", dropped=True)
    save_selection(Selection(np.array([1]), size=3), tmp_path / "s.parquet")  # replaces both
    assert not (tmp_path / "s.dropped.parquet").exists()
