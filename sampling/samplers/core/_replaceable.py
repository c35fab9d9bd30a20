"""Samplers whose weights, shares or losses may be replaced while a loader uses them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...types import Floats
from ._arrays import Arrays, check_array
from ._epoch_sampler import EpochSampler
from ._tables import DrawTable

Source = TypeVar("Source")


class ReplaceableSampler(EpochSampler, Generic[Source]):
    """A sampler whose draws come from values that may be replaced, from the next `set_epoch` on.

    Until they are, it is static, and its states name the values that it was made with. From then on
    it is dynamic: only the planned epoch is known, and full states hold the values of its plan and
    those given since.

    A subclass sets `_source` in its constructor, and calls `_replace` in the method of its users.
    """

    _planned_from = "values that were set"
    _source: Source  # what the current plan is drawn from
    _next: Floats | None = None  # given since, for the next plan

    @abstractmethod
    def _source_of(self, values: Floats) -> Source:
        """Return what an epoch is drawn from."""

    @abstractmethod
    def _values_of(self, source: Source) -> Floats:
        """Return the values of which `_source_of` makes an equal source: float64 (n,)."""

    @abstractmethod
    def _drawn_from(self, source: Source, epoch: int) -> DrawTable:
        """Return the draw table of an epoch."""

    def table(self, epoch: int) -> DrawTable:
        return self._drawn_from(self._source, epoch)

    def _replace(self, values: Floats) -> None:
        """Set the values of the next plan."""
        self._next, self._pending = values, True
        self._mark_dynamic(True)

    def _mark_dynamic(self, dynamic: bool) -> None:
        """Set whether states carry the values; else they identify the sampler."""
        self.dynamic = dynamic
        self._fingerprint, self._arguments = "", {}

    def _lacks_ranks(self) -> bool:
        return False  # the values are given to every rank

    def _check_own(self, state: Mapping[str, Any]) -> None:
        ours = self.dynamic
        self._mark_dynamic(state.get("plan") is not None)
        try:
            super()._check_own(state)
        finally:
            self._mark_dynamic(ours)

    def _before_plan(self, epoch: int) -> None:
        if self._next is not None:
            self._source = self._source_of(self._next)
            self._next, self._pending = None, False

    def _arrays(self) -> Arrays:
        if not self.dynamic:
            return {}
        planned = self._values_of(self._source)
        return {"planned": planned, "latest": planned if self._next is None else self._next}

    def _table_from(
        self, epoch: int, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
    ) -> DrawTable:
        size = self._values_of(self._source).size
        for name in ("planned", "latest"):
            check_array(arrays, name, np.float64, size)
        return self._drawn_from(self._source_of(arrays["planned"].copy()), epoch)

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        planned, latest = arrays["planned"].copy(), arrays["latest"].copy()
        self._source = self._source_of(planned)
        self._pending = not np.array_equal(planned, latest)
        self._next = latest if self._pending else None
        self._mark_dynamic(True)
