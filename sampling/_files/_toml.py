"""Reading TOML."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .. import _check

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file in UTF-8; an error names the file and the line."""
    _check.file(path, "a TOML file")
    try:
        # some editors write a byte-order mark
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be TOML in UTF-8, got: {error}: save it in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} must be TOML, got: {error}: correct that line") from error
