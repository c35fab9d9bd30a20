"""Writing of the report of a selection: whole, and never over a file of another kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from .. import _check
from .._check._keywords import short, told
from .._files import _parquet
from .._files._paths import Output, check_outputs, written_whole
from .._report._page import encoded, page_kind
from ..io import Table, Watch, digest, load_selection
from ..record import Selection
from ..selection import SelectionPlan
from ..types import Progress
from ._page import PROGRAM, page
from ._steps import steps_of
from ._view import Options, View, inputs_of, listed, opened, reads_of

_HTML = page_kind(PROGRAM)


@told
def selection_report_outputs(path: str | Path) -> list[Output]:
    """Return the file that `write_selection_report` will write, for `io.check_outputs`.

    Parameters
    ----------
    path : str or pathlib.Path

    Returns
    -------
    list of (path, Kind)
    """
    return [(path, _HTML)]


@told
def write_selection_report(  # noqa: PLR0913  # how a page is made
    selection: Selection | str | Path,
    source: str | Path | Sequence[str | Path],
    path: str | Path,
    *,
    beside: str | Path | Sequence[str | Path] = (),
    embeddings: str | None = None,
    scratch: str | Path | None = None,
    work: str | Path | None = None,
    by: str | Sequence[str] = (),
    text: str | None = None,
    image: str | None = None,
    layout: Literal["auto", "pca", "umap", "none"] = "auto",
    examples: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Write a report of a selection: one HTML page for a reviewer, before rows are deleted.

    The page holds the rows by stage and rule, checks of the inputs, group counts before and after
    each stage, histograms of scores of kept and dropped rows, the distance of rows to the nearest
    kept row compared with a random subset of the same size, a map of the embeddings, examples
    (pairs of copies, rows at the border of each threshold, kept and dropped rows), weights and
    repeats, inputs with digests, the plan, its cost and versions. Sections without data are absent.

    Parameters
    ----------
    selection : Selection, str or pathlib.Path
        A selection, or its subset file. Reasons and scores of dropped rows are shown if they are
        known: of a file that was saved with its dropped rows.
    source : str or pathlib.Path, or sequence of them
        The table that was selected from, as for `io.open_table`.
    path : str or pathlib.Path
        The page to write. An existing report of a selection is replaced; any other file is refused.
    beside : str or pathlib.Path, or sequence of them, default ()
        Files with additional columns of the same rows.
    embeddings : str, optional
        Column or tensor of the embeddings.
    scratch : str or pathlib.Path, optional
        Folder for a copy of embeddings in Parquet. By default a copy of large ones is made next to
        `path`, and removed.
    work : str or pathlib.Path, optional
        Folder of a plan's run, whose files hold the scores of each stage; that of the subset file
        by default.
    by : str or sequence of str, default ()
        Columns to show: of floats as a histogram, others as groups. In addition to columns of the
        plan, and to those named license, licence, source, dataset, domain, language or lang.
    text : str, optional
        Column of the texts of examples; by default one named text, content, caption, description,
        prompt, question or title, or else the first three columns.
    image : str, optional
        Column of the images of examples: encoded bytes, or paths relative to the folder of the
        table, or both as Hugging Face datasets stores them.
    layout : {"auto", "pca", "umap", "none"}, default "auto"
        How rows are placed on the map: "auto" is UMAP if it is installed, else PCA; "none" reads no
        embeddings, and shows neither map nor coverage.
    examples : bool, default True
        If False, the page holds no texts, images, ids or row numbers; names of groups are replaced
        by numbers except in columns of `by`, and texts in conditions are not shown.
    seed : int, default 0
        Seed of the rows shown, and of the random subset.
    progress : callable, optional
        Called with (step, total, unit).

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    ValueError
        If the table has changed since the selection, is another one, or has another number of rows;
        if there is no such column; if `path` is an input or a file of another kind.
    MissingExtraError
        If images are shown without Pillow, or `layout` is "umap" without umap-learn.

    Notes
    -----
    Cost
        Input files are read once for their digests, and the columns shown in full. Of the
        embeddings, all M kept rows, as many of a random subset, and the rows measured are read, in
        blocks: all N, or what 2**37 multiplications allow, at least 1,024. Memory: 16 bytes for
        each row of the table, and up to 200 MiB.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from sampling.selection import top
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table, page = Path(folder, "rows.parquet"), Path(folder, "report.html")
    ...     rows = pyarrow.table({"text": ["a", "b", "c"], "source": ["x", "x", "y"]})
    ...     pyarrow.parquet.write_table(rows, table)
    ...     written = write_selection_report(top([0.1, 0.9, 0.5], 2), table, page)
    ...     "Rows by source" in written.read_text()
    True
    """
    options = Options(
        tuple(_check.words("by", by)),
        None if text is None else _check.text("text", text),
        None if image is None else _check.text("image", image),
        _check.choice("layout", layout, ("auto", "pca", "umap", "none")),
        _check.flag("examples", examples),
        _check.seed(seed),
        progress,
    )
    target = _check.path("path", path)
    found, facts, name, folder = _read(selection, work)
    reads = reads_of(source, beside)
    own = [] if isinstance(selection, Selection) else [Path(selection)]
    check_outputs(selection_report_outputs(target), [*reads, *own])
    besides = _check.paths("beside", beside)
    sources = [listed(source), *([each] for each in besides)]
    watch = Watch([*sources[0], *besides])
    copied = None if options.layout == "none" else target
    with opened(source, besides, embeddings, scratch, copied) as table:
        _check_fits(found, table, options)
        inputs = inputs_of(found, sources, progress)
        steps, dropped_by = steps_of(found, table.size, folder)
        view = View(found, name, table, sources, inputs, steps, dropped_by, options, facts)
        lost = [step.name for step in steps if "order" in step.info and step.scores is None]
        if lost:
            view.notes.append(
                f"Scores of {', '.join(lost)}: the files of the stages are not there as they were "
                "written; name the folder of the run."
            )
        content = encoded(page(view))
    watch.compare()
    with written_whole(target, _HTML) as whole:
        whole.write_bytes(content)
    return target


