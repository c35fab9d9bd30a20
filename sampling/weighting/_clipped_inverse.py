"""Weights against known chances of being observed: 1 / p, with a limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ._sample_weights import SampleWeights


@told
def clipped_inverse(
    probabilities: ArrayLike, *, minimum: float = 1e-3, stabilize: bool = False
) -> SampleWeights:
    """Return weights 1 / max(p, minimum) of samples observed with known probabilities p.

    For data in which some samples are observed more often than others: measurements at informative
    times, clicks on displayed items, labels requested for uncertain samples. p is that of the
    sample to be observed, from a model of the observation trained by binary cross-entropy.

    Parameters
    ----------
    probabilities : array-like of shape (N,)
        In [0, 1]; of the samples that were observed.
    minimum : float in (0, 1], default 0.001
        Lower limit of the probabilities. A larger one has less variance, and more bias.
    stabilize : bool, default False
        Divide the weights by their mean, so that the loss keeps its scale. The released code does
        not.

    Returns
    -------
    SampleWeights
        With the `effective_sample_size`: report it, as a few small probabilities can decide it.

    Raises
    ------
    ValueError
        If a probability is not in [0, 1]; the message names the row.

    Notes
    -----
    Cost
        O(N), 4 N bytes.
    Gradients
        The sum over the observed samples is unbiased for that over all samples if the probabilities
        are correct and none is below `minimum`.
    Source
        Vanderschueren, Curth, Verbeke, van der Schaar, ICML 2023 (TESAR-CDE), for the limit of its
        released code. The weights are those of Horvitz and Thompson.

    Examples
    --------
    >>> weighting = clipped_inverse([0.5, 0.25, 0.0], minimum=0.1)
    >>> weighting.values, round(weighting.effective_sample_size, 3)
    (array([ 2.,  4., 10.], dtype=float32), 2.133)
    >>> clipped_inverse([0.5, 0.25, 0.0], minimum=0.1, stabilize=True).values
    array([0.375, 0.75 , 1.875], dtype=float32)
    """
    least = _check.number("minimum", minimum, "(0, 1]")
    stabilize = _check.flag("stabilize", stabilize)
    found = _check.floats("probabilities", probabilities, "finite and >= 0")
    if found.max() > 1:
        row = int(found.argmax())
        raise ValueError(f"probabilities must be in [0, 1], got {found[row]} in row {row}")
    weights = 1.0 / np.maximum(found, least)
    return SampleWeights(weights / weights.mean() if stabilize else weights)
