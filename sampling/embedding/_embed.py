"""Embed texts or images by a model on disk, into a .npy file with a manifest next to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from .. import _check
from .._check._keywords import short, told
from .._files import _parquet
from .._files._json import json_text
from .._files._kept import KeptRows, kept_rows
from .._files._paths import (
    Kind,
    Output,
    check_outputs,
    json_kind,
    next_to,
    parquet_kind,
    written_whole,
)
from .._version import __version__
from ..io import digest
from ..types import Progress
from ._models import Folder, Function, ImageModel, Model, TextModel, device_of
from ._sources import Bad, Files, Source, opened

__all__ = ["embed", "embedding_outputs"]

_VERSION = 1  # of the order of batches: rows of another differ in their last bits
_BATCHES = 64  # sorted together by length
_READERS = 8  # threads that decode images
_SHOWN = 100  # bad rows in a manifest
Pooling: TypeAlias = Literal["mean", "cls", "max", "last", "pooler"]


def _is_embeddings(path: Path) -> bool:
    return _MANIFEST.holds(path.with_suffix(".json"))


_MANIFEST = json_kind("a manifest of embeddings", "model", "source", "embeddings")
_ROWS = Kind("embeddings", ".npy", _is_embeddings)
_FILES = parquet_kind("the files of embedded images", lambda facts, schema: "images" in facts)


@told
def embedding_outputs(path: str | Path, *, files: bool = False) -> list[Output]:
    """Return the files that `embed` will write, for `check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path
        The .npy file; the manifest has its name with ".json".
    files : bool, default False
        Whether a folder of images is embedded, whose files are listed in a ".parquet" file.

    Returns
    -------
    list of (path, Kind)
    """
    listed: list[Output] = [(path, _ROWS), (next_to(path, ".json"), _MANIFEST)]
    if _check.flag("files", files):
        listed.append((next_to(path, ".parquet"), _FILES))
    return listed


@told
def embed(  # noqa: PLR0913  # one parameter for each choice
    source: str | Path | Sequence[Any],
    model: str | Path | Callable[[list[Any]], Any],
    out: str | Path | None = None,
    *,
    text: str | None = None,
    image: str | None = None,
    pooling: Pooling | None = None,
    max_tokens: int | None = None,
    prompt: str | None = None,
    normalise: bool = True,
    dtype: Literal["float16", "float32"] = "float16",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
    batch_size: int = 32,
    on_bad: Literal["raise", "nan"] = "raise",
    device: str | None = None,
    num_threads: int | None = None,
    progress: Progress | None = None,
) -> NDArray[Any]:
    """Embed the texts of a column, or the images of a folder, by a model on disk.

    The result is what the selectors by embeddings need: row i belongs to row i of the table. An
    interrupted call with `out` resumes where it was, and a call that is complete already returns
    at once.

    Parameters
    ----------
    source : str, pathlib.Path, sequence of them, or sequence of str
        A table, as for `sampling.io.open_table`, with `text` or `image`; a folder of images, also
        in subfolders, sorted by folder and name; or a list of texts in memory.
    model : str, pathlib.Path or callable
        Folder of a model, as `save_pretrained` of transformers or `save` of sentence-transformers
        writes it: ``config.json``, ``*.safetensors``, and the tokenizer or the image processor.
        Nothing is downloaded or unpickled, and no code of the folder is run. Otherwise a function
        that takes a list of str, or of images of Pillow in RGB, and returns an array or a tensor
        (B, D).
    out : str or pathlib.Path, optional
        The .npy file to write, with a manifest of the same name and ".json" next to it; for a
        folder of images also a ".parquet" file with the `path` and the `folder` of each row. By
        default the rows are returned in memory.
    text, image : str, optional
        Column of the texts, or of the images: bytes of an image file, or its path, relative to the
        folder of the table.
    pooling : {"mean", "cls", "max", "last", "pooler"}, optional
        What is made of the hidden states. By default what a folder of sentence-transformers names;
        otherwise "mean" over the tokens of a text, and for images "cls" if the model has a class
        token, else "mean". Models of texts and images, such as CLIP, have their own.
    max_tokens : int, optional
        Longer texts are cut, and counted in the manifest. By default what a folder of
        sentence-transformers names, otherwise what the model accepts, at most 512.
    prompt : str, optional
        Text put before each text, such as "passage: ", if the model was trained with one; by
        default that of the folder of sentence-transformers, if it has a default one.
    normalise : bool, default True
        Whether rows are divided by their norm.
    dtype : {"float16", "float32"}, default "float16"
        Of the rows. A cosine of rows of norm 1 differs by less than 0.001 in float16.
    precision : {"float32", "bfloat16", "float16"}, default "float32"
        In which the model computes.
    batch_size : int, default 32
        Texts or images computed together. Texts are sorted by length among 64 batches.
    on_bad : {"raise", "nan"}, default "raise"
        What is done with a row without a text, or whose image cannot be read: "nan" gives it a row
        of NaN, which the selectors drop with `on_bad="drop"`.
    device : str, optional
        Such as "cpu" or "cuda:1". By default a GPU if torch has one, otherwise the CPU.
    num_threads : int, optional
        Threads of torch; by default those that it has. The tokenizer has its own
        (`RAYON_NUM_THREADS`).
    progress : callable, optional
        Called with (step, total, "row") as rows are computed, and with "B" as bytes are read.

    Returns
    -------
    float16 or float32 array of shape (N, D)
        With `out` a memory map of the file.

    Raises
    ------
    ValueError
        If there is no such column, or a text or an image is missing; if `model` is no folder of a
        model, lacks weights, or holds them only pickled; if an image cannot be read (what was
        computed before is kept); if a row that the model returns is not finite in `dtype`, or has
        norm 0 and `normalise`. The message names the row.
    StateError
        If another process writes the same file.

    Notes
    -----
    Cost
        That of the model. Memory: the model, the column, and 64 batches; the rows are on disk.
        After a kill, a few seconds of work are repeated, and the result is the same.

    Examples
    --------
    >>> def letters(texts):  # a model of your own
    ...     return np.array([[text.count("a"), text.count("b")] for text in texts], float)
    >>> embed(["ab", "aaa", "b"], letters).round(2)
    array([[0.71, 0.71],
           [1.  , 0.  ],
           [0.  , 1.  ]], dtype=float16)
    """
    _check.choice("dtype", dtype, ("float16", "float32"))
    _check.choice("precision", precision, ("float32", "bfloat16", "float16"))
    _check.choice("on_bad", on_bad, ("raise", "nan"))
    if pooling is not None:
        _check.choice("pooling", pooling, ("mean", "cls", "max", "last", "pooler"))
    normalise = _check.flag("normalise", normalise)
    size = _check.integer("batch_size", batch_size, 1)
    place = device_of(device)
    if out is not None:
        out = _check.path("out", out)
        out = out.resolve() if out.is_symlink() else out  # the manifest is next to the file
    rows = opened(source, text, image)
    options = {"pooling": pooling, "max_tokens": max_tokens, "prompt": prompt}
    folder = _folder_of(model, rows.what, options)
    if out is not None:
        reads = [*rows.reads, *([] if folder is None else [folder.given])]
        check_outputs(embedding_outputs(out, files=isinstance(rows, Files)), reads)
    if on_bad == "raise":
        rows.refuse_missing()
    with _threads(num_threads):
        made: Model
        if folder is None:
            made = Function(model, rows.what)  # type: ignore[arg-type]  # checked: a callable
        elif rows.what == "text":
            made = TextModel(folder, place, precision, pooling, max_tokens, prompt)
        else:
            made = ImageModel(folder, place, precision, pooling)
        work = _Work(rows, made, size, normalise, np.dtype(dtype), on_bad, progress)
        return work.in_memory() if out is None else work.to_file(out)


def _folder_of(model: Any, what: str, options: dict[str, Any]) -> Folder | None:
    """Return the folder of a model, checked; None for a function."""
    if not isinstance(model, str | Path):
        if not callable(model) or isinstance(model, type):
            raise TypeError(f"model must be the folder of a model, or a function, got "
                            f"{short(model)}")  # fmt: skip
        _refuse_options(options, "with a function, which embeds on its own")
        return None
    if what == "image":
        _refuse_options({**options, "pooling": None}, "for images")
    if options["prompt"] is not None:
        _check.text("prompt", options["prompt"])
    return Folder(Path(model), what)


def _refuse_options(options: dict[str, Any], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} must be omitted {why}, got {value!r}")


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Let torch compute in so many threads; then restore its own number."""
    if number is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(_check.integer("num_threads", number, 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Work:
    """Rows of a source, computed in batches of a fixed order."""

    def __init__(  # noqa: PLR0913
        self,
        source: Source,
        model: Model,
        size: int,
        normalise: bool,
        dtype: np.dtype[Any],
        on_bad: str,
        progress: Progress | None,
    ) -> None:
        self._source, self._model, self._size = source, model, size
        self._normalise, self._dtype, self._on_bad = normalise, dtype, on_bad
        self._progress = progress

    # -------------------------------------------------------------- batches

    def batches(self, done: int) -> Iterator[tuple[NDArray[np.int64], list[Any], int]]:
        """Yield rows, what the model takes for each (a `Bad` if nothing), and how many were cut.

        done : batches that are skipped

        Texts are sorted by length among some batches; equal ones keep their order.
        """
        step = self._size * (_BATCHES if self._model.sorts else 1)
        first = done * self._size // step * step
        for window, items in self._windows(first, step):
            skipped = max(0, done - int(window[0]) // self._size)
            yield from self._sorted(window, items, skipped)

    def _windows(self, first: int, step: int) -> Iterator[tuple[NDArray[np.int64], list[Any]]]:
        """Yield consecutive rows and their items; images are decoded while the model computes."""
        total, item = self._source.size, self._source.item
        if self._source.what == "text":
            for start in range(first, total, step):
                window = np.arange(start, min(start + step, total))
                yield window, [item(row) for row in window.tolist()]
            return
        with ThreadPoolExecutor(_READERS) as pool:
            waiting: list[Any] = []
            for start in range(first, total, step):
                window = np.arange(start, min(start + step, total))
                rows = [pool.submit(item, row) for row in window.tolist()]
                if waiting:
                    yield waiting[0], [each.result() for each in waiting[1]]
                waiting = [window, rows]
            if waiting:
                yield waiting[0], [each.result() for each in waiting[1]]

    def _sorted(
        self, window: NDArray[np.int64], items: list[Any], skipped: int
    ) -> Iterator[tuple[NDArray[np.int64], list[Any], int]]:
        good = [at for at, each in enumerate(items) if not isinstance(each, Bad)]
        made = self._model.prepared([items[at] for at in good])
        lengths = np.zeros(len(items), np.int64)
        over = np.zeros(len(items), np.bool_)
        for at, (content, length, cut) in zip(good, made, strict=True):
            items[at] = content if length else Bad("a text without tokens")
            lengths[at], over[at] = length, cut
        order = np.argsort(-lengths, kind="stable")
        for begin in range(skipped * self._size, len(order), self._size):
            chosen = order[begin : begin + self._size]
            content = [items[at] for at in chosen.tolist()]
            yield window[chosen], content, int(over[chosen].sum())

    def width(self) -> int:
        """Return D, from the first row that has a text or an image."""
        for row in range(self._source.size):
            item = self._source.item(row)
            if isinstance(item, Bad):
                continue
            ((content, length, _),) = self._model.prepared([item])
            if length:
                return int(self._encoded([content]).shape[1])
        raise ValueError(f"source must have a {self._source.what} that can be read, got none in "
                         f"{self._source.size} rows")  # fmt: skip

    def computed(
        self, width: int, state: dict[str, Any]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
        """Yield rows and their embeddings (n, D), from the batch that the state names on.

        A yielded batch is added to the state when the next is asked for, after it was written.
        """
        self._refuse_bad({int(row): why for row, why in state.get("bad_rows", {}).items()})
        for rows, content, cut in self.batches(state.setdefault("done", 0)):
            good = [at for at, each in enumerate(content) if not isinstance(each, Bad)]
            bad = {int(rows[at]): str(each) for at, each in enumerate(content)
                   if isinstance(each, Bad)}  # fmt: skip
            self._refuse_bad(bad)
            whole = np.full((len(rows), width), np.nan, self._dtype)
            if good:
                found = self._encoded([content[at] for at in good])
                if found.shape[1] != width:
                    raise ValueError(
                        f"model must return rows of one length, got {found.shape[1]} after {width}"
                    )
                whole[good] = self._stored(found, rows[good])
            yield rows, whole
            state["done"] += 1
            state["cut"] = state.get("cut", 0) + cut
            state["bad"] = state.get("bad", 0) + len(bad)
            held = {**state.get("bad_rows", {}), **{str(row): why for row, why in bad.items()}}
            state["bad_rows"] = dict(list(held.items())[:_SHOWN])
            if self._progress is not None:
                self._progress(len(rows), self._source.size, "row")

    def _refuse_bad(self, bad: dict[int, str]) -> None:
        if bad and self._on_bad == "raise":
            row = min(bad)
            raise ValueError(
                f"{self._source.what} must be readable in each row, got {bad[row]} in row {row}"
                f"{self._source.name(row)}: mend it, or pass on_bad='nan', which gives it a row "
                "of NaN; what was computed before is kept"
            )

    def _encoded(self, content: list[Any]) -> NDArray[np.float32]:
        try:
            return self._model.encode(content)
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"batch_size must fit the memory of the device, got {self._size}: pass a smaller "
                f"one ({str(error).partition('.')[0]})"
            ) from error

    def _stored(self, found: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return rows of norm 1, if asked, in the dtype of the file; refuse what is not finite."""
        if self._normalise:
            norms = np.sqrt(np.einsum("nd,nd->n", found, found, dtype=np.float64))[:, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                found = (found / norms).astype(np.float32)
        with np.errstate(over="ignore"):
            stored = found.astype(self._dtype)
        wrong = ~np.isfinite(stored).all(axis=1)
        if wrong.any():
            hint = "dtype='float32'" if np.isfinite(found).all() else "another model or pooling"
            row = int(rows[wrong][0])
            raise ValueError(
                f"model must return rows that are finite as {self._dtype}"
                f"{' and not 0' if self._normalise else ''}, got another for row {row}"
                f"{self._source.name(row)}: use {hint}"
            )
        return stored

    # -------------------------------------------------------------- where rows go

    def in_memory(self) -> NDArray[Any]:
        """Return all rows: (N, D)."""
        width = self.width()
        whole = np.empty((self._source.size, width), self._dtype)
        for rows, values in self.computed(width, {}):
            whole[rows] = values
        return whole

    def to_file(self, out: Path) -> NDArray[Any]:
        """Write all rows and the manifest, resuming what an earlier call left."""
        facts = {
            "sampling": __version__,
            "order": _VERSION,
            "model": self._model.facts,
            "source": {**self._source.facts(self._progress), "kind": self._source.what},
            "rows": self._source.size,
            "normalise": self._normalise,
            "dtype": str(self._dtype),
            "batch_size": self._size,
        }
        if not _complete(out, facts, self._on_bad):
            with kept_rows(out, facts) as kept:
                self._fill(kept)
                self._write_beside(out, kept, facts)
                kept.finish(_ROWS)
        found: NDArray[Any] = np.load(out, mmap_mode="r", allow_pickle=False)
        return found

    def _fill(self, kept: KeptRows) -> None:
        """Compute the rows that are not in the file yet."""
        state, total = kept.state, self._source.size
        if "width" not in state:
            state["width"] = self.width()
        kept.open((total, state["width"]), self._dtype)
        done = min(state.get("done", 0) * self._size, total)
        if done and self._progress is not None:
            self._progress(done, total, "row")
        if done == total:
            return  # complete, but not moved
        for rows, values in self.computed(state["width"], state):
            kept.write(rows, values)
            kept.save()
        kept.save(now=True)

    def _write_beside(self, out: Path, kept: KeptRows, facts: dict[str, Any]) -> None:
        """Write the manifest, and the list of images; before the rows, whose digest it holds."""
        state = kept.state
        bad = {"count": state.get("bad", 0), "first": state.get("bad_rows", {})}
        entry = {"name": out.name, "bytes": kept.bytes, "digest": kept.digest()}
        whole = {**facts, "dimensions": state["width"], "cut_texts": state.get("cut", 0),
                 "bad_rows": bad, "embeddings": entry}  # fmt: skip
        if isinstance(self._source, Files):
            paths = self._source.paths
            table = pa.table({"path": paths, "folder": [str(Path(each).parent) for each in paths]})
            with written_whole(next_to(out, ".parquet"), _FILES) as beside:
                _parquet.write_own(beside, table, {"images": len(paths)})
        with written_whole(next_to(out, ".json"), _MANIFEST) as beside:
            beside.write_text(json_text(whole, indent=2) + "\n", encoding="utf-8")


def _complete(out: Path, facts: dict[str, Any], on_bad: str) -> bool:
    """Return whether a file holds these embeddings already, by its manifest and its digest."""
    if not out.is_file() or not _ROWS.holds(out):
        return False
    if "files" in facts["source"] and not _FILES.holds(next_to(out, ".parquet")):
        return False
    held = json.loads(next_to(out, ".json").read_text(encoding="utf-8"))
    same = all(held.get(name) == each for name, each in json.loads(json_text(facts)).items())
    bad = on_bad == "raise" and held.get("bad_rows", {}).get("count", 0) > 0
    return same and not bad and bool(held["embeddings"].get("digest") == digest(out))
