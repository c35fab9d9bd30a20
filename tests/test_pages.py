"""What the pages of `docs` print runs: the blocks of a page in order, with one set of names.

Each page runs in an empty folder. A Python block that begins with `# name.py` is a script of its
own, and also written to that file. Of a `sh` block, the lines that call `sampling` are run. A
`text` block right after another one is what that one prints. A page that another test names is run
there.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sampling.cli import app
from sampling.selection import METHODS

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def pages():
    others = [path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    named = {name for text in others for name in re.findall(r'"([\w-]+\.md)"', text)}
    return [path for path in sorted(DOCS.glob("*.md")) if path.name not in named]


def printed(language, block, names):
    """Run a block, and return what it prints."""
    out = io.StringIO()
    if language == "python":
        name = re.match(r"\n*# (\w+\.py)\n", block)
        if name:
            Path(name[1]).write_text(block.lstrip())
            names = {"__name__": "__main__", "__file__": names["__file__"]}
        with contextlib.redirect_stdout(out):
            exec(compile(block, names["__file__"], "exec"), names)
    for line in block.replace("\\\n", " ").splitlines() if language == "sh" else ():
        if line.startswith("sampling "):
            found = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
            assert found.exit_code == 0, f"{line}\n{found.output}"
            out.write(found.output)
    return out.getvalue()


@pytest.fixture
def _registry():
    """Forget the selectors that a page registers."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.mark.usefixtures("_registry")
@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # by torchdata
@pytest.mark.filterwarnings("ignore::UserWarning:(pytorch_)?lightning")
@pytest.mark.filterwarnings("ignore::FutureWarning:(pytorch_)?lightning")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(DOCS / "examples")
    text, names = page.read_text(), {"__name__": "__main__", "__file__": str(page)}
    said, end = "", 0
    for found in BLOCK.finditer(text):
        language, block = found.groups()
        if language != "text":
            before = (
                text.count("\n", 0, found.start()) + 1
            )  # a traceback names the line of the page
            said, end = printed(language, "\n" * before + block, names), found.end()
        elif not text[end : found.start()].strip():
            assert said.strip() == block.strip()
