"""Every selector with exactly the memory that its estimate asks for: the peak it really has.

    python benchmarks/selector_memory.py [--only d2,top] [--dtype float32] [--cold] [--json FILE]

A fresh process for each. The peak is that of the resident set above what the process had before the
call, its data and libraries included there; with `--cold` the libraries are not, as they are loaded
by the first call. A row over its limit ends the script with an error.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from every_selector import call_of, compares_pairs
from harness import machine

MIB = 2**20
SMALL, LARGE, SCORES = 20_000, 100_000, 1_000_000  # rows: all pairs, embeddings, scores alone


def resident(key: str) -> int:
    """Return a line of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def rows_for(name: str) -> int:
    """Return how many rows a method is run on."""
    from sampling.selection import METHODS, Sizes

    method = METHODS[name]
    if compares_pairs(method):
        return SMALL if name == "facility_location" else LARGE // 2
    return LARGE if method.cost(Sizes(N=2, D=2, M=2, I=1)).products else SCORES


def one(name: str, dtype: str, cold: bool, settings: dict[str, int]) -> dict[str, float]:
    """Run a selector in this process; return the limit and the peak, in MiB."""
    from sampling.selection import METHODS, estimate

    function, size = METHODS[name].function, rows_for(name)
    if not cold:
        small, few = call_of(name, 500)
        function(small, 50, **few, **settings)
    first, asked = call_of(name, size)
    for key, value in asked.items():
        if isinstance(value, np.ndarray) and value.ndim == 2:
            asked[key] = value.astype(dtype)
    if getattr(first, "ndim", 1) == 2:
        first = first.astype(dtype)
    wide = [each.shape[1] for each in (first, *asked.values()) if getattr(each, "ndim", 1) == 2]
    classes = len(np.unique(asked["labels"])) if "labels" in asked else 1
    known = {"classes": classes, **{k: v for k, v in asked.items() if k == "clusters"}, **settings}
    need = estimate(name, size, wide[0] if wide else None, budget=size // 10, **known)
    limit = need.memory
    if "clusters" in METHODS[name].parameters:  # below that, centers are those of some rows
        limit = max(limit, 16 * size * wide[0])
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free already would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = resident("VmRSS")
    found = function(first, size // 10, **asked, max_memory=limit, **settings)
    peak = resident("VmHWM") - before
    assert len(found)  # noqa: S101
    return {"rows": size, "limit": limit / MIB, "peak": peak / MIB}


def main() -> None:
    """Run all, or one as a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--child", default="")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--neighbours", type=int, default=0, help="of those that take them")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.child:
        settings = {"num_neighbours": given.neighbours} if given.neighbours else {}
        print(json.dumps(one(given.child, given.dtype, given.cold, settings)))
        return
    from sampling.selection import METHODS

    rows, over = {}, []
    for name in given.only.split(",") if given.only else sorted(METHODS):
        command = [sys.executable, __file__, "--child", name, "--dtype", given.dtype]
        command += ["--cold"] * given.cold
        if given.neighbours:
            command += ["--neighbours", str(given.neighbours)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode:
            print(f"{name:>20} {found.stderr.strip().splitlines()[-1]}", flush=True)
            over.append(name)
            continue
        row = json.loads(found.stdout.splitlines()[-1])
        rows[name] = row
        mark = "" if row["peak"] <= row["limit"] else "  OVER"
        over += [name] * bool(mark)
        print(
            f"{name:>20} {row['rows']:>9,} {row['limit']:8.1f} {row['peak']:8.1f}{mark}", flush=True
        )
    if given.json:
        facts = {"machine": machine(), "dtype": given.dtype, "cold": given.cold, "MiB": rows}
        given.json.write_text(json.dumps(facts, indent=1) + "\n")
    if over:
        raise SystemExit(f"over their limit: {', '.join(over)}")


if __name__ == "__main__":
    main()
