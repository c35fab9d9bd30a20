"""What is embedded: a column of texts or images of a table, a list of texts, a folder of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from .. import _check
from .._check._containers import is_missing, unread
from .._check._keywords import short
from .._files import _parquet
from .._files._images import files_below, image_from, image_in, upright
from .._files._remote import is_remote, located
from .._optional import require
from ..io import digests, open_table, paths_read, table_files, table_folder
from ..types import Progress

__all__ = ["Bad", "Column", "Files", "Source", "Texts", "opened"]

_SUFFIX = 20  # characters that a suffix is looked for in
_REMEDY = ": fill it, or pass on_bad='nan', which gives it a row of NaN"


class Bad(str):
    """The reason why a row has no text or image."""


class Source:
    """Rows to embed.

    Attributes
    ----------
    what : {"text", "image"}
        What the rows are.
    size : int
        N.
    reads : list of pathlib.Path
        Files and folders that are read.
    """

    what = "text"
    size = 0
    reads: list[Path]

    def facts(self, progress: Progress | None) -> dict[str, Any]:
        """Return the manifest entries of the source, which change if its content does."""
        raise TypeError(f"{type(self).__name__} must define facts")

    def refuse_missing(self) -> None:
        """Refuse rows without a text or an image, as far as that shows without decoding."""

    def name(self, row: int) -> str:
        """Return the end of a message about a row: its file, if it has one of its own."""
        return ""

    def item(self, row: int) -> Any:
        """Return the text, or the image of Pillow in RGB, or what is wrong with it, a `Bad`."""
        raise TypeError(f"{type(self).__name__} must define item")


def _colored(opened: Any) -> Any:  # of Pillow
    return upright(opened).convert("RGB")


def _or_bad(found: Any) -> Any:  # an image, or what is wrong with it
    return Bad(found) if isinstance(found, str) else found


class Texts(Source):
    """A list of texts, in memory."""

    def __init__(self, texts: Any) -> None:  # any sequence
        self.reads = []
        held = texts if hasattr(texts, "to_pylist") else unread("source", texts)
        if isinstance(held, np.ndarray) and held.ndim != 1:
            _check.refuse_shape("source", held)
        self._texts = held.to_pylist() if hasattr(held, "to_pylist") else list(held)
        for row, each in enumerate(self._texts):
            if not isinstance(each, str) and not is_missing(each):
                raise TypeError(f"source must hold strings, got {short(each)} in row {row}")
        self.size = len(self._texts)

    def facts(self, progress: Progress | None) -> dict[str, Any]:
        """Return a digest of the texts."""
        found = hashlib.sha256()
        for each in self._texts:
            data = b"" if is_missing(each) else each.encode("utf-8", "surrogatepass")
            found.update(f"{-1 if is_missing(each) else len(data)}:".encode() + data)
        return {"texts": f"sha256:{found.hexdigest()}"}

    def refuse_missing(self) -> None:
        """Refuse a missing text; the message names its row."""
        gone = [row for row, each in enumerate(self._texts) if is_missing(each)]
        if gone:
            more = f" ({len(gone)} such rows)" if len(gone) > 1 else ""
            raise ValueError(
                f"source must have a text in each row, got a missing one in row {gone[0]}{more}"
                f"{_REMEDY}"
            )

    def item(self, row: int) -> Any:
        """Return a text."""
        text = self._texts[row]
        return Bad("a missing text") if is_missing(text) else str(text)


class Column(Source):
    """A column of texts of a table, or of images: bytes of a file, or the path of one."""

    def __init__(self, source: Any, column: str, what: str) -> None:
        self.what, self._column = what, _check.text(what, column)
        self._source = _check.paths("source", source)
        self.reads = paths_read(self._source)
        table = open_table(source)
        table.check_rows()
        kind = table.type_of(column)
        words = pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) in _VIEWS
        coded = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        if not (words or (coded and what == "image") or pa.types.is_null(kind)):
            rule = "strings" if what == "text" else "paths of images, or their bytes"
            raise TypeError(f"{what} must be a column of {rule}, got {column!r}, of {kind}")
        self._values, self.size = table.values(column), table.size
        self._folder = table_folder(self._source)

    def facts(self, progress: Progress | None) -> dict[str, Any]:
        """Return the digests of the files of the table."""
        return {"column": self._column, "table": digests(self._source, progress=progress)}

    def refuse_missing(self) -> None:
        """Refuse a missing value; the message names its row."""
        _parquet.refuse_missing(f"{self.what} column {self._column!r}", self._values, _REMEDY)

    def name(self, row: int) -> str:
        """Return the path of an image."""
        value = self._values[row].as_py()
        return f" ({value})" if self.what == "image" and isinstance(value, str) else ""

    def item(self, row: int) -> Any:
        """Return a text or an image."""
        value = self._values[row].as_py()
        if value is None:
            return Bad(f"a missing {self.what}")
        if self.what == "text":
            return value
        return _or_bad(image_in(value, self._folder, _colored))


_VIEWS = {"string_view"}


class Files(Source):
    """The images in a folder and the folders in it, sorted by folder and name."""

    what = "image"

    def __init__(self, folder: Path) -> None:
        pillow = require("PIL.Image", "embed", "a folder of images")
        known = set(pillow.registered_extensions()) | {""}
        self.folder, self.reads = folder, [folder]
        every = list(files_below(folder, (folder.resolve(),)))
        self.files = [path for path in every if path.suffix.lower() in known]
        self.others, self.size = len(every) - len(self.files), len(self.files)
        if not self.size:
            others = ", ".join(path.name for path in every[:3]) or "no file"
            raise ValueError(
                f"{folder} must hold images, got {others}: for the rows of a table, name the "
                "column of texts or images"
            )

    @property
    def paths(self) -> list[str]:
        """Paths of the images in the folder."""
        return [path.relative_to(self.folder).as_posix() for path in self.files]

    def facts(self, progress: Progress | None) -> dict[str, Any]:
        """Return a digest of names, sizes and times: the images are read once, to embed them."""
        found = hashlib.sha256()
        for name, path in zip(self.paths, self.files, strict=True):
            try:
                facts = path.stat()
            except OSError:  # a broken link, refused when it is read
                found.update(f"{name}\0-\0".encode("utf-8", "surrogateescape"))
                continue
            text = f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\0"
            found.update(text.encode("utf-8", "surrogateescape"))
        return {"folder": self.folder.resolve().name, "files": f"sha256:{found.hexdigest()}",
                "ignored_files": self.others}  # fmt: skip

    def refuse_missing(self) -> None:
        """Refuse broken links and empty files; the message names the first."""
        for row, path in enumerate(self.files):
            if not path.exists() or not path.stat().st_size:
                got = "an empty file" if path.exists() else "a broken link"
                raise ValueError(f"{path} must be an image, got {got}, row {row}{_REMEDY}")

    def name(self, row: int) -> str:
        """Return the path of an image."""
        return f" ({self.files[row]})"

    def item(self, row: int) -> Any:
        """Return an image."""
        return _or_bad(image_from(self.files[row], _colored))


def _is_file(each: Any) -> bool:  # a path, or a text
    """Return whether this is the path of a file, rather than a text."""
    if isinstance(each, Path) or is_remote(each):
        return True
    if not isinstance(each, str) or not Path(each[-_SUFFIX:]).suffix:
        return False
    with suppress(OSError, ValueError):  # too long for a name, or with a NUL
        return Path(each).is_file()
    return False


def _refuse_table(source: Any) -> NoReturn:  # a path
    """Refuse a table of which no column is named."""
    table_files(source)  # refuses one that does not exist
    raise ValueError(
        f"text must be the column of {located(source)} to embed, or image that of images, got "
        "neither"
    )


def opened(source: Any, text: str | None, image: str | None) -> Source:
    """Return the rows that the arguments of `embed` name."""
    if text is not None and image is not None:
        raise ValueError(f"image must be omitted with text={text!r}, got {image!r}")
    if image is not None:
        require("PIL.Image", "embed", "a column of images")
    for name, each in (("text", text), ("image", image)):
        if each is not None and not isinstance(source, str | Path) and not _is_file(source[0]):
            raise ValueError(f"{name} must be omitted for texts in memory, got {each!r}")
    if text is not None or image is not None:
        column, what = (text, "text") if text is not None else (image, "image")
        return Column(source, str(column), what)
    if isinstance(source, str | Path):
        path = located(source)
        if isinstance(path, Path) and path.is_dir():
            return Files(path)
        _refuse_table(source)
    if isinstance(source, Sequence) and len(source) and _is_file(source[0]):
        _refuse_table(source[0])
    found = Texts(source)
    if not found.size:
        raise ValueError("source must not be empty, got length 0")
    return found
