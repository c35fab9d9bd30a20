"""Files on object storage, or on any other file system that Arrow or fsspec knows.

A path with a scheme, such as s3://bucket/corpus, is opened by the file system of Arrow, or by that
of fsspec for schemes that Arrow does not have. `file://` is a local path. Only inputs may be
remote: outputs are written to local files, which can be replaced atomically.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from .. import _check
from .._optional import require
from ..errors import MissingExtraError

__all__ = ["Place", "Remote", "file_system", "is_remote", "located"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_ARROW = {"s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss", "hf"}  # by Arrow itself


@dataclass(frozen=True)
class _Facts:
    """What `os.stat` says of a file, as far as it is known of a remote one."""

    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int = 0


class Remote(os.PathLike[str]):
    """A file or a folder on a remote file system, with the methods of a path that tables use.

    Parameters
    ----------
    uri : str
        Its address; what is printed has neither user names nor options.
    system : pyarrow.fs.FileSystem
    path : str
        Its path in the file system.
    """

    def __init__(self, uri: str, system: Any, path: str) -> None:
        self.uri, self.system, self.path = uri, system, path.rstrip("/") or path
        self._shown = PurePosixPath(self.path)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self._shown.name

    @property
    def suffix(self) -> str:
        """Suffix of the name."""
        return self._shown.suffix

    @property
    def stem(self) -> str:
        """Name without its suffix."""
        return self._shown.stem

    def __str__(self) -> str:
        return f"{urlsplit(self.uri).scheme}://{self.path.lstrip('/')}"

    def __repr__(self) -> str:
        return f"Remote({str(self)!r})"

    def __fspath__(self) -> str:
        return self.uri

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and other.uri == self.uri

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(self.uri)

    def at(self, path: str) -> Remote:
        """Return another path of the same file system.

        path : in the file system
        """
        parts = urlsplit(self.uri)
        mine = self.path.lstrip("/")
        whole = f"{parts.netloc}{parts.path}".rstrip("/")
        before = whole[: len(whole) - len(mine)] if whole.endswith(mine) else ""
        query = f"?{parts.query}" if parts.query else ""
        uri = f"{parts.scheme}://{before}{path.lstrip('/')}{query}"
        return Remote(uri, self.system, path)

    def __truediv__(self, name: str) -> Remote:
        return self.at(f"{self.path}/{name}")

    def info(self) -> Any:  # pyarrow.fs.FileInfo
        """Return the entry of the file system; its type says whether it exists."""
        try:
            return self.system.get_file_info(self.path)
        except Exception as error:  # noqa: BLE001  # of a file system
            raise OSError(_unreadable(self, error)) from error

    def exists(self) -> bool:
        """Return whether there is a file or a folder."""
        from pyarrow.fs import FileType

        return bool(self.info().type != FileType.NotFound)

    def is_dir(self) -> bool:
        """Return whether this is a folder."""
        from pyarrow.fs import FileType

        return bool(self.info().type == FileType.Directory)

    def is_file(self) -> bool:
        """Return whether this is a file."""
        from pyarrow.fs import FileType

        return bool(self.info().type == FileType.File)

    def is_symlink(self) -> bool:
        """Return False: links are followed by the file system."""
        return False

    def stat(self) -> _Facts:
        """Return size and time of the file."""
        found = self.info()
        if not found.is_file:
            raise FileNotFoundError(_check.no_file(self))
        return _Facts(int(found.size or 0), int(found.mtime_ns or 0))

    def open(self, mode: str = "rb") -> Any:  # pyarrow.NativeFile
        """Open the file to read bytes from any position."""
        if mode != "rb":
            raise ValueError(f"mode must be 'rb' for a remote file, got {mode!r}")
        try:
            return self.system.open_input_file(self.path)
        except FileNotFoundError:
            raise FileNotFoundError(_check.no_file(self)) from None
        except Exception as error:  # noqa: BLE001  # of a file system
            raise OSError(_unreadable(self, error)) from error

    def read_bytes(self) -> bytes:
        """Return the content of the file."""
        with self.open() as file:
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content of the file as text."""
        return self.read_bytes().decode(encoding)

    def below(self) -> Iterator[Remote]:
        """Yield the files in the folder and its subfolders."""
        from pyarrow.fs import FileSelector

        try:
            entries = self.system.get_file_info(FileSelector(self.path, recursive=True))
        except Exception as error:  # noqa: BLE001  # of a file system
            raise OSError(_unreadable(self, error)) from error
        for entry in entries:
            if entry.is_file:
                yield self.at(entry.path)


