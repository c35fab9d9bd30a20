"""Catch any exception of a block and keep it; end a call that takes too long."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")


class Watch:
    """Context that records the exception that ends a block: a check that crashes has failed.

    Attributes
    ----------
    error : Exception or None
        The exception, without its traceback.
    where : str
        The function and line that raised it.
    """

    error: BaseException | None = None
    where = ""

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            last = traceback.extract_tb(trace)[-1]
            self.where = f"in {last.name}, {Path(last.filename).name}:{last.lineno}"
            # Its frames reference loaders, and those their workers: let them end now.
            self.error = error.with_traceback(None)
        return isinstance(error, Exception)


def at_once(call: Callable[[], T], lines: int) -> T | None:
    """Return the result of a call, or None if it executes more lines of Python than allowed.

    Lines, not seconds: independent of machine load. A loop in compiled code is not counted.
    """
    left, before = lines, sys.gettrace()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt  # the call may catch an `Exception`
        return trace

    sys.settrace(trace)
    try:
        return call()
    except KeyboardInterrupt:
        if left >= 0:  # the user's own
            raise
        return None
    finally:
        sys.settrace(before)
