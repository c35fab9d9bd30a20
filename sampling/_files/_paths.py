"""Output files: checks of their paths, and atomic writes.

Every output file is written by `written_whole`. `check_outputs` refuses invalid paths before the
computation starts.

    the path is...                          result
    one of the inputs                       refused (compared by file, so links count)
    inside an input folder                  refused: the output would be read as part of the input
    one that matches a pattern of inputs    refused, likewise
    a folder, a device, a pipe              refused
    a symbolic link                         the link stays, and the file that it points to is
                                            written
    a file of any other kind                refused, unless it is empty
    a file of the same kind                 replaced once the new one is complete; other hard links
                                            to it keep the old one

A file is first written to a hidden, locked folder next to it, `.NAME.PID`. A folder that a killed
process left behind is removed by the next process that writes to the parent folder.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from glob import has_magic
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from .._check._keywords import told

try:
    import fcntl
except ImportError:  # Windows: folders are not locked there, and leftovers are not removed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Kind",
    "Output",
    "check_apart",
    "check_folder",
    "check_outputs",
    "json_kind",
    "naming",
    "next_to",
    "own_folder",
    "parquet_kind",
    "remove_left_overs",
    "saved_tensors",
    "tensors_kind",
    "tensors_of",
    "written_whole",
]

KEY = b"sampling"  # metadata key of every Parquet file that we write
_MARK, _OWNER = "sampling", "owner"  # content and name of the file that marks our hidden folders
_HIDDEN = re.compile(r"\..+\.(\d+)(-\d+)?")  # process, and a number for each further thread
_LONGEST_HEADER = 2**27  # bytes; safetensors refuses more than 10**8
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}

# File format by suffix; any other suffix is accepted for every format.
_FORMATS = {
    **dict.fromkeys((".parquet", ".pq", ".parq"), "Parquet"),
    **dict.fromkeys((".safetensors", ".st"), "safetensors"),
    ".npy": ".npy", ".npz": ".npz", ".png": "PNG",
    ".json": "JSON", ".jsonl": "JSON lines", ".ndjson": "JSON lines",
    ".csv": "CSV", ".tsv": "TSV", ".txt": "text", ".text": "text", ".log": "text",
    ".md": "Markdown", ".html": "HTML", ".htm": "HTML", ".xml": "XML", ".pdf": "PDF",
    ".arrow": "Arrow", ".feather": "Feather", ".ipc": "Arrow", ".orc": "ORC", ".avro": "Avro",
    ".pkl": "pickle", ".pickle": "pickle", ".joblib": "pickle",
    ".pt": "PyTorch", ".pth": "PyTorch", ".onnx": "ONNX",
    ".h5": "HDF5", ".hdf5": "HDF5", ".hdf": "HDF5", ".nc": "NetCDF", ".zarr": "Zarr",
    ".mat": "MATLAB", ".xls": "Excel", ".xlsx": "Excel", ".db": "SQLite", ".sqlite": "SQLite",
    ".duckdb": "DuckDB", ".lance": "Lance", ".tfrecord": "TFRecord", ".tfrecords": "TFRecord",
    ".toml": "TOML", ".yaml": "YAML", ".yml": "YAML", ".ini": "INI", ".py": "Python",
    ".ipynb": "a notebook", ".jpg": "JPEG", ".jpeg": "JPEG", ".svg": "SVG",
    ".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4", ".7z": "7-Zip",
    ".zip": "ZIP", ".tar": "tar", ".tgz": "tar",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of file that we write, and how to recognise it.

    Attributes
    ----------
    name : str
        Name in messages, with its article.
    format : str
        One of the formats that a suffix can denote.
    is_one : callable or None
        Takes the path of a file and returns whether it is of this kind. None if the content cannot
        tell: then an existing file is never replaced.
    """

    name: str
    format: str
    is_one: Callable[[Path], bool] | None

    def holds(self, path: Path) -> bool:
        """Return whether a file is known to be of this kind."""
        return self.is_one is not None and self.is_one(path)


