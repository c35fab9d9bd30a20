"""Runs that wait for each other, in a pool that does nothing."""

import math

import pytest

from sampling.bench._execute import Execution
from sampling.bench._jobs import Jobs
from sampling.bench._progress import Progress
from sampling.bench.methods._named import method_named
from sampling.bench.results._run import FAILED, Run
from sampling.bench.results._store import Results
from sampling.bench.training._train import Job

NAMES = ("full", "rs2", "full-fewer:top-k", "top-k", "infobatch")


def finished(job):
    cost = 0.45 if job.method == "infobatch" else job.budget
    return Run(job.method, job.keep, job.seed, job.asked, cost=cost, total_cost=cost, test=0.9)


class Pool:
    """Runs are done one at a time, the last one first; some of their processes are killed."""

    def __init__(self, lost=None):
        self.submitted, self.running, self.lost = [], [], dict(lost or {})
        self.after = lambda: None

    @property
    def free(self):
        return 3 - len(self.running)

    @property
    def is_idle(self):
        return not self.running

    def submit(self, job, calibration):
        self.submitted.append(job)
        self.running.append(job)

    def done(self):
        job = self.running.pop()
        self.after()
        kills = self.lost.get(job.method, 0)
        self.lost[job.method] = kills - 1
        yield job, None if kills > 0 else finished(job)


class Turns:
    """Runs are done in this process."""

    def run(self, job, calibration, after_epoch):
        return finished(job)


@pytest.fixture
def execution():
    def make(protocol="samples", keep=0.5):
        jobs = Jobs({name: method_named(name) for name in NAMES}, (keep,), 4, 16, protocol)
        results = Results({}, "accuracy")
        waiting = list(jobs.wanted([0]))
        return Execution(
            jobs, results, waiting, results.add, Progress(5, "accuracy", False), math.inf
        )

    return make


def test_in_a_pool_each_run_comes_after_those_that_it_is_matched_to(execution):
    made, pool = execution(), Pool()
    made.in_parallel(pool)
    budgets = {job.method: job.budget for job in pool.submitted}
    assert budgets == {**dict.fromkeys(NAMES, 0.45), "full": 1.0, "infobatch": 0.5}
    assert len(made.results.runs) == len(pool.submitted) == 5


@pytest.mark.parametrize("kills", [1, 2])
def test_a_run_whose_process_is_killed_is_tried_once_more(execution, kills):
    made, pool = execution("steps", 0.4), Pool({"top-k": kills})
    made.in_parallel(pool)
    run = made.results.find("top-k", 0.4, 0)
    assert [job.method for job in pool.submitted].count("top-k") == 2
    assert run.done == (kills == 1)
    if kills == 2:
        assert (run.state, run.budget) == (FAILED, pytest.approx(1.0))  # of more epochs
        assert "killed twice" in run.reason
        assert "which failed" in made.results.find("full-fewer:top-k", 0.4, 0).reason
    assert len(made.results.runs) == 5


def test_after_the_deadline_runs_are_taken_and_none_is_started(execution):
    made, pool = execution(), Pool()
    pool.after = lambda: setattr(made, "deadline", -math.inf)
    made.in_parallel(pool)
    started = {job.method for job in pool.submitted}
    assert started == {"full", "infobatch"} == {run.method for run in made.results.runs}

    made = execution()
    take = made.take
    made.take = lambda run: (take(run), setattr(made, "deadline", -math.inf))
    made.in_turn(Turns())
    assert [run.method for run in made.results.runs] == ["full"]
    assert isinstance(made.jobs.job(made.waiting[1], made.results), Job)
