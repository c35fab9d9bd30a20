"""Detection of mislabelled samples by the area under the margin and threshold samples.

`TrainingDynamics.aum` computes the area under the margin; the threshold samples in this file, which
are mislabelled on purpose, determine how low it has to be for a label to be considered wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check import _labels
from .._check._keywords import told
from ..kernels import _dynamics
from ..record import Score
from ..types import Indices
from ._heads import column, refuse_one_class


@told
def threshold_samples(
    labels: ArrayLike, num_classes: int, *, seed: int = 0, run: int = 0
) -> Indices:
    """Draw the threshold samples of one run, to be trained as an extra class.

    Assign the label C to these rows, train a model of C + 1 classes at its high learning rate only,
    and record `TrainingDynamics(..., num_classes + 1)`: the margins of these rows are those of
    mislabelled samples. With two runs whose rows are disjoint, every sample is judged in a run in
    which it kept its label.

    Parameters
    ----------
    labels : int array-like of shape (N,)
        In [0, C); shape (N, 1) and integral floats are accepted. A model of one output
        distinguishes 2 classes, and needs 3 outputs here.
    num_classes : int
        C, at least 2.
    seed : int in [0, 2**64), default 0
        The same for both runs.
    run : int in [0, 2), default 0
        Which of the two disjoint sets of rows to return.

    Returns
    -------
    int64 array of shape (floor(N / (C + 1)),)
        Rows, ascending.

    Raises
    ------
    ValueError
        If N is too small for one row: N >= C + 1 is needed.

    Notes
    -----
    Cost
        O(N log N) and 24 bytes per sample.
    Source
        Pleiss, Zhang, Elenberg, Weinberger, arXiv:2001.10528, 2020. Their released code
        takes N / C rows.

    Examples
    --------
    >>> labels = np.array([0, 1] * 6)
    >>> rows = [threshold_samples(labels, 2, run=run) for run in (0, 1)]
    >>> [each.size for each in rows], np.intersect1d(*rows).size
    ([4, 4], 0)
    >>> relabelled = labels.copy()
    >>> relabelled[rows[0]] = 2
    """
    refuse_one_class("num_classes", num_classes)
    classes = _check.integer("num_classes", num_classes, 2)
    known = _labels.ids("labels", column(labels))
    _check.codes("labels", known, classes)
    key = _rng.key(_check.seed(seed), 0, "aum threshold samples")
    run = _check.integer("run", run, 0, 2)
    count = known.size // (classes + 1)
    if count == 0:
        raise ValueError(f"labels must be at least {classes + 1}, one more than classes, "
                         f"got {known.size}")  # fmt: skip
    hashes = np.empty(known.size, np.uint64)
    _dynamics.hash_rows(key, hashes)
    order = np.argsort(hashes, kind="stable")
    return np.sort(order[run * count : (run + 1) * count]).astype(np.int64)


@told
def aum_flagged(
    aum: Score | ArrayLike, threshold_rows: ArrayLike, percentile: float = 99.0
) -> NDArray[np.bool_]:
    """Return which samples have an area under the margin as low as that of mislabelled samples.

    A sample is flagged if more than 100 - `percentile` per cent of the threshold samples have a
    larger one. Threshold samples are never flagged, since they were trained with the extra label.
    Drop the samples flagged by either of two runs with disjoint threshold samples:
    `first | second`.

    Parameters
    ----------
    aum : Score or float array of shape (N,)
        From one run; an array is read as higher = easier.
    threshold_rows : int array of shape (T,)
        The result of `threshold_samples` for that run.
    percentile : float in [0, 100], default 99
        Percentile of the threshold samples' areas below which a sample is flagged.

    Returns
    -------
    bool array of shape (N,)

    Notes
    -----
    Cost
        O(N log T).
    Source
        Pleiss, Zhang, Elenberg, Weinberger, arXiv:2001.10528, 2020.

    Examples
    --------
    >>> aum_flagged([5.0, -2.0, 3.0, 1.0, -1.0], threshold_rows=[3, 4], percentile=50)
    array([False,  True, False, False, False])
    """
    values = _check.floats("aum", aum.as_higher("easier") if isinstance(aum, Score) else aum)
    rows = _check.unique_rows("threshold_rows", threshold_rows, values.size)
    percentile = _check.number("percentile", percentile, "[0, 100]")
    larger = rows.size - np.searchsorted(np.sort(values[rows]), values, side="right")
    flagged: NDArray[np.bool_] = larger * 100.0 > (100.0 - percentile) * rows.size
    flagged[rows] = False
    return flagged
