"""Report lines of a selection from a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._check._keywords import told
from ..by_cluster._recall import search_note
from ..by_text._bands import text_note
from ..core._directions import PAIRS

__all__ = ["notes_of"]


@told
def notes_of(info: Mapping[str, Any]) -> list[str]:
    """Return report lines: the directions of scores, and steps that were skipped and why.

    Parameters
    ----------
    info : mapping
        The `info` of a selection from a table.

    Returns
    -------
    list of str
    """
    lines = []
    for name, facts in info.get("directions", {}).items():
        column, higher, by = facts.get("column", name), facts["higher_is"], facts["by"]
        if by == "assumed":
            other = next(iter(next(pair for pair in PAIRS if higher in pair) - {higher}))
            lines.append(
                f"{name}: a high {column} is assumed to mean {higher!r}: state {column}:{higher} "
                f"or {column}:{other}"
            )
            continue
        line = f"{name}: a high {column} means {higher!r} ({'by its file' if by == 'file' else by})"
        if facts.get("unused"):
            line += ", which the method does not use: values are unchanged"
        lines.append(line)
    if info.get("cut_by") == "nothing":
        lines.append(
            "no row was cut as too hard: a score that means 'keep' does not define which rows are "
            "hard; give margins=..., such as aum"
        )
    if isinstance(info.get("rounds"), Mapping):
        facts = info["rounds"]
        lines.append(
            f"picked in two rounds, from {facts['parts']} parts of {facts['rows_of_part']} rows: "
            "not the picks of one round"
        )
    if "search" in info:
        about = text_note if "library" in info["search"] else search_note
        lines.append(about(info["search"]))
    if "embedding_columns" in info:
        lines.append(f"embeddings: {info['embedding_columns']}")
    return lines