Place: TypeAlias = Path | Remote


def _unreadable(place: Remote | str, error: BaseException) -> str:
    """Return what is said of a path that a file system cannot read."""
    said = " ".join(str(error).split())
    return f"{place} must be readable, got: {said}: check the address, credentials and network"


def is_remote(path: object) -> bool:
    """Return whether a path names a file on a remote file system, rather than a local one."""
    if isinstance(path, Remote):
        return True
    return isinstance(path, str) and _scheme(path) not in {"", "file"}


def _scheme(text: str) -> str:
    found = _SCHEME.match(text)
    return "" if found is None else found[0][:-3].lower()


def located(path: str | os.PathLike[str]) -> Place:
    """Return a path as given: local, or that of a remote file system.

    Raises
    ------
    ValueError
        If the address is invalid, or no file system has its scheme.
    OSError
        If the file system cannot be reached.
    MissingExtraError
        If the file system needs a package that is not installed.
    """
    if isinstance(path, Path | Remote):
        return path
    text = os.fspath(path)
    scheme = _scheme(text)
    if not scheme:
        return Path(text)
    if scheme == "file":
        _, local = _by_arrow(text)
        return Path(local)
    system, inside = _by_arrow(text) if scheme in _ARROW else _by_fsspec(text, scheme)
    return Remote(text, system, inside)


@lru_cache(maxsize=64)  # a client of a file system is made once
def _by_arrow(uri: str) -> tuple[Any, str]:
    import pyarrow as pa
    from pyarrow.fs import FileSystem

    try:
        system, path = FileSystem.from_uri(uri)
    except ImportError as error:
        raise MissingExtraError(f"{_hidden(uri)} needs a package: {error}") from error
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(
            f"{_hidden(uri)} must be an address that Arrow can open, got: {error}"
        ) from error
    except OSError as error:
        raise OSError(_unreadable(_hidden(uri), error)) from error
    return system, str(path)


@lru_cache(maxsize=64)
def _by_fsspec(uri: str, scheme: str) -> tuple[Any, str]:
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    core = require("fsspec.core", "remote", f"a path that begins with {scheme}://")
    try:
        system, path = core.url_to_fs(uri)
    except ImportError as error:
        raise MissingExtraError(f"{_hidden(uri)} needs a package: {error}") from error
    except ValueError as error:
        raise ValueError(
            f"{_hidden(uri)} must have the scheme of a file system, such as s3, gs or file, got "
            f"{scheme!r}: {error}"
        ) from error
    return PyFileSystem(FSSpecHandler(system)), str(path)


def _hidden(uri: str) -> str:
    """Return an address without user name and options, for messages."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_system(place: Place) -> tuple[Any, str]:
    """Return the Arrow file system of a file, and its path there."""
    if isinstance(place, Remote):
        return place.system, place.path
    from pyarrow.fs import LocalFileSystem

    return LocalFileSystem(), str(place)


def common_base(places: Sequence[Place]) -> str | None:
    """Return the deepest folder that all paths share; None if they share no file system."""
    remote = [each for each in places if isinstance(each, Remote)]
    if remote and len(remote) < len(places):
        return None
    if remote:
        if len({urlsplit(each.uri).scheme for each in remote}) > 1:
            return None
        paths = [each.path for each in remote]
    else:
        paths = [str(Path(each).absolute()) for each in places]
    try:
        return os.path.commonpath(paths)
    except ValueError:  # other drives, or relative and absolute paths
        return None
