"""Selection against plain loops and other libraries: time, memory, and whether the aim is reached.

    python benchmarks/selection.py                       every row, about twenty minutes
    python benchmarks/selection.py k-center --runs 5     the rows whose label contains the words
    python benchmarks/selection.py --list                the labels
    python benchmarks/selection.py --small               sizes divided by 20: does every row run?
    python benchmarks/selection.py --table               only write README's table again

Ours and the peer's run in turn in one process, and both find their rows: quality is recomputed
here for both. Peers are imported where they are used; a row whose peer or data is not there is left
out, with the reason. "peak MiB" is the whole process of a child, libraries and rows included. Rows
that miss their aim stay. The rows themselves are in geometry.py, copies.py, kmeans.py, rows.py,
dynamics.py and pivotal.py.
"""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import copies
import dynamics
import geometry
import kmeans
import peers
import pivotal
import rows
from harness import README, SHRINK, LeftOut, Row, bandwidth, machine, put
from selection_table import BEGIN, END, RESULTS, line, table

ROWS: dict[str, Callable[[float, int], Row]] = {
    label: make
    for module in (geometry, copies, kmeans, rows, pivotal, dynamics)
    for label, make in module.ROWS.items()
}


def measured(asked: dict[str, Any], runs: int, results: dict[str, Any], file: Path | None) -> None:
    """Run rows, print them, and write the results after each, so that a stop loses one row."""
    rate, where = bandwidth(), machine()
    results.update(machine=where, bandwidth_GBps=rate / 1e9, peers=peers.versions())
    for label, make in asked.items():
        for kept in (results["rows"], results["commits"], results["left_out"]):
            kept.pop(label, None)
        try:
            row = make(rate, runs)
        except LeftOut as error:
            results["left_out"][label] = str(error)
            print(f"left out: {label} ({error})", flush=True)
        else:
            results["rows"][label], results["commits"][label] = asdict(row), where["commit"]
            print(line(row), flush=True)
        if file is not None:
            for kept in ("rows", "commits", "left_out"):  # in the order of the list above
                results[kept] = {
                    each: results[kept][each] for each in ROWS if each in results[kept]
                }
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False, default=float) + "\n")


def options() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a row's label")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FILE", help="kept here")
    parser.add_argument("--text", type=Path, default=copies.TEXT, help="embeddings, .npy (N, D)")
    parser.add_argument("--small", action="store_true", help="divide sizes by 20, keep nothing")
    parser.add_argument("--table", action="store_true", help="write README's table, run nothing")
    parser.add_argument("--list", action="store_true", help="print the labels, run nothing")
    given = parser.parse_args()
    if given.small and given.json != RESULTS:
        parser.error("--small keeps nothing: its sizes are not those that the rows are named after")
    return given


def main() -> None:
    """Run the rows asked for; keep the others as they were."""
    given = options()
    asked = {label: make for label, make in ROWS.items() if given.only in label}
    if given.list:
        print("\n".join(asked))
        return
    copies.TEXT = given.text
    results: dict[str, Any] = {"rows": {}, "commits": {}, "left_out": {}}
    if given.small:
        os.environ[SHRINK] = "20"
        print("SMALL: every size is divided by 20, names are those of the whole; nothing is kept")
        measured(asked, given.runs, results, None)
        return
    if given.json.exists() and (given.only or given.table):
        results = json.loads(given.json.read_text())
    if not given.table:
        measured(asked, given.runs, results, given.json)
    if given.json == RESULTS and README.exists() and BEGIN in README.read_text():
        put(table(results), BEGIN, END)


if __name__ == "__main__":
    main()
