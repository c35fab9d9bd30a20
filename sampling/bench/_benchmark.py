"""The benchmark: its runs, each done only once, by one process or several."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Group

from .. import _check
from .._check._keywords import told
from .._files._paths import check_apart, check_outputs
from .._interrupt import heard
from .._optional import require
from ._execute import Execution
from ._jobs import Jobs, Place
from ._plan_file import KIND, PLAN, write_plan
from ._progress import Progress, say
from ._settings import Settings
from ._work import Pool, Worker, cores, of_seed, prepared
from .methods._method import Rows
from .methods._named import method_named, resolved
from .methods._pruners import unreachable
from .reports._terminal import table
from .reports._write import report_outputs, write_report
from .results._call import describe_call
from .results._run import FAILED, Run
from .results._store import Results, open_results, result_outputs
from .results._verdicts import REFERENCE, limit_search, margin_of, verdicts
from .script._command import CommandPool, CommandWorker, Facts, Script, script_of
from .statistics import Evaluation, Limit, LimitSearch, find_limit, next_run
from .tasks._data import Data
from .tasks._function import described
from .tasks._sources import Source, source_of
from .training._calibrate import calibrated
from .training._pilot import read_pilot
from .training._train import Job

PILOT = 3  # seeds without verdicts, from which the number of seeds is computed
FEWEST = 5  # seeds of a table with verdicts
_STARTS = 5.0  # seconds, about those that a process needs to start
_COST_NOTE = (
    "Cost is realised samples / (N x epochs). Total cost adds pilot runs, extra forward passes, "
    "selection and clustering, in the same units, and so do the seconds; evaluation and "
    "compilation are in neither."
)
_MATCH_NOTE = (
    "Where infobatch reached its target, the other methods of the same keep fraction and seed are "
    "matched to its realised cost."
)


@told
@dataclass
class Benchmark:
    """Settings, data and results, ready to run; made by `prepare`.

    Parameters
    ----------
    settings : Settings
        The checked settings.
    source : Source or Script
        Where the data come from.
    data : Data or Script
        The data to run on; a script, which alone has them.
    jobs : Jobs
        The runs.
    results : Results
        Completed runs, including those of earlier calls.
    folder : Path
        Folder of the results.
    interrupted : bool, default False
        True after a `run` that was stopped by Ctrl-C.
    pending : int, default 0
        Number of runs that the last `run` did not complete.
    """

    settings: Settings
    source: Source | Script
    data: Data | Script
    jobs: Jobs
    results: Results
    folder: Path
    interrupted: bool = False
    pending: int = 0
    _deadline: float = field(default=math.inf, init=False, repr=False)
    _call: str = field(default="", init=False, repr=False)
    _evaluated: tuple[list[Run], Evaluation] | None = field(default=None, init=False, repr=False)

    @property
    def fixed_seeds(self) -> int | None:
        """The number of seeds, if it is not computed from a pilot."""
        return self.settings.seeds or self.source.seeds

    def run(self, *, progress: bool | None = None) -> Results:
        """Do every run that is not yet complete; each is written at once.

        Without a fixed number of seeds, three come first, and from their differences follows how
        many the table needs. Ctrl-C ends it early: completed runs are kept, and `interrupted` is
        set.

        Parameters
        ----------
        progress : bool, optional
            Whether to show progress, as a bar on a terminal and as lines elsewhere; by default it
            is shown.

        Returns
        -------
        Results
            All completed runs, including those of earlier calls.
        """
        shown = True if progress is None else _check.flag("progress", progress)
        if self.settings.time_budget is not None:
            self._deadline = time.monotonic() + self.settings.time_budget
        try:
            if self.settings.find_limit:
                self._find_limits(shown)
            else:
                self._run_seeds(self.fixed_seeds or PILOT, shown)
            if self.fixed_seeds is None and not self.settings.find_limit and not self.pending:
                self._run_seeds(self._planned_seeds(shown), shown)
        except KeyboardInterrupt as error:
            heard(error)
            self.interrupted = True
        return self.results

    def evaluation(self) -> Evaluation:
        """Return the verdicts of the runs that are done; computed once for the same runs."""
        if self._evaluated is None or self._evaluated[0] != self.results.runs:
            found = verdicts(
                self.results,
                self.settings.margin,
                folder=self.folder,
                planned=self.settings.evaluations or self._one_evaluation(),
                max_seeds=self.settings.max_seeds,
                pilot=0 if self.fixed_seeds else PILOT,
            )
            self._evaluated = self.results.runs.copy(), found
        return self._evaluated[1]

    def _one_evaluation(self) -> int | None:
        """Return 1 for data whose number of seeds is fixed: they are never extended."""
        return 1 if self.source.seeds is not None and self.settings.seeds is None else None

    def _planned_seeds(self, shown: bool) -> int:
        """Return the number of seeds that the table needs, and say so with the time it takes."""
        found = self.evaluation()
        done = max((each.seeds for each in found.verdicts), default=0)
        if found.plan is None:
            seeds = max(FEWEST, done)
            why = "no row is open" if found.number else "the pilot's differences are all equal"
        else:
            seeds = max(found.plan.seeds, done)
            why = found.plan.reason or (
                f"for a power of 0.8 at a paired deviation of up to {found.plan.upper:.3g}"
            )
        left = self.missing(seeds)
        if left and shown:
            _, most = self._threads()
            hours = self._seconds(left, self.results.calibration) / most / 3600
            say(f"{seeds} seeds of every row, {why}: {len(left)} runs, about {hours:.1f} hours")
        return seeds

    def _find_limits(self, shown: bool) -> None:
        """Do the runs that tell where each named method breaks."""
        named = [name for name in self.settings.methods or () if self.jobs.methods[name].swept]
        while True:
            wanted: dict[Place, None] = {}
            for name in named:
                for keep, seed in self._next_of(name):
                    wanted |= dict.fromkeys([(REFERENCE, 1.0, seed), (name, keep, seed)])
            left = [place for place in wanted if not self._is_done(place)]
            if left:
                self._execute(left, shown)
            if not left or self.pending or any(not self._has(place) for place in left):
                return

    def _has(self, place: Place) -> bool:
        run = self.results.find(*place)
        return run is not None and run.done

    def _next_of(self, method: str) -> list[tuple[float, int]]:
        """Return the next runs of a method: all seeds that its next keep fraction lacks."""
        search = self._search(method)
        following = next_run(search)
        if following is None:
            return []
        known = search.differences[following.keep]
        most = PILOT if following.why == "locate" else find_limit(search).seeds
        first = self.settings.first_seed
        return [(following.keep, first + seed) for seed in range(most) if seed not in known]

    def _search(self, method: str) -> LimitSearch:
        margin = self.settings.margin or margin_of(self.results).value
        return limit_search(
            self.results,
            method,
            self.settings.keep or (),
            margin,
            self.settings.max_seeds,
            self.settings.first_seed,
        )

    def limits(self) -> dict[str, Limit]:
        """Return where each named method breaks, as far as the runs tell."""
        swept = [name for name in self.settings.methods or () if self.jobs.methods[name].swept]
        return {name: find_limit(self._search(name)) for name in swept}

    @property
    def has_verdicts(self) -> bool:
        """Whether the runs, planned or from earlier calls, can be compared with full data."""
        done = {run.seed for run in self.results.runs if run.method == REFERENCE}
        first = self.settings.first_seed
        planned = range(first, first + (self.fixed_seeds or self.settings.max_seeds))
        return len(done.union(planned)) > PILOT

    def missing(self, seeds: int) -> list[Place]:
        """Return the runs of the first seeds that are not complete, in order."""
        first = self.settings.first_seed
        wanted = self.jobs.wanted(range(first, first + seeds))
        return [place for place in wanted if not self._is_done(place)]

    def _is_done(self, place: Place) -> bool:
        """Return whether there is a run with the budget that it would have now."""
        run = self.results.find(*place)
        if run is None or run.state == FAILED:
            return False
        now = self.jobs.job(place, self.results)
        return run.budget == (now.asked if isinstance(now, Job) else now.budget)

    def forecast(self) -> str:
        """Measure a step, and return what is to be done, with an estimate of the time.

        For a script nothing is measured: without an earlier call there is no estimate.
        """
        threads, most = self._threads()
        measured = self.results.calibration
        if not measured and not isinstance(self.data, Script):
            measured = self._measured(self.data)
        lines = [f"{self.source.name}: {', '.join(self.jobs.methods)}"]
        counts = [self.fixed_seeds] if self.fixed_seeds else [PILOT, self.settings.max_seeds]
        for seeds in counts:
            places = self.missing(seeds)
            processes = max(1, min(most, len(places)))
            minutes = self._seconds(places, measured) / processes / 60
            time_needed = f"about {minutes:.1f} minutes" if measured else "an unknown time"
            note = "" if self.fixed_seeds else " (the pilot)" if seeds == PILOT else " (at most)"
            left = f"{time_needed} with {processes} at the same time" if places else "all are done"
            plural = "s" if seeds > 1 else ""
            lines.append(f"{len(places)} runs for {seeds} seed{plural}{note}: {left}")
        return "\n".join([*lines, *self._unreachable()])

    def _unreachable(self) -> list[str]:
        """Return a line for each method and fraction that no run can have."""
        found = []
        if not isinstance(self.data, Script):  # of which the number of epochs is not known
            size = self.results.about.get("samples", 0)
            for place in self.jobs.wanted([self.settings.first_seed]):
                job = self.jobs.job(place, self.results)
                if isinstance(job, Job):
                    why = unreachable(job.method, size, job.epochs, job.budget)
                    found += [f"{job.method} at keep {job.keep:g}: {why}"] if why else []
        return found

    def table(self) -> Group:
        """Return the table of the methods asked for, for the `print` of a rich console.

        Verdicts on new seeds are an evaluation, which is recorded in the folder: the next one is
        stricter. They are about all rows of the folder, whichever are shown.
        """
        if self.settings.find_limit:  # whose claims have an error of their own
            return table(self.results, methods=set(self.jobs.methods), compare=False)
        found = self.evaluation()
        if found.number and found.is_new:
            self.results.evaluations.append(found.record())
            self.results.save(self.folder)
        return table(
            self.results,
            self.settings.margin,
            evaluation=found,
            methods=set(self.jobs.methods),
        )

    def report(self) -> list[Path]:
        """Write the plots and the page of all runs; return the files."""
        data = None if isinstance(self.data, Script) else self.data
        seed = min((run.seed for run in self.results.runs), default=0)
        limits = self.limits() if self.settings.find_limit else {}
        return write_report(
            self.results,
            self.folder,
            data=None if data is None else of_seed(data, self.settings, seed),
            margin=self.settings.margin,
            verdicts=() if limits else self.evaluation().verdicts,
            examples=self.settings.examples,
            answer=[f"{name}: {limit.words}." for name, limit in limits.items()],
            pilot=read_pilot(self.folder, seed),
        )

    def _seconds(self, places: list[Place], measured: dict[str, float]) -> float:
        """Return the seconds that runs will take, without selection and clustering."""
        samples = measured.get("sample_seconds", 0.0)
        passes = measured.get("forward_ratio", 0.0) * samples
        size = self.results.about.get("samples", 0)
        sizes = (
            [0, 0] if isinstance(self.data, Script) else [len(self.data.val), len(self.data.test)]
        )
        total = 0.0
        for place in places:
            job = self.jobs.job(place, self.results)
            if not isinstance(job, Job):  # matched to a cost that is not known yet
                job = self.jobs.plain(place)
            draws = job.budget * job.epochs * size
            scores = self.jobs.methods[place[0]].scores
            scored = size * job.epochs if scores else 0
            evaluated = job.epochs * sizes[0] + sizes[1]
            total += draws * samples + (scored + evaluated) * passes
        return total

    def _run_seeds(self, seeds: int, shown: bool) -> None:
        """Do the runs of the first seeds; those that new runs change the budget of, once more."""
        tried: set[Place] = set()
        while waiting := [place for place in self.missing(seeds) if place not in tried]:
            self._execute(waiting, shown)
            if self.pending:
                return
            tried.update(waiting)

    def _execute(self, waiting: list[Place], shown: bool) -> None:
        self.pending = len(waiting)
        with Progress(len(waiting), self.results.metric, shown) as bar:
            first = self._begin(bar)
            take = partial(self._take, call=self._begin_call(), bar=bar)
            for run in first:
                take(run)
            done = {run.place for run in first}
            left = [place for place in waiting if place not in done]
            self._do(Execution(self.jobs, self.results, left, take, bar, self._deadline))

    def _begin(self, bar: Progress) -> list[Run]:
        """Measure a step, once; of a script, do the first run, which tells all about it."""
        if isinstance(self.data, Script):
            return self._first_run(self.data, bar)
        if not self.results.calibration:
            bar.say("measuring a step and a forward pass")
            self.results.calibration = self._measured(self.data)
        return []

    def _measured(self, data: Data) -> dict[str, float]:
        """Measure a step; what stops it, such as an error in a model, would stop each run."""
        try:
            return calibrated(data, self.settings.device, self._threads()[0], self.jobs.batch_size)
        except Exception as error:
            path = self.source.files[0] if self.source.files else Path()
            raise ValueError(
                f"the model of {self.source.name} must train on a batch of its data, got "
                f"{described(error, path)}"
            ) from error

    def _first_run(self, script: Script, bar: Progress) -> list[Run]:
        if "script" in self.results.about:
            return []
        place = (REFERENCE, 1.0, self.settings.first_seed)
        bar.begin(place)
        worker = self._command_worker(script, None)
        run = worker.first(Job(*place, budget=1.0, epochs=1, full_epochs=1, batch_size=1))
        if worker.facts is not None:
            self.learn(worker.facts)
        bar.metric = self.results.metric
        return [run]

    def learn(self, facts: Facts) -> None:
        """Set what the first run of a script has shown."""
        self.results.metric = facts.metric
        self.results.about = facts.about
        self.results.calibration = facts.calibration
        self.results.notes += facts.notes
        self.jobs = replace(self.jobs, epochs=facts.epochs, batch_size=max(1, facts.batch_size))

    def _command_worker(self, script: Script, threads: int | None) -> CommandWorker:
        known = self.results.about.get("script")
        facts = None if known is None else Facts(**known)
        return CommandWorker(script, self.folder, facts, threads, self.settings.timeout)

    def _do(self, runs: Execution) -> None:
        """Do runs, by as many processes as there are runs and room for."""
        threads, most = self._threads()
        processes = min(most, len(runs.waiting))
        if not processes:
            return
        if self.settings.jobs is None and not isinstance(self.data, Script):
            spent = self._seconds(runs.waiting, self.results.calibration)
            processes = 1 if spent < _STARTS else processes
        if isinstance(self.data, Script):
            each = max(1, cores() // processes) if processes > 1 else None
            with CommandPool(self._command_worker(self.data, each), processes) as scripts:
                runs.in_parallel(scripts)
        elif processes == 1:
            runs.in_turn(Worker(self.settings, self.folder, self.data, threads))
        else:
            with Pool(self.settings, self.folder, processes, threads or 1) as pool:
                runs.in_parallel(pool)

    def _threads(self) -> tuple[int | None, int]:
        """Return the threads of a run, and the largest number of processes."""
        if isinstance(self.data, Script):
            return None, self.settings.jobs or 1
        threads = self.data.task.threads or (1 if self.settings.device == "cpu" else None)
        if self.settings.jobs is not None:
            return threads, self.settings.jobs
        if self.settings.device != "cpu" or self.data.task is self.settings.data:
            return threads, 1
        return threads, max(1, cores() // (threads or cores()))

    def _take(self, run: Run, call: str, bar: Progress) -> None:
        self.results.append(replace(run, call=call), self.folder)
        self.pending -= 1
        bar.done(run)

    def _begin_call(self) -> str:
        """Record the call, and return its key."""
        if self._call:
            return self._call
        about = describe_call(self.settings.given(), torch.device(self.settings.device))
        call = f"{about['begun']} {about['process']} {time.time_ns() % 10**9}"
        self.results.calls[call] = about
        self.results.plan = self.settings.given()
        self.results.save(self.folder)
        write_plan(self.folder, self.results.plan)
        self._call = call
        return call


@told
def prepare(settings: Settings) -> Benchmark:
    """Check the settings, load the data and open the results: everything that can fail early.

    Parameters
    ----------
    settings : Settings
        Settings of the benchmark.

    Returns
    -------
    Benchmark
        Ready to be run.

    Raises
    ------
    ValueError, TypeError
        If a setting, a data file or the results folder cannot be used, such as a folder in which
        other files have the names of the benchmark's.
    FileNotFoundError
        If the data are missing.
    MissingExtraError
        If matplotlib is not installed.
    """
    settings = settings.checked()
    require("matplotlib", "bench", "the plots of `sampling bench`")
    if settings.command is not None:
        return _prepared_script(settings, script_of(settings.command))
    source = source_of(settings)
    folder = settings.out or Path("runs", source.name + _made(settings))
    check_apart(folder, source.files)
    data = prepared(settings, folder, source)
    epochs = settings.epochs or data.task.epochs
    batch_size = settings.batch_size or data.task.batch_size
    rows = _rows_of(data)
    methods = {name: resolved(method_named(name), rows) for name in settings.all_methods}
    results = open_results(folder, _identity(settings, source, data, epochs, batch_size),
                           _metric(settings, data))  # fmt: skip
    outputs = [*result_outputs(folder), *report_outputs(folder), (folder / PLAN, KIND)]
    check_outputs(outputs, source.files)
    notes = [source.note, *data.notes, _COST_NOTE, _MATCH_NOTE if "infobatch" in methods else ""]
    results.notes = [note for note in notes if note]
    results.about = results.about or _about(settings, data)
    jobs = Jobs(methods, settings.keep or (), epochs, batch_size, settings.protocol)
    return Benchmark(settings, source, data, jobs, results, folder)


def _rows_of(data: Data) -> Rows:
    origin = np.arange(len(data.train)) if data.origin is None else data.origin
    return Rows(origin, len(data.train) if data.whole is None else data.whole)


def _prepared_script(settings: Settings, script: Script) -> Benchmark:
    """Open the results of a script, whose data and metric are known after its first run."""
    folder = settings.out or Path("runs", script.name)
    methods = {name: method_named(name) for name in settings.all_methods}
    identity: dict[str, object] = {
        "dataset": script.name,
        "command": script.command,
        "script": script.digest,
        "protocol": settings.protocol,
    }
    results = open_results(folder, identity, "metric")
    outputs = [*result_outputs(folder), *report_outputs(folder), (folder / PLAN, KIND)]
    check_outputs(outputs, script.files)
    notes = [script.note, _COST_NOTE, _MATCH_NOTE if "infobatch" in methods else ""]
    results.notes = [note for note in notes if note]
    jobs = Jobs(methods, settings.keep or (), 1, 1, settings.protocol)
    found = Benchmark(settings, script, script, jobs, results, folder)
    if "script" in results.about:
        found.learn(Facts(**results.about["script"]))
    return found


def _identity(
    settings: Settings, source: Source, data: Data, epochs: int, batch_size: int
) -> dict[str, object]:
    return {
        "dataset": source.name,
        "epochs": epochs,
        "batch_size": batch_size,
        "protocol": settings.protocol,
        "imbalance": settings.imbalance,
        "label_noise": settings.label_noise,
        "near_copies": settings.near_copies,
        "limit": settings.limit,
        "data": data.digest,
        **source.identity,
    }


def _metric(settings: Settings, data: Data) -> str:
    changed = settings.imbalance is not None and data.task.metric is None
    return "balanced accuracy" if changed else data.metric.name


def _about(settings: Settings, data: Data) -> dict[str, object]:
    metric, labels = data.metric, data.test.labels
    return {
        "samples": len(data.train),
        "test_samples": len(data.test),
        "classes": data.n_classes,
        "test_classes": [] if labels is None else np.bincount(labels).tolist(),
        "class_names": list(data.task.class_names or ()),
        "higher_is_better": metric.higher_is_better,
        "factor": metric.factor,
        "outcomes": metric.kind,
    }


def _made(settings: Settings) -> str:
    """Return what the folder's name says of made data."""
    tail = "" if settings.imbalance is None else f"-imbalance-{settings.imbalance:g}"
    noise = "" if settings.label_noise is None else f"-noise-{settings.label_noise:g}"
    copies = "" if settings.near_copies is None else f"-copies-{settings.near_copies:g}"
    return tail + noise + copies