Output: TypeAlias = tuple[str | Path, Kind]  # a file that will be written or removed


# ---------------------------------------------------------------------- checks of paths


@told
def check_outputs(outputs: Iterable[Output], reads: Iterable[str | Path] = ()) -> None:
    """Refuse, before the computation, outputs that cannot or must not be written after it.

    Parameters
    ----------
    outputs : iterable of (path, Kind)
        Every file that will be written, including those with derived names.
    reads : iterable of str or pathlib.Path
        Files and folders that are read; the shards of a folder are listed too.

    Raises
    ------
    ValueError
        If a path is an input or inside an input folder, cannot be a file, is a file that we did not
        write, or has the suffix of another format.
    OSError
        If the folder of a path does not exist or cannot be written to.
    """
    reads = [Path(each) for each in reads]
    seen: dict[Path, str | Path] = {}
    for path, kind in outputs:
        target = _target(path)
        check_apart(path, reads)
        _check_suffix(Path(path), kind)
        _check_free(Path(path), target, kind)
        other = seen.setdefault(target, path)
        if other is not path:
            raise ValueError(f"{path} must be written once, got it for {other} too")
        with own_folder(target):  # if this can be made, so can the file
            pass


@told
def check_folder(
    path: str | Path,
    reads: Iterable[str | Path] = (),
    *,
    files: Iterable[str] = (),
    outputs: Iterable[Output] = (),
) -> None:
    """Refuse, before the computation, a folder that cannot or must not be created or written to.

    Parameters
    ----------
    path : str or pathlib.Path
        Neither it nor its parent folders need to exist.
    reads : iterable of str or pathlib.Path
        Files and folders that are read.
    files : iterable of str
        Names of the files that will be written to it.
    outputs : iterable of (path, Kind)
        Files that will be written elsewhere; the folder must not be one of their paths.

    Raises
    ------
    ValueError
        If it is an input or inside an input folder; if it, or one of its parent folders, is a file.
    OSError
        If it cannot be created or written to, or a name is too long.
    """
    path = Path(path)
    check_apart(path, reads)
    place = _followed(path)
    if path.is_symlink() and not place.exists():
        raise ValueError(f"{path} must be a folder, got a broken link")
    around = next(each for each in (place, *place.parents) if os.path.lexists(each))
    if not around.is_dir():
        got = "a file" if around == place else f"one in a file, {around}"
        raise ValueError(f"{path} must be a folder, got {got}")
    for output, _ in outputs:
        if _followed(Path(output)) in (place, *place.parents):
            raise ValueError(f"{path} must be a folder of its own, got the path of {output}")
    for name in files or (around.name,):
        with naming(path), own_folder(around / name):  # if this can be made, so can the files
            pass


def next_to(path: str | Path, ending: str) -> Path:
    """Return the path next to a file with the same name and another ending."""
    path = Path(path)
    if not path.name:
        raise ValueError(f"{path} must be a file, got a folder")
    return path.with_name(f"{path.stem}{ending}")


def check_apart(path: str | Path, reads: Iterable[str | Path]) -> None:
    """Refuse a path, of a file or a folder, that is an input or inside an input folder.

    Files are compared by identity, so links, `..` and relative names make no difference.
    """
    target = _followed(Path(path))
    around = [target, *target.parents]
    for read in map(Path, reads):
        if has_magic(str(read)) and not os.path.lexists(read):  # a pattern, which it may match
            if fnmatch(str(target), str(_followed(read))):
                raise ValueError(
                    f"{path} must not match a pattern that is read as a table, got {read}: write "
                    "to a path that does not match it"
                )
            continue
        if _same(target, read):
            raise ValueError(f"{path} must not be written over, got what is read: {read}")
        if read.is_dir() and any(_same(place, read) for place in around):
            raise ValueError(
                f"{path} must not be in a folder that is read as a table, got one in {read}: "
                "write to a path outside of it"
            )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _followed(path: Path) -> Path:
    """Return the path that all links lead to, whether or not it exists."""
    place = path
    for _ in range(40):
        place = place.parent.resolve() / place.name
        if place.parts[1:2] == ("proc",) or place.parent == Path("/dev/fd"):
            raise ValueError(f"{path} must be the path of a file, got a stream of a process")
        if not place.is_symlink():
            return place
        place = place.parent / place.readlink()
    raise ValueError(f"{path} must be the path of a file, got links in a circle")


