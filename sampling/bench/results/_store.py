"""The results of a folder: complete on disk at any moment, and extensible later.

`results.json` says what was run, `runs.jsonl` has a line for each run, `details/` what is kept of
each test and training sample. Several processes may share one folder: each writes under a lock, a
run by appending its line, and a line that was cut by a kill or a full disk is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import short, told
from ..._files._paths import Kind, Output, json_kind, written_whole
from ._run import Run

FILE, RUNS, DETAILS = "results.json", "runs.jsonl", "details"
_LOCK = ".results.lock"
_FORMAT = 2
_FRACTIONS = ("accuracy", "balanced accuracy", "macro F1")
_PERCENT = 100
_RESULTS = json_kind("results of `sampling bench`", "format", "identity")
_EMPTY = Kind("a lock", "lock", None)


def _holds_runs(path: Path) -> bool:
    """Return whether a file holds lines of runs, or nothing."""
    with path.open("rb") as file:
        first = file.readline(1 << 20)
    return not first or b'"method"' in first


_LINES = Kind("runs of `sampling bench`", "JSON lines", _holds_runs)


def result_outputs(folder: Path) -> list[Output]:
    """Return the files that results write, for `check_outputs`."""
    return [(folder / FILE, _RESULTS), (folder / RUNS, _LINES), (folder / _LOCK, _EMPTY)]


@told
@dataclass
class Results:
    """All runs of one folder.

    Parameters
    ----------
    identity : dict
        What all runs share, and what may not differ when a folder is continued: name and hash of
        the data, epochs, batch size, protocol, made imbalance, label noise and near copies.
    metric : str
        Metric of `test` and `val_curve` of the runs.
    calls : dict of str to dict
        Arguments, versions, machine and commit of each call that ran something.
    runs : list of Run
        At most one for each method, keep fraction and seed.
    notes : list of str
        Notes needed to interpret the numbers.
    plan : dict
        Everything the options said, as in a plan file.
    about : dict
        What tables and the report need to know: number of samples, of classes and their names,
        whether higher is better, factor and unit of the metric, size of the test set.
    calibration : dict of str to float
        Seconds of training a sample and of a forward pass, from one exclusive measurement.
    evaluations : list of dict
        The evaluations that printed verdicts, in order.

    Raises
    ------
    ValueError, TypeError
        If `runs` holds something else than runs, or two of one method, keep fraction and seed.
    """

    identity: dict[str, Any]
    metric: str
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, float] = field(default_factory=dict)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    _by_place: dict[tuple[str, float, int], int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _read_to: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_results(self)
        self._by_place = {run.place: row for row, run in enumerate(self.runs)}

    def find(self, method: str, keep: float, seed: int) -> Run | None:
        """Return the run of a method at a keep fraction and seed, if there is one."""
        row = self._by_place.get((method, keep, seed))
        return None if row is None else self.runs[row]

    def add(self, run: Run) -> None:
        """Add a run, replacing an earlier one of the same method, keep fraction and seed."""
        row = self._by_place.get(run.place)
        if row is None:
            self._by_place[run.place] = len(self.runs)
            self.runs.append(run)
        else:
            self.runs[row] = run

    def append(self, run: Run, folder: Path) -> None:
        """Add a run, and write it to the folder of the results at once."""
        self.add(run)
        with FileLock(folder / _LOCK):
            _append(folder / RUNS, [run])

    def save(self, folder: Path) -> None:
        """Write everything, merged with what other processes wrote since it was read.

        The folder is created if it does not exist. Runs that are in the folder stay, unless a
        newer one replaces them.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            held: dict[tuple[str, float, int], Run] = {}
            if (folder / FILE).exists():
                others = open_results(folder, self.identity, self.metric)
                held = {run.place: run for run in others.runs}
                self.calls = {**others.calls, **self.calls}
                known = self.evaluations
                self.evaluations = known + others.evaluations[len(known) :]
                self.calibration = self.calibration or others.calibration
            write_json(folder / FILE, self._head())
            _append(folder / RUNS, [run for run in self.runs if held.get(run.place) != run])
            mine = set(self._by_place)
            for place, run in held.items():
                if place not in mine:
                    self.add(run)

    def refresh(self, folder: Path) -> None:
        """Take in the runs that other processes appended to the folder."""
        for run in _runs_of(folder / RUNS):
            self.add(run)

    def _head(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "identity": self.identity,
            "metric": self.metric,
            "about": self.about,
            "plan": self.plan,
            "notes": self.notes,
            "calibration": self.calibration,
            "evaluations": self.evaluations,
            "calls": self.calls,
        }


def write_json(path: Path, content: Any) -> None:
    """Write results as JSON, whole or not at all."""
    text = json.dumps(content, indent=1, default=_number)
    with written_whole(path, _RESULTS) as beside:
        beside.write_text(text + "\n")


