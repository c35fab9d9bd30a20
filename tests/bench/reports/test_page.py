"""The page: nothing is fetched, everything is escaped, sections without data are absent."""

import base64
import hashlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from page_reader import ALLOWED, Reader, titles

from sampling._report._style import SCRIPT
from sampling.bench import Results, Run
from sampling.bench.reports._page import page
from sampling.bench.reports._view import View

from .conftest import HOSTILE, keep_details, make_data, results_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A page with every section, and names that are markup."""
    folder = tmp_path_factory.mktemp("whole")
    rows = {("full", 1.0): 0.9, ("balanced", 1.0): 0.91, ("mine", 0.5): 0.89, ("yours", 0.5): 0.85}
    results = results_of({**rows, **{(name, 0.3): 0.8 for name in HOSTILE}},
                         class_names=["<i>", "&", "c", "d"])  # fmt: skip
    reason = "</td><script>boom"
    results.add(Run("mine", 0.3, 0, 0.3, state="failed", reason=reason))
    keep_details(results, folder)
    pilot = {"confidence": np.linspace(0, 1, 64), "variability": np.linspace(0.5, 0, 64) ** 2}
    pilot["<el2n>"] = np.arange(64.0)
    data = make_data(lambda rows: ["</b><script>evil" if r % 2 else "plain" for r in rows])
    return page(View(results, folder, data, pilot=pilot))


def test_nothing_is_fetched_and_nothing_given_becomes_markup(whole):
    found = Reader(whole)
    assert found.tags <= ALLOWED
    assert all(value.startswith("data:image/png;base64,") for value in found.fetched)
    assert "@import" not in whole
    assert all(each.startswith("url(#") for each in re.findall(r"url\([^)]*\)", whole))
    assert len(set(found.ids)) == len(found.ids)
    assert found.refs <= set(found.ids)
    assert whole.count("<script") == 1
    text = "".join(found.text)
    assert all(name in text for name in (*HOSTILE, "</td><script>boom", "</b><script>evil"))


def test_policy_lets_only_the_own_script_run(whole):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', whole)[1]
    script = re.search(r"<script>(.*?)</script>", whole, re.DOTALL)[1]
    assert script == SCRIPT
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert policy.endswith(f"script-src 'sha256-{digest}'")


def test_every_section_is_there_with_its_data_and_absent_without(whole, results, tmp_path):
    assert titles(whole) == [
        "pruning", "full-cost", "cost", "time", "curves", "phases", "classes", "agreement",
        "dropped", "gallery", "map", "table", "without", "origin",
    ]  # fmt: skip
    bare = Results({}, "recall", runs=[Run("mine", 0.5, 0, 0.5, test=0.8)])
    text = page(View(bare, tmp_path))
    assert titles(text) == ["pruning", "table", "origin"]
    assert "nan" not in "".join(Reader(text).text)
    none = Results({}, "recall", runs=[Run("a", 0.5, 0, 0.5, state="failed", reason="why")])
    assert titles(page(View(none, tmp_path))) == ["without", "origin"]
    assert "No run has a result yet." in page(View(none, tmp_path))


@pytest.mark.parametrize("allowed", [True, False])
def test_the_top_says_whether_samples_of_the_data_are_held(results, tmp_path, allowed):
    keep_details(results, tmp_path)
    text = page(View(results, tmp_path, make_data()), allowed)
    held = len(re.findall(r"<img", text))
    assert (held > 0) == allowed
    top = text.partition("<main>")[0]
    assert bool(re.search(r"Holds [1-9]\d* samples of the data", top)) == allowed
    assert ("Holds no samples of the data" in top) != allowed
    assert ("gallery" in titles(text)) == allowed
    assert "dropped" in titles(text)  # numbers about samples are no samples


def test_examples_that_fail_are_said_and_cost_only_themselves(results, tmp_path):
    keep_details(results, tmp_path)
    for examples, words in (
        (lambda rows: 1 / 0, "Examples cannot be shown: ZeroDivisionError"),
        (lambda rows: [3.5] * len(rows), "examples must return texts"),
        (lambda rows: [], "Examples cannot be shown: ValueError"),
    ):
        text = page(View(results, tmp_path, make_data(examples)))
        assert words in text
        assert "Holds no samples of the data" in text


def test_examples_are_those_of_the_rows_that_were_drawn(results, tmp_path):
    """Of data that were cut, a sample has another row in the task's training set."""
    asked = []
    data = make_data(lambda rows: asked.extend(rows.tolist()) or ["x"] * len(rows))
    data = data._with_rows(np.arange(63, -1, -1))
    keep_details(results, tmp_path)
    text = page(View(results, tmp_path, data))
    kept = re.search(r"mine: kept.*?</ul>", text, re.DOTALL)[0]
    numbers = [int(each) for each in re.findall(r"#(\d+),", kept)]
    assert len(numbers) == 8
    assert min(numbers) >= 32  # `mine` never draws the first half
    assert {63 - number for number in numbers} <= set(asked)


def test_details_of_other_data_are_not_shown(results, tmp_path):
    keep_details(results, tmp_path)
    data = make_data()._with_rows(np.arange(50))
    assert not {"gallery"} & set(titles(page(View(results, tmp_path, data))))
    data = make_data()
    wide = Results(results.identity, "accuracy", runs=results.runs, about={"samples": 64})
    assert "classes" in titles(page(View(wide, tmp_path, data)))
    wide.about["outcomes"] = "values"
    assert "classes" not in titles(page(View(wide, tmp_path, data)))


def test_many_rows_stay_small_and_readable(tmp_path):
    rows = {("full", 1.0): 0.9, **{("random", keep): 0.8 for keep in (0.1, 0.5)}}
    rows |= {(f"method {at}", k): 0.85 - at / 1e3 for at in range(53) for k in (0.1, 0.5)}
    results = results_of(rows, seeds=1)
    keep_details(results, tmp_path)
    images = [np.full((300, 300, 3), at, np.uint8) for at in range(64)]
    rng = np.arange(270_000, dtype=np.uint64).reshape(300, 300, 3) ** 2 % 251
    data = make_data(lambda rows: [images[r] ^ rng.astype(np.uint8) for r in rows])
    text = page(View(results, tmp_path, data))
    assert len(text) < 2_000_000
    assert text.count('aria-pressed="true"') == 8
    assert text.count('aria-pressed="false"') == 46
    first = re.search(r'<svg class="chart".*?</svg>', text, re.DOTALL)[0]
    assert first.count('class="s k') == 54
    assert len(re.findall(r'class="s k\d on"', first)) == 8


@pytest.mark.full
@pytest.mark.parametrize("theme", [0, 1])
def test_the_page_shows_in_both_themes(theme, whole, tmp_path):
    """Dark is 0. The background is the theme's, and text and charts are on it."""
    from matplotlib.image import imread

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    (tmp_path / "report.html").write_text(whole)
    picture = tmp_path / "page.png"
    subprocess.run(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--user-data-dir={tmp_path / 'profile'}",
         f"--blink-settings=preferredColorScheme={theme}", "--window-size=500,1800",
         f"--screenshot={picture}", (tmp_path / "report.html").as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    pixels = imread(picture)[..., :3]
    corner = pixels[-1, 0]
    assert corner.mean() > 0.9 if theme else corner.mean() < 0.2
    assert np.ptp(pixels.mean(-1)) > 0.7
    assert len(np.unique((pixels.reshape(-1, 3) * 15).astype(int), axis=0)) > 20
