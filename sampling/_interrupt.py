"""Make Ctrl-C end the command line, even if a library swallows the exception.

Python raises KeyboardInterrupt at the current position of the main thread. During a cold start this
is often an import, or a callback from compiled code. Some of these catch every exception, or can
only print it; the program then continues as if nothing had been pressed. If it is raised in code
executed from text (every `dataclass` is), the interpreter also exits by the signal instead of the
exit code, even if the exception was caught.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

__all__ = ["INTERRUPTED", "Interrupt", "end_quietly", "heard", "insisting", "run"]

INTERRUPTED = 130  # exit codes, as in a shell
BROKEN_PIPE = 141


class Interrupt(KeyboardInterrupt):
    """Ctrl-C.

    A separate class, because the interpreter remembers a plain KeyboardInterrupt that passed
    through code executed from text, and then exits by the signal.

    last : list, set to hold only this interrupt
    """

    def __init__(self, last: list[Interrupt]) -> None:
        super().__init__()
        last[:] = [self]


def run(command: Callable[[], None]) -> None:
    """Run a command; Ctrl-C ends it with exit code 130, even if the exception is swallowed.

    command : raises SystemExit, as `typer` does, or returns
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: what is printed goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    with insisting() as last:
        try:
            try:
                command()
            finally:
                sys.stdout.flush()  # here, not at exit, where an error would be printed
            code: object = 0
        except BrokenPipeError:
            end_quietly()
        except SystemExit as end:
            code = end.code
            if code == INTERRUPTED or not _unanswered(last):
                raise
        except KeyboardInterrupt:
            code = None
        if code is None or _unanswered(last):
            sys.stderr.write("interrupted\n")
            raise SystemExit(INTERRUPTED)


def end_quietly() -> NoReturn:
    """Exit silently after a broken pipe, such as one to `head`.

    The remaining buffers are discarded: the interpreter would try to flush them again at exit.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    raise SystemExit(BROKEN_PIPE) from None


def _unanswered(last: list[Interrupt]) -> bool:
    return any(not getattr(each, "heard", False) for each in last)


def heard(error: KeyboardInterrupt) -> None:
    """Mark an interrupt as handled, for code that continues on purpose."""
    error.heard = True  # type: ignore[attr-defined]


@contextmanager
def insisting(every: float = 0.5) -> Iterator[list[Interrupt]]:
    """Raise `Interrupt` on Ctrl-C in this block, and again if it was swallowed.

    An interrupt counts as swallowed if the main thread is neither propagating nor handling it, so
    clean-up code is not interrupted. The previous handler is restored at the end. Does nothing
    outside the main thread, or if SIGINT is ignored (as for a background job) or has another
    handler.

    every : float, seconds between two checks

    Yields a list with the last interrupt; empty if there was none.
    """
    last: list[Interrupt] = []
    main = threading.main_thread()
    own = threading.current_thread() is main
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield last
        return
    open_now = [True]
    presses = [0]

    def watch(press: int) -> None:
        while True:
            time.sleep(every)
            if not open_now or press != presses[0] or not _unanswered(last):
                return
            error = last[0]
            if not _on_its_way(error, main.ident):
                _signal_again(main.ident)
                return

    def handle(number: int, frame: FrameType | None) -> None:
        presses[0] += 1
        _thread.start_new_thread(watch, (presses[0],))
        raise Interrupt(last)

    signal.signal(signal.SIGINT, handle)
    try:
        yield last
    finally:
        open_now.clear()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _signal_again(thread: int | None) -> None:
    if hasattr(signal, "pthread_kill") and thread is not None:
        signal.pthread_kill(thread, signal.SIGINT)  # also ends a blocking wait
    else:
        _thread.interrupt_main()


def _on_its_way(error: Interrupt, thread: int | None) -> bool:
    """Return whether a thread is handling an exception, or one raised from it."""
    found = sys._current_exceptions().get(thread or 0)
    current = found[1] if isinstance(found, tuple) else found  # a tuple before Python 3.12
    seen: list[BaseException] = []
    while current is not None and current not in seen:
        if current is error:
            return True
        seen.append(current)
        current = current.__context__
    return False
