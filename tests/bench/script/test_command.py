"""Runs of a script in processes of their own: what becomes of each way in which one can end."""

import os
import shlex
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sampling import bench
from sampling.bench.results._store import load_details
from sampling.bench.script import _command
from sampling.bench.training._train import Job

FACTS = _command.Facts(
    60, 3, ["draws"], ["classes"], "accuracy", True, True, 40, 0, False, True, 6.0
)
JOB = Job("rs2", 0.5, 0, budget=0.5, epochs=3, full_epochs=3, batch_size=20)
SCRIPT = """
import os, sys
import torch
from torch.utils.data import DataLoader
from sampling import bench

print("begin", *sys.argv[1:], flush=True)
torch.manual_seed(bench.seed())
data = torch.arange(60)
sampler = bench.sampler(data, labels=data % 3)
loader = DataLoader(data, batch_size=20, sampler=sampler)
if os.path.exists(sys.argv[1]) and os.environ["SAMPLING_BENCH_METHOD"] == "rs2":
    raise RuntimeError("boom")
os.chdir("/")
drawn = [batch for epoch in range(3) for batch in loader]
correct = torch.arange(40) % 4 > 0
bench.report(correct=correct)
"""


@pytest.fixture
def worker(tmp_path):
    """Return a function that makes a worker of a script without torch, which a test need not."""

    def make(code, facts=FACTS, **more):
        path = tmp_path / "own.py"
        path.write_text(code)
        command = f"{shlex.quote(sys.executable)} {shlex.quote(str(path))}"
        script = _command.script_of(command)
        return _command.CommandWorker(script, tmp_path / "out", facts, **more)

    return make


def settings(command, out, *methods, **more):
    controls = ("full-fewer", "random", "dynamic-random", "rs2")
    without = tuple(name for name in controls if name not in methods)
    return bench.Settings(
        command=command, out=out, methods=methods, keep=0.5, seeds=1, without=without, **more
    )


@pytest.mark.slow
def test_a_script_is_run_once_for_each_method_and_a_failed_run_again(tmp_path, capsys):
    """Three processes: full, rs2 that dies, and rs2 in the next call."""
    script, out = tmp_path / "my train.py", tmp_path / "out"
    script.write_text(SCRIPT)
    die = tmp_path / "die"
    die.touch()
    command = f"python {shlex.quote(str(script))} {shlex.quote(str(die))} 'two words'"
    asked = settings(command, out, "full", "full-fewer", "rs2", "infobatch")
    results = bench.prepare(asked).run()
    runs = {run.method: run for run in results.runs}
    assert {name: run.state for name, run in runs.items()} == {
        "full": "done", "full-fewer": "not run", "rs2": "failed", "infobatch": "not run",
    }  # fmt: skip
    assert "needs the level 'schedule'" in runs["full-fewer"].reason
    assert "needs the level 'losses'" in runs["infobatch"].reason
    assert "exit code 1" in runs["rs2"].reason
    assert runs["rs2"].reason.endswith("RuntimeError: boom")
    log = (out / "logs" / "rs2@0.5-seed0.txt").read_text().splitlines()
    assert log[0] == f"sampling bench: rs2 keep 0.5 seed 0: {command}"
    assert log[1] == f"begin {die} two words"
    full = runs["full"]
    assert (full.test, full.cost, full.epochs, results.metric) == (0.75, 1.0, 3, "accuracy")
    assert set(full.seconds) == {"starting", "selecting", "training"}
    kept = load_details(out, full)
    assert kept["counts"].tolist() == [3] * 60
    assert kept["outcomes"].sum() == 30
    assert any("level 'draws'" in note for note in results.notes)

    die.unlink()
    again = bench.prepare(asked)
    assert again.missing(1) == [("rs2", 0.5, 0)]
    runs = {run.method: run for run in again.run().runs}
    assert (runs["rs2"].state, runs["rs2"].cost) == ("done", 0.5)
    assert bench.prepare(asked).missing(1) == []
    assert "rs2 keep 0.5 seed 0: accuracy 0.7500" in capsys.readouterr().err

    script.write_text(SCRIPT + "# another script")
    with pytest.raises(ValueError, match="out must hold results of script"):
        bench.prepare(asked)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('all')\nprint('well')", "never called sampling.bench.sampler"),
        ("import sys; print('x' * 10**6); print('bar 1\\rbar 2'); sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL, perhaps for lack of memory"),
        ("input()", "EOFError"),
    ],
)
def test_a_script_that_ends_without_a_report_fails(worker, code, reason):
    run = worker(code).run(JOB, {})
    assert (run.state, run.budget) == ("failed", 0.5)
    assert reason in run.reason
    assert "rs2@0.5-seed0.txt" in run.reason
    assert len(run.reason) < 10**6 + 1000
    if "exit code" in reason:
        assert run.reason.endswith("\n    bar 2")


