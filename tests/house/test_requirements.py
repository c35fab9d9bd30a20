"""What setup.cfg requires is used, is run by a test, and has one lowest version everywhere."""

import ast
import configparser
import re
import sys
from pathlib import Path

import sampling

from . import for_each, nodes_of

PACKAGE = Path(sampling.__file__).parent
ROOT = PACKAGE.parent
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "house" not in path.parts)

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
LINE = re.compile(r'([\w-]+)>=([\d.]+)(?:; python_version < "[\d.]+")?')

MODULES = {  # distribution -> its module, where the names differ
    "faiss-cpu": "faiss",
    "imbalanced-learn": "imblearn",
    "pillow": "PIL",
    "scikit-learn": "sklearn",
    "traker": "trak",
    "umap-learn": "umap",
}
COMMANDS = {"mypy", "ruff", "pytest-xdist"}  # of .ci/run, which no file imports
UNNAMED = {  # module -> the tests that fail without it, though only the package names it
    "filelock": "bench/results/test_own_runs.py",
    "rensa": "selection/by_text/test_dedup_text.py",
    "trak": "scores/test_trak.py",
}
ASK = {"require", "_optional.require", "pytest.importorskip", "importlib.import_module"}


def floors(text):
    """Distribution -> lowest version, of a list in setup.cfg."""
    lines = [line for line in text.splitlines() if line.strip()]
    assert all(LINE.fullmatch(line) for line in lines), lines
    return dict(LINE.fullmatch(line).groups() for line in lines)


CORE = floors(SETUP["options"]["install_requires"])
EXTRAS = {name: text for name, text in SETUP["options.extras_require"].items() if name != "all"}
EXTRAS = {name: floors(text) for name, text in EXTRAS.items()}
USED = {name: each for name, each in EXTRAS.items() if name != "docs"}  # .ci/docs uses those


def module_of(distribution):
    return MODULES.get(distribution, distribution.replace("-", "_"))


def asked(path):
    """Yield the libraries that a file imports, or asks for by their name."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ASK:
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value.partition(".")[0]


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def parts(version):
    return [int(part) for part in version.split(".")]


IN_PACKAGE = {module for path in PACKAGE.rglob("*.py") for module in asked(path)}
IN_TESTS = {module for path in TESTS for module in asked(path)}


def test_the_package_imports_what_setup_cfg_requires_and_nothing_else():
    """An import that it does not promise would fail at the user's."""
    promised = {module_of(each) for group in (CORE, *USED.values()) for each in group}
    assert IN_PACKAGE - promised - set(sys.stdlib_module_names) == {"sampling"}
    assert {module_of(each) for each in CORE} - IN_PACKAGE == set()


@for_each([(extra, each) for extra, group in USED.items() for each in group], str)
def test_extras_are_imported(case):
    extra, distribution = case
    anywhere = IN_PACKAGE | (IN_TESTS if extra in {"test", "hf"} else set())
    assert distribution in COMMANDS or module_of(distribution) in anywhere


@for_each(sorted({each for group in USED.values() for each in group} - COMMANDS), str)
def test_extras_are_run_by_a_test(distribution):
    module = module_of(distribution)
    if module in UNNAMED:
        assert (ROOT / "tests" / UNNAMED[module]).exists()
    else:
        assert module in IN_TESTS


def test_messages_name_an_extra_that_has_the_library():
    for path in PACKAGE.rglob("*.py"):
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ASK:
                said = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                if len(said) == 2:
                    library, extra = said
                    held = {module_of(each) for each in EXTRAS[extra]}
                    assert library.partition(".")[0] in held, (path, library, extra)


def test_a_library_has_one_lowest_version():
    found = {}
    for group in (CORE, *EXTRAS.values()):
        for distribution, version in group.items():
            assert found.setdefault(distribution, version) == version, distribution


def test_all_is_every_extra_but_those_that_few_want():
    named = re.fullmatch(r"\s*sampling\[(.*)\]", SETUP["options.extras_require"]["all"])[1]
    assert set(named.split(",")) == set(EXTRAS) - {"umap", "docs"}


def test_the_readme_names_the_extras():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text.partition("Extras: ")[2].partition(".\n")[0]))
    assert named == set(EXTRAS) - {"plot", "test", "docs"}


def test_the_lowest_versions_are_those_of_ci_lowest():
    """But torch: only its newest version has a build for the CPU."""
    lowest = {name: each for group in (CORE, *USED.values()) for name, each in group.items()}
    pinned = pins("constraints-lowest.txt")
    assert set(pinned) == set(lowest) - {"tomli"}  # of Python 3.10 alone
    assert pinned.pop("torch") == pins("constraints.txt")["torch"]
    for name, version in pinned.items():
        assert parts(version)[: len(parts(lowest[name]))] == parts(lowest[name]), name
        assert not any(parts(version)[len(parts(lowest[name])) :]), name


def test_the_versions_of_ci_are_pinned_and_are_allowed():
    pinned = pins("constraints.txt")
    for group in (CORE, *EXTRAS.values()):
        for name, version in group.items():
            if name != "tomli":
                assert parts(pinned[name]) >= parts(version), name


def test_the_page_of_platforms_states_the_versions_of_ci():
    text = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| .* \|$", text, re.MULTILINE))
    rows["torch"] = re.search(r"^\| torch \| ([\d.]+) \|$", text, re.MULTILINE)[1]
    pinned = pins("constraints.txt")
    assert len(rows) > 8
    assert rows == {name: pinned[name] for name in rows}


def test_the_version_is_one():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {sampling.__version__}\n" in citation
    assert f"\n## {sampling.__version__} (" in changes
