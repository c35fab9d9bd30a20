"""The whitening transform, after which the squared length of a row is its leverage, in blocks.

With T from `whitening`, (D, k), the rows x_i = a_i T satisfy sum x_i x_i^T = identity, and the
leverage of row i is |x_i|^2. The Gram matrix needs one pass and loses half of the digits; `qr`
keeps them at about three times the cost; `sketch` uses hashed sums of the rows instead of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...engine import over
from ...kernels._keys import keys_of_ids
from ...types import Floats, Indices

BLOCK = 2**19  # numbers in a block: 4 MiB of float64, which fit into the cache
WELL = 1e9  # condition number of the Gram matrix up to which leverages are accurate to 1e-6
SKETCH_LEAST, SKETCH_TIMES, PROJECTED = 1024, 16, 64
Rows = NDArray[Any]
Bad = NDArray[np.bool_] | None


def blocks(rows: Rows, bad: Bad = None, least: int = 1) -> Iterator[tuple[slice, Floats]]:
    """Yield the slices and float64 rows (n, D) of successive blocks; bad rows as zeros.

    least : minimum number of rows in a block
    """
    step = max(least, BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        at = slice(start, min(start + step, len(rows)))
        block = np.asarray(rows[at], np.float64)
        if bad is not None and bad[at].any():
            block = np.where(bad[at, None], 0.0, block)
        yield at, block


def worked(
    function: Callable[..., Floats],
    rows: Rows,
    bad: Bad,
    *columns: NDArray[Any],
    least: int = 1,
) -> Iterator[tuple[slice, Floats]]:
    """Call a function with each block of `blocks`, and the same part of each column.

    Overflow is not checked here, but by the caller.
    """
    step = max(least, BLOCK // rows.shape[1])
    parts = [slice(at, min(at + step, len(rows))) for at in range(0, len(rows), step)]
    gone = np.zeros(len(rows), np.bool_) if bad is None else bad

    def work(part: NDArray[Any], dropped: NDArray[np.bool_], *own: NDArray[Any]) -> Floats:
        block = np.asarray(part, np.float64)
        if dropped.any():
            block = np.where(dropped[:, None], 0.0, block)
        with np.errstate(invalid="ignore", over="ignore"):
            return function(block, *own)

    return over(work, rows, gone, *columns, parts=parts)


def gram(rows: Rows, bad: Bad = None) -> Floats:
    """Return the sum of a_i a_i^T: (N, D) -> (D, D)."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    with np.errstate(invalid="ignore", over="ignore"):
        for _, part in worked(lambda block: block.T @ block, rows, bad):
            total += part
    return total


def weighted_gram(rows: Rows, transform: Floats, weights: Floats, bad: Bad = None) -> Floats:
    """Return the sum of u_i x_i x_i^T with x_i = a_i T: (N, D), (D, k), (N,) -> (k, k)."""

    def work(block: Floats, own: Floats) -> Floats:
        moved = (block @ transform) * np.sqrt(own[:, None])
        product: Floats = moved.T @ moved
        return product

    total = np.zeros((transform.shape[1], transform.shape[1]))
    for _, part in worked(work, rows, bad, weights):
        total += part
    return total


def squared_lengths(rows: Rows, transform: Floats, bad: Bad = None) -> Floats:
    """Return |a_i T|^2: (N, D), (D, k) -> (N,)."""

    def work(block: Floats) -> Floats:
        moved = block @ transform
        lengths: Floats = np.einsum("nk,nk->n", moved, moved)
        return lengths

    out = np.empty(len(rows))
    for at, part in worked(work, rows, bad):
        out[at] = part
    return out


def whitening(
    name: str, rows: Rows, bad: Bad, ridge: float, method: str, key: np.uint64 = _rng.GOLDEN
) -> tuple[Floats, float | None, str]:
    """Return T (D, k), the sum of the leverages if T is an estimate, and the method used.

    Rows of zeros, and therefore bad rows, contribute nothing and have leverage 0.
    """
    if method == "sketch":
        return *_sketched(name, rows, bad, ridge, key), "sketch"
    if method == "qr":
        return _by_qr(name, rows, bad, ridge), None, "qr"
    squares = gram(rows, bad)
    _finite(name, rows, np.isfinite(squares).all())
    factor = by_cholesky(squares, ridge)
    if factor is not None:
        return factor, None, "gram"
    if method == "auto":
        return _by_qr(name, rows, bad, ridge), None, "qr"
    return by_eigh(squares, ridge, len(rows)), None, "gram, by eigenvalues"


def _finite(name: str, rows: Rows, good: bool | np.bool_) -> None:
    """Refuse rows whose sum of squares is not finite; the message names the first such row."""
    if good:
        return
    for at, block in blocks(rows):
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = ~np.isfinite(np.einsum("nd,nd->n", block, block))
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            odd = block[row][~np.isfinite(block[row])]
            rule, got = ("finite", odd[0]) if odd.size else ("of finite length", "more")
            raise ValueError(f"{name} must be {rule}, got {got} in row {at.start + row}")
    raise ValueError(f"{name} must have a finite sum of squares")


def _scales(squares: Floats, ridge: float) -> tuple[Indices, Floats]:
    """Return the non-zero columns, and 1 / their length: leverage does not depend on units."""
    diagonal = np.diag(squares) + ridge
    columns = np.flatnonzero(diagonal > 0)
    return columns, 1.0 / np.sqrt(diagonal[columns])


def _scaled(squares: Floats, ridge: float) -> tuple[Floats, Indices, Floats]:
    """Return the Gram matrix of columns of length 1, those columns, and their scales."""
    columns, scales = _scales(squares, ridge)
    inner = squares[np.ix_(columns, columns)] * scales[:, None] * scales
    inner[np.diag_indices_from(inner)] = 1.0
    return inner, columns, scales


