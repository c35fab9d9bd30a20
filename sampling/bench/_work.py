"""Runs in this process or in several: each worker loads the data once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ._pool import RunPool
from ._settings import Settings
from .methods._named import method_named
from .results._run import DONE, FAILED, Run
from .results._store import save_details
from .tasks._data import Data
from .tasks._models import torch_threads
from .tasks._sources import Source, source_of
from .training._pilot import Pilot
from .training._train import Job, train

_FEW, _FEW_EPOCHS = 200, 8  # of the run by which a method's kernels are compiled
_REACHED = 0.9  # a budget that every method can have in a run as short
_LAST_LINES = 3


class Worker:
    """Does runs, one after the other.

    Parameters
    ----------
    settings : Settings
        Checked settings.
    folder : Path
        Folder of the results.
    data : Data, optional
        The data; by default loaded from where the settings say.
    threads : int, optional
        Threads of torch; by default torch's own.
    """

    def __init__(
        self, settings: Settings, folder: Path, data: Data | None = None, threads: int | None = None
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._whole = data if data is not None else prepared(settings, folder)
        self._threads = threads
        self._device = torch.device(settings.device)
        self._seed = -1
        self._data = self._whole
        self._pilot = self._pilot_of(self._whole, -1, folder)
        self._warm: set[str] = set()
        self._few: tuple[Data, Pilot] | None = None

    def run(
        self,
        job: Job,
        calibration: dict[str, float],
        after_epoch: Callable[[float], None] = lambda part: None,
    ) -> Run:
        """Do a run, and write what is kept of its samples.

        An error of the run, such as one in the model of the task, is its result: the other runs are
        still done.
        """
        self._take_seed(job.seed)
        with torch_threads(self._threads):
            try:
                self._compile(job)
                run, details = train(
                    job,
                    method_named(job.method),
                    self._data,
                    device=self._device,
                    score_of=self._pilot.score,
                    probabilities_of=self._pilot.probabilities,
                    calibration=calibration,
                    after_epoch=after_epoch,
                )
            except Exception as error:  # noqa: BLE001  # any error of the user's code
                return failed(job, error)
        if details:
            save_details(self._folder, run, _small(details))
        return run

    def _take_seed(self, seed: int) -> None:
        if seed != self._seed:
            self._data, self._seed = of_seed(self._whole, self._settings, seed), seed
            self._pilot = self._pilot_of(self._data, seed, self._folder)

    def _pilot_of(self, data: Data, seed: int, folder: Path) -> Pilot:
        epochs = self._settings.epochs or data.task.epochs
        batch_size = self._settings.batch_size or data.task.batch_size
        return Pilot(data, seed, folder, epochs, batch_size, self._device)

    def _compile(self, job: Job) -> None:
        """Do a small run of a method first: costs must not depend on the order of runs.

        What it raises is no result: few samples may be too few, or not those of a given subset.
        """
        if job.method in self._warm:
            return
        self._warm.add(job.method)
        few, pilot = self._few_samples(job)
        small = replace(
            job,
            epochs=_FEW_EPOCHS,
            full_epochs=_FEW_EPOCHS,
            batch_size=min(job.batch_size, len(few.train)),
            cost_limit=None,
        )
        for budget in (min(max(job.budget, 0.5), 1.0), _REACHED):
            with contextlib.suppress(Exception):
                run, _ = train(replace(small, budget=budget), method_named(job.method), few,
                               device=self._device, score_of=pilot.score,
                               probabilities_of=pilot.probabilities, calibration={})  # fmt: skip
                if run.state == DONE:
                    return

    def _few_samples(self, job: Job) -> tuple[Data, Pilot]:
        """Return a few samples, and the one pilot run on them."""
        if self._few is None:
            few = self._data.few(_FEW)
            pilot = Pilot(few, job.seed, None, _FEW_EPOCHS, job.batch_size, self._device)
            self._few = few, pilot
        return self._few


def prepared(settings: Settings, folder: Path, source: Source | None = None) -> Data:
    """Load the data, with what the settings change in them for all seeds.

    Parameters
    ----------
    settings : Settings
        Checked settings.
    folder : Path
        Folder of the results, in which a source may keep what it made of the user's files.
    source : Source, optional
        The source, if it is known.

    Raises
    ------
    ValueError
        If the data cannot be loaded, or changed as the settings say, or are fewer than a batch.
    """
    data = (source_of(settings) if source is None else source).load(folder)
    data.check_changes(settings.imbalance, settings.label_noise, settings.near_copies)
    if settings.limit is not None:
        data = data.limited(settings.limit)
    batch_size = settings.batch_size or data.task.batch_size
    if batch_size > len(data.train):
        raise ValueError(
            f"batch_size must be at most the number of training samples, {len(data.train)}, got "
            f"{batch_size}: give a smaller batch_size"
        )
    return data


def of_seed(data: Data, settings: Settings, seed: int) -> Data:
    """Return the data of a seed: long-tailed, with wrong labels, with near copies."""
    if settings.imbalance is not None:
        data = data.long_tailed(settings.imbalance, seed)
    if settings.near_copies is not None:
        data = data.copied(settings.near_copies, seed)
    if settings.label_noise is not None:
        data = data.noisy(settings.label_noise, seed)
    return data


def failed(job: Job, error: BaseException) -> Run:
    """Return the run of a job that raised, with the lines that tell where."""
    lines = [text.strip() for text in traceback.format_exception(error)]
    where = traceback.extract_tb(error.__traceback__)[-1:]
    at = "".join(f" ({Path(each.filename).name}, line {each.lineno})" for each in where)
    reason = f"{type(error).__name__}: {str(error) or lines[-1]}{at}"
    return Run(job.method, job.keep, job.seed, job.asked, state=FAILED, reason=reason)


def _small(details: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays with the smallest integer types that hold them."""
    return {
        name: array.astype(np.min_scalar_type(int(array.max(initial=0))))
        if array.dtype.kind in "iu" and array.min(initial=0) >= 0
        else array
        for name, array in details.items()
    }


# ---------------------------------------------------------------------- several processes

_WORKER: list[Worker] = []  # of a process


def _start(settings: Settings, folder: Path, threads: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _WORKER.append(Worker(settings, folder, threads=threads))


def _end_with_parent() -> None:
    """End this process when its parent is killed: it would wait for a next run forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(job: Job, calibration: dict[str, float]) -> Run:
    return _WORKER[0].run(job, calibration)


class Pool(RunPool):
    """Several workers, each in a process of its own.

    Parameters
    ----------
    settings : Settings
        Checked settings.
    folder : Path
        Folder of the results.
    jobs, threads : int
        Number of processes, and of threads in each.
    """

    def __init__(self, settings: Settings, folder: Path, jobs: int, threads: int) -> None:
        self._given = (settings, folder, threads)
        self._others = set(multiprocessing.active_children())
        super().__init__(jobs, _do)

    def _made(self, size: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            size,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=self._given,
        )

    def _end(self) -> None:
        for child in multiprocessing.active_children():
            if child not in self._others:
                child.terminate()


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
