"""The data of a `Selection`, for functions that read it without its methods."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..types import Floats, Indices


class Fields(Protocol):
    """The fields of `Selection`, which documents them."""

    @property
    def indices(self) -> Indices: ...  # noqa: D102
    @property
    def weights(self) -> Floats | None: ...  # noqa: D102
    @property
    def scores(self) -> NDArray[np.floating[Any]] | None: ...  # noqa: D102
    @property
    def ids(self) -> NDArray[Any] | None: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def arguments(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def size(self) -> int | None: ...  # noqa: D102
    @property
    def ranked(self) -> bool: ...  # noqa: D102
    @property
    def verdicts(self) -> NDArray[np.uint8] | None: ...  # noqa: D102
    @property
    def rules(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def info(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def row_ids(self) -> NDArray[Any] | None: ...  # noqa: D102
    @property
    def kept_rows(self) -> Indices | None: ...  # noqa: D102
    @property
    def similarities(self) -> NDArray[np.floating[Any]] | None: ...  # noqa: D102
    @property
    def earlier(self) -> Indices | None: ...  # noqa: D102
    @property
    def shorten(self) -> object: ...  # noqa: D102

    def __len__(self) -> int: ...

    def mask(self, size: int | None = None) -> NDArray[np.bool_]: ...  # noqa: D102
