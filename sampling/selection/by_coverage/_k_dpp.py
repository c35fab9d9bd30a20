"""k-DPP: an exact draw from a determinantal point process of M rows. The best set: `dpp`."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._progress import Steps
from ...record import Selection
from ...types import Floats, Indices, Scores
from ..core._cost import Cost, Sizes
from ..core._inputs import AnyScores, either, embeddings_of, scores_of
from ..core._method import method
from ..core._options import Options
from ..core._order import shuffled
from ..core._select import select
from ..core._task import Picks, Task
from ._dpp import refuse_quality
from ._geometry import by_key, kept_before, tiles, work_rows

__all__ = ["k_dpp"]

_RANK = 1e-12  # eigenvalues below this fraction of the largest are 0
_TINY = 1e-6  # of a row: less is what rounding leaves of a row that is explained


def _cost(sizes: Sizes) -> Cost:
    n, m, d = sizes.N, min(sizes.M, sizes.D), sizes.D
    return Cost(
        products=2 * n * d * d + n * d * m,
        steps=10 * n * m + 2 * d * d * m,
        memory=4 * n * d + 60 * n + 24 * d * d + 8 * d * m,
        reads=4 * n * d * m,
    )


@method(
    local_only=True,
    needs="embeddings",
    label="baseline",
    source="Kulesza 2012",
    ranked=False,
    minds={"quality": ("keep",)},
    cost=_cost,
)
def k_dpp(
    embeddings: ArrayLike,
    budget: float,
    *,
    quality: AnyScores | None = None,
    normalize: bool = True,
    **options: Unpack[Options],
) -> Selection:
    """Draw M rows with probability proportional to the determinant of their inner products.

    A random selection in which similar rows are rarely together: for batches of labels or
    annotators' tasks that should be diverse but not all outliers, and for a baseline with several
    seeds. For M above the rank of the rows, at most D, see the notes.

    Parameters
    ----------
    embeddings : array of shape (N, D)
        Converted to float32. Other kernels by features of them, such as random Fourier features.
    budget : int or float
        M as a count, or as a fraction in (0, 1] of N.
    quality : Score, or float array of shape (N,), optional
        q > 0: higher is better. Equal by default. The kernel is q_i q_j times the inner product.
    normalize : bool, default True
        Scale rows to length 1, so that the inner product is the cosine; otherwise longer rows are
        drawn more often.
    **options
        Keywords of every selector; see `Options`. The draw is conditional on the rows already
        selected (with groups, of the same group).

    Returns
    -------
    Selection
        Not ranked, without weights. `info["rank"]` is the rank of the rows given those already
        selected, `info["uniform"]` the number of rows beyond it.

    Raises
    ------
    ValueError
        If a row is not finite, or is a zero vector with `normalize`, or a quality is not finite,
        unless `on_bad="drop"`; the message names it. If a quality is not positive.

    Notes
    -----
    Order
        At random, keyed by (seed, id).
    Cost
        O(N D M + N D^2) time; 4 N D + 60 N + 24 D^2 + 8 D M bytes. M is here at most D: one pass
        over the rows for each row drawn, of up to D. 64 of 10^6 rows of 64 dimensions took 2 s of
        one core.
    Beyond the rank
        Sets of more rows than the rank r have determinant 0. The draw is then that of the kernel
        plus epsilon times the identity, in the limit of 0: r rows by the r-DPP, and the others
        uniformly from the rest. For more diverse rows use features of a higher rank, or `dpp`.
    Gradients
        No weights; the rows are a random, not a uniform, sample of the data.
    Source
        Kulesza, Taskar, "Determinantal Point Processes for Machine Learning", 2012, in the dual
        representation.

    Examples
    --------
    >>> rows = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> found = k_dpp(rows, 2, seed=1)  # never both of the equal rows
    >>> 2 in found.indices, found.info["rank"]
    (True, 2)
    """
    normalize = _check.flag("normalize", normalize)
    rows, bad = embeddings_of("embeddings", embeddings, options, cosine=normalize)
    values: Floats | None = None
    if quality is not None:
        values, worse = scores_of("quality", quality, options)
        _check.same_length("quality", values, "embeddings", len(rows))
        refuse_quality(values, worse)
        bad = either(bad, worse)

    def core(task: Task) -> Picks:
        order = by_key(task)
        before = kept_before(task, bad, own=True)
        nodes = np.concatenate([task.rows[order], before])
        own = np.ones(nodes.size)
        if values is not None:
            own = values[nodes] / values[nodes].max()
        if normalize:
            with work_rows(rows, nodes, cosine=True) as (work, _):
                scaled = np.asarray(work)
        else:
            scaled = np.asarray(rows[nodes], np.float32)
            high = float(np.abs(scaled).max())
            scaled = scaled / np.float32(high if high > 0.0 else 1.0)
        size = task.rows.size
        picks, rank = _drawn(scaled, own, size, task.budget, task.key)
        if picks.size < task.budget:
            rest = shuffled(task.keys[order], _rng.subkey(task.key, 2))
            rest = rest[~np.isin(rest, picks)]
            picks = np.concatenate([picks, rest[: task.budget - picks.size]])
        info: dict[str, Any] = {"rank": rank, "uniform": max(0, task.budget - rank)}
        merge: dict[str, Callable[..., Any]] = dict.fromkeys(info, operator.add)
        return Picks(order[picks], info=info, merge=merge)

    arguments = {"quality": quality, "normalize": normalize}
    return select("k_dpp", len(rows), budget, options, core, arguments=arguments, bad=bad)


def _drawn(
    work: Scores, quality: Floats, size: int, budget: int, key: np.uint64
) -> tuple[Indices, int]:
    """Return the positions of up to `budget` of the first `size` rows, and their rank.

    work : float32 (n + b, D), of which the last b rows are already selected; quality : (n + b,)
    """
    free = _free_of(work[size:])
    dual = np.zeros((work.shape[1], work.shape[1]))
    for part in tiles(size, work.shape[1]):
        wide = work[part].astype(np.float64) * quality[part, None]
        dual += wide.T @ wide
    # What is already selected conditions the process: only what is orthogonal to it remains.
    values, vectors = np.linalg.eigh(free @ dual @ free)
    good = values > _RANK * max(float(values.max()), 1e-300)
    values, vectors = values[good], vectors[:, good]
    count = min(budget, values.size)
    if not count:
        return np.zeros(0, np.int64), 0
    chosen = _phase_1(values / values.max(), count, _rng.subkey(key, 0))
    # Row i of the eigenvectors of the kernel is q_i x_i @ basis.
    basis = free @ vectors[:, chosen] / np.sqrt(values[chosen])
    return _phase_2(work[:size], quality[:size], basis, _rng.subkey(key, 1)), values.size


def _free_of(rows: Scores) -> Floats:
    """Return the projection (D, D) to what is orthogonal to all rows."""
    whole = np.eye(rows.shape[1])
    if not len(rows):
        return whole
    _, sizes, right = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    along = right[sizes > _TINY * max(float(sizes.max()), 1e-300)]
    found: Floats = whole - along.T @ along
    return found


def _phase_1(values: Floats, count: int, key: np.uint64) -> Indices:
    """Choose `count` eigenvectors, each set with probability proportional to its product.

    The logarithms of the elementary symmetric polynomials: table[n, l] is of the first n values,
    of degree l.
    """
    logs = np.log(values)
    table = np.full((values.size + 1, count + 1), -np.inf)
    table[:, 0] = 0.0
    for n in range(values.size):
        table[n + 1, 1:] = np.logaddexp(table[n, 1:], logs[n] + table[n, :-1])
    chosen = []
    left = count
    for n in range(values.size, 0, -1):
        if not left:
            break
        chance = np.exp(logs[n - 1] + table[n - 1, left - 1] - table[n, left])
        if left == n or _rng.uniform(_rng.subkey(key, n)) < chance:
            chosen.append(n - 1)
            left -= 1
    return np.array(chosen, np.int64)


def _phase_2(work: Scores, quality: Floats, basis: Floats, key: np.uint64) -> Indices:
    """Draw as many rows as there are columns of the basis (D, k), by the projection DPP."""
    count = basis.shape[1]
    left = np.empty(len(work))
    for part in tiles(len(work), work.shape[1]):
        rows = work[part].astype(np.float64) @ basis
        left[part] = np.einsum("nk,nk->n", rows, rows) * quality[part] ** 2
    floor = _TINY * left
    picks = np.empty(count, np.int64)
    done = np.zeros((count, 0))
    with Steps("drawing rows", count) as bar:
        for number in range(count):
            sums = np.cumsum(left)
            point = _rng.uniform(_rng.subkey(key, number)) * float(sums[-1])
            at = int(np.searchsorted(sums, point, side="right"))
            at = min(at, int(np.searchsorted(sums, sums[-1])))  # the last that can be drawn
            picks[number] = at
            vector = quality[at] * (work[at].astype(np.float64) @ basis)
            for _ in range(2):
                vector -= done @ (done.T @ vector)
            vector /= np.sqrt(vector @ vector)
            done = np.column_stack([done, vector])
            direction = basis @ vector
            for part in tiles(len(work), work.shape[1]):
                along = quality[part] * (work[part] @ direction.astype(np.float32))
                left[part] -= along**2
            left[left < floor] = 0.0
            left[at] = 0.0
            bar.update()
    return picks
