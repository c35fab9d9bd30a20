"""A task on given features of a table: a linear probe, or a network with one hidden layer.

It is called screening: features that were computed once, and a model of one or two layers on them,
show in seconds what training the model that made them would take hours to show, or would not show.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from torch import nn

from ... import _check
from ..._check._rows import Rows
from ..._files._parquet import SUFFIXES, is_parquet
from ...io import open_table
from ._columns import CSV, NPY, Columns, Targets, feature, open_columns, targets_of
from ._data import Data, share_of_each_class
from ._listing import SPLITS, TEST, TRAIN, VAL
from ._models import Recipe, Standardised
from ._own import Own, moments, single_classes

MODELS = ("probe", "mlp")
MODEL = "mlp"
ARRAYS = (NPY, ".safetensors")
TABLES = (*SUFFIXES, *CSV)
_HIDDEN = 256
_TEST_SHARE = 0.2
_TEXTS = ("text", "title", "description", "content", "sentence")  # columns shown as examples
_FEWEST = 2
_FEW = 3  # dropped rows that are named
_NUMBERS_RATE = 0.01  # learning rate for targets that are numbers
_EIGEN_ROWS, _EIGEN_STEPS = 2048, 20

RECIPES = {  # rates: the best on validation, of 58 sections of 63,666 package descriptions
    "probe": Recipe(
        nn.Identity, epochs=10, batch_size=128, learning_rate=0.03, weight_decay=1e-4, threads=1
    ),
    "mlp": Recipe(
        nn.Identity, epochs=10, batch_size=128, learning_rate=0.02, weight_decay=1e-4, threads=1
    ),
}


@dataclass(frozen=True)
class Given:
    """Which files and columns the user named.

    Parameters
    ----------
    data : Path, optional
        A table, or a file of features.
    label, split : str, optional
        Columns of the table with the classes and the splits.
    features : str, optional
        Columns of the features, comma-separated, or a file of them.
    labels : str, optional
        FILE or FILE:COLUMN of the classes.
    """

    data: Path | None
    label: str | None
    features: str | None
    labels: str | None
    split: str | None

    @property
    def feature_file(self) -> Path | None:
        """The file of the features, if they are in one of their own."""
        if self.features is not None and is_file_name(self.features):
            return Path(self.features)
        return self.data if self.data is not None and is_array(self.data) else None

    @property
    def label_file(self) -> tuple[Path, str | None]:
        """The file of the labels, and the column in it."""
        if self.labels is not None:
            return _file_and_column(self.labels)
        if self.data is None:
            raise ValueError("labels must be given with features in a file of their own, got none")
        return self.data, self.label

    @property
    def name(self) -> str:
        """Name of the data."""
        found = self.data or self.feature_file
        return found.resolve().stem if found is not None else "table"

    @property
    def files(self) -> list[Path]:
        """All files that are read."""
        found = [self.data, self.feature_file, self.label_file[0]]
        return list(dict.fromkeys(each for each in found if each is not None))

    def checked(self) -> Given:
        """Return it checked as far as the names of the files allow."""
        if self.label is not None and self.labels is not None:
            raise ValueError(
                f"label must be omitted with labels, which names a file and its column, got "
                f"{self.label!r} and {self.labels!r}"
            )
        features = self.feature_file
        if self.data is None and (features is None or self.labels is None):
            lacking, other = ("features", "labels") if features is None else ("labels", "features")
            raise ValueError(
                f"{lacking} must name a file where data is omitted and {other} are "
                f"{getattr(self, other)!r}, got {getattr(self, lacking) or 'none'!r}"
            )
        if self.data is not None and is_array(self.data):
            if self.label is not None or self.labels is None:
                raise ValueError(
                    f"labels must be given as FILE or FILE:COLUMN for {self.data}, which has no "
                    f"columns, got {f'label={self.label!r}' if self.label else 'none'}"
                )
            if self.features is not None:
                raise ValueError(
                    f"features must be omitted for {self.data}, which holds nothing else, got "
                    f"{self.features!r}"
                )
        for path in self.files:
            if not path.exists():
                raise FileNotFoundError(_check.no_file(path))
        return self


def is_array(path: Path) -> bool:
    """Return whether a file holds an array without columns, by its name."""
    return path.suffix.lower() in ARRAYS


def is_file_name(text: str) -> bool:
    """Return whether a word names a file rather than a column."""
    path = Path(text)
    return path.suffix.lower() in (*ARRAYS, *TABLES) and (
        path.exists() or is_array(path) or "/" in text or "\\" in text
    )


def _file_and_column(text: str) -> tuple[Path, str | None]:
    """Return the path and the column in FILE or FILE:COLUMN; names of both may hold colons."""
    if Path(text).exists():
        return Path(text), None
    at = text.find(":")
    while at >= 0:
        if Path(text[:at]).exists():
            return Path(text[:at]), text[at + 1 :]
        at = text.find(":", at + 1)
    path, colon, column = text.rpartition(":")
    return Path(path or text), column if colon else None


def table_data(given: Given, model: str, on_bad: str, own: Own, cache: Path) -> Data:
    """Return the data of a table.

    Parameters
    ----------
    given : Given
        Files and columns.
    model : {"probe", "mlp"}
        The model.
    on_bad : {"raise", "drop"}
        What happens to rows without a label, split or finite features.
    own : Own
        Learning rate and metric.
    cache : Path
        Folder in which lists in Parquet are kept as rows.

    Raises
    ------
    ValueError, TypeError
        If a column or file is missing or holds the wrong type, rows are incomplete, or there is
        one class only. The message names the column and the row.
    """
    what, columns, targets = _targets(given, own.metric == "R2")
    inputs = _features(given, columns, cache)
    size = len(inputs.rows)
    if len(targets.values) != size:
        raise ValueError(
            f"{what} must have the length of the features, {size}, got {len(targets.values)}"
        )
    splits = None if given.split is None else _splits(given, columns, size)
    reasons = {
        f"{what} must have a value in each row, got none": targets.missing,
        f"features of {inputs.name} must be finite in each row, got a missing value, nan, infinity "
        "or more than float32 holds":
            _bad_rows(inputs.rows),
    }  # fmt: skip
    if splits is not None:
        missing = splits == ""
        reasons[f"split {given.split!r} must have a value in each row, got none"] = missing
    kept, notes = _kept(reasons, on_bad, size)
    targets = _present(targets, kept, what)
    rows = _split_rows(what, kept, targets, splits)
    if targets.names is not None:
        notes += single_classes(targets.values[rows[TRAIN]], targets.names)
    kind = "a linear probe" if model == "probe" else "a network with one hidden layer"
    notes.append(
        f"Screening: {kind} on given features. It shows what is worth training, not what training "
        "the model that made the features would give."
    )
    x, (mean, deviation) = _in_float(inputs, rows[TRAIN])
    recipe = replace(RECIPES[model], layers=_layers(model, mean, deviation))
    values: NDArray[Any] = targets.values
    if targets.names is None:
        values = _scaled(values, rows[TRAIN], what)
        rate = _stable_rate(x, rows[TRAIN], mean, deviation)
        recipe = replace(recipe, learning_rate=rate)
    return own.data(
        rows,
        x,
        values,
        recipe,
        notes=notes,
        examples=_examples(given, columns, rows[TRAIN]),
        class_names=targets.names,
    )


# ---------------------------------------------------------------------- columns


def _targets(given: Given, numbers: bool) -> tuple[str, Columns | None, Targets]:
    """Return the name of the labels for messages, the columns next to them, and the labels."""
    path, column = given.label_file
    if path.suffix.lower() == NPY:
        if column is not None:
            raise ValueError(f"labels must name no column of {path}, an array, got {column!r}")
        array = np.asarray(open_table(path).embeddings)
        if array.ndim != 1:
            raise ValueError(f"labels of {path} must have shape (N,), got {array.shape}")
        what = f"labels of {path}"
        return what, None, targets_of(what, array, numbers=numbers)
    columns = open_columns(path)
    if column is None and given.labels is not None and len(columns.names) == 1:
        column = columns.names[0]
    if column is None:
        option = "label" if given.labels is None else "the column in labels, FILE:COLUMN,"
        raise ValueError(
            f"{option} must be given for {path}, one of its columns {list(columns.names)}, got none"
        )
    what = f"label {column!r} of {path}"
    return what, columns, targets_of(what, _column(columns, column, path), numbers=numbers)


def _column(columns: Columns, name: str, path: Path) -> Any:  # pyarrow.ChunkedArray
    try:
        return columns.values(name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@dataclass(frozen=True)
class _Inputs:
    """Features of all rows.

    Parameters
    ----------
    rows : array of shape (N, D)
        The features.
    name : str
        Their name, for messages: of columns, those that are not finite, if any.
    units : bool
        Whether each feature has a unit of its own: features are then scaled once.
    """

    rows: NDArray[Any]
    name: str
    units: bool


def _features(given: Given, columns: Columns | None, cache: Path) -> _Inputs:
    file = given.feature_file
    if file is not None:
        return _Inputs(_embeddings(file, None, cache), str(file), units=False)
    path = given.data
    if path is None:  # checked before
        raise ValueError("features must be given, got none")
    table = columns if columns is not None and given.labels is None else open_columns(path)
    lists = _list_columns(table, path)
    words = _words(given, table.names, lists, path)
    if len(words) == 1 and words[0] in lists:
        return _Inputs(_embeddings(path, words[0], cache), f"{words[0]!r} of {path}", units=False)
    found = [feature(f"feature {each!r} of {path}", _column(table, each, path)) for each in words]
    with np.errstate(over="ignore"):
        whole = [bool(np.isfinite(each.astype(np.float32)).all()) for each in found]
    shown = [word for word, fine in zip(words, whole, strict=True) if not fine] or words
    return _Inputs(np.stack(found, 1), f"{', '.join(shown[:8])} of {path}", units=True)


def _list_columns(table: Columns, path: Path) -> list[str]:
    if path.suffix.lower() in CSV:
        return []
    schema = pq.read_schema(path if path.is_file() else open_table(path).paths[0])
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return [
        field.name for field in schema if any(is_(field.type) for is_ in kinds)
        and _is_number(field.type.value_type)
    ]  # fmt: skip


def _is_number(kind: Any) -> bool:  # pyarrow.DataType
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _words(given: Given, names: Sequence[str], lists: Sequence[str], path: Path) -> list[str]:
    """Return the columns of the features: one of lists, or some of numbers."""
    taken = (given.label, given.split)
    if given.features is None:
        if len(lists) == 1:
            return list(lists)
        others = [each for each in names if each not in taken]
        raise ValueError(
            f"features must be given for {path}: a column of lists, of {list(lists)}, or columns "
            f"of numbers or patterns, comma-separated, of {others}; '*' is all of these"
        )
    every = [*names, *lists]
    text = given.features
    words = [text] if text in every else [each.strip() for each in text.split(",")]
    found: list[str] = []
    for word in words:
        like = [n for n in names if fnmatch.fnmatchcase(n, word) and n not in taken]
        if word not in every and not like:
            raise ValueError(
                f"features must name columns of {path}, {every}, or a file, got {word!r}"
                f"{_check.closest(word, every)}"
            )
        found += [word] if word in every else like
    _check_words(found, taken, lists)
    return found


def _check_words(found: Sequence[str], taken: Sequence[str | None], lists: Sequence[str]) -> None:
    for word in found:
        if word in taken:
            raise ValueError(f"features must not hold the label or the split, got {word!r}")
        if found.count(word) > 1:
            raise ValueError(f"features must name each column once, got {word!r} again")
        if word in lists and len(found) > 1:
            raise ValueError(
                f"features must be one column of lists or several of numbers, got {word!r} of "
                "lists with others"
            )


def _embeddings(path: Path, column: str | None, cache: Path) -> NDArray[Any]:
    """Return embeddings (N, D): a memory map, of the file or of a copy of its lists."""
    if path.suffix.lower() in CSV:
        raise ValueError(f"features must be in a .npy, .safetensors or Parquet file, got {path}")
    lists = is_parquet(path) or path.is_dir()
    if lists:
        cache.mkdir(parents=True, exist_ok=True)
    table = open_table(path, embeddings=column, scratch=cache if lists else None)
    rows = table.embeddings
    if rows is None:
        raise ValueError(f"{path} must hold a column of lists of numbers, got {list(table.names)}")
    array = rows.mapped() if isinstance(rows, Rows) else np.asarray(rows)
    found: NDArray[Any] = _check.matrix(f"features of {path}", array)
    return found


def _in_float(
    inputs: _Inputs, train: NDArray[np.int64]
) -> tuple[NDArray[Any], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return inputs that torch can take, and mean and deviation by which the model scales them.

    Features with units of their own are scaled here: methods that cluster use them, too.
    """
    mean, deviation = moments(inputs.rows, train)
    if inputs.units:
        scaled = ((inputs.rows - mean) / deviation).astype(np.float32)
        return scaled, (np.zeros_like(mean), np.ones_like(mean))
    if inputs.rows.dtype.name in ("float16", "float32"):
        return inputs.rows, (mean, deviation)
    return inputs.rows.astype(np.float32), (mean, deviation)


