"""Speed and memory of the samplers against what a PyTorch user has today.

    python benchmarks/speed.py                  every row, about ten minutes
    python benchmarks/speed.py --rows drain     the rows whose name contains the word
    python benchmarks/speed.py --table          only write README's table again from the results

Ours and the peer's run in turn, A B A B ..., in one process; a row keeps every time and shows the
medians and their ratio, so a machine that drifts drifts for both. `limit` is what physics asks for:
bytes that must move over the memory bandwidth measured in the same run, or what must be imported.
Rows that miss their aim stay in the table.
"""

import argparse
import json
import statistics
from dataclasses import asdict

import importance
import mixture
import resume_and_batches
from harness import (
    BEGIN,
    README,
    RESULTS,
    Row,
    bandwidth,
    child,
    child_time,
    drain,
    first,
    human,
    in_turn,
    machine,
    peak_of,
    write_table,
)


def shuffle_first(rate: float, runs: int) -> Row:
    """First index of a shuffle of 10^9."""
    from torch.utils.data import RandomSampler

    from sampling.samplers import ShuffleSampler

    seeds = iter(range(1000))
    ours, peer = in_turn(
        lambda: first(ShuffleSampler(10**9, seed=next(seeds))),
        lambda: first(RandomSampler(range(10**7))),
        runs,
    )
    memory = {
        "ours_MiB": peak_of("from sampling.samplers import ShuffleSampler as S", "S(10**9)"),
        "peer_MiB": peak_of("from torch.utils.data import RandomSampler as S", "S(range(10**7))"),
    }
    return Row(
        "shuffle, N = 10^9, first index",
        ours,
        peer,
        "RandomSampler, N = 10^7",
        "20 ms, 10 MiB",
        0.0,
        "nothing has to move",
        memory,
    )


def shuffle_drain(rate: float, runs: int) -> Row:
    """All indices of a shuffle of 10^7."""
    from torch.utils.data import RandomSampler

    from sampling.samplers import ShuffleSampler

    size = 10**7
    ours, peer = in_turn(
        lambda: drain(ShuffleSampler(size)), lambda: drain(RandomSampler(range(size))), runs
    )
    # An int object of 32 bytes and a list slot of 8 for each index, written and read once.
    return Row(
        "drain a shuffle of 10^7",
        ours,
        peer,
        "RandomSampler",
        "2x",
        80 * size / rate,
        "80 bytes an index: int object and list slot, written and read",
    )


def weighted_first(rate: float, runs: int) -> Row:
    """First index with replacement."""
    import numpy as np
    import torch
    from torch.utils.data import WeightedRandomSampler

    from sampling.samplers import WeightedSampler

    size = 10**7
    weights = np.random.default_rng(0).random(size)
    tensor = torch.from_numpy(weights)
    ours, peer = in_turn(
        lambda: first(WeightedSampler(weights)),
        lambda: first(WeightedRandomSampler(tensor, size)),
        runs,
    )
    return Row(
        "weighted with replacement, N = 10^7, first index",
        ours,
        peer,
        "WeightedRandomSampler",
        "15x",
        26 * size / rate,
        "26 bytes a weight: read, running sum, guide",
    )


