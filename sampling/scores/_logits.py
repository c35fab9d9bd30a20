"""Scores of one set of logits, as functions: for a checkpoint whose training was not recorded.

Logits (N, 1) are those of a model of one output z, read as the two outputs 0 and z; so are (N,)
if labels are given. Labels are then 0 or 1 of any dtype, of shape (N,) or (N, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from ..kernels._dynamics import EL2N, ENTROPY, MARGIN, PROBABILITY, PROBABILITY_MARGIN
from ..record import Direction, Score
from ..types import Floats, Progress
from ._dynamics_tables import look
from ._dynamics_travel import check_shapes, host_logits, read_host
from ._heads import is_one_output, two_columns, two_probabilities

_STORED: dict[str, tuple[int, Direction]] = {  # kind -> its row of an observed batch, direction
    "el2n": (EL2N, "harder"),
    "entropy": (ENTROPY, "harder"),
    "margin": (PROBABILITY_MARGIN, "easier"),
    "confidence": (PROBABILITY, "easier"),
}
_BLOCK = 2**16  # rows read at a time: 16 C + 48 bytes each


@told
def el2n(logits: ArrayLike, labels: ArrayLike) -> Score:
    """Return the EL2N score, the error norm |softmax - onehot| of each sample: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
        From an early checkpoint, in evaluation mode, for samples without augmentation.
    labels : int array or tensor of shape (N,)
        Class of each sample, in [0, C).

    Returns
    -------
    Score
        In [0, sqrt 2]. Average about ten runs with `mean_scores`.

    Notes
    -----
    Cost
        O(N C) and 8 bytes per sample.
    Source
        Paul, Ganguli, Dziugaite, arXiv:2107.07075, 2021.

    Examples
    --------
    >>> el2n([[0.0, 0.0], [50.0, 0.0]], [0, 0]).values.round(3)
    array([0.707, 0.   ])
    """
    return Score(_observed(logits, labels, EL2N), "harder", "el2n")


@told
def entropy(logits: ArrayLike) -> Score:
    """Return the entropy of the softmax of each sample, in nats: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
        Before the softmax.

    Returns
    -------
    Score
        In [0, log C].

    Notes
    -----
    Cost
        O(N C) and 8 bytes per sample.

    Examples
    --------
    >>> entropy([[3.0, 3.0], [99.0, 0.0]]).values.round(3)
    array([0.693, 0.   ])
    """
    return Score(_observed(logits, None, ENTROPY), "harder", "entropy")


@told
def margin(
    logits: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    of: Literal["probabilities", "logits"] = "probabilities",
) -> Score:
    """Return the margin between the label and the best other class: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
        Before the softmax.
    labels : int array or tensor of shape (N,), optional
        Without labels it is the margin between the largest and the second largest, as in active
        learning, and never negative.
    of : {"probabilities", "logits"}, default "probabilities"
        What the margin is a difference of. The mean over epochs of margins of logits is
        `TrainingDynamics.aum`.

    Returns
    -------
    Score

    Notes
    -----
    Cost
        O(N C) and 8 bytes per sample.

    Examples
    --------
    >>> margin([[1.0, 3.0, 0.0]], [0], of="logits").values
    array([-2.])
    >>> margin([[1.0, 3.0, 0.0]], of="logits").values
    array([2.])
    """
    of = _check.choice("of", of, ("probabilities", "logits"))
    column = MARGIN if of == "logits" else PROBABILITY_MARGIN
    return Score(_observed(logits, labels, column), "easier", f"margin of {of}")


@told
def confidence(logits: ArrayLike, labels: ArrayLike | None = None) -> Score:
    """Return the probability of the label: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
        Before the softmax.
    labels : int array or tensor of shape (N,), optional
        Without labels the largest probability is returned.

    Returns
    -------
    Score
        In [0, 1].

    Notes
    -----
    Cost
        O(N C) and 8 bytes per sample.

    Examples
    --------
    >>> confidence([[0.0, 0.0], [9.0, 0.0]], [1, 1]).values.round(3)
    array([0.5, 0. ])
    """
    return Score(_observed(logits, labels, PROBABILITY), "easier", "confidence")


@told
def pvi(log_probs_with: ArrayLike, log_probs_empty: ArrayLike) -> Score:
    """Return the pointwise V-information (PVI) of each sample, in bits: "easier".

    PVI is log2 p(y | x) of a model that reads the input, minus log2 p(y) of one trained on empty
    inputs. If it is negative, the input misleads the model: check the label.

    Parameters
    ----------
    log_probs_with, log_probs_empty : float arrays or tensors of shape (N,)
        Natural logarithms of the probability of each sample's own label, finite and <= 0; of
        held-out samples for an unbiased estimate.

    Returns
    -------
    Score

    Raises
    ------
    ValueError
        If a number is above 0, and so not the logarithm of a probability; the message names the
        row.

    Notes
    -----
    Cost
        O(N).
    Source
        Ethayarajh, Choi, Swayamdipta, arXiv:2110.08420, 2022.

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


