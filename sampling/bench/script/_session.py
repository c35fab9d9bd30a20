"""What the process of a run knows: its order, the sampler that it was given, what it asked for."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ...distributed import this_rank, world_size
from ._files import JOB, Answer, Order, answer_beside, write

if TYPE_CHECKING:
    from ..methods._method import TrainingPlan
    from ._watch import Watch


class Session:
    """A run of `sampling bench --command`, from the side of the script.

    Parameters
    ----------
    path : Path
        File of the order.

    Attributes
    ----------
    order : Order
        What is to be done.
    plan : TrainingPlan or None
        The method's, once `sampler` was called.
    watch : Watch or None
        What is counted of the sampler.
    asked_epochs : int
        What `num_epochs` returned; 0 if it was not called.
    asked_seed : bool
        Whether `seed` was called.
    reported : bool
        Whether `report` was called.
    starting, selecting : float
        Seconds from the start of the process to `sampler`, and in it.
    began : float
        When training began, by `time.perf_counter`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.order = Order(**json.loads(path.read_text()))
        self.plan: TrainingPlan | None = None
        self.watch: Watch | None = None
        self.needs_losses = False
        self.asked_epochs = 0
        self.asked_seed = False
        self.reported = False
        self.starting = self.selecting = 0.0
        self.began = time.perf_counter()
        self.given: dict[str, Any] = {"has_labels": False, "has_embeddings": False}

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.order.job["seed"])

    def answer(self, answer: Answer) -> None:
        """Write the answer: on the first rank."""
        if first_rank():
            write(answer_beside(self.path), answer)

    def end(self, state: str, reason: str) -> NoReturn:
        """End the process without a result, which is no error."""
        self.answer(Answer(state, reason))
        say(f"{state}: {reason}")
        raise SystemExit(0)


_SESSIONS: dict[str, Session] = {}  # of this process: one


def session() -> Session | None:
    """Return the run that this process is of `sampling bench --command`; None outside of it."""
    path = os.environ.get(JOB)
    if not path:
        return None
    if path not in _SESSIONS:
        _SESSIONS.clear()
        _SESSIONS[path] = Session(Path(path))
    return _SESSIONS[path]


def say(text: str) -> None:
    """Write a line to the log of the run."""
    sys.stderr.write(f"sampling bench: {text}\n")
    sys.stderr.flush()


def alone() -> bool:
    """Return whether one process trains: by torch.distributed, or by what launched it."""
    return world_size() == 1 and _launched("WORLD_SIZE", 1) == 1


def first_rank() -> bool:
    """Return whether this process is the one that writes."""
    return (this_rank() if world_size() > 1 else _launched("RANK", 0)) == 0


def _launched(name: str, default: int) -> int:
    found = os.environ.get(name, "")
    return int(found) if found.isdecimal() else default
