"""Array aliases and the one record that selectors return."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Selection"]

Indices: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = NDArray[np.float32]
Packed: TypeAlias = NDArray[Any]  # indices as int32 where N < 2**31, else int64


@dataclass(frozen=True, eq=False)
class Selection:
    """Chosen samples, with the weight of each: what every selector returns.

    Parameters
    ----------
    indices : int64 array of shape (M,)
        Rows of the original input, in the order in which they were picked.
    weights : float64 array of shape (M,), optional
        What each kept sample stands for; the selector says how they are normalised.
    scores : float array of shape (N,), optional
        The score of every row of the input, kept or not.
    ids : array of shape (M,), optional
        The caller's names of the kept rows.
    method : str, default ""
        Name of the selector.
    arguments : dict, optional
        Its arguments, as JSON values.

    Examples
    --------
    >>> import numpy as np
    >>> Selection(np.array([4, 2]), weights=np.array([1.0, 3.0])).indices
    array([4, 2])
    """

    indices: Indices
    weights: Floats | None = None
    scores: NDArray[np.floating[Any]] | None = None
    ids: NDArray[Any] | None = None
    method: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
