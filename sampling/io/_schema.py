"""Columns of several files, with one common type for each column that is used.

Files of one table rarely agree: a column without any value has no type, one with a missing value
changes from int64 to double, and libraries differ in how they store strings and lists. A column is
examined when it is used, and only in files with rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from .._files._remote import Place
from ._readers import Reader, held, opened, storage_of
from ._sources import Source

__all__ = ["FilePart", "Schemas", "is_number", "is_rows", "without_columns", "without_views"]

Key = tuple[str, int]  # a name, and the number of columns of that name before it in a file


@dataclass(frozen=True)
class FilePart:
    """Consecutive groups of rows of one file.

    Attributes
    ----------
    path : Path or Remote
    first, after : int
        The first of its groups, and the one after the last.
    start : int
        Number of its first row in the table.
    rows : int
    """

    path: Place
    first: int
    after: int
    start: int
    rows: int

    def batches(self, file: Reader, columns: Sequence[str]) -> Iterator[Any]:
        """Yield columns of the part, from its open file."""
        for group in range(self.first, self.after):
            yield from file.batches(columns, group)


class _Kind:
    """The fields of files with one schema, by name, in the order of the file; keys come last."""

    def __init__(self, schema: Any, keys: Mapping[str, Any]) -> None:  # pyarrow.Schema
        self.schema, self.metadata, self.keys = schema, schema.metadata, keys
        self._written = schema.serialize().to_pybytes()
        self.fields: dict[str, list[Any]] = {}
        for field in schema:
            field = field.with_type(_unviewed(field.type))
            self.fields.setdefault(field.name, []).append(field)
        self.own = frozenset(self.fields)
        for name, value in keys.items():
            self.fields.setdefault(name, []).append(pa.field(name, value.type))

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the schema as Arrow writes it: pickle loses the names inside lists of one length."""
        return _kind_from, (self._written, self.keys)

    def field(self, key: Key) -> Any:  # pyarrow.Field, or None
        """Return a field; None if there is none."""
        own = self.fields.get(key[0], ())
        return own[key[1]] if key[1] < len(own) else None


def _kind_from(written: bytes, keys: Mapping[str, Any]) -> _Kind:
    return _Kind(pa.ipc.read_schema(pa.py_buffer(written)), keys)