def test_the_first_run_must_report(worker):
    with pytest.raises(ValueError, match=r"must report a result in its first run.*never called"):
        worker("print('x')", None).first(replace(JOB, method="full", keep=1.0))


def test_a_script_that_hangs_is_ended_with_all_that_it_started(worker, tmp_path):
    code = (
        "import subprocess, sys, time\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(own.pid))\n"
        "time.sleep(60)\n"
    )
    run = worker(code, timeout=1.0).run(JOB, {})
    assert "longer than the timeout of 1 seconds" in run.reason
    assert_gone(int((tmp_path / "pid").read_text()))


def test_ctrl_c_ends_the_processes_of_all_runs(worker, tmp_path):
    code = (
        f"import os, time; open({str(tmp_path)!r} + f'/{{os.getpid()}}.pid', 'w'); time.sleep(60)"
    )
    made = worker(code)
    with pytest.raises(KeyboardInterrupt), _command.CommandPool(made, 2) as pool:
        for seed in range(3):
            pool.submit(replace(JOB, seed=seed), {})
        until = time.monotonic() + 20
        while len(list(tmp_path.glob("*.pid"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        raise KeyboardInterrupt
    started = list(tmp_path.glob("*.pid"))
    assert len(started) == 2  # the third was never started
    for each in started:
        assert_gone(int(each.stem))
    assert threading.active_count() < 10


def assert_gone(process):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.kill(process, 0)
            if Path(f"/proc/{process}/stat").read_text().split()[2] == "Z":
                return  # killed, and not yet collected
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    raise AssertionError(process)


def test_a_log_that_is_somebody_elses_is_not_replaced(worker, tmp_path):
    path = tmp_path / "out" / "logs" / "rs2@0.5-seed0.txt"
    path.parent.mkdir(parents=True)
    path.write_text("my notes")
    with pytest.raises(ValueError, match="log of `sampling bench`"):
        worker("").run(JOB, {})
    assert path.read_text() == "my notes"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("seta", "needs the level 'losses'"),
        ("full-fewer", "needs the level 'schedule'"),
        ("cluster-clip", "give embeddings= to sampling.bench.sampler"),
        ("late-stopping", "needs the level 'losses'"),
        ("top-k", "only the training loop of the benchmark"),
        ("ccs:el2n", "of a pilot run, which a script does not have: select with a score of your"),
        ("preference_gap", "needs `chosen`, which a script does not have"),
    ],
)
def test_a_method_beyond_the_level_is_not_run_and_starts_no_process(worker, method, reason):
    made = worker("raise SystemExit(1)")
    run = made.run(replace(JOB, method=method), {})
    assert run.state == "not run"
    assert reason in run.reason


def test_equal_steps_need_the_number_of_epochs(worker):
    run = worker("").run(replace(JOB, epochs=6), {})
    assert (run.state, "'schedule'" in run.reason) == ("not run", True)


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        ("python train.py | tee log", ValueError, r"without a shell, got '\|': write sh -c"),
        ("LR=1 python train.py", ValueError, "write env LR=1 python"),
        ("python 'train.py", ValueError, "must be words as in a shell"),
        (" ", ValueError, "must name a program"),
        ("no-such-program x", FileNotFoundError, "got 'no-such-program', which is not found"),
        ("python no_such_train.py", FileNotFoundError, "no_such_train.py"),
    ],
)
def test_a_command_that_cannot_run_is_refused_at_once(command, error, message):
    with pytest.raises(error, match=message):
        _command.script_of(command)


def test_options_of_data_are_refused_with_a_command():
    with pytest.raises(ValueError, match="epochs must be omitted with command"):
        bench.prepare(bench.Settings(command="python", epochs=3))
    with pytest.raises(ValueError, match="timeout must be omitted without command"):
        bench.prepare(bench.Settings("digits", timeout=3.0))


def test_runs_that_cannot_be_compared_with_the_first_fail(worker):
    made = worker("")
    answer = _command.Answer(metric="r2", test_samples=40)
    assert "metric must be as in the first run, accuracy, got r2" in made._differs(answer)
    answer = replace(answer, metric="accuracy", test_samples=39)
    assert "must be as in the first run, 40, got 39" in made._differs(answer)


def test_the_total_cost_of_a_script_is_its_samples_and_the_selection(worker):
    made = worker("")
    answer = _command.Answer(
        metric="accuracy", value=0.5, test_samples=40, draws=90, epochs=3, val_curve=[0.1, 0.5],
        seconds={"starting": 1.0, "selecting": 1.5, "training": 3.0},
    )  # fmt: skip
    run = made._run_of(JOB, answer, {"counts": np.zeros(60, np.int64)})
    assert (run.cost, run.total_cost) == (0.5, 0.75)
    assert run.cost_curve == [0.375, 0.75]
    faster = replace(answer, seconds={**answer.seconds, "training": 0.1})
    assert made._run_of(replace(JOB, method="k_center"), faster, {}).total_cost == 0.75