def weighted_huge(rate: float, runs: int) -> Row:
    """First index with replacement where torch refuses."""
    import numpy as np

    from sampling.samplers import WeightedSampler

    size = 10**8
    weights = np.random.default_rng(0).random(size)
    ours, _ = in_turn(lambda: first(WeightedSampler(weights)), None, max(2, runs // 2))
    return Row(
        "weighted with replacement, N = 10^8, first index",
        ours,
        [],
        "WeightedRandomSampler refuses more than 2^24",
        "8 s",
        26 * size / rate,
        "26 bytes a weight: read, running sum, guide",
    )


def weighted_distinct(rate: float, runs: int) -> Row:
    """First index without replacement."""
    import numpy as np
    import torch
    from torch.utils.data import WeightedRandomSampler

    from sampling.samplers import WeightedSampler

    size = 10**7
    weights = np.random.default_rng(0).random(size)
    tensor = torch.from_numpy(weights)
    ours, peer = in_turn(
        lambda: first(WeightedSampler(weights, size // 2, replacement=False)),
        lambda: first(WeightedRandomSampler(tensor, size // 2, replacement=False)),
        runs,
    )
    # A random order touches another cache line for each weight.
    return Row(
        "weighted without replacement, M = N/2, N = 10^7, first index",
        ours,
        peer,
        "WeightedRandomSampler (inclusion not proportional)",
        "2x",
        66 * size / rate,
        "a cache line for each weight in random order, and the list",
    )


def infobatch_plan(rate: float, runs: int) -> Row:
    """Plan one pruning epoch."""
    import random

    import numpy as np

    from sampling.samplers import InfoBatchSampler

    size = 10**7
    losses = np.random.default_rng(0).exponential(size=size).astype(np.float32)
    sampler = InfoBatchSampler(size, 1000)
    sampler.record(np.arange(size), losses)
    epochs = iter(range(1, 800))

    def lists() -> list[int]:
        easy = losses < losses.mean()
        hard, candidates = np.flatnonzero(~easy), np.flatnonzero(easy)
        kept = np.random.default_rng(0).choice(candidates, candidates.size // 2, replace=False)
        weights = np.ones_like(losses)
        weights[kept] = 2.0
        plan: list[int] = np.concatenate([hard, kept]).tolist()
        random.shuffle(plan)
        return plan

    ours, peer = in_turn(lambda: sampler.set_epoch(next(epochs)), lists, runs)
    table = sampler._plan(sampler.epoch).table
    held = sampler.scores.nbytes + sum(
        value.nbytes
        for value in vars(table).values()
        if isinstance(value, np.ndarray) and value.base is None
    )
    return Row(
        "InfoBatch epoch plan, N = 10^7",
        ours,
        peer,
        "numpy masks, choice, list, shuffle",
        "15x",
        12 * size / rate,
        "12 bytes a sample: scores read twice, codes written twice, read twice",
        {"state_bytes_per_sample": held / size},
    )


def record_batch(rate: float, runs: int) -> Row:
    """Record a batch of 256 losses."""
    import numpy as np
    import torch

    from sampling.samplers import InfoBatchSampler

    size, times = 10**6, 2000
    sampler = InfoBatchSampler(size, 10)
    sampler.record(np.arange(size), np.random.default_rng(0).exponential(size=size))
    sampler.set_epoch(1)
    indices = torch.from_numpy(sampler.indices(1)[:256])
    losses = torch.rand(256, requires_grad=True) * 2
    table = torch.zeros(size)

    def assign() -> None:
        for _ in range(times):
            table[indices] = losses.detach()

    def record() -> None:
        for _ in range(times):
            sampler.record(indices, losses)

    ours, peer = in_turn(record, assign, 3 * runs)
    return Row(
        "record a batch of 256 losses",
        [t / times for t in ours],
        [t / times for t in peer],
        "table[indices] = losses.detach()",
        "0.5x",
        256 * 16 / rate,
        "16 bytes a loss",
    )


def balanced_first(rate: float, runs: int) -> Row:
    """First index of a class-balanced epoch."""
    import numpy as np
    import torch
    from torch.utils.data import WeightedRandomSampler

    from sampling.samplers import ClassBalancedSampler

    size, classes = 10**7, 1000
    labels = (classes * np.random.default_rng(0).random(size) ** 2).astype(np.int64)

    def torch_way() -> int:
        counts = np.bincount(labels, minlength=classes)
        return first(WeightedRandomSampler(torch.from_numpy(1.0 / counts[labels]), size))

    ours, peer = in_turn(lambda: first(ClassBalancedSampler(labels)), torch_way, runs)
    return Row(
        "class-balanced, N = 10^7, 1,000 classes, first index",
        ours,
        peer,
        "WeightedRandomSampler with class weights",
        "15x",
        32 * size / rate,
        "32 bytes a sample: labels read twice, codes, members and draws written",
    )


def fresh_process(rate: float, runs: int) -> Row:
    """Start a process and take a first index, beyond `import torch`."""
    code = "from sampling.samplers import ShuffleSampler as S; next(iter(S(10**9)))"
    ours, peer = in_turn(lambda: child(code), lambda: child("import torch"), runs)
    more = [a - b for a, b in zip(ours, peer, strict=True)]
    return Row(
        "fresh process to the first index of ShuffleSampler(10**9)",
        ours,
        peer,
        "import torch alone",
        "1.0 s more",
        statistics.median(peer),
        "importing torch",
        {"more_s": statistics.median(more)},
    )


def import_time(rate: float, runs: int) -> Row:
    """`import sampling` beyond an empty interpreter."""
    ours, peer = in_turn(lambda: child("import sampling"), lambda: child("pass"), 3 * runs)
    more = [a - b for a, b in zip(ours, peer, strict=True)]
    numpy_more = [child_time("import numpy") - child_time("pass") for _ in range(3 * runs)]
    return Row(
        "import sampling",
        ours,
        peer,
        "python -c pass",
        "50 ms more",
        None,
        "",
        {
            "more_ms": 1e3 * statistics.median(more),
            "of_which_numpy_ms": 1e3 * statistics.median(numpy_more),
        },
    )


ROWS = [
    shuffle_first, shuffle_drain, weighted_first, weighted_huge, weighted_distinct,
    infobatch_plan, record_batch, balanced_first, fresh_process, import_time,
    *resume_and_batches.ROWS, *importance.ROWS, *mixture.ROWS,
]  # fmt: skip


def main() -> None:
    """Run the rows asked for and keep the others as they were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="only rows whose function name contains this")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    if not options.table:
        rate = bandwidth()
        for make in ROWS:
            if options.rows in make.__name__:
                row = make(rate, options.runs)
                results["rows"].pop(row.name, None)
                results["rows"][row.name] = {
                    key: value for key, value in asdict(row).items() if key != "name"
                }
                print(
                    f"{row.name}: {human(statistics.median(row.ours))}, ratio {row.ratio}, "
                    f"{row.notes}",
                    flush=True,
                )
        results.update(machine=machine(), bandwidth_GBps=rate / 1e9)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if README.exists() and BEGIN in README.read_text():
        write_table(results)


if __name__ == "__main__":
    main()