class Schemas:
    """Columns of files whose rows are numbered consecutively, and keys in the names of folders.

    Parameters
    ----------
    source : Source
        The files; one that was given twice counts once.

    Attributes
    ----------
    files : tuple of Path or Remote
    counts : tuple of int
        Number of rows of each file.
    names : tuple of str
        Columns of the files with rows, or of all files if none has rows, in order of occurrence.

    Raises
    ------
    ValueError
        If a file is damaged: the message names it.
    """

    def __init__(self, source: Source) -> None:
        self.files = tuple(dict.fromkeys(source.paths))
        self._keys = source.keys
        self._held: dict[Place, Reader] = {}
        self._folder: Path | None = None  # of relative paths, in another process
        self._groups: dict[Place, list[int]] = {}
        self._kinds: list[_Kind] = []  # one for each distinct schema; most tables have one
        self._kind_of: dict[Place, _Kind] = {}
        known: dict[tuple[bytes, tuple[str, ...]], _Kind] = {}
        counts = []
        for path in self.files:
            keys = self._keys.get(path, {})
            kept = held(path, alone=len(self.files) == 1)
            if kept is not None:
                self._held[path] = kept
            with self.opened(path) as file:
                schema = file.schema
                self._groups[path] = file.counts
                counts.append(sum(file.counts))
            written = (schema.remove_metadata().serialize().to_pybytes(), tuple(keys))
            if written not in known:
                known[written] = _Kind(schema, keys)
            self._kind_of[path] = known[written]
        self.counts = tuple(counts)
        rows = dict(zip(self.files, counts, strict=True))
        self._with_rows = [path for path in self.files if rows[path]] or list(self.files)
        self._first: dict[_Kind, Place] = {}
        for path in self._with_rows:
            self._first.setdefault(self._kind_of[path], path)
        self.names = tuple(dict.fromkeys(name for kind in self._first for name in kind.fields))
        self._known: dict[Key, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to read the files; what is held is not sent."""
        folder = self._folder or Path.cwd()
        return {**self.__dict__, "_held": {}, "_known": {}, "_folder": folder}

    @contextmanager
    def opened(self, path: Place, *, lean: bool = False) -> Iterator[Reader]:
        """Open one of the files; what is held in memory is not read again.

        Raises ValueError if its columns or groups are no longer those of the first time: rows would
        be lost, or taken for others.
        """
        if path in self._held:
            yield self._held[path]
            return
        place = path
        if self._folder is not None and isinstance(path, Path):
            place = self._folder / path
        with opened(place, lean=lean, alone=len(self.files) == 1) as file:
            kind = self._kind_of.get(path)
            if kind is not None and not kind.schema.equals(file.schema):
                raise ValueError(f"{path} must not change while it is read, got other columns")
            if kind is not None and self._groups[path] != file.counts:
                raise ValueError(f"{path} must not change while it is read, got other rows")
            yield file

    @property
    def is_held(self) -> bool:
        """Whether the content of any file is held by this process."""
        return bool(self._held)

    def parts(self, rows: int) -> list[FilePart]:
        """Return all rows as parts of at least `rows` rows, or of a file; a part is read at once.

        Parts are of whole groups, of one file.
        """
        found, start = [], 0
        for path in self.files:
            first = count = 0
            groups = self._groups[path]
            for group, own in enumerate(groups, 1):
                count += own
                if count >= rows or (count and group == len(groups)):
                    found.append(FilePart(path, first, group, start, count))
                    first, start, count = group, start + count, 0
        return found

    @property
    def size(self) -> int:
        """N, rows in all files."""
        return sum(self.counts)

    @property
    def metadata(self) -> Any:  # dict of bytes, or None
        """Metadata of the first file, as in a pyarrow schema."""
        return next(iter(self._first)).metadata

    def is_key(self, name: str) -> bool:
        """Return whether a column comes from the names of folders."""
        return any(name in kind.keys for kind in self._first)

    def key_runs(self, name: str) -> list[tuple[int, Any]] | None:
        """Return (rows, value) of a key in the names of folders; None if it is no key."""
        found: list[tuple[int, Any]] = []
        for path, count in zip(self.files, self.counts, strict=True):
            keys = self._keys.get(path, {})
            if name not in keys:
                return None
            value = keys[name].as_py()
            if found and found[-1][1] == value:
                found[-1] = (found[-1][0] + count, value)
            elif count:
                found.append((count, value))
        return found

    def every(self) -> list[str]:
        """Return the names of all columns; a column that a file has twice occurs twice."""
        return [
            name
            for name in self.names
            for _ in range(max(len(kind.fields.get(name, ())) for kind in self._first))
        ]

    def files_of(self, name: str) -> tuple[Place, ...]:
        """Return the files with values of a column, ignoring files without rows."""
        found = [(path, self._kind_of[path].field((name, 0))) for path in self._with_rows]
        found = [(path, field) for path, field in found if field is not None]
        typed = [path for path, field in found if not pa.types.is_null(field.type)]
        return tuple(typed or [path for path, _ in found])

    def type_of(self, name: str) -> Any:  # pyarrow.DataType, or None
        """Return the type of a column; None if `field` refuses it."""
        try:
            return self.field(name).type
        except ValueError:
            return None

    def field(self, name: str) -> Any:  # pyarrow.Field
        """Return the field with the common type of a column.

        Raises
        ------
        ValueError
            If a file has two columns of the name, or no type holds the values of all files.
        """
        for kind, path in self._first.items():
            if len(kind.fields.get(name, ())) > 1 and name not in kind.keys:
                raise ValueError(
                    f"{name!r} must be one column, got two of that name in {path}: rename one of "
                    "them, or exclude them"
                )
        return self._field((name, 0))

    def schema(self, names: Sequence[str]) -> Any:  # pyarrow.Schema
        """Return the schema of columns; a repeated name stands for the next column of that name."""
        return pa.schema([self._field(key) for key in _keys(names)], metadata=self.metadata)

    def said_of(self, name: str) -> list[tuple[Place, Any]]:
        """Return the field of a column in each file that has it, with its metadata."""
        files = self.files_of(name)
        return [(path, self._kind_of[path].field((name, 0))) for path in files]

    def read(self, path: Place, names: Sequence[str]) -> Any:
        """Return the given columns of a file as a pyarrow.Table, in the common types."""
        there = self.stored(path, names)
        if not there:
            rows = without_columns(self.counts[self.files.index(path)])
            return self.fitted(rows, names, path)
        with self.opened(path) as file:
            return self.fitted(file.read(there), names, path)

    def read_part(self, part: FilePart, names: Sequence[str]) -> Any:
        """Return the given columns of a part as a pyarrow.Table, in the common types."""
        there = self.stored(part.path, names)
        if not there:
            return self.fitted(without_columns(part.rows), names, part.path)
        with self.opened(part.path) as file:
            rows = pa.Table.from_batches(part.batches(file, there))
        return self.fitted(rows, names, part.path)

    def within(self, path: Place, names: Sequence[str]) -> list[str]:
        """Return the names that a file has a value of, in its columns or its folders."""
        own = self._kind_of[path].fields
        return [name for name in dict.fromkeys(names) if name in own]

    def stored(self, path: Place, names: Sequence[str]) -> list[str]:
        """Return the names that are columns of a file."""
        own = self._kind_of[path].own
        return [name for name in dict.fromkeys(names) if name in own]

    def fitted(self, rows: Any, names: Sequence[str], path: Place) -> Any:
        """Convert rows of a file to the common types of the given columns.

        rows : pyarrow.Table or pyarrow.RecordBatch, with the columns that the file has

        A column that the file does not have is null in all its rows. Raises ValueError if a value
        does not fit the type; the message names column and file.
        """
        keys, columns = _keys(names), []
        for name, number in keys:
            places = rows.schema.get_all_field_indices(name)
            wanted = self._field((name, number)).type
            column = rows.column(places[number]) if number < len(places) else None
            value = self._keys.get(path, {}).get(name)
            if column is None and value is not None:
                column = pa.repeat(value.cast(wanted), rows.num_rows)
            elif column is None or pa.types.is_null(column.type):
                column = pa.nulls(rows.num_rows, wanted)
            elif column.type != wanted:
                try:
                    column = _cast(column, wanted)
                except pa.ArrowException as error:
                    raise ValueError(
                        f"{name!r} must fit {wanted}, the type for all files, got {column.type} in "
                        f"{path}: {error}"
                    ) from error
            columns.append(column)
        return pa.table(columns, schema=pa.schema([self._field(key) for key in keys]))

    def _field(self, key: Key) -> Any:  # pyarrow.Field
        if key not in self._known:
            for kind, path in self._first.items():
                if key[0] in kind.keys and key[0] in kind.own:
                    raise ValueError(
                        f"{key[0]!r} must be one column, got it in {path} and in the name of its "
                        "folder: rename one of them, or exclude it"
                    )
            own = [(path, kind.field(key)) for kind, path in self._first.items()]
            there = [(path, each) for path, each in own if each is not None]
            first, kind = there[0][0], there[0][1].type
            for path, each in there[1:]:
                found = _common(kind, each.type)
                if found is None:
                    raise ValueError(
                        f"{key[0]!r} must be of one kind in all files, got {kind} in {first} and "
                        f"{each.type} in {path}: write one type in all files, or exclude the column"
                    )
                if found != kind:
                    first, kind = path, found
            nullable = len(there) < len(own) or any(each.nullable for _, each in there)
            said = next((each.metadata for _, each in there if each.metadata), None)
            self._known[key] = pa.field(key[0], kind, nullable=nullable, metadata=said)
        return self._known[key]


def without_columns(count: int) -> Any:  # pyarrow.RecordBatch
    """Return a batch of `count` rows without columns."""
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))


def without_views(rows: Any) -> Any:  # pyarrow.Table
    """Return rows whose strings and bytes are no views, of which pyarrow takes none by number."""
    fields = [field.with_type(_unviewed(field.type)) for field in rows.schema]
    schema = pa.schema(fields, metadata=rows.schema.metadata)
    return rows if schema.equals(rows.schema) else rows.cast(schema)


def is_number(kind: Any) -> bool:  # pyarrow.DataType, or None
    """Return whether a type is that of scalar numbers."""
    return kind is not None and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_rows(kind: Any) -> bool:  # pyarrow.DataType, or None
    """Whether a type is one of lists of numbers, or of tensors of one shape."""
    kind = storage_of(kind)
    return kind is not None and _is_list(kind) and is_number(kind.value_type)


def _keys(names: Sequence[str]) -> list[Key]:
    seen: Counter[str] = Counter()
    keys = []
    for name in names:
        keys.append((name, seen[name]))
        seen[name] += 1
    return keys


def _common(one: Any, other: Any) -> Any:  # pyarrow.DataType, or None
    """Return the type that holds the values of both types; None if there is none."""
    if one.equals(other):
        return one
    kinds = pa.types
    if kinds.is_dictionary(one) != kinds.is_dictionary(other) and not (
        kinds.is_null(one) or kinds.is_null(other)
    ):
        return _common(_plain(one), _plain(other))
    pair = (one, other)
    if all(_is_text(each) for each in pair):
        return pa.large_string() if any(each != pa.string() for each in pair) else pa.string()
    if _mixes(one, other) or all(isinstance(each, pa.BaseExtensionType) for each in pair):
        return None  # pyarrow would make bytes of strings; tensors are of two shapes
    one, other = pair = (storage_of(one), storage_of(other))
    if any(map(kinds.is_decimal, pair)) and not all(map(kinds.is_decimal, pair)):
        numbers = all(is_number(each) or kinds.is_decimal(each) for each in pair)
        if numbers:
            return pa.float64()
    if any(map(kinds.is_timestamp, pair)):
        return _common_time(one, other)
    try:
        fields = [pa.schema([pa.field("_", each)]) for each in pair]
        return pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except pa.ArrowException:
        if kinds.is_dictionary(one) and kinds.is_dictionary(other):
            return _common(_plain(one), _plain(other))
        return None


def _mixes(one: Any, other: Any) -> bool:  # pyarrow.DataType
    """Whether one type has strings where the other has bytes, at any level."""
    one, other = _plain(one), _plain(other)
    if _is_text(one) or _is_text(other):
        return _is_bytes(one) or _is_bytes(other)
    return any(_mixes(each, another) for each, another in _inner(one, other))


def _inner(one: Any, other: Any) -> list[tuple[Any, Any]]:  # pyarrow.DataType
    """Return the types of what is inside two nested types, in pairs."""
    kinds = pa.types
    if kinds.is_struct(one) and kinds.is_struct(other):
        both = {field.name for field in one} & {field.name for field in other}
        return [(one.field(name).type, other.field(name).type) for name in sorted(both)]
    if kinds.is_map(one) and kinds.is_map(other):
        return [(one.key_type, other.key_type), (one.item_type, other.item_type)]
    if _is_list(one) and _is_list(other):
        return [(one.value_type, other.value_type)]
    return []


def _cast(column: Any, wanted: Any) -> Any:  # pyarrow's array, or chunks of it
    """Cast a column; refuse, as pyarrow does for ints, to round a decimal to a float.

    Raises pyarrow.ArrowInvalid.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        _refuse_rounded(chunk, wanted)
    return column.cast(wanted)


def _refuse_rounded(values: Any, wanted: Any) -> None:  # pyarrow.Array
    kind = values.type
    if pa.types.is_dictionary(kind):
        _refuse_rounded(values.dictionary, wanted)
    elif pa.types.is_decimal(kind) and pa.types.is_floating(wanted):
        floats = values.cast(wanted)
        try:  # the shortest number that is read as this float
            same = floats.cast(pa.string()).cast(kind).equals(values)
        except pa.ArrowInvalid:
            same = False
        if not same:
            raise pa.ArrowInvalid("a decimal number has more digits than a float holds")
    elif pa.types.is_struct(kind) and pa.types.is_struct(wanted):
        for field in kind:
            if wanted.get_field_index(field.name) >= 0:
                number = kind.get_field_index(field.name)
                _refuse_rounded(values.flatten()[number], wanted.field(field.name).type)
    elif pa.types.is_map(kind) and pa.types.is_map(wanted):
        _refuse_rounded(values.keys, wanted.key_type)
        _refuse_rounded(values.items, wanted.item_type)
    elif _is_list(kind) and _is_list(wanted):
        _refuse_rounded(values.flatten(), wanted.value_type)


def _unviewed(kind: Any) -> Any:  # pyarrow.DataType
    """Return a type without views, at any level."""
    kinds = pa.types
    if str(kind) in ("string_view", "binary_view"):
        return pa.large_string() if str(kind) == "string_view" else pa.large_binary()
    if kinds.is_struct(kind):
        return pa.struct([field.with_type(_unviewed(field.type)) for field in kind])
    if kinds.is_map(kind):
        item = kind.item_field
        return pa.map_(
            _unviewed(kind.key_type),
            item.with_type(_unviewed(item.type)),
            keys_sorted=kind.keys_sorted,
        )
    if _is_list(kind):
        value = kind.value_field.with_type(_unviewed(kind.value_type))
        if kinds.is_fixed_size_list(kind):
            return pa.list_(value, kind.list_size)
        return pa.large_list(value) if kinds.is_large_list(kind) else pa.list_(value)
    return kind


def _is_list(kind: Any) -> bool:  # pyarrow.DataType
    lists = (pa.types.is_list, pa.types.is_fixed_size_list, pa.types.is_large_list)
    return any(each(kind) for each in lists)


def _common_time(one: Any, other: Any) -> Any:  # pyarrow.DataType, or None
    """Return timestamps of the finer unit; a date becomes the start of its day."""
    kinds = pa.types
    if kinds.is_null(one) or kinds.is_null(other):
        return other if kinds.is_null(one) else one
    if kinds.is_date(one):
        one, other = other, one
    if kinds.is_date(other):
        return one if one.tz is None else None
    if not kinds.is_timestamp(one) or not kinds.is_timestamp(other):
        return None
    if (one.tz is None) != (other.tz is None):
        return None  # the time zone of the other is unknown
    unit = max(one.unit, other.unit, key=["s", "ms", "us", "ns"].index)
    return pa.timestamp(unit, one.tz if one.tz == other.tz else "UTC")


def _plain(kind: Any) -> Any:  # pyarrow.DataType
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:  # pyarrow.DataType
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: Any) -> bool:  # pyarrow.DataType
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(each(kind) for each in kinds)
