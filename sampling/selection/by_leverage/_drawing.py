"""Draws in proportion to scores of the rows, spread over the space of their embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

from ... import _check
from ...types import Floats, Indices
from ..core._inclusion import DRAWS, draw_rows
from ..core._spatial_order import KINDS, axes_of, halved
from ..core._task import Picks, Task
from ..core._whiten import Bad, Rows

__all__ = ["Draw", "Spread", "check_drawing", "drawing", "spreading"]

Draw = Literal["pivotal", "systematic", "poisson", "top"]
Spread = Literal["kd", "pca"]


def drawing(
    rows: Rows, bad: Bad, scores: Floats, draw: str, spread: str | None, info: dict[str, Any]
) -> Callable[[Task], Picks]:
    """Return a core that draws in proportion to scores (N,), spread over the rows (N, D)."""
    along = spreading(rows, bad, draw, spread)

    def core(task: Task) -> Picks:
        picks = draw_rows(task, task.of(scores), draw, along(task))
        return replace(picks, info={**picks.info, **info})

    return core


def check_drawing(draw: str, spread: str | None) -> None:
    """Refuse unknown sampling designs and orders."""
    _check.choice("draw", draw, DRAWS)
    if spread is not None:
        _check.choice("spread", spread, KINDS)


def spreading(
    rows: Rows, bad: Bad, draw: str, spread: str | None
) -> Callable[[Task], Indices | None]:
    """Return a function from a task to the order to draw along; None for a random order."""
    check_drawing(draw, spread)
    if spread is None or draw != "pivotal":
        return lambda task: None
    axes = axes_of(rows, spread, bad)
    return lambda task: halved(task.of(axes), task.keys)
