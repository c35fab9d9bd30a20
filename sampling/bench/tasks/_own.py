"""Tasks with the benchmark's own models: what the user may set of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ._data import Data, data_of
from ._listing import TEST, TRAIN, VAL
from ._models import Recipe
from ._parts import TensorPart
from ._task import Task

_FEWEST_STEPS = 8  # of an epoch, unless a batch size is given
_VAL_LEFT = 6 / 7  # of the training samples, where validation is split off
_NAMES = 5  # of classes in a note
_BLOCK = 2**22  # numbers at a time, for mean and deviation


@dataclass(frozen=True)
class Own:
    """What the user sets of a task with one of the benchmark's own models.

    Parameters
    ----------
    name : str
        Name of the task.
    learning_rate : float, optional
        Peak of the learning rate; by default that of the recipe.
    metric : str, optional
        Name of the metric.
    """

    name: str
    learning_rate: float | None = None
    metric: str | None = None

    def changed(self, recipe: Recipe) -> Recipe:
        """Return a recipe with the learning rate of the user."""
        if self.learning_rate is None:
            return recipe
        return replace(recipe, learning_rate=self.learning_rate)

    def data(  # noqa: PLR0913  # one for each part of the task
        self,
        rows: dict[str, NDArray[np.int64]],
        inputs: NDArray[Any],
        targets: NDArray[Any],
        recipe: Recipe,
        *,
        digest: str | None = None,
        notes: Sequence[str] = (),
        examples: Callable[..., list[Any]] | None = None,
        class_names: Sequence[str] | None = None,
        embeddings: Callable[[], ArrayLike] | None = None,
    ) -> Data:
        """Return data of rows of arrays, with the model of a recipe.

        Parameters
        ----------
        rows : dict of str to int64 array
            Rows of "train", "val" and "test"; no rows of "val" where it is split off.
        inputs : array of shape (N, ...)
            Inputs, perhaps a memory map.
        targets : int64 or float32 array of shape (N,)
            Targets.
        recipe : Recipe
            The model, given the number of outputs, and how to train it.
        digest, notes
            Those of `Data`.
        examples, class_names, embeddings
            Those of `Task`, with regard to the rows of "train".
        """
        x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
        parts = {}
        for name, own in rows.items():
            held = torch.from_numpy(own)
            parts[name] = TensorPart(x, y[held], held)
        recipe, outputs = self.changed(recipe), len(class_names) if class_names else 1
        given = len(parts[VAL]) > 0
        size = len(parts[TRAIN]) * (1.0 if given else _VAL_LEFT)
        task = Task(
            parts[TRAIN],
            parts[TEST],
            lambda: recipe.model(outputs),
            val=parts[VAL] if given else None,
            metric=self.metric,
            optimizer=recipe.optimizer,
            epochs=recipe.epochs,
            batch_size=max(1, min(recipe.batch_size, int(size / _FEWEST_STEPS))),
            threads=recipe.threads,
            examples=examples,
            class_names=None if class_names is None else tuple(class_names),
            embeddings=embeddings,
            name=self.name,
        )
        return replace(data_of(task, digest), notes=tuple(notes))


def moments(
    array: NDArray[Any], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and deviation of some rows, over all axes but the last: (N, ..., D) -> (D,).

    A deviation of 0 is given as 1.
    """
    width = array.shape[-1]
    total, squares, shift = np.zeros(width), np.zeros(width), np.zeros(width)
    step = max(1, _BLOCK // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, rows.size, step):
        block = array[rows[start : start + step]].reshape(-1, width).astype(np.float64)
        if not start:
            shift = block.mean(0)  # so that squares of large numbers lose no digits
        block -= shift
        total += block.sum(0)
        squares += (block**2).sum(0)
    count = rows.size * int(np.prod(array.shape[1:-1]))
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    tiny = deviation <= 1e-12 * np.abs(mean + shift)  # a constant, up to rounding
    return mean + shift, np.where(tiny, 1.0, deviation)


def single_classes(labels: NDArray[np.int64], names: Sequence[str]) -> list[str]:
    """Return a note of the classes that have one training sample."""
    few = np.flatnonzero(np.bincount(labels, minlength=len(names)) == 1)
    if not few.size:
        return []
    more = ", ..." if few.size > _NAMES else ""
    shown = ", ".join(names[c] for c in few[:_NAMES])
    return [f"Classes with one training sample: {few.size:,} ({shown}{more})."]
