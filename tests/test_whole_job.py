"""The job of `benchmarks/whole_job.py`: commands, a plan, two layouts and two engines agree."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "whole_job.py"


@pytest.mark.full
@pytest.mark.parametrize(("engines", "size"), [("local", 3_000), ("local,ray", 40_000)])
def test_commands_and_one_plan_agree(engines, size, tmp_path):
    """The script fails if any rows, ids, rules, kept rows or exported columns differ."""
    if "ray" in engines:
        pytest.importorskip("ray")
    words = ["--size", str(size), "--clusters", "40", "--engines", engines]
    done = subprocess.run(
        [sys.executable, SCRIPT, *words, "--folder", tmp_path / "job"],
        capture_output=True, text=True, timeout=3600, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all subsets, dropped rows and exports are equal" in done.stdout
