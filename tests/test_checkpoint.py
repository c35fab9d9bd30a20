"""Unfinished work: resumed after any interruption, to the same result, and never by other work."""

from dataclasses import dataclass

import numpy as np
import pytest
from safetensors import safe_open

from sampling import _checkpoint, _progress
from sampling._check._rows import Rows
from sampling._checkpoint import checkpoint, key_of, part, remove_checkpoints
from sampling.errors import StateError
from sampling.selection import d2, facility_location, herding, k_center, semdedup

N, D = 600, 5
RANDOM = np.random.default_rng(4)
ROWS = (RANDOM.normal(size=(12, D))[RANDOM.integers(0, 12, N)] * 3).astype(np.float32)
ROWS += RANDOM.normal(size=(N, D)).astype(np.float32) * np.float32(0.2)
SCORES, GROUPS = RANDOM.random(N), np.arange(N) % 3


class Killed(BaseException):
    """As a kill, not caught by anything."""


@dataclass
class Clock:
    """Ends the work at a number of chances to save, before or after saving."""

    end: int = 10**9
    saved: bool = True
    count: int = 0

    def tick(self, owner):
        self.count += 1
        if self.count == self.end and not self.saved:
            raise Killed
        owner.save()
        if self.count == self.end:
            raise Killed


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(_checkpoint._Checkpoint, "tick", lambda self: found.tick(self))
    return found


def small_blocks(monkeypatch):
    for name, value in {
        "selection.by_coverage._k_center._WIDE": 8,
        "selection.by_coverage._greedy_coverage._ROWS": 100,
        "selection.by_coverage._greedy_coverage._COLUMNS": 128,
        "selection.by_coverage._greedy_coverage._PICKS": 4,
        "selection.by_coverage._greedy_coverage._LONG": -1.0,
        "selection.by_cluster._copies._PIECE": 2**12,
        "clustering._neighbours._QUERIES": 100,
        "engine._over._BLOCK": D * 100,
        "engine._over._SMALL": 1,
        "clustering._kmeans.BLOCK": D * 100,
        "clustering._lloyd.BLOCK": D * 100,
    }.items():
        monkeypatch.setattr(f"sampling.{name}", value)


CALLS = {
    "k_center": lambda: k_center(ROWS, 60, groups=GROUPS, already_selected=np.arange(30)),
    "herding": lambda: herding(ROWS, 20),
    "d2": lambda: d2(SCORES, 60, embeddings=ROWS),
    "facility, list": lambda: facility_location(ROWS, 40, max_memory=3 * 2**24 + 2**21),
    "facility, blocks": lambda: facility_location(ROWS, 12, metric="euclidean", max_memory=1),
    "facility, graph": lambda: facility_location(ROWS, 60, num_neighbours=9),
    "facility, stochastic": lambda: facility_location(ROWS, 20, optimizer="stochastic"),
    "semdedup": lambda: semdedup(ROWS, threshold=0.95, clusters=6),
    "semdedup, greedy": lambda: semdedup(
        ROWS, 0.4, rule="greedy", clusters=4, labels=GROUPS, num_checked=50
    ),
}


def facts(found):
    info = {name: each for name, each in found.info.items() if name not in ("seconds", "estimate")}
    return found.indices.tolist(), None if found.weights is None else found.weights.tolist(), info