@told
def score_stored(
    kinds: str | Sequence[str],
    values: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    of: Literal["logits", "probabilities"] = "logits",
    progress: Progress | None = None,
) -> dict[str, Score]:
    """Return several scores of stored logits or probabilities, reading each row once.

    Parameters
    ----------
    kinds : str or sequence of {"el2n", "entropy", "margin", "confidence"}
        The functions of these names.
    values : float array or tensor of shape (N, C) or (N, 1)
        Rows are read in blocks, so that a memory map is never loaded as a whole.
    labels : int array or tensor of shape (N,), optional
        Required for "el2n"; refused for "entropy" alone, which does not use them.
    of : {"logits", "probabilities"}, default "logits"
        What the values are. Rows of probabilities need not sum to 1: they are normalised. A 0 is
        replaced by 1e-300. One column holds the probabilities of class 1.
    progress : callable, optional
        Called with (step, N, "rows").

    Returns
    -------
    dict of str to Score

    Raises
    ------
    ValueError
        If a value is not finite, a probability is negative, or a label is out of range: the message
        names the row.

    Notes
    -----
    Cost
        O(N C), and 8 bytes per sample and kind.

    Examples
    --------
    >>> found = score_stored(["margin", "entropy"], [[0.5, 0.5], [1.0, 0.0]], of="probabilities")
    >>> found["margin"].values.round(3), found["margin"].higher_is
    (array([0., 1.]), 'easier')
    """
    of = _check.choice("of", of, ("logits", "probabilities"))
    kinds = _checked_kinds(kinds, labels is not None)
    columns = [_STORED[kind][0] for kind in kinds]
    found = _look_at_all(values, labels, columns, of == "probabilities", progress)
    return {
        kind: Score(each, _STORED[kind][1], kind) for kind, each in zip(kinds, found, strict=True)
    }


@told
def check_stored(
    kinds: str | Sequence[str],
    shape: Sequence[int],
    labels: ArrayLike | None = None,
    *,
    of: Literal["logits", "probabilities"] = "logits",
) -> None:
    """Raise, before the rows are read, if `score_stored` would refuse their shape.

    Parameters
    ----------
    kinds : {"el2n", "entropy", "margin", "confidence"}, or sequence of them
        As for `score_stored`.
    shape : sequence of int
        (N, C), (N, 1) or (N,): the shape of the values of `score_stored`.
    labels : int array or tensor of shape (N,), optional
        As for `score_stored`.
    of : {"logits", "probabilities"}, default "logits"
        As for `score_stored`.

    Raises
    ------
    ValueError, TypeError
        If a kind is unknown, labels are missing or not used, or do not match the shape.

    Examples
    --------
    >>> check_stored(["el2n"], (3, 2), [0, 1, 1])
    """
    of = _check.choice("of", of, ("logits", "probabilities"))
    _checked_kinds(kinds, labels is not None)
    _known_labels(tuple(_check.listed("shape", shape)), labels, of)


