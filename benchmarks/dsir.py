"""DSIR on made texts of 100 words: seconds and peak memory, in blocks and in one call.

    python benchmarks/dsir.py [--size 1000000] [--json FILE]

Words are drawn by Zipf's law from 20,000, the target's from another order of the same words. The
peak is over the texts themselves, which are made before.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from harness import machine
from selector_memory import resident

WORDS, LENGTH, BLOCK = 20_000, 100, 10_000
MIB = 2**20


def made(size: int, shift: int) -> pa.ChunkedArray:
    """Return texts, in blocks."""
    random = np.random.default_rng(shift)
    chances = 1.0 / np.arange(1, WORDS + 1)
    words = np.array([f"word{i}" for i in range(WORDS)])
    blocks = []
    for start in range(0, size, BLOCK):
        shape = (min(BLOCK, size - start), LENGTH)
        ranks = random.choice(WORDS, shape, p=chances / chances.sum())
        rows = words[(7 * ranks + shift) % WORDS].tolist()
        blocks.append(pa.array([" ".join(row) for row in rows]))
    return pa.chunked_array(blocks)


def begun() -> float:
    """Begin to measure the peak of this process; return what it has now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def main() -> None:
    """Time both ways, which must agree."""
    from sampling.selection import NgramCounts, dsir_scores, gumbel

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    raw, aim = made(given.size, 0), NgramCounts(made(2000, 3))
    dsir_scores(raw[:100], aim)  # compiles the kernel
    rows: dict[str, float] = {"rows": given.size, "text MiB": raw.nbytes / MIB}

    before, start = begun(), time.perf_counter()
    own = NgramCounts()
    for block in raw.chunks:
        own.update(block)
    parts = [dsir_scores(block, aim, raw=own).values for block in raw.chunks]
    rows["blocks seconds"] = time.perf_counter() - start
    rows["blocks MiB"] = (resident("VmHWM") - before) / MIB

    before, start = begun(), time.perf_counter()
    whole = dsir_scores(raw, aim)
    rows["call seconds"] = time.perf_counter() - start
    rows["call MiB"] = (resident("VmHWM") - before) / MIB
    start = time.perf_counter()
    picked = gumbel(whole, 0.1, on_bad="drop")
    rows["gumbel seconds"] = time.perf_counter() - start
    if not np.array_equal(whole.values, np.concatenate(parts)) or not len(picked):
        raise SystemExit("blocks and one call must agree")
    for name, value in rows.items():
        print(f"{name:>16} {value:,.2f}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "dsir": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
