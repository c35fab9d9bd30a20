"""Runs of `sampling bench --command`: a script of the user's own, each in its own process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._files._paths import Kind, check_outputs
from .._pool import RunPool
from ..methods._method import CLASSES, DRAWS, EMBEDDINGS, LOSSES, SCHEDULE
from ..methods._named import method_named
from ..results._run import FAILED, NOT_RUN, Run
from ..results._store import detail_path, save_details
from ..training._train import Job
from ._build import HOW, lacks
from ._files import JOB, READABLE, Answer, Order, answer_beside, arrays_beside, begun_beside, write

LOGS = "logs"
_HEAD = "sampling bench: "  # the first line of every log
_TAIL = 2**16  # bytes of a log that are read for its last lines
_LINES = 6
_PATIENCE = 5.0  # seconds between asking a process to end and ending it
_SHELL = {"|", "||", "&", "&&", ";", ">", ">>", "<", "<<", "2>", "2>&1", "&>", "|&"}
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _holds_log(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEAD)) in {_HEAD.encode(), b""}


_LOG = Kind("a log of `sampling bench`", "text", _holds_log)


@dataclass(frozen=True)
class Facts:
    """What the first run of a script, on all the data, has shown.

    Parameters
    ----------
    size : int
        N.
    epochs : int
        E.
    levels : list of str
        What the script does: "draws", "losses", "schedule".
    given : list of str
        What it gave to `sampler`: "classes", "embeddings".
    metric : str
        Name of the metric.
    higher_is_better, fraction : bool
        What its values mean.
    test_samples : int
        Number of test samples of which it reported something; 0 if none.
    batch_size : int
        Most rows in a batch passed to `reduce`; 0 if unknown.
    logits : bool
        Whether it passed logits to it.
    seeded : bool
        Whether it asked for the seed.
    seconds : float
        Seconds of its training.
    """

    size: int
    epochs: int
    levels: list[str]
    given: list[str]
    metric: str
    higher_is_better: bool
    fraction: bool
    test_samples: int
    batch_size: int
    logits: bool
    seeded: bool
    seconds: float

    @classmethod
    def of(cls, answer: Answer) -> Facts:
        """Return the facts that the answer of the first run holds."""
        levels = {DRAWS: True, LOSSES: answer.losses, SCHEDULE: answer.asked_epochs > 0}
        given = {CLASSES: answer.has_labels, EMBEDDINGS: answer.has_embeddings}
        return cls(
            answer.size,
            answer.epochs,
            [name for name, reached in levels.items() if reached],
            [name for name, has in given.items() if has],
            answer.metric,
            answer.higher_is_better,
            answer.fraction,
            answer.test_samples,
            answer.batch_size,
            answer.logits,
            answer.asked_seed,
            answer.seconds["training"],
        )

    @property
    def calibration(self) -> dict[str, float]:
        """Seconds of training on a sample."""
        return {"sample_seconds": self.seconds / (self.size * self.epochs)}

    @property
    def about(self) -> dict[str, Any]:
        """What tables and the report need to know."""
        return {
            "samples": self.size,
            "test_samples": self.test_samples,
            "classes": 0,
            "class_names": [],
            "higher_is_better": self.higher_is_better,
            "factor": 100.0 if self.fraction else 1.0,
            "outcomes": "correct",
            "script": asdict(self),
        }

    @property
    def notes(self) -> list[str]:
        """Notes on what the script does, for the results."""
        found = [
            f"The script has the level {' and '.join(map(repr, self.levels))}: found out in its "
            "first run."
        ]
        found += [
            f"For the level {level!r}, {HOW[level]}."
            for level in (LOSSES, SCHEDULE)
            if level not in self.levels
        ]
        if not self.seeded:
            found.append(
                "The script never asked for sampling.bench.seed(): runs of one seed share the "
                "order of the data, but not what else is random, so that comparisons need more "
                "seeds."
            )
        return found


@dataclass(frozen=True)
class Script:
    """A command instead of data, which only its process knows.

    Parameters
    ----------
    command : str
        As given.
    words : tuple of str
        Program and arguments.
    name : str
        Name in tables, and of the default folder of results.
    files : list of Path
        The files that the command names, which are never written to.
    note : str
        A note on the results.
    seeds : int, optional
        No fixed number.
    """

    command: str
    words: tuple[str, ...]
    name: str
    files: list[Path] = field(default_factory=list)
    note: str = (
        "Seconds of a script's training include its own evaluations; its total cost adds the "
        "seconds of selecting."
    )
    seeds: int | None = None

    @property
    def digest(self) -> str:
        """Hash of the files that the command names: another script gives other results."""
        found = hashlib.blake2b(digest_size=8)
        for path in self.files:
            if path.suffix == ".py":
                found.update(path.read_bytes())
        return found.hexdigest()


def script_of(command: str) -> Script:
    """Return the script of a command, after the checks that need no run.

    Raises
    ------
    ValueError
        If it is no program with its arguments, as in a shell.
    FileNotFoundError
        If its program or Python file does not exist.
    """
    try:
        words = shlex.split(command, posix=os.name == "posix")
    except ValueError as error:
        raise ValueError(f"command must be words as in a shell, got {command!r}: {error}") from None
    if not words:
        raise ValueError("command must name a program, got none")
    for word in words:
        if word in _SHELL:
            raise ValueError(
                f"command must be one program with its arguments, run without a shell, got {word!r}"
                f": write sh -c {shlex.quote(command)}"
            )
    if re.fullmatch(r"\w+=.*", words[0]):
        raise ValueError(
            f"command must begin with a program, got {words[0]!r}: write env {command}"
        )
    if shutil.which(words[0], path=_path()) is None:
        raise FileNotFoundError(
            f"command must name a program, got {words[0]!r}, which is not found"
        )
    files = [Path(word) for word in words if Path(word).is_file()]
    scripts = [word for word in words if word.endswith(".py")]
    for word in scripts[:1]:
        _check.file(word, "command")
    name = Path(scripts[0] if scripts else words[0]).stem
    return Script(command, tuple(words), name, files)


def _path() -> str:
    """Return the search path of programs: `python` is the one that runs `sampling bench`."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


