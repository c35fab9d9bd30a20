"""Names of tables: files, folders, patterns and addresses, and the files that they stand for.

    given                               files, in row order
    a file                              that file
    a folder                            the files of one kind in it and its subfolders, by path
    a folder of `datasets.save_to_disk` its Arrow files, in the order of its state.json
    a pattern, such as corpus/*.parquet what it matches, by path; `**` matches any folders
    s3://..., gs://..., file://..., ... one of these on another file system
    several of these                    their files, in the given order

Folders named KEY=VALUE (hive partitions) give a column KEY, by the rules of `pyarrow.dataset`:
all values of a key are ints (int32), or else strings. They count below the folder that is given,
below the deepest folder that several paths share, or below the folders of a pattern that come
before its first wildcard.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from .. import _check
from .._check._keywords import told
from .._files import _parquet
from .._files._remote import Place, Remote, common_base, file_system, is_remote, located

__all__ = [
    "COLUMNS",
    "Given",
    "Source",
    "found_in",
    "is_pattern",
    "kind_of",
    "paths_read",
    "source_of",
]

Given: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"

ARRAYS = {".npy": "npy", ".safetensors": "safetensors"}  # kept on disk, if a table is one file
_TEXTS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ARROW = {".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow"}
_PACKED = (".gz", ".bz2", ".zst", ".lz4")  # of texts; Arrow reads them
COLUMNS = {
    **dict.fromkeys(_parquet.SUFFIXES, "parquet"), **_ARROW, ".npz": "npz", **_TEXTS,
}  # fmt: skip
_KINDS = {**ARRAYS, **COLUMNS}
_STATE = "state.json"  # of `datasets.Dataset.save_to_disk`
_Keys: TypeAlias = Mapping[Place, Mapping[str, Any]]  # of pyarrow.Scalar


@dataclass(frozen=True)
class Source:
    """The files of a table.

    Attributes
    ----------
    paths : tuple of Path or Remote
        In row order. A file that was given twice occurs twice.
    names : tuple of str
        Name of each in a manifest: without the folders above the one that was given.
    keys : dict
        File -> column -> pyarrow scalar: the values in the names of its folders.
    """

    paths: tuple[Place, ...]
    names: tuple[str, ...]
    keys: _Keys = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Kind of the files: one of "parquet", "arrow", "npz", "csv", "jsonl", "npy", ..."""
        return kind_of(self.paths[0])

    @property
    def stays_on_disk(self) -> bool:
        """Whether the rows are read from the file itself, so that no copy is ever needed."""
        one = len(self.paths) == 1 and not isinstance(self.paths[0], Remote)
        return one and self.kind in ARRAYS.values()


@dataclass(frozen=True)
class _Found:
    """The files that one path stands for, and the folder whose names give no columns."""

    paths: tuple[Place, ...]
    base: Place
    named: bool = False  # whether the name of the base is part of the names of the files

    def name(self, path: Place) -> str:
        """Return the name of a file in a manifest."""
        if not self.named:
            return path.name
        below = _relative(path, self.base)
        top = self.base.name if isinstance(self.base, Remote) else self.base.resolve().name
        return f"{top}/{below}"


def kind_of(path: Place) -> str:
    """Return the kind of a file by its name; refuse an unknown suffix, and list those known."""
    name = path.name.lower()
    packed = next((each for each in _PACKED if name.endswith(each)), "")
    inner = Path(name.removesuffix(packed)).suffix
    known = _KINDS.get(inner)
    if known is None or (packed and inner not in _TEXTS):
        shown = f"{inner}{packed}" if packed else path.suffix
        raise ValueError(
            f"{path} must end in one of {', '.join(_KINDS)} (.csv, .tsv, .jsonl and .ndjson also "
            f"with {', '.join(_PACKED)}), got {shown!r}"
        )
    return known


def _is_table(path: Place) -> bool:
    try:
        kind_of(path)
    except ValueError:
        return False
    return True


def source_of(given: Given, *, name: str = "path") -> Source:
    """Return the files of a table, from one path or several.

    Raises
    ------
    ValueError
        If there is no file, or files are of several kinds, or a folder cannot be read as a table.
    FileNotFoundError
        If a path does not exist, or a pattern matches nothing.
    """
    listed = _check.paths(name, given)
    if not listed:
        raise ValueError(f"{name} must name at least one file, got none")
    found = [found_in(each) for each in listed]
    paths = tuple(path for each in found for path in each.paths)
    names = tuple(each.name(path) for each in found for path in each.paths)
    _refuse_mixed(paths, listed)
    base = common_base([each.base for each in found]) if len(found) > 1 else None
    keys: dict[Place, Mapping[str, Any]] = {}
    if len(found) == 1 or base is not None:
        top = found[0].base if base is None else base
        keys = _keys_of({path: _relative(path, top) for path in paths})
    else:  # on several file systems
        for each in found:
            keys |= _keys_of({path: _relative(path, each.base) for path in each.paths})
    return Source(paths, names, keys)


