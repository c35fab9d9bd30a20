"""Which labels are wrong, by the area under the margin of samples whose labels are known to be.

`TrainingDynamics.aum` measures; here stand the threshold samples that say how low is too low.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _labels, _rng
from .._keywords import told
from ..kernels import _dynamics
from ..types import Indices, Score
from ._heads import column, refuse_one_class


@told
def threshold_samples(
    labels: ArrayLike, num_classes: int, *, seed: int = 0, run: int = 0
) -> Indices:
    """Draw the samples that one run trains under a class of their own, which none belongs to.

    Give these rows the label C, train a model of C + 1 classes at its high learning rate only, and
    record `TrainingDynamics(..., num_classes + 1)`: what the model makes of them is what it makes
    of a wrong label. Two runs with disjoint rows judge every sample in a run in which it kept its
    label.

    Parameters
    ----------
    labels : int array-like of shape (N,)
        In [0, C); (N, 1) and whole floats too. A model of one output tells 2 classes apart, and
        needs 3 outputs here.
    num_classes : int
        C, at least 2.
    seed : int in [0, 2**64), default 0
        The same for both runs.
    run : int in [0, 2), default 0

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
    Cost        O(N log N) and 24 bytes a sample.
    Source      Pleiss, Zhang, Elenberg, Weinberger, arXiv:2001.10528, 2020. Their released code
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
    """Return which samples have an area under the margin as low as that of wrong labels.

    A sample is flagged if more than 100 - `percentile` per cent of the threshold samples have a
    larger one. Threshold samples are not: their label was not theirs. Drop what either of two runs
    with disjoint threshold samples flags: `first | second`.

    Parameters
    ----------
    aum : Score or float array of shape (N,)
        Of one run; an array is taken as higher = easier.
    threshold_rows : int array of shape (T,)
        What `threshold_samples` gave for that run.
    percentile : float in [0, 100], default 99

    Returns
    -------
    bool array of shape (N,)

    Notes
    -----
    Cost        O(N log T).
    Source      Pleiss, Zhang, Elenberg, Weinberger, arXiv:2001.10528, 2020.

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
