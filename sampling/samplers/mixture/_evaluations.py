"""The evaluations of each source since the last update: validation losses and other metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ... import _check
from ..._check._containers import is_missing
from ...distributed import gather_rows, world_size
from ...types import Floats, Indices

if TYPE_CHECKING:
    import torch.distributed as dist


class Evaluations:
    """Sums and counts of the values of each target, for each name that an updater reads.

    Sums, so that it does not matter in which order, on which ranks and before which save they were
    recorded.

    Parameters
    ----------
    read : tuple of str
        Names of R values.
    targets : array of shape (T,)
        Names of the sources or evaluation sets.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks whose values `merge` sums; all of them by default.
    """

    def __init__(
        self,
        read: tuple[str, ...],
        targets: NDArray[Any],
        process_group: dist.ProcessGroup | None,
    ) -> None:
        self.read, self._targets, self._group = read, targets, process_group
        self._own = np.zeros((len(read), 2, targets.size))  # sums, counts; since the last merge
        self._all = np.zeros_like(self._own)  # of all ranks, up to the last merge

    def add(self, given: Mapping[str, Any], counts: Any) -> Floats:
        """Add the values of an evaluation, by name, and return those that are not finite."""
        weights = np.ones(self._targets.size)
        if counts is not None:
            weights, _ = self._of("counts", counts, "[0, inf)", 1.0)
        found, lost = {}, [np.empty(0)]
        for name, each in given.items():
            shown = "losses" if name == "validation_losses" else f"metrics[{name!r}]"
            values, bad = self._of(shown, each)
            found[name] = values
            lost.append(bad)
        for name, values in found.items():
            good = np.isfinite(values)
            sums, numbers = self._own[self.read.index(name)]
            sums[good] += (values * weights)[good]
            numbers[good] += weights[good]
        return np.concatenate(lost)

    def _of(
        self, name: str, given: Any, interval: str = "(-inf, inf)", default: float = np.nan
    ) -> tuple[Floats, Floats]:
        """Return a number for each target, `default` where none is given, and the bad ones."""
        mapping = _check.named(name, given)
        if mapping is None:
            array = _check.host(given, name).astype(np.float64)
            _check.same_length(name, np.atleast_1d(array), "the sources", self._targets.size)
            bad = ~np.isfinite(array)
            clean = np.where(bad, 1.0, array)
            found = _check.by_name(name, clean, self._targets, "sources", interval=interval)
            found[bad] = default
            return found, array[bad]
        numbers = {key: _number(each) for key, each in mapping.items() if not _absent(each)}
        lost = {k: v for k, v in numbers.items() if isinstance(v, float) and not np.isfinite(v)}
        known = {k: 1.0 if k in lost else v for k, v in numbers.items()}  # unknown ones are refused
        found = _check.by_name(
            name, known, self._targets, "sources", interval=interval, default=default
        )
        words = {str(key) for key in lost}
        found[[str(each) in words for each in self._targets.tolist()]] = default
        return found, np.array(list(lost.values()), np.float64)

    def write(self, rows: Indices | torch.Tensor, losses: torch.Tensor) -> None:
        """Do nothing: the losses of a batch are no evaluation."""

    def merge(self) -> None:
        """Sum over all ranks; every rank must call it."""
        alone = world_size(self._group) == 1
        parts = [self._own] if alone else gather_rows(self._own.ravel(), self._group)
        for part in parts:  # in rank order: equal to the last bit on all ranks
            self._all += np.asarray(part, np.float64).reshape(self._all.shape)
        self._own[:] = 0.0

    def means(self) -> dict[str, Floats]:
        """Return the means as merged, by name: float64 (T,), NaN where there is none.

        Rounded to float32, as those of the losses.
        """
        found = {}
        for name, (sums, counts) in zip(self.read, self._all, strict=True):
            each = np.divide(sums, counts, out=np.full(counts.size, np.nan), where=counts > 0)
            with np.errstate(over="ignore"):
                each = each.astype(np.float32).astype(np.float64)
            found[name] = np.where(np.isinf(each), np.nan, each)
        return found

    def clear(self) -> None:
        """Delete what was merged."""
        self._all[:] = 0.0

    @property
    def merged(self) -> Floats:
        """Sums and counts of all ranks, as merged: float64 (2 R T,)."""
        return self._all.ravel()

    def restore(self, merged: Floats) -> None:
        """Replace everything that was recorded by saved sums and counts."""
        self._own[:] = 0.0
        self._all[:] = merged.reshape(self._all.shape)

    def __getstate__(self) -> dict[str, object]:
        """Exclude the group, which belongs to this process."""
        return {**self.__dict__, "_group": None}


def _absent(value: object) -> bool:
    """Return whether a value is None or NA; NaN is a value that is not finite."""
    return value is None or (not isinstance(value, float) and is_missing(value))


def _number(value: Any) -> Any:  # a number, or a tensor or array that holds one
    """Return a tensor or array without dimensions as a number, other values as they are."""
    alone = getattr(value, "shape", None) == () and hasattr(value, "item")
    return value.item() if alone else value
