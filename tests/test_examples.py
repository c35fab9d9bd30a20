"""The scripts of docs/examples run, resume as they say, and are on the page example-scripts.md."""

import itertools
import re
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from sampling import Selection
from sampling.cli import app

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
PAGE = ROOT / "docs" / "example-scripts.md"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a script in this process, in an empty folder, and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # what Lightning sets is undone

    def of(command):
        name, *arguments = command.split()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        with torch.random.fork_rng():
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return of


@pytest.fixture
def stopped_at(monkeypatch):
    """Return a context in which the optimizer fails at a step, as if the machine was lost."""

    class Lost(Exception):
        pass

    def at(last, run, command):
        with monkeypatch.context() as patch:
            steps, step = itertools.count(1), torch.optim.Adam.step

            def fail(self, *args, **kwargs):
                if next(steps) == last:
                    raise Lost
                return step(self, *args, **kwargs)

            patch.setattr(torch.optim.Adam, "step", fail)
            with pytest.raises(Lost):
                run(command)

    return at


def last_line(text):
    return text.strip().splitlines()[-1]


def test_the_page_says_how_to_run_each_script():
    page = PAGE.read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"(examples/{path.name})" in page, path.name
    for command in re.findall(r"^(?:python|sampling bench) (\S+\.py).*$", page, re.MULTILINE):
        assert (EXAMPLES / command).exists(), command


@pytest.mark.parametrize(
    ("command", "step"),
    [
        ("torch_loop.py --epochs 2 --batch-size 64 --save-every 5 --out", 24),
        ("token_mixture.py --epochs 3 --tokens 3000 --out", 5),
    ],
    ids=["torch", "mixture"],
)
def test_a_run_that_was_stopped_ends_as_the_uninterrupted_one(run, stopped_at, command, step):
    whole = last_line(run(f"{command} whole"))
    stopped_at(step, run, f"{command} part")
    assert last_line(run(f"{command} part")) == whole


def test_the_torch_loop_computes_in_half_precision(run):
    assert "epoch 0: step 10" in run("torch_loop.py --epochs 1 --batch-size 128 --amp --out run")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:(pytorch_)?lightning")
@pytest.mark.filterwarnings("ignore::FutureWarning:(pytorch_)?lightning")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec")
def test_lightning_that_was_stopped_ends_as_the_uninterrupted_run(run, stopped_at):
    pytest.importorskip("lightning")
    whole = last_line(run("lightning_run.py --epochs 2 --out whole"))
    stopped_at(50, run, "lightning_run.py --epochs 2 --out part")
    assert last_line(run("lightning_run.py --epochs 2 --out part")) == whole


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true")
def test_the_trainer_that_was_stopped_ends_as_the_uninterrupted_run(run, stopped_at):
    pytest.importorskip("transformers")
    command = "trainer_run.py --epochs 2 --samples 640 --out"
    whole = last_line(run(f"{command} whole"))
    stopped_at(30, run, f"{command} part")
    assert last_line(run(f"{command} part")) == whole


def test_the_long_tail_is_read_from_digits_a_table_and_a_folder(run):
    found = run("long_tail.py --epochs 6")
    means = re.search(r"'shuffled': (\S+), 'balanced': (\S+)}", found)
    assert float(means[2]) > float(means[1])
    images, digits = load_digits(return_X_y=True)
    table = pd.DataFrame(images[:300]).add_prefix("pixel_").assign(species=digits[:300] % 3)
    table.to_parquet("plants.parquet")
    assert "mean over classes" in run(
        "long_tail.py --table plants.parquet --label species --epochs 1"
    )
    for at in range(60):
        path = Path(f"photos/{digits[at] % 2}/{at}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((images[at] * 15).astype("uint8")).save(path)
    assert "mean over classes" in run("long_tail.py --images photos --epochs 1")


def test_the_offline_job_keeps_a_fraction_of_what_is_unique_and_returns_at_once(run):
    found = last_line(run("offline_job.py --rows 200 --keep 0.25 --out job"))
    picked = Selection.load("job/work/selection.parquet")
    assert found.startswith(f"{len(picked)} of 200 rows are selected")
    assert 30 < len(picked) < 50
    assert "<html" in Path("job/report.html").read_text()[:200].lower()
    assert last_line(run("offline_job.py --rows 200 --keep 0.25 --out job")) == found


def test_a_task_of_your_own_is_planned_and_trained(tmp_path, monkeypatch):
    shutil.copy(EXAMPLES / "own_task.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    call = ["bench", "own_task.py:make", "--keep", "0.5"]
    planned = CliRunner().invoke(app, [*call, "--methods", "infobatch", "--dry-run"])
    assert planned.exit_code == 0, planned.output
    assert planned.output.startswith("digits-worst-class: full, ")
    brief = "--methods rs2 --epochs 4 --seeds 1 --jobs 1 --out results"
    trained = CliRunner().invoke(app, [*call, *brief.split()])
    assert trained.exit_code == 0, trained.output