class CommandWorker:
    """Does runs of a script, each in a process of its own.

    Parameters
    ----------
    script : Script
        The script.
    folder : Path
        Folder of the results.
    facts : Facts, optional
        What its first run has shown; None before `first`.
    threads : int, optional
        Threads of a process, where several run at the same time; by default its own.
    timeout : float, optional
        Seconds after which a run is ended.
    """

    def __init__(
        self,
        script: Script,
        folder: Path,
        facts: Facts | None = None,
        threads: int | None = None,
        timeout: float | None = None,
    ) -> None:
        self.facts = facts
        self._script = script
        self._folder = folder
        self._threads = threads
        self._timeout = timeout
        self._not_run: dict[str, str] = {}  # method -> why the script cannot run it
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def first(self, job: Job) -> Run:
        """Do the first run, on all the data, and set `facts`.

        Raises
        ------
        ValueError
            If it has no result: no other run could be done.
        """
        answer, arrays, reason = self._process(job, first=True)
        if answer is None or answer.state != "done":
            raise ValueError(
                "command must report a result in its first run, on all the data, which "
                f"{reason or (answer.reason if answer else '')}"
            )
        self.facts = Facts.of(answer)
        whole = replace(job, epochs=self.facts.epochs, full_epochs=self.facts.epochs)
        return self._run_of(whole, answer, arrays)

    def run(
        self,
        job: Job,
        calibration: dict[str, float],
        after_epoch: Callable[[float], None] = lambda part: None,
    ) -> Run:
        """Do a run, and write what is kept of its samples.

        A script that fails is a result: the other runs are done all the same.
        """
        facts = self._known()
        method = method_named(job.method)
        reason = self._not_run.get(job.method) or lacks(
            job, method, set(facts.levels), set(facts.given)
        )
        if reason:
            return _without(job, NOT_RUN, reason)
        answer, arrays, reason = self._process(job, calibration=calibration)
        after_epoch(1.0)
        if answer is None or reason:
            return _without(job, FAILED, reason)
        if answer.state == NOT_RUN:
            self._not_run[job.method] = answer.reason
        if answer.state != "done":
            return _without(job, answer.state, answer.reason)
        reason = self._differs(answer)
        return _without(job, FAILED, reason) if reason else self._run_of(job, answer, arrays)

    def stop(self) -> None:
        """End all processes, and start no others."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + _PATIENCE
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            _end(process)

    def _known(self) -> Facts:
        if self.facts is None:
            raise RuntimeError("the first run of the script must be done before others")
        return self.facts

    def _differs(self, answer: Answer) -> str:
        """Return in what a run cannot be compared with the first one; empty if in nothing."""
        facts = self._known()
        for name, here, there in (
            ("metric", answer.metric, facts.metric),
            ("number of test samples in correct", answer.test_samples, facts.test_samples),
        ):
            if here != there:
                return f"the {name} must be as in the first run, {there}, got {here}"
        return ""

    def _run_of(self, job: Job, answer: Answer, arrays: dict[str, NDArray[Any]]) -> Run:
        facts = self._known()
        unit = facts.size * job.full_epochs
        cost = answer.draws / unit
        per_sample = facts.calibration["sample_seconds"]  # a script makes no passes but its own
        total = cost + answer.seconds["selecting"] / per_sample / unit
        curve = answer.val_curve
        run = Run(
            job.method,
            job.keep,
            job.seed,
            job.asked,
            draws=answer.draws,
            epochs=answer.epochs,
            cost=cost,
            total_cost=total,
            seconds=answer.seconds,
            val_curve=curve,
            cost_curve=[total * (at + 1) / len(curve) for at in range(len(curve))],
            test=answer.value,
            setting=answer.setting,
        )
        if "correct" in arrays:
            arrays["outcomes"] = arrays.pop("correct")
        save_details(self._folder, run, arrays)
        return run

    def _process(
        self, job: Job, *, first: bool = False, calibration: dict[str, float] | None = None
    ) -> tuple[Answer | None, dict[str, NDArray[Any]], str]:
        """Run the script; return its answer, its arrays, and why it has none."""
        log = self._log(job)
        with tempfile.TemporaryDirectory(prefix="sampling-bench-") as folder:
            path = Path(folder, "order.json")
            order = Order(asdict(job), str(Path.cwd()), os.getpid(), time.time(), first)
            if self.facts is not None:
                order = replace(
                    order,
                    size=self.facts.size,
                    batch_size=self.facts.batch_size,
                    logits=self.facts.logits,
                    calibration=calibration or {},
                )
            write(path, order)
            code, timed_out = self._wait(job, path, log)
            answer, arrays = _answered(path)
            begun = begun_beside(path).exists()
        reason = _why(code, timed_out, self._timeout, answer, begun)
        if reason and (answer is None or code):
            shown = "".join(f"\n    {line}" for line in last_lines(log))
            reason = f"{reason}; the last lines of {log}:{shown}" if shown else f"{reason} ({log})"
        return answer, arrays, reason

    def _wait(self, job: Job, order: Path, log: Path) -> tuple[int, bool]:
        """Start the process and wait for it; return its exit code, and whether it took too long."""
        readable = {READABLE[name]: str(getattr(job, name)) for name in READABLE}
        changed = {JOB: str(order), **readable, "PATH": _path(), "PYTHONUNBUFFERED": "1"}
        if self._threads is not None and "OMP_NUM_THREADS" not in os.environ:
            changed["OMP_NUM_THREADS"] = str(self._threads)
        program = shutil.which(self._script.words[0], path=_path()) or self._script.words[0]
        with log.open("wb") as file:
            head = f"{_HEAD}{job.method} keep {job.keep:g} seed {job.seed}: {self._script.command}"
            file.write(head.encode() + b"\n")
            file.flush()
            with self._lock:
                if self._stopped:
                    return 1, False
                process = subprocess.Popen(
                    [program, *self._script.words[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **changed},
                    start_new_session=True,
                )
                self._running.add(process)
        timed_out = False
        try:
            process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
        return int(process.returncode), timed_out

    def _log(self, job: Job) -> Path:
        run = _without(job, FAILED, "")
        path = self._folder / LOGS / (detail_path(self._folder, run).stem + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        check_outputs([(path, _LOG)], self._script.files)
        return path


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a process and to all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and whatever it left running."""
    if os.name == "posix":
        _signal(process, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()


def _answered(order: Path) -> tuple[Answer | None, dict[str, NDArray[Any]]]:
    path = answer_beside(order)
    if not path.exists():
        return None, {}
    answer = Answer(**json.loads(path.read_text()))
    arrays = {}
    if arrays_beside(order).exists():
        with np.load(arrays_beside(order), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    return answer, arrays


def _why(
    code: int, timed_out: bool, timeout: float | None, answer: Answer | None, begun: bool
) -> str:
    """Return why a process has no result; empty if it has one, or said so itself."""
    if timed_out:
        return f"took longer than the timeout of {timeout:g} seconds"
    if code < 0:
        memory = ", perhaps for lack of memory" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{memory}"
    if code:
        return f"ended with exit code {code}" + (" after its report" if answer else "")
    if answer is not None:
        return answer.reason if answer.state == FAILED else ""
    if not begun:
        return (
            "never called sampling.bench.sampler: give the loader sampler = sampling.bench.sampler("
            "dataset), and call sampling.bench.report(accuracy=...) at the end"
        )
    return "reported nothing: call sampling.bench.report(accuracy=...) at the end of the script"


def last_lines(log: Path) -> list[str]:
    """Return the last lines of a log, as a terminal would show them."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        text = file.read().decode(errors="replace")
    if size <= _TAIL:
        text = text.partition("\n")[2]  # without the head
    lines = [_CONTROL.sub("", line).rstrip().split("\r")[-1] for line in text.split("\n")]
    return [line for line in lines if line.strip()][-_LINES:]


def _without(job: Job, state: str, reason: str) -> Run:
    return Run(job.method, job.keep, job.seed, job.asked, state=state, reason=reason)


class CommandPool(RunPool):
    """Runs of a script at the same time.

    Parameters
    ----------
    worker : CommandWorker
        Does the runs.
    jobs : int
        Runs at the same time.
    """

    def __init__(self, worker: CommandWorker, jobs: int) -> None:
        self._worker = worker
        super().__init__(jobs, worker.run)

    def _made(self, size: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(size)

    def _end(self) -> None:
        self._worker.stop()
