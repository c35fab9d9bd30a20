"""DRoP: how many samples to keep of each class, by how badly a model recognises it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...types import Floats
from ._budget import count_of, share_out
from ._quotas import apportion

__all__ = ["quotas_from_recall"]


@told
def quotas_from_recall(
    labels: ArrayLike,
    recall: Mapping[Any, float] | ArrayLike,
    budget: float,
    *,
    floor: int = 1,
    unlabeled: Literal["drop", "group", "raise"] = "drop",
) -> dict[Any, int]:
    """Return how many samples to keep of each class: more of classes that are recognised badly.

    A class has a quota in proportion to its size times 1 - recall, and at most its size. Pass the
    result as `group_budgets=`, with `groups=labels`, to any selector; as `quotas=` to
    `RepeatedSubsetSampler`, with `labels=`; or as `target=` to `ClassBalancedSampler`.

    Parameters
    ----------
    labels : array-like of shape (N,)
        Class of each sample: ints, strings, or a sequence of them.
    recall : mapping from class to float, or float array of shape (C,)
        Recall of each class in [0, 1], of a model trained on all data or on a random subset,
        measured on validation data: `sklearn.metrics.recall_score(y, predictions, average=None)`.
        An array has the order of the classes. On the training data it is near 1 for every class,
        and says little.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of the labelled samples.
    floor : int, default 1
        Least quota of a class, or its size if that is less. 0 as in the paper, where a class of
        recall 1 loses all of its samples.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose label is missing are ignored ("drop"), form one more class, named -1
        ("group"), or are refused ("raise").

    Returns
    -------
    dict from class to int
        Quotas, in the order of the classes, which add up to M.

    Raises
    ------
    ValueError
        If a recall is not in [0, 1], a class has none, or the floors add up to more than the
        budget.

    Notes
    -----
    Order
        Deterministic; largest remainders are rounded up, ties go to the earlier class.
    Cost
        O(N log N + C^2).
    Source
        DRoP: Vysogorets, Ahuja, Kempe, ICLR 2025, arXiv:2404.05579, algorithm 1, with whole
        numbers and a floor. If the classes of recall below 1 have fewer than M samples, what is
        left goes to the others in proportion to their sizes: the paper's rule divides by 0 there.
        It keeps a random subset of each class, which is the quotas with any scores drawn at
        random.

    Examples
    --------
    >>> labels = ["cat"] * 6 + ["dog"] * 6
    >>> quotas_from_recall(labels, {"cat": 0.9, "dog": 0.6}, 5)
    {'cat': 1, 'dog': 4}
    >>> quotas_from_recall(labels, {"cat": 1.0, "dog": 1.0}, 0.5)
    {'cat': 3, 'dog': 3}
    """
    _check.choice("unlabeled", unlabeled, ("drop", "group", "raise"))
    names, codes = _labels.grouped("labels", labels, unlabeled)
    if names.size == 0:
        raise ValueError(f"labels must name a class, got none in all {len(codes)}")
    sizes = np.bincount(codes[codes >= 0], minlength=names.size)
    known = _check.by_name("recall", recall, names, "classes", interval="[0, 1]")
    total = count_of(budget, int(sizes.sum()))
    low = np.minimum(_check.integer("floor", floor, 0), sizes)
    wanted: Floats = sizes * (1.0 - known)
    weights = wanted if wanted.any() else sizes.astype(np.float64)
    given = apportion(weights, total, low, sizes)
    left = total - int(given.sum())
    if left:
        given = given + share_out(sizes.astype(np.float64), left, sizes - given)
    items = [_labels.item(name) for name in names]
    return dict(zip(items, given.tolist(), strict=True))
