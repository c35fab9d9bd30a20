"""Training dynamics: what recording costs a training step.

    python benchmarks/dynamics.py               every row, about a minute

Rows of the kind of `speed.py`, printed and not kept. The peer is the `aum` package where it is
installed: it records one of the four, and keeps a Python object for each sample.
"""

import argparse
import statistics
from collections.abc import Callable

import numpy as np
import torch
from harness import Row, bandwidth, human, in_turn, machine

FOUR = ("el2n", "forgetting", "aum", "cartography")
EVERY = (*FOUR, "dyn_unc", "dual", "ema_loss", "entropy", "margin")
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def batches_of(size: int, classes: int, batch: int, count: int = 200) -> list[Batch]:
    """Return batches of random logits of a dataset of `size`."""
    random = np.random.default_rng(0)
    made: list[Batch] = []
    for _ in range(count):
        rows = torch.from_numpy(random.integers(0, size, batch))
        logits = torch.from_numpy(random.standard_normal((batch, classes), np.float32))
        made.append((rows, logits, torch.from_numpy(random.integers(0, classes, batch))))
    return made


def recorded(
    name: str, rate: float, runs: int, batches: list[Batch], size: int, fields: tuple[str, ...]
) -> Row:
    """Time `update` a batch; the peer, if there is one, has the same batches."""
    from sampling.scores import TrainingDynamics

    width, classes = batches[0][1].shape
    dynamics = TrainingDynamics(size, classes, fields=fields)

    def record() -> None:
        for batch in batches:
            dynamics.update(*batch)

    ours, peer = in_turn(record, _aum(batches), runs)
    bytes_read = width * (4 * classes + 16) + 8 * width * len(dynamics.state_dict()["arrays"])
    return Row(
        name,
        [each / len(batches) for each in ours],
        [each / len(batches) for each in peer],
        "aum, one of the four",
        "100 us at B = 256, C = 10, the four",
        bytes_read / rate,
        "logits, labels and the tables of the rows",
        {"C": classes, "B": width},
    )


def _aum(batches: list[Batch]) -> Callable[[], object] | None:
    """Return the same work by the `aum` package, or None without it."""
    try:
        from aum import AUMCalculator
    except ImportError:
        return None
    calculator = AUMCalculator("unused", compressed=True)
    names = [[str(i) for i in rows.tolist()] for rows, _, _ in batches]

    def record() -> None:
        for (_, logits, labels), ids in zip(batches, names, strict=True):
            calculator.update(logits, labels, ids)

    return record


def four_of_ten_classes(rate: float, runs: int) -> Row:
    """Record the four usual fields of a dataset whose tables fit the cache."""
    batches = batches_of(50_000, 10, 256)
    return recorded("el2n, forgetting, aum, cartography", rate, runs, batches, 50_000, FOUR)


def four_of_a_million(rate: float, runs: int) -> Row:
    """Record the same of a dataset whose tables do not."""
    batches = batches_of(10**6, 10, 256)
    return recorded("the four, N = 10^6", rate, runs, batches, 10**6, FOUR)


def every_field(rate: float, runs: int) -> Row:
    """Record all nine fields."""
    batches = batches_of(50_000, 10, 256)
    return recorded("all nine fields", rate, runs, batches, 50_000, EVERY)


def thousand_classes(rate: float, runs: int) -> Row:
    """Record the four of ImageNet's 1,000 classes."""
    batches = batches_of(50_000, 1000, 256, count=20)
    return recorded("the four, C = 1,000", rate, runs, batches, 50_000, FOUR)


def batches_of_1024(rate: float, runs: int) -> Row:
    """Record the four in batches of the size that the peer was quoted for."""
    batches = batches_of(50_000, 10, 1024, count=50)
    return recorded("the four, B = 1,024", rate, runs, batches, 50_000, FOUR)


ROWS = (four_of_ten_classes, four_of_a_million, every_field, thousand_classes, batches_of_1024)


def main() -> None:
    """Print every row: median, smallest, peer, limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="", help="only rows whose function name contains this")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    rate = bandwidth()
    for make in ROWS:
        if options.rows in make.__name__:
            row = make(rate, options.runs)
            peer = f", aum {human(statistics.median(row.peer))}" if row.peer else ""
            print(
                f"{row.name}: {human(statistics.median(row.ours))} a batch, "
                f"least {human(min(row.ours))}{peer}, limit {human(row.limit)}, {row.notes}",
                flush=True,
            )
    print(machine())


if __name__ == "__main__":
    main()
