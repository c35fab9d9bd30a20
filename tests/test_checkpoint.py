"""Unfinished work: resumed after any interruption, to the same result, and never by other work."""

import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from sampling import _checkpoint, _progress
from sampling._check._rows import Rows
from sampling._checkpoint import checkpoint, key_of, part, remove_checkpoints
from sampling.cli import app
from sampling.errors import StateError
from sampling.io import load_selection
from sampling.selection import (
    SelectionPlan,
    Stage,
    d2,
    facility_location,
    glister,
    grad_match,
    graph_cut,
    herding,
    k_center,
    semdedup,
)

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
    monkeypatch.setattr("os.fsync", lambda file: None)
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
    "graph cut": lambda: graph_cut(ROWS, 20),
    "glister": lambda: glister(ROWS, 20, validation=lambda change: change - 1, picks_per_refresh=3),
    "gradients": lambda: grad_match(ROWS, 20),
    "d2": lambda: d2(SCORES, 60, embeddings=ROWS),
    "facility, list": lambda: facility_location(ROWS, 40, max_memory=3 * 2**24 + 2**21),
    "facility, blocks": lambda: facility_location(ROWS, 12, metric="euclidean", max_memory=1),
    "facility, graph": lambda: facility_location(ROWS, 60, num_neighbours=9),
    "facility, stochastic": lambda: facility_location(ROWS, 20, optimizer="stochastic"),
    "semdedup": lambda: semdedup(ROWS, threshold=0.95, clusters=3),
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
    with _progress.Steps("picking", 100, even=False) as bar:  # the first picks take longest
        now[0] += 40.0
        bar.update(2)
    assert capsys.readouterr().err == "picking: 2 of 100\n"


def test_a_plan_resumes_inside_a_stage_unless_it_has_changed(clock, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    np.save(tmp_path / "rows.npy", ROWS)
    work = tmp_path / "work"

    def plan(budget=40):
        clusters = {"n_clusters": 4, "spherical": True}
        stages = [Stage("semdedup", settings={"threshold": 0.9999}), Stage("k_center", budget)]
        return SelectionPlan(tmp_path / "rows.npy", stages, clusters=clusters)

    def run(budget=40, end=10**9):
        clock.count, clock.end = 0, end
        if end < 10**9:
            with pytest.raises(Killed):
                plan(budget).run(work)
        return clock.count if end < 10**9 else (plan(budget).run(work), clock.count)

    whole, every = run()
    assert not list(work.glob(".*"))
    for path in work.glob("*.*"):
        path.unlink()
    run(end=every - 3)
    assert [each.name for each in work.glob(".*")] == [".2-k_center.parquet.part"]
    again, count = run()
    assert count == 3
    assert again.indices.tolist() == whole.indices.tolist()
    assert not list(work.glob(".*"))
    (work / "manifest.json").unlink()
    run(end=every // 3)  # in the clustering, or the search
    assert run()[1] == every - every // 3
    (work / "manifest.json").unlink()
    run(end=every - 3)
    other, count = run(budget=50)
    assert count > 3  # another plan: k-center from its beginning
    assert len(other) == 50
    assert not list(work.glob(".*"))


@pytest.mark.parametrize("command", ["select k_center --budget 40", "dedup --threshold 0.98"])
def test_commands_resume_next_to_their_output(command, clock, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    np.save(tmp_path / "rows.npy", ROWS)
    verb, *words = command.split()
    if verb == "select":
        words[1:1] = [str(tmp_path / "rows.npy")]
    else:
        words[:0] = [str(tmp_path / "rows.npy")]
    out = tmp_path / "out.parquet"

    def call(*more):
        clock.count = 0
        return CliRunner().invoke(app, [verb, *words, "--out", str(out), *more])

    assert call().exit_code == 0
    whole, every = load_selection(out), clock.count
    out.unlink()
    for more, redone in (((), False), (("--seed", "1"), True)):
        clock.end = every - 2
        with pytest.raises(Killed):
            call()
        assert [each.name for each in tmp_path.glob(".*")] == [".out.parquet.part"]
        clock.end = 10**9
        assert call(*more).exit_code == 0
        assert (clock.count > 2) == redone
        if not redone:
            assert clock.count == 2
            assert load_selection(out).indices.tolist() == whole.indices.tolist()
        assert not list(tmp_path.glob(".*"))


@pytest.mark.full
def test_a_killed_process_costs_the_time_since_it_saved(tmp_path):
    rows = np.random.default_rng(0).normal(size=(200_000, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    code = (
        "import sys, sampling._checkpoint as c; c._PAUSE = 0.2; c._SHARE = 0.0; "
        "from sampling.cli import app; app()"
    )
    words = ["select", "k_center", str(tmp_path / "rows.npy"), "--budget", "600", "--out"]
    command = [sys.executable, "-c", code, *words]
    subprocess.run([*command, str(tmp_path / "whole.parquet")], check=True)
    process = subprocess.Popen([*command, str(tmp_path / "out.parquet")])
    state = tmp_path / ".out.parquet.part" / "state.safetensors"
    until = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert state.exists()
    with safe_open(state, "numpy") as file:
        (name,) = (each for each in file.keys() if each.endswith(":places"))  # noqa: SIM118
        assert 0 < file.get_tensor(name).size < 600
    subprocess.run([*command, str(tmp_path / "out.parquet")], check=True)
    one, two = (load_selection(tmp_path / f"{each}.parquet") for each in ("whole", "out"))
    assert one.indices.tolist() == two.indices.tolist()
    assert one.info["radius"] == two.info["radius"]
    assert not state.parent.exists()
