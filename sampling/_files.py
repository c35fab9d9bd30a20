"""Files written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["written_whole"]


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a place beside `path` to write to, and move it there once the block has succeeded.

    After an error or an interruption the old file is still there, and nothing beside it.

    Parameters
    ----------
    path : str or pathlib.Path
        Its folder must exist.

    Returns
    -------
    context manager of pathlib.Path
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder of {path} must exist, got none at {path.parent}")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
