"""How many draws each source of a mixture gets: whole numbers, stop rules, caps on repeats."""

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from .. import _check, _rng
from ..types import Floats, Indices
from ._groups import quotas_of, within_room
from ._sources import Sources

Stop: TypeAlias = Literal["cycle", "first_exhausted", "all_exhausted"]
Shortfall: TypeAlias = Literal["redistribute", "raise"]


class Budget:
    """From shares to draws, epoch by epoch.

    Attributes
    ----------
    stop : {"cycle", "first_exhausted", "all_exhausted"}
    """

    def __init__(
        self,
        sources: Sources,
        num_samples: int,
        seed: int,
        stop: Stop,
        max_repeats: float | None,
        shortfall: Shortfall,
    ) -> None:
        self.stop = _check.choice("stop", stop, ("cycle", "first_exhausted", "all_exhausted"))
        self._shortfall = _check.choice("shortfall", shortfall, ("redistribute", "raise"))
        self._sources, self._num_samples, self._seed = sources, num_samples, seed
        self._caps: Indices | None = None  # draws of the run after which a domain is out
        if max_repeats is not None:
            repeats = _check.number("max_repeats", max_repeats, "(0, inf)")
            most = 2.0**62 / len(sources)  # the sum fits
            self._caps = np.floor(np.minimum(repeats * sources.sizes, most) + 1e-9).astype(int)
        self._walked = (0, np.zeros(len(sources), np.int64))  # epoch, draws before it

    def check(self, num_epochs: int | None, wanted: Callable[[int], Floats] | None) -> None:
        """Look ahead over the run for an epoch that the caps cannot fill.

        wanted : epoch -> shares (K,); None where they are not known in advance
        """
        if self._caps is None:
            return
        epochs, room = num_epochs or 1, int(self._caps.sum())
        if self.stop == "cycle" and room < epochs * self._num_samples:
            raise ValueError(
                f"num_samples must be at most {room // epochs} for {epochs} epochs: max_repeats "
                f"leaves {room} uses of all samples together, got {self._num_samples}"
            )
        if wanted is not None:
            self.used_before(epochs, wanted)

    def planned(self, epoch: int, shares: Floats, used: Indices) -> tuple[Floats, Indices]:
        """Return shares (K,) and draws (K,) of an epoch, after `used` draws (K,) in the run."""
        live = np.flatnonzero(shares)
        sizes = self._sources.sizes[live]
        draws = self._num_samples
        with np.errstate(over="ignore"):
            needed = sizes / shares[live]  # draws of the epoch that use up a domain
        if self.stop == "first_exhausted":
            draws = max(1, math.floor(float(needed.min()) * (1.0 + 1e-12)))
        elif self.stop == "all_exhausted":
            if needed.max() > _check.MAX_SIZE:
                name = self._sources.names[live[int(np.argmax(needed))]]
                raise ValueError(
                    "stop='all_exhausted' must end after at most 2**62 draws, got "
                    f"{needed.max():.3g} for the share of domain {name}: give it more weight, or 0"
                )
            draws = math.ceil(float(needed.max()) * (1.0 - 1e-12))
        offset = _rng.uniform(_rng.key(self._seed, epoch, "quota"))
        found = quotas_of(shares[live], draws, offset)
        if self.stop == "first_exhausted":  # floats may round to one draw more than there is
            found = within_room(found, sizes)
        elif self.stop == "all_exhausted":  # or to one less
            found = np.maximum(found, sizes)
        quotas = np.zeros(shares.size, np.int64)
        quotas[live] = found
        if self._caps is None or (quotas <= self._caps - used).all():
            return shares, quotas
        return self._redistributed(epoch, shares, int(quotas.sum()), self._caps - used)

    def _redistributed(
        self, epoch: int, shares: Floats, draws: int, room: Indices
    ) -> tuple[Floats, Indices]:
        if self._shortfall == "raise":
            name = self._sources.names[int(np.argmax(shares * draws - room))]
            raise ValueError(
                f"max_repeats is reached by domain {name} in epoch {epoch}: give it less weight, "
                'or take shortfall="redistribute"'
            )
        from ..selection import share_out  # loads faiss and scikit-learn

        quotas = share_out(shares, draws, room)
        if int(quotas.sum()) < draws:
            raise ValueError(
                f"max_repeats leaves {int(quotas.sum())} draws for epoch {epoch}, which needs "
                f"{draws}: the domains that have weight are used up"
            )
        return quotas / draws, quotas

    def used_before(self, epoch: int, wanted: Callable[[int], Floats]) -> Indices:
        """Return the draws of each domain before an epoch: O(K) for each epoch on the way."""
        at, used = self._walked
        if epoch < at:
            at, used = 0, np.zeros_like(used)
        while at < epoch:
            used = used + self.planned(at, wanted(at), used)[1]
            at += 1
        self._walked = (at, used)
        return used

    def identity(self) -> tuple[object, ...]:
        """Return what decides the draws: arrays and JSON values."""
        caps = () if self._caps is None else (self._caps,)
        return (self.stop, self._num_samples, self._shortfall, *caps)
