import subprocess
import sys

import pytest
from typer.testing import CliRunner

import sampling
from sampling.bench import _work, read_results
from sampling.cli import app


def call(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_version():
    result = call("--version")
    assert result.exit_code == 0
    assert result.output == f"sampling {sampling.__version__}\n"


@pytest.mark.parametrize("option", ["--keep", "--methods", "--out", "--data-dir", "--imbalance"])
def test_help_names_the_options(option):
    assert option in call("bench", "--help").output


WRONG = {
    "data": (["cifar"], "error: data must be one of 'digits', 'fashion-mnist', a folder"),
    "plan": (["none.toml"], "none.toml"),
    "time": (["--time-budget", "2x"], "--time-budget must be a time such as 90s, 30m or 2h, got"),
    "protocol": (["--protocol", "time"], "--protocol must be one of 'samples', 'epochs', 'steps'"),
    "without": (["--without", "full"], "--without must be one of 'full-fewer', 'random'"),
    "keep": (["--keep", "1.5"], "error: --keep must be in (0, 1), got 1.5"),
    "keep text": (["--keep", "0.5,x"], "error: --keep must be a number, got 'x'"),
    "seeds text": (["--seeds", "many"], "error: --seeds must be an int, got 'many'"),
    "epochs float": (["--epochs", "1.5"], "error: --epochs must be an int, got '1.5'"),
    "imbalance text": (["--imbalance", "x"], "error: --imbalance must be a number, got 'x'"),
    "keep empty": (["--keep", ","], "error: --keep must name at least one fraction, got none"),
    "methods": (["--methods", "full,magic"], "got 'magic'"),
    "seeds": (["--seeds", "0"], "error: --seeds must be >= 1, got 0"),
    "batch size": (["--batch-size", "0"], "error: --batch-size must be >= 1, got 0"),
    "device": (["--device", "abacus"], "error: --device must be one that torch can use here"),
    "noise": (["--label-noise", "1"], "error: --label-noise must be in (0, 1), got 1.0"),
    "noise text": (["--label-noise", "x"], "error: --label-noise must be a number, got 'x'"),
    "first seed": (["--first-seed", "-1"], "error: --first-seed must be >= 0, got -1"),
    "margin": (["--margin", "0"], "error: --margin must be in (0, inf), got 0.0"),
    "imbalance": (["--imbalance", "0.5"], "error: --imbalance must be in (1, inf), got 0.5"),
    "no data": (["fashion-mnist", "--data-dir", "."], "apt-get install dataset-fashion-mnist"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_bad_option_is_one_line_and_code_2(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = call("bench", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


TINY = (
    "bench digits --epochs 3 --seeds 1 --keep 0.7 --batch-size 256 --device cpu --jobs 1 "
    "--without full-fewer,dynamic-random"
).split()


def test_a_tiny_run_and_its_continuation(tmp_path):
    first = call(*TINY, "--methods", "rs2", "--without", "random", "--out", tmp_path)
    assert first.exit_code == 0, first.output
    assert "smoke test" in first.stdout
    written = {path.name for path in tmp_path.glob("[!.]*")}
    assert {"results.json", "runs.jsonl", "plan.toml", "details"} <= written
    before = read_results(tmp_path).runs
    second = call(*TINY, "--methods", "rs2", "--out", tmp_path)
    assert second.exit_code == 0, second.output
    after = read_results(tmp_path).runs
    assert after[: len(before)] == before
    assert [run.method for run in after[len(before) :]] == ["random"]
    again = call("bench", tmp_path / "plan.toml", "--out", tmp_path)  # the plan of the last call
    assert again.exit_code == 0, again.output
    assert read_results(tmp_path).runs == after
    other = call(*TINY, "--epochs", "4", "--out", tmp_path)
    assert other.exit_code == 2
    assert "error: --out must hold results of epochs 4, got 3" in other.stderr


def test_interrupted_it_prints_what_it_has(tmp_path, monkeypatch):
    run = _work.Worker.run

    def interrupt(self, job, *rest):
        if job.method == "random":
            raise KeyboardInterrupt
        return run(self, job, *rest)

    monkeypatch.setattr(_work.Worker, "run", interrupt)
    result = call(*TINY, "--methods", "rs2", "--out", tmp_path)
    assert result.exit_code == 130
    assert "full" in result.stdout
    assert "interrupted: 2 runs are left" in result.stdout
    assert len(read_results(tmp_path).runs) == 1


def test_a_dry_run_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(_work.Worker, "run", None)
    found = call("bench", "--dry-run", "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "digits: full, full-fewer, random" in found.stdout
    assert "140 runs for 5 seeds: about 0.2 minutes with" in found.stdout
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_dry_run_names_what_no_run_can_have(tmp_path):
    words = ["--methods", "infobatch", "--keep", "0.9,0.5", "--epochs", 3, "--dry-run"]
    found = " ".join(call("bench", *words, "--out", tmp_path / "out").stdout.split())
    assert "infobatch at keep 0.5: keep is unreachable: must be >= 0.79" in found
    assert "dynamic-random at keep 0.5: keep is unreachable: must be >= 0.70" in found
    assert "at keep 0.9" not in found


def test_python_m_sampling():
    done = subprocess.run(
        [sys.executable, "-m", "sampling", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"sampling {sampling.__version__}\n"


def test_the_command_line_loads_nothing_heavy():
    code = (
        "import sys, sampling.cli; heavy = {'torch', 'faiss', 'numba', 'sklearn', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
