"""Execution of runs that wait for each other, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ._jobs import Jobs, Place
from ._pool import RunPool
from ._progress import Progress
from .results._run import FAILED, Run
from .results._store import Results
from .training._train import Job

_LOSSES = 2  # times that the process of a run may be killed


class Runner(Protocol):
    """What does one run after the other, such as a `Worker`."""

    def run(
        self, job: Job, calibration: dict[str, float], after_epoch: Callable[[float], None]
    ) -> Run: ...


@dataclass
class Execution:
    """Runs that are to be done, in an order in which each comes after those it waits for.

    Parameters
    ----------
    jobs : Jobs
        The runs of the benchmark.
    results : Results
        Where the runs that others are matched to are found.
    waiting : list of (str, float, int)
        Method, keep fraction and seed of the runs to be done.
    take : callable
        Takes a run that is done.
    bar : Progress
        Shows them.
    deadline : float
        Time of `time.monotonic()` after which no run is started.
    """

    jobs: Jobs
    results: Results
    waiting: list[Place]
    take: Callable[[Run], None]
    bar: Progress
    deadline: float
    _open: set[Place] = field(default_factory=set)
    _lost: dict[Place, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._open = set(self.waiting)

    @property
    def is_over(self) -> bool:
        """Whether no further run may be started."""
        return time.monotonic() > self.deadline

    def in_turn(self, runner: Runner) -> None:
        """Do the runs one after the other."""
        for place in self.waiting:
            if self.is_over:
                return
            job = self.jobs.job(place, self.results)
            self.bar.begin(place)
            if isinstance(job, Job):
                job = runner.run(job, self.results.calibration, self.bar.part)
            self.take(job)

    def in_parallel(self, pool: RunPool) -> None:
        """Keep all processes of a pool busy with runs that wait for no other."""
        queue = list(self.waiting)
        while self._open:
            self._submit(queue, pool)
            if pool.is_idle:
                if self.is_over:
                    return
                continue
            for job, run in pool.done():
                place = (job.method, job.keep, job.seed)
                if run is None and not self._is_lost_for_good(place):
                    queue.insert(0, place)
                else:
                    self._close(place, run or _killed(job))

    def _submit(self, queue: list[Place], pool: RunPool) -> None:
        """Start runs while there are free processes and runs that are ready."""
        for place in list(queue):
            if not pool.free or self.is_over:
                return
            if self._open.intersection(self.jobs.waits_for(place)):
                continue
            queue.remove(place)
            job = self.jobs.job(place, self.results)
            if isinstance(job, Job):
                pool.submit(job, self.results.calibration)
            else:
                self._close(place, job)

    def _close(self, place: Place, run: Run) -> None:
        self._open.discard(place)
        self.take(run)

    def _is_lost_for_good(self, place: Place) -> bool:
        self._lost[place] = self._lost.get(place, 0) + 1
        return self._lost[place] >= _LOSSES


def _killed(job: Job) -> Run:
    reason = "its process was killed twice, perhaps for lack of memory"
    return Run(job.method, job.keep, job.seed, job.asked, state=FAILED, reason=reason)
