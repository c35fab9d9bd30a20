"""k-center and facility location in two rounds: by definition, and what is lost to one round."""

import numpy as np
import oracle_geometry as oracles
import pytest

from sampling import _checkpoint, engine, selection
from sampling.engine import over
from sampling.selection import facility_location, k_center
from sampling.selection.by_coverage import _greedi

N, D, M = 900, 6, 30
RANDOM = np.random.default_rng(5)
ROWS = (3 * RANDOM.normal(size=(20, D))[RANDOM.integers(0, 20, N)]
        + RANDOM.normal(size=(N, D))).astype(np.float32)  # fmt: skip
IDS = np.arange(N)
BOTH = pytest.mark.parametrize("method", [k_center, facility_location])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Parts of 200 rows, more than sqrt(N M)."""
    monkeypatch.setattr(_greedi, "_NUMBERS", 200 * D)


PARTS = [np.arange(at, min(at + 200, N)) for at in range(0, N, 200)]


def test_k_center_is_that_of_the_picks_of_the_parts():
    def picked(rows):
        return rows[k_center(ROWS[rows], M, ids=IDS[rows]).indices]

    some = np.sort(np.concatenate([picked(part) for part in PARTS]))
    found = k_center(ROWS, M, rounds=2, ids=IDS)
    assert found.indices.tolist() == picked(some).tolist()
    gaps = np.linalg.norm(ROWS[:, None] - ROWS[found.indices][None], axis=2).min(axis=1)
    assert found.info["radius"] == pytest.approx(gaps.max(), rel=1e-6)
    assert found.info["rounds"] == {"rounds": 2, "parts": 5, "rows_of_part": 200, "picked": 150}
    assert found.info["duplicates"] == 0
    assert found.info["radius"] < 1.3 * k_center(ROWS, M).info["radius"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_facility_location_weighs_the_picks_of_the_parts(metric):
    parts = [facility_location(ROWS[part], M, metric=metric, ids=IDS[part]) for part in PARTS]
    some = np.concatenate([part[one.indices] for part, one in zip(PARTS, parts, strict=True)])
    weights = np.concatenate([one.weights for one in parts])
    found = facility_location(ROWS, M, metric=metric, rounds=2, ids=IDS)
    picks = oracles.greedy_with_weights(oracles.similarity(ROWS[some], metric), weights, M)
    assert found.indices.tolist() == some[picks].tolist()
    similar = oracles.similarity(ROWS, metric)[:, found.indices]
    assert found.weights.tolist() == np.bincount(similar.argmax(axis=1), minlength=M).tolist()
    assert found.info["objective"] == pytest.approx(similar.max(axis=1).sum(), rel=1e-6)
    whole = facility_location(ROWS, M, metric=metric).info["objective"]
    assert 0.97 * whole < found.info["objective"] < whole
    assert found.info["path"] == "two rounds, 5 parts: not the picks of one round"


@BOTH
def test_few_rows_are_one_part(method):
    one, two = (method(ROWS[:200], M, rounds=rounds) for rounds in (1, 2))
    assert one.indices.tolist() == two.indices.tolist()
    assert "rounds" not in two.info


@BOTH
def test_the_options_of_every_selector(method):
    """Groups, bad rows, rows already selected; the parts are of the rows that are left."""
    rows, groups = ROWS.copy(), IDS % 2
    rows[7] = np.nan
    before = np.arange(20, 60)
    options = {"on_bad": "drop", "groups": groups, "already_selected": before}
    found = method(rows, M, rounds=2, **options)
    assert found.info["rounds"]["parts"] == 3  # of the last group, which has 429 or 430 rows
    assert np.bincount(groups[found.indices]).tolist() == [M // 2, M // 2]
    assert not {7, *before} & {*found.indices.tolist()}
    alone = method(rows[groups == 0], M // 2, rounds=2, on_bad="drop", ids=IDS[groups == 0],
                   already_selected=before[::2] // 2)  # fmt: skip
    if method is facility_location:  # where only rows of its own group cover a row
        both = method(rows, M, rounds=2, **options, ids=IDS)
        own = both.indices[groups[both.indices] == 0]
        assert own.tolist() == (2 * alone.indices).tolist()


@BOTH
def test_copies_come_last_and_are_counted(method):
    rows = np.repeat(ROWS[:25], 36, axis=0)
    found = method(rows, M, rounds=2)
    assert np.unique(rows[found.indices], axis=0).shape[0] == 25
    assert found.info.get("duplicates", found.info.get("no_gain")) == 5
    assert np.unique(found.indices).size == M
    if method is facility_location:
        assert found.weights.sum() == N
        assert found.weights.min() >= 1


def test_the_first_pick_that_is_given():
    assert k_center(ROWS, M, rounds=2, start=333).indices[0] == 333
    with pytest.raises(ValueError, match="start must be a row that can be picked, got 3"):
        k_center(ROWS, M, rounds=2, start=3, already_selected=[3])
    one, other = (k_center(ROWS, M, rounds=2, start="random", seed=seed) for seed in (0, 1))
    assert one.indices[0] != other.indices[0]


@BOTH
def test_what_is_refused(method):
    with pytest.raises(ValueError, match="rounds must be in \\[1, 3\\), got 3"):
        method(ROWS, M, rounds=3)
    extra = {"robust": 0.1} if method is k_center else {"num_neighbours": 5}
    with pytest.raises(ValueError, match=f"{next(iter(extra))} must be omitted with rounds=2"):
        method(ROWS, M, rounds=2, **extra)


def test_stochastic_applies_to_the_parts():
    one = facility_location(ROWS, M, rounds=2, optimizer="stochastic", seed=1)
    again = facility_location(ROWS, M, rounds=2, optimizer="stochastic", seed=1)
    assert one.indices.tolist() == again.indices.tolist()
    assert one.info["objective"] > 0.9 * facility_location(ROWS, M).info["objective"]


def test_two_rounds_are_said_to_the_reader():
    notes = selection.notes_of(k_center(ROWS, M, rounds=2).info)
    assert notes == ["picked in two rounds, from 5 parts of 200 rows: not the picks of one round"]


@BOTH
def test_a_killed_run_resumes_between_the_parts(method, tmp_path, monkeypatch):
    """With other threads: what a part saves inside itself is none of the second round."""
    monkeypatch.setattr(_checkpoint, "_PAUSE", 0.0)
    monkeypatch.setattr(_checkpoint, "_SHARE", 0.0)
    expected, ticks, tick = method(ROWS, M, rounds=2), [], _checkpoint._Checkpoint.tick

    def stopped(own):
        tick(own)
        ticks.append(1)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_checkpoint._Checkpoint, "tick", stopped)
    with pytest.raises(KeyboardInterrupt):
        with _checkpoint.checkpoint(tmp_path / ".work.part", "a"), engine.use(engine.Local(1)):
            method(ROWS, M, rounds=2)
    parts = []
    monkeypatch.setattr(_checkpoint._Checkpoint, "tick", tick)
    monkeypatch.setattr(_greedi, "over", lambda *a, **b: parts.append(b["parts"]) or over(*a, **b))
    with _checkpoint.checkpoint(tmp_path / ".work.part", "a"), engine.use(engine.Local(2)):
        found = method(ROWS, M, rounds=2)
    assert len(parts[0]) == 2  # of five
    assert found.indices.tolist() == expected.indices.tolist()
    assert found.info["rounds"] == expected.info["rounds"]
