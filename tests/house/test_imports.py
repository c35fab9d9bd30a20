"""Imports go one way, and each heavy library is imported in few places (design: layout)."""

import ast
import functools
from fnmatch import fnmatch
from pathlib import Path

import sampling

from . import for_each, nodes_of

ROOT = Path(sampling.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

BASE = {"errors", "types", "_check", "_files", "_rng", "_numba", "_optional", "_version"}
BASE |= {"_interrupt", "_late", "_warning", "_inclusion", "_identity", "_report", "_checkpoint"}
BASE |= {"_distinct", "_entry", "_evidence", "_functions", "_progress", "_shares"}
BELOW = {  # what the files of each part may import from the package, beside their own part
    **dict.fromkeys(BASE, BASE),
    "kernels": BASE,
    "record": BASE | {"kernels"},
    "engine": BASE,
    "io": BASE | {"record", "engine"},
    "clustering": BASE | {"kernels", "io", "engine"},
    "selection": BASE | {"kernels", "record", "io", "engine", "clustering"},
    "reports": BASE | {"kernels", "record", "io", "selection"},
    "embedding": BASE | {"io"},
    "labeling": BASE,
    "distributed": BASE | {"kernels"},
    "scores": BASE | {"kernels", "record", "distributed"},
    "weighting": BASE | {"kernels", "distributed", "scores"},
    "batch_selection": BASE | {"kernels", "distributed", "scores", "weighting"},
    "training": BASE | {"kernels", "distributed", "scores"},
}
BELOW["_identity"] = BASE | {"kernels"}
BELOW["samplers"] = BELOW["selection"] | BELOW["weighting"] | {"selection", "weighting"}
BELOW["loading"] = BELOW["samplers"] | {"samplers"}
_ALL_BELOW = BELOW["samplers"] | {"samplers", "batch_selection", "training", "loading"}
_ALL_BELOW |= {"embedding", "labeling"}
BELOW["integrations"] = _ALL_BELOW
BELOW["testing"] = _ALL_BELOW | {"integrations"}
BELOW["bench"] = _ALL_BELOW
BELOW["_warm"] = _ALL_BELOW | {"integrations", "testing"}
BELOW["cli"] = _ALL_BELOW | {"integrations", "testing", "bench", "reports", "_warm"}
BELOW["__main__"] = {"cli", "_interrupt"}
BELOW["__init__"] = BELOW["cli"]

_TORCH = {"samplers", "weighting", "scores", "distributed", "integrations", "testing", "bench"}
_TORCH |= {"_warm", "batch_selection", "training", "loading", "embedding"}
ONLY_IN = {  # library -> the parts of the package that may import it
    "torch": _TORCH,
    "torchvision": set(),
    "faiss": {"clustering"},
    "ray": {"engine"},
    "numba": {"_numba"},
    # in batch_selection: the naive Bayes of `MultistageFilter`, loaded when one is made; in
    # weighting: the classifier of `density_ratio_weights`; in samplers: `mixture_regression`; these
    # are loaded when they are called
    "sklearn": {
        "bench",
        "clustering",
        "selection",
        "scores",
        "batch_selection",
        "reports",
        "weighting",
        "samplers",
    },
    "lightning": {"integrations", "testing"},
    "transformers": {"integrations", "testing", "embedding"},
    "accelerate": {"integrations", "testing"},
    "cleanlab": {"scores"},
    "trak": {"scores"},
    "rensa": {"selection"},
    "matplotlib": {"bench"},
    "PIL": {"_report", "bench", "_files", "embedding"},
    "umap": {"reports"},
    "typer": {"cli"},
    "pandas": set(),
    "random": {"testing"},
    "pickle": set(),
}


every_file = for_each(FILES, lambda path: str(path.relative_to(ROOT)))

LATE = {  # (file, library) -> why a method of a record may load it when it is called
    ("_apply.py", "torch"): "`Selection.apply` of a torch dataset or a tensor",
}

PRIVATE = {  # (files, module) -> why they reach into another package's file
    ("samplers/*", "scores._table"): "one conversion of batches to host arrays",
    ("samplers/*", "scores._buffer"): "one buffer of losses on a device",
    ("samplers/*", "scores._heads"): "one reading of logits and labels",
    ("integrations/_trainer_loss.py", "scores._heads"): "the same, for losses",
    ("samplers/*", "scores._device"): "one check of indices on a device",
    ("batch_selection/_rho_loss.py", "scores._device"): "the same",
    ("samplers/*", "weighting._reduction"): "one check of losses, and one mean of them",
    ("samplers/*", "weighting._keywords"): "one reading of what a weighting takes",
    ("bench/script/_watch.py", "weighting._keywords"): "the same",
    ("batch_selection/*", "weighting._reduction"): "the same",
    ("selection/by_cluster/_cluster_hierarchy.py", "clustering._assign"): "rows to given centers",
    ("bench/methods/_inputs.py", "selection.core._clusters"): "the default number of clusters",
    ("bench/methods/_samplers.py", "samplers._registry"): "the one list of samplers, and its words",
    ("bench/methods/_selectors.py", "selection.core._before"): "settings refused before any run",
    ("bench/methods/_selectors.py", "selection.core._directions"): "the same, for directions",
    ("bench/methods/_selectors.py", "selection.core._registry"): "which arguments take a score",
    ("_warm.py", "testing._every_sampler"): "one of each sampler, to compile what they use",
    ("_warm.py", "selection.by_coverage._herding"): "rows of which no copy fits the memory",
    ("_warm.py", "samplers.core._cumulative"): "sums as of more samples than are made there",
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
        if other and other != part and other not in BELOW[part]
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


def test_no_file_imports_another_in_a_circle():
    """Nor by a late import, nor for its types only: each file can be read before its users."""
    files = {_module(path): path for path in FILES}
    graph = {name: {other for other in _modules(path) if other in files and other != name}
             for name, path in files.items()}  # fmt: skip
    done = set()
    while len(done) < len(graph):
        ready = {name for name, below in graph.items() if below <= done} - done
        assert ready, {name: sorted(graph[name] - done) for name in sorted(set(graph) - done)}
        done |= ready


def _module(path):
    parts = ("sampling", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules(path):
    """Yield the modules of ours that a file imports: the one that has the name, if it is one."""
    package = ["sampling", *path.relative_to(ROOT).parts[:-1]]
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join(base + (node.module.split(".") if node.module else []))
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if _is_module(inner) else base
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _is_module(name):
    place = ROOT.parent.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def test_private_names_of_another_part_are_left_alone():
    """A package is used through its `__all__`; `_file.py` belongs to its own package.

    `kernels` has no names but those of its files, and `_rng` and the like belong to all.
    """
    bad = []
    for path in FILES:
        for module in _modules(path):
            part, *inner = module.split(".")[1:] or [""]
            private = any(each.startswith("_") for each in inner)
            if not private or part == part_of(path) or part in {"kernels", *BASE}:
                continue
            name = str(path.relative_to(ROOT))
            if not any(fnmatch(name, who) and module[9:] == what for who, what in PRIVATE):
                bad.append(f"{name} from {module}")
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


THEIRS = {  # private names of other libraries that no public one stands for
    "_dataloader",  # Fabric's loader: the one that it wraps
    "_index_sampler",  # torch's iterator of a loader: the sampler that it reads
}


def test_adapters_use_no_private_name_of_another_part():
    """What they need of a sampler has a public name."""
    paths = [*(ROOT / "integrations").glob("*.py")]
    names = [node for path in paths for node in nodes_of(path) if isinstance(node, ast.Attribute)]
    selves = {"self", "cls", "super()"}
    own = {node.attr for node in names if ast.unparse(node.value) in selves}
    bad = [
        ast.unparse(node)
        for node in names
        if node.attr.startswith("_") and not node.attr.startswith("__")
        if ast.unparse(node.value) not in selves and node.attr not in own | THEIRS
    ]
    assert not bad
