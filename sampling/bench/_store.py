"""The results file: a record of runs, complete on disk at any moment, and extensible later.

Several processes may share one folder: each writes under a lock, and keeps what the others wrote.
"""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from .._check._keywords import short
from .._files._paths import Kind, Output, json_kind, written_whole
from .._version import __version__
from ._train import Run

FILE = "results.json"
_LOCK = ".results.lock"
_FORMAT = 1
_RESULTS = json_kind("results of `sampling bench`", "format", "identity", "runs")
_EMPTY = Kind("a lock", "lock", None)


def result_outputs(folder: Path) -> list[Output]:
    """Return the files that `Results.save` will write, for `check_outputs`."""
    return [(folder / FILE, _RESULTS), (folder / _LOCK, _EMPTY)]


@dataclass
class Results:
    """All runs of one folder.

    Parameters
    ----------
    identity : dict
        Dataset, epochs, batch size, imbalance, label noise and hash of the data, which all runs
        share.
    metric : str
        Metric of `test` and `val_curve` of the runs.
    calls : list of dict
        Arguments, versions, machine and commit of each call that ran something.
    runs : list of Run
        At most one for each method, target and seed.
    notes : list of str
        Notes needed to interpret the numbers.

    Raises
    ------
    ValueError, TypeError
        If `runs` holds something else than runs, or two of one method, target and seed.
    """

    identity: dict[str, Any]
    metric: str
    calls: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _new: list[Run] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        check_results(self)

    def find(self, method: str, target: float, seed: int) -> Run | None:
        """Return the run of a method at a target and seed, if there is one."""
        for run in self.runs:
            if (run.method, run.target, run.seed) == (method, target, seed):
                return run
        return None

    def add(self, run: Run) -> None:
        """Add a run, replacing an earlier one of the same method, target and seed."""
        earlier = self.find(run.method, run.target, run.seed)
        self.runs = [kept for kept in self.runs if kept is not earlier] + [run]
        self._new.append(run)

    def save(self, folder: Path) -> None:
        """Write the results file, merged with what other processes wrote since it was read.

        The folder is created if it does not exist.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            if (folder / FILE).exists():
                self._take_in(open_results(folder, self.identity, self.metric))
            content = {
                "format": _FORMAT,
                "identity": self.identity,
                "metric": self.metric,
                "notes": self.notes,
                "calls": self.calls,
                "runs": [asdict(run) for run in self.runs],
            }
            text = json.dumps(content, indent=1, default=_number)
            write_whole(folder / FILE, (text + "\n").encode(), _RESULTS)

    def _take_in(self, others: "Results") -> None:
        """Merge the runs of a file; they replace ours unless ours were made by this object."""
        places = {}
        for place, call in enumerate(others.calls):
            if call not in self.calls:
                self.calls.append(call)
            places[place] = self.calls.index(call)
        held = [replace(run, call=places.get(run.call, run.call)) for run in others.runs]
        made = {_place(run) for run in self._new}
        known = made | {_place(run) for run in held}
        ours = [run for run in self.runs if _place(run) in made or _place(run) not in known]
        self.runs = [run for run in held if _place(run) not in made] + ours


def _number(value: Any) -> Any:  # a scalar of numpy or torch
    """Return a scalar of another library as a Python number, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"runs and identity must hold JSON values, got {type(value).__name__}")


def check_results(results: Any) -> None:  # perhaps no results
    """Refuse anything but `Results`, and two runs of one method, target and seed."""
    if not isinstance(results, Results):
        raise TypeError(
            f"results must be a Results, got {short(results)}: runs make one by Results(identity, "
            "metric, runs=runs), and prepare(settings).results are those of a folder"
        )
    places = set()
    for row, run in enumerate(results.runs):
        if not isinstance(run, Run):
            raise TypeError(f"runs must hold Runs, got {short(run)} in row {row}")
        if _place(run) in places:
            raise ValueError(
                "runs must hold one run of each method, target and seed, got "
                f"{run.method!r}, {run.target:g} and {run.seed} again in row {row}"
            )
        places.add(_place(run))


def _place(run: Run) -> tuple[str, float, int]:
    return run.method, run.target, run.seed


def open_results(folder: Path, identity: dict[str, Any], metric: str) -> Results:
    """Return the results in a folder, or empty ones; the folder is created.

    Raises
    ------
    ValueError
        If the folder contains results of another dataset or of other arguments, or a file that is
        not a results file; the message names the difference.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out must be a folder, got the file {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    if not path.exists():
        return Results(identity, metric)
    try:
        content = json.loads(path.read_text())
        version, found = content["format"], content["identity"]
        runs = [Run(**run) for run in content["runs"]] if version == _FORMAT else []
        calls = list(content["calls"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"out must hold results of this program, got {path}: {error}") from error
    if version != _FORMAT:
        raise ValueError(f"out must hold results of format {_FORMAT}, got {version} in {path}")
    written = json.loads(json.dumps(identity, default=_number))  # tuples as lists
    for name, value in written.items():
        if found.get(name) != value:
            raise ValueError(
                f"out must hold results of {name} {value}, got {found.get(name)} in "
                f"{path}: give another folder"
            )
    return Results(identity, metric, calls, runs)


def write_whole(path: Path, content: bytes, kind: Kind | None = None) -> None:
    """Write a file atomically: it is the old one or the new one, never a truncated one."""
    with written_whole(path, kind) as beside:
        beside.write_bytes(content)


def describe_call(arguments: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return arguments, versions, machine, commit and time, as JSON values."""
    return {
        "arguments": json.loads(json.dumps(arguments)),  # tuples as lists, as when read back
        "begun": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "process": os.getpid(),
        "versions": {
            "sampling": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "processor": _processor(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str | None:
    """Return the commit of a git checkout of the package, marked if edited; None elsewhere."""
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        return None
    head = _git(root, ["rev-parse", "HEAD"])
    if not head:
        return None
    return head + ("-dirty" if _git(root, ["status", "--porcelain", "--", "sampling"]) else "")


def _git(root: Path, arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