@pytest.mark.parametrize("name", CALLS)
def test_interrupted_work_is_resumed_to_the_same_result(name, clock, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    call, folder = CALLS[name], tmp_path / ".out.part"
    with checkpoint(folder, "key"):
        whole = call()
    assert not folder.exists()
    assert facts(call()) == facts(whole)
    every = clock.count
    assert every >= 4
    for saved in (True, False):
        ends = {every // 4, every // 2, every - 1} if saved else {(2 * every) // 3}
        for end in sorted(ends):
            clock.count, clock.end, clock.saved = 0, end, saved
            with pytest.raises(Killed), checkpoint(folder, "key"):
                call()
            clock.count, clock.end = 0, 10**9
            with checkpoint(folder, "key"):
                again = call()
            assert facts(again) == facts(whole)
            assert clock.count <= every - end + (0 if saved else 1)  # of the work, no more is done
            assert not folder.exists()


def test_the_rows_of_a_file_are_regrouped_and_resumed(clock, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    ROWS.tofile(tmp_path / "rows")
    rows = Rows(tmp_path / "rows", ROWS.shape, np.float32, scratch=tmp_path)
    whole = semdedup(rows, threshold=0.95, clusters=6)
    clock.end = 25
    with pytest.raises(Killed), checkpoint(tmp_path / "out", "key"):
        semdedup(rows, threshold=0.95, clusters=6)
    with checkpoint(tmp_path / "out", "key"):
        assert facts(semdedup(rows, threshold=0.95, clusters=6)) == facts(whole)
    assert [each.name for each in tmp_path.iterdir()] == ["rows"]


def counted(until, end=None):
    """Count to `until` in a part, adding each number; end before saving number `end`."""
    with part("count") as own:
        at = int(own.state["at"]) if own.state else 0
        begun, numbers = at, [int(each["number"]) for each in own.added]
        own.make = lambda: {"at": np.array(at)}
        while at < until:
            numbers.append(at)
            own.add(number=np.array(at))
            at += 1
            if at == end:
                raise Killed
            own.tick()
        own.done(at=np.array(at))
    return begun, numbers


def test_other_work_and_damaged_files_begin_again(clock, tmp_path):
    folder = tmp_path / ".out.part"

    def interrupt():
        with pytest.raises(Killed), checkpoint(folder, key_of("a", ROWS)):
            counted(9, end=6)

    interrupt()
    with checkpoint(folder, key_of("a", ROWS)):
        assert counted(9) == (5, list(range(9)))
    interrupt()
    with checkpoint(folder, key_of("a", ROWS + 1)):
        assert counted(9) == (0, list(range(9)))
    for name in ("state.safetensors", "done-0.safetensors"):
        interrupt()
        path = folder / name
        path.write_bytes(path.read_bytes()[:-3])
        with checkpoint(folder, key_of("a", ROWS)):
            assert counted(9) == (0, list(range(9)))
    interrupt()
    with safe_open(folder / "state.safetensors", "numpy") as file:
        assert file.metadata()["segments"] == "5"
    (folder / "done-5.safetensors").write_bytes(b"of a save that was cut short")
    with checkpoint(folder, key_of("a", ROWS)):
        assert counted(9) == (5, list(range(9)))


def test_a_folder_is_used_by_one_process_and_never_that_of_others(clock, tmp_path):
    folder = tmp_path / ".out.part"
    with pytest.raises(Killed), checkpoint(folder, "a"):
        counted(9, end=6)
    with checkpoint(folder, "a"):
        with pytest.raises(StateError, match="must be used by one process"):
            with checkpoint(folder, "a"):
                pass
        remove_checkpoints(tmp_path)
        assert folder.exists()
        with pytest.raises(ZeroDivisionError):
            raise ZeroDivisionError  # the folder is kept by the context below
    assert not folder.exists()
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(ValueError, match="must be free, got another folder"):
        with checkpoint(folder, "a"):
            pass
    remove_checkpoints(tmp_path)
    assert (folder / "mine").exists()


def test_short_work_leaves_no_trace(tmp_path):
    with checkpoint(tmp_path / ".out.part", "a"):
        assert counted(9) == (0, list(range(9)))
        assert not list(tmp_path.iterdir())


def test_lines_are_written_where_there_is_no_terminal(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    for _ in _progress.steps(range(100), "counting", 100):
        now[0] += 1.0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "counting: 30 of 100, about 1.2 min left",
        "counting: 60 of 100, about 0.7 min left",
        "counting: 90 of 100, about 0.2 min left",
    ]
