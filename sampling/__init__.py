"""Which samples to use, how often, in what order and with what weight, for PyTorch.

sampling.samplers      what to draw next: samplers for `DataLoader`
sampling.scores        how hard each sample is: the score table
sampling.clustering    k-means on faiss, seeded and checked
sampling.bench         which sampler, at which cost, keeps how much accuracy
sampling.Indexed       a dataset that yields (index, sample)
sampling.Selection     chosen samples with their weights

Importing `sampling` loads none of torch, faiss, numba or scikit-learn: each package is loaded when
it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from .types import Selection

if TYPE_CHECKING:
    from . import bench, clustering, distributed, samplers, scores
    from .samplers._indexed import Indexed

__version__ = "0.1.0"
__all__ = ["Indexed", "Selection", "bench", "clustering", "distributed", "samplers", "scores"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # modules and a class
    """Load a package, or `Indexed`, on first use."""
    if name == "Indexed":
        return importlib.import_module(".samplers._indexed", __name__).Indexed
    if name in __all__:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
