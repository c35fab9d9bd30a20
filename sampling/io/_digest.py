"""What a file holds, in a few bytes: so that a table that has changed is found out, and named."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..types import Progress
from ._table import _files

__all__ = ["differences", "digest", "digests", "table_files", "unchanged"]

_STEP = 2**20


def table_files(path: str | Path) -> tuple[Path, ...]:
    """Return the files of a table, in the order in which their rows are numbered.

    Parameters
    ----------
    path : str or pathlib.Path
        What `open_table` takes: a file, or a folder of Parquet shards.

    Returns
    -------
    tuple of pathlib.Path
    """
    return _files(Path(path))


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as "sha256:" and 64 hexadecimal digits.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    str
        What `sha256sum` prints, so that others can check it.

    Notes
    -----
    Cost        O(bytes): 0.8 GB/s on one core where it was chosen over blake2b with 0.3.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = Path(folder, "x").write_text("abc")
    ...     digest(Path(folder, "x"))[:15]
    'sha256:ba7816bf'
    """
    return _digest(Path(path), None, 0)


def _digest(path: Path, progress: Progress | None, total: int) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_STEP):
            found.update(block)
            if progress is not None:
                progress(len(block), total, "B")
    return f"sha256:{found.hexdigest()}"


def digests(
    source: str | Path | Sequence[str | Path], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return what a manifest says of the files of a table.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Files, or folders of Parquet shards.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    list of dict
        For each file "name" (without its folders, but that of a folder of shards), "rows" (of a
        Parquet file, else None), "bytes" and "digest".
    """
    found = contents(source, progress=progress)
    for each in found:
        file = each.pop("file")
        each["rows"] = _rows_in(file) if file.suffix == ".parquet" else None
    return found


def contents(
    source: str | Path | Sequence[str | Path], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return name, bytes, digest and path ("file") of each file, which need not be whole."""
    sources = [source] if isinstance(source, str | Path) else list(source)
    files = [(Path(each), file) for each in sources for file in table_files(each)]
    total = sum(file.stat().st_size for _, file in files)
    return [
        {
            "name": f"{given.resolve().name}/{file.name}" if given.is_dir() else file.name,
            "bytes": file.stat().st_size,
            "digest": _digest(file, progress, total),
            "file": file,
        }
        for given, file in files
    ]


def _rows_in(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} must be a whole Parquet file, got: {error}") from error


def differences(
    recorded: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Say in which files a table differs from the one in a manifest.

    Parameters
    ----------
    recorded, found : sequences of dict
        From `digests`, then and now. Names do not count: a file may be renamed as long as it stays
        at its place in the order.

    Returns
    -------
    list of str
        One for each file that differs, by name; none if the tables are the same.

    Examples
    --------
    >>> then = [{"name": "a.parquet", "bytes": 9, "digest": "sha256:1"}]
    >>> now = [{"name": "a.parquet", "bytes": 9, "digest": "sha256:2"}]
    >>> differences(then, now)
    ['a.parquet holds other bytes']
    """
    if len(recorded) != len(found):
        names = {each["name"] for each in recorded} ^ {each["name"] for each in found}
        which = ", ".join(sorted(names)) or "some twice"
        return [f"{len(found)} files instead of {len(recorded)} ({which})"]
    wrong = []
    for then, now in zip(recorded, found, strict=True):
        if then["bytes"] != now["bytes"]:
            wrong.append(f"{now['name']} has {now['bytes']} bytes instead of {then['bytes']}")
        elif then["digest"] != now["digest"]:
            wrong.append(f"{now['name']} holds other bytes")
    return wrong


@contextmanager
def unchanged(paths: Sequence[str | Path]) -> Iterator[None]:
    """Refuse a result whose files were changed while the block read them.

    Parameters
    ----------
    paths : sequence of str or pathlib.Path

    Returns
    -------
    context manager
        It raises ValueError at its end, naming the file whose size or time is another one.
    """
    before = stamps(paths)
    yield
    compare_stamps(paths, before)


def stamps(paths: Sequence[str | Path]) -> list[tuple[int, int]]:
    """Return size and time of the last change of each file."""
    found = [Path(path).stat() for path in paths]
    return [(each.st_size, each.st_mtime_ns) for each in found]


def compare_stamps(paths: Sequence[str | Path], before: Sequence[tuple[int, int]]) -> None:
    """Refuse files that are not what they were."""
    for path, then, now in zip(paths, before, stamps(paths), strict=True):
        if then != now:
            raise ValueError(f"{path} must not change while it is read, got another size or time")
