"""Weights of the sources of a mixture: given, by temperature, by phases of the run, by tokens."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ..._check._keywords import told
from ...types import Floats

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
    logs = np.log(found)
    with np.errstate(over="ignore"):  # near temperature 0 only the largest remains
        powers = np.exp((logs - logs.max()) / temperature)
    weights: Floats = powers / powers.sum()
    return weights


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


def even_weights(sizes: Floats, budget: float, max_repeats: float | None) -> Floats:
    """Return the weights of `weights="unimax"`: as uniform over the run as the cap allows."""
    if max_repeats is None:
        raise ValueError('max_repeats must be given with weights="unimax", got None')
    from ...selection import unimax  # loads faiss and scikit-learn

    return unimax(sizes, budget, max_epochs=max_repeats).probabilities


def tokens_of(mean_tokens: Weights | None, names: NDArray[np.generic]) -> Floats:
    """Return the tokens in a sample of each domain, float64 (K,); 1 if none are given."""
    if mean_tokens is None:
        return np.ones(names.size)
    return _check.by_name("mean_tokens", mean_tokens, names, "domains", interval="[1e-100, 1e100]")