def _target(path: str | Path) -> Path:
    """Return the file that all links lead to: a regular file, or one that does not exist yet."""
    target = _followed(Path(path))
    if target.is_dir():
        raise ValueError(f"{path} must be a file, got a folder")
    if target.exists() and not target.is_file():
        mode = target.stat().st_mode
        kinds = {stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe"}
        got = kinds.get(stat.S_IFMT(mode), "a socket")
        raise ValueError(f"{path} must be the path of a file, got {got}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder of {path} must exist, got none at {target.parent}")
    return target


def _check_suffix(path: Path, kind: Kind) -> None:
    says = _FORMATS.get(path.suffix.lower(), kind.format)
    if says != kind.format:
        right = next(suffix for suffix, name in _FORMATS.items() if name == kind.format)
        raise ValueError(
            f"{path} must have a suffix of {kind.format}, such as {right}, in which {kind.name} is "
            f"written, got that of {says}"
        )


def _check_free(path: Path, target: Path, kind: Kind) -> None:
    """Refuse to overwrite a file that is not of this kind, unless it is empty."""
    if target.exists() and not os.access(target, os.W_OK):  # renaming would succeed all the same
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if not target.is_file() or not target.stat().st_size:
        return
    if kind.is_one is None:
        raise ValueError(f"{path} must be free, got a file, which would be lost: write to another "
                         "path, or remove it")  # fmt: skip
    if not kind.holds(target):
        raise ValueError(
            f"{path} must be free or hold {kind.name} of `sampling`, got a file of another kind, "
            "which would be lost: write to another path, or remove it"
        )


# ---------------------------------------------------------------------- kinds of files


def parquet_kind(name: str, is_one: Callable[[dict[str, Any], Any], bool]) -> Kind:
    """Return the kind of Parquet files recognised by their metadata and schema.

    is_one : takes the JSON object under our metadata key and the pyarrow.Schema
    """

    def known(path: Path) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(path)
            facts = json.loads((schema.metadata or {}).get(KEY, b"null"))
        except (pa.ArrowException, OSError, ValueError):
            return False
        return isinstance(facts, dict) and is_one(facts, schema)

    return Kind(name, "Parquet", known)


def tensors_kind(name: str, key: str) -> Kind:
    """Return the kind of safetensors files with a given key in their header."""

    def known(path: Path) -> bool:
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if length > _LONGEST_HEADER:
                    return False
                header = json.loads(file.read(length))
        except (OSError, ValueError):
            return False
        return isinstance(header, dict) and key in (header.get("__metadata__") or {})

    return Kind(name, "safetensors", known)


def json_kind(name: str, *keys: str) -> Kind:
    """Return the kind of JSON files that hold an object with all given keys."""

    def known(path: Path) -> bool:
        try:
            facts = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(facts, dict) and all(key in facts for key in keys)

    return Kind(name, "JSON", known)


# ---------------------------------------------------------------------- atomic writes


@told
@contextmanager
def written_whole(path: str | Path, kind: Kind | None = None) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path, moved to `path` if the block succeeds.

    After an error or an interruption, the old file is unchanged and no temporary file is left. The
    new file gets the permissions that the umask leaves.

    Parameters
    ----------
    path : str or pathlib.Path
        Its folder must exist. A symbolic link is kept, and the file that it points to is written.
    kind : Kind, optional
        Kind of the file: a file of another kind is never replaced. By default any file is.

    Returns
    -------
    context manager of pathlib.Path

    Raises
    ------
    ValueError
        If `path` is a folder, a device, or a file of another kind.
    OSError
        If the folder does not exist, cannot be written to, or is full; the error names `path`.
    """
    target = _target(path)
    if kind is not None:
        _check_suffix(Path(path), kind)
        _check_free(Path(path), target, kind)
    with own_folder(target) as (folder, mode):
        beside = folder / target.name
        with naming(path):
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
        if stat.S_IMODE(beside.stat().st_mode) != mode:
            beside.chmod(mode)  # safetensors makes files that only the owner can read
        if kind is not None:
            _check_free(Path(path), target, kind)  # hours may have passed
        beside.replace(target)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the file name to errors of a full disk that do not have one."""
    try:
        yield
    except OSError as error:
        code = error.errno
        if code is None and os.strerror(errno.ENOSPC) in str(error):
            code = errno.ENOSPC
        if code not in _DISK or error.filename is not None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def saved_tensors(
    arrays: Mapping[str, NDArray[Any]],
    path: str | Path,
    header: Mapping[str, str],
    kind: Kind | None,
) -> None:
    """Write contiguous arrays to a safetensors file atomically; see `written_whole`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with written_whole(path, kind) as beside:
        try:
            save_file(dict(arrays), beside, metadata=dict(header))
        except SafetensorError as error:
            found = re.search(r"\(os error (\d+)\)", str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


@contextmanager
def tensors_of(path: str | Path) -> Iterator[Any]:
    """Open a safetensors file; an unreadable file is not reported as missing."""
    from safetensors import safe_open

    with Path(path).open("rb"):  # safetensors reports "No such file" for every error
        pass
    with safe_open(path, framework="numpy") as file:
        yield file


# ---------------------------------------------------------------------- temporary folders


@contextmanager
def own_folder(target: Path) -> Iterator[tuple[Path, int]]:
    """Create a hidden folder next to a path, locked during the block, and remove it afterwards.

    Folders that killed processes left in the parent folder are removed first.

    Parameters
    ----------
    target : pathlib.Path
        The path that it is created for; its folder exists.

    Returns
    -------
    context manager of (pathlib.Path, int)
        The folder, and the permissions that the umask leaves to a file.
    """
    remove_left_overs(target.parent)
    folder, owner = _new_folder(target)
    try:
        yield folder, stat.S_IMODE(os.fstat(owner).st_mode)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(owner)


def _new_folder(target: Path) -> tuple[Path, int]:
    """Return a hidden folder, and the open file whose lock marks it as in use."""
    try:
        folder = _unused_folder(target)
        try:
            owner = os.open(folder / _OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            _lock(owner)
            os.write(owner, _MARK.encode())  # written last: a marked folder is always locked
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error
    return folder, owner


def _unused_folder(target: Path) -> Path:
    for number in count():  # threads of one process may write to one path
        folder = target.with_name(f".{target.name}.{os.getpid()}" + f"-{number}" * (number > 0))
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            break
    return folder


def _lock(file: int) -> bool:
    """Lock an open file for this process; return whether no other process holds the lock."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove_left_overs(folder: Path) -> None:
    """Remove our hidden folders whose process has ended; keep other files with such names."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _HIDDEN.fullmatch(entry.name) if entry.name[0] == "." else None
            if found is not None and entry.is_dir(follow_symlinks=False):
                _remove_if_left(Path(entry.path), int(found[1]))


def _remove_if_left(folder: Path, process: int) -> None:
    if process != os.getpid() and _lives(process):
        return
    with suppress(OSError):  # another process may remove it, or another user may own it
        owner = os.open(folder / _OWNER, os.O_RDWR | os.O_NOFOLLOW)
        try:
            mark = os.read(owner, 64).decode(errors="replace")
            if mark == _MARK and _lock(owner):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(owner)


def _lives(process: int) -> bool:
    if fcntl is None:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of another user; not a process id
        return True
    return True
