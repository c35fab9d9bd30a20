"""The whole job of a data engineer, by commands and by one plan, in two layouts, on two engines.

    python benchmarks/whole_job.py [--size 200000] [--clusters 300] [--engines local,ray]
        [--folder DIR] [--json FILE]

Makes a corpus from a seed: texts in three languages, with a quality, ids, and embeddings; copies of
texts (equal ones, and edits of a word) and of embeddings are planted. It is written in two layouts:
embeddings inside Parquet shards, and a .npy file next to Parquet. On each, the same job runs by
commands in a chain and by one plan: filter, duplicate texts, clusters, duplicate embeddings,
diverse rows, quotas by language, export, report; then explain, rethreshold and combine. The same
once more with `--engine ray`, on a cluster of two workers on this machine, of which one is killed
while it works. All subsets, the rows dropped at each step with their rules and kept rows, and the
exported rows must be equal; the script fails otherwise.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from acceptance import watched
from harness import machine

from sampling import Selection

DIMENSIONS, TOPICS, SHARDS = 64, 500, 4
EXPORTED = ["id", "lang", "quality", "text"]
LAYOUTS = {"parquet": ("corpus", []), "npy": ("rows.npy", ["docs"])}
PLAN = """
[read]
table = "../{table}"
beside = {beside}
ids = "id"

[clusters]
n_clusters = {clusters}
spherical = true

[[stage]]
method = "filter"
where = [["quality", ">=", 0.1], ["lang", "in", ["en", "de"]]]

[[stage]]
method = "dedup_text"
columns = {{ texts = "text", quality = "quality" }}

[[stage]]
method = "semdedup"
threshold = 0.95
columns = {{ quality = "quality" }}

[[stage]]
method = "cluster_uniform"
budget = 0.5

[[stage]]
method = "quota"
budget = {budget}
group_budgets = "equal"
columns = {{ scores = "quality", groups = "lang" }}

[export]
folder = "{chosen}"
columns = {exported}