@told
def write_plan_report(
    plan: SelectionPlan,
    work: str | Path,
    path: str | Path | None = None,
    *,
    examples: bool | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the report of a plan that was run.

    Parameters
    ----------
    plan : SelectionPlan
        Its `report` holds the arguments of `write_selection_report`, if it has one.
    work : str or pathlib.Path
        The folder of its run.
    path : str or pathlib.Path, optional
        The page to write; that of the plan by default.
    examples : bool, optional
        Whether the page shows rows of the data; as the plan says by default, or else True.
    progress : callable, optional
        Called with (step, total, unit).

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ValueError
        If neither the plan nor `path` names a page; and as `write_selection_report`.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from sampling.selection import SelectionPlan, Stage
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table, work = Path(folder, "rows.parquet"), Path(folder, "work")
    ...     pyarrow.parquet.write_table(pyarrow.table({"loss": [0.1, 0.9, 0.5]}), table)
    ...     stage = Stage("top", 2, columns={"scores": "loss"})
    ...     plan = SelectionPlan(table, [stage], report={"path": Path(folder, "review.html")})
    ...     _ = plan.run(work)
    ...     write_plan_report(plan, work).name
    'review.html'
    """
    given: dict[str, Any] = {**(plan.report or {})}
    own = given.pop("path", None)
    target = own if path is None else path
    if target is None:
        raise ValueError("path must name the page to write, or the plan have a report, got neither")
    if examples is not None:
        given["examples"] = examples
    folder = Path(work)
    copies = folder / "scratch"  # of embeddings in Parquet
    has_copy = copies.is_dir() and bool(plan.open().embedding_columns)
    return write_selection_report(
        folder / "selection.parquet",
        _check.paths("table", plan.table),
        target,
        beside=plan.beside,
        embeddings=plan.embeddings,
        scratch=copies if has_copy else None,
        progress=progress,
        **given,
    )


def _check_fits(selection: Selection, table: Table, options: Options) -> None:
    """Refuse a table with another number of rows, or without a column that is to be shown."""
    table.check_rows()
    most = int(selection.indices.max(initial=-1)) + 1
    if table.size != (selection.size or table.size) or table.size < most:
        raise ValueError(
            f"source must have the {selection.size or most} rows that were selected from, got "
            f"{table.size}"
        )
    for name in options.by:
        table.type_of(name)
    for shown in (options.text, options.image):
        if shown is not None:
            table.check_column(shown)


def _read(
    selection: Selection | str | Path, work: str | Path | None
) -> tuple[Selection, dict[str, Any], str, Path | None]:
    """Return the selection, facts of its file, the name of that, and the folder of its stages."""
    folder = None if work is None else _check.path("work", work)
    if isinstance(selection, Selection):
        return selection, _facts_of_run(selection, folder), "", folder
    if not isinstance(selection, str | Path):
        raise TypeError(
            f"selection must be a Selection or the path of its file, got {short(selection)}"
        )
    path = Path(selection)
    found = load_selection(path)
    folder = path.parent if folder is None else folder
    schema = _schema(path)
    manifest = _parquet.facts_in(schema, path) or {}
    facts = {
        "versions": manifest.get("versions", {}),
        "fingerprint": manifest.get("fingerprint"),
        "digest": digest(path),
        **_warnings(found, folder),
    }
    return found, facts, path.name, folder


def _schema(path: Path) -> Any:  # pyarrow.Schema
    with _parquet.opened(path) as file:
        return file.schema_arrow


def _facts_of_run(selection: Selection, folder: Path | None) -> dict[str, Any]:
    from ..record.files import versions

    return {"versions": versions(), **_warnings(selection, folder)}


def _warnings(selection: Selection, folder: Path | None) -> dict[str, Any]:
    """Return the warnings in the manifest of the plan's run, if it is in the folder."""
    path = None if folder is None else folder / "manifest.json"
    if path is None or "stages" not in selection.arguments or not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # a file of another program
        return {}
    plan = json.loads(json.dumps(selection.arguments, default=str))
    if not isinstance(found, dict) or found.get("plan") != plan:
        return {}
    return {"warnings": [str(each) for each in found.get("warnings", ())]}
