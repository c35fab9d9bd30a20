"""Rules that hold for every file of the package."""

import ast
import functools
import re
from pathlib import Path

import sampling

from . import for_each, nodes_of, tree_of

PACKAGE = Path(sampling.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
TEXTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "setup.cfg", "pyproject.toml")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "constraints.txt",
    *sorted((ROOT / ".ci").glob("*")),
    *FILES,
    *BENCHMARKS,
]

PRINTS = "cli/"  # a command line answers on standard output
WATCHES_GENERATORS = {  # file -> why it may touch the global generators
    "testing/_global_state.py": "the check that samplers leave them alone; it puts them back",
}
RUNS_OTHERS = {  # file -> what it runs of others, which may raise anything
    "_check/_keywords.py": "prints their objects",
    "_files/_remote.py": "file systems of fsspec, each with exceptions of its own",
    "bench/_benchmark.py": "trains the first steps of their models",
    "bench/_work.py": "trains their models: an error is the result of the run",
    "bench/tasks/_data.py": "reads their datasets",
    "_files/_images.py": "decoders of images on damaged files",
    "bench/tasks/_function.py": "their Python files",
    "engine/_ray.py": "functions in a worker: the error is sent back, and raised there",
}
SEEDS_TORCH = {  # file -> why a global generator may be seeded there
    "bench/tasks/_task.py": "initial weights: inside torch.random.fork_rng, which puts it back",
}


def name_of(path):
    return str(path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT))


every_file = for_each(FILES, name_of)
every_text = for_each(TEXTS, name_of)


def nodes(path, *kinds):
    return [node for node in nodes_of(path) if isinstance(node, kinds)]


@functools.cache
def calls(path):
    """(line, function as written, call) of each call."""
    return [(node.lineno, ast.unparse(node.func), node) for node in nodes(path, ast.Call)]


@every_file
def test_files_begin_by_saying_what_they_are(path):
    docstring = ast.get_docstring(tree_of(path))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


@every_file
def test_nothing_is_asserted(path):
    """`assert` disappears under `python -O`."""
    assert [node.lineno for node in nodes(path, ast.Assert)] == []


@every_file
def test_nothing_is_printed(path):
    if not name_of(path).startswith(PRINTS):
        assert [line for line, function, _ in calls(path) if function == "print"] == []


@every_file
def test_no_global_generator_is_used(path):
    names = r"(np|numpy)\.random\.|random\.(?!fork_rng)|torch\.(manual_seed|seed|rand(?!om\.))"
    names += r"|torch\.(bernoulli|normal|multinomial|cuda\.manual_seed)|torch\.random\.(?!fork_rng)"
    used = [(line, f) for line, f, _ in calls(path) if re.match(names, f)]
    if name_of(path) in WATCHES_GENERATORS:
        assert "fork_rng" in path.read_text(encoding="utf-8")
        used = []
    if name_of(path) in SEEDS_TORCH:
        assert "torch.random.fork_rng" in path.read_text(encoding="utf-8")
        used = [each for each in used if each[1] != "torch.manual_seed"]
    assert used == []


@every_file
def test_nothing_is_pickled_or_unpickled(path):
    for line, function, call in calls(path):
        keywords = {each.arg: each.value for each in call.keywords}
        assert function not in {"torch.load", "torch.save", "joblib.load", "eval", "exec"}, line
        assert not function.startswith(("pickle.", "marshal.", "shelve.", "dill.")), line
        if function in {"np.load", "numpy.load", "np.save"}:
            allowed = keywords.get("allow_pickle")
            assert not (isinstance(allowed, ast.Constant) and allowed.value), line


@every_file
def test_no_exception_is_swallowed(path):
    for handler in nodes(path, ast.ExceptHandler):
        caught = ast.unparse(handler.type) if handler.type else ""
        goes_on = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        foreign = name_of(path) in RUNS_OTHERS
        wide = caught in {"", "Exception", "BaseException"}
        assert goes_on or foreign or not wide, handler.lineno
        assert not all(isinstance(each, ast.Pass) for each in handler.body), handler.lineno


@every_file
def test_no_default_is_mutable(path):
    for node in nodes(path, ast.FunctionDef):
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            assert not isinstance(default, ast.List | ast.Dict | ast.Set), (node.name, node.lineno)


def test_exceptions_are_few():
    """`TypeError`, `ValueError`, our two, and what Python's own protocols ask for."""
    raised = {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for path in FILES
        for node in nodes(path, ast.Raise)
        if node.exc is not None
    }
    ours = {"StateError", "MissingExtraError"}
    ours |= {"Unreachable", "Lacking"}  # never leave bench: they become a row of the table
    ours |= {"Interrupt"}  # Ctrl-C at the command line, a KeyboardInterrupt
    ours |= {"ContractError", "NotApplicable"}  # of the conformance kit, for pytest to see
    ours |= {"Failed", "TookTooLong", "Reached"}  # between its processes: they never leave it
    protocols = {"AttributeError", "IndexError", "KeyError", "RuntimeError", "StopIteration"}
    protocols |= {"FileNotFoundError", "KeyboardInterrupt", "typer.Exit", "SystemExit"}
    protocols |= {"pa.ArrowInvalid"}  # where pyarrow's own is caught, and said with the column
    protocols |= {"_Looked"}  # of `_before`: it ends a call, and never leaves that file
    protocols |= {"OSError", "PermissionError"}  # of the system, raised again with the path
    assert raised - ours - protocols - {"TypeError", "ValueError"} == set()


@every_text
def test_texts_speak_of_the_project_alone(path):
    """No path of a machine on which it was written, and no place that it was installed from."""
    text = path.read_text(encoding="utf-8")
    for pattern in (
        r"(?<![\w.])/(work|home|root|mnt|Users)/",
        r"--(extra-)?index-url",
        r"localhost",
    ):
        assert not re.search(pattern, text), pattern
    assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b", text)  # an address


@every_text
def test_no_work_is_left_behind_in_comments(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))
