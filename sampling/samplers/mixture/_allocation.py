"""Draws of each source of a mixture: from weights, temperatures and phases to whole numbers."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ..._check._keywords import short, told
from ..._shares import temperature_shares
from ...types import Floats, Indices
from ..core._groups import quotas_of, within_room
from ..core._quotas import Quotas

Weights: TypeAlias = Mapping[Any, float] | ArrayLike
Phase: TypeAlias = tuple[float, float | Weights]

R_STAR = 15.387756  # from Muennighoff et al., fitted to language models on repeated text


class Mixing:
    """The weights of each phase of a run.

    Attributes
    ----------
    starts : int64 array of shape (P,)
        Epoch in which each phase begins, ascending from 0.
    table : float64 array of shape (P, K)
        Weights in each phase; rows sum to 1.
    """

    def __init__(self, starts: list[int], rows: list[Floats]) -> None:
        self.starts = np.array(starts, np.int64)
        self.table: Floats = np.stack([row / row.sum() for row in rows])

    def phase(self, epoch: int) -> int:
        """Return the number of the phase of an epoch."""
        return int(np.searchsorted(self.starts, min(epoch, 2**62), side="right")) - 1

    def __call__(self, epoch: int) -> Floats:
        """Return the weights of an epoch: float64 (K,)."""
        row: Floats = self.table[self.phase(epoch)]
        return row


def mixing_of(
    names: NDArray[np.generic],
    sizes: Floats,
    *,
    weights: Weights | None = None,
    temperature: float | None = None,
    phases: Sequence[Phase] | None = None,
    num_epochs: int | None = None,
) -> Mixing:
    """Return the weights over a run, of which at most one form is given.

    names : (K,) domain ids; sizes : (K,) sizes for `temperature`, > 0
    """
    forms = {"weights": weights, "temperature": temperature, "phases": phases}
    given = [name for name, value in forms.items() if value is not None]
    if len(given) > 1:
        raise ValueError(f"only one of weights, temperature and phases may be given, got {given}")
    if phases is not None:
        return _phased(phases, names, sizes, num_epochs)
    if weights is not None:
        return Mixing([0], [weights_of("weights", weights, names)])
    return Mixing([0], [temperature_weights(sizes, 1.0 if temperature is None else temperature)])


def _phased(
    phases: Sequence[Phase],
    names: NDArray[np.generic],
    sizes: Floats,
    num_epochs: int | None,
) -> Mixing:
    if isinstance(phases, str) or len(phases) == 0:
        raise ValueError(f"phases must be a list of (start, weights or temperature), got {phases}")
    starts, rows = [], []
    for place, phase in enumerate(phases):
        name = f"phases[{place}]"
        if not isinstance(phase, Sequence) or len(phase) != 2:
            raise ValueError(f"{name} must be (start, weights or temperature), got {phase!r}")
        start = _start_of(f"{name}[0]", phase[0], num_epochs)
        starts.append(_check.integer(f"the start of {name}", start, 0, 2**62))
        what = phase[1]
        if isinstance(what, int | float | np.number):
            rows.append(temperature_weights(sizes, float(what), name=f"{name}[1]"))
        else:
            rows.append(weights_of(f"{name}[1]", what, names))
    if starts[0] != 0:
        raise ValueError(f"phases must begin at 0, got {phases[0][0]}")
    for place in range(1, len(starts)):
        if starts[place] <= starts[place - 1]:
            raise ValueError(
                f"phases must begin in ascending epochs, got epoch {starts[place]} for "
                f"phases[{place}] after epoch {starts[place - 1]}"
            )
    return Mixing(starts, rows)


def _start_of(name: str, start: float, num_epochs: int | None) -> int:
    """Return the epoch in which a phase begins, given as an epoch or as a fraction of the run."""
    if not isinstance(start, float | np.floating):
        return _check.integer(name, start, 0)
    part = _check.number(name, start, "[0, 1)")
    if part == 0.0:
        return 0
    if num_epochs is None:
        raise ValueError(f"num_epochs must be given if {name} is a fraction of the run, {part:g}")
    return math.ceil(part * num_epochs - 1e-9)


def weights_of(name: str, given: Weights, names: NDArray[np.generic]) -> Floats:
    """Return the weight of each domain, given by id, in the order of `names`: float64 (K,)."""
    return _check.weights(name, _check.by_name(name, given, names, "domains"))


@told
def temperature_weights(
    sizes: ArrayLike,
    temperature: float,
    *,
    limit: float | None = None,
    name: str = "temperature",
) -> Floats:
    """Return weights in proportion to sizes ** (1 / temperature), normalised to sum 1.

    1 is natural, higher values are more uniform, infinity is uniform. Published choices are 1.43
    (mBERT), 3.33 (mT5) and up to 5. High temperatures over the whole run overfit small sources: see
    the phases of `MixtureSampler`, and `unimax`, which limits the repeats of a source.

    Parameters
    ----------
    sizes : array of shape (K,)
        Finite and > 0: number of samples, tokens or characters of each source.
    temperature : float > 0, or infinity
        Temperature T; the exponent is 1 / T.
    limit : float > 0, optional
        Upper limit on the sizes; larger sizes are replaced by it.
    name : str, default "temperature"
        Name of the argument in error messages.

    Returns
    -------
    float64 array of shape (K,)

    Raises
    ------
    ValueError
        If a size or the temperature is not positive.

    Notes
    -----
    Source
        Multilingual pre-training practice; Li et al., "Upsample or Upweight?", NAACL 2025, for its
        effect on the variance of the gradient.

    Examples
    --------
    >>> temperature_weights([1, 4, 16], 2.0).round(3)
    array([0.143, 0.286, 0.571])
    >>> temperature_weights([1, 4, 16], float("inf")).round(3)
    array([0.333, 0.333, 0.333])
    """
    found = _check.floats("sizes", sizes, "finite and >= 0")
    if not found.all():
        raise ValueError(f"sizes must be > 0, got 0 in row {int(np.argmin(found))}")
    if temperature != math.inf:
        temperature = _check.number(name, temperature, "(0, inf)")
    if limit is not None:
        found = np.minimum(found, _check.number("limit", limit, "(0, inf)"))
    return temperature_shares(found, temperature)


@told
def effective_samples(unique: float, drawn: float, *, r_star: float = R_STAR) -> float:
    """Return the number of fresh samples that repeated draws from a smaller set are worth.

    The law was fitted to language models trained on repeated text; elsewhere use it as a rough
    guide. Up to four passes are nearly as good as fresh data, forty are worth 15.

    Parameters
    ----------
    unique : float > 0
        Number of unique samples, or tokens.
    drawn : float >= 0
        Number of draws from them.
    r_star : float > 0, default 15.387756
        Number of repeats after which most of the value is lost.

    Returns
    -------
    float
        U + U R* (1 - exp(-R / R*)) with R = drawn / U - 1; `drawn` if nothing is repeated.

    Notes
    -----
    Source
        Muennighoff et al., "Scaling Data-Constrained Language Models", NeurIPS 2023.

    Examples
    --------
    >>> [round(effective_samples(1, passes) / passes, 3) for passes in (1, 2, 4, 8, 16, 40)]
    [1.0, 0.984, 0.931, 0.828, 0.661, 0.379]
    """
    unique = _check.number("unique", unique, "(0, inf)")
    drawn = _check.number("drawn", drawn, "[0, inf)")
    r_star = _check.number("r_star", r_star, "(0, inf)")
    if drawn <= unique:
        return drawn
    return unique - unique * r_star * math.expm1(-(drawn / unique - 1.0) / r_star)


@told
def max_epochs_for(loss_fraction: float, *, r_star: float = R_STAR) -> float:
    """Return the number of passes over the data that lose no more than a fraction of their value.

    Passes lose what repeated draws are worth less than fresh ones, see `effective_samples`: four
    passes lose 7 % of the draws, sixteen a third. Use it for `num_epochs` of a run, or for
    `max_repeats` of a mixture.

    Parameters
    ----------
    loss_fraction : float in [0, 1)
        1 - effective samples / draws.
    r_star : float > 0, default 15.387756
        Number of repeats after which most of the value is lost.

    Returns
    -------
    float
        Passes, >= 1; not rounded.

    Notes
    -----
    Source
        As for `effective_samples`.

    Examples
    --------
    >>> [round(max_epochs_for(loss), 1) for loss in (0, 0.05, 0.1, 0.25, 0.5)]
    [1.0, 3.3, 5.2, 11.4, 27.1]
    """
    loss_fraction = _check.number("loss_fraction", loss_fraction, "[0, 1)")
    r_star = _check.number("r_star", r_star, "(0, inf)")
    if loss_fraction == 0.0:
        return 1.0
    from scipy.optimize import brentq  # 0.1 s, and only this function needs it

    most = (1.0 + r_star) / (1.0 - loss_fraction)  # all repeats are worth at most r_star samples

    def excess(passes: float) -> float:
        return 1.0 - effective_samples(1.0, passes, r_star=r_star) / passes - loss_fraction

    return float(brentq(excess, 1.0, most, xtol=1e-12))


def even_weights(sizes: Floats, budget: float, max_repeats: float | Weights | None) -> Floats:
    """Return the weights of `weights="unimax"`: as uniform over the run as the cap allows."""
    if max_repeats is None:
        raise ValueError('max_repeats must be given with weights="unimax", got None')
    if not isinstance(max_repeats, int | float | np.number):
        found = short(max_repeats)
        raise ValueError(f'max_repeats must be a number with weights="unimax", got {found}')
    from ...selection import unimax  # loads faiss and scikit-learn

    return unimax(sizes, budget, max_epochs=float(max_repeats)).probabilities


def tokens_of(mean_tokens: Weights | None, names: NDArray[np.generic]) -> Floats:
    """Return the tokens in a sample of each domain, float64 (K,); 1 if none are given."""
    if mean_tokens is None:
        return np.ones(names.size)
    return _check.by_name("mean_tokens", mean_tokens, names, "domains", interval="[1e-100, 1e100]")


def _repeats_of(max_repeats: float | Weights, names: NDArray[np.generic]) -> Floats:
    """Return the passes over each domain that are allowed: float64 (K,), inf where not limited."""
    if isinstance(max_repeats, int | float | np.number):
        return np.full(names.size, _check.number("max_repeats", max_repeats, "(0, inf)"))
    return _check.by_name(
        "max_repeats", max_repeats, names, "domains", interval="(0, inf)", default=math.inf
    )


Stop: TypeAlias = Literal["cycle", "first_exhausted", "all_exhausted"]
Shortfall: TypeAlias = Literal["redistribute", "raise"]
Phases: TypeAlias = tuple[Indices, Callable[[int], Floats]]  # starts (P,), epoch -> shares (K,)
Used: TypeAlias = NDArray[Any]  # int64 (K,), or Python ints where those might not fit


class Sizes(Protocol):
    """The sizes of the domains, in the unit in which an epoch is counted."""

    names: NDArray[np.generic]
    sizes: NDArray[Any]

    def __len__(self) -> int: ...


class Budget:
    """Computes the draws of each epoch from the shares; or its tokens, if an epoch counts tokens.

    Everything is in the unit of the epoch: sizes, shares, caps, and what is redistributed. So the
    tokens of an excluded domain go to the others in proportion to their shares of the tokens.

    Attributes
    ----------
    stop : {"cycle", "first_exhausted", "all_exhausted"}
    """

    def __init__(
        self,
        sources: Sizes,
        num_samples: int,
        seed: int,
        stop: Stop,
        max_repeats: float | Weights | None,
        shortfall: Shortfall,
        unit: Literal["num_samples", "num_tokens"] = "num_samples",
    ) -> None:
        self.stop = _check.choice("stop", stop, ("cycle", "first_exhausted", "all_exhausted"))
        self._shortfall = _check.choice("shortfall", shortfall, ("redistribute", "raise"))
        self._sources, self._num_samples, self._seed = sources, num_samples, seed
        self._unit = unit
        self._caps: Indices | None = None  # units of the run after which a domain is excluded
        if max_repeats is not None:
            repeats = _repeats_of(max_repeats, sources.names)
            self._free = np.isinf(repeats)
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
                f"{self._unit} must be at most {room // epochs} for {epochs} epochs: max_repeats "
                f"leaves {room} {self._uses} together, got {self._num_samples}"
            )
        if phases is not None:
            self.at(epochs - 1, phases)

    @property
    def _uses(self) -> str:
        return "uses of all samples" if self._unit == "num_samples" else "tokens of all domains"

    def left(self, used: Used) -> Floats:
        """Return how much of each domain the caps leave after `used` units: (K,), inf without."""
        if self._caps is None:
            return np.full(len(self._sources), np.inf)
        rest: Floats = (self._caps - used).astype(np.float64)
        return np.where(self._free, np.inf, rest)

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

    def _stretch(self, epoch: int, phases: Phases) -> Stretch:
        """Return the stretch of the run that contains an epoch."""
        while not self._run or (self._run[-1].stop or epoch + 1) <= epoch:
            self._run.append(self._next(phases))
        number = bisect.bisect_right(self._run, epoch, key=lambda each: each.start)
        return self._run[number - 1]

    def _next(self, phases: Phases) -> Stretch:
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
            units = "draws" if self._unit == "num_samples" else "tokens"
            raise ValueError(
                f"max_repeats leaves {int(quotas.sum())} {units} for epoch {epoch}, which needs "
                f"{draws}: the domains with positive weight are exhausted"
            )
        return quotas / draws, quotas

    def identity(self) -> dict[str, object]:
        """Return everything that determines the draws: arrays and JSON values, by argument."""
        found: dict[str, object] = {
            "stop": self.stop,
            f"{'draws' if self._unit == 'num_samples' else 'tokens'} from {self._unit}": (
                self._num_samples
            ),
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
        self, start: int, stop: int | None, shares: Floats, used: Used, quotas: Quotas | Indices
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
