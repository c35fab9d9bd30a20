"""The rows of `selection.py` as a table: what was aimed at, and whether it was reached.

An aim is text such as "faster >= 2; peak MiB <= 1024": `faster` and `slower` are the ratio of the
medians, `seconds` is the median of ours, everything else is one of the row's notes.
"""

import statistics
from typing import Any

from harness import HERE, Row, human

RESULTS = HERE / "results" / "selection.json"
BEGIN, END = "<!-- selection speed -->", "<!-- end of selection speed -->"


def verdicts(row: Row) -> dict[str, bool]:
    """Return each aim and whether it was reached."""
    found = {}
    for aim in filter(None, row.aim.strip("– ").split("; ")):
        name, sign, wanted = aim.rsplit(maxsplit=2)
        value = _value(row, name)
        found[aim] = value >= float(wanted) if sign == ">=" else value <= float(wanted)
    return found


def _value(row: Row, name: str) -> float:
    if name == "seconds":
        return statistics.median(row.ours)
    if name in ("faster", "slower"):
        ratio = row.ratio or float("nan")  # without a peer nothing is reached
        return ratio if name == "faster" else 1 / ratio
    return row.notes[name]


def side(times: list[float], name: str, unit: str) -> str:
    """Return the median of one side, and the number of runs where it is one."""
    if not times:
        return name
    once = ", once" if len(times) == 1 and unit == "s" else ""
    who = f" ({name}{once})" if name else once
    return human(statistics.median(times), unit) + who


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def line(row: Row) -> str:
    """Return one line of the table."""
    reached = verdicts(row)
    missed = [aim.rsplit(maxsplit=2)[0] for aim, good in reached.items() if not good]
    notes = ", ".join(f"{name} {_number(value)}" for name, value in row.notes.items())
    cells = [
        row.name,
        side(row.ours, "", row.unit),
        side(row.peer, row.peer_name, row.unit),
        "–" if row.ratio is None else f"{row.ratio:.3g}x",
        row.aim.replace(">=", "≥").replace("<=", "≤"),
        "–" if not reached else "no: " + ", ".join(missed) if missed else "yes",
        notes,
    ]
    return "| " + " | ".join(cells) + " |"


def table(results: dict[str, Any]) -> str:
    """Return README's table of the results."""
    lines = [
        "| Work | Ours | Peer | Faster | Aim | Reached | Also |",
        "|---|---|---|---|---|---|---|",
        *(line(Row(**row)) for row in results["rows"].values()),
    ]
    if "machine" in results:
        where, commits = results["machine"], sorted(set(results["commits"].values()))
        versions = ", ".join(f"{name} {each}" for name, each in results["peers"].items())
        lines.append(
            f"\nMedians on {where['cpu']}, {where['threads']} threads, torch {where['torch']}, "
            f"commit {', '.join(commits)}; {versions}."
        )
    lines += [f"Left out: {name} ({why})." for name, why in results.get("left_out", {}).items()]
    return "\n".join(lines)
