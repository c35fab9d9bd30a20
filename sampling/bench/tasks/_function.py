"""Functions and classes in a Python file of the user."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from ... import _check
from ..._check._keywords import short
from ._task import Task

_LOADED: dict[str, Path] = {}  # modules that were imported here, and their files


def task_of(path: Path, name: str) -> Task:
    """Return the task that a function in a file makes; a `Task` in the file is one itself.

    Raises
    ------
    ValueError
        If the file cannot be run, has no such function, or the function raises; the message names
        the error and the line.
    TypeError
        If the function returns something else.
    """
    made = loaded(path, name, "data")
    if not isinstance(made, Task):
        if not callable(made):
            raise TypeError(f"{path}:{name} must be a function, got {short(made)}")
        made = _called(made, path, name)
    if not isinstance(made, Task):
        raise TypeError(f"{path}:{name} must return a sampling.bench.Task, got {short(made)}")
    return made


def loaded(path: Path, name: str, what: str) -> Any:
    """Return a function or class of a Python file, which is run as a module.

    The module has the name of the file, and its folder is the first that is searched, as for a
    script: it may import its neighbours, and other processes can unpickle its classes. A file in a
    package, a folder with an `__init__.py`, is a module of it, and may import relatively. A file
    that changed is run again.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        Name of the function or class.
    what : str
        What the file is given as, for messages.

    Raises
    ------
    ValueError
        If the file cannot be run or has no such name, or another module has its name.
    """
    module = _module(path.resolve(), what)
    if not hasattr(module, name):
        names = [each for each in vars(module) if not each.startswith("_")]
        raise ValueError(
            f"{what} must name a function of {path}, got {name!r}{_check.closest(name, names)}"
        )
    return getattr(module, name)


def _module(path: Path, what: str) -> ModuleType:
    """Run a file as a module."""
    root, name = path.parent, path.stem
    while (root / "__init__.py").is_file() and root != root.parent:
        root, name = root.parent, f"{root.name}.{name}"
    if not all(word.isidentifier() for word in name.split(".")):
        raise ValueError(
            f"{what} must be a file whose name Python can import, such as my_task.py, got "
            f"{path.name!r}"
        )
    folder = str(root)
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()  # the file may be newer than the listing of its folder
    held = sys.modules.get(name)
    if held is not None and name in _LOADED:
        del sys.modules[name]  # to be run again: it may have changed, or be another file
    elif held is not None and _is_file(held.__spec__, path):
        return held  # imported by the user
    elif held is not None or not _is_file(_spec(name), path):
        raise ValueError(
            f"{what} must be a file with a name of its own, got {path.name}: there is another "
            f"module {name!r}; rename the file"
        )
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # of a file changed twice in a second, it would be out of date
    try:
        _LOADED[name] = path
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise ValueError(
            f"{path} must run without an error, got {described(error, path)}"
        ) from error
    finally:
        sys.dont_write_bytecode = before


def _spec(name: str) -> ModuleSpec | None:
    """Return where a module would be imported from."""
    try:
        return importlib.util.find_spec(name)
    except Exception as error:  # noqa: BLE001  # of a package on the way, which this runs
        raise ValueError(
            f"the package of {name!r} must be importable, got {type(error).__name__}: {error}"
        ) from error


def _is_file(spec: ModuleSpec | None, path: Path) -> bool:
    origin = None if spec is None else spec.origin
    return origin is not None and Path(origin).exists() and Path(origin).samefile(path)


def _called(function: Any, path: Path, name: str) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{path}:{name} must return a sampling.bench.Task, got {described(error, path)}"
        ) from error


def described(error: BaseException, path: Path) -> str:
    """Return type and text of an error, with the last line of a file that led to it."""
    text = str(error)
    if isinstance(error, SyntaxError):  # its text ends with file and line
        return f"{type(error).__name__}: {text}"
    if isinstance(error, ImportError) and "relative import" in text:
        text += f": import neighbours by their names, or make {path.parent.name} a package"
    lines = [
        each.lineno for each in traceback.extract_tb(error.__traceback__)
        if Path(each.filename).name == path.name
    ]  # fmt: skip
    where = f" ({path.name}, line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {text}{where}" if text else f"{type(error).__name__}{where}"
