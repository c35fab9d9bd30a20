"""Training dynamics: what recording costs a training step; rows of `selection.py`.

The peer is the `aum` package where it is installed: it records one of the four, and keeps a Python
object for each sample.
"""

from collections.abc import Callable

import numpy as np
import torch
from harness import LeftOut, Row, in_turn, peer, shrunk

FOUR = ("el2n", "forgetting", "aum", "cartography")
EVERY = (*FOUR, "dyn_unc", "dual", "ema_loss", "entropy", "margin")
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def batches_of(size: int, classes: int, batch: int, count: int = 100) -> list[Batch]:
    """Return batches of random logits of a dataset of `size`."""
    random, count = np.random.default_rng(0), shrunk(count)
    made: list[Batch] = []
    for _ in range(count):
        rows = torch.from_numpy(random.integers(0, size, batch))
        logits = torch.from_numpy(random.standard_normal((batch, classes), np.float32))
        made.append((rows, logits, torch.from_numpy(random.integers(0, classes, batch))))
    return made


def recorded(
    name: str,
    rate: float,
    runs: int,
    batches: list[Batch],
    size: int,
    fields: tuple[str, ...],
    aim: str = "–",
) -> Row:
    """Time `update` a batch; the peer, if there is one, has the same batches."""
    from sampling.scores import TrainingDynamics

    runs, (width, classes) = 3 * runs, batches[0][1].shape
    dynamics = TrainingDynamics(size, classes, fields=fields)

    def record() -> None:
        for batch in batches:
            dynamics.update(*batch)

    try:
        theirs = _aum(batches)
    except LeftOut:  # ours is worth a row without it
        theirs = None
    ours, others = in_turn(record, theirs, runs)
    bytes_read = width * (4 * classes + 16) + 8 * width * len(dynamics.state_dict()["arrays"])
    return Row(
        name,
        [each / len(batches) for each in ours],
        [each / len(batches) for each in others],
        "aum, one of the four" if theirs else "–",
        aim,
        bytes_read / rate,
        "logits, labels and the tables of the rows",
    )


def _aum(batches: list[Batch]) -> Callable[[], object]:
    """Return the same work by the `aum` package."""
    calculator = peer("aum").AUMCalculator("unused", compressed=True)
    names = [[str(i) for i in rows.tolist()] for rows, _, _ in batches]

    def record() -> None:
        for (_, logits, labels), ids in zip(batches, names, strict=True):
            calculator.update(logits, labels, ids)

    return record


def four_of_ten_classes(rate: float, runs: int) -> Row:
    """Record the four usual fields of a dataset whose tables fit the cache."""
    batches = batches_of(50_000, 10, 256)
    name = "el2n, forgetting, aum, cartography, B = 256, C = 10, a batch"
    return recorded(name, rate, runs, batches, 50_000, FOUR, "seconds <= 1e-4")


def four_of_a_million(rate: float, runs: int) -> Row:
    """Record the same of a dataset whose tables do not."""
    batches = batches_of(10**6, 10, 256)
    return recorded("the four, N = 10^6, a batch", rate, runs, batches, 10**6, FOUR)


def every_field(rate: float, runs: int) -> Row:
    """Record all nine fields."""
    batches = batches_of(50_000, 10, 256)
    return recorded("all nine fields, a batch", rate, runs, batches, 50_000, EVERY)


def thousand_classes(rate: float, runs: int) -> Row:
    """Record the four of ImageNet's 1,000 classes."""
    batches = batches_of(50_000, 1000, 256, count=20)
    return recorded("the four, C = 1,000, a batch", rate, runs, batches, 50_000, FOUR)


def batches_of_1024(rate: float, runs: int) -> Row:
    """Record the four in batches of the size that the peer was quoted for."""
    batches = batches_of(50_000, 10, 1024, count=50)
    return recorded("the four, B = 1,024, a batch", rate, runs, batches, 50_000, FOUR)


ROWS: dict[str, Callable[[float, int], Row]] = {
    "dynamics four": four_of_ten_classes,
    "dynamics four of a million": four_of_a_million,
    "dynamics every field": every_field,
    "dynamics thousand classes": thousand_classes,
    "dynamics batches of 1024": batches_of_1024,
}
