"""Let a block end in any exception, and keep what it was."""

import traceback
from pathlib import Path
from types import TracebackType


class Watch:
    """Notes what ended a block instead of letting it pass: a check that crashes has failed.

    Attributes
    ----------
    error : Exception or None
    where : str
        The function and line that raised it.
    """

    error: BaseException | None = None
    where = ""

    def __enter__(self) -> "Watch":
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
            # Its frames hold loaders, and those their workers: let them end now.
            self.error = error.with_traceback(None)
        return isinstance(error, Exception)
