"""Writes the pages of the API reference: one for each package, one for each public name."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

PACKAGES = {  # in the order of a run: draw, choose rows, weigh; then offline work; then the rest
    "samplers": "Samplers",
    "samplers.tables": "Tables of draws, for your own sampler",
    "batch_selection": "Selection of rows of a batch",
    "weighting": "Loss weights",
    "training": "Helpers of the training loop",
    "loading": "Batches of tensors in memory",
    "scores": "Scores",
    "selection": "Offline selection",
    "clustering": "Clustering and neighbours",
    "record": "Selections and scores as files",
    "io": "Tables on disk",
    "engine": "Engines: threads, Ray",
    "embedding": "Embeddings",
    "reports": "Reports",
    "labeling": "What to label next",
    "distributed": "Ranks of a training run",
    "integrations": "Lightning, Hugging Face, accelerate, torchdata",
    "testing": "Contract checks",
    "bench": "The benchmark",
}


def write_api_pages(folder: Path) -> None:
    """Write a page for each package and each of its public names.

    folder : replaced if it exists
    """
    folder.mkdir(exist_ok=True)
    written = {}
    for name in PACKAGES:
        try:
            package = importlib.import_module(f"sampling.{name}")
        except ModuleNotFoundError:
            continue
        written[f"{name}.md"] = _package(name, package)
        for each in package.__all__:
            written[f"{name}.{each}.md"] = _page(name, each, getattr(package, each))
    written["index.md"] = _index(list(written))
    for file, text in written.items():
        path = folder / file
        if not path.exists() or path.read_text() != text:  # what is unchanged is not built again
            path.write_text(text)
    for path in folder.glob("*.md"):
        if path.name not in written:
            path.unlink()


def _index(files: list[str]) -> str:
    names = [name for name in PACKAGES if f"{name}.md" in files]
    listed = "\n".join(names)
    return f"# API reference\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"


def groups_of(package: ModuleType) -> dict[str, list[str]]:
    """Return the public names of a package by purpose, as its docstring lists them.

    Under a heading, an indented line has one or several names, then two spaces and a few words.
    """
    found: dict[str, list[str]] = {}
    heading = ""
    for line in inspect.cleandoc(package.__doc__ or "").splitlines():
        if not line.startswith(" "):
            heading = line
        named = re.match(r"    (\w+(?:, \w+)*)(?:  |$)", line)
        names = [each for each in named[1].split(", ") if each in package.__all__] if named else []
        if names:
            found.setdefault(heading, []).extend(names)
    return found


def _package(name: str, package: ModuleType) -> str:
    """Return the page of a package: its docstring, and its names by purpose."""
    about = inspect.cleandoc(package.__doc__ or "").split("\n\n")[0]
    tables, pages = [], []
    for heading, names in groups_of(package).items():
        rows = [f"| [`{n}`]({name}.{n}.md) | {_summary(getattr(package, n))} |" for n in names]
        tables.append(
            f"## {heading or 'Names'}\n\n| Name | What it does |\n|---|---|\n" + "\n".join(rows)
        )
        pages += [f"{each} <{name}.{each}>" for each in names]
    listed = "\n".join(pages)
    return (
        f"# {PACKAGES[name]}\n\n`sampling.{name}`: {about}\n\n"
        + "\n\n".join(tables)
        + f"\n\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )


def _page(name: str, each: str, found: object) -> str:
    """Return the page of a public name."""
    if inspect.isclass(found):
        kind, options = "autoclass", ":members:\n:show-inheritance:\n"
        if issubclass(found, BaseException) or not _own_members(found):
            options = ":show-inheritance:\n"
    elif callable(found):
        kind, options = "autofunction", ""
    else:
        kind, options = "autodata", ":no-value:\n"
    return (
        f"# {each}\n\n```{{eval-rst}}\n.. currentmodule:: sampling.{name}\n\n"
        f".. {kind}:: {each}\n" + "".join(f"   {line}\n" for line in options.splitlines()) + "```\n"
    )


def _own_members(found: type) -> list[str]:
    return [name for name in vars(found) if not name.startswith("_")]


def _summary(found: object) -> str:
    """Return the first sentence of a docstring."""
    if not (inspect.isclass(found) or callable(found)):
        return ""
    lines = " ".join(inspect.cleandoc(inspect.getdoc(found) or "").split("\n\n")[0].split())
    parts = lines.split("`")  # every other one is code
    parts[::2] = [part.replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts).replace("|", "\\|")
