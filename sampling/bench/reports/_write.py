"""Writing of the report: the page, figures and tables, each whole and never over other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import _check
from ..._check._keywords import short, told
from ..._files._paths import Kind, Output, check_outputs, written_whole
from ..._report._page import encoded, holds, page_kind, start_of
from ..results._store import Results, check_results
from ..statistics import Verdict
from ..tasks._data import Data
from ._charts import Looks
from ._figures import SOURCE, balance_figure, cost_figure, image_of, pruning_figure
from ._page import PROGRAM, page
from ._tables import LATEX_START, RUNS_START, TABLE_START, latex, runs_csv, table_csv
from ._view import View

PAGE = "report.html"
_FIGURES = {"pruning": pruning_figure, "cost": cost_figure, "balance": balance_figure}


def _begins(text: str) -> Callable[[Path], bool]:
    """Return a function that tells whether a file begins with a text."""

    def is_one(path: Path) -> bool:
        return start_of(path).startswith(text.encode())

    return is_one


_HTML = page_kind(PROGRAM)
_PNG = Kind("a figure of `sampling bench`", "PNG", holds(f"Source\0{SOURCE}"))
_SVG = Kind("a figure of `sampling bench`", "SVG", holds(f"<dc:source>{SOURCE}</dc:source>"))
_RUNS = Kind("runs of `sampling bench`", "CSV", _begins(RUNS_START))
_TABLE = Kind("a table of `sampling bench`", "CSV", _begins(TABLE_START))
_LATEX = Kind("a table of `sampling bench`", "LaTeX", _begins(LATEX_START))
_TEXTS = {
    "runs.csv": (_RUNS, runs_csv),
    "table.csv": (_TABLE, table_csv),
    "table.tex": (_LATEX, latex),
}


def report_outputs(folder: Path) -> list[Output]:
    """Return the files that `write_report` may write, for `check_outputs`."""
    figures = [
        (folder / f"{name}.{kind}", which)
        for name in _FIGURES
        for kind, which in (("png", _PNG), ("svg", _SVG))
    ]
    texts = [(folder / name, kind) for name, (kind, _) in _TEXTS.items()]
    return [(folder / PAGE, _HTML), *figures, *texts]


@told
def write_report(
    results: Results,
    folder: Path,
    *,
    data: Data | None = None,
    margin: float | None = None,
    verdicts: Sequence[Verdict] | None = None,
    examples: bool = True,
    pilot: Mapping[str, Any] | None = None,
    answer: Sequence[str] = (),
) -> list[Path]:
    """Write the report of the results into a folder: a page, figures, and tables.

    `report.html` is one file that fetches nothing. `pruning`, `cost` and `balance` (methods at the
    full cost), as .png and .svg, are written only if they have a completed run to show; `runs.csv`
    has a line for each run, `table.csv` and `table.tex` for each row of the table.

    Parameters
    ----------
    results : Results
        Complete or not. Nothing is written without a run.
    folder : Path
        Output folder, created if it does not exist. If it is the folder of the results, what they
        keep of samples is shown too. Existing files of `write_report` are replaced, and no others.
    data : Data, optional
        The data of the first seed, for the accuracy of classes, what each method drops, and
        examples of it.
    margin : float > 0, optional
        Points of the test metric below full data that still count as non-inferior. By default that
        of the plan, or the larger of 0.3 points and three test samples.
    verdicts : sequence of verdicts, optional
        Comparisons with full data; by default those of `verdicts(results, margin)`.
    examples : bool, default True
        Whether the page may hold samples of the data. It says at its top whether it does.
    pilot : mapping of str to array of shape (N,), optional
        Training dynamics of the first seed, "confidence" and "variability", and scores by name.
    answer : sequence of str, default ()
        Sentences that come first in the answer.

    Returns
    -------
    list of Path
        The files written, each atomically.

    Raises
    ------
    ValueError, TypeError
        If `results` is no `Results`, an argument is out of range, or another file has the name of
        one that is written.
    MissingExtraError
        If matplotlib is not installed.
    """
    check_results(results)
    folder = Path(folder)
    examples = _check.flag("examples", examples)
    if data is not None and not isinstance(data, Data):
        raise TypeError(f"data must be the data of a benchmark, got {short(data)}")
    view = View(results, folder, data, margin, verdicts, pilot, _check.words("answer", answer))
    if not results.runs:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    check_outputs(report_outputs(folder))
    written = []
    for path, kind, content in _contents(view, folder, examples):
        with written_whole(path, kind) as beside:
            beside.write_bytes(content)
        written.append(path)
    return written


def _contents(view: View, folder: Path, examples: bool) -> Iterator[tuple[Path, Kind, bytes]]:
    """Yield each file: its path, kind and content."""
    yield folder / PAGE, _HTML, encoded(page(view, examples))
    looks = Looks(view)
    for name, draw in _FIGURES.items():
        figure = draw(view, looks)
        if figure is not None:
            yield folder / f"{name}.png", _PNG, image_of(figure, "png")
            yield folder / f"{name}.svg", _SVG, image_of(figure, "svg")
    for name, (kind, made) in _TEXTS.items():
        yield folder / name, kind, encoded(made(view))
