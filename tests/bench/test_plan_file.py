"""Plans come back as they were written."""

import pytest

from sampling.bench._plan_file import read_plan, write_plan
from sampling.bench._settings import Settings

VALUES = {
    "words": 'a "quoted" \\ back\\slash, a\ttab\nand a line\r, \x00\x1f\x7f',
    "unicode": "Würfel 数据 😀 \x85\u2028'",
    "integer": -3,
    "large": 10**18,
    "small": 5e-324,
    "huge": 1e22,
    "third": 0.1 + 0.2,
    "yes": True,
    "no": False,
    "fractions": (0.1, 0.30000000000000004, 1e-05),
    "names": ("a,b", "c:\\d", '"', ""),
    "nothing": (),
}


def test_every_kind_of_value_comes_back(tmp_path):
    path = write_plan(tmp_path, VALUES)
    found = read_plan(path, VALUES)
    assert found == VALUES
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in VALUES.items()
    }
    write_plan(tmp_path, found)  # over a plan of its own
    assert read_plan(path, VALUES) == VALUES
    assert "Würfel 数据" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("# keep\nkeep = [0.5]\n'kept' = 1\n", ValueError, "got 'kept' in line 3: did you mean"),
        ('keep = 0.5\n "kepp"= 1\n', ValueError, "got 'kepp' in line 2"),
        ("seeds = 1\n\n[keep]\nx = 1\n", TypeError, r"no tables, got \[keep\] in line 3"),
        ("seeds = 1\nkeep.x = 1\n", TypeError, r"no tables, got \[keep\] in line 2"),
        ("seeds = 1\n[[other]]\n", ValueError, "got 'other' in line 2"),
    ],
)
def test_the_line_of_what_is_wrong_is_named(tmp_path, text, error, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        read_plan(path, ("seeds", "keep"))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("# a\nkeep = [1.5]\n", ValueError, "line 2: keep must be in"),
        ('keep = [0.5]\nmethods = ["kcenter"]\n', ValueError, "line 2: methods must .* 'k_center'"),
        ('seeds = "a"\n', TypeError, "line 1: seeds must be an int"),
    ],
)
def test_the_line_of_a_value_that_a_setting_cannot_have_is_named(tmp_path, text, error, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        Settings.from_plan(path)
    if message.startswith("line 2: keep"):
        assert Settings.from_plan(path, keep=(0.5,)).keep == (0.5,)  # what is replaced is not read
