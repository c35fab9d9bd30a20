"""Draws by weight of which no sample has more than a number, in each epoch or in the whole run.

| limit                              | draw table                                             |
|------------------------------------|--------------------------------------------------------|
| each epoch, or without replacement | `LimitedTable`, each epoch by itself                   |
| the run                            | the draws of the run, distributed over its epochs once |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check, _rng
from ..._inclusion import certain_or_scaled
from ...kernels import _draw
from ...types import Floats, Indices, Packed
from ..core._arrays import Arrays, check_array
from ..core._permutation import Permutation
from ..core._quotas import SPAN
from ..core._repeats import check_run
from ..core._tables import DrawTable, ListTable


@dataclass(frozen=True)
class Limit:
    """How often a sample may be drawn: `most` times in each epoch, or in a run of `epochs`.

    distinct : without replacement, at most once in an epoch
    """

    most: int
    epochs: int | None = None
    distinct: bool = False

    def check_epoch(self, epoch: int) -> None:
        """Refuse an epoch after the run."""
        if self.epochs is not None:
            _check.integer("epoch", epoch, 0, self.epochs)


def limit_of(
    max_repeats_per_epoch: int | None,
    max_repeats: int | None = None,
    num_epochs: int | None = None,
    *,
    replacement: bool = True,
    independent: bool = False,
) -> Limit | None:
    """Check the arguments of a sampler that limit the draws of a sample; None without a limit."""
    name, most = "max_repeats_per_epoch", max_repeats_per_epoch
    if max_repeats is not None:
        if most is not None:
            raise ValueError(
                f"only one of max_repeats and max_repeats_per_epoch may be given, got {max_repeats}"
                f" and {most}: draws are spread evenly over the epochs of a run"
            )
        if num_epochs is None:
            raise ValueError("num_epochs must be given with max_repeats, got None")
        name, most = "max_repeats", max_repeats
    if most is None:
        return None if replacement else Limit(1, distinct=True)
    most = _check.integer(name, most, 1, SPAN)
    if independent:
        raise ValueError(
            f"{name} must not be given with independent=True: the number of independent draws of a "
            f"sample has no limit; got {most}"
        )
    if max_repeats is not None and num_epochs is not None:
        most = most if replacement else min(most, num_epochs)
        return Limit(most, num_epochs, not replacement)
    if not replacement:
        raise ValueError(
            "max_repeats_per_epoch must not be given without replacement, where no sample is "
            f"repeated, got {most}"
        )
    return Limit(most)


class Limited:
    """Draws in proportion to weights (N,) under a limit, `num_samples` in each epoch.

    purpose : distinguishes the random numbers of the sampler
    """

    def __init__(
        self, weights: Floats, num_samples: int, limit: Limit, seed: int, purpose: str
    ) -> None:
        self._draws, self._limit, self._seed, self._purpose = num_samples, limit, seed, purpose
        self._run: _Run | None = None
        positive = int(np.count_nonzero(weights))
        if limit.distinct and num_samples > positive:
            raise ValueError(
                "num_samples must be at most the number of positive weights without replacement, "
                f"{positive}, got {num_samples}"
            )
        if limit.epochs is None:
            self.weights, self._scale = certain_or_scaled(weights, num_samples, limit.most)
            return
        draws = num_samples * limit.epochs
        check_run(limit.most, draws, positive, "samples of positive weight")
        self.weights, self._scale = certain_or_scaled(weights, draws, limit.most)
        key, offset = self._random(0)
        counts = limited_draws(self.weights, self._scale, draws, key, offset, limit.most)
        self._run = _Run(counts, limit.epochs, seed)

    def _random(self, epoch: int) -> tuple[np.uint64, float]:
        key = _rng.key(self._seed, epoch, f"{self._purpose} order")
        return key, _rng.uniform(_rng.key(self._seed, epoch, f"{self._purpose} offset"))

    def table(self, epoch: int) -> DrawTable:
        """Return the draw table of an epoch."""
        most = self._limit.most
        if self._run is None:
            key, offset = self._random(epoch)
            return LimitedTable(self.weights, self._scale, self._draws, key, offset, most)
        self._limit.check_epoch(epoch)
        expected = partial(_expected, self.weights, self._scale, most / self._run.epochs)
        return ListTable(self._run.samples(epoch), self.weights.size, expected)


class _Run:
    """The draws of a run over its epochs: as many in each, and those of a sample evenly spread.

    The draws of the run are laid end to end, sample after sample in a random order; every E-th of
    them is an epoch. So any epoch is known at once, and nothing is counted while the run proceeds.

    counts : int (N,), draws of each sample in the run, the sum a multiple of `epochs`
    """

    def __init__(self, counts: Indices, epochs: int, seed: int) -> None:
        self.epochs, self._key = epochs, _rng.key(seed, 0, "run epochs")
        order = Permutation(counts.size, _rng.key(seed, 0, "run deal"))(np.arange(counts.size))
        order = order[counts[order] > 0]
        self._ends = np.cumsum(counts[order])
        self._order = order.astype(np.int32 if counts.size < 2**31 else np.int64)

    def samples(self, epoch: int) -> Packed:
        """Return the draws of an epoch: (M,)."""
        first = int(Permutation(self.epochs, self._key)(np.array([epoch]))[0])
        reached = (self._ends - first + self.epochs - 1) // self.epochs
        drawn: Packed = np.repeat(self._order, np.diff(reached, prepend=0))
        return drawn


def _expected(weights: Floats, scale: float, most: float, rows: Indices) -> Floats:
    with np.errstate(over="ignore"):
        return most * np.minimum(1.0, scale * weights[rows])


def limited_draws(
    weights: Floats, scale: float, draws: int, key: np.uint64, offset: float, most: int
) -> Indices:
    """Return the draws of each sample: those expected, rounded, int64 (N,), sum `draws`."""
    certain, others = _rounded(weights, scale, draws, key, offset, most)
    counts = np.bincount(others, minlength=weights.size)
    counts[: certain.size] += certain
    return counts


def _rounded(
    weights: Floats, scale: float, draws: int, key: np.uint64, offset: float, most: int
) -> tuple[Indices, Packed]:
    """Return the draws of each sample that are not left to chance, (N,), and the others: (m,).

    No sample is twice among the others. With most = 1 all are left to chance: () and (draws,).
    """
    dtype = np.int32 if weights.size < 2**31 else np.int64
    certain = np.empty(0, np.int64)
    if most > 1:
        expected = _expected(weights, scale, most, np.arange(weights.size))
        certain = np.maximum(np.ceil(expected) - 1.0, 0.0).astype(np.int64)
        weights, scale = expected - certain, 1.0
    others = np.empty(draws - int(certain.sum()), dtype)
    drawn = _draw.systematic(weights, scale, key, offset, others)
    if drawn != others.size:  # they sum to it but for rounding
        raise RuntimeError(f"drew {drawn} samples of {others.size}: the chances do not add up")
    return certain, others


class LimitedTable(ListTable):
    """M draws, sample i floor or ceil of most * min(1, scale * w_i) times.

    With most = 1: M distinct samples, sample i with probability min(1, scale * w_i).
    """

    def __init__(  # noqa: PLR0913  # what a state holds
        self,
        weights: Floats,
        scale: float,
        draws: int,
        key: np.uint64,
        offset: float,
        most: int = 1,
    ) -> None:
        self._chances, self._scale, self._key, self._offset = weights, scale, key, offset
        self._most = most
        certain, others = _rounded(weights, scale, draws, key, offset, most)
        first = np.repeat(np.arange(certain.size, dtype=others.dtype), certain)
        samples = np.concatenate([first, others]) if first.size else others
        super().__init__(samples, weights.size, partial(_expected, weights, scale, most))

    def saved(self) -> Arrays:
        """See `DrawTable`."""
        return {
            "chances": self._chances,
            "numbers": np.array([self._scale, self._offset]),
            "words": np.array([self.size, self._key, self._most], np.uint64),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], size: int) -> LimitedTable:
        """See `DrawTable`."""
        chances = check_array(arrays, "chances", np.float64, size)
        scale, offset = check_array(arrays, "numbers", np.float64, 2).tolist()
        draws, key, most = check_array(arrays, "words", np.uint64, 3)
        return cls(chances.copy(), scale, int(draws), key, offset, int(most))
