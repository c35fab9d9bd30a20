"""`sampling embed`: what it prints, and that its files fit the next command."""

import json

import pytest
from embedding import conftest
from typer.testing import CliRunner

from sampling.cli import app

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
vit = conftest.vit


def test_a_folder_of_images_is_embedded_and_deduplicated(vit, tmp_path):
    (tmp_path / "photos").mkdir()
    for at, colour in enumerate(["red", "blue", "red"]):
        Image.new("RGB", (9, 9), colour).save(tmp_path / "photos" / f"{at}.png")
    out = tmp_path / "p.npy"
    call = ["embed", str(tmp_path / "photos"), "--model", str(vit), "--out", str(out)]
    first = CliRunner().invoke(app, call)
    assert first.exit_code == 0, first.output
    assert "3 rows of 8 numbers, float16, of norm 1" in first.output
    assert json.loads(CliRunner().invoke(app, [*call, "--json"]).output)["rows"] == 3
    beside = ["--beside", str(tmp_path / "p.parquet"), "--text", "path"]
    found = CliRunner().invoke(
        app,
        ["dedup", str(out), "--threshold", "0.9999", *beside, "--out", str(tmp_path / "s.parquet")],
    )
    assert found.exit_code == 0, found.output
    assert "0.png" in found.output
    refused = CliRunner().invoke(app, [*call, "--batch-size", "x"])
    assert refused.exit_code == 2
    assert "--batch-size must be an int, got 'x'" in refused.output
