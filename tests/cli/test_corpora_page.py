"""What docs/corpora.md prints runs: by commands and by one plan, with equal results."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sampling.cli import app

TEXT = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text()
N = 600


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus in two files, with copies of texts and of embeddings."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    words = [" ".join(each) for each in random.choice([f"word{i}" for i in range(99)], (N, 8))]
    words[-40:] = words[:40]
    rows = random.normal(size=(N, 16)).astype(np.float32)
    rows[-90:-50] = rows[40:80]
    table = pa.table({
        "id": [f"doc-{i:05d}" for i in range(N)],
        "lang": random.choice(["en", "de", "fr"], N),
        "quality": random.random(N),
        "text": words,
        "embedding": list(rows),
    })  # fmt: skip
    Path("corpus").mkdir()
    pq.write_table(table[:250], "corpus/0.parquet")
    pq.write_table(table[250:], "corpus/1.parquet")


def run(line):
    found = CliRunner().invoke(app, shlex.split(line)[1:])
    assert found.exit_code == 0, f"{line}\n{found.output}"
    return found.output


def test_the_page_runs(corpus):
    commands, by_plan, _ = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (plan,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    Path("plan.toml").write_text(plan)
    for line in [*commands.splitlines(), *by_plan.splitlines()]:
        run(line)
    one, two = (pq.read_table(folder).to_pydict() for folder in ("chosen", "chosen-by-plan"))
    assert one == two
    assert len(one["id"]) == 100
    dropped = pq.read_table("3.dropped.parquet")
    assert len({rule.as_py() for rule in dropped["rule"]}) >= 3
    afterwards = re.findall(r"\| `(sampling (?:explain|rethreshold|inspect) [^`]*)` \|\n", TEXT)
    assert len(afterwards) == 3
    for line in afterwards:
        run(line)