def _refuse_mixed(paths: Sequence[Place], given: Sequence[Any]) -> None:
    """Refuse files of several kinds; `given` are what the user named."""
    first: dict[str, Place] = {}
    for path in paths:
        first.setdefault(kind_of(path), path)
    if len(first) > 1:
        one, other, *_ = first.values()
        remedy = ""
        if len(given) == 1:
            suffix = one.suffix
            remedy = f": name those of one kind with a pattern, such as '{given[0]}/**/*{suffix}'"
        raise ValueError(
            f"a table must consist of files of one kind, got {one} and {other}{remedy}"
        )


@told
def paths_read(source: Given) -> list[Path]:
    """Return all local files and folders that are read as a table, for `check_outputs`.

    Parameters
    ----------
    source : str, pathlib.Path, or sequence of them
        Files, folders, patterns and addresses, as for `open_table`.

    Returns
    -------
    list of pathlib.Path
        Files as given; for a folder, the folder itself and its files; for a pattern, the pattern
        itself and the files that match it. Outputs are never written to object storage.
    """
    found: dict[Path, None] = {}
    for each in _check.paths("source", source):
        place = located(each)
        files = found_in(each).paths
        own = [place] if is_pattern(each) or place.is_dir() else []
        found |= dict.fromkeys(path for path in (*own, *files) if isinstance(path, Path))
    return list(found)


# ---------------------------------------------------------------------- one path


def is_pattern(path: Any) -> bool:  # a path
    """Return whether a path is a pattern, rather than the name of a file that has such signs."""
    text = os.fspath(path) if not isinstance(path, Remote) else path.path
    if is_remote(path):
        return glob.has_magic(located(path).path)  # type: ignore[union-attr]  # it is remote
    return glob.has_magic(text) and not os.path.lexists(located(path))


def found_in(given: Any) -> _Found:  # a path
    """Return the files that one path stands for."""
    place = located(given)
    if isinstance(place, Remote):
        return _found_remote(place)
    if place.is_dir():
        return _in_folder(place)
    if is_pattern(place):
        return _matching(place)
    _check.file(place, "a file")
    kind_of(place)
    return _Found((place,), place.parent)


def _found_remote(place: Remote) -> _Found:
    if place.is_dir():
        return _in_folder(place)
    if place.is_file():
        kind_of(place)
        return _Found((place,), place.at(place.path.rpartition("/")[0]))
    if not glob.has_magic(place.path):
        raise FileNotFoundError(_check.no_file(place))
    base = place.at(_fixed_part(place.path))
    wanted = place.path.split("/")
    files = [each for each in base.below() if matches(each.path.split("/"), wanted)]
    return _of_matches(place, sorted(files), base)


def _fixed_part(pattern: str) -> str:
    """Return the folder of a pattern above its first wildcard."""
    parts = pattern.split("/")
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return "/".join(parts[:first]) or ("/" if pattern.startswith("/") else "")


def _matching(pattern: Path) -> _Found:
    """Return the files that match a pattern, and those in folders that do."""
    text = str(pattern)
    base = Path(_fixed_part(text) or ".")
    found = sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207  # any root
    inside = {part for each in found if each.is_dir() for part in _files_below(each)}
    files = [each for each in found if each.is_file()]
    folders_too = "**" not in text.split("/")[-1]  # where it matches the files as well
    return _of_matches(pattern, sorted({*files, *(inside if folders_too else ())}), base)


def _of_matches(pattern: Place, files: Sequence[Place], base: Place) -> _Found:
    """Return the files of tables among those that match; a pattern for all of them is refused."""
    tables = [each for each in files if _is_table(each)]
    if not tables:
        if files:
            kind_of(files[0])  # refuses its suffix
        raise FileNotFoundError(f"{pattern} must match a file, got no such file: check the pattern")
    return _Found(tuple(tables), base, named=True)


def matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path match those of a pattern; "**" matches any folders."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(matches(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and matches(
        parts[1:], pattern[1:]
    )  # fmt: skip


