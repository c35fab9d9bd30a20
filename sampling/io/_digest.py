"""Digests of the files of a table, to detect and name files that have changed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from ..types import Progress
from ._bytes import Stamp, compare_stamps, digest_of_bytes, stamps
from ._table import _files

__all__ = ["Watch", "differences", "digests", "table_files", "unchanged"]


@told
def table_files(path: str | Path) -> tuple[Path, ...]:
    """Return the files of a table, in the order in which their rows are numbered.

    Parameters
    ----------
    path : str or pathlib.Path
        A file, or a folder of Parquet shards, as for `open_table`.

    Returns
    -------
    tuple of pathlib.Path
    """
    return _files(Path(path))


@told
def digests(
    source: str | Path | Sequence[str | Path], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return the manifest entries of the files of a table.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Files, or folders of Parquet shards.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    list of dict
        For each file "name" (without its folders, except a folder of shards), "rows" (of a Parquet
        file, else None), "bytes" and "digest".
    """
    found = contents(source, progress=progress)
    for each in found:
        file = each.pop("file")
        each["rows"] = _rows_in(file) if _parquet.is_parquet(file) else None
    return found


def contents(
    source: str | Path | Sequence[str | Path], *, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """Return name, bytes, digest and path ("file") of each file, which may be damaged."""
    sources = _check.paths("source", source)
    files = [(Path(each), file) for each in sources for file in table_files(each)]
    total = sum(file.stat().st_size for _, file in files)
    return [
        {
            "name": _name(given, file),
            "bytes": file.stat().st_size,
            "digest": digest_of_bytes(file, progress, total),
            "file": file,
        }
        for given, file in files
    ]


def _name(given: Path, file: Path) -> str:
    """Return the name of a file, including the folder if a folder was given."""
    if not given.is_dir():
        return file.name
    return f"{given.resolve().name}/{file.relative_to(given).as_posix()}"


def _rows_in(path: Path) -> int:
    with _parquet.opened(path) as file:
        return int(file.metadata.num_rows)


@told
def differences(
    recorded: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> list[str]:
    """List the files in which a table differs from the one in a manifest.

    Parameters
    ----------
    recorded, found : sequences of dict
        From `digests`, then and now. Names are not compared: a file may be renamed as long as its
        position in the order stays the same.

    Returns
    -------
    list of str
        One message for each file that differs, with its name; empty if the tables are the same.

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


@told
class Watch:
    """Record the state of files, to detect later changes.

    Parameters
    ----------
    sources : str or pathlib.Path, or sequence of them
        Files, and folders of shards.
    """

    def __init__(self, sources: str | Path | Sequence[str | Path]) -> None:
        self._sources = _check.paths("sources", sources)
        self._files = self._now()
        self._stamps: list[Stamp] = stamps(self._files)

    def _now(self) -> list[Path]:
        return [file for each in self._sources for file in table_files(each)]

    def compare(self) -> None:
        """Raise an error if a file has changed since.

        Raises
        ------
        ValueError
            If the size or time of a file has changed, or a folder has another shard; the message
            names it.
        """
        compare_stamps(self._files, self._stamps)
        other = set(self._now()) ^ set(self._files)
        if other:
            raise ValueError(f"{min(other)} must not appear while its folder is read")


@told
@contextmanager
def unchanged(sources: str | Path | Sequence[str | Path]) -> Iterator[None]:
    """Raise an error if files change while the block reads them.

    Parameters
    ----------
    sources : str or pathlib.Path, or sequence of them
        Files, and folders of shards.

    Returns
    -------
    context manager
        At its end it raises a ValueError that names the file whose size or time has changed, or the
        new shard.
    """
    watch = Watch(sources)
    yield
    watch.compare()
