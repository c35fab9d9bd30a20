"""Integrations with frameworks that wrap, shard and resume a loader; each has its own extra.

LightningSamplerCallback   Lightning: sampler position in every checkpoint      sampling[lightning]
SamplerTrainerMixin        Hugging Face Trainer: sampler, losses, lengths       sampling[hf]
SamplerTrainerCallback     the same for a Trainer that cannot use the mixin     sampling[hf]
prepare_loader             accelerate: shard the epoch exactly once             sampling[hf]
check_prepared             accelerate: refuse an epoch that is sharded twice    sampling[hf]
load_loader_state          torchdata: another number of workers                 sampling[stateful]
check_loader               any loader: whether its sampler is in effect
BatchTracker               any loader: the indices of each batch
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .. import _optional

if TYPE_CHECKING:
    from ._accelerate import check_prepared, prepare_loader
    from ._check_loader import LoaderProblem, LoaderReport, check_loader
    from ._lightning import LightningSamplerCallback
    from ._stateful import load_loader_state
    from ._tracker import BatchTracker
    from ._trainer import SamplerTrainerMixin
    from ._trainer_callback import SamplerTrainerCallback

_FILES = {  # name -> file, required framework, extra that installs it
    "BatchTracker": ("_tracker", "", ""),
    "LightningSamplerCallback": ("_lightning", "lightning", "lightning"),
    "LoaderProblem": ("_check_loader", "", ""),
    "LoaderReport": ("_check_loader", "", ""),
    "SamplerTrainerCallback": ("_trainer_callback", "transformers", "hf"),
    "SamplerTrainerMixin": ("_trainer", "transformers", "hf"),
    "check_loader": ("_check_loader", "", ""),
    "check_prepared": ("_accelerate", "accelerate", "hf"),
    "load_loader_state": ("_stateful", "torchdata", "stateful"),
    "prepare_loader": ("_accelerate", "accelerate", "hf"),
}
__all__ = [
    "BatchTracker",
    "LightningSamplerCallback",
    "LoaderProblem",
    "LoaderReport",
    "SamplerTrainerCallback",
    "SamplerTrainerMixin",
    "check_loader",
    "check_prepared",
    "load_loader_state",
    "prepare_loader",
]


def __getattr__(name: str) -> Any:  # classes and functions
    """Load an integration, and with it its framework, on first use."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    file, framework, extra = _FILES[name]
    if framework:
        _optional.require(framework, extra, name)
    return getattr(importlib.import_module(f".{file}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
