"""Which samples to use, how often, in what order and with what weight, for PyTorch.

sampling.samplers      what to draw next: samplers for `DataLoader`
sampling.weighting     what a loss counts: functions of a batch's losses for `reduce`
sampling.scores        how hard each sample is: training dynamics, GraNd, the score table
sampling.clustering    k-means on faiss, seeded and checked
sampling.selection     which samples to keep: coresets and pruning, one signature for all
sampling.io            files: selections, written whole or not at all
sampling.integrations  Lightning, Hugging Face, accelerate, torchdata: nothing replaced or lost
sampling.testing       what a sampler must survive, as checks for anybody's
sampling.bench         which sampler, at which cost, keeps how much accuracy
sampling.Indexed       a dataset that yields (index, sample)
sampling.Selection     chosen samples with their weights
sampling.Score         a number for each sample, and what a high one means

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
