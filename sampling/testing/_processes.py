"""Forked processes, in which any closure can run: two that train together, and one with a limit."""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from ._outcomes import broken, does_not_apply
from ._subject import start_method
from ._watch import Watch

PATIENCE = 120.0  # timeout of a process in seconds


class TookTooLong(Exception):  # noqa: N818  # it is a finding, not an error
    """A forked process used more processor time than it was given, or did not answer."""


class Failed(Exception):  # noqa: N818  # likewise
    """Another process raised an exception; the message gives it."""


class Fork:
    """Context with a copy of this process, which runs a function when it is called.

    Parameters
    ----------
    work : callable
        Takes the argument of the call; any closure.
    seconds : int, optional
        Processor time after which the copy is ended: independent of the load of the machine.
    """

    def __init__(self, work: Callable[[Any], Any], seconds: int | None = None) -> None:
        self._work, self._seconds = work, seconds

    def __enter__(self) -> Fork:
        if start_method() != "fork":
            does_not_apply("a process would have to be forked, which is not possible here")
        context = multiprocessing.get_context("fork")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_answer, args=(self._work, self._seconds, there))
        self._process.start()
        there.close()
        return self

    def __call__(self, argument: object = None) -> Any:  # what the function returns
        """Return the result of the function, run in the copy.

        Raises
        ------
        TookTooLong
            If it was ended, or did not answer.
        Failed
            If the function raised an exception.
        """
        self._pipe.send(argument)
        return answer(self._pipe)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join(1.0)
        self._process.kill()
        self._process.join()


def answer(pipe: Connection[Any, Any]) -> Any:
    """Receive the result of another process, or raise `TookTooLong` or `Failed`."""
    if not pipe.poll(PATIENCE):
        raise TookTooLong(f"no answer within {PATIENCE:.0f} s")
    try:
        error, result = pipe.recv()
    except EOFError as ended:
        raise TookTooLong("the process was ended") from ended
    if error is not None:
        raise Failed(error)
    return result


def said(watch: Watch) -> str | None:
    """Return the exception that a watch caught as a text that can be sent."""
    error = watch.error
    return f"{type(error).__name__}: {error} ({watch.where})" if error else None


def _answer(work: Callable[[Any], Any], seconds: int | None, pipe: Connection[Any, Any]) -> None:
    gc.disable()  # an inherited loader that is deleted would manage workers that are not its own
    torch.set_num_threads(1)  # a forked process must not use its parent's thread pool
    if seconds is not None:
        import resource  # not on Windows, where nothing is forked

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    try:
        argument = pipe.recv()
    except EOFError:  # not called
        return
    result = None
    with Watch() as watch:
        result = work(argument)
    pipe.send((said(watch), result))


def on_two_ranks(work: Callable[[int], Any]) -> list[Any]:
    """Return the result of `work(rank)` on each of two processes."""
    if start_method() != "fork":
        does_not_apply("two ranks are forked, which is not possible here")
    gc.collect()  # a loader inherited by a rank would manage workers that are not its own
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        pipes = [context.Pipe(duplex=False) for _ in range(2)]
        processes = [
            context.Process(target=_rank, args=(rank, work, Path(folder) / "store", pipe))
            for rank, (_, pipe) in enumerate(pipes)
        ]
        for process in processes:
            process.start()
        try:
            return [_received(rank, pipe) for rank, (pipe, _) in enumerate(pipes)]
        finally:
            for process in processes:
                process.join(1.0)
                process.kill()


def _received(rank: int, pipe: Connection[Any, Any]) -> Any:
    try:
        return answer(pipe)
    except TookTooLong as late:
        broken(f"rank {rank} of 2: {late}")
    except Failed as failed:
        broken(f"rank {rank} of 2 raised {failed}")


def _rank(rank: int, work: Callable[[int], Any], store: Path, pipe: Connection[Any, Any]) -> None:
    torch.set_num_threads(1)  # as in `_answer`
    result = None
    with Watch() as watch:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
        result = work(rank)
        dist.barrier()
    pipe.send((said(watch), result))
    if dist.is_initialized():
        dist.destroy_process_group()
