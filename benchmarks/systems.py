"""Every system of the method cards: run on digits, short texts or made sequences, and checked.

    python benchmarks/systems.py [--only NAME]

Prints a table in Markdown: system, paper, public name, what was checked, seconds. Ends with an
error if one fails. `--only` takes a fragment of a system's or of a public name. Systems that the
package does not have are in the table, with the reason.
"""

import argparse
import time
import warnings

import systems_balance as _balance  # noqa: F401  # each adds its systems
import systems_coreset as _coreset  # noqa: F401
import systems_dynamic as _dynamic  # noqa: F401
from systems_shared import CHECKED, System


def measured(each: System) -> tuple[str, str]:
    """Run a system; return its seconds and what went wrong, in words."""
    if each.run is None:
        return "–", ""
    start, wrong = time.perf_counter(), ""
    try:
        each.public()
        each.run()
    except Exception as error:  # noqa: BLE001  # of whatever it runs: the others run too
        wrong = f"FAILED, {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return f"{time.perf_counter() - start:.2f}", wrong


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="a fragment of a system's or public name")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of small data, mostly
    chosen = [
        each
        for each in CHECKED.values()
        if given.only.lower() in f"{each.system} {each.name}".lower()
    ]
    if not chosen:
        raise SystemExit(f"no system is named {given.only!r}")
    print("| Card | System | Paper | Public name | Checked | Seconds |\n|---|---|---|---|---|---:|")
    failed = []
    for each in chosen:
        seconds, wrong = measured(each)
        failed += [each.system] * bool(wrong)
        names = ", ".join(f"`{name}`" for name in each.name.split(", ") if name)
        cells = (each.card, each.system, each.paper, names, wrong or each.checked, seconds)
        print("| " + " | ".join(cells) + " |", flush=True)
    run = sum(each.run is not None for each in chosen)
    print(f"\n{len(chosen)} systems: {run} run, {len(chosen) - run} not built.")
    if failed:
        raise SystemExit(f"failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
