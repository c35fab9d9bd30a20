"""Files by which `sampling bench` and the process of a run exchange what to do and what was found.

Loaded by every script that calls `sampling.bench`, so nothing here needs more than Python itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

JOB = "SAMPLING_BENCH"  # path of the order of a run
READABLE = {name: f"{JOB}_{name.upper()}" for name in ("method", "keep", "seed")}


@dataclass(frozen=True)
class Order:
    """What the process of a run is to do, as JSON.

    Parameters
    ----------
    job : dict
        The fields of the `Job`.
    folder : str
        Folder in which `sampling bench` runs: a method may be a path relative to it.
    bench : int
        Process of `sampling bench`: if it has ended, so does the run, at its next epoch.
    began : float
        Time at which the process was started, seconds since 1970.
    first : bool
        Whether it is the run on all the data, from which epochs and level are learnt.
    size : int
        N of the first run; 0 before.
    batch_size : int
        Rows of a batch passed to `reduce` in the first run; 0 if unknown.
    logits : bool
        Whether the first run passed logits to `reduce` or `record`.
    calibration : dict of str to float
        "sample_seconds" of the first run.
    """

    job: dict[str, Any]
    folder: str
    bench: int
    began: float
    first: bool
    size: int = 0
    batch_size: int = 0
    logits: bool = False
    calibration: dict[str, float] = field(default_factory=dict)


@dataclass
class Answer:
    """What the process of a run reports, as JSON.

    Parameters
    ----------
    state, reason : str
        As of a `Run`.
    metric : str
        Name of the metric.
    value : float
        The metric.
    higher_is_better : bool
        Whether a higher value is better.
    fraction : bool
        Whether the metric is a fraction, shown as percent.
    val_curve : list of float
        Validation metric after each epoch.
    size : int
        N.
    draws : int
        Draws of all epochs.
    epochs : int
        Epochs of which all draws were consumed.
    asked_epochs : int
        What `num_epochs` returned; 0 if it was not called.
    asked_seed : bool
        Whether `seed` was called.
    losses : bool
        Whether losses were recorded and weighed.
    batch_size : int
        Most rows in a batch passed to `reduce` or `record`.
    logits : bool
        Whether logits were passed with losses.
    has_labels, has_embeddings : bool
        What was given to `sampler`.
    test_samples : int
        Length of `correct` or `predictions`; 0 without them.
    seconds : dict of str to float
        Seconds by phase.
    setting : dict of str to float
        Values that the method chose itself.
    """

    state: str = "done"
    reason: str = ""
    metric: str = ""
    value: float = 0.0
    higher_is_better: bool = True
    fraction: bool = False
    val_curve: list[float] = field(default_factory=list)
    size: int = 0
    draws: int = 0
    epochs: int = 0
    asked_epochs: int = 0
    asked_seed: bool = False
    losses: bool = False
    batch_size: int = 0
    logits: bool = False
    has_labels: bool = False
    has_embeddings: bool = False
    test_samples: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    setting: dict[str, float] = field(default_factory=dict)


def arrays_beside(order: Path) -> Path:
    """Return the file of the arrays of a run."""
    return order.with_name("arrays.npz")


def answer_beside(order: Path) -> Path:
    """Return the file of the answer to an order."""
    return order.with_name("answer.json")


def begun_beside(order: Path) -> Path:
    """Return the file that says that `sampler` was called."""
    return order.with_name("begun")


def write(path: Path, content: Order | Answer) -> None:
    """Write an order or an answer, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(content)))
    part.replace(path)