def _in_folder(folder: Place) -> _Found:
    """Return the files of a folder of shards, or of one of `datasets.save_to_disk`."""
    if (folder / "dataset_dict.json").is_file():
        raise ValueError(
            f"{folder} must be one data set, got a DatasetDict of several: name the folder of one "
            f"split, such as {folder / 'train'}"
        )
    state = folder / _STATE
    if state.is_file():
        return _Found(_saved_files(folder, state), folder, named=True)
    files = [path for path in _files_below(folder) if _is_table(path)]
    if not files:
        raise ValueError(
            f"{folder} must hold files of a table, such as .parquet, got none: name the folder "
            "that does"
        )
    return _Found(tuple(files), folder, named=True)


def _files_below(folder: Place) -> list[Place]:
    """Return the files in a folder and its subfolders, sorted by path.

    As in `pyarrow.dataset`, files and folders whose names begin with "." or "_" are ignored. A
    broken link to a file of a table is refused: that shard is lost.
    """
    from pyarrow.dataset import dataset  # imported only to read a folder

    if isinstance(folder, Path):
        for path in folder.rglob("*"):
            hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
            lost = path.is_symlink() and not (path.exists() or hidden)
            if lost and _is_table(path):
                raise FileNotFoundError(f"{path} must exist, got a broken link")
    system, path_ = file_system(folder)
    try:
        found = dataset(path_, schema=pa.schema([]), format="parquet", filesystem=system).files
    except OSError as error:
        if error.errno is not None or isinstance(folder, Path):
            raise
        raise OSError(f"{folder} must be readable, got: {error}") from error
    if isinstance(folder, Remote):
        return [folder.at(each) for each in sorted(found)]
    return [Path(each) for each in sorted(found)]


def _saved_files(folder: Place, state: Place) -> tuple[Place, ...]:
    """Return the files of a folder of `datasets.Dataset.save_to_disk`, in row order."""
    try:
        facts = json.loads(state.read_text(encoding="utf-8"))
        names = [each["filename"] for each in facts["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{state} must list the files of a data set, as Dataset.save_to_disk writes it, got: "
            f"{type(error).__name__} {error}"
        ) from error
    if facts.get("_indices_data_files") or facts.get("_indices_files"):
        raise ValueError(
            f"{folder} must be saved without an indices mapping, got one: save it again with "
            "dataset.flatten_indices().save_to_disk(...)"
        )
    if not names:
        raise ValueError(f"{folder} must hold files of a table, got none in its {_STATE}")
    return tuple(folder / name for name in names)


# ---------------------------------------------------------------------- keys of folders


def _relative(path: Place, base: Any) -> str:  # a Place, or its path
    """Return the path below a folder, with "/"; the whole path if it is elsewhere."""
    text = path.path if isinstance(path, Remote) else Path(path).absolute().as_posix()
    top = base.path if isinstance(base, Remote) else str(base)
    if isinstance(path, Path):
        top = Path(base).absolute().as_posix()
    return text[len(top) :].lstrip("/") if text.startswith(top) else text


def _keys_of(below: Mapping[Place, str]) -> dict[Place, Mapping[str, Any]]:
    """Return the keys in the names of folders, in the types that `pyarrow.dataset` infers.

    below : path of each file below the folder of the table

    Only names are used: an empty file stands for the first one, whose schema pyarrow reads.
    """
    if not any("=" in part for path in below.values() for part in path.split("/")[:-1]):
        return {}
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
    from pyarrow.fs import LocalFileSystem

    with tempfile.TemporaryDirectory() as folder:
        first = str(Path(folder, "first.parquet"))
        pq.write_table(pa.table({}), first)
        options = ds.FileSystemFactoryOptions(
            partition_base_dir="base",
            partitioning=ds.HivePartitioning.discover(),
            exclude_invalid_files=False,
        )
        paths = [first, *(f"base/{each}" for each in below.values())]
        made = ds.FileSystemDatasetFactory(
            LocalFileSystem(), paths, ds.ParquetFileFormat(), options
        )
        try:
            schema = made.inspect(fragments=1)
        except pa.ArrowException as error:
            raise ValueError(f"the keys of folders must have values, got: {error}") from error
        fragments = {each.path: each for each in made.finish(schema).get_fragments()}
    found: dict[Place, Mapping[str, Any]] = {}
    for path, name in below.items():
        own = ds.get_partition_keys(fragments[f"base/{name}"].partition_expression)
        found[path] = {field.name: pa.scalar(own.get(field.name), field.type) for field in schema}
    return found
