"""Every system of the method cards: run on digits, short texts or made sequences, and checked.

    python benchmarks/systems.py [--only NAME] [--write]

Prints a table in Markdown, in the order of the cards: system, paper, public name, how much of it is
built, what was checked, seconds of CPU. Ends with an error if one fails. `--only` takes a fragment
of a system's or of a public name. Systems that the package does not have are in the table, with the
reason. `--write` puts the table into `results/systems.md` and the counts into the README.

A system is *core* if it has a card of its own. *Extended* are cards marked as short or as
extensions, entries of lists ("coreset 13", "dynamic 15"), and what was added beyond the cards.
"""

import argparse
import time
import warnings
from collections import Counter

import systems_balance as _balance  # noqa: F401  # each adds its systems
import systems_coreset as _coreset  # noqa: F401
import systems_dynamic as _dynamic  # noqa: F401
from harness import HERE, put
from systems_shared import CHECKED, System

RESULTS = HERE / "results" / "systems.md"
BEGIN, END = "<!-- systems -->", "<!-- end of systems -->"
STATES = ("exactly", "partly", "not built")
HEAD = (
    "| Card | System | Core | Paper | Public name | Built | Checked, or why not | CPU s |\n"
    "|---|---|---|---|---|---|---|---:|"
)


def measured(each: System) -> tuple[str, str]:
    """Run a system; return its seconds and what went wrong, in words."""
    if each.run is None:
        return "–", ""
    start, wrong = time.process_time(), ""
    try:
        each.public()
        each.run()
    except Exception as error:  # noqa: BLE001  # of whatever it runs: the others run too
        wrong = f"FAILED, {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return f"{time.process_time() - start:.2f}", wrong


def line(each: System, seconds: str, wrong: str) -> str:
    """Return the row of a system."""
    names = ", ".join(f"`{name}`" for name in each.name.split(", ") if name)
    core = "core" if each.core else "extended"
    built = "failed" if wrong else each.state
    cells = (each.card, each.system, core, each.paper, names, built, wrong or each.checked, seconds)
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def counts(systems: list[System]) -> str:
    """Return the table of counts by file of cards."""
    lines = ["| Cards | Systems | Exactly | Partly | Not built |", "|---|---:|---:|---:|---:|"]
    places = sorted({each.place[1] for each in systems if each.place[1]})
    for core in (True, False):
        for place in [*places, ""]:
            own = [each for each in systems if (each.core, each.place[1]) == (core, place)]
            found = Counter(each.state.partition(":")[0] for each in own)
            name = f"{place or 'beyond the cards'}, {'core' if core else 'extended'}"
            if own:
                cells = [name, str(len(own)), *(str(found[each]) for each in STATES)]
                lines.append(f"| {' | '.join(cells)} |")
        own = [each for each in systems if each.core == core]
        found = Counter(each.state.partition(":")[0] for each in own)
        name = f"**all {'core' if core else 'extended'}**"
        cells = [name, str(len(own)), *(str(found[each]) for each in STATES)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a fragment of a system's or public name")
    parser.add_argument("--write", action="store_true", help="keep the table, and the counts")
    given = parser.parse_args()
    if given.only and given.write:
        parser.error("--write keeps the table of all systems: omit --only")
    warnings.simplefilter("ignore")  # of small data, mostly
    chosen = [
        each
        for each in sorted(CHECKED.values(), key=lambda each: each.place)
        if given.only.lower() in f"{each.system} {each.name}".lower()
    ]
    if not chosen:
        raise SystemExit(f"no system is named {given.only!r}")
    print(HEAD)
    failed, rows = [], []
    for each in chosen:
        seconds, wrong = measured(each)
        failed += [each.system] * bool(wrong)
        rows.append(line(each, seconds, wrong))
        print(rows[-1], flush=True)
    print(f"\n{counts(chosen)}")
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")
    if given.write:
        title = "# Every system of the method cards\n\nBy `python benchmarks/systems.py --write`.\n"
        RESULTS.write_text("\n".join([title, counts(chosen), "", HEAD, *rows]) + "\n")
        put(counts(chosen), BEGIN, END)


if __name__ == "__main__":
    main()
