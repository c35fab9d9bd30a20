"""The running sum of weights, from which samples are drawn in proportion to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._identity import Digest, fingerprint
from ...kernels import _draw, _packed
from ...types import Floats, Indices, Packed

PACKED = 2**27  # samples from which the sums are packed

_BLOCK = 2**20  # weights packed at a time


class Cumulative:
    """A running sum of weights with a guide table: the sample at any point, in O(1).

    Up to 2**27 samples it holds 8 N bytes of sums and 2 N of guide. Above, the sums are packed, to
    4.8 N bytes in all, without rounding: the draws are the same.

    Parameters
    ----------
    weights : float array of shape (N,)
        Relative weights, finite, >= 0, not all 0, with a finite sum; not kept.

    Attributes
    ----------
    size : int
        N.
    """

    def __init__(self, weights: ArrayLike) -> None:
        self._make(_check.weights_as_given("weights", weights))

    def __repr__(self) -> str:
        return f"Cumulative({self.size} weights)"

    @classmethod
    def of_checked(cls, weights: NDArray[Any]) -> Cumulative:
        """Return the same from the result of `_check.weights_as_given`."""
        found = cls.__new__(cls)
        found._make(weights)
        return found

    @classmethod
    def packed(cls, weights: NDArray[Any]) -> Cumulative:
        """Return the same as `of_checked`, with packed sums whatever their number."""
        found = cls.__new__(cls)
        found._pack(weights)
        return found

    @classmethod
    def of_sums(cls, sums: Floats) -> Cumulative:
        """Return the same from a saved running sum, equal to the last bit; it is kept as it is."""
        found = cls.__new__(cls)
        found._index(sums)
        return found

    def _make(self, weights: NDArray[Any]) -> None:
        if weights.size < PACKED:
            copied = weights.dtype != np.float64  # cumsum with a dtype would copy to another array
            sums = weights.astype(np.float64) if copied else None
            self._index(np.cumsum(weights if sums is None else sums, out=sums))
        else:
            self._pack(weights)

    def _pack(self, weights: NDArray[Any]) -> None:
        lines = _Lines(weights)
        self._index(lines.ends, lines)

    def _index(self, ends: Floats, lines: _Lines | None = None) -> None:
        self._ends, self._lines = ends, lines
        self.size = ends.size if lines is None else lines.size
        cells = max(ends.size // 2, 1) if lines is None else ends.size
        self._guide = np.empty(cells + 1, np.int32 if ends.size < 2**31 else np.int64)
        _draw.build_guide(ends, self._guide)
        if lines is not None:
            lines.find_last(int(self._guide[-1]))

    @property
    def sums(self) -> Floats:
        """The running sum: float64 (N,); a copy if it is packed."""
        if self._lines is None:
            return self._ends
        out = np.empty(self.size)
        for start in range(0, self.size, _BLOCK):
            part = out[start : start + _BLOCK]
            part[:] = self._lines.at(np.arange(start, start + part.size))
        return out

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self._ends[-1])

    def digest(self) -> Floats | Digest:
        """Return what identifies the sums: themselves, or a digest if they are packed."""
        return self._ends if self._lines is None else self._lines.digest()

    def share(self, indices: Indices) -> Floats:
        """Return each sample's share of the total weight, as used by the draws."""
        after = self._at(indices)
        before = np.where(indices > 0, self._at(np.maximum(indices - 1, 0)), 0.0)
        shares: Floats = (after - before) / self.total
        return shares

    def _at(self, indices: Indices) -> Floats:
        return self._ends[indices] if self._lines is None else self._lines.at(indices)

    def stratified(self, key: np.uint64, size: int, slots: Indices) -> Indices:
        """Return the sample at a jittered point in each of the slices named, of `size` equal ones.

        slots : int64 (m,), each in [0, size); -> int64 (m,)
        """
        out = np.empty(slots.size, np.int64)
        if self._lines is None:
            _draw.stratified(self._ends, self._guide, key, size, slots, out)
            return out
        points = np.empty(slots.size)
        _packed.jitters(key, slots, points)
        points += slots
        points *= self.total / size
        self._lines.find(self._guide, points, out)
        return out

    def located(
        self, key: np.uint64, size: int, slots: Indices, *, independent: bool = False
    ) -> tuple[Indices, Floats]:
        """Return the samples of `stratified` or `independent`, and how far inside the points are.

        slots : int64 (m,) -> int64 (m,) samples, and float64 (m,) in [0, 1]: the share of the
        sample's weight that is below the point
        """
        points = np.empty(slots.size)
        _packed.jitters(key, slots, points)
        if not independent:
            points += slots
        points *= self.total if independent else self.total / size
        out = np.empty(slots.size, np.int64)
        if self._lines is None:
            low, high = np.empty(slots.size, np.int64), np.empty(slots.size, np.int64)
            _draw.find_block(self._ends, self._guide, points, low, high, out)
        else:
            self._lines.find(self._guide, points, out)
        after = self._at(out)
        before = np.where(out > 0, self._at(np.maximum(out - 1, 0)), 0.0)
        return out, np.clip((points - before) / (after - before), 0.0, 1.0)

    def independent(self, key: np.uint64, slots: Indices) -> Indices:
        """Return the sample at an independent uniform point for each slot: int64 (m,) -> (m,)."""
        out = np.empty(slots.size, np.int64)
        if self._lines is None:
            _draw.independent(self._ends, self._guide, key, slots, out)
            return out
        points = np.empty(slots.size)
        _packed.jitters(key, slots, points)
        points *= self.total
        self._lines.find(self._guide, points, out)
        return out