def _bad_rows(rows: NDArray[Any]) -> NDArray[np.bool_]:
    found = _check.bad_rows(rows)
    return np.zeros(len(rows), np.bool_) if found is None else found


# ---------------------------------------------------------------------- rows


def _kept(
    reasons: dict[str, NDArray[np.bool_]], on_bad: str, size: int
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the complete rows, and a note of those that were dropped."""
    bad = np.zeros(size, np.bool_)
    for rule, rows in reasons.items():
        if rows.any() and on_bad == "raise":
            count = int(rows.sum())
            more = f" ({count} such rows)" if count > 1 else ""
            raise ValueError(
                f"{rule} in row {int(np.argmax(rows))}{more}: remove it, or pass on_bad='drop'"
            )
        bad |= rows
    dropped = np.flatnonzero(bad)
    if not dropped.size:
        return np.flatnonzero(~bad), []
    words = "row" if dropped.size == 1 else "rows"
    first = ", ".join(map(str, dropped[:_FEW].tolist())) + ", ..." * (dropped.size > _FEW)
    note = f"Dropped: {dropped.size:,} incomplete {words} of {size:,} ({words} {first})."
    return np.flatnonzero(~bad), [note]


def _present(targets: Targets, kept: NDArray[np.int64], what: str) -> Targets:
    """Return the targets with the classes that occur in the rows that are kept."""
    if not kept.size:
        raise ValueError(f"{what} must have complete rows, got none")
    if targets.names is None:
        return targets
    present = np.unique(targets.values[kept])
    if present.size < _FEWEST:
        name = targets.names[int(present[0])]
        raise ValueError(f"{what} must hold two classes or more, got only {name!r}")
    number = np.full(len(targets.names) + 1, -1)  # the last entry belongs to -1
    number[present] = np.arange(present.size)
    return Targets(number[targets.values], [targets.names[c] for c in present])


def _splits(given: Given, columns: Columns | None, size: int) -> NDArray[Any]:
    """Return the split of each row: "train", "val", "test", or "" for none."""
    if columns is None:
        raise ValueError(f"split must be a column, got {given.split!r} and no table")
    what = f"split {given.split!r}"
    values = _column(columns, str(given.split), given.label_file[0])
    if len(values) != size:
        raise ValueError(f"{what} must have the length of the features, {size}, got {len(values)}")
    found = np.array([_split_of(what, row, each) for row, each in enumerate(values.to_pylist())])
    for name in (TRAIN, TEST):
        if name not in found:
            said = sorted({*found.tolist()} - {""})
            raise ValueError(f"{what} must say {name!r} of some rows, got only {said}")
    return found


def _split_of(what: str, row: int, value: Any) -> str:
    if value is None:
        return ""
    word = str(value).strip().lower()
    if word not in SPLITS:
        raise ValueError(
            f"{what} must hold 'train', 'val' or 'test', got {value!r} in row {row}"
            f"{_check.closest(word, SPLITS)}"
        )
    return SPLITS[word]


def _split_rows(
    what: str, kept: NDArray[np.int64], targets: Targets, splits: NDArray[Any] | None
) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each split; by default a fifth of every class is for the test.

    A class of one row is for training: it can be learnt, but not tested.
    """
    values = targets.values[kept]
    if splits is None:
        strata = values if targets.names is not None else np.zeros(kept.size, np.int64)
        test = share_of_each_class(strata, _TEST_SHARE, "bench test split")
        found = {TRAIN: kept[~test], VAL: kept[:0], TEST: kept[test]}
    else:
        found = {name: kept[splits[kept] == name] for name in (TRAIN, VAL, TEST)}
    for name in (TRAIN, TEST):
        if not found[name].size:
            raise ValueError(
                f"{what} must leave rows for {name}, got none: a class needs two rows, of which "
                "one is for the test; numbers are targets of a regression with metric='R2'"
            )
    if targets.names is not None:
        known = np.bincount(targets.values[found[TRAIN]], minlength=len(targets.names)) > 0
        for name in (VAL, TEST):
            unknown = found[name][~known[targets.values[found[name]]]]
            if unknown.size:
                row = int(unknown[0])
                raise ValueError(
                    f"{what} must have rows of each class in 'train', got none of "
                    f"{targets.names[int(targets.values[row])]!r}, which row {row} of {name!r} has"
                )
    return found


def _scaled(values: NDArray[Any], train: NDArray[np.int64], what: str) -> NDArray[np.float32]:
    """Return numbers with mean 0 and deviation 1 in training, which R2 does not depend on."""
    mean, deviation = values[train].mean(), values[train].std()
    if not deviation > 0:
        raise ValueError(f"{what} must hold two numbers or more, got only {mean:g}")
    return np.asarray((values - mean) / deviation, np.float32)


# ---------------------------------------------------------------------- model and examples


def _stable_rate(
    x: NDArray[Any],
    train: NDArray[np.int64],
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
) -> float:
    """Return a learning rate at which the squared error does not diverge.

    Its curvature has no bound, unlike that of the cross-entropy: it is twice the largest
    eigenvalue of the correlations of the features, found here on some rows by power iteration.
    """
    rows = train[np.linspace(0, train.size - 1, min(train.size, _EIGEN_ROWS)).astype(np.int64)]
    z = (x[rows].astype(np.float64) - mean) / deviation
    v, largest = z.std(0) + 1e-3, 1.0
    for _ in range(_EIGEN_STEPS):
        v = z.T @ (z @ (v / np.linalg.norm(v))) / len(z)
        largest = float(np.linalg.norm(v))
        if largest == 0:
            break
    return min(_NUMBERS_RATE, 1 / max(largest, 1.0))


def _layers(
    model: str, mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Callable[[int], nn.Module]:
    width = len(mean)

    def probe(outputs: int) -> nn.Module:
        return nn.Sequential(Standardised(mean, deviation), nn.Linear(width, outputs))

    def mlp(outputs: int) -> nn.Module:
        return nn.Sequential(
            Standardised(mean, deviation),
            nn.Linear(width, _HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, outputs),
        )

    return probe if model == "probe" else mlp


def _examples(
    given: Given, columns: Columns | None, train: NDArray[np.int64]
) -> Callable[..., list[Any]] | None:
    """Return a function that returns texts of training rows, if a column holds texts."""
    tables = [(given.label_file[0], columns)]
    if given.data is not None and not is_array(given.data) and given.labels is not None:
        tables.insert(0, (given.data, open_columns(given.data)))
    for path, table in tables:
        for name in () if table is None else table.names:
            if name.lower() in _TEXTS and table is not None:
                return _texts_of(path, name, train)
    return None


def _texts_of(path: Path, name: str, train: NDArray[np.int64]) -> Callable[..., list[Any]]:
    held: list[Any] = []

    def texts(indices: NDArray[np.int64]) -> list[str]:
        if not held:  # read by the report alone
            held.append(open_columns(path).values(name))
        return [str(each or "") for each in held[0].take(pa.array(train[indices])).to_pylist()]

    return texts
