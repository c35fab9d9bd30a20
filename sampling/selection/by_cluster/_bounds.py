"""Upper bounds of cosines from a few dimensions, which save most products of a large cluster.

The rows are rotated to their principal axes. With a the first h coordinates of a row and r the norm
of the others, <x, y> <= <a, a'> + r r' by the Cauchy-Schwarz inequality: a product of h + 1 numbers
instead of D. Only pairs whose bound reaches the highest cosine found so far need the product
itself. How many these are depends on the data: few for embeddings of text or images, nearly all for
random rows, and it is measured on a sample first.
"""

from __future__ import annotations

import numpy as np

from ...types import Indices, Scores

__all__ = ["PAIR", "sketched"]

_LEAST = 5_000  # rows; with fewer, choosing the axes costs as much as the products saved
_WIDTHS = (32, 64, 96, 128)  # columns of a sketch: h axes, the rest, the slack
_WIDEST = 0.4  # of D
_FITTED, _PROBED, _AGAINST, _COUNTED = 4096, 64, 2**14, 8  # rows sampled; every 8th column counted
PAIR = 9.0  # one product of two rows in the kernel, in products of a matrix product of all
_SCAN = 20.0  # dimensions that are multiplied in the time of scanning a bound
_WORTH = 0.8  # estimated cost of a sketch, of that of all products, from which it is not used
_UNIT = 2.0**-24  # of float32


def sketched(rows: Scores, floor: float | None) -> Scores | None:
    """Return a sketch of rows whose products are upper bounds of the cosines; None if none pays.

    (n, D), of length 1 or 0 -> (n, h + 2). A product of two rows of the sketch, in float32, is at
    least that of the rows themselves, in float32 and in any order of summation.

    rows  : in the order of their ranks
    floor : all cosines above it are needed too, not only the highest of each row
    """
    size, dimensions = rows.shape
    widths = [each for each in _WIDTHS if each <= _WIDEST * dimensions]
    if size < _LEAST or not widths:
        return None
    fitted = rows[_spaced(0, size, _FITTED)]
    moments = fitted.T @ fitted
    probed = _spaced(size // 4, size, _PROBED)
    against = _spaced(0, size, _AGAINST)
    cosines = rows[probed] @ rows[against].T
    # An average pair is compared with the highest cosine to half of the rows, the later ones.
    half = (against >= probed[:, None] / 2) & (against < probed[:, None])
    levels = np.where(half, cosines, -1.0).max(axis=1)
    if floor is not None:
        levels = np.minimum(levels, np.float32(floor))
    # The first h eigenvalues sum to at most sqrt(h tr(C^2)), so that this much remains in the rest.
    energy = max(float(np.trace(moments)), 1e-30)
    captured = np.sqrt((widths[-1] - 2) * float(np.square(moments).sum())) / energy
    if 1.0 - captured > float(np.median(levels)):
        return None
    axes = _axes(fitted, moments, widths[-1] - 2)
    counted = against[::_COUNTED]
    before = counted < probed[:, None]
    best, cost = 0, _WORTH
    for width in widths:
        bounds = (
            sketch(rows[probed], axes[:, : width - 2])
            @ sketch(rows[counted], axes[:, : width - 2]).T
        )
        share = float(((bounds >= levels[:, None]) & before).sum() / max(1, before.sum()))
        needed = (width + _SCAN) / dimensions + PAIR * share
        if needed < cost:
            best, cost = width, needed
    return sketch(rows, axes[:, : best - 2]) if best else None


def sketch(rows: Scores, axes: Scores) -> Scores:
    """Return (n, h + 2): coordinates along the axes, norm of the rest, root of the slack.

    The slack makes the bound hold for float32 numbers. Let u = 2^-24, g(k) = k u / (1 - k u) the
    error of a sum of k products relative to that of their absolute values, A the axes as stored,
    d = ||A^T A - I||, and a the coordinates as computed, so that |a - A^T x| <= s = sqrt(h) g(D).
    With x = A a + e, whatever A and a are,

        <x, y> = <A a, A a'> + <A a, e'> + <e, A a'> + <e, e'>
              <= <a, a'> + d + 2 (s + d) + r r',          r^2 = |x|^2 - |a|^2 + 2 s + d >= |e|^2,

    since A^T e = (A^T x - a) - (A^T A - I) a. The cosine that is compared is rounded too, by g(D),
    and the product of the sketches by g(h + 2).
    """
    dimensions, count = axes.shape
    wide = axes.astype(np.float64)
    drift = float(np.linalg.norm(wide.T @ wide - np.eye(count)))
    own, exact = _error(count + 8), _error(dimensions + 8)
    strayed = np.sqrt(count) * exact
    grown = (1.0 + drift + strayed) ** 2  # of all norms, which are near 1
    lost = (2.0 * strayed + drift + 2.0 * exact) * grown
    slack = (3.0 * drift + 2.0 * strayed + exact + 2.0 * own) * grown
    found = np.empty((len(rows), count + 2), np.float32)
    np.matmul(rows, axes, out=found[:, :count])
    inside = np.einsum("nd,nd->n", found[:, :count], found[:, :count])
    whole = np.einsum("nd,nd->n", rows, rows)
    found[:, count] = np.sqrt(np.maximum(whole - inside, 0.0) + np.float32(lost))
    found[:, count + 1] = np.sqrt(slack)
    return found


def _error(count: int) -> float:
    """Return the relative error of a float32 sum of `count` products, in any order."""
    return count * _UNIT / (1.0 - count * _UNIT)


def _spaced(start: int, stop: int, count: int) -> Indices:
    """Return at most `count` positions, evenly spaced in [start, stop)."""
    return np.linspace(start, stop - 1, min(count, stop - start)).astype(np.int64)


def _axes(fitted: Scores, moments: Scores, count: int) -> Scores:
    """Return about the first principal axes as columns, by descending variance: (D, count).

    Two steps of subspace iteration from rows of the sample: a third of the time of all
    eigenvectors, and 99 % of the variance.
    """
    axes = fitted[_spaced(0, len(fitted), count)].T
    for _ in range(2):
        axes = np.linalg.qr(moments @ axes)[0]
    along = axes.T @ moments @ axes
    return np.ascontiguousarray(axes @ np.linalg.eigh(along)[1][:, ::-1])
