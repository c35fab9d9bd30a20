"""The loss to be expected of each sample before it is labelled: a score for `Acquisition`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..types import Floats

_LEAST = 1e-7  # the least probability of which a logarithm is taken


@told
def expected_loss(
    predictions: ArrayLike,
    surrogate: ArrayLike | None = None,
    *,
    loss: Literal["cross_entropy", "error", "squared"] = "cross_entropy",
) -> Floats:
    """Return the expected loss of each sample, under a second model of its label.

    Parameters
    ----------
    predictions : float array-like of shape (N, C), or (N,) for "squared"
        f: probabilities, or predicted values, of the model that is tested.
    surrogate : float array-like of shape (N, C), or (E, N) for "squared", optional
        pi: what the labels are believed to be: probabilities of a model that differs from the
        tested one, best trained on the test labels so far too; for "squared" the predictions of an
        ensemble of E models. By default the tested model, which does not know where it is wrong.
    loss : {"cross_entropy", "error", "squared"}, default "cross_entropy"
        -sum_y pi(y) log f(y); 1 - pi(argmax f); (f - mean pi)^2 + var pi.

    Returns
    -------
    float64 array of shape (N,)

    Raises
    ------
    ValueError
        If probabilities are outside [0, 1], a row does not sum to 1, or shapes differ.

    Notes
    -----
    Cost
        O(N C).
    Source
        Kossen, Farquhar, Gal, Rainforth, "Active Testing", ICML 2021.

    Examples
    --------
    >>> f, pi = [[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.5, 0.5]]
    >>> expected_loss(f, pi, loss="error")
    array([0.8, 0.5])
    >>> expected_loss(f, pi).round(3)
    array([1.863, 0.693])
    """
    loss = _check.choice("loss", loss, ("cross_entropy", "error", "squared"))
    if loss == "squared":
        values = _check.floats("predictions", predictions)
        if surrogate is None:
            raise ValueError("surrogate must be given for loss='squared', got None")
        models = np.asarray(_check.embeddings("surrogate", surrogate)[:], np.float64)
        _check.same_length("surrogate[0]", models[0], "predictions", values.size)
        squares: Floats = (values - models.mean(axis=0)) ** 2 + models.var(axis=0)
        return squares
    f = _probabilities("predictions", predictions)
    pi = f if surrogate is None else _probabilities("surrogate", surrogate)
    if pi.shape != f.shape:
        raise ValueError(f"surrogate must have the shape of predictions, {f.shape}, got {pi.shape}")
    if loss == "error":
        found: Floats = 1.0 - pi[np.arange(len(f)), f.argmax(axis=1)]
        return found
    cross: Floats = -np.einsum("nc,nc->n", pi, np.log(np.maximum(f, _LEAST)))
    return cross


def _probabilities(name: str, values: ArrayLike) -> Floats:
    if np.ndim(values) == 1:
        raise ValueError(
            f"{name} must have shape (N, C), a probability of each class, got {np.shape(values)}: "
            "of two classes too; of one sample, give [probabilities]"
        )
    rows = np.asarray(_check.embeddings(name, values)[:], np.float64)
    bad = (rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1.0) > 1e-3)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name} must be probabilities, >= 0 with sum 1, got a sum of {rows[row].sum():.4g} "
            f"and a least value of {rows[row].min():.4g} in row {row}: apply the softmax to "
            "logits, in float32"
        )
    return rows
