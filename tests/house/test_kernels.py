"""Kernel files say their contract in a header whose table names an oracle for each kernel."""

import ast
import functools
import inspect
from pathlib import Path

import oracle_dynamics
import oracle_geometry
import oracle_importance
import oracle_isotonic
import oracle_text
import oracles

import sampling.kernels

from . import for_each, nodes_of, tree_of

FOLDER = Path(sampling.kernels.__file__).parent
FILES = sorted(path for path in FOLDER.glob("_*.py") if path.name != "__init__.py")
TESTS = Path(__file__).parent.parent / "kernels"
MAX_ARGUMENTS = 8
ORACLES = {  # kernel file -> where its oracles are, if elsewhere
    "_dynamics": oracle_dynamics,
    "_greedy": oracle_geometry,
    "_isotonic": oracle_isotonic,
    "_probabilities": oracle_importance,
    "_ngrams": oracle_text,
    "_text": oracle_text,
}

# Kernels that only other kernels of the package call, and what they are tested by.
WITHOUT_A_ROW = {
    ("_permute", "halves"): "sizes of the network's halves; halves_by_roots in test_permute.py",
    ("_permute", "add_hash"): "one half-round; part of permute_in_integers",
    ("_permute", "pass_through"): "the network without its walk; part of permute_in_integers",
    ("_groups", "deal_pass"): "a window of one shuffle; part of deal_by_walking",
    ("_greedy", "lists"): "whether a row is among the neighbours of another; part of ends_of_edges",
    ("_greedy", "sift"): "one step of a heap; part of messages_by_scanning, greedy_on_pairs",
    ("_dedup", "cosine"): "one product of rows; part of nearest_by_products",
    ("_dedup", "reaching"): "how many bounds reach a level; part of nearest_by_products",
    ("_dedup", "take_higher"): "the first of the highest; part of nearest_by_products",
    ("_text", "jaccard"): "one pair of sets; part of jaccard_of_sets",
    ("_text", "enter"): "lists of the texts of a bucket; part of earlier_matches",
    ("_text", "root_of"): "the first text of a component; part of earlier_matches",
    ("_prune", "kept_bytes"): "eight codes of a word; part of kept_by_numpy",
}
CONTRACT = ("Callers:", "Contract, the same for every kernel in this file", "Threads")

by_file = for_each(FILES, lambda path: path.stem)


@functools.cache
def kernels_of(path):
    """The functions with a decorator of `_numba`, by name."""
    return {
        node.name: node
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(each) in {"kernel", "summing_kernel"} for each in node.decorator_list)
    }


def rows_of(path):
    """Kernel -> oracle, from the table that ends the header."""
    lines = ast.get_docstring(tree_of(path)).splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("kernel ") and "oracle" in line]
    assert len(heads) == 1, f"{path.name} has {len(heads)} tables"
    rows = {}
    for line in lines[heads[0] + 1 :]:
        if not line.strip():
            break
        cells = line.split()
        rows[cells[0]] = cells[-1]
    return rows


@by_file
def test_every_row_names_a_kernel_and_an_oracle_that_exist(path):
    rows = rows_of(path)
    assert rows
    assert set(rows) <= set(kernels_of(path))
    for oracle in rows.values():
        found = getattr(ORACLES.get(path.stem, oracles), oracle, None)
        assert inspect.isfunction(found), oracle


@by_file
def test_every_kernel_has_a_row_or_a_reason(path):
    without = {name for file, name in WITHOUT_A_ROW if file == path.stem}
    assert set(kernels_of(path)) == set(rows_of(path)) | without
    assert not without & set(rows_of(path))


def test_kernels_without_a_row_are_called_by_kernels_only():
    for file, name in WITHOUT_A_ROW:
        assert any(
            name in {getattr(call.func, "id", "") for call in ast.walk(node) if _is_call(call)}
            for other, node in kernels_of(FOLDER / f"{file}.py").items()
            if other != name
        ), (file, name)
        for path in FOLDER.parent.rglob("*.py"):
            if path.parent != FOLDER:
                assert f"{file}.{name}(" not in path.read_text(encoding="utf-8"), (path, name)


def _is_call(node):
    return isinstance(node, ast.Call)


@by_file
def test_every_kernel_file_has_its_tests_which_use_its_oracles(path):
    test = TESTS / f"test{path.stem}.py"
    assert test.is_file()
    text = test.read_text(encoding="utf-8")
    for name, oracle in rows_of(path).items():
        assert name in text, name
        assert f"oracles.{oracle}(" in text, oracle


@by_file
def test_the_header_states_the_contract(path):
    header = ast.get_docstring(tree_of(path))
    for part in CONTRACT:
        assert part in header, part


@by_file
def test_the_callers_in_the_header_are_true(path):
    header = ast.get_docstring(tree_of(path))
    named = header.partition("Callers:")[2].partition(".\n")[0].replace("\n", " ")
    named = {each.strip() for each in named.split(",")}
    package = FOLDER.parent
    users = {
        str(user.relative_to(package))
        for user in package.rglob("*.py")
        if user != path and _imports_kernels_of(user, path.stem)
    }
    assert named == users


def _imports_kernels_of(user, stem):
    """Whether a file imports a kernel module or functions of it (constants do not count)."""
    kernels = set(kernels_of(FOLDER / f"{stem}.py"))
    for node in nodes_of(user):
        if not isinstance(node, ast.ImportFrom):
            continue
        names = {alias.name for alias in node.names}
        module = (node.module or "").split(".")
        inside = user.parent == FOLDER and node.level == 1
        if (module[-1] == "kernels" and stem in names) or (
            module[-1] == stem and (inside or "kernels" in module) and names & kernels
        ):
            return True
    return False


@by_file
def test_kernels_take_few_arguments_and_say_what_they_do(path):
    for name, node in kernels_of(path).items():
        arguments = node.args
        assert len(arguments.args) <= MAX_ARGUMENTS, name
        assert not (arguments.kwonlyargs or arguments.vararg or arguments.kwarg), name
        assert not arguments.defaults, name
        assert ast.get_docstring(node), name


@by_file
def test_kernels_check_nothing_print_nothing_and_own_no_generator(path):
    for name, node in kernels_of(path).items():
        for each in ast.walk(node):
            assert not isinstance(each, ast.Raise | ast.Assert | ast.Try | ast.With), name
            if isinstance(each, ast.Attribute):
                assert not ast.unparse(each).startswith("np.random"), name
            if isinstance(each, ast.Call):
                assert ast.unparse(each.func) not in {"print", "open"}, name


@by_file
def test_no_kernel_calls_itself(path):
    """numba caches a function without the address of itself under another signature: a kernel that
    recurses on a slice crashes once its cache meets strided or read-only arrays.
    """
    for name, node in kernels_of(path).items():
        calls = {ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
        assert name not in calls, name


def test_compile_settings_live_in_one_file():
    for path in FOLDER.parent.rglob("*.py"):
        if path.parent.name == "_numba":
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Attribute | ast.Name):
                assert ast.unparse(node) not in {"numba.njit", "njit", "prange"}, path


def test_no_kernel_is_parallel_or_fast_and_loose():
    from sampling._rng import mix

    options = getattr(mix.dispatcher, "targetoptions", None)
    if options is not None:  # None without the JIT
        assert not options.get("parallel")
        assert not options.get("fastmath")
        assert options.get("error_model") == "numpy"
