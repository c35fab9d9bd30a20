"""The files of the report: which, where, never over others, and what other programs read."""

import csv
import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from sampling._files._paths import check_outputs
from sampling._report import _style
from sampling._report._svg import look
from sampling.bench import Results, Run, write_report
from sampling.bench.reports._charts import Looks
from sampling.bench.reports._figures import SOURCE, image_of, pruning_figure
from sampling.bench.reports._tables import latex, runs_csv, table_csv, tex
from sampling.bench.reports._view import View
from sampling.bench.reports._write import report_outputs

from .conftest import HOSTILE, results_of

STUB = f"Source\0{SOURCE} <dc:source>{SOURCE}</dc:source>".encode()


def names(paths):
    return {path.name for path in paths}


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made and not drawn, which takes a third of a second each."""
    monkeypatch.setattr("sampling.bench.reports._write.image_of", lambda figure, kind: STUB)


def test_files_are_written_whole_and_replaced(results, tmp_path):
    results.runs[:] = [replace(run, total_cost=0.0) for run in results.runs]  # a figure less
    written = write_report(results, tmp_path / "new")
    assert names(written) == {
        "report.html", "pruning.png", "pruning.svg", "runs.csv", "table.csv", "table.tex",
    }  # fmt: skip
    before = {path.name: path.read_bytes() for path in written}
    check_outputs(report_outputs(tmp_path / "new"))
    assert write_report(results, str(tmp_path / "new")) == written
    assert {path.name: path.read_bytes() for path in written} == before  # nothing depends on time
    assert names((tmp_path / "new").iterdir()) == set(before)
    image = imread(tmp_path / "new" / "pruning.png")
    assert image.shape[0] > 400
    assert np.ptp(image[..., :3]) == 1.0


@pytest.mark.parametrize("name", ["report.html", "cost.svg", "runs.csv", "table.tex"])
def test_a_file_of_another_program_stays(name, results, tmp_path):
    (tmp_path / name).write_text("method,mine\n<svg>")
    with pytest.raises(ValueError, match=re.escape(name)):
        write_report(results, tmp_path)
    assert names(tmp_path.iterdir()) == {name}
    with pytest.raises(ValueError, match=re.escape(name)):
        check_outputs(report_outputs(tmp_path))


def test_methods_at_the_full_cost_and_one_run(tmp_path, undrawn):
    rows = {(name, 1.0): 0.5 for name in ("full", "class-balanced", "mine")}
    tail = results_of(rows, seeds=2)
    tail.identity["imbalance"] = 100.0
    assert {"balance.png", "balance.svg", "cost.png", "cost.svg"} <= names(
        write_report(tail, tmp_path / "a")
    )
    assert "long tail 1:100" in (tmp_path / "a" / "report.html").read_text()
    one = Results({}, "recall", runs=[Run("mine", 0.5, 0, 0.5, test=0.8)])
    assert "pruning.png" in names(write_report(one, tmp_path / "b"))
    assert write_report(Results({}, "recall"), tmp_path / "c") == []
    assert not (tmp_path / "c").exists()


def test_names_are_shown_as_they_are_in_figures(tmp_path):
    view = View(results_of({(name, 0.5): 0.8 for name in HOSTILE}, seeds=2), tmp_path)
    figure = pruning_figure(view, Looks(view))
    (axes,) = figure.axes
    shown = {text.get_text().strip() for text in axes.get_legend().get_texts()}
    assert shown == {name.replace("$", r"\$") for name in HOSTILE}
    assert image_of(figure, "png").startswith(b"\x89PNG")  # and nothing is read as a formula


def test_tables_for_other_programs(results, tmp_path):
    results.add(Run("gone", 0.5, 0, 0.5, state="failed", reason='said "no",\nand died'))
    view = View(results, tmp_path)
    runs = read_csv(runs_csv(view))
    assert len(runs) == len(results.runs)
    assert float(runs[0]["test"]) == results.runs[0].test
    assert runs[0]["seconds_training"] == "10.0"
    assert runs[-1]["reason"] == 'said "no",\nand died'
    rows = read_csv(table_csv(view))
    places = [(row["method"], row["keep"]) for row in rows]
    assert places[:2] == [("full", "1.0"), ("random", "0.5")]
    mine = next(row for row in rows if row["method"] == "mine" and row["keep"] == "0.1")
    assert float(mine["mean"]) == pytest.approx(70, abs=0.2)
    assert mine["decision"] == "inferior"
    gone = rows[places.index(("gone", "0.5"))]
    assert (gone["mean"], gone["note"]) == ("", 'said "no",\nand died')


def test_latex_needs_only_booktabs_and_escapes_every_name(results, tmp_path):
    for at, name in enumerate((*HOSTILE, "a\nb", "🎲")):
        results.add(Run(name, 0.5, at, 0.5, test=0.5))
    text = latex(View(results, tmp_path))
    assert set(re.findall(r"\\begin\{(\w+)\}", text)) == {"tabular"}
    assert r"\textless{}script\textgreater{}alert(1)" in text
    assert "a b & " in text
    assert "[U+1F3B2] & " in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            bare = re.sub(r"\\.", "", line)  # without what is escaped
            assert bare.count("&") == 5
            assert not re.search(r"[#%~^]", bare)
            assert bare.count("$") % 2 == 0
            assert bare.count("{") == bare.count("}")
    assert tex(r"\{}$&#_%~^") == (
        r"\textbackslash{}\{\}\$\&\#\_\%\textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"margin": 0}, ValueError, "margin must be in"),
        ({"examples": "yes"}, TypeError, "examples must be"),
        ({"data": 3}, TypeError, "data must be the data of a benchmark, got 3"),
        ({"verdicts": [3]}, TypeError, "verdicts must hold Verdicts, got"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, words, results, tmp_path):
    with pytest.raises(error, match=words):
        write_report(results, tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------------- colours

_SEEN = {  # Machado et al. 2009, severity 1, on linear RGB
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    value = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    x, y, z = np.cbrt(_XYZ @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.0888])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(
    ("colors", "background"),
    [(_style.LIGHT, _style.LIGHT_PAGE), (_style.DARK, _style.DARK_PAGE)],
)
def test_colours_differ_for_colour_blind_readers_and_from_the_page(colors, background):
    back = _XYZ[1] @ linear(background)
    for color in colors:
        front = _XYZ[1] @ linear(color)
        assert (max(front, back) + 0.05) / (min(front, back) + 0.05) > 3
    for seen in _SEEN.values():
        points = [lab(np.asarray(seen) @ linear(color)) for color in colors]
        near = min(math.dist(a, b) for at, a in enumerate(points) for b in points[:at])
        assert near > 20


def test_no_two_methods_look_alike():
    looks = [look(place) for place in range(64)]
    assert len({(each.color, each.marker) for each in looks}) == 64
    assert len({each.dash for each in looks[:8]}) == 8