class _Lines:
    """A packed running sum, see `kernels/_packed.py`.

    weights : (N,), as `_check.weights_as_given` returns them
    """

    def __init__(self, weights: NDArray[Any]) -> None:
        self.size = weights.size
        lines = -(-weights.size // _packed.LINE)
        self.ends = np.empty(lines)
        self._offsets = np.empty(lines * _packed.LINE, np.uint32)
        wide: list[NDArray[np.float64]] = []
        scratch = np.empty((_BLOCK // _packed.LINE, _packed.LINE))
        before, rows = 0.0, 0
        for start in range(0, weights.size, _BLOCK):
            part = np.ascontiguousarray(weights[start : start + _BLOCK], np.float64)
            ends = self.ends[start // _packed.LINE :][: _BLOCK // _packed.LINE]
            offsets = self._offsets[start : start + _BLOCK]
            added = _packed.pack(part, before, rows, offsets, ends, scratch)
            wide.append(scratch[:added].copy())
            before, rows = float(ends[-1]), rows + added
        self._wide = np.concatenate(wide)
        self._last = weights.size - 1

    def find_last(self, line: int) -> None:
        """Determine the last sample of positive weight, given its line."""
        start = line * _packed.LINE
        sums = self.at(np.arange(start, start + _packed.LINE))
        self._last = start + int(np.searchsorted(sums, self.ends[-1]))

    def at(self, indices: Indices) -> Floats:
        """Return the sums up to and including samples: int64 (m,) -> float64 (m,)."""
        out = np.empty(indices.size)
        _packed.unpack(self._offsets, self.ends, self._wide, indices, out)
        return out

    def find(self, guide: Packed, points: Floats, out: Indices) -> None:
        """Write the first sample whose sum exceeds each point: float64 (m,) -> int64 (m,)."""
        low, high = np.empty(points.size, np.int64), np.empty(points.size, np.int64)
        _draw.find_block(self.ends, guide, points, low, high, out)
        _packed.find_in(self._offsets, self.ends, self._wide, points, self._last, out)

    def digest(self) -> Digest:
        """Return a digest of the sums."""
        found = Digest(fingerprint(self._offsets, self.ends, self._wide))
        found.shown = f"<float64 ({self.size},)>"
        return found
