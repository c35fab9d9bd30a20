"""How the rows of `speed.py` and `selection.py` are timed, described and put into the README."""

import gc
import importlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed.json"
README = HERE / "README.md"
BEGIN, END = "<!-- speed table: benchmarks/speed.py -->", "<!-- end of speed table -->"
SHRINK = "SAMPLING_BENCH_SHRINK"  # what sizes are divided by; processes started here see it too


@dataclass
class Row:
    """One line of the table; times in seconds (or another unit), every run kept."""

    name: str
    ours: list[float]
    peer: list[float]
    peer_name: str
    aim: str
    limit: float | None = None
    limit_why: str = ""
    notes: dict[str, float] = field(default_factory=dict)
    unit: str = "s"

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is; None without a peer."""
        if not self.peer:
            return None
        return statistics.median(self.peer) / statistics.median(self.ours)


def seconds(work: Callable[[], object]) -> float:
    """Time one call, with the garbage of the last one gone and the collector as users have it."""
    gc.collect()
    start = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - start
    del result
    return elapsed


def in_turn(
    ours: Callable[[], object], peer: Callable[[], object] | None, runs: int
) -> tuple[list[float], list[float]]:
    """Run both once to warm up, then in turn."""
    both = [work for work in (ours, peer) if work is not None]
    for work in both:
        work()
    times: list[list[float]] = [[] for _ in both]
    for _ in range(runs):
        for work, kept in zip(both, times, strict=True):
            kept.append(seconds(work))
    return times[0], times[1] if peer is not None else []


class LeftOut(Exception):
    """A row cannot be made here; the message says what is missing."""


def peer(module: str) -> ModuleType:
    """Return a peer's module."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LeftOut(f"{module} cannot be imported here: {error}") from error


def shrunk(size: int) -> int:
    """Return a size, divided where rows are only tried out (`selection.py --small`)."""
    return -(-size // int(os.environ.get(SHRINK, "1")))


@dataclass
class Race:
    """Times of both sides, and what each found in its last run."""

    ours: list[float]
    peer: list[float]
    found: Any
    peer_found: Any


def race(
    ours: Callable[..., Any],
    peer: Callable[..., Any],
    whole: tuple[Any, ...],
    small: tuple[Any, ...],
    runs: tuple[int, int],
) -> Race:
    """Run both in turn on the whole task and keep what they find.

    To warm up, ours runs once on the whole task (its path hangs on the size) and the peer on a
    small one. A slow peer may have fewer runs than ours.
    """
    ours(*whole)
    peer(*small)
    made = Race([], [], None, None)
    for turn in range(max(runs)):
        for work, times, name, count in (
            (ours, made.ours, "found", runs[0]),
            (peer, made.peer, "peer_found", runs[1]),
        ):
            if turn < count:
                gc.collect()
                start = time.perf_counter()
                found = work(*whole)
                times.append(time.perf_counter() - start)
                setattr(made, name, found)
    return made


def bandwidth() -> float:
    """Return bytes a second that one core reads and writes when it copies 400 MB."""
    import numpy as np

    source = np.ones(5 * 10**7)
    target = np.empty_like(source)
    return 2 * source.nbytes / min(seconds(lambda: np.copyto(target, source)) for _ in range(5))


def first(sampler: object) -> int:
    """Return the first index of a sampler."""
    return next(iter(sampler))  # type: ignore[call-overload]


def drain(sampler: object) -> None:
    """Take every index of a sampler and keep none."""
    deque(sampler, maxlen=0)  # type: ignore[call-overload]


# ------------------------------------------------------------------ processes


def child(code: str) -> None:
    """Run Python code in a process of its own."""
    subprocess.run([sys.executable, "-c", code], check=True)


def child_time(code: str) -> float:
    """Time the same."""
    return seconds(lambda: child(code))


def in_child(setup: str, warm: str, call: str) -> tuple[float, float, float]:
    """Make a call in a process of its own, after a smaller one: seconds, MiB before, peak MiB."""
    code = f"""
import time
from pathlib import Path
{setup}
{warm}  # compile, load
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
def kib(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
before, start = kib("VmRSS"), time.perf_counter()
{call}
print(time.perf_counter() - start, before, kib("VmHWM"))
"""
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, env=where
    )
    elapsed, before, peak = (float(each) for each in done.stdout.split()[-3:])
    return elapsed, before / 1024, peak / 1024


def peak_of(setup: str, make: str) -> float:
    """Return by how many MiB taking the first index raises the peak memory of a process."""
    small = make.replace("10**", "2**")
    _, before, peak = in_child(setup, f"next(iter({small}))", f"next(iter({make}))")
    return peak - before


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    import numba
    import numpy
    import torch

    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), cpu)
    return {
        "commit": commit, "cpu": cpu, "threads": torch.get_num_threads(),
        "python": platform.python_version(), "torch": torch.__version__,
        "numpy": numpy.__version__, "numba": numba.__version__,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


# ------------------------------------------------------------------ table


def human(value: float | None, unit: str = "s") -> str:
    """Return a time with a unit that fits."""
    if value is None:
        return "–"
    if unit != "s":
        return f"{value:.3g} {unit}"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return "0" if value == 0 else f"{value * 1e9:.2g} ns"


def table(results: dict[str, object]) -> str:
    """Return README's table of the results."""
    lines = [
        "| Work | Ours | Peer | Faster | Aim | Limit | Also |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["rows"].items():  # type: ignore[attr-defined]
        made = Row(name, **row)
        ratio = "–" if made.ratio is None else f"{made.ratio:.3g}x"
        peer = made.peer_name
        if made.peer:
            peer = f"{human(statistics.median(made.peer))} ({peer})"
        notes = ", ".join(
            f"{key.replace('_', ' ')} {value:.3g}" for key, value in made.notes.items()
        )
        cells = [
            name,
            human(statistics.median(made.ours)),
            peer,
            ratio,
            made.aim,
            human(made.limit),
            notes,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    where = results["machine"]
    lines.append(
        f"\nMedians on {where['cpu']}, one process, torch {where['torch']}, "  # type: ignore[index]
        f"commit {where['commit']}; memory moves {results['bandwidth_GBps']:.1f} GB/s there."  # type: ignore[index]
    )
    return "\n".join(lines)


def write_table(results: dict[str, object]) -> None:
    """Put the table between its marks in the README."""
    put(table(results), BEGIN, END)


def put(text: str, begin: str, end: str) -> None:
    """Put a text between two marks in the README."""
    before, rest = README.read_text().split(begin)
    after = rest.split(end)[1]
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}")
