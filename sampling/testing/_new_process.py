"""Run a function of a subject in a process that has nothing of this one.

A factory that can be imported (a class, a function or a `functools.partial` of a module) runs in a
new interpreter with another hash seed: no state of a module, no `id` and no `hash` of a string is
the same. It is started once, imports torch, and forks itself for each task. Any other factory (a
lambda, a closure) runs in a fork of this process, made before the checks make any sampler.
"""

from __future__ import annotations

import atexit
import importlib.util
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, TypeAlias

import torch

from ._outcomes import BATCHES, SAMPLER
from ._processes import Failed, Fork, TookTooLong, answer, said
from ._subject import Subject, start_method
from ._watch import Watch

Work: TypeAlias = Callable[[Subject, Any], Any]

_READY, _CANCELLED = "ready", "cancelled"
_STATUS = 3  # exit status of a task that could not be made ready
_running: list[Interpreter] = []  # at most one
_script: list[str] = []  # the user's script, while a task imports it


class Reached(BaseException):
    """The script that a task imports has reached its first check: the factory is defined."""


def stop_script() -> None:
    """Raise `Reached` if a task imports the user's script, which called this."""
    if _script:
        raise Reached


@contextmanager
def elsewhere(subject: Subject, work: Work) -> Iterator[Callable[[object], Any]]:
    """Yield a function that runs `work(subject, argument)` in another process.

    `work` is a function of this package. The yielded function raises `Failed` or `TookTooLong`.
    """
    if subject.fork is not None:
        yield subject.fork
        return
    parcel = _parcel(subject, work)
    interpreter = _started() if parcel else None
    if interpreter is not None and interpreter.prepare(parcel):
        try:
            yield interpreter
        finally:
            interpreter.cancel()
        return
    with Fork(partial(work, subject)) as fork:
        yield fork


@contextmanager
def begun(subject: Subject, work: Work) -> Iterator[None]:
    """Make the other process now, for `elsewhere` to use later.

    A new interpreter imports torch in the meantime; a fork does not inherit what samplers that are
    made in the meantime leave in their modules.
    """
    if _parcel(subject, work):
        _started()
        yield
    elif start_method() == "fork":
        with Fork(partial(work, subject)) as fork:
            subject.fork = fork
            yield
    else:
        yield


def _parcel(subject: Subject, work: Work) -> bytes:
    """Return factory and function by their names; empty if they cannot be imported."""
    inner = b""
    kind = BATCHES if subject.batches else SAMPLER
    with Watch():
        inner = bytes(ForkingPickler.dumps((subject.factory, kind, subject.given_size, work)))
    main: Any = sys.modules["__main__"]
    script = (getattr(main, "__file__", None) or "") if b"__main__" in inner else ""
    if not inner or (b"__main__" in inner and not Path(script).is_file()):
        return b""  # a closure; or of a notebook or the interactive interpreter
    package = getattr(main, "__package__", None)
    return bytes(ForkingPickler.dumps((list(sys.path), str(Path.cwd()), script, package, inner)))


def _started() -> Interpreter | None:
    """Return the interpreter of this process, started if there is none; None where none can be."""
    if not hasattr(os, "fork"):
        return None
    if _running and not _running[0].usable:
        _running.pop().close()
    if not _running:
        _running.append(Interpreter())
    return _running[0]


class Interpreter:
    """A new interpreter with another hash seed, which forks itself for each task."""

    def __init__(self) -> None:
        self._owner, self._waiting = os.getpid(), False
        self._pipe, there = multiprocessing.Pipe()
        seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
        path = os.pathsep.join(each or str(Path.cwd()) for each in sys.path)
        code = f"from sampling.testing._new_process import serve; serve({there.fileno()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            pass_fds=[there.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        there.close()
        atexit.register(self.close)

    @property
    def usable(self) -> bool:
        """Whether it is of this process, and runs."""
        return self._owner == os.getpid() and self._process.poll() is None

    def prepare(self, parcel: bytes) -> bool:
        """Return whether a task that could import the factory waits for its argument."""
        self._pipe.send_bytes(parcel)
        try:
            self._waiting = bool(answer(self._pipe) == _READY)
        except Failed:
            return False
        except TookTooLong:
            self.close()
            return False
        return self._waiting

    def __call__(self, argument: object) -> Any:  # what the function returns
        """Return the result of the task that waits."""
        self._waiting = False
        self._pipe.send(argument)
        try:
            return answer(self._pipe)
        except TookTooLong:
            self.close()
            raise

    def cancel(self) -> None:
        """End a task that still waits for its argument."""
        if self._waiting:
            self._waiting = False
            self._pipe.send(_CANCELLED)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        if self._owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()


# ------------------------------------------------------------------------ in the new interpreter


def serve(descriptor: int) -> None:
    """Fork a process for each parcel that arrives, until the other end is closed."""
    pipe: Connection[Any, Any] = Connection(descriptor)
    torch.set_num_threads(1)
    while True:
        try:
            parcel = pipe.recv_bytes()
        except EOFError:
            return
        child = os.fork()
        if not child:
            status = _STATUS
            try:
                status = _task(pipe, parcel)
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:  # it could not answer
            pipe.send((f"the process ended with status {status}", None))


def _task(pipe: Connection[Any, Any], parcel: bytes) -> int:
    """Import the factory, and call the function with the argument that follows."""
    call: Callable[[object], Any] | None = None
    with Watch():
        call = _unpacked(parcel)
    if call is None:
        return _STATUS
    pipe.send((None, _READY))
    argument, result = pipe.recv(), None
    if argument == _CANCELLED:
        return 0
    with Watch() as watch:
        result = call(argument)
    pipe.send((said(watch), result))
    return 0


def _unpacked(parcel: bytes) -> Callable[[object], Any]:
    path, folder, script, package, inner = ForkingPickler.loads(parcel)
    sys.path[:] = path
    os.chdir(folder)
    if script:
        _import_script(script, package)
    factory, kind, size, work = ForkingPickler.loads(inner)
    return partial(work, Subject(factory, kind, size))


def _import_script(script: str, package: str | None) -> None:
    """Run the user's script as `__main__`, up to its first check.

    As multiprocessing does, under another name: what follows `if __name__ == "__main__"` is not
    run.
    """
    spec = importlib.util.spec_from_file_location("__mp_main__", script)
    if spec is None or spec.loader is None:
        raise ValueError(f"the script must be a Python file, got {script}")
    module = importlib.util.module_from_spec(spec)
    module.__package__ = package
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    _script.append(script)
    try:
        spec.loader.exec_module(module)
    except Reached:
        return
    finally:
        _script.clear()
