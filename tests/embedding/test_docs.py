"""What docs/embeddings.md prints runs: its Python, and its commands."""

import re
import shlex
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from sampling.cli import app

TEXT = (Path(__file__).parents[2] / "docs" / "embeddings.md").read_text()


def test_the_page_runs(bert, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bert, "minilm")
    pq.write_table(pa.table({"text": ["a b", "c d long", "a b"]}), "corpus.parquet")
    (shell,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in shell.splitlines()[1:]:
        found = CliRunner().invoke(app, shlex.split(line)[1:])
        assert found.exit_code == 0, found.output
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(compile(block, "docs/embeddings.md", "exec"), names)
    assert names["rows"].shape == (3, 8)
    assert len(names["picked"]) == 2
