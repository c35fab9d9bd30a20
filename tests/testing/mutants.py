"""Samplers broken on purpose, one fault each, and the table of what catches them.

`python -m testing.mutants` in `tests/` prints the table.
"""

import sys

from . import (  # noqa: F401  # enter theirs
    mutants_any_loader,
    mutants_dataloader,
    mutants_ranks,
    mutants_restart,
)
from .fault import MUTANTS


def table():
    """Return the table in Markdown: each mutant, its fault, and what catches it."""
    lines = ["| mutant | fault | caught by |", "|---|---|---|"]
    for mutant in MUTANTS.values():
        caught = [result.id for result in mutant.report().results if result.status == "fail"]
        lines.append(f"| {mutant.name} | {mutant.fault} | {', '.join(caught) or 'nothing'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