def _append(path: Path, runs: list[Run]) -> None:
    """Append lines; after a failure, such as a full disk, the file is as it was."""
    if not runs:
        return
    lines = "".join(json.dumps(asdict(run), default=_number) + "\n" for run in runs)
    with path.open("ab") as file:
        size = file.tell()
        begin = b"" if not size or _ends_whole(path) else b"\n"
        try:
            file.write(begin + lines.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, size)
            raise


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _runs_of(path: Path) -> Iterator[Run]:
    """Yield the runs of a file; a line that was cut is passed over."""
    if not path.exists():
        return
    names = set(Run.__dataclass_fields__)
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            fields = json.loads(line)
        except ValueError:  # cut by a kill: the run is done again
            continue
        if not isinstance(fields, dict) or not set(fields) <= names:
            raise ValueError(f"{path} must hold runs of this program, got another in line {number}")
        yield Run(**fields)


def _number(value: Any) -> Any:  # a scalar of numpy or torch
    """Return a scalar of another library as a Python number, for JSON."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"runs and identity must hold JSON values, got {type(value).__name__}")


def check_results(results: Any) -> None:  # perhaps no results
    """Refuse anything but `Results`, and two runs of one method, keep fraction and seed."""
    if not isinstance(results, Results):
        raise TypeError(
            f"results must be a Results, got {short(results)}: runs make one by Results(identity, "
            "metric, runs=runs), and prepare(settings).results are those of a folder"
        )
    places = set()
    for row, run in enumerate(results.runs):
        if not isinstance(run, Run):
            raise TypeError(f"runs must hold Runs, got {short(run)} in row {row}")
        if run.place in places:
            raise ValueError(
                "runs must hold one run of each method, keep fraction and seed, got "
                f"{run.method!r}, {run.keep:g} and {run.seed} again in row {row}"
            )
        places.add(run.place)
        if results.metric in _FRACTIONS and run.test is not None and 1 < run.test <= _PERCENT:
            raise ValueError(
                f"test must be a fraction in [0, 1] for the metric {results.metric}, got "
                f"{run.test!r} in row {row}: divide percent by 100"
            )


def open_results(folder: Path, identity: dict[str, Any], metric: str) -> Results:
    """Return the results in a folder, which is created, or empty ones.

    Raises
    ------
    ValueError
        If the folder contains results of other data or other arguments, or a file that is not a
        results file; the message names the difference.
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
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"out must hold results of this program, got {path}: {error}") from error
    if version != _FORMAT:
        raise ValueError(
            f"out must hold results of format {_FORMAT}, got {version} in {path}: give another "
            "folder"
        )
    written = json.loads(json.dumps(identity, default=_number))  # tuples as lists
    for name in [*written, *found]:
        if found.get(name) != written.get(name):
            raise ValueError(
                f"out must hold results of {name} {written.get(name)}, got {found.get(name)} in "
                f"{path}: give another folder"
            )
    return read_results(folder)


@told
def read_results(folder: str | Path) -> Results:
    """Return the results in a folder.

    Parameters
    ----------
    folder : str or Path
        What `sampling bench --out` was given.

    Returns
    -------
    Results

    Raises
    ------
    ValueError
        If the folder holds no results, or results of another format.

    Examples
    --------
    >>> import tempfile
    >>> from sampling import bench
    >>> run = bench.Run("mine", 0.5, 0, 0.5, test=0.9)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bench.Results({"dataset": "mine"}, "accuracy", runs=[run]).save(folder)
    ...     bench.read_results(folder).runs == [run]
    True
    """
    folder = _check.path("folder", folder)
    path = folder / FILE
    if not path.is_file():
        raise ValueError(f"folder must hold results of `sampling bench`, got no {FILE} in {folder}")
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"folder must hold results of format {_FORMAT}, got another in {path}")
    fields = {k: v for k, v in content.items() if k in Results.__dataclass_fields__}
    found = {run.place: run for run in _runs_of(folder / RUNS)}  # a later line replaces
    return Results(**{**fields, "runs": list(found.values())})


def detail_path(folder: Path, run: Run) -> Path:
    """Return the file of what is kept of the samples of a run."""
    method = re.sub(r"[^\w.=-]+", "-", run.method)
    if method != run.method:  # two names may be spelled alike now
        method += "-" + hashlib.blake2b(run.method.encode(), digest_size=3).hexdigest()
    return folder / DETAILS / f"{method}@{run.keep:g}-seed{run.seed}.npz"


def save_details(folder: Path, run: Run, arrays: dict[str, NDArray[Any]]) -> None:
    """Write what is kept of the samples of a run, whole or not at all."""
    save_arrays(detail_path(folder, run), arrays)


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays, whole or not at all; the folder is created if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, _ARRAYS) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_details(folder: Path, run: Run) -> dict[str, NDArray[Any]]:
    """Return what is kept of the samples of a run; empty if nothing is."""
    path = detail_path(folder, run)
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _holds_arrays(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


_ARRAYS = Kind("arrays of `sampling bench`", ".npz", _holds_arrays)
