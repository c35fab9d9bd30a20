"""Holm's method (1979): decisions about many rows with one familywise error."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ._distributions import Floats


def holm(p: ArrayLike, level: ArrayLike, decided: ArrayLike | None = None) -> np.ndarray:
    """Return which hypotheses are rejected, bool (..., R).

    The smallest p-value is compared with level / R, the next with level / (R - 1), and so on until
    one is larger.

    Parameters
    ----------
    p : array of shape (..., R)
        p-values. NaN, a row that cannot be tested, is a member of the family and never rejected.
    level : array of shape (...)
        Familywise level; nothing is rejected at 0.
    decided : bool array of shape (..., R), optional
        Hypotheses that were rejected at an earlier evaluation. They stay rejected and leave the
        family. Valid with a level that is spent over evaluations: at the first false rejection all
        earlier ones were true, so all true hypotheses were still in the family, and the probability
        of it at evaluation k is at most the level of k.

    Returns
    -------
    bool array of shape (..., R)
        Includes `decided`.
    """
    values = np.asarray(p, float)
    values = np.where(np.isnan(values), 2.0, values)
    done = np.zeros(values.shape, bool) if decided is None else np.asarray(decided, bool)
    values = np.where(done, -1.0, values)  # in front, where they pass
    order = np.argsort(values, axis=-1, kind="stable")
    ascending = np.take_along_axis(values, order, -1)
    members = values.shape[-1] - np.arange(values.shape[-1])
    limit = np.asarray(level, float)[..., None] / members
    passed = (ascending <= limit) & (limit > 0)
    passed |= ascending < 0
    passed = np.logical_and.accumulate(passed, axis=-1)
    found = np.zeros(values.shape, bool)
    np.put_along_axis(found, order, passed, -1)
    return found


def adjusted(p: ArrayLike) -> Floats:
    """Return Holm's adjusted p-values, (..., R): those up to a level are rejected at it."""
    values = np.asarray(p, float)
    known = np.where(np.isnan(values), 2.0, values)
    order = np.argsort(known, axis=-1, kind="stable")
    members = values.shape[-1] - np.arange(values.shape[-1])
    scaled = np.minimum(1.0, np.take_along_axis(known, order, -1) * members)
    found = np.empty(values.shape)
    np.put_along_axis(found, order, np.maximum.accumulate(scaled, axis=-1), -1)
    return np.where(np.isnan(values), np.nan, found)
