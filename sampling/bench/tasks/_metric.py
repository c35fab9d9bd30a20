"""Metrics of the benchmark: what is kept of each test sample, and the value of them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import short

Function: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True)
class Metric:
    """How runs are judged.

    Parameters
    ----------
    name : str
        Name in tables and files.
    outcome : callable
        Maps the outputs and targets of a batch to what is kept of each sample, (B,) or (B, k).
    value : callable
        Maps the outcomes (M,) and targets (M,) of a whole part to the metric, a float.
    higher_is_better : bool, default True
        Whether a higher value is better.
    factor : float, default 100
        Factor of values in tables: 100 for fractions, which are shown as percent, and whose
        differences are points.
    kind : {"classes", "losses", "values", "outputs"}
        What the outcomes are: predicted classes, losses, predictions, or whole outputs.
    """

    name: str
    outcome: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    value: Function
    higher_is_better: bool = True
    factor: float = 100.0
    kind: str = "classes"

    @property
    def heading(self) -> str:
        """Name with its unit, for tables and axes."""
        return f"{self.name} (%)" if self.factor == 100 else self.name  # noqa: PLR2004

    @property
    def points(self) -> str:
        """Unit of differences."""
        return "points" if self.factor == 100 else f"of {self.name}"  # noqa: PLR2004


def per_class(predicted: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return the accuracy of each class, NaN without samples: (M,), (M,) -> float64 (C,)."""
    count = int(max(targets.max(), 0)) + 1
    totals = np.bincount(targets, minlength=count)
    hits = np.bincount(targets[predicted == targets], minlength=count)
    return np.where(totals > 0, hits / np.maximum(totals, 1), np.nan)


def _accuracy(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
    return float((predicted == targets).mean())


def _balanced(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
    return float(np.nanmean(per_class(predicted, targets)))


def _macro_f1(predicted: NDArray[Any], targets: NDArray[Any]) -> float:
    """F1 of each class that occurs in the targets or predictions, averaged."""
    count = int(max(targets.max(), predicted.max())) + 1
    hits = np.bincount(targets[predicted == targets], minlength=count)
    sizes = np.bincount(targets, minlength=count) + np.bincount(predicted, minlength=count)
    return float((2 * hits[sizes > 0] / sizes[sizes > 0]).mean())


def _r2(values: NDArray[Any], targets: NDArray[Any]) -> float:
    """Coefficient of determination, averaged over the columns of several targets."""
    wanted = targets.reshape(len(targets), -1).astype(np.float64)
    residual = ((values.reshape(wanted.shape) - wanted) ** 2).sum(0)
    spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
    return float((1 - residual / np.where(spread > 0, spread, 1.0)).mean())


def _mean(losses: NDArray[Any], targets: NDArray[Any]) -> float:
    return float(losses.astype(np.float64).mean())


def predicted_class(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the class of the highest output: (B, C) -> int32 (B,)."""
    return outputs.argmax(1).to(torch.int32)


def _log_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(outputs.float(), targets, reduction="none")


def _values(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return outputs.float().reshape(targets.shape)


METRICS = {
    "accuracy": Metric("accuracy", predicted_class, _accuracy),
    "balanced accuracy": Metric("balanced accuracy", predicted_class, _balanced),
    "macro F1": Metric("macro F1", predicted_class, _macro_f1),
    "R2": Metric("R2", _values, _r2, kind="values"),
    "log-loss": Metric(
        "log-loss", _log_loss, _mean, higher_is_better=False, factor=1.0, kind="losses"
    ),
}


def metric_of(given: object) -> Metric:
    """Return a metric by its name, or a callable of outputs (M, ...) and targets (M, ...)."""
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        known = {_spelled(name): metric for name, metric in METRICS.items()}
        if _spelled(given) in known:
            return known[_spelled(given)]
        _check.choice("metric", given, METRICS)
    if not callable(given):
        raise TypeError(
            f"metric must be one of {', '.join(map(repr, METRICS))}, or a function of outputs and "
            f"targets, got {short(given)}"
        )
    name = getattr(given, "__name__", type(given).__name__)
    return Metric(name, lambda outputs, targets: outputs.float(), given, factor=1.0, kind="outputs")


def _spelled(name: str) -> str:
    """Return a name without the characters by which spellings differ."""
    plain = name.lower().translate(str.maketrans("", "", " -_"))
    return {"f1": "macrof1", "nll": "logloss", "crossentropy": "logloss", "r²": "r2"}.get(
        plain, plain
    )
