"""The benchmark: its runs, each done only once, by one process or several."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from .. import _check
from .._check._keywords import told
from .._files._paths import check_outputs
from .._interrupt import heard
from .._optional import require
from ._jobs import Jobs, Place
from ._progress import Progress
from ._settings import Settings
from ._work import Pool, Worker, cores, prepared
from .methods._named import method_named
from .report._terminal import plot_outputs
from .results._call import describe_call
from .results._run import FAILED, Run
from .results._store import Results, open_results, result_outputs
from .tasks._data import Data
from .tasks._sources import Source, source_of
from .training._calibrate import calibrated
from .training._train import Job

PILOT = 3  # seeds without verdicts, from which the number of seeds is computed
_LOSSES = 2  # times that the process of a run may be killed
_COST_NOTE = (
    "Cost is realised samples / (N x epochs). Total cost adds pilot runs, extra forward passes, "
    "selection and clustering, in the same units; evaluation and compilation are in neither."
)
_MATCH_NOTE = (
    "Where infobatch reached its target, the other methods of the same keep fraction and seed are "
    "matched to its realised cost."
)


@dataclass
class Benchmark:
    """Settings, data and results, ready to run; made by `prepare`.

    Parameters
    ----------
    settings : Settings
        The checked settings.
    source : Source
        Where the data come from.
    data : Data
        The data to run on.
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
    source: Source
    data: Data
    jobs: Jobs
    results: Results
    folder: Path
    interrupted: bool = False
    pending: int = 0
    _lost: dict[Place, int] = field(default_factory=dict, repr=False)

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
        try:
            fixed = self.settings.seeds or self.source.seeds
            self._run_seeds(fixed or PILOT, shown)
            if fixed is None:
                self._run_seeds(self.seeds_needed(), shown)
        except KeyboardInterrupt as error:
            heard(error)
            self.interrupted = True
        return self.results

    def seeds_needed(self) -> int:
        """Return the number of seeds that the table needs, computed from those that are done."""
        return self.settings.max_seeds

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

    def _run_seeds(self, seeds: int, shown: bool) -> None:
        waiting = self.missing(seeds)
        self.pending = len(waiting)
        if not waiting:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        threads = self.data.task.threads or (1 if self.settings.device == "cpu" else None)
        jobs = min(self._processes(threads), len(waiting))
        with Progress(len(waiting), self.results.metric, shown) as bar:
            if not self.results.calibration:
                bar.say("measuring a step and a forward pass")
                self.results.calibration = calibrated(
                    self.data, self.settings.device, threads, self.jobs.batch_size
                )
            call = self._begin_call()
            if jobs == 1:
                self._in_turn(waiting, call, bar, threads)
            else:
                with Pool(self.settings, self.folder, jobs, threads or 1) as pool:
                    self._in_parallel(waiting, call, bar, pool)

    def _processes(self, threads: int | None) -> int:
        if self.settings.jobs is not None:
            return self.settings.jobs
        if self.settings.device != "cpu" or self.data.task is self.settings.data:
            return 1
        return max(1, cores() // (threads or cores()))

    def _in_turn(self, waiting: list[Place], call: str, bar: Progress, threads: int | None) -> None:
        worker = Worker(self.settings, self.folder, self.data, threads)
        for place in waiting:
            job = self.jobs.job(place, self.results)
            bar.begin(place)
            run = (
                worker.run(job, self.results.calibration, bar.part) if isinstance(job, Job) else job
            )
            self._take(run, call, bar)

    def _in_parallel(self, waiting: list[Place], call: str, bar: Progress, pool: Pool) -> None:
        """Keep all processes busy with runs that wait for no other."""
        open_places = set(waiting)
        queue = list(waiting)
        running = 0
        while open_places:
            for place in list(queue):
                if not pool.free:
                    break
                if open_places.intersection(self.jobs.waits_for(place)):
                    continue
                queue.remove(place)
                job = self.jobs.job(place, self.results)
                if isinstance(job, Job):
                    pool.submit(job, self.results.calibration)
                    running += 1
                else:
                    open_places.discard(place)
                    self._take(job, call, bar)
            if not running:
                continue
            for job, run in pool.done():
                running -= 1
                place = (job.method, job.keep, job.seed)
                if run is None and not self._lost_for_good(place):
                    queue.insert(0, place)
                    continue
                if run is None:
                    reason = "its process was killed twice, perhaps for lack of memory"
                    run = Run(*place, budget=job.asked, state=FAILED, reason=reason)  # noqa: PLW2901
                open_places.discard(place)
                self._take(run, call, bar)

    def _lost_for_good(self, place: Place) -> bool:
        self._lost[place] = self._lost.get(place, 0) + 1
        return self._lost[place] >= _LOSSES

    def _take(self, run: Run, call: str, bar: Progress) -> None:
        self.results.append(replace(run, call=call), self.folder)
        self.pending -= 1
        bar.done(run)

    def _begin_call(self) -> str:
        """Record the call."""
        about = describe_call(self.settings.given(), torch.device(self.settings.device))
        call = f"{about['begun']} {about['process']}"
        self.results.calls[call] = about
        self.results.plan = self.settings.given()
        self.results.save(self.folder)
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
    source = source_of(settings)
    data = prepared(settings)
    epochs = settings.epochs or data.task.epochs
    batch_size = settings.batch_size or data.task.batch_size
    folder = settings.out or Path("runs", source.name + _made(settings))
    methods = {name: method_named(name) for name in settings.all_methods}
    results = open_results(folder, _identity(settings, source, data, epochs, batch_size),
                           _metric(settings, data))  # fmt: skip
    check_outputs([*result_outputs(folder), *plot_outputs(folder)], source.files)
    notes = [source.note, _COST_NOTE, _MATCH_NOTE if "infobatch" in methods else ""]
    results.notes = [note for note in notes if note]
    results.about = results.about or _about(settings, data)
    jobs = Jobs(methods, settings.keep or (), epochs, batch_size, settings.protocol)
    return Benchmark(settings, source, data, jobs, results, folder)


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
    }


def _metric(settings: Settings, data: Data) -> str:
    return "balanced accuracy" if settings.imbalance is not None else data.metric.name


def _about(settings: Settings, data: Data) -> dict[str, object]:
    metric = data.metric
    return {
        "samples": len(data.train),
        "test_samples": len(data.test),
        "classes": data.n_classes,
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
