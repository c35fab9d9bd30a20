"""The scripts that the pages of `docs/` show run: by themselves, and as runs of the benchmark."""

import re
import warnings
from pathlib import Path

import pytest

from sampling import bench

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {"bench-trainer": ["transformers", "accelerate"], "bench-lightning": ["lightning"]}


def block_of(page):
    (found,) = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    return found


@pytest.fixture(params=PAGES)
def run(request, tmp_path, monkeypatch):
    """Return a function that runs the script of a page, in this process."""
    for extra in PAGES[request.param]:
        pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    code = compile(block_of(request.param), f"{request.param}.md", "exec")

    def call():
        names = {"__name__": "__main__"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other libraries
            exec(code, names)
        return names

    return call


@pytest.mark.slow
def test_the_script_of_a_page_runs_by_itself_and_in_the_benchmark(run, begin):
    assert run()["sampler"].epoch == 3
    answer = begin(first=True)
    run()
    first = answer()
    assert (first["state"], first["reason"]) == ("done", "")
    assert (first["size"], first["epochs"], first["draws"]) == (1200, 4, 4800)
    assert (first["losses"], first["logits"], first["asked_epochs"]) == (True, True, 4)
    assert first["value"] > 0.7
    answer = begin("full-fewer", 0.5, epochs=4, size=1200)  # another number of epochs
    run()
    assert (answer()["state"], answer()["reason"], answer()["draws"]) == ("done", "", 2400)
    answer = begin("infobatch", 0.8, epochs=4, size=1200)
    run()
    assert (answer()["state"], answer()["reason"]) == ("done", "")
    assert answer()["draws"] < 4800


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES)
def test_the_command_of_a_page(page, tmp_path):
    for extra in PAGES[page]:
        pytest.importorskip(extra)
    script = tmp_path / "train.py"
    script.write_text(block_of(page))
    settings = bench.Settings(
        command=f"python {script}", methods=("rs2", "infobatch"), keep=0.8, seeds=1,
        out=tmp_path / "out",
    )  # fmt: skip
    results = bench.prepare(settings).run()
    assert {run.state for run in results.runs} == {"done"}
