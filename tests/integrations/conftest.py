"""Settings of the tests that run whole trainers."""

import pytest


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """Let what a trainer writes by itself fall into a folder that goes away."""
    monkeypatch.chdir(tmp_path)
