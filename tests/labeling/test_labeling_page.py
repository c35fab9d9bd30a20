"""What docs/labeling.md prints runs."""

import re
from pathlib import Path

import numpy as np


def test_the_page_runs():
    text = (Path(__file__).parents[2] / "docs" / "labeling.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/labeling.md", "exec"), names)
    truth = -np.log(names["predictions"][np.arange(2000), names["labels"]]).mean()
    low, high = names["found"].interval(0.99)
    assert low < truth < high
    assert names["needed"].low < names["needed"].size < names["needed"].high
    assert names["plan"].spent <= 10_000