def _checked_kinds(kinds: str | Sequence[str], labelled: bool) -> list[str]:
    """Return the kinds; refuse an unknown one, or labels that they do not use."""
    kinds = _check.words("kinds", kinds)
    for kind in kinds:
        if kind not in _STORED:
            raise ValueError(
                f"kinds must be of {', '.join(map(repr, _STORED))}, got {kind!r}"
                f"{_check.closest(kind, _STORED)}"
            )
    if not kinds:
        raise ValueError("kinds must name at least one score, got none")
    if "el2n" in kinds and not labelled:
        raise ValueError("labels must be given for 'el2n', got None")
    if labelled and set(kinds) == {"entropy"}:
        raise ValueError("labels must be omitted for 'entropy' alone, which does not use them")
    return kinds


def _known_labels(
    shape: tuple[int, ...], labels: ArrayLike | None, name: str
) -> tuple[bool, NDArray[Any] | None]:
    """Return whether values of a shape have one output, and their labels int64 (N,), if any."""
    like = np.broadcast_to(np.float32(0), shape)  # the rows themselves are read in blocks
    single = len(shape) > 0 and shape[0] > 0 and is_one_output(like, shape[0])
    if single and len(shape) == 1 and labels is None:
        raise ValueError(
            f"{name} must have shape (N, C), got {shape}: pass {name}[:, None] if they are "
            f"from a model of one output, {name}[None] if they are one sample"
        )
    if not single and (len(shape) != 2 or 0 in shape):
        raise ValueError(f"{name} must have shape (N, C) with N, C >= 1, got {shape}")
    if labels is None:
        return single, None
    size, classes = shape[0], 2 if single else shape[1]
    _, known = read_host(like, labels)
    check_shapes(np.broadcast_to(0, size), np.broadcast_to(0, (size, classes)), known, None)
    _check.codes("labels", known, classes)
    return single, known


def _observed(logits: ArrayLike, labels: ArrayLike | None, column: int) -> Floats:
    """Return one statistic of each row, as `look` computes it: float64 (N,)."""
    return _look_at_all(logits, labels, [column], False, None)[0]


def _look_at_all(
    values: ArrayLike,
    labels: ArrayLike | None,
    columns: Sequence[int],
    probabilities: bool,
    progress: Progress | None,
) -> list[Floats]:
    """Return statistics of each row, as `look` computes them: float64 (N,) for each."""
    whole = _check.host(values, "values")
    name = "probabilities" if probabilities else "logits"
    single, known = _known_labels(tuple(whole.shape), labels, name)
    size = len(whole)
    found: list[Floats] = [np.empty(size) for _ in columns]
    for start in range(0, size, _BLOCK):
        here = slice(start, min(start + _BLOCK, size))
        rows = whole[here]
        if probabilities:
            rows = _logarithms(rows, start, single)
        else:
            rows = host_logits(rows)
            rows = two_columns(rows) if single else rows
        own = rows.argmax(axis=1) if known is None else known[here]
        block, skipped = look(rows, own)
        if skipped:
            row = int(np.flatnonzero(np.isnan(block[MARGIN]))[0])
            bad = rows[row][~np.isfinite(rows[row])]
            what = bad[0] if bad.size else "a range beyond float64"
            raise ValueError(f"{name} must be finite, got {what} in row {start + row}")
        for out, column in zip(found, columns, strict=True):
            out[here] = block[column]
        if progress is not None:
            progress(here.stop - start, size, "rows")
    return found


def _logarithms(rows: NDArray[Any], start: int, single: bool) -> NDArray[Any]:
    """Return probabilities as float64 logarithms; one column, of class 1, becomes two."""
    if rows.dtype.kind not in "fiu":
        raise TypeError(f"probabilities must hold numbers, got dtype {rows.dtype}")
    wide = np.asarray(rows, np.float64)
    if single:
        wide = two_probabilities("probabilities", wide, start)
    wrong = np.flatnonzero((wide < 0).any(axis=1) | (wide > 1 + 1e-3).any(axis=1))
    if wrong.size:
        bad = wide[wrong[0]]
        got = bad[(bad < 0) | (bad > 1 + 1e-3)][0]
        raise ValueError(f"probabilities must be in [0, 1], got {got} in row {start + wrong[0]}")
    return np.log(np.maximum(wide, 1e-300))
