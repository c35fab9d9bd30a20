"""The three global random states: read, seeded and restored, so that checks can compare them.

The only module of the package that changes them; they are always restored.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def states() -> dict[str, Any]:
    """Return the states of `random`, `numpy.random` and `torch`, as comparable values."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "random": random.getstate(),
        "numpy.random": (kind, tuple(keys), *rest),
        "torch": tuple(torch.get_rng_state().tolist()),
    }


def scramble(seed: int) -> None:
    """Seed all three, as a restart or another program would."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)  # not the devices: no sampler uses their generators


@contextmanager
def put_back() -> Iterator[None]:
    """Seed all three, and restore them at the end."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        scramble(0)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002
