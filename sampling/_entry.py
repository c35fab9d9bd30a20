"""An entry of a registry: what a method is for, where it is from, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from ._evidence import COMPARED

VERDICTS = ("recommended", "control", "replication")
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Entry:
    """A method of the package.

    Attributes
    ----------
    use : str
        What it is for, for tables.
    source : str
        Paper and year, for tables.
    verdict : str
        One of `VERDICTS`: to begin with, to compare with, or to repeat a paper.
    evidence : str
        From the tables of benchmarks/README.md, or "not measured".
    """

    use: str
    source: str = ""
    verdict: str = "replication"
    evidence: str = NOT_MEASURED


E = TypeVar("E", bound=Any)  # a dataclass with a field `evidence`


def compared(entries: Mapping[str, E]) -> dict[str, E]:
    """Return the entries with what the comparisons of the benchmark say added to their evidence."""
    return {
        name: replace(each, evidence=evidence_of(name, each.evidence))
        for name, each in entries.items()
    }


def evidence_of(name: str, stated: str = NOT_MEASURED) -> str:
    """Return the evidence that is stated of a method, and what the comparisons say."""
    if name not in COMPARED:
        return stated
    return COMPARED[name] if stated == NOT_MEASURED else f"{stated}; {COMPARED[name]}"


def cell(text: str) -> str:
    """Return a text as the cell of a table in Markdown, where | ends a cell."""
    return text.replace("|", r"\|")


def table(head: str, entries: Mapping[str, Entry]) -> str:
    """Return the table of some methods in Markdown, as in the README.

    head : heading of the column of names
    """
    lines = [f"| {head} | For | Source | Verdict | Evidence |", "|---|---|---|---|---|"]
    for name, each in entries.items():
        cells = [cell(text) for text in (each.use, each.source, each.verdict, each.evidence)]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines).replace("|  ", "| ")
