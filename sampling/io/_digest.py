"""Digests of the files of a table, to detect and name files that have changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from .._files._remote import Place
from ..types import Progress
from ._bytes import Stamp, compare_stamps, stamps
from ._parts import digests_of
from ._sources import Given, found_in

__all__ = [
    "Watch",
    "differences",
    "digests",
    "stamps_of",
    "table_files",
    "table_folder",
    "unchanged",
]


@told
def table_files(path: Given) -> tuple[Place, ...]:
    """Return the files of a table, in the order in which their rows are numbered.

    Parameters
    ----------
    path : str or pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`.

    Returns
    -------
    tuple of pathlib.Path
        A file on object storage is an object with the methods of a path that are needed to read it.
    """
    return tuple(file for each in _check.paths("path", path) for file in found_in(each).paths)


@told
def table_folder(path: Given) -> Place:
    """Return the folder that paths in the columns of a table are relative to.

    Parameters
    ----------
    path : str or pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`; of several, the first counts.

    Returns
    -------
    pathlib.Path
        The folder that is given, that of a file, or that of a pattern above its first wildcard. One
        on object storage is an object with the methods of a path that are needed to read it.
    """
    return found_in(_check.paths("path", path)[0]).base


@told
def digests(source: Given, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return the manifest entries of the files of a table.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    list of dict
        For each file "name" (without its folders, except those below a given folder or pattern),
        "rows" (of a Parquet file, else None), "bytes" and "digest".
    """
    found = contents(source, progress=progress)
    for each in found:
        file = each.pop("file")
        each["rows"] = _rows_in(file) if _parquet.is_parquet(file) else None
    return found


def contents(source: Given, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Return name, bytes, digest and path ("file") of each file, which may be damaged."""
    found = [found_in(each) for each in _check.paths("source", source)]
    files = [(each.name(file), file) for each in found for file in each.paths]
    sums = digests_of([file for _, file in files], progress)
    return [
        {"name": name, "bytes": file.stat().st_size, "digest": digest, "file": file}
        for (name, file), digest in zip(files, sums, strict=True)
    ]


def _rows_in(path: Place) -> int:
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
        Files, folders, patterns and addresses, as for `open_table`.
    """

    def __init__(self, sources: Given) -> None:
        self._sources = _check.paths("sources", sources)
        self._files = self._now()
        self._stamps: list[Stamp] = stamps(self._files)

    def _now(self) -> tuple[Place, ...]:
        return table_files(self._sources)

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
            raise ValueError(f"{min(map(str, other))} must not appear while its folder is read")


@told
def stamps_of(source: Given) -> list[tuple[str, Stamp]]:
    """Return the path, and the size and times, of each file of a table.

    Parameters
    ----------
    source : str or pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`.

    Returns
    -------
    list of (str, tuple of int)
    """
    files = table_files(source)
    return list(zip(map(str, files), stamps(files), strict=True))


@told
@contextmanager
def unchanged(sources: Given) -> Iterator[None]:
    """Raise an error if files change while the block reads them.

    Parameters
    ----------
    sources : str or pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`.

    Returns
    -------
    context manager
        At its end it raises a ValueError that names the file whose size or time has changed, or the
        new shard.
    """
    watch = Watch(sources)
    yield
    watch.compare()
