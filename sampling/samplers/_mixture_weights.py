"""Weights of the sources of a mixture: given, by temperature, by phases of the run, by tokens."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._keywords import told
from ..types import Floats

Weights: TypeAlias = Mapping[Any, float] | ArrayLike
Phase: TypeAlias = tuple[float, float | Weights]

R_STAR = 15.387756  # of Muennighoff et al., fitted to language models on repeated text


class Mixing:
    """The weights of each phase of a run.

    Attributes
    ----------
    starts : int64 array of shape (P,)
        Epoch in which each phase begins, rising from 0.
    table : float64 array of shape (P, K)
        Rows sum to 1.
    """

    def __init__(self, starts: list[int], rows: list[Floats]) -> None:
        self.starts = np.array(starts, np.int64)
        self.table: Floats = np.stack([row / row.sum() for row in rows])

    def phase(self, epoch: int) -> int:
        """Return the number of the phase that an epoch is in."""
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

    names : (K,) domain ids; sizes : (K,) what temperature goes by, > 0
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
                f"phases must begin in later and later epochs, got epoch {starts[place]} for "
                f"phases[{place}] after epoch {starts[place - 1]}"
            )
    return Mixing(starts, rows)


def _start_of(name: str, start: float, num_epochs: int | None) -> int:
    """Return the epoch in which a phase begins, given as an epoch or as a part of the run."""
    if not isinstance(start, float | np.floating):
        return _check.integer(name, start, 0)
    part = _check.number(name, start, "[0, 1)")
    if part == 0.0:
        return 0
    if num_epochs is None:
        raise ValueError(f"num_epochs must be given where {name} is a part of the run, {part:g}")
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
    """Return weights in proportion to sizes ** (1 / temperature), that sum to 1.

    1 is natural, more is flatter, infinity is uniform. Published choices run from 1.43 (mBERT) over
    3.33 (mT5) to 5. High temperatures over the whole run overfit small sources: see the phases of
    `MixtureSampler`, and `unimax`, which limits how often a source is repeated.

    Parameters
    ----------
    sizes : array of shape (K,)
        Finite and > 0: samples, tokens or characters of each source.
    temperature : float > 0, or infinity
    limit : float > 0, optional
        Sizes above it count as the limit.
    name : str, default "temperature"
        What messages call it.

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
        Multilingual pre-training practice; Li et al., "Upsample or Upweight?", NAACL 2025, for what
        it does to the variance of the gradient.

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
    logs = np.log(found)
    with np.errstate(over="ignore"):  # of the coldest only the largest is left
        powers = np.exp((logs - logs.max()) / temperature)
    weights: Floats = powers / powers.sum()
    return weights


@told
def effective_samples(unique: float, drawn: float, *, r_star: float = R_STAR) -> float:
    """Return how many fresh samples a number of draws from a smaller set is worth.

    The law was fitted to language models trained on repeated text; elsewhere take it as a warning.
    Up to four passes are nearly as good as fresh data, forty are worth 15.

    Parameters
    ----------
    unique : float > 0
        Samples, or tokens, that there are.
    drawn : float >= 0
        Uses of them.
    r_star : float > 0, default 15.387756
        Repeats after which most of the worth is gone.

    Returns
    -------
    float
        U + U R* (1 - exp(-R / R*)) with R = drawn / U - 1; `drawn` where nothing is repeated.

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


def even_weights(sizes: Floats, budget: float, max_repeats: float | None) -> Floats:
    """Return the weights of `weights="unimax"`: as even over the run as the cap lets them be."""
    if max_repeats is None:
        raise ValueError('max_repeats must be given with weights="unimax", got None')
    from ..selection import unimax  # loads faiss and scikit-learn

    return unimax(sizes, budget, max_epochs=max_repeats).probabilities


def tokens_of(mean_tokens: Weights | None, names: NDArray[np.generic]) -> Floats:
    """Return the tokens in a sample of each domain, float64 (K,); 1 where none are given."""
    if mean_tokens is None:
        return np.ones(names.size)
    return _check.by_name("mean_tokens", mean_tokens, names, "domains", interval="[1e-100, 1e100]")
