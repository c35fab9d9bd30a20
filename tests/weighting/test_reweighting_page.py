"""What docs/reweighting.md prints runs, and does what it says."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "reweighting.md"


def test_the_page_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, "docs/reweighting.md", "exec"), names)
    of_topic = np.arange(names["size"]) % 4 == 0
    assert of_topic[names["near"].indices].all()
    assert np.array_equal(names["values"], names["scores"].values)
    wrong = (names["labels"] != names["true"]).numpy()
    everywhere = names["everywhere"]
    assert everywhere[wrong].mean() < everywhere[~wrong].mean()
    assert len(names["pairs"]) == 15
    assert len(names["train"]) == names["size"]
