"""Arrays of a saved state, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import StateError

Arrays = dict[str, NDArray[Any]]


def check_array(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    dtype: type[np.generic],
    size: int | None = None,
) -> NDArray[Any]:
    """Return the array of a full state, (size,) of `dtype`, or raise `StateError`."""
    if name not in arrays:
        raise StateError(f"the full state must hold the array {name!r}, got {sorted(arrays)}")
    array = arrays[name]
    length = array.size if size is None else size
    if array.shape != (length,) or array.dtype != dtype:
        raise StateError(
            f"{name} must be {np.dtype(dtype)} of shape ({length},), got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array
