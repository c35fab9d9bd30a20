"""Uniform over clusters, with a limit on repeats. Shares by class: `ClassBalancedSampler`."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels import _groups
from ...types import Floats
from ..core._epoch_sampler import EpochSampler
from ..core._groups import Dealer, Groups, Unlabeled, deal_windows
from ..core._options import EpochOptions
from ..core._quotas import Quotas
from ..core._repeats import check_run
from ..core._tables import DrawTable, ListTable
from ._class_balanced import class_shares


@told
class ClusterClipSampler(EpochSampler):
    """Draw clusters uniformly, and exclude a cluster once its samples reach a number of repeats.

    For corpora in which a few topics hold most of the text. Clusters are drawn equally often from
    the start of the run; a small cluster repeats its samples soon, and is no longer drawn when each
    was used `max_repeats` times. So early draws are uniform over clusters and late ones are not:
    repeats are counted over the run, and each epoch is the next part of it, in order.

    Parameters
    ----------
    clusters : int array-like of shape (N,)
        Cluster of each sample; ids need not be contiguous. -1, None or NaN means in no cluster, see
        `unlabeled`.
    num_samples : int, default the number of samples in a cluster
        M: draws in one epoch, summed over all ranks.
    num_epochs : int, default 1
        Number of epochs in the run.
    max_repeats : int, optional
        Maximum number of uses of a sample in the run. By default five times that of a uniform run:
        ceil(5 * num_epochs * num_samples / N).
    temperature : float >= 1, or inf, optional
        Instead of the clip: cluster shares proportional to size ** (1 / temperature) in every
        epoch. 1 is random sampling, inf is uniform over clusters, without a limit on repeats.
    schedule : {"run", "epoch"}, default "run"
        "epoch" gives every epoch the same shares: the limit is spread over the epochs, and draws
        that exceed the limit of small clusters go to the others (water-filling).
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose cluster is missing (-1, None, NaN, a null) are never drawn ("drop"), form one
        more cluster, named -1 ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    max_repeats : int or None
        Limit on the uses of a sample; None with `temperature`.

    Raises
    ------
    ValueError
        If no sample is in a cluster; if max_repeats * N is less than the draws of the run; if both
        `max_repeats` and `temperature` are given; from `set_epoch`, at the end of the run; if
        objective="original" and a cluster is excluded before the epoch.

    Notes
    -----
    Order
        "run": every level of the schedule draws once from each active cluster, in its own random
        order, so any range of draws is as even as its length allows. "epoch" and `temperature`:
        each epoch's draws of a cluster are rounded as those of a class in `ClassBalancedSampler`.
        Within a cluster every sample is used before any is repeated. Any epoch is computed
        directly.
    Cost
        8 N + 4 M bytes, and 16 M more during planning; O(N) once, O(M + N) an epoch.
    Gradients
        objective="sampled" (default) minimises the mean over clusters. "original" restores the mean
        over the samples, as long as every cluster is drawn.
    Source
        Shao, Li, Fei, Yan, Lin, Qiu, "Balanced Data Sampling for Language Model Training with
        Clustering", Findings of ACL 2024.

    Examples
    --------
    >>> import numpy as np
    >>> clusters = np.array([0] * 8 + [1] * 2)
    >>> sampler = ClusterClipSampler(clusters, num_samples=6, num_epochs=2, max_repeats=2)
    >>> [np.bincount(clusters[sampler.indices(epoch)]) for epoch in range(2)]
    [array([3, 3]), array([5, 1])]
    """

    covers_dataset = True

    def __init__(
        self,
        clusters: ArrayLike,
        num_samples: int | None = None,
        *,
        num_epochs: int = 1,
        max_repeats: int | None = None,
        temperature: float | None = None,
        schedule: Literal["run", "epoch"] = "run",
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        groups = Groups("clusters", clusters, unlabeled)
        population = groups.num_labeled
        draws = population
        if num_samples is not None:
            draws = _check.integer("num_samples", num_samples, 1)
        self.num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.schedule = _check.choice("schedule", schedule, ("run", "epoch"))
        self._groups = groups
        self.max_repeats = _repeats(max_repeats, temperature, draws * self.num_epochs, population)
        self._dealer: Dealer | None = None
        seed = _check.seed(options.get("seed", 0))
        if temperature is not None:
            if temperature != math.inf:
                temperature = _check.number("temperature", temperature, "[1, inf)")
            shares = class_shares(groups.names, groups.sizes, power=1.0 / temperature)
            self._dealer = Dealer(groups, draws, shares, seed)
        self._level = WaterLevel(groups.sizes * (self.max_repeats or 1))
        if self.schedule == "epoch" and self.max_repeats is not None:
            run = draws * self.num_epochs
            quotas = Quotas(
                self._level.ratio(run),
                draws,
                _rng.key(seed, 0, "quotas"),
                epochs=self.num_epochs,
                caps=self._level.caps,
            )
            filled = self._level.drawn(run) / run
            self._dealer = Dealer(groups, draws, filled, seed, quotas=quotas)
        if self._dealer is not None:
            self._algorithm = 2  # version 1 rounded each epoch independently, one after another
        self.temperature = temperature
        super().__init__(groups.codes.size, draws, **options)

    def knocked_out(self, epoch: int) -> NDArray[np.generic]:
        """Return the ids of the clusters that are excluded before an epoch begins."""
        if self._dealer is not None:
            return self._groups.names[:0]
        out: NDArray[np.generic] = self._groups.names[self._drawn(epoch) == 0]
        return out

    def _before_plan(self, epoch: int) -> None:
        if self.max_repeats is not None:
            epoch = _check.integer("epoch", epoch, 0, self.num_epochs)

    def table(self, epoch: int) -> DrawTable:
        self._before_plan(epoch)
        if self._dealer is not None:
            return self._dealer.table(epoch)
        groups, caps = self._groups, self._level.caps
        level, skip = self._level.at(epoch * self.num_samples)
        schedule = np.empty(skip + self.num_samples, np.int64)
        key = _rng.key(self.seed, 0, "clip schedule")
        _groups.clip_schedule(self._level.order, caps, level, key, schedule)
        used = np.minimum(caps, level) + np.bincount(schedule[:skip], minlength=caps.size)
        schedule = schedule[skip:]
        quotas = np.bincount(schedule, minlength=caps.size)
        dealt = np.empty(self.num_samples, groups.members.dtype)
        samples = np.empty_like(dealt)
        key = _rng.key(self.seed, 0, "deal")
        deal_windows(groups.members, groups.starts, used, quotas, key, dealt)
        _groups.interleave(schedule, quotas, dealt, samples)
        drawn = self._drawn(epoch)
        return ListTable(
            samples, groups.num_labeled, lambda rows: groups.spread(drawn, rows), ordered=True
        )

    def _drawn(self, epoch: int) -> Floats:
        """Return the expected draws of each cluster in an epoch of the run: float64 (C,)."""
        start = epoch * self.num_samples
        return self._level.drawn(start + self.num_samples) - self._level.drawn(start)

    def why_biased(self, epoch: int) -> str:
        out = self.knocked_out(epoch)
        return f"cluster {out[0]} is excluded before epoch {epoch}" if out.size else ""

    def identity(self) -> dict[str, object]:
        temperature = None if self.temperature is None else str(float(self.temperature))
        return {
            "clusters": self._groups.codes,
            "num_epochs": self.num_epochs,
            "max_repeats": self.max_repeats,
            "temperature": temperature,
            "schedule": self.schedule,
        }


class WaterLevel:
    """Draws of each cluster after any number of draws, when all increase evenly up to their caps.

    Parameters
    ----------
    caps : int64 array of shape (C,)
        Number of draws after which a cluster is excluded.
    """

    def __init__(self, caps: NDArray[np.int64]) -> None:
        self.caps = caps
        self.order = np.argsort(caps, kind="stable")
        ascending = caps[self.order]
        active = caps.size - np.arange(caps.size)
        # In stage j clusters order[j:] are active, from the cap of the previous one to that of j.
        self._bottoms = np.concatenate([[0], ascending[:-1]])
        self._starts = np.concatenate([[0], np.cumsum((ascending - self._bottoms) * active)])
        self._active = active

    def at(self, draws: int) -> tuple[int, int]:
        """Return the level reached after `draws`, and the number of draws in the next level."""
        stage = int(np.searchsorted(self._starts, draws, side="right")) - 1
        if stage == self.caps.size:
            return int(self.caps.max()), 0
        over = draws - int(self._starts[stage])
        levels, rest = divmod(over, int(self._active[stage]))
        return int(self._bottoms[stage]) + levels, rest

    def ratio(self, draws: int) -> list[int]:
        """Return the expected draws of each cluster among the first `draws`, up to a factor."""
        level, rest = self.at(draws)
        active = int(np.count_nonzero(self.caps > level)) or 1
        return [min(cap * active, level * active + rest) for cap in self.caps.tolist()]

    def drawn(self, draws: int) -> Floats:
        """Return the expected draws of each cluster among the first `draws`: float64 (C,)."""
        level, rest = self.at(draws)
        active = int(np.count_nonzero(self.caps > level))
        height = level + (rest / active if active else 0.0)
        return np.minimum(self.caps, height)


def _repeats(
    max_repeats: int | None, temperature: float | None, draws: int, population: int
) -> int | None:
    """Return the cap on repeats over the run, checked against its draws; None for no cap."""
    if temperature is not None:
        if max_repeats is not None:
            raise ValueError(
                f"max_repeats must not be given with temperature, which has no clip, "
                f"got {max_repeats}"
            )
        return None
    repeats = -(-5 * draws // population)
    if max_repeats is not None:
        repeats = _check.integer("max_repeats", max_repeats, 1)
    check_run(repeats, draws, population)
    return repeats
