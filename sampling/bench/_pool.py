"""Several runs at the same time, whatever does them: processes of a task, or of a script."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait

from typing_extensions import Self

from .results._run import Run
from .training._train import Job

Do = Callable[[Job, dict[str, float]], Run]


class RunPool(ABC):
    """A fixed number of runs at the same time.

    Parameters
    ----------
    size : int
        Number of runs at the same time.
    do : callable
        Maps a job and the calibration to the run, in the executor.
    """

    def __init__(self, size: int, do: Do) -> None:
        self._size = size
        self._do = do
        self._executor = self._made(size)
        self._running: dict[Future[Run], Job] = {}

    @abstractmethod
    def _made(self, size: int) -> Executor:
        """Return a new executor."""

    @abstractmethod
    def _end(self) -> None:
        """End what is being done, after an error or Ctrl-C: the next call does it again."""

    @property
    def free(self) -> int:
        """Number of runs that can be started."""
        return self._size - len(self._running)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done."""
        return not self._running

    def submit(self, job: Job, calibration: dict[str, float]) -> None:
        """Start a run."""
        self._running[self._executor.submit(self._do, job, calibration)] = job

    def done(self) -> Iterator[tuple[Job, Run | None]]:
        """Wait for a run, and yield all that are done; None for one whose process was killed."""
        finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
        lost = []
        for future in finished:
            job = self._running.pop(future)
            try:
                yield job, future.result()
            except BrokenExecutor:
                lost.append(job)
        if lost:  # killed, for memory perhaps: the others ended with it
            lost += self._running.values()
            self._running.clear()
            self._executor.shutdown(wait=False)
            self._executor = self._made(self._size)
            yield from ((job, None) for job in lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._end()
        self._executor.shutdown(wait=error[0] is None, cancel_futures=True)
