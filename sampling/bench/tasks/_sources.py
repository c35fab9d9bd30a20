"""Where the data of a benchmark come from, by what a user names, and which settings apply there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from ... import _check
from ..._check._keywords import short
from ..._files._parquet import is_parquet
from ._builtin import DATASETS, files_of, load
from ._data import Data, data_of
from ._folder import folder_data
from ._function import task_of
from ._metric import metric_of
from ._own import Own
from ._table import ARRAYS, MODEL, TABLES, Given, is_file_name, table_data
from ._task import Task

CACHE = "data"  # folder in that of the results, of what is made of the user's files
_FOLDER, _TABLE, _FUNCTION, _TASK = "a folder of images", "a table", "FILE.py:FUNCTION", "a Task"
_OWN = (*DATASETS, _FOLDER, _TABLE)  # with the benchmark's own models

# Which kinds of data each setting applies to, and what to do instead.
APPLIES: dict[str, tuple[tuple[str, ...], str]] = {
    "label": ((_TABLE,), "the classes of a folder are its folders, those of a Task are its own"),
    "features": ((_TABLE,), ""),
    "labels": ((_TABLE,), "give --label, --labels and --features with a table"),
    "split": ((_TABLE,), "a folder has train, val and test in it, a Task has its own"),
    "model": ((_TABLE,), "any other model is written as FILE.py:FUNCTION"),
    "image_size": ((_FOLDER,), "other images keep their size"),
    "on_bad": ((_FOLDER, _TABLE), ""),
    "metric": (_OWN, "set the metric in the Task"),
    "learning_rate": (_OWN, "set the learning rate in the optimizer of the Task"),
    "data_dir": (tuple(name for name, known in DATASETS.items() if known.files),
                 "name the folder of other data as data itself"),
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """Data that can be loaded, in this process and in others.

    Parameters
    ----------
    name : str
        Name in tables, and of the default folder of results.
    load : callable
        Returns the data, given the folder of the results, in which it may keep what it made of the
        files.
    files : list of Path
        The files and folders that are read, which are never written to.
    note : str, default ""
        A note on the results.
    seeds : int, optional
        A fixed number of seeds, where more would not help.
    identity : dict of str to value
        Settings of the data and the model by which results differ.
    """

    name: str
    load: Callable[[Path], Data]
    files: list[Path] = field(default_factory=list)
    note: str = ""
    seeds: int | None = None
    identity: dict[str, Any] = field(default_factory=dict)


def source_of(settings: Any) -> Source:  # Settings, whose methods load files by this one
    """Return the source that the settings name, without loading it; a function is called.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If there is none, or a setting does not apply to it.
    """
    kind = _kind(settings)
    _check_applies(settings, kind)
    if kind in (_TASK, _FUNCTION):
        return _of_task(settings)
    if settings.metric is not None:
        metric_of(settings.metric)
    own = Own(_name(settings, kind), settings.learning_rate, settings.metric)
    rate = settings.learning_rate
    identity: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
    if kind in DATASETS:
        known = DATASETS[kind]
        return Source(
            kind,
            lambda folder: load(kind, settings.data_dir, own),
            files_of(kind, settings.data_dir),
            known.note,
            known.seeds,
            identity,
        )
    if kind == _FOLDER:
        path = Path(settings.data)  # no Task here
        size, on_bad = settings.image_size, settings.on_bad
        return Source(
            own.name,
            lambda folder: folder_data(path, size, on_bad, own, folder / CACHE),
            [path],
            identity=identity,
        )
    given = _given(settings).checked()
    model = settings.model or MODEL
    return Source(
        own.name,
        lambda folder: table_data(given, model, settings.on_bad, own, folder / CACHE),
        given.files,
        identity={"model": model, **identity},
    )


def _of_task(settings: Any) -> Source:
    if isinstance(settings.data, Task):
        task, files = settings.data, []
    else:
        path, name = _file_and_function(str(settings.data))
        task, files = task_of(path, name), [path]
        if task.name == "task":
            task = replace(task, name=path.stem if name == "make" else f"{path.stem}-{name}")
    return Source(task.name, lambda folder: data_of(task), files)


def _file_and_function(text: str) -> tuple[Path, str]:
    file, colon, name = text.rpartition(":")
    if not colon:
        raise ValueError(
            f"data must name a function of a Python file, such as {text}:make, got {text!r}"
        )
    return _check.file(file, "a Python file"), name


def _given(settings: Any) -> Given:
    default = settings.data == type(settings).data  # nothing was named
    data = None if default else Path(settings.data)  # no Task here
    return Given(data, settings.label, settings.features, settings.labels, settings.split)


def _name(settings: Any, kind: str) -> str:
    """Return the name of data with one of the benchmark's own models."""
    if kind in DATASETS:
        return kind
    if kind == _FOLDER:
        return Path(settings.data).resolve().name or "images"
    return f"{_given(settings).name}-screening-{settings.model or MODEL}"


def _kind(settings: Any) -> str:
    """Return the kind of data; a word without a separator is first of all a name."""
    given = settings.data
    if isinstance(given, Task):
        return _TASK
    text = str(given)
    if isinstance(given, str) and text in DATASETS:
        unnamed = given == type(settings).data
        file = settings.features and (settings.labels or is_file_name(str(settings.features)))
        return _TABLE if unnamed and file else text
    if text.endswith(".py") or text.rpartition(":")[0].endswith(".py"):
        return _FUNCTION
    path = Path(text)
    if not path.exists():
        _refuse_missing(given, text)
    if path.is_dir():
        labelled = settings.label is not None or settings.labels is not None
        inside = path.rglob("*") if labelled else path.iterdir()  # shards may be in sub-folders
        return _TABLE if any(map(is_parquet, inside)) else _FOLDER
    if path.suffix.lower() in (*TABLES, *ARRAYS):
        return _TABLE
    raise ValueError(
        f"data must be a folder of images, FILE.py:FUNCTION, or a table that ends in "
        f"{', '.join((*TABLES, *ARRAYS))}, got the file {text!r}"
    )


def _refuse_missing(given: object, text: str) -> NoReturn:
    """Refuse a name that is neither a dataset nor a path."""
    path = Path(text)
    around = path.parent if path.parent.is_dir() else Path()
    near = [str(around / each.name) if path.parent != Path() else each.name
            for each in around.iterdir()]  # fmt: skip
    if isinstance(given, Path) or "/" in text or "\\" in text or path.suffix:
        nearest = _check.closest(text, near)
        raise FileNotFoundError(f"data must be a path that exists, got {text!r}{nearest}")
    raise ValueError(
        f"data must be one of {', '.join(map(repr, DATASETS))}, a folder of images, a table, or "
        f"FILE.py:FUNCTION, where a path must exist, got {text!r}"
        f"{_check.closest(text, [*DATASETS, *near])}"
    )


def _check_applies(settings: Any, kind: str) -> None:
    """Refuse settings that the kind of data does not have."""
    for name, (kinds, remedy) in APPLIES.items():
        value = getattr(settings, name)
        if value == getattr(type(settings), name) or kind in kinds:
            continue
        what = f"{kind}, which has no files" if name == "data_dir" and kind in DATASETS else kind
        end = f": {remedy}" if remedy else ""
        raise ValueError(
            f"{name} must be omitted for {what}, it is for {' and '.join(kinds)}, got "
            f"{short(value) if not isinstance(value, Path) else value}{end}"
        )
