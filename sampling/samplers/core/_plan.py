"""The plan of one epoch: a draw table behind a shuffle, and the samples that it may draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._identity import fingerprint
from ...kernels._scores import first_outside
from ...scores._device import DeviceWeights
from ...scores._table import host_rows, on_device
from ...types import Floats, Indices, Packed, Scores
from ._arrangement import Arrangement
from ._permutation import Permutation
from ._tables import DrawTable

CHUNK = 8192  # draws computed at a time: enough to hide numpy's overhead, 64 KiB of memory
_BLOCK = 2**18  # draws at a time, of figures of the epoch
_MOST = 2**24  # draws and samples up to which these figures are exact


class EpochPlan:
    """The result of `set_epoch`, which does not change during the epoch.

    Parameters
    ----------
    epoch : int
    table : DrawTable
    key : numpy.uint64
        Key of the shuffle.
    size : int
        N: indices lie in [0, N).
    arrangement : Arrangement, optional
        Makes batches of the draws, in another order.
    seed : int
        For the arrangement.

    Attributes
    ----------
    cuts : int64 array of shape (batches + 1,)
        Positions at which batches begin and end; empty if the draws do not come in batches.
    """

    def __init__(  # noqa: PLR0913  # what a plan consists of
        self,
        epoch: int,
        table: DrawTable,
        key: np.uint64,
        size: int,
        arrangement: Arrangement | None = None,
        seed: int = 0,
    ) -> None:
        self.epoch = epoch
        self.table = table
        self.size = size
        self.finished = False
        self._on_device: dict[torch.device, DeviceWeights] = {}
        self._order = None if table.ordered else Permutation(table.size, key)
        self.name = ""  # the result of `digest`, if it was called
        self.cuts = table.cuts
        self._places: Packed | None = None  # position in the table's order of each position
        if arrangement is not None:
            draws = self.draws(np.arange(table.size, dtype=np.int64))
            self._places, self.cuts = arrangement(draws, seed, epoch)

    def draws(self, positions: Indices) -> Indices:
        """Return the sample at each position of the epoch: int64 (m,) -> int64 (m,)."""
        if self._places is not None:
            positions = self._places[positions].astype(np.int64, copy=False)
        found = self.table.take(positions if self._order is None else self._order(positions))
        if found.size != positions.size:
            raise ValueError(
                f"take of {type(self.table).__name__} must return a sample for each slot, "
                f"{positions.size}, got {found.size}"
            )
        return found

    def digest(self) -> str:
        """Return 16 hex digits that identify this plan's draws; computed once."""
        if not self.name:
            self.name = fingerprint(self.table.size, *self.table.parts())
        return self.name

    # ------------------------------------------------------------------ the samples of a batch

    def rows_of(self, indices: ArrayLike | torch.Tensor) -> Indices | torch.Tensor:
        """Return checked indices on the host, int64 (B,), or indices on a device as they are.

        Raises for one out of range or never drawn; `loss_weights` counts those on a device.
        """
        if on_device(indices) is not None:
            return indices  # type: ignore[return-value]
        rows = rows_on_host(indices)
        table = self.table
        bad = first_outside(rows, self.size) if table.even else table.first_absent(rows, self.size)
        if bad >= 0:
            inside = 0 <= rows[bad] < self.size
            rule = f"draws of epoch {self.epoch}" if inside else f"in [0, {self.size})"
            raise ValueError(
                f"indices must be {rule}, got {rows[bad]} in row {bad}: are they indices of the "
                "dataset that the sampler was made for? (Indexed must be the outermost wrapper)"
            )
        return rows

    def loss_weights(self, rows: Indices | torch.Tensor, *, weighted: bool) -> torch.Tensor | None:
        """Return the loss weights of a batch, float32 (B,) where its indices are; None if all 1.

        weighted : whether the objective has weights, the same in each call
        """
        if isinstance(rows, torch.Tensor):
            if rows.device not in self._on_device:
                self._on_device[rows.device] = self._copied_to(rows.device, weighted=weighted)
            return self._on_device[rows.device](rows)
        if not weighted or self.table.even:
            return None
        return torch.from_numpy(self.table.weights(rows).astype(np.float32))

    def _copied_to(self, device: torch.device, *, weighted: bool) -> DeviceWeights:
        drawn: NDArray[np.bool_] | None = None
        weights: Scores | None = None
        if not self.table.even:
            rows = np.arange(self.size, dtype=np.int64)
            drawn = self.table.expected(rows) > 0
            if weighted:
                weights = np.zeros(self.size, np.float32)
                weights[drawn] = self.table.weights(rows[drawn])
        return DeviceWeights(self.size, drawn, weights, device)

    def importance(self, rows: Indices) -> Floats:
        """Return 1 / (N p) of samples that are drawn: int64 (B,) -> float64 (B,)."""
        table = self.table
        return table.size / (table.population * table.expected(rows))

    def figures(
        self,
        weights_for: Callable[[Indices], Scores],
        names: Sequence[object] = (),
        codes: NDArray[np.int64] | None = None,
    ) -> dict[str, float]:
        """Return figures of the epoch, as of `EpochSampler.metrics`.

        names, codes : groups of the samples, (G,) and (N,), with -1 for none
        """
        size = self.table.size
        exact = max(size, self.size) <= _MOST
        positions = np.arange(size) if exact else np.linspace(0, size - 1, _BLOCK).astype(np.int64)
        drawn = np.zeros(self.size if exact else 0, np.bool_)
        total = squares = 0.0
        for at in range(0, positions.size, _BLOCK):
            rows = self.draws(positions[at : at + _BLOCK])
            weights = weights_for(rows).astype(np.float64)
            total, squares = total + float(weights.sum()), squares + float(weights @ weights)
            if exact:
                drawn[rows] = True
        found = {
            "draws": float(size),
            "draws_per_sample": size / self.size,
            "mean_weight": total / positions.size,
            "effective_sample_size": total**2 / squares * (size / positions.size)
            if squares
            else 0.0,
        }
        if not exact:
            return found
        found["kept"] = int(np.count_nonzero(drawn)) / self.size
        if codes is not None:
            of = codes >= 0
            counts = np.bincount(codes[of], minlength=len(names))
            left = np.bincount(codes[of & ~drawn], minlength=len(names))
            shares = (left / np.maximum(counts, 1)).tolist()
            found |= {f"excluded/{name}": share for name, share in zip(names, shares, strict=True)}
        return found

    def report_bad(self) -> None:
        """Raise for indices on devices that are out of range or were never drawn."""
        for device, seen in self._on_device.items():
            bad = seen.num_bad()
            if bad:
                self._on_device.clear()
                raise ValueError(
                    f"indices must be draws of epoch {self.epoch}, got {bad} on {device} that are "
                    "out of range or were never drawn"
                )

    def __getstate__(self) -> dict[str, object]:
        """Exclude the copies on devices, which are made again when they are needed."""
        return {**self.__dict__, "_on_device": {}}


def rows_on_host(indices: ArrayLike | torch.Tensor) -> Indices:
    """Return indices as int64 (B,) on the host; raise for another shape or dtype."""
    rows = host_rows(indices)
    _check.batch_of_rows("indices", rows.shape)
    return rows
