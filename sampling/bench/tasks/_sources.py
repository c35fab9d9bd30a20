"""Where the data of a benchmark come from, by what a user names."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import _check
from ..._check._keywords import short
from ._builtin import DATASETS, files_of, load
from ._data import Data, data_of
from ._task import Task

if TYPE_CHECKING:
    from .._settings import Settings


@dataclass(frozen=True)
class Source:
    """Data that can be loaded, in this process and in others.

    Parameters
    ----------
    name : str
        Name in tables, and of the default folder of results.
    load : callable
        Returns the data.
    files : list of Path
        The files that are read, which are never written to.
    note : str, default ""
        A note on the results.
    seeds : int, optional
        A fixed number of seeds, where more would not help.
    """

    name: str
    load: Callable[[], Data]
    files: list[Path] = field(default_factory=list)
    note: str = ""
    seeds: int | None = None


def source_of(settings: "Settings") -> Source:
    """Return the source that the settings name, without loading it.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is none, or an option does not apply to it.
    """
    given = settings.data
    if isinstance(given, Task):
        return Source(given.name, lambda: data_of(given))
    text = str(given)
    if text in DATASETS:
        known = DATASETS[text]
        if settings.data_dir is not None and not known.files:
            raise ValueError(
                f"data_dir must be omitted for {text}, which has no files, got {settings.data_dir}"
            )
        return Source(
            text,
            lambda: load(text, settings.data_dir),
            files_of(text, settings.data_dir),
            known.note,
            known.seeds,
        )
    file, colon, name = text.rpartition(":")
    if colon and file.endswith(".py"):
        path = _check.file(file, "data")
        return Source(path.stem, lambda: data_of(_made(path, name)), [path])
    raise ValueError(
        f"data must be one of {', '.join(map(repr, DATASETS))}, a folder of images, a table, or "
        f"FILE.py:FUNCTION, got {text!r}{_check.closest(text, DATASETS)}"
    )


def _made(path: Path, name: str) -> Task:
    """Return the task that a function in a file makes."""
    made = loaded(path, name, "data")()
    if not isinstance(made, Task):
        raise TypeError(f"{path}:{name} must return a sampling.bench.Task, got {short(made)}")
    return made if made.name != "task" else replace(made, name=path.stem)


def loaded(path: Path, name: str, what: str) -> Any:
    """Return a function or class of a Python file, which is run as a module."""
    module_name = f"_sampling_bench_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{what} must be a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # so that its classes can be pickled
    sys.path.insert(0, str(path.parent.resolve()))  # it may import its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        names = [each for each in vars(module) if not each.startswith("_")]
        raise ValueError(
            f"{what} must name a function of {path}, got {name!r}{_check.closest(name, names)}"
        )
    return getattr(module, name)