def _placed(inner: Floats, columns: Indices, scales: Floats, dimensions: int) -> Floats:
    out = np.zeros((dimensions, inner.shape[1]))
    out[columns] = scales[:, None] * inner
    return out


def by_cholesky(squares: Floats, ridge: float) -> Floats | None:
    """Return T from a Gram matrix, or None if it is too ill-conditioned."""
    inner, columns, scales = _scaled(squares, ridge)
    try:
        lower = np.linalg.cholesky(inner)
    except np.linalg.LinAlgError:
        return None
    inverse = np.linalg.solve(lower, np.eye(columns.size)).T
    condition = np.abs(inner).sum(axis=1).max(initial=0.0) * _norm(inverse @ inverse.T)
    if not condition < WELL:
        return None
    return _placed(np.triu(inverse), columns, scales, len(squares))


def _norm(matrix: Floats) -> float:
    return float(np.abs(matrix).sum(axis=1).max(initial=0.0))


def by_eigh(squares: Floats, ridge: float, size: int) -> Floats:
    """Return T from the eigenvectors of a Gram matrix whose eigenvalues exceed rounding."""
    inner, columns, scales = _scaled(squares, ridge)
    values, vectors = np.linalg.eigh(inner)
    cutoff = np.finfo(np.float64).eps * max(size, len(inner)) * values.max(initial=0.0)
    kept = values > cutoff
    return _placed(vectors[:, kept] / np.sqrt(values[kept]), columns, scales, len(squares))


def _by_qr(name: str, rows: Rows, bad: Bad, ridge: float) -> Floats:
    """Return T from a QR decomposition updated block by block, whose R has all digits."""
    dimensions = rows.shape[1]
    lengths = np.zeros(dimensions)
    with np.errstate(invalid="ignore", over="ignore"):
        for _, block in blocks(rows, bad):
            lengths += np.einsum("nd,nd->d", block, block)
    _finite(name, rows, np.isfinite(lengths).all())
    columns, scales = _scales(np.diag(lengths), ridge)
    upper = np.diag(np.full(dimensions, np.sqrt(ridge)))[:, columns] * scales
    for _, block in blocks(rows, bad, least=4 * dimensions):
        upper = _upper(np.vstack([upper, block[:, columns] * scales]))
    inner, _ = _from_factor(upper, max(rows.shape))
    return _placed(inner, columns, scales, dimensions)


def _upper(matrix: Floats) -> Floats:
    found: Any = np.linalg.qr(matrix, mode="r")
    return np.asarray(found, np.float64)


def _from_factor(upper: Floats, size: int) -> tuple[Floats, Floats]:
    """Return T of rows with this R, and the singular values of R that exceed rounding."""
    _, values, turned = np.linalg.svd(upper)
    cutoff = np.finfo(np.float64).eps * size * values.max(initial=0.0)
    values = values[values > cutoff]
    return turned[: values.size].T / values, values


def _sketched(
    name: str, rows: Rows, bad: Bad, ridge: float, key: np.uint64
) -> tuple[Floats, float]:
    """Return T (D, k) with k <= 64 from a sketch, and the sum of the leverages by the sketch."""
    dimensions = rows.shape[1]
    small = _count_sketch(rows, bad, max(SKETCH_TIMES * dimensions, SKETCH_LEAST), key)
    _finite(name, rows, np.isfinite(small).all())
    with np.errstate(over="ignore"):
        squares = small.T @ small
    _finite(name, rows, np.isfinite(squares).all())
    full = by_cholesky(squares, ridge)
    if full is None:
        columns, scales = _scales(squares, ridge)
        upper = np.diag(np.full(dimensions, np.sqrt(ridge)))[:, columns] * scales
        stacked = np.vstack([small[:, columns] * scales, upper])
        inner, _ = _from_factor(_upper(stacked), max(small.shape))
        full = _placed(inner, columns, scales, dimensions)
    total = float(np.sum((small @ full) ** 2))  # the rank, or with a ridge, the effective dimension
    if full.shape[1] <= PROJECTED:
        return full, total
    width = full.shape[1]
    normals = _normals(width * PROJECTED, _rng.subkey(key, 1)).reshape(width, PROJECTED)
    return full @ (normals / np.sqrt(PROJECTED)), total


def _count_sketch(rows: Rows, bad: Bad, size: int, key: np.uint64) -> Floats:
    """Return the count sketch, rows added with random signs in buckets: (N, D) -> (size, D)."""
    from scipy.sparse import csr_matrix

    total = np.zeros((size, rows.shape[1]))
    hashes = hashed(len(rows), key)
    buckets = ((hashes >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)
    signs = np.where(hashes & np.uint64(1), 1.0, -1.0)

    def work(block: Floats, sign: Floats, bucket: NDArray[np.uint64]) -> Floats:
        where = (sign, (bucket.astype(np.int64), np.arange(len(block))))
        return np.asarray(csr_matrix(where, shape=(size, len(block))) @ block)

    with np.errstate(invalid="ignore", over="ignore"):
        for _, part in worked(work, rows, bad, signs, buckets, least=size):
            total += part
    return total


def hashed(count: int, key: np.uint64) -> NDArray[np.uint64]:
    """Return the values 0 to count - 1 of a key."""
    out = np.empty(count, np.uint64)
    keys_of_ids(np.arange(count), key, out)
    return out


def _normals(count: int, key: np.uint64) -> Floats:
    """Return standard normal numbers, by the inverse of their distribution function."""
    from scipy.special import ndtri

    points = (hashed(count, key) >> np.uint64(11)) + 0.5
    return np.asarray(ndtri(points * 2.0**-53), np.float64)
