"""Every selector at two or three sizes: its seconds and peak memory, beside those of `estimate`.

    python benchmarks/estimates.py [--only d2,top] [--clock cpu] [--json FILE]

A fresh process for each selector, which measures the speed of the machine as `estimate` does, and
compiles on 500 rows first. With `--clock cpu`, both the probe and the selectors are timed by the
processor seconds of one thread (set OMP_NUM_THREADS=1): on a machine with other work the clock on
the wall says little. The peak is that of the resident set above what the process had before the
call, its data and libraries included there. A first size may include a kernel that 500 rows do not
reach, and that is compiled at its first use. The costs of gumbel, k_center and facility_location
were adjusted to rows of this table, those of the others were not. Rows whose time is not within a
factor of 2 stay; a peak over its bound ends the script with an error.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import every_selector
import numpy as np
from harness import HERE, machine
from selector_memory import MIB, resident

RESULTS = HERE / "results" / "estimates.json"
PAIRS = [(4_000, 64), (15_000, 64), (6_000, 200)]
WIDE = [(25_000, 64), (80_000, 64), (15_000, 200)]
SCORES = [(150_000, 1), (1_000_000, 1)]
TEXTS = [(8_000, 1), (30_000, 1)]


def sizes_of(name: str) -> list[tuple[int, int]]:
    """Return the sizes at which a method is run: rows and dimensions."""
    from sampling.selection import METHODS, Sizes

    method = METHODS[name]
    if method.needs == "texts":
        return TEXTS
    small, large = (method.cost(Sizes(N=n, D=8, M=n / 10, K=9, k=5)) for n in (10**5, 2 * 10**5))
    if large.products + large.steps > 2.5 * (small.products + small.steps):
        return PAIRS
    wide = method.wide or "embeddings" in method.parameters
    return WIDE if wide and name != "pivotal" else SCORES


def child(name: str, clock: str) -> list[dict[str, float]]:
    """Run a selector in this process at all sizes."""
    from sampling import engine
    from sampling.selection import METHODS, estimate
    from sampling.selection.core import _speed

    tick = time.process_time if clock == "cpu" else time.perf_counter
    used = engine.Local(1 if clock == "cpu" else None)
    function = METHODS[name].function
    rows = []
    with engine.use(used):
        small, few = every_selector.call_of(name, 500)
        function(small, 50, **few)
        _speed._FOUND[used.num_threads] = _speed.measured(tick)
        for size, dimensions in sizes_of(name):
            every_selector.DIMENSIONS = dimensions
            first, asked = every_selector.call_of(name, size)
            classes = len(np.unique(asked["labels"])) if "labels" in asked else 1
            known = {key: asked[key] for key in ("clusters",) if key in asked}
            wide = sum(map(len, first)) // len(first) if isinstance(first, list) else dimensions
            need = estimate(name, size, wide, budget=size // 10, classes=classes, **known)
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
            before, began = resident("VmRSS"), tick()
            found = function(first, size // 10, **asked)
            seconds, peak = tick() - began, resident("VmHWM") - before
            assert len(found)  # noqa: S101
            rows.append({
                "rows": size, "dimensions": dimensions,
                "seconds": seconds, "expected": need.seconds, "ratio": seconds / need.seconds,
                "peak_MiB": peak / MIB, "bound_MiB": need.memory / MIB,
            })  # fmt: skip
            del first, asked, found
    return rows


def main() -> None:
    """Run all, or one as a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--child", default="")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child, given.clock)))
        return
    from sampling.selection import METHODS

    found, over = {}, []
    for name in given.only.split(",") if given.only else sorted(METHODS):
        command = [sys.executable, __file__, "--child", name, "--clock", given.clock]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        found[name] = json.loads(done.stdout.splitlines()[-1])
        for row in found[name]:
            mark = "" if 0.5 <= row["ratio"] <= 2 else "  beyond 2x"
            if row["peak_MiB"] > row["bound_MiB"]:
                over.append(name)
                mark += "  OVER"
            print(f"{name:>20} {row['rows']:>9,} x {row['dimensions']:<4}"
                  f"{row['seconds']:9.3f} s of {row['expected']:9.3f} = {row['ratio']:5.2f}   "
                  f"{row['peak_MiB']:8.1f} MiB of {row['bound_MiB']:8.1f}{mark}",
                  flush=True)  # fmt: skip
        ratios = np.array([row["ratio"] for rows in found.values() for row in rows])
        within = int(((ratios >= 0.5) & (ratios <= 2)).sum())
        if given.json:  # after each, so that a run that is stopped leaves what it has
            facts = {"machine": machine(), "load": os.getloadavg(), "clock": given.clock,
                     "budget": 0.1, "within_2x": within, "runs": ratios.size,
                     "rows": found}  # fmt: skip
            given.json.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"within 2x: {within} of {ratios.size}")
    if over:
        raise SystemExit(f"over their bound: {', '.join(over)}")


if __name__ == "__main__":
    main()