[report]
path = "{report}"
by = ["lang"]
layout = "pca"
"""


def texts_of(random: np.random.Generator, size: int) -> tuple[list[str], np.ndarray]:
    """Return texts, and the row that each planted copy is of; -1 for the others."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = ["".join(random.choice(syllables, random.integers(2, 5))) for _ in range(5_000)]
    held = random.integers(0, len(words), (size, 14))
    rows = random.permutation(size)
    copies, sources = rows[: size // 10], rows[size // 10 : 2 * (size // 10)]
    held[copies] = held[sources]
    edited = copies[: copies.size // 2]  # the others differ in case and white space only
    held[edited, random.integers(0, 14, edited.size)] = random.integers(0, len(words), edited.size)
    texts = [" ".join(words[at] for at in row) for row in held.tolist()]
    for row in copies[copies.size // 2 :].tolist():
        texts[row] = texts[row].title().replace(" ", "  ", 2)
    origin = np.full(size, -1)
    origin[copies] = sources
    return texts, origin


def make(folder: Path, size: int) -> dict[str, int]:
    """Write the corpus in both layouts; return how many copies were planted."""
    random = np.random.default_rng(0)
    texts, origin = texts_of(random, size)
    topics = random.normal(size=(TOPICS, DIMENSIONS)).astype(np.float32)
    noise = np.float32(0.7) * random.standard_normal((size, DIMENSIONS), np.float32)
    rows = topics[random.integers(0, TOPICS, size)] + noise
    order = random.permutation(size)
    copies, sources = order[: size // 10], order[size // 10 : 2 * (size // 10)]
    shake = np.float32(0.02) * random.standard_normal((copies.size, DIMENSIONS), np.float32)
    rows[copies] = rows[sources] + shake
    table = pa.table({
        "id": [f"doc-{at:07d}" for at in range(size)],
        "lang": random.choice(["en", "de", "fr"], size),
        "quality": random.random(size, np.float32),
        "text": texts,
    })  # fmt: skip
    np.save(folder / "rows.npy", rows)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), DIMENSIONS)
    both = {"docs": table, "corpus": table.append_column("embedding", lists)}
    step = -(-size // SHARDS)
    for name, whole in both.items():
        (folder / name).mkdir()
        for shard in range(SHARDS):
            part = whole.slice(shard * step, step)
            pq.write_table(part, folder / name / f"part-{shard}.parquet")
    return {"texts": int((origin >= 0).sum()), "embeddings": copies.size}


class Job:
    """One run of the job: a layout, and an engine.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the corpus, in which a folder of the run is made.
    layout : {"parquet", "npy"}
    engine : list of str
        Options of the commands.
    name : str
        Of the engine.
    size, clusters : int
    """

    def __init__(
        self, folder: Path, layout: str, engine: list[str], name: str, size: int, clusters: int
    ) -> None:
        self.folder = folder / f"{layout}-{name}"
        self.folder.mkdir()
        self.layout, self.engine, self.name = layout, engine, name
        self.table, beside = LAYOUTS[layout]
        self.beside = beside
        self.clusters, self.budget = clusters, size // 20 * 2
        self.spent: dict[str, list[tuple[float, int]]] = {"commands": [], "plan": []}

    def run(self, how: str, *words: object) -> None:
        """Run a command in the folder of the run."""
        command = [sys.executable, "-m", "sampling", *map(str, words)]
        with (self.folder / "log.txt").open("a") as log:
            log.write(" ".join(command[2:]) + "\n")
            log.flush()
            self.spent[how].append(watched(command, stdout=log, cwd=self.folder))

    def commands(self) -> None:
        """Run the job by commands in a chain."""
        rows = [f"../{self.table}"]
        rows += [word for each in self.beside for word in ("--beside", f"../{each}")]
        scratch = ["--scratch", "scratch"] if self.layout == "parquet" else []

        def run(words: str, *more: object) -> None:
            name, *others = words.split()
            first, rest = others[:1], others[1:]
            if name in {"filter", "dedup-text", "cluster", "dedup"}:
                first, rest = [], others
            self.run("commands", name, *first, *rows, *rest, *more)

        clustered = ["--clusters", "clusters.parquet", *scratch, *self.engine]
        equal = ["--budget", self.budget, "--set", 'group_budgets="equal"']
        run("filter --ids id --dropped --out 1.parquet", "--where", "quality >= 0.1", "--where",
            "lang in en,de", *self.engine)  # fmt: skip
        run("dedup-text --text text --quality quality --ids id --within 1.parquet --show 3 "
            "--dropped --out 2.parquet", *self.engine)  # fmt: skip
        run(f"cluster --spherical --within 2.parquet --out clusters.parquet {self.clusters}",
            *scratch, *self.engine)  # fmt: skip
        run("dedup --threshold 0.95 --quality quality --ids id --within 2.parquet --show 3 "
            "--dropped --out 3.parquet", *clustered)  # fmt: skip
        run("select cluster_uniform --budget 0.5 --with ids=id --within 3.parquet --dropped "
            "--out 4.parquet", *clustered)  # fmt: skip
        run("select quota --with ids=id --with scores=quality --with groups=lang "
            "--within 4.parquet --dropped --out 5.parquet", *equal, *self.engine)  # fmt: skip
        run("export 5.parquet --out chosen", "--columns", ",".join(EXPORTED), *self.engine)
        run("report 5.parquet --out report.html --by lang --map pca", *scratch)

    def plan(self) -> None:
        """Run the job by one plan."""
        (self.folder / "plan.toml").write_text(PLAN.format(
            table=self.table, beside=json.dumps([f"../{each}" for each in self.beside]),
            clusters=self.clusters, budget=self.budget, chosen="by-plan",
            exported=json.dumps(EXPORTED), report="by-plan.html",
        ))  # fmt: skip
        self.run("plan", "run", "plan.toml", "--work", "work", *self.engine)

    def after(self) -> None:
        """Explain a dropped row, apply another threshold, and combine subsets."""
        dropped = Selection.load(self.folder / "3.parquet")
        row = int(np.flatnonzero(dropped.kept_rows >= 0)[0])
        self.run("commands", "explain", "3.parquet", "--row", row)
        self.run("commands", "rethreshold", "3.parquet", "0.97")
        self.run("commands", "combine", "subtract", "3.parquet", "5.parquet")


def differences(one: Any, other: Any) -> list[str]:
    """Return the names of what differs between two selections, or columns of two tables."""
    if isinstance(one, Selection):
        found = []
        for name in ("indices", "weights", "scores", "ids", "rules", "verdicts", "kept_rows",
                     "similarities"):  # fmt: skip
            mine, theirs = getattr(one, name), getattr(other, name)
            known = mine is not None and theirs is not None
            close = {"equal_nan": True} if known and np.asarray(mine).dtype.kind == "f" else {}
            if (mine is None) != (theirs is None) or (
                known and not np.array_equal(mine, theirs, **close)
            ):
                found.append(name)
        return found
    return [name for name in one.column_names if not one[name].equals(other[name])]


def compare(job: Job, first: Job | None) -> list[str]:
    """Return what differs: commands and plan of a run, and this run and the first one."""
    found = []
    load = Selection.load
    names = ["filter", "dedup_text", "semdedup", "cluster_uniform", "quota"]
    pairs = {
        f"{job.folder.name}: {number}-{name}, commands and plan": (
            load(job.folder / f"{number}.parquet").indices,
            load(job.folder / "work" / f"{number}-{name}.parquet").indices,
        )
        for number, name in enumerate(names, 1)
    }
    found += [f"{what}: rows" for what, (a, b) in pairs.items() if not np.array_equal(a, b)]
    one, other = load(job.folder / "5.parquet"), load(job.folder / "work" / "selection.parquet")
    found += [f"{job.folder.name}: final, commands and plan: {each}"
              for each in differences(one, other)]  # fmt: skip
    chosen = [pq.read_table(job.folder / name) for name in ("chosen", "by-plan")]
    found += [f"{job.folder.name}: exported column {each}" for each in differences(*chosen)]
    if chosen[0].num_rows != len(one):
        found.append(f"{job.folder.name}: {chosen[0].num_rows} rows exported of {len(one)}")
    if first is not None:
        files = [f"{number}.parquet" for number in range(1, 6)]
        for name in [*files, "combined.parquet", "3-0.97.parquet", "work/selection.parquet"]:
            mine, theirs = load(job.folder / name), load(first.folder / name)
            found += [f"{job.folder.name} and {first.folder.name}, {name}: {each}"
                      for each in differences(mine, theirs)]  # fmt: skip
        theirs = pq.read_table(first.folder / "chosen")
        found += [f"{job.folder.name} and {first.folder.name}: exported column {each}"
                  for each in differences(chosen[0], theirs)]  # fmt: skip
    return found


def ancestors(process: int) -> Iterator[int]:
    """Yield the parents of a process, the nearest first."""
    while process > 1:
        try:
            text = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            return
        process = int(text.rpartition(")")[2].split()[1])
        yield process


def busy_workers() -> dict[int, float]:
    """Return the processor seconds of the workers of the cluster that this process started."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if not (folder / "cmdline").read_bytes().startswith(b"ray::"):
                continue
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if os.getpid() in ancestors(int(folder.name)):
            spent = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            found[int(folder.name)] = spent
    return found


@contextlib.contextmanager
def one_killed(killed: list[int]) -> Iterator[None]:
    """Kill a worker while it runs a task of the block."""
    done = threading.Event()

    def act() -> None:
        before = busy_workers()
        while not done.wait(0.05):
            for process, spent in busy_workers().items():
                if spent - before.get(process, 0.0) > 0.5:  # it is past its imports
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                        killed.append(process)
                        return

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """Start a Ray cluster of two workers on this machine; yield its address."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield ray.get_runtime_context().gcs_address
    finally:
        ray.shutdown()


def table_of(runs: list[dict[str, Any]]) -> str:
    """Return the runs as a table in Markdown."""
    head = "| layout | engine | how | seconds | peak MiB | workers killed |"
    lines = [
        f"| {each['layout']} | {each['engine']} | {each['how']} | {each['seconds']:.1f} | "
        f"{each['peak'] / 2**20:.0f} | {each['killed']} |"
        for each in runs
    ]
    return "\n".join([head, "|---|---|---|---:|---:|---:|", *lines])


def whole_job(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Make the corpus, run the job in every way, and compare."""
    planted = make(folder, given.size)
    runs, wrong, first = [], [], None
    for engine in given.engines.split(","):
        with cluster() if engine == "ray" else contextlib.nullcontext() as address:
            options = [] if address is None else ["--engine", "ray", "--address", address]
            for layout in LAYOUTS:
                job = Job(folder, layout, options, engine, given.size, given.clusters)
                for how, work in (("commands", job.commands), ("plan", job.plan)):
                    killed: list[int] = []
                    with one_killed(killed) if options else contextlib.nullcontext():
                        work()
                    spent = job.spent[how]
                    runs.append({
                        "layout": layout, "engine": engine, "how": how, "killed": len(killed),
                        "seconds": sum(s for s, _ in spent), "peak": max(p for _, p in spent),
                    })  # fmt: skip
                    print(table_of(runs[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
                    if options and not killed:
                        wrong.append(f"{job.folder.name}, {how}: no worker was killed")
                job.after()
                wrong += compare(job, first)
                first = first or job
    kept = {name: len(Selection.load(first.folder / f"{name}.parquet")) for name in "12345"}
    return {
        "rows": given.size, "clusters": given.clusters, "planted": planted, "kept": kept,
        "runs": runs, "different": wrong, "machine": machine(),
    }  # fmt: skip


def main() -> None:
    """Make, run, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=200_000)
    parser.add_argument("--clusters", type=int, default=300)
    parser.add_argument("--engines", default="local,ray")
    parser.add_argument("--folder", type=Path, help="kept afterwards; must not exist")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="whole-job-"))
    try:
        found = whole_job(folder.resolve(), given)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)
    print(table_of(found["runs"]))
    print("rows after each step:", ", ".join(f"{n:,}" for n in found["kept"].values()))
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["different"]:
        raise SystemExit("different:\n  " + "\n  ".join(found["different"]))
    print("all subsets, dropped rows and exports are equal")


if __name__ == "__main__":
    main()
