"""Imports go one way, and each heavy library is imported in few places (design: layout)."""

import ast
import functools
import sys
from pathlib import Path

import sampling

from . import for_each, nodes_of

ROOT = Path(sampling.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

BASE = {"errors", "types", "_kept", "_records", "_check", "_files", "_rng", "_rows", "_numba"}
BASE |= {"_before", "_containers", "_interrupt", "_json", "_keywords", "_labels", "_lists"}
BASE |= {"_optional", "_parquet", "_warning"}
BELOW = {  # what the files of each part may import from the package, beside their own part
    **dict.fromkeys(BASE, BASE),
    "kernels": BASE,
    "io": BASE,
    "engine": BASE | {"kernels", "io"},
    "clustering": BASE | {"kernels", "io", "engine"},
    "selection": BASE | {"kernels", "io", "engine", "clustering"},
    "distributed": BASE | {"kernels"},
    "scores": BASE | {"kernels", "distributed"},
    "weighting": BASE | {"kernels", "distributed", "scores"},
}
BELOW["samplers"] = BELOW["selection"] | BELOW["weighting"] | {"selection"}
_ALL_BELOW = BELOW["samplers"] | {"samplers", "weighting", "__init__"}
BELOW["integrations"] = _ALL_BELOW
BELOW["testing"] = _ALL_BELOW | {"integrations"}
BELOW["bench"] = _ALL_BELOW
BELOW["_warm"] = _ALL_BELOW | {"integrations", "testing"}
BELOW["cli"] = _ALL_BELOW | {"integrations", "testing", "bench", "_warm"}
BELOW["__main__"] = {"cli", "_interrupt"}
BELOW["__init__"] = BELOW["cli"]

_TORCH = {"samplers", "weighting", "scores", "distributed", "integrations", "testing", "bench"}
_TORCH |= {"_warm"}
ONLY_IN = {  # library -> the parts of the package that may import it
    "torch": _TORCH,
    "torchvision": set(),
    "faiss": {"clustering"},
    "ray": {"engine"},
    "numba": {"_numba"},
    # in samplers: the naive Bayes of `MultistageFilter`, loaded when one is made
    "sklearn": {"bench", "clustering", "selection", "scores", "samplers"},
    "lightning": {"integrations", "testing"},
    "transformers": {"integrations", "testing"},
    "accelerate": {"integrations", "testing"},
    "cleanlab": {"scores"},
    "trak": {"scores"},
    "matplotlib": {"bench"},
    "typer": {"cli"},
    "pandas": set(),
    "random": {"testing"},
    "pickle": set(),
}


every_file = for_each(FILES, lambda path: str(path.relative_to(ROOT)))

LATE = {  # (file, what) -> why a method of a record may load it when it is called
    ("types.py", "io"): "`Selection.save` and `load`",
    ("types.py", "selection"): "`Selection.rethreshold`",
    ("types.py", "torch"): "`Selection.torch_subset`, which only its users call",
}

PRIVATE = {  # (file, module) -> why it reaches into another package's file
    ("__init__.py", "samplers._indexed"): "`sampling.Indexed` is the public address",
    ("samplers/_objective.py", "scores._table"): "one conversion of batches to host arrays",
    ("samplers/_hidden.py", "scores._table"): "the same, for samples that are not dealt",
    ("samplers/_hidden.py", "scores._heads"): "one reading of logits and labels",
    ("integrations/_trainer_loss.py", "scores._heads"): "the same, for losses",
    ("samplers/_domain_losses.py", "scores._table"): "the same, for losses of domains",
    ("samplers/_domain_losses.py", "scores._buffer"): "one way home for losses on a device",
    ("bench/_pruners.py", "samplers._pruning"): "the base of pruners, of which users make none",
    ("bench/_train.py", "samplers._hidden"): "the same, of those that score what they leave out",
}


def part_of(path):
    """The package or module directly under `sampling` that a file belongs to."""
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@functools.cache
def imported(path):
    """(line, part of ours or None, library or None) of each import, wherever it stands."""
    return tuple(_imports(path))


def _imports(path):
    package = ["sampling", *path.relative_to(ROOT).parts[:-1]]
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            names = [[*base, alias.name] for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("require"):
            names = [node.args[0].value.split(".")] if _is_word(node.args[0]) else []
        else:
            continue
        for name in names:
            if name[0] != "sampling":
                yield node.lineno, None, name[0]
            elif len(name) == 1 or not _is_part(name[1]):
                yield node.lineno, "__init__", None
            else:
                yield node.lineno, name[1], None


def _is_word(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_part(name):
    return (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


@every_file
def test_imports_go_one_way(path):
    part = part_of(path)
    assert part in BELOW, f"{part} is a new part: say in BELOW what it may import"
    bad = [
        f"line {line}: {part} imports {other}"
        for line, other, _ in imported(path)
        if other and other != part and other not in BELOW[part] and (path.name, other) not in LATE
    ]
    assert not bad, bad


@every_file
def test_heavy_libraries_stay_where_they_belong(path):
    part = part_of(path)
    bad = [
        f"line {line}: {library}"
        for line, _, library in imported(path)
        if library in ONLY_IN and part not in ONLY_IN[library] and (path.name, library) not in LATE
    ]
    assert not bad, bad


def test_the_rule_has_no_cycle():
    """Each part can be loaded before those that may import it (`__init__` loads them late)."""
    done = {*BASE, "__init__"}
    while len(done) < len(BELOW):
        ready = {part for part, below in BELOW.items() if below <= done} - done
        assert ready, sorted(set(BELOW) - done)
        done |= ready


def test_private_names_of_another_part_are_left_alone():
    """A package is used through its `__all__`; `_file.py` belongs to its own package.

    `kernels` has no names but those of its files, and `_rng` and the like belong to all.
    """
    bad = []
    for path in FILES:
        for node in nodes_of(path):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            parts = node.module.split(".")
            inner = parts[1:] if node.level == 0 and parts[0] == "sampling" else parts
            own = node.level == 1 or (inner and inner[0] == part_of(path))
            known = inner and inner[0] in {"kernels", *BASE}
            if (str(path.relative_to(ROOT)), node.module) in PRIVATE:
                continue
            if node.level and not own and not known and any(p.startswith("_") for p in inner[1:]):
                bad.append(f"{path.relative_to(ROOT)}:{node.lineno} from {node.module}")
    assert not bad


def test_torch_distributed_is_asked_in_one_place():
    """`dist.ProcessGroup` may be named anywhere; its functions are called in `distributed` only."""
    bad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        if part_of(path) not in {"distributed", "testing"}
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith(("dist.", "torch.distributed."))
    ]
    assert not bad


def test_every_name_is_a_module_of_the_standard_library_or_a_dependency():
    """An import that setup.cfg does not promise would fail at the user's."""
    promised = {"numpy", "numba", "torch", "faiss", "sklearn", "scipy", "tqdm", "typer", "rich"}
    promised |= {"typing_extensions", "safetensors", "pyarrow", "threadpoolctl", "tomli"}
    extras = {"matplotlib", "ray", "lightning", "transformers", "accelerate", "datasets"}
    extras |= {"torchdata", "pytest", "pytorch_metric_learning", "cleanlab", "trak", "filelock"}
    allowed = promised | extras | set(sys.stdlib_module_names)
    for path in FILES:
        for line, _, library in imported(path):
            assert library is None or library in allowed, f"{path}:{line} {library}"
