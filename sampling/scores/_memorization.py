"""How much the prediction of a sample depends on its presence in training, from bagged models.

EL2N and AUM need one run, but see only samples that are trained on; this needs many models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check
from .._check._keywords import told
from ..record import Score
from ..types import Indices


class InBag(Protocol):
    """What a model was trained on, as the `Bag` of `sampling.selection.bags` states it."""

    @property
    def counts(self) -> Indices: ...


@told
def memorization(
    correct: ArrayLike, bags: Sequence[InBag] | ArrayLike, *, min_models: int = 1
) -> Score:
    """Return how much more often a sample is predicted correctly by models trained on it: "harder".

    The score is the accuracy on the sample of the models whose bag has it, minus that of the models
    whose bag has not. It is near 1 for samples that can only be learned by heart, such as wrong
    labels and rare cases, and near 0 for samples that the others teach.

    Parameters
    ----------
    correct : bool or float array of shape (R, N)
        Whether model r predicts the label of sample i; or numbers in [0, 1], such as its
        probability of the label.
    bags : Bags, sequence of Bag, or bool or int array of shape (R, N)
        The samples that each model was trained on, as from `selection.bags(data, R, draws=0.7,
        replacement=False)`, in the order of the rows of `correct`.
    min_models : int >= 1, default 1
        The score of a sample is NaN if fewer models were trained on it, or without it.

    Returns
    -------
    Score
        In [-1, 1], or NaN. Selectors refuse NaN, or drop it with `on_bad="drop"`.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, or a number is outside [0, 1] (the message names the model and the
        sample); if no sample has enough models.

    Notes
    -----
    Cost
        O(R N) time; 60 N bytes. 0.4 s for 100 models of 10^5 samples, most of it for drawing the
        bags again; the training of the models is the real cost.
    Source
        Feldman, Zhang, "What Neural Networks Memorize and Why: Discovering the Long Tail via
        Influence Estimation", NeurIPS 2020, arXiv:2008.03703. With p and n the accuracy and number
        of models with the sample, q and m of those without, the standard error is
        sqrt(p (1 - p) / n + q (1 - q) / m).

    Examples
    --------
    >>> inside = [[True, False], [True, True], [False, True], [False, False]]
    >>> correct = [[1, 1], [1, 1], [0, 1], [0, 1]]  # sample 0 only by models that saw it
    >>> memorization(correct, inside).values
    array([1., 0.])
    """
    least = _check.integer("min_models", min_models, 1)
    right = _fractions(correct)
    hits, counts = np.zeros((2, right.shape[1])), np.zeros((2, right.shape[1]))  # without, with
    for own, inside in zip(right, _inside(bags, right.shape), strict=True):
        for side, chosen in enumerate((~inside, inside)):
            hits[side] += np.where(chosen, own, 0.0)
            counts[side] += chosen
    enough = counts.min(axis=0) >= least
    if not enough.any():
        raise ValueError(
            f"bags must have at least {least} with a sample and {least} without it, got no such "
            "sample: train more models, or draw fewer rows for each"
        )
    means = hits / np.maximum(counts, 1.0)
    return Score(np.where(enough, means[1] - means[0], np.nan), "harder", "memorization")


def _fractions(correct: ArrayLike) -> NDArray[Any]:
    """Return what each model predicts correctly, in its own precision: (R, N), in [0, 1]."""
    found = _check.host(correct, "correct")
    if found.ndim != 2 or not found.size:  # noqa: PLR2004
        raise ValueError(f"correct must have shape (R, N), R and N >= 1, got {found.shape}")
    if found.dtype.kind not in "biuf":
        raise TypeError(f"correct must hold bools or numbers, got dtype {found.dtype}")
    for model, own in enumerate(found):
        bad = np.flatnonzero(~((own >= 0) & (own <= 1)))
        if bad.size:
            raise ValueError(
                f"correct must be in [0, 1], got {own[bad[0]]:g} for sample {bad[0]} of model "
                f"{model}"
            )
    return found


def _inside(bags: Any, shape: tuple[int, ...]) -> Iterator[NDArray[np.bool_]]:
    """Yield which samples each model was trained on: bool (N,)."""
    own = isinstance(bags, Sequence) and len(bags) > 0 and hasattr(bags[0], "counts")
    if not own and isinstance(bags, list | tuple) and len({*map(np.size, bags)}) > 1:
        raise TypeError(
            "bags must be those of selection.bags, or bools or counts of shape (R, N), got lists "
            "of different lengths: of indices i, give np.bincount(i, minlength=N)"
        )
    given: Any = bags if own else _check.host(bags, "bags")
    found = (len(given), np.size(given[0].counts)) if own else given.shape
    if found != shape:
        raise ValueError(f"bags must be of the models and samples of correct, {shape}, got {found}")
    if not own and given.dtype.kind not in "biu":
        raise TypeError(f"bags must be those of selection.bags, or bools, got dtype {given.dtype}")
    for each in given:
        counts = np.asarray(each.counts if own else each)
        _check.same_length("each of bags", counts, "the samples of correct", shape[1])
        yield counts > 0
