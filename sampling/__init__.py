"""Which samples to use, how often, in what order and with what weight, for PyTorch.

sampling.samplers
    Samplers for `DataLoader`: which sample is drawn next.
sampling.weighting
    Loss weights: functions of the losses of a batch, for `reduce`.
sampling.scores
    Difficulty scores: training dynamics, GraNd, the score table.
sampling.clustering
    k-means and nearest neighbours on faiss, seeded and checked.
sampling.selection
    Coreset selection and data pruning; all methods have one signature.
sampling.io
    Files of selections and scores, written atomically.
sampling.integrations
    Lightning, Hugging Face, accelerate, torchdata: no sampler is replaced or lost.
sampling.testing
    Contract checks that any sampler must pass, also your own.
sampling.bench
    Accuracy of each sampler at a given training cost.
sampling.Indexed
    A dataset that yields (index, sample).
sampling.Selection
    Selected samples with their weights.
sampling.Score
    A number for each sample, with its direction.

Importing `sampling` loads nothing else, not even numpy: each package is loaded when it is first
used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import (
        bench,
        clustering,
        distributed,
        integrations,
        io,
        samplers,
        scores,
        selection,
        testing,
        weighting,
    )
    from .samplers._indexed import Indexed
    from .types import Score, Selection

__version__ = "0.1.0"
_CLASSES = {"Indexed": ".samplers._indexed", "Score": ".types", "Selection": ".types"}
__all__ = [
    "Indexed",
    "Score",
    "Selection",
    "bench",
    "clustering",
    "distributed",
    "integrations",
    "io",
    "samplers",
    "scores",
    "selection",
    "testing",
    "weighting",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # modules and a class
    """Load a package or one of the three classes on first use."""
    if name in _CLASSES:
        return getattr(importlib.import_module(_CLASSES[name], __name__), name)
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
