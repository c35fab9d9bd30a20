"""Geometry selectors on rows in a file under `max_memory`, against the same rows in memory.

    python benchmarks/on_disk.py [--only k_center,herding] [--runs 1] [--json FILE]

A fresh process for each run, which first runs the method on few rows. "warm": the file is in the
page cache, which is not counted; "cold": it was removed from there. Peaks are of the resident set
above what the process had before the call, with its rows in memory if they are; for the time
without other work on the machine, processor seconds are given too. Methods that compare all pairs
have fewer rows, and a limit in which no float32 copy of them fits; the run in memory has as much
more as the copy takes. A run whose indices differ from those in memory ends the script.
"""

import argparse
import gc
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import machine, shrunk
from selector_memory import MIB, resident

D = 64
FIXED = 64 * MIB
# rows, budget, bytes of the limit on disk: 256 MiB, or the fixed part and what a row needs
CASES: dict[str, tuple[int, int, int]] = {
    "k_center": (1_000_000, 2_000, 256 * MIB),
    "herding": (1_000_000, 300, 256 * MIB),
    "leverage": (1_000_000, 2_000, 256 * MIB),
    "moderate": (1_000_000, 2_000, 256 * MIB),
    "d2": (40_000, 4_000, 0),
    "facility_location": (20_000, 500, 0),
}
EACH = {"d2": 100 + 280, "facility_location": 64}


def calls() -> dict[str, Callable[..., object]]:
    """Return the selectors, by name, as functions of rows and budget."""
    from sampling import selection

    def d2(rows: np.ndarray, count: int, **more: int) -> object:
        scores = np.random.default_rng(1).random(len(rows))
        return selection.d2(scores, count, embeddings=rows, **more)

    return {name: getattr(selection, name) for name in CASES} | {"d2": d2}


def one(name: str, path: Path, where: str) -> dict[str, float | str]:
    """Run a selector in this process."""
    from sampling._check._rows import Rows

    function = calls()[name]
    size, count, limit = CASES[name]
    size, count = shrunk(size), shrunk(count)
    limit = limit or FIXED + EACH[name] * size + 4 * D * size // 2
    if where == "memory":
        limit = None if limit == 256 * MIB else limit + 4 * D * size
    rows = Rows(path, (size, D), np.float32)
    function(rows[:1000], 50, max_memory=FIXED + 500_000)
    given = rows[:] if where == "memory" else rows
    if where == "warm":
        for start in range(0, size, 4096):
            rows[start : start + 4096]
    if where == "cold":
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before, began, cpu = resident("VmRSS"), time.perf_counter(), time.process_time()
    found = function(given, count, **({} if limit is None else {"max_memory": limit}))
    return {
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - cpu,
        "peak MiB": (resident("VmHWM") - before) / MIB,
        "limit MiB": 0.0 if limit is None else limit / MIB,
        "indices": hashlib.sha256(found.indices.tobytes()).hexdigest()[:16],
    }


def main() -> None:
    """Run all, or one as a child."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--child", nargs=3, metavar=("NAME", "FILE", "WHERE"))
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.child:
        name, path, where = given.child
        print(json.dumps(one(name, Path(path), where)))
        return
    facts: dict[str, object] = {"machine": machine(), "load": os.getloadavg(), "rows": {}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        np.random.default_rng(0).normal(size=(shrunk(1_000_000), D)).astype(np.float32).tofile(path)
        os.sync()  # pages that are not yet written stay in the cache
        for name in given.only.split(","):
            runs: dict[str, list[dict[str, float | str]]] = {}
            for where in ("memory", "warm", "cold") * given.runs:
                command = [sys.executable, __file__, "--child", name, str(path), where]
                text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                runs.setdefault(where, []).append(json.loads(text.splitlines()[-1]))
            if len({each["indices"] for some in runs.values() for each in some}) > 1:
                raise SystemExit(f"{name}: other rows than in memory")
            sizes = {"N": shrunk(CASES[name][0]), "M": shrunk(CASES[name][1])}
            ratios = {
                kind: statistics.median(each[kind] for each in runs["warm"])
                / statistics.median(each[kind] for each in runs["memory"])
                for kind in ("seconds", "processor")
            }
            facts["rows"][name] = {**sizes, "warm / memory": ratios, **runs}
            shown = " ".join(
                f"{where} {some[0]['seconds']:.1f} s ({some[0]['processor']:.1f} s of processor, "
                f"{some[0]['peak MiB']:.0f} MiB)"
                for where, some in runs.items()
            )
            print(f"{name:>18} {sizes} {shown} ratio {ratios['processor']:.2f}", flush=True)
            if given.json:
                given.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
