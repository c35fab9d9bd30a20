"""The engine on Ray: results, failures, interruptions. A cluster takes seconds to start."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import engine_cases
import numpy as np
import pyarrow.parquet as pq
import pytest

from sampling import engine
from sampling._check._rows import Rows
from sampling._files import _parquet
from sampling.engine import _over
from sampling.errors import StateError

pytestmark = [
    pytest.mark.full,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]
TOOLS = [sys.executable, "-m", "sampling"]


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine, or the cluster at RAY_ADDRESS."""
    ray = pytest.importorskip("ray")
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),  # not that of another program
        log_to_driver=False,
        **({} if "RAY_ADDRESS" in os.environ else {"num_cpus": 2, "include_dashboard": False}),
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    engine_cases.small_blocks(monkeypatch)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_of_threads(workers, cluster, tmp_path):
    rows = engine_cases.rows_of()
    with engine.use(engine.Local(1)):
        expected = engine_cases.results(rows)
    tables = engine_cases.layouts(rows, tmp_path)
    with engine.use(engine.Ray(num_workers=workers)):
        for name in ("memory", "npy", "parquet") if workers == 2 else ("npy",):
            engine_cases.assert_same(engine_cases.results(tables[name]), expected)


def test_two_threads_in_a_task_and_parts_in_order(cluster, tmp_path):
    rows = engine_cases.rows_of()
    with engine.use(engine.Ray(num_threads=2)):
        work = engine.over(lambda block, at: (block.sum(), at[0]), rows, np.arange(len(rows)))
        found = list(work)
        assert engine.facts(engine.current())["workers"] == 1
    assert [at for _, (_, at) in found] == [part.start for part, _ in found]
    assert [total for _, (total, _) in found] == [rows[part].sum() for part, _ in found]


def test_a_killed_worker_costs_time_only(cluster, tmp_path):
    rows, once = engine_cases.rows_of(), tmp_path / "killed"

    def dies_once(block):
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block.sum()

    with engine.use(engine.Ray()):
        found = [total for _, total in engine.over(dies_once, rows)]
    assert once.exists()
    assert found == [rows[part].sum() for part in engine.blocks(rows)]


def test_only_so_many_tasks_are_in_flight(cluster):
    drawn = []

    def parts():
        for at in range(100):
            drawn.append(at)
            yield slice(at, at + 1)

    rows = engine_cases.rows_of()
    with engine.use(engine.Ray(num_workers=1)):
        found = engine.over(np.sum, rows, parts=parts())
        next(found)
        assert len(drawn) <= 5  # three in flight, one handed out
        found.close()


def test_an_error_of_a_part_is_raised_as_it_is(cluster, tmp_path):
    rows = engine_cases.rows_of()
    rows[1234, 2] = np.nan
    with engine.use(engine.Ray()):
        with pytest.raises(ValueError, match="embeddings must be finite, got nan in row 1234"):
            engine_cases.results(rows)
        rows.tofile(tmp_path / "rows.bin")
        stored = Rows(tmp_path / "rows.bin", rows.shape, rows.dtype)
        part = stored.part(slice(0, 9))
        (tmp_path / "rows.bin").unlink()
        message = r"rows\.bin must be on storage that every worker of the cluster sees"
        with pytest.raises(FileNotFoundError, match=message):
            list(engine.each(lambda each: each[:], [part, part, part]))

        def read(path):
            with _parquet.opened(path):
                pass

        message = r"gone\.parquet must exist, got no such file.* on storage that every worker"
        with pytest.raises(FileNotFoundError, match=message):
            list(engine.each(read, [tmp_path / "gone.parquet"] * 3))


def test_what_cannot_be_pickled_is_named(cluster):
    class Odd(Exception):  # classes of a test are sent by value
        def __init__(self, left, right):  # other arguments than pickle gives it
            super().__init__(f"{left} and {right}")

    class Unread:
        def __reduce__(self):
            return int, ("x",)

    def fails(attribute):
        error = Odd("left", "right")
        error.attribute = attribute()
        raise error

    for function, kind, message in (
        (lambda part: fails(threading.Lock), RuntimeError, "Odd: left and right"),
        (lambda part: fails(int), RuntimeError, "Odd: left and right"),
        (lambda part: threading.Lock(), StateError, "possible to pickle, got: cannot pickle '_thr"),
        (lambda part: Unread(), StateError, "possible to pickle, got: .* with base 10: 'x'"),
    ):
        with engine.use(engine.Ray()), pytest.raises(kind, match=message):
            list(engine.each(function, range(3)))


def test_an_interrupt_leaves_no_tasks(cluster, tmp_path):
    code = f"""
import time, os, numpy as np
from pathlib import Path
from sampling import engine
def slow(part):
    Path({str(tmp_path)!r}, str(os.getpid())).touch()
    time.sleep(600)
with engine.use(engine.Ray({cluster!r})):
    list(engine.each(slow, range(50)))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    until = time.monotonic() + 180
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.2)
    started = [int(each.name) for each in tmp_path.iterdir()]
    assert started
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in error
    until = time.monotonic() + 60
    while any(map(_runs, started)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(map(_runs, started))


def _runs(process):
    try:
        return b"ray::" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def test_commands_and_plans(cluster, tmp_path):
    rows = np.tile(engine_cases.rows_of(), (48, 1))  # more than one block
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "plan.toml").write_text(
        '[read]\ntable = "rows.npy"\nengine = "ray"\n'
        f'address = "{cluster}"\n[clusters]\nn_clusters = 40\nspherical = true\n'
        '[[stage]]\nmethod = "semdedup"\nthreshold = 0.9\nnum_checked = 0\n'
    )
    ray = ["--engine", "ray", "--address", cluster]

    def run(*words):
        done = subprocess.run([*TOOLS, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    run("run", "plan.toml", "--work", "one")
    run("run", "plan.toml", "--work", "two", "--engine", "local")
    run("cluster", "rows.npy", "40", "--spherical", "--out", "three.parquet", *ray)
    one, two, three = (
        pq.read_table(tmp_path / name)
        for name in ("one/selection.parquet", "two/selection.parquet", "three.parquet")
    )
    assert one.equals(two)
    assert three.equals(pq.read_table(tmp_path / "two/clusters.parquet"))
    refused = subprocess.run(
        [*TOOLS, "select", "k_center", "rows.npy", "--budget", "5", *ray],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "rounds must be 2 for k_center with the engine Ray" in refused.stderr


def test_small_work_stays_here(cluster, monkeypatch):
    monkeypatch.setattr(_over, "_SMALL", 2**20)
    with engine.use(engine.Ray()):
        found = engine.over(lambda _: os.getpid(), engine_cases.rows_of())
        assert {process for _, process in found} == {os.getpid()}
