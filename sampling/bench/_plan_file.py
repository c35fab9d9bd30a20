"""Plan files: the settings of a benchmark as TOML, which a folder of results keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import _check
from .._files._paths import Kind, written_whole
from .._files._toml import read_toml

PLAN = "plan.toml"
_HEAD = "# Plan of `sampling bench`; run it again with `sampling bench plan.toml`.\n"


def _is_plan(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD.encode()


KIND = Kind("a plan of `sampling bench`", "TOML", _is_plan)


def read_plan(path: Path, known: Iterable[str]) -> dict[str, Any]:
    """Return the settings of a plan; an unknown key is refused with its line.

    Relative paths in it are relative to the current folder, as on the command line.
    """
    given = read_toml(path)
    names = list(known)
    for name, value in given.items():
        if name not in names:
            raise ValueError(
                f"{path} must hold settings of a benchmark, got {name!r} in line "
                f"{line_of(path, name)}{_check.closest(name, names)}"
            )
        if isinstance(value, Mapping):
            raise TypeError(
                f"{path} must hold no tables, got [{name}] in line {line_of(path, name)}"
            )
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}


def line_of(path: Path, name: str) -> int:
    """Return the number of the line that sets a key, 1 if none does."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    sets = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*[\]=.]")
    return next((n for n, line in enumerate(lines, 1) if sets.match(line)), 1)


def write_plan(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Write the settings that were given into a folder of results."""
    path = folder / PLAN
    lines = [f"{name} = {_toml(value)}\n" for name, value in settings.items()]
    with written_whole(path, KIND) as beside:
        beside.write_text(_HEAD + "".join(lines), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """Return a str, a number, a bool or a list of these as TOML, whose spelling is JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
