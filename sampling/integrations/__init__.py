"""Integrations with frameworks that wrap, shard and resume a loader; each has its own extra.

Lightning, sampling[lightning]
    LightningSamplerCallback        the position of the sampler in every checkpoint

Hugging Face Trainer, sampling[hf]
    SamplerTrainerMixin             sampler, losses and lengths
    SamplerTrainerCallback          the same for a Trainer that cannot use the mixin

accelerate, sampling[hf]
    prepare_loader                  shards the epoch exactly once
    check_prepared                  refuses an epoch that is sharded twice

torchdata, sampling[stateful]
    load_loader_state               resumes with another number of workers

Any loader
    check_loader                    whether its sampler is in effect
    LoaderReport, LoaderProblem     what it returns
    BatchTracker                    the indices of each batch
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
