"""Ctrl-C that ends the command line, even where a library swallows the exception.

Python raises KeyboardInterrupt wherever the main thread happens to be. In a cold start that is
often an import, or a callback from compiled code, and some of these catch every exception, or can
only print it: then the work continues as if nothing had been pressed. Raised in code that is
executed from text (each `dataclass` is), it also makes the interpreter end by the signal itself in
place of the exit code, whoever caught it since.
"""

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

INTERRUPTED = 130  # the exit codes, as a shell has them
BROKEN_PIPE = 141


class Interrupt(KeyboardInterrupt):
    """Ctrl-C.

    A class of its own: the interpreter remembers a plain KeyboardInterrupt that passed through text
    it executed, and ends by the signal in the end.

    last : list, whose only entry it becomes
    """

    def __init__(self, last: "list[Interrupt]") -> None:
        super().__init__()
        last[:] = [self]


def run(command: Callable[[], None]) -> None:
    """Run a command to its end; Ctrl-C ends it with exit code 130, whatever becomes of it inside.

    command : ends by SystemExit, as `typer` does, or returns
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: what is printed goes nowhere
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    with insisting() as last:
        try:
            try:
                command()
            finally:
                sys.stdout.flush()  # here and not at the exit, where an error would be printed
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
    """End as other programs do whose reader has gone, as `head` does: without a word.

    What is left in the buffers goes nowhere: at the exit the interpreter would try again.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    raise SystemExit(BROKEN_PIPE) from None


def _unanswered(last: list[Interrupt]) -> bool:
    return any(not getattr(each, "heard", False) for each in last)


def heard(error: KeyboardInterrupt) -> None:
    """Say that an interrupt has been answered, where the work after it is the answer."""
    error.heard = True  # type: ignore[attr-defined]


@contextmanager
def insisting(every: float = 0.5) -> Iterator[list[Interrupt]]:
    """Raise `Interrupt` on Ctrl-C in this block, and again while the last one was swallowed.

    An interrupt is swallowed if the main thread is neither on its way out with it nor handling it:
    what cleans up after it is left in peace. The handler before is put back at the end. Nothing is
    done outside the main thread, or where SIGINT is ignored (as for a job in the background) or has
    a handler of someone else's.

    every : float, seconds between two looks

    Yields the last interrupt, or nothing, as a list.
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
        signal.pthread_kill(thread, signal.SIGINT)  # which also ends a wait
    else:
        _thread.interrupt_main()


def _on_its_way(error: Interrupt, thread: int | None) -> bool:
    """Return whether a thread is handling an exception, or one that came of it."""
    found = sys._current_exceptions().get(thread or 0)
    current = found[1] if isinstance(found, tuple) else found  # a tuple before Python 3.12
    seen: list[BaseException] = []
    while current is not None and current not in seen:
        if current is error:
            return True
        seen.append(current)
        current = current.__context__
    return False
