"""Aliases of array types. A leaf: it imports nothing from the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__: list[str] = []

Indices: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = NDArray[np.float32]
Counts: TypeAlias = NDArray[np.unsignedinteger[Any]]  # the narrowest dtype that holds them
Packed: TypeAlias = NDArray[Any]  # indices as int32 where N < 2**31, else int64
Keys: TypeAlias = NDArray[np.uint64]  # random words, by which ties break
Progress: TypeAlias = Callable[[int, int, str], object]  # (step, total, unit)
