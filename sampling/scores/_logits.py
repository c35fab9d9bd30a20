"""Scores of one set of logits, as functions: for a checkpoint, where nothing was recorded."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .. import _check
from ..kernels._dynamics import EL2N, ENTROPY, MARGIN, PROBABILITY, PROBABILITY_MARGIN
from ..types import Floats, Score
from ._dynamics_tables import look
from ._dynamics_travel import check_shapes, host_labels, host_logits

_BLOCK = 2**16  # rows looked at in one go: 16 C + 48 bytes each


def el2n(logits: ArrayLike, labels: ArrayLike) -> Score:
    """Return the length of the error of each sample, |softmax - onehot|: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C)
        Of an early checkpoint, in evaluation mode, of samples without augmentation.
    labels : int array or tensor of shape (N,)

    Returns
    -------
    Score
        In [0, sqrt 2]. Average some ten runs with `mean_scores`.

    Notes
    -----
    Cost        O(N C) and 8 bytes a sample.
    Source      Paul, Ganguli, Dziugaite, arXiv:2107.07075, 2021.

    Examples
    --------
    >>> el2n([[0.0, 0.0], [50.0, 0.0]], [0, 0]).values.round(3)
    array([0.707, 0.   ])
    """
    return Score(_observed(logits, labels, EL2N), "harder", "el2n")


def entropy(logits: ArrayLike) -> Score:
    """Return the entropy of the softmax of each sample, in nats: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C)

    Returns
    -------
    Score

    Notes
    -----
    Cost        O(N C) and 8 bytes a sample.

    Examples
    --------
    >>> entropy([[3.0, 3.0], [99.0, 0.0]]).values.round(3)
    array([0.693, 0.   ])
    """
    return Score(_observed(logits, None, ENTROPY), "harder", "entropy")


def margin(
    logits: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    of: Literal["probabilities", "logits"] = "probabilities",
) -> Score:
    """Return by how much the label leads the best other class: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C)
    labels : int array or tensor of shape (N,), optional
        Without labels the largest leads the second, as in active learning, and no margin is < 0.
    of : {"probabilities", "logits"}, default "probabilities"
        The mean over epochs of margins of logits is `TrainingDynamics.aum`.

    Returns
    -------
    Score

    Notes
    -----
    Cost        O(N C) and 8 bytes a sample.

    Examples
    --------
    >>> margin([[1.0, 3.0, 0.0]], [0], of="logits").values
    array([-2.])
    >>> margin([[1.0, 3.0, 0.0]], of="logits").values
    array([2.])
    """
    _check.choice("of", of, ("probabilities", "logits"))
    column = MARGIN if of == "logits" else PROBABILITY_MARGIN
    return Score(_observed(logits, labels, column), "easier", f"margin of {of}")


def confidence(logits: ArrayLike, labels: ArrayLike | None = None) -> Score:
    """Return the probability of the label: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C)
    labels : int array or tensor of shape (N,), optional
        Without labels the largest probability.

    Returns
    -------
    Score
        In [0, 1].

    Notes
    -----
    Cost        O(N C) and 8 bytes a sample.

    Examples
    --------
    >>> confidence([[0.0, 0.0], [9.0, 0.0]], [1, 1]).values.round(3)
    array([0.5, 0. ])
    """
    return Score(_observed(logits, labels, PROBABILITY), "easier", "confidence")


def pvi(log_probs_with: ArrayLike, log_probs_empty: ArrayLike) -> Score:
    """Return the bits that the input of each sample tells a model about its label: "easier".

    Pointwise V-information: log2 p(y | x) of a model that reads the input, less log2 p(y) of one
    trained on empty inputs. Below 0 the input misleads: look at the label.

    Parameters
    ----------
    log_probs_with, log_probs_empty : float arrays or tensors of shape (N,)
        Natural logarithms of the probability of each sample's own label, finite and <= 0, of held
        out samples for an honest estimate.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        If a number is above 0, hence no logarithm of a probability; the row is named.

    Notes
    -----
    Cost        O(N).
    Source      Ethayarajh, Choi, Swayamdipta, arXiv:2110.08420, 2022.

    Examples
    --------
    >>> pvi(np.log([0.5, 0.25]), np.log([0.25, 0.5])).values
    array([ 1., -1.])
    """
    given = {"log_probs_with": log_probs_with, "log_probs_empty": log_probs_empty}
    arrays = {name: _check.floats(name, values) for name, values in given.items()}
    for name, array in arrays.items():
        above = np.flatnonzero(array > 0)
        if above.size:
            raise ValueError(f"{name} must be <= 0, got {array[above[0]]} in row {above[0]}")
    with_input, empty = arrays.values()
    _check.same_length("log_probs_empty", empty, "log_probs_with", with_input.size)
    return Score((with_input - empty) / np.log(2.0), "easier", "pvi")


def _observed(logits: ArrayLike, labels: ArrayLike | None, column: int) -> Floats:
    """Return one column of what `look` says of each row: float64 (N,)."""
    values = host_logits(_check.host(logits))
    if values.ndim != 2 or values.shape[0] == 0 or values.shape[1] < 2:
        raise ValueError(f"logits must have shape (N, C) with N >= 1, C >= 2, got {values.shape}")
    known = values.argmax(axis=1) if labels is None else host_labels(_check.host(labels))
    rows = np.arange(len(values))
    check_shapes(rows, values, known, None)
    _check.codes("labels", known, values.shape[1])
    found: Floats = np.empty(len(values))
    for start in range(0, len(values), _BLOCK):
        here = slice(start, start + _BLOCK)
        block, skipped = look(values[here], known[here])
        if skipped:
            row = start + int(np.flatnonzero(np.isnan(block[MARGIN]))[0])
            bad = values[row][~np.isfinite(values[row])]
            what = bad[0] if bad.size else "a range beyond float64"
            raise ValueError(f"logits must be finite, got {what} in row {row}")
        found[here] = block[column]
    return found
