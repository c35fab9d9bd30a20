"""One plan over a corpus larger than its memory: near copies, quotas, diverse rows, export.

    python benchmarks/acceptance.py --size 10000000 [--folder DIR] [--json FILE]

Makes the corpus (N x 384 float16 in Parquet shards, 100 classes, a quality column, near copies
planted on purpose), runs `sampling run` on it in a process of its own, and checks what came out.
Rows are of a mixture: topics of a class, whose spread falls off by dimension as that of text
embeddings does.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import machine

DIMENSIONS, CLASSES, TOPICS, SHARD = 384, 100, 5_000, 250_000
COPIES = 0.1  # of the rows of a shard are near copies of others

PLAN = """
[read]
table = "corpus"
ids = "id"
max_memory = {memory}

[clusters]
n_clusters = {clusters}
spherical = true
n_iter = 10

[[stage]]
method = "semdedup"
threshold = 0.95
num_assignments = 2
columns = {{ quality = "quality" }}

[[stage]]
method = "quota"
budget = {quota}
group_budgets = "equal"
columns = {{ scores = "quality", groups = "label" }}

[[stage]]
method = "cluster_uniform"
budget = {budget}
group_budgets = "equal"
columns = {{ groups = "label" }}

[export]
folder = "chosen"
columns = ["id", "label", "quality"]
"""


def make(folder: Path, size: int) -> np.ndarray:
    """Write the corpus; return the planted pairs (n, 2): rows of the original and of the copy."""
    random = np.random.default_rng(0)
    spread = np.arange(1, DIMENSIONS + 1) ** -0.5
    topics = (random.normal(size=(TOPICS, DIMENSIONS)) * spread).astype(np.float32)
    folder.mkdir(parents=True)
    pairs = []
    for number, start in enumerate(range(0, size, SHARD)):
        count = min(SHARD, size - start)
        topic = random.integers(0, TOPICS, count)
        noise = random.standard_normal((count, DIMENSIONS), np.float32)
        rows = topics[topic] + noise * (0.7 * spread).astype(np.float32)
        del noise
        order = random.permutation(count)
        copies, originals = np.split(order[: 2 * int(COPIES * count)], 2)
        shake = random.standard_normal((copies.size, DIMENSIONS), np.float32)
        shake *= 0.15 * np.linalg.norm(rows[originals], axis=1, keepdims=True) / DIMENSIONS**0.5
        rows[copies] = rows[originals] + shake
        topic[copies] = topic[originals]
        pairs.append(np.stack([originals, copies], axis=1) + start)
        flat = pa.array(rows.astype(np.float16).ravel())
        shard = {
            "id": np.arange(start, start + count) + 2**40,
            "label": (topic % CLASSES).astype(np.int32),
            "quality": random.random(count, np.float32),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS),
        }
        pq.write_table(pa.table(shard), folder / f"part-{number:04d}.parquet",
                       compression="none", use_dictionary=False)  # fmt: skip
    return np.concatenate(pairs)


def watched(command: list[str], **given: Any) -> tuple[float, int]:
    """Run a command; return its seconds and the most memory that was resident at any time."""
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, **given)
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.2):
            try:
                text = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            for line in text.splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) * 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    done.set()
    thread.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed: {status}")
    return time.perf_counter() - began, max(peak, usage.ru_maxrss * 1024)


def check(folder: Path, pairs: np.ndarray, quota: int, budget: int) -> dict[str, object]:
    """Return what is true of the result."""
    from sampling import Selection

    dedup = Selection.load(folder / "plan" / "1-semdedup.parquet")
    final = Selection.load(folder / "plan" / "selection.parquet")
    columns = pq.read_table(folder / "corpus", columns=["label", "quality", "id"])
    label, quality = columns["label"].to_numpy(), columns["quality"].to_numpy()
    kept = dedup.mask()
    better = np.where(quality[pairs[:, 0]] > quality[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    worse = pairs.sum(axis=1) - better
    quotas = np.bincount(label[Selection.load(folder / "plan" / "2-quota.parquet").indices])
    last = np.bincount(label[final.indices])
    exported = pq.read_table(folder / "chosen")
    ids = np.sort(columns["id"].to_numpy()[final.indices])
    return {
        "planted pairs": len(pairs),
        "planted pairs found": float((~kept[worse]).mean()),
        "better one kept, or a copy of a better one still": float(kept[better].mean()),
        "kept by semdedup": int(kept.sum()),
        "quotas exact": bool((quotas == quota // CLASSES).all() and len(quotas) == CLASSES),
        "final counts exact": bool((last == budget // CLASSES).all() and len(final) == budget),
        "weights sum to": float(final.weights.sum()),
        "exported rows": exported.num_rows,
        "exported as chosen": bool(np.array_equal(np.sort(exported["id"].to_numpy()), ids)),
    }


def main() -> None:
    """Make, run, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("runs/acceptance"))
    parser.add_argument("--clusters", type=int)
    parser.add_argument("--memory", type=int, default=3 * 2**30)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    clusters = given.clusters or max(16, int((given.size / 2) ** 0.5))
    quota, budget = given.size * 2 // 5 // CLASSES * CLASSES, given.size // 10
    pairs_file = given.folder / "pairs.npy"
    if not pairs_file.exists():
        pairs = make(given.folder / "corpus", given.size)
        np.save(pairs_file, pairs)
    pairs = np.load(pairs_file)
    plan = given.folder / "plan.toml"
    plan.write_text(PLAN.format(memory=given.memory, clusters=clusters, quota=quota, budget=budget))
    seconds, peak = watched([sys.executable, "-m", "sampling", "run", str(plan)])
    found = {
        "rows": given.size,
        "clusters": clusters,
        "seconds": seconds,
        "peak resident GiB": peak / 2**30,
        **check(given.folder, pairs, quota, budget),
        "stages": json.loads((given.folder / "plan" / "manifest.json").read_text())["stages"],
        "machine": machine(),
    }
    print(json.dumps({name: each for name, each in found.items() if name != "stages"}, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
