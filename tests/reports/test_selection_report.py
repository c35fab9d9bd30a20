"""The report of a selection: its numbers, what it escapes, hides and refuses."""

import base64
import hashlib
import re
import shutil
import subprocess
import types

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from page_reader import ALLOWED, Reader, titles
from typer.testing import CliRunner

from sampling import Selection, io, selection
from sampling._report._style import SCRIPT
from sampling.cli import app
from sampling.reports import _geometry, selection_report_outputs, write_selection_report
from sampling.selection import SelectionPlan, Stage

N, D = 120, 4
RANDOM = np.random.default_rng(5)
ROWS = RANDOM.normal(size=(N, D)).astype(np.float32)
ROWS[60:90] = ROWS[:30] + np.float32(1e-3)  # copies
EVIL = "</b><script>evil</script>"
GROUPS = ["<i>a</i>", "b&c", None]


def table_of(n=N):
    return pa.table({
        "text": [f"{EVIL} secret-{at}" for at in range(n)],
        "name<b>": [f"id-{at}<u>" for at in range(n)],
        "license": [GROUPS[at % 3] for at in range(n)],
        "quality": RANDOM.normal(size=n),
    })  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A plan of dedup, quota and a filter, over rows of which one is not finite."""
    folder = tmp_path_factory.mktemp("made")
    rows = ROWS.copy()
    rows[100, 0] = np.nan
    np.save(folder / "rows.npy", rows)
    pq.write_table(table_of(), folder / "texts.parquet")
    plan = SelectionPlan(
        folder / "rows.npy",
        [
            Stage("semdedup", name="dedup", settings={"threshold": 0.99}),
            Stage(
                "quota",
                60,
                columns={"scores": "quality", "groups": "license"},
                settings={"unlabeled": "group"},
            ),  # fmt: skip
            Stage("filter", where=[["quality", ">=", -0.5], ["text", "!=", "secret-x"]]),
        ],
        beside=[folder / "texts.parquet"],
        ids="name<b>",
        on_bad="drop",
    )
    with pytest.warns(UserWarning, match="can undo"):
        plan.run(folder / "work")
    return folder


@pytest.fixture(scope="module")
def given(made):
    return {"source": made / "rows.npy", "beside": made / "texts.parquet", "layout": "pca"}


@pytest.fixture(scope="module")
def whole(made, given):
    subset = made / "work" / "selection.parquet"
    return write_selection_report(subset, path=made / "r.html", **given).read_text()


def cells(text, section):
    """Rows of the first table of a section: its name -> texts of its cells."""
    part = re.search(rf'<section [^>]*id="{section}">.*?</table>', text, re.DOTALL)[0]
    lines = re.findall(r"<tr[^>]*>(.*?)</tr>", part, re.DOTALL)
    plain = [
        [re.sub(r"<[^>]*>", "", each) for each in re.findall(r"<t[hd].*?</t[hd]>", line, re.DOTALL)]
        for line in lines
    ]
    return {line[0]: line[1:] for line in plain}


def test_every_section_is_there_and_nothing_given_becomes_markup(whole):
    found = Reader(whole)
    assert found.tags <= ALLOWED | {"strong"}
    assert not found.fetched
    assert len(set(found.ids)) == len(found.ids)
    assert found.refs <= set(found.ids)
    assert whole.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in whole
    assert titles(whole) == [
        "stages", "checks", "groups-0", "scores-2", "scores-3", "values-0", "coverage", "map",
        "pairs-2", "border-2", "border-3", "examples", "origin",
    ]  # fmt: skip
    text = "".join(found.text)
    for each in (EVIL, "<i>a</i>", "b&c", "<u>", "Holds", "sha256:", "numpy", "can undo"):
        assert each in text, each


def test_the_numbers_are_those_of_the_selection(made, whole):
    found = io.load_selection(made / "work" / "selection.parquet")
    stages = cells(whole, "stages")
    left = {name: io.load_selection(made / "work" / f"{name}.parquet") for name in
            ("1-dedup", "2-quota", "3-filter")}  # fmt: skip
    assert stages["table"][1] == str(N)
    assert stages["dedup (semdedup)"][1] == str(len(left["1-dedup"]))
    assert stages["quota"][1:3] == ["60", str(len(left["1-dedup"]) - 60)]
    assert stages["kept"][1] == str(len(found))
    assert stages["– a value that is not finite"][2] == "1"
    license_ = np.array([str(each) for each in table_of()["license"].to_pylist()])
    for name, shown in (("<i>a</i>", "&lt;i&gt;a&lt;/i&gt;"), ("None", "(missing)")):
        mine = license_ == name
        counts = [
            mine.sum(),
            mine.sum() - mine[100],
            *(mine[each.indices].sum() for each in left.values()),
        ]
        row = next(line for key, line in cells(whole, "groups-0").items()
                   if key.replace("<wbr>", "") == shown)  # fmt: skip
        assert row[1:6] == [str(each) for each in counts]


def test_distances_are_those_of_brute_force():
    kept, rows = np.array([3, 50, 77]), np.arange(N)
    points = ROWS + 100.0
    points[5] = np.inf
    found, near = _geometry.nearest(points, rows, kept, lambda done: None)
    every = np.linalg.norm(points[:, None].astype(float) - points[kept].astype(float), axis=2)
    good = rows != 5
    assert np.allclose(found[good], every.min(1)[good], atol=1e-4)
    assert np.isnan(found[5])
    assert near[5] == -1
    assert (kept[every.argmin(1)] == near)[good].all()


def test_a_page_to_be_shared_holds_nothing_of_the_data(made, given, whole):
    subset = made / "work" / "selection.parquet"
    page = write_selection_report(subset, path=made / "s.html", examples=False, **given).read_text()
    for each in ("secret", "evil", "id-1", "&lt;i&gt;a", "b&amp;c", "row 1"):
        assert each in whole or each == "row 1", each
        assert each not in page, each
    assert "Holds no samples of the data" in page
    assert {"stages", "groups-0", "scores-2", "coverage", "map"} <= set(titles(page))
    assert not {"pairs-2", "border-2", "examples"} & set(titles(page))
    named = write_selection_report(
        subset, path=made / "s.html", examples=False, by="license", **given
    )
    assert "b&amp;c" in named.read_text()  # a column that was asked for
    with pytest.raises(ValueError, match="column must be one of"):
        write_selection_report(subset, path=made / "s.html", by="licence", **given)


def test_the_same_call_writes_the_same_page_and_no_other_file_is_replaced(made, given, whole):
    subset = made / "work" / "selection.parquet"
    again = write_selection_report(subset, path=made / "r.html", **given)
    assert again.read_text() == whole
    io.check_outputs(selection_report_outputs(again))
    (made / "mine.html").write_text("<html>")
    for path, words in ((made / "mine.html", "another kind"), (subset, "what is read"),
                        (made / "r.csv", "suffix of HTML")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            write_selection_report(subset, path=path, **given)
    assert (made / "mine.html").read_text() == "<html>"


def test_a_table_that_was_not_selected_from_is_refused(made, given, tmp_path):
    subset = made / "work" / "selection.parquet"
    np.save(tmp_path / "rows.npy", ROWS + 1)
    np.save(tmp_path / "others.npy", ROWS + 1)
    np.save(tmp_path / "few.npy", ROWS[:9])
    wrong = {"rows": "rows.npy holds other bytes", "others": "it was made of rows.npy",
             "few": "must have the 120 rows"}  # fmt: skip
    for name, words in wrong.items():
        with pytest.raises(ValueError, match=words):
            write_selection_report(subset, tmp_path / f"{name}.npy", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
    moved = shutil.copy(made / "rows.npy", tmp_path / "moved.npy")
    pq.write_table(pa.table({"more": np.arange(N)}), tmp_path / "more.parquet")
    page = write_selection_report(
        subset, moved, tmp_path / "r.html", beside=tmp_path / "more.parquet", layout="pca"
    ).read_text()
    assert "Not checked but for the number of rows: more.parquet" in page


@pytest.mark.parametrize(
    ("found", "shown", "absent"),
    [
        (selection.top(np.arange(N), 20), {"scores-1", "border-1"}, {"weights", "pairs-1"}),
        (selection.cluster_uniform(ROWS, 20), {"weights", "coverage"}, {"border-1"}),
        (selection.semdedup(ROWS, threshold=0.99, rule="components"), {"pairs-1"}, {"border-1"}),
        (Selection(np.array([3, 3, 7, 3]), method="repeats", size=N), {"weights"}, {"scores-1"}),
        (Selection(np.arange(N), method="all", size=N), {"map"}, {"coverage"}),
        (Selection(np.zeros(0, np.int64), method="none", size=N), {"map"}, {"coverage"}),
    ],
    ids=lambda each: getattr(each, "method", ""),
)
def test_selections_of_all_kinds(found, shown, absent, given, tmp_path):
    page = write_selection_report(found, path=tmp_path / "r.html", **given).read_text()
    Reader(page)
    assert shown <= set(titles(page))
    assert not absent & set(titles(page))
    assert "Not checked: the selection holds no digests" in page
    if found.method == "repeats":
        assert "4 draws of 2 rows" in page


def test_a_chain_of_commands_is_reported_by_stage(made, given, tmp_path):
    table = io.open_table(made / "rows.npy", beside=[made / "texts.parquet"])
    first = selection.filter_from(table, [["quality", ">=", -0.5]])
    second = selection.select_from(
        table, "semdedup", None, within=first, settings={"threshold": 0.99, "on_bad": "drop"}
    )
    third = selection.select_from(table, "top", 20, within=second, columns={"scores": "quality"})
    page = write_selection_report(third, path=tmp_path / "r.html", **given).read_text()
    assert "filter → semdedup → top" in page
    assert "Copies that semdedup dropped" in page
    assert f"{len(second):,}" in cells(page, "stages")["semdedup"]
    assert {"pairs-2", "scores-3"} <= set(titles(page))


def test_copies_of_texts_are_shown_without_embeddings(tmp_path):
    words = "red green blue grey pink gold lime teal navy plum".split()
    texts = [f"{word} words about {word} things{'.' * more}" for word in words for more in (0, 1)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    found = selection.dedup_text(texts, threshold=0.7, keep="first")
    assert found.info["copies"] == 10
    page = write_selection_report(found, tmp_path / "t.parquet", tmp_path / "r.html").read_text()
    assert "pairs-1" in titles(page)
    assert "Jaccard index of the n-grams" in page
    assert "Of 10 copies, 10 have a known row that was kept instead" in page
    assert f"similarity {np.nanmin(found.similarities):.4f}" in page


def test_files_without_dropped_rows_tables_without_embeddings_and_images(made, tmp_path):
    image = pytest.importorskip("PIL.Image")
    picture = tmp_path / "a.png"
    image.new("RGB", (8, 8), (200, 30, 30)).save(picture)
    rows = pa.table({
        "picture": ["a.png", "missing.png"] * 3, "raw": [picture.read_bytes(), b"<bad>"] * 3,
        "both": [{"bytes": picture.read_bytes(), "path": None}, None] * 3,
    })  # fmt: skip
    pq.write_table(rows, tmp_path / "rows.parquet")
    found = io.with_inputs(selection.top(np.arange(6), 2), tmp_path / "rows.parquet")
    io.save_selection(found, tmp_path / "subset.parquet")
    for column in ("picture", "raw", "both"):
        page = write_selection_report(
            tmp_path / "subset.parquet", tmp_path / "rows.parquet", tmp_path / "r.html",
            image=column,
        ).read_text()  # fmt: skip
        assert "Why a row was dropped is not recorded" in page
        assert page.count("data:image/png;base64,") == 3
        assert page.count("(no image: ") == 3
        assert all(each.startswith("data:") for each in Reader(page).fetched)
        assert not {"coverage", "map", "scores-1"} & set(titles(page))


def test_large_embeddings_in_parquet_are_copied_and_the_copy_is_removed(tmp_path, monkeypatch):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), D)
    (tmp_path / "corpus").mkdir()
    for at in range(2):
        part = pa.table({"x": lists.slice(at * 60, 60), "source": [f"s{at}"] * 60})
        pq.write_table(part, tmp_path / "corpus" / f"{at}.parquet")
    found = io.with_inputs(selection.top(np.arange(N), 10), tmp_path / "corpus")
    call = (found, tmp_path / "corpus", tmp_path / "r.html")
    in_memory = write_selection_report(*call, layout="pca").read_text()
    monkeypatch.setattr("sampling.reports._view._SMALL", 10)
    assert write_selection_report(*call, layout="pca").read_text() == in_memory
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "r.html"}
    assert "Rows by source" in in_memory


def test_umap_is_used_if_it_is_installed(made, given, tmp_path, monkeypatch):
    class Stub:
        def __init__(self, **given):
            assert given["random_state"] == 7

        def fit_transform(self, rows):
            return rows[:, :2]

    module = types.SimpleNamespace(UMAP=Stub, __version__="0.0")
    monkeypatch.setattr(_geometry, "require", lambda *_: module)
    found = _geometry.laid_out(ROWS, np.arange(N), "umap", 7)
    assert np.array_equal(found.xy, ROWS[:, :2])
    assert found.names == ("UMAP 1", "UMAP 2")
    flat = _geometry.laid_out(np.ones((9, 1)), np.arange(9), "pca", 0)
    assert (flat.xy == 0).all()


@pytest.mark.full
def test_umap_itself():
    """Two clouds that are far apart stay apart, and the map is the same on repeat."""
    pytest.importorskip("umap", reason="needs umap-learn")
    rows = ROWS[:60] + np.repeat([0, 50], 30)[:, None].astype(np.float32)
    one, other = (_geometry.laid_out(rows, np.arange(60), "umap", 7) for _ in range(2))
    assert np.array_equal(one.xy, other.xy)
    centers = one.xy[:30].mean(axis=0), one.xy[30:].mean(axis=0)
    spread = max(one.xy[:30].std(axis=0).max(), one.xy[30:].std(axis=0).max())
    assert np.linalg.norm(np.subtract(*centers)) > 4 * spread


def test_commands_write_it(made, tmp_path, monkeypatch):
    monkeypatch.setattr(_geometry, "find_spec", lambda name: None)  # no UMAP, which is slow
    monkeypatch.chdir(tmp_path)
    for name in ("rows.npy", "texts.parquet"):
        shutil.copy(made / name, name)
    np.save("good.npy", ROWS)
    plan = '[read]\ntable = "texts.parquet"\n[[stage]]\nmethod = "top"\nbudget = 9\n'
    plan += 'columns = { scores = "quality" }\n'
    (tmp_path / "plan.toml").write_text(plan)
    own = '[report]\npath = "page/e.html"\nby = ["license"]\ntext = "text"\nexamples = false\n'
    (tmp_path / "page.toml").write_text(plan + own)
    (tmp_path / "page").mkdir()
    said = ["--map", "pca", "--by", "license,quality"]
    calls = [
        ["dedup", "good.npy", "--threshold", "0.99", "--report", "a.html", "--no-examples",
         "--dropped", "--json"],
        ["select", "top", "texts.parquet", "--budget", "9", "--with", "scores=quality",
         "--out", "top.parquet", "--report", "b.html"],
        ["run", "plan.toml", "--report", "plan/c.html"],
        ["run", "page.toml"],
        ["run", "page.toml", "--examples", "--report", "f.html"],
        ["dedup-text", "texts.parquet", "--exact", "--dropped", "--report", "g.html",
         "--out", "texts-subset.parquet"],
        ["report", "subset.parquet", "good.npy", "--beside", "texts.parquet", "--out", "d.html",
         *said],
    ]  # fmt: skip
    for call in calls:
        done = CliRunner().invoke(app, call, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    for name, example in (("a", False), ("b", True), ("plan/c", True), ("d", True),
                          ("page/e", False), ("f", True), ("g", True)):  # fmt: skip
        assert ("secret" in (tmp_path / f"{name}.html").read_text()) == example, name
    wrong = {"[report]: column must be one of": 'path = "a.html"\ntext = "txt"',
             "[report] must name a path": 'text = "text"',
             "[report] must hold": 'path = "a.html"\nmap = "pca"',
             "[report]: examples must be": 'path = "a.html"\nexamples = 0.5',
             "x.csv must have a suffix": 'path = "x.csv"'}  # fmt: skip
    wrong = {f"wrong{at}": (words, text) for at, (words, text) in enumerate(wrong.items())}
    for name, (_, text) in wrong.items():
        (tmp_path / f"{name}.toml").write_text(f"{plan}[report]\n{text}\n")
    wrong = {name: words for name, (words, _) in wrong.items()}
    refused = [
        (["select", "top", "texts.parquet", "--budget", "9", "--with", "scores=quality",
          "--no-examples"], "--examples must be omitted without --report"),
        (["run", "plan.toml", "--dry-run", "--report", "c.html"], "--report must be omitted"),
        (["dedup", "good.npy", "--threshold", "0.9", "--report", "x.csv"],
         "x.csv must have a suffix"),
        (["report", "top.parquet", "good.npy"], "INPUT must be the table"),
        *((["run", f"{name}.toml"], words) for name, words in wrong.items()),
    ]  # fmt: skip
    for call, words in refused:
        done = CliRunner().invoke(app, call)
        assert done.exit_code == 2, done.output
        assert words in done.output


@pytest.mark.full
@pytest.mark.parametrize("theme", [0, 1])
def test_the_page_shows_in_both_themes(theme, made, whole, tmp_path):
    """Dark is 0."""
    from matplotlib.image import imread

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    picture = tmp_path / "page.png"
    subprocess.run(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--user-data-dir={tmp_path / 'profile'}",
         f"--blink-settings=preferredColorScheme={theme}", "--window-size=500,1800",
         f"--screenshot={picture}", (made / "r.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    pixels = imread(picture)[..., :3]
    corner = pixels[-1, 0]
    assert corner.mean() > 0.9 if theme else corner.mean() < 0.2
    assert np.ptp(pixels.mean(-1)) > 0.7
