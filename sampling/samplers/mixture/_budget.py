"""Number of draws of each source of a mixture: rounding, stop rules, caps on repeats."""

import bisect
import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import _check, _rng
from ...types import Floats, Indices
from ..core._groups import quotas_of, within_room
from ..core._quotas import Quotas
from ._sources import Sources

Stop: TypeAlias = Literal["cycle", "first_exhausted", "all_exhausted"]
Shortfall: TypeAlias = Literal["redistribute", "raise"]
Phases: TypeAlias = tuple[Indices, Callable[[int], Floats]]  # starts (P,), epoch -> shares (K,)
Used: TypeAlias = NDArray[Any]  # int64 (K,), or Python ints where those might not fit


class Budget:
    """Computes the draws of each epoch from the shares.

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
        self._caps: Indices | None = None  # draws of the run after which a domain is excluded
        if max_repeats is not None:
            repeats = _check.number("max_repeats", max_repeats, "(0, inf)")
            most = 2.0**62 / len(sources)  # the sum fits
            self._caps = np.floor(np.minimum(repeats * sources.sizes, most) + 1e-9).astype(int)
        self._run: list[Stretch] = []  # of a run whose shares are known, as far as it is computed

    def check(self, num_epochs: int | None, phases: Phases | None) -> None:
        """Raise if the caps cannot fill some epoch of the run.

        phases : the shares of the run; None if they are not known in advance
        """
        if self._caps is None:
            return
        epochs, room = num_epochs or 1, int(self._caps.sum())
        if self.stop == "cycle" and room < epochs * self._num_samples:
            raise ValueError(
                f"num_samples must be at most {room // epochs} for {epochs} epochs: max_repeats "
                f"leaves {room} uses of all samples together, got {self._num_samples}"
            )
        if phases is not None:
            self.at(epochs - 1, phases)

    # ------------------------------------------------------------------ shares that are known

    def at(self, epoch: int, phases: Phases) -> tuple[Floats, Indices, Used]:
        """Return shares (K,) and draws (K,) of an epoch, and the draws before it (K,).

        Any epoch is computed directly: a run is a few stretches in which neither the shares nor the
        remaining domains change, and each stretch has its `Quotas`.
        """
        stretch = self._stretch(epoch, phases)
        return stretch.shares, stretch.quotas(epoch), stretch.used(epoch)

    def used_before(self, epoch: int, phases: Phases) -> Used:
        """Return the draws of each domain before an epoch: (K,)."""
        if epoch == 0:
            return np.zeros(len(self._sources), np.int64)
        stretch = self._stretch(epoch - 1, phases)
        return stretch.used(epoch)

    def _stretch(self, epoch: int, phases: Phases) -> "Stretch":
        """Return the stretch of the run that contains an epoch."""
        while not self._run or (self._run[-1].stop or epoch + 1) <= epoch:
            self._run.append(self._next(phases))
        number = bisect.bisect_right(self._run, epoch, key=lambda each: each.start)
        return self._run[number - 1]

    def _next(self, phases: Phases) -> "Stretch":
        """Return the stretch after those already computed."""
        start, used = 0, np.zeros(len(self._sources), np.int64)
        if self._run:
            last = self._run[-1]
            start = int(last.stop or 0)
            used = last.used(start)
        starts, wanted = phases
        later = [each for each in starts.tolist() if each > start]
        stop = int(later[0]) if later else None
        shares = wanted(start)
        draws = self._draws(shares)
        room = None
        if self._caps is not None:
            room = (self._caps - used).astype(np.int64)
            if self._shortfall == "redistribute" and ((shares > 0) & (room > 0)).any():
                shares = np.where(room > 0, shares, 0.0)
                shares = shares / shares.sum()
        key = _rng.key(self._seed, start, "quotas")
        quotas = Quotas(shares, draws, key, whole=50 if self.stop == "cycle" else 39)
        if room is not None:
            epochs = _epochs_within(quotas, room)
            if epochs == 0:
                shares, counts = self._redistributed(start, shares, draws, room)
                return Stretch(start, start + 1, shares, used, counts)
            stop = start + epochs if stop is None else min(stop, start + epochs)
        return Stretch(start, stop, shares, used, quotas)

    def _draws(self, shares: Floats) -> int:
        """Return the number of draws of an epoch with these shares."""
        live = np.flatnonzero(shares)
        sizes = self._sources.sizes[live]
        if self.stop == "first_exhausted":
            with np.errstate(over="ignore"):
                needed = sizes / shares[live]
            return max(1, math.floor(float(needed.min()) * (1.0 + 1e-12)))
        if self.stop == "all_exhausted":
            with np.errstate(over="ignore"):
                needed = sizes / shares[live]  # draws of the epoch that exhaust a domain
            if needed.max() > _check.MAX_SIZE:
                name = self._sources.names[live[int(np.argmax(needed))]]
                raise ValueError(
                    "stop='all_exhausted' must end after at most 2**62 draws, got "
                    f"{needed.max():.3g} for the share of domain {name}: give it more weight, or 0"
                )
            return math.ceil(float(needed.max()) * (1.0 - 1e-12))
        return self._num_samples

    # ------------------------------------------------------------------ shares that are learned

    def planned(self, epoch: int, shares: Floats, used: Indices) -> tuple[Floats, Indices]:
        """Return shares (K,) and draws (K,) of an epoch, after `used` draws (K,) in the run.

        Rounded at random, for shares that depend on the epochs before.
        """
        live = np.flatnonzero(shares)
        sizes = self._sources.sizes[live]
        offset = _rng.uniform(_rng.key(self._seed, epoch, "quota"))
        found = quotas_of(shares[live], self._draws(shares), offset)
        if self.stop == "first_exhausted":  # floats may round to one draw more than available
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
        from ...selection import share_out  # loads faiss and scikit-learn

        quotas = share_out(shares, draws, room)
        if int(quotas.sum()) < draws:
            raise ValueError(
                f"max_repeats leaves {int(quotas.sum())} draws for epoch {epoch}, which needs "
                f"{draws}: the domains with positive weight are exhausted"
            )
        return quotas / draws, quotas

    def identity(self) -> dict[str, object]:
        """Return everything that determines the draws: arrays and JSON values, by argument."""
        found: dict[str, object] = {
            "stop": self.stop,
            "draws from num_samples": self._num_samples,
            "shortfall": self._shortfall,
        }
        return found if self._caps is None else {**found, "caps from max_repeats": self._caps}


class Stretch:
    """Consecutive epochs in which a mixture has the same shares and the same domains.

    Attributes
    ----------
    start : int
        First epoch.
    stop : int or None
        Epoch after the last; None if the stretch has no end.
    shares : float64 array of shape (K,)
        Share of each domain in the draws.
    """

    def __init__(
        self, start: int, stop: int | None, shares: Floats, used: Used, quotas: "Quotas | Indices"
    ) -> None:
        self.start, self.stop, self.shares = start, stop, shares
        self._used, self._quotas = used, quotas

    def quotas(self, epoch: int) -> Indices:
        """Return the draws of each domain in an epoch of the stretch: int64 (K,)."""
        if isinstance(self._quotas, Quotas):
            return self._quotas.of(epoch - self.start)
        return self._quotas

    def used(self, epoch: int) -> Used:
        """Return the draws of each domain before an epoch of the stretch, or its stop: (K,)."""
        if isinstance(self._quotas, Quotas):
            drawn: Used = self._quotas.before(epoch - self.start)
        else:
            drawn = self._quotas * (epoch - self.start)
        used: Used = self._used + drawn
        return used


def _epochs_within(quotas: Quotas, room: Indices) -> int:
    """Return the number of epochs, from the first, in which no domain exceeds its room (K,)."""
    # A count differs by less than two from the exact value; bisect between these bounds.
    pairs = [(left, each) for left, each in zip(room.tolist(), quotas.exact, strict=True) if each]
    low: int = min(max(0, ((left - 2) << 64) // each) for left, each in pairs)
    high: int = min(((left + 2) << 64) // each for left, each in pairs) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if (quotas.before(middle) <= room).all():
            low = middle
        else:
            high = middle
    return low
