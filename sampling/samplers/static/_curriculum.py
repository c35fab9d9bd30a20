"""Curricula: draws from the easiest samples, a front that grows until it covers the data.

Here the set of samples that may be drawn changes. `sampling.weighting.CurriculumWeights` changes
weights and excludes no sample; `SelfPacedSampler` takes the difficulty from the model during
training.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...kernels import _pace
from ...kernels._scores import first_outside
from ...record import Score
from ...types import Floats, Indices, Packed
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._tables import DrawTable


@told
class CurriculumSampler(EpochSampler):
    """Draw from the easiest samples first, and from more of them as training proceeds.

    For replication, and as a baseline: use it if a difficulty is known beforehand (length,
    rarity, the scores of an earlier run). A gain over a plain shuffle may come from drawing few
    samples early on rather than from drawing easy ones; `order="random"` is the control, with the
    same pacing.

    At competence c, a draw is uniform among the c N easiest samples. The draws of an epoch are
    spread evenly over the front, so once it covers the data, an epoch of N draws is a shuffle that
    contains each sample once.

    Parameters
    ----------
    difficulty : array-like of shape (N,), or Score
        Only the order matters. An array is finite and >= 0, and higher means harder; a `Score`
        states its own direction, and may be negative.
    num_epochs : int
        Number of epochs in the run. Later epochs draw from all samples.
    num_samples : int, optional
        M: draws in one epoch, summed over all ranks. By default N, and with `grow="epoch"` the size
        of the front, each sample once.
    order : {"easy_first", "hard_first", "random"}, default "easy_first"
        Which samples are drawn first. "hard_first" is the anti-curriculum, "random" the control:
        one random order for the whole run.
    pacing : {"root", "linear", "step"}, default "root"
        How competence increases from `c0` to 1. With u = (fraction of the run done) / full_at:
        "root" (u (1 - c0 ** p) + c0 ** p) ** (1 / p); "linear" u (1 - c0) + c0; "step" c0 until
        u = 1, then 1.
    c0 : float in (0, 1], default 0.01
        Competence at the start. The front always has at least one sample.
    p : float >= 1, default 2
        Exponent of pacing="root": for p > 1 the front grows more slowly the larger it is. Ignored
        otherwise.
    full_at : float in (0, 1], default 0.5
        Fraction of the run after which all samples are drawn. The default is not from the paper.
    grow : {"draw", "epoch"}, default "draw"
        Whether competence increases with every draw, or at the beginning of each epoch.
    labels : array-like of shape (N,), optional
        Order by the rank within the class, so that every front has the same fraction of each class,
        and at least one sample. Without it, a class of hard samples is missing early on. -1 or
        missing, unlabelled, is one more class.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Raises
    ------
    ValueError
        If a difficulty is NaN, infinite or negative (the message names the row), or labels have
        another length; for objective="original" if some sample is not drawn in an epoch.

    Notes
    -----
    Order
        The epoch is yielded in order: the position in the run determines the size of the front.
        Samples of equal difficulty are in random order. A pure function of (arguments, seed,
        epoch); any position is computed directly.
    Cost
        O(N log N) once, O(1) a draw; 8 N bytes, and up to 72 N during construction. N < 2**31,
        M < 2**32.
    Gradients
        Biased towards the first samples of the order while the front grows, without weights;
        uniform after that. An epoch in which the front reaches the last sample has importance
        weights; before it, samples that are never drawn have none.
    Source
        Platanios, Stretcu, Neubig, Poczos, Mitchell, "Competence-based Curriculum Learning for
        Neural Machine Translation", NAACL 2019. Evenly spread draws and ranks within classes are
        additions of this package.

    Examples
    --------
    >>> sampler = CurriculumSampler(
    ...     [3, 1, 2, 0], num_epochs=4, pacing="linear", c0=0.25, full_at=0.75, grow="epoch"
    ... )
    >>> [np.sort(sampler.indices(epoch)).tolist() for epoch in range(4)]
    [[3], [1, 3], [1, 2, 3], [0, 1, 2, 3]]
    """

    covers_dataset = True

    def __init__(  # noqa: PLR0913  # the pacing alone has four
        self,
        difficulty: ArrayLike | Score,
        num_epochs: int,
        *,
        num_samples: int | None = None,
        order: Literal["easy_first", "hard_first", "random"] = "easy_first",
        pacing: Literal["root", "linear", "step"] = "root",
        c0: float = 0.01,
        p: float = 2.0,
        full_at: float = 0.5,
        grow: Literal["draw", "epoch"] = "draw",
        labels: ArrayLike | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        hard = _harder(difficulty)
        size = _check.integer("the length of difficulty", hard.size, 1, 2**31)
        self.num_epochs = _check.integer("num_epochs", num_epochs, 1, 2**31)
        self.pacing = _check.choice("pacing", pacing, ("root", "linear", "step"))
        self.c0 = _check.number("c0", c0, "(0, 1]")
        self.p = _check.number("p", p, "[1, inf)")
        self.full_at = _check.number("full_at", full_at, "(0, 1]")
        self.grow = _check.choice("grow", grow, ("draw", "epoch"))
        order = _check.choice("order", order, ("easy_first", "hard_first", "random"))
        sign = {"easy_first": 1.0, "hard_first": -1.0, "random": 0.0}[order]
        codes: NDArray[np.int64] | None = None
        self._least = 1
        if labels is not None:
            names, codes = _labels.grouped("labels", labels)
            _check.same_length("labels", codes, "difficulty", size)
            self._least = names.size
        key = _rng.key(_check.seed(options.get("seed", 0)), 0, "curriculum")
        self._order = _in_order(sign * hard, codes, key)
        self._ranks = np.empty(size, np.int32)
        self._ranks[self._order] = np.arange(size, dtype=np.int32)
        self._whole_front = num_samples is None and grow == "epoch"
        draws = size if num_samples is None else num_samples
        super().__init__(size, _check.integer("num_samples", draws, 1, 2**32), **options)

    def competence(self, epoch: int, consumed: int = 0) -> float:
        """Return the fraction of the data from which the next draw is taken, before rounding.

        Parameters
        ----------
        epoch : int
        consumed : int, default 0
            Draws of the epoch that were yielded; ignored with `grow="epoch"`.

        Returns
        -------
        float in (0, 1]
        """
        size = self.draws(_check.epoch(epoch))
        slots = np.array([_check.integer("consumed", consumed, 0, size + 1)])
        return float(self._competence(self._done(epoch, size, slots))[0])

    def _done(self, epoch: int, size: int, slots: Indices) -> Floats:
        """Return the fraction of the run done at each slot of an epoch of `size` draws."""
        epoch = min(epoch, self.num_epochs)
        if self.grow == "epoch":
            return np.full(slots.size, epoch / self.num_epochs)
        # As floats: whole numbers up to 2**53, and no overflow above.
        done = (float(epoch * size) + slots) / float(self.num_epochs * size)
        return np.asarray(done, np.float64)

    def _competence(self, done: Floats) -> Floats:
        part = done / self.full_at
        if self.pacing == "step":
            grown = np.full(part.size, self.c0)
        elif self.pacing == "linear":
            grown = part * (1.0 - self.c0) + self.c0
        else:
            start = self.c0**self.p
            powers = part * (1.0 - start) + start
            # A square root is the same to the last bit everywhere, a power is not.
            grown = np.sqrt(powers) if self.p == 2.0 else powers ** (1.0 / self.p)
        return np.where(part < 1.0, np.minimum(grown, 1.0), 1.0)

    def _fronts(self, epoch: int, size: int, slots: Indices) -> Indices:
        """Return the size of the front at each slot: int64 (m,)."""
        reached = np.floor(self._competence(self._done(epoch, size, slots)) * self.size + 1e-9)
        return np.clip(reached.astype(np.int64), self._least, self.size)

    def draws(self, epoch: int) -> int:
        if not self._whole_front:
            return self.num_samples
        return int(self._fronts(epoch, 1, np.zeros(1, np.int64))[0])

    def table(self, epoch: int) -> DrawTable:
        size = self.draws(epoch)
        fronts = partial(self._fronts, epoch, size)
        return Front(self._order, self._ranks, size, fronts, _rng.key(self.seed, epoch, "pace"))

    def why_biased(self, epoch: int) -> str:
        size = self.draws(epoch)
        shut = self.size - int(self._fronts(epoch, size, np.array([size - 1]))[0])
        return f"{shut} of {self.size} samples are not drawn in epoch {epoch}" if shut else ""

    def identity(self) -> dict[str, object]:
        return {
            "order from difficulty, order and labels": self._order,
            "first front from labels": self._least,
            "front from num_samples and grow": self._whole_front,
            "num_epochs": self.num_epochs,
            "pacing": self.pacing,
            "c0": self.c0,
            "p": self.p,
            "full_at": self.full_at,
            "grow": self.grow,
        }


class Front(DrawTable):
    """Draws from the first samples of an order, evenly spread, while the front grows.

    Parameters
    ----------
    order : int32 array of shape (N,)
        Samples in the order in which they enter the front.
    ranks : int32 array of shape (N,)
        Position of each sample in `order`.
    size : int
        M.
    fronts : callable
        Int64 slots -> size of the front at each; non-decreasing.
    key : uint64
    """

    ordered = True

    def __init__(
        self,
        order: Packed,
        ranks: Packed,
        size: int,
        fronts: Callable[[Indices], Indices],
        key: np.uint64,
    ) -> None:
        self.size = size
        self.population = order.size
        first, last = fronts(np.array([0, size - 1])).tolist()
        self.even = first == order.size
        self._order, self._ranks, self._fronts = order, ranks, fronts
        self._open = last  # samples beyond the last front are never drawn
        self._places = Permutation(size, _rng.subkey(key, 0))
        self._key = _rng.subkey(key, 1)
        self._by_rank: Floats | None = None

    def take(self, slots: Indices) -> Indices:
        """See `Table`."""
        out = np.empty(slots.size, np.int64)
        fronts = np.minimum(self._fronts(slots), self._open)
        _pace.draw_front(self._key, self.size, self._places(slots), fronts, out)
        return self._order[out].astype(np.int64, copy=False)

    def expected(self, indices: Indices) -> Floats:
        """See `Table`: the sum of 1 / front over the slots whose front contains the sample."""
        if self.even:
            return np.full(indices.size, self.size / self.population)
        if self._by_rank is None:
            fronts = np.minimum(self._fronts(np.arange(self.size)), self._open)
            share: Floats = 1.0 / fronts
            mass = np.bincount(fronts - 1, weights=share, minlength=self.population)
            self._by_rank = np.cumsum(mass[::-1], dtype=np.float64)[::-1]
        found: Floats = self._by_rank[self._ranks[indices]]
        return found

    def first_absent(self, indices: Indices, size: int) -> int:
        """See `Table`: beyond the last front."""
        bad = first_outside(indices, size)
        if bad >= 0:
            return bad
        shut = self._ranks[indices] >= self._open
        return int(shut.argmax()) if shut.any() else -1


def _harder(difficulty: ArrayLike | Score) -> Floats:
    """Return the difficulty of each sample, where higher is harder: float64 (N,)."""
    if isinstance(difficulty, Score):
        return _check.floats("difficulty", difficulty.as_higher("harder"))
    return _check.floats("difficulty", difficulty, "finite and >= 0")


def _in_order(values: Floats, codes: NDArray[np.int64] | None, key: np.uint64) -> Packed:
    """Return samples by ascending value, ties in random order: int32 (N,).

    codes : int64 (N,), optional  classes 0 to C - 1; the order is then by the fraction of the
                                  sample's class that precedes it, so each class begins at 0
    """
    lot = Permutation(values.size, key)(np.arange(values.size))
    order = lot[np.argsort(values[lot], kind="stable")]
    if codes is not None:
        grouped = order[np.argsort(codes[order], kind="stable")]
        sizes = np.bincount(codes)
        places = np.arange(values.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        before = np.empty(values.size)
        before[grouped] = places / np.repeat(sizes, sizes)
        order = lot[np.argsort(before[lot], kind="stable")]
    return order.astype(np.int32)
