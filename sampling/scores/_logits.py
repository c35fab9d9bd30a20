"""Scores of one set of logits, as functions: for a checkpoint, where nothing was recorded.

Logits (N, 1) are those of a model of one output z, read as the two outputs 0 and z; so are (N,)
where labels come with them. Labels then are 0 or 1 of any type, (N,) or (N, 1).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._keywords import told
from ..kernels._dynamics import EL2N, ENTROPY, MARGIN, PROBABILITY, PROBABILITY_MARGIN
from ..types import Direction, Floats, Progress, Score
from ._dynamics_tables import look
from ._dynamics_travel import check_shapes, host_logits, read_host
from ._heads import is_one_output, two_columns, two_probabilities

_STORED: dict[str, tuple[int, Direction]] = {  # kind -> what of a look it is, and its direction
    "el2n": (EL2N, "harder"),
    "entropy": (ENTROPY, "harder"),
    "margin": (PROBABILITY_MARGIN, "easier"),
    "confidence": (PROBABILITY, "easier"),
}
_BLOCK = 2**16  # rows looked at in one go: 16 C + 48 bytes each


@told
def el2n(logits: ArrayLike, labels: ArrayLike) -> Score:
    """Return the length of the error of each sample, |softmax - onehot|: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
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


@told
def entropy(logits: ArrayLike) -> Score:
    """Return the entropy of the softmax of each sample, in nats: "harder".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)

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


@told
def margin(
    logits: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    of: Literal["probabilities", "logits"] = "probabilities",
) -> Score:
    """Return by how much the label leads the best other class: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
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
    of = _check.choice("of", of, ("probabilities", "logits"))
    column = MARGIN if of == "logits" else PROBABILITY_MARGIN
    return Score(_observed(logits, labels, column), "easier", f"margin of {of}")


@told
def confidence(logits: ArrayLike, labels: ArrayLike | None = None) -> Score:
    """Return the probability of the label: "easier".

    Parameters
    ----------
    logits : float array or tensor of shape (N, C) or (N, 1)
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


@told
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


@told
def score_stored(
    kinds: str | Sequence[str],
    values: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    of: Literal["logits", "probabilities"] = "logits",
    progress: Progress | None = None,
) -> dict[str, Score]:
    """Return several scores of stored logits or probabilities, from one look at each row.

    Parameters
    ----------
    kinds : str or sequence of {"el2n", "entropy", "margin", "confidence"}
        The functions of these names.
    values : float array or tensor of shape (N, C) or (N, 1)
        Rows are read in blocks: a memory map is never in memory as a whole.
    labels : int array or tensor of shape (N,), optional
        "el2n" cannot do without; "entropy" alone has no use for them, and refuses them.
    of : {"logits", "probabilities"}, default "logits"
        What the values are. Rows of probabilities need not sum to 1: they are taken in proportion.
        A 0 counts as 1e-300. Of one column they are those of class 1.
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
    Cost        O(N C), and 8 bytes a sample and kind.

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
    """Refuse, before the rows are read, what `score_stored` would refuse of their shape.

    Parameters
    ----------
    kinds : {"el2n", "entropy", "margin", "confidence"}, or sequence of them
    shape : sequence of int
        (N, C), (N, 1) or (N,): that of the values of `score_stored`.
    labels : int array or tensor of shape (N,), optional
    of : {"logits", "probabilities"}, default "logits"

    Raises
    ------
    ValueError, TypeError
        If a kind is unknown, labels are missing or of no use, or do not fit the shape.

    Examples
    --------
    >>> check_stored(["el2n"], (3, 2), [0, 1, 1])
    """
    of = _check.choice("of", of, ("logits", "probabilities"))
    _checked_kinds(kinds, labels is not None)
    _known_labels(tuple(_check.listed("shape", shape)), labels, of)


def _checked_kinds(kinds: str | Sequence[str], labelled: bool) -> list[str]:
    """Return the kinds, or refuse one that is none, or labels that do not go with them."""
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
        raise ValueError("labels must be left out for 'entropy' alone, which has no use for them")
    return kinds


def _known_labels(
    shape: tuple[int, ...], labels: ArrayLike | None, name: str
) -> tuple[bool, NDArray[Any] | None]:
    """Return whether values of a shape are of one output, and their labels int64 (N,), if any."""
    like = np.broadcast_to(np.float32(0), shape)  # the rows themselves are read in blocks
    single = len(shape) > 0 and shape[0] > 0 and is_one_output(like, shape[0])
    if single and len(shape) == 1 and labels is None:
        raise ValueError(
            f"{name} must have shape (N, C), got {shape}: give {name}[:, None] if they are "
            f"of a model of one output, {name}[None] if they are one sample"
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
    """Return one column of what `look` says of each row: float64 (N,)."""
    return _look_at_all(logits, labels, [column], False, None)[0]


def _look_at_all(
    values: ArrayLike,
    labels: ArrayLike | None,
    columns: Sequence[int],
    probabilities: bool,
    progress: Progress | None,
) -> list[Floats]:
    """Return columns of what `look` says of each row: float64 (N,) for each."""
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
    """Return probabilities as logits: their logarithms, float64; of class 1 alone, of both."""
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
