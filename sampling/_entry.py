"""An entry of a registry: what a method is for, where it is from, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
        One line from the tables of benchmarks/README.md, or "not measured".
    """

    use: str
    source: str = ""
    verdict: str = "replication"
    evidence: str = NOT_MEASURED


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
