"""k-means with the search of faiss, and our own seeding, sums, last step and distances.

faiss alone trains on 256 rows per center, perturbs the centers of empty clusters, and returns
squared distances (similarities when spherical) that lose half of their digits in dense clusters. It
therefore gets its first centers from `_rng`, and one exact step follows: assign, average, assign.
faiss iterates itself over rows of one block only; with more, or thousands of centers, `lloyd` does.

Threads
    faiss brings its own libgomp and OpenBLAS in addition to those of torch, numba and scipy. All
    six import orders of torch, numba and faiss work (Linux, torch 2.13, faiss 1.15, numba 0.68). As
    with any GNU OpenMP, faiss hangs in a process forked after its threads started: `kmeans` uses
    one thread in a forked process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check import _labels
from .._check._keywords import told
from .._checkpoint import part as part_of
from .._warning import warn
from ..engine import Local, current, finite, gathered, over, steady
from ..kernels._permute import permute
from ..kernels._space import add_rows
from ..types import Floats, Indices, Scores
from ._assign import BLOCK, Assigned, Space, assign, nearest, single, unit
from ._lloyd import blocks_for, lloyd, pays

__all__ = ["Clustering", "kmeans", "second_nearest"]

_PROCESS = os.getpid()  # at import; a different id means a forked process


@told
@dataclass(frozen=True, eq=False)
class Clustering:
    """A partition of rows into K non-empty clusters, as returned by `kmeans`.

    Parameters
    ----------
    centers : float32 array of shape (K, D)
        Mean of each cluster, of length 1 if spherical. K may be less than requested.
    labels : int64 array of shape (N,)
        Cluster of each row: that of the nearest center, the lower number on a tie.
    distances : float32 array of shape (N,)
        Euclidean distance of each row to its center, not squared. Spherical: between the row and
        the center scaled to length 1, sqrt(2 - 2 cos); sqrt(2) for a row of zeros.
    nearest : int64 array of shape (K,)
        The row nearest to each center (of its group). It may belong to another cluster: a mean can
        be nearer to a row of an adjacent cluster than to any of its own. Ties are broken by a key
        hashed from (seed, row).
    sizes : int64 array of shape (K,)
        Number of rows in each cluster, at least 1.
    objective : float
        Sum of the squared distances.
    n_iter : int
        Number of iterations.
    seed : int
        The seed of the call.
    seconds : int64 array of shape (N,), optional
        The second nearest center of each row (of its group) as float32 finds it; -1 for none.
    rows : int64 array of shape (N,), optional
        Which rows of a table were clustered, in ascending order; None for all.

    Examples
    --------
    >>> from sampling.clustering import kmeans
    >>> kmeans([[0.0], [2.0], [4.0]], 1).objective
    8.0
    """

    centers: Scores
    labels: Indices
    distances: Scores
    nearest: Indices
    sizes: Indices
    objective: float
    n_iter: int
    seed: int
    seconds: Indices | None = None
    rows: Indices | None = None

    def __post_init__(self) -> None:
        centers = _check.matrix("centers", self.centers)
        _check.codes("labels", self.labels, len(centers))
        _check.same_length("distances", self.distances, "labels", len(self.labels))
        if self.seconds is not None:
            _check.same_length("seconds", self.seconds, "labels", len(self.labels))
            _check.codes("seconds", self.seconds, len(centers), low=-1)
        if self.rows is not None:
            _check.same_length("rows", self.rows, "labels", len(self.labels))

    def among(self, rows: Indices) -> Clustering:
        """Return the clustering of some of the rows; centers, sizes and objective are unchanged.

        Parameters
        ----------
        rows : int64 array of shape (n,)

        Returns
        -------
        Clustering
        """
        optional = {"seconds": self.seconds, "rows": self.rows}
        own: dict[str, Any] = {k: None if v is None else v[rows] for k, v in optional.items()}
        return replace(self, labels=self.labels[rows], distances=self.distances[rows], **own)

    def of_table(self, size: int, rows: Indices | None = None) -> Clustering:
        """Return the clustering of rows of a table, of which all or `self.rows` were clustered.

        Parameters
        ----------
        size : int
            Number of rows of the table.
        rows : int64 array of shape (n,), optional
            In ascending order; all rows by default.

        Returns
        -------
        Clustering
            Of these rows, numbered from 0.

        Raises
        ------
        ValueError
            If a row was not clustered.
        """
        if self.rows is None:
            _check.same_length("clusters", self.labels, "the table", size)
            return self if rows is None else self.among(rows)
        wanted = np.arange(size) if rows is None else rows
        at = np.minimum(np.searchsorted(self.rows, wanted), max(0, self.rows.size - 1))
        lacking = wanted[self.rows[at] != wanted] if self.rows.size else wanted
        if lacking.size:
            raise ValueError(
                "clusters must be of all rows that are selected from, got those of a subset "
                f"without row {lacking[0]} ({lacking.size} such rows): cluster all rows, or those "
                "of the subset"
            )
        return replace(self.among(at), rows=None)


@told
def kmeans(
    embeddings: ArrayLike,
    n_clusters: int,
    *,
    spherical: bool = False,
    n_iter: int = 25,
    seed: int = 0,
    groups: ArrayLike | None = None,
    max_points_per_centroid: int | None = None,
) -> Clustering:
    """Cluster rows by k-means on faiss, with labels and distances exact for the returned centers.

    Use it for many rows and thousands of clusters. `sklearn.cluster.KMeans` seeds more carefully
    (greedy k-means++): on sentence embeddings this lowers the objective by 0.5 % at K = 256 and 2 %
    at K = 2,000, and takes many times as long as all iterations together.

    Parameters
    ----------
    embeddings : array-like or tensor of shape (N, D), converted to float32
        Finite. May be a memory map or float16: it is converted to float32 in blocks, and not
        modified.
    n_clusters : int
        Number of clusters, K. If it exceeds N, N is used, with a warning. Fewer are returned if
        there are fewer distinct rows, or if a cluster becomes empty in the last iteration.
    spherical : bool, default False
        Cluster by direction: rows and centers are scaled to length 1. Rows of norm below 1e-12 have
        similarity 0 to everything: they do not affect any center and have label 0 (with `groups`,
        the first label of their group).
    n_iter : int, default 25
        Number of iterations of assignment and averaging, at least 1.
    seed : int in [0, 2**64), default 0
        Seed of the first centers and of tie-breaking.
    groups : array-like of shape (N,), optional
        Integers or strings, such as class labels; -1 is a group like any other. Each group is
        clustered separately. A group of n_g rows gets n_clusters * n_g / N clusters, rounded by
        largest remainder, but at least 1. Labels ascend with the sorted groups.
    max_points_per_centroid : int, optional
        Train the centers on n_clusters * max_points_per_centroid random rows (of each group, with
        `groups`); all rows are assigned. Default: all rows. faiss's own default is 256.

    Returns
    -------
    Clustering
        Centers, labels, distances, nearest rows, sizes and objective.

    Raises
    ------
    ValueError
        If a row is not finite (the first is named), a shape or a number is out of range, or there
        are more groups than `n_clusters`.
    TypeError
        If `embeddings` do not hold numbers, or `groups` do not hold class ids.

    Notes
    -----
    Order
        A function of (embeddings, the other arguments) on one CPU type with one version of each
        library: for rows of more than one block (2,097,152 numbers, or 4 K rows if that is more)
        of neither the number of threads nor the engine, its workers, or the files of the rows. For
        one block, the number of threads of BLAS may affect the last digit. The rows used as first
        centers depend on (seed, row number) only.
    Cost
        O(N K D) time per iteration. Holds one float32 copy of the rows, 4 N D bytes, and about 80 N
        + 40 K D bytes, with lists of centers (K >= 1,000) 150 N; with `groups`, also a copy of the
        largest group. Another engine than `Local` reads the rows again in each iteration, and holds
        no copy: a worker holds a block, the centers, and their sums. Rows whose two nearest
        centers are indistinguishable in float32 are compared in float64, which is slow if this
        holds for all rows. During training, faiss cannot distinguish spherical clusters less than
        about 1e-3 apart; then fewer are returned.
    Source
        Lloyd (1982), IEEE Trans. Inf. Theory 28(2), 129-137, from distinct random rows.

    Examples
    --------
    >>> import numpy as np
    >>> found = kmeans([[0.0], [2.0], [10.0], [13.0]], 2, seed=0)
    >>> np.sort(found.centers, axis=0).tolist()
    [[1.0], [11.5]]
    >>> found.distances
    array([1. , 1. , 1.5, 1.5], dtype=float32)
    >>> found.objective
    6.5
    """
    spherical = _check.flag("spherical", spherical)
    n_clusters = _check.integer("n_clusters", n_clusters, 1)
    n_iter = _check.integer("n_iter", n_iter, 1)
    seed = _check.seed(seed)
    limit = max_points_per_centroid
    if limit is not None:
        limit = _check.integer("max_points_per_centroid", limit, 1)
    raw = finite("embeddings", embeddings)
    members = None if groups is None else _members(groups, len(raw), n_clusters)
    if n_clusters > len(raw):
        message = f"n_clusters must be at most the number of rows, {len(raw)}, got {n_clusters}"
        warn(f"{message}: using {len(raw)}")
        n_clusters = len(raw)
    if os.getpid() != _PROCESS:
        faiss.omp_set_num_threads(1)

    fit = _Fit(spherical, n_iter, seed, limit)
    if members is None:
        found = fit.run(raw, np.arange(len(raw)), n_clusters)
    else:
        found = _within(fit, raw, members, n_clusters)
    rows = found.rows
    return Clustering(
        centers=found.centers,
        labels=rows.labels,
        distances=np.sqrt(rows.squares).astype(np.float32),
        nearest=found.nearest,
        sizes=np.bincount(rows.labels, minlength=len(found.centers)).astype(np.int64),
        objective=float(rows.squares.sum()),
        n_iter=n_iter,
        seed=seed,
        seconds=rows.seconds,
    )


@told
def second_nearest(
    embeddings: ArrayLike, clustering: Clustering, *, spherical: bool = False
) -> Indices:
    """Return the second nearest center of each row, for a clustering that does not have `seconds`.

    Parameters
    ----------
    embeddings : array-like or tensor of shape (N, D), converted to float32
        The rows that were clustered.
    clustering : Clustering
    spherical : bool, default False
        Compare by direction.

    Returns
    -------
    int64 array of shape (N,)
        The nearest center other than that of the row's own cluster, in float32 precision; -1 if
        there is only one cluster.

    Raises
    ------
    ValueError
        If a row is not finite (the first is named), or the embeddings do not fit the clustering.

    Notes
    -----
    Cost
        O(N K D) time, one pass over the rows.

    Examples
    --------
    >>> rows = [[0.0], [1.0], [10.0], [14.0]]
    >>> found = kmeans(rows, 3, seed=1)
    >>> (second_nearest(rows, found) == found.seconds).all()
    np.True_
    """
    spherical = _check.flag("spherical", spherical)
    raw = finite("embeddings", embeddings)
    _check.same_length("embeddings", raw, "the clustering", len(clustering.labels))
    if raw.shape[1] != clustering.centers.shape[1]:
        raise ValueError(
            f"embeddings must have the dimensions of the centers, {clustering.centers.shape[1]}, "
            f"got {raw.shape[1]}"
        )
    if os.getpid() != _PROCESS:
        faiss.omp_set_num_threads(1)
    centers = np.asarray(clustering.centers, np.float32)
    found = assign(raw, centers, Space.of(raw, spherical), "assigning rows")
    return np.where(found.labels == clustering.labels, found.seconds, found.labels)


# ---- below, arguments are checked ----------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """Settings shared by all groups."""

    spherical: bool
    n_iter: int
    seed: int
    limit: int | None

    def run(self, raw: NDArray[Any], names: Indices, n_clusters: int) -> _Found:
        """Cluster raw rows (n, D), with row numbers `names` (n,) in the whole input."""
        with part_of("k-means") as own:
            if own.state:
                rows = Assigned(*(own.state[name] for name in ("labels", "squares", "seconds")))
                return _Found(own.state["centers"], rows, own.state["nearest"])
            found = self._run(raw, names, n_clusters)
            own.done(centers=found.centers, nearest=found.nearest, **vars(found.rows))
        return found

    def _run(self, raw: NDArray[Any], names: Indices, n_clusters: int) -> _Found:
        space = Space.of(raw, self.spherical)
        order = np.argsort(_hash(self.seed, "kmeans rows", names))
        if self.spherical:
            directed = np.empty(len(raw), np.bool_)
            for part, some in over(space.directed, raw):
                directed[part] = some
            order = order[directed[order]]
        if self.limit is not None:
            order = order[: n_clusters * self.limit]
        if order.size == 0:
            centers = np.zeros((1, raw.shape[1]), np.float32)
        elif order.size == len(raw):
            centers = self.centers(raw, space, order, n_clusters)
        else:
            rows = np.sort(order)
            own = steady(gathered(raw, rows))
            centers = self.centers(own, space, np.searchsorted(rows, order), n_clusters)

        found = assign(raw, centers, space, "assigning rows")
        used = np.bincount(found.labels, minlength=len(centers)) > 0
        number = np.where(used, np.cumsum(used) - 1, -1)
        seconds = np.full(len(raw), -1) if len(centers) == 1 else number[found.seconds]
        found = replace(found, labels=number[found.labels], seconds=seconds)
        ties = _hash(self.seed, "kmeans nearest", names)
        near = nearest(raw, centers[used], space, found, ties)
        return _Found(centers[used], found, names[near])

    def centers(self, raw: NDArray[Any], space: Space, order: Indices, n_clusters: int) -> Scores:
        """Return centers (K, D) of these rows, starting from the first distinct rows in `order`."""
        # Another engine reads the rows again in each iteration; this process holds them.
        local = isinstance(current(), Local)
        work = steady(space.work(raw)) if local else raw
        prepare = None if local else space.seen
        first = _distinct(work, order, n_clusters, prepare)
        centers = space.exact(raw[first]).astype(np.float32)
        # With fewer distinct rows than clusters, the rows themselves are the centers.
        if len(first) == n_clusters and self.n_iter > 1:
            parts = blocks_for(raw, n_clusters)
            listed = pays(n_clusters, raw.shape[1], self.n_iter - 1)
            if listed or len(parts) > 1:
                start = work[first] if prepare is None else prepare(work[first])
                trained, _, _ = lloyd(
                    work, start, order, self.n_iter - 1, spherical=self.spherical,
                    listed=listed, prepare=prepare, parts=parts,
                )  # fmt: skip
            else:
                trained = self._trained(work if prepare is None else prepare(work[:]), first)
            found = space.restore(trained)
            if self.spherical:  # opposite rows cancel: their center is kept
                lost = ~unit(found.astype(np.float64)).any(axis=1)
                found[lost] = centers[lost]
            centers = found
        del work
        return _means(raw, assign(raw, centers, space).labels, centers, space)

    def _trained(self, work: Scores, first: Indices) -> Scores:
        """Return the centers after all iterations of faiss, which are all but the last.

        For rows of one block.

        faiss also starts from distinct random rows. Alternatives on 63,666 x 384 sentence
        embeddings, as objective relative to random rows, with the seconds of 25 iterations: K = 256
        in 3 s; greedy k-means++ 0.995, 70 s more; plain k-means++ 1.0005, AFK-MC2 1.001. K = 2,000
        in 20 s; 0.98, 330 s more; 1.0003; 1.002. k-means++ reads all rows once per center:
        infeasible at K = 10,000.
        """
        trained = faiss.Kmeans(
            work.shape[1],
            len(first),
            niter=self.n_iter - 1,
            spherical=self.spherical,
            seed=int(_rng.key(self.seed, 0, "kmeans")) & 0x7FFFFFFF,
            min_points_per_centroid=1,  # below 39 faiss warns on stderr
            max_points_per_centroid=2**31 - 1,
        )
        trained.train(work, init_centroids=np.ascontiguousarray(work[first]))
        return np.asarray(trained.centroids)


@dataclass(frozen=True)
class _Found:
    """Non-empty clusters of a subset of the rows."""

    centers: Scores  # (K, D)
    rows: Assigned
    nearest: Indices  # names (K,)


def _within(fit: _Fit, raw: NDArray[Any], members: list[Indices], n_clusters: int) -> _Found:
    """Cluster each group of rows separately, with labels numbered consecutively over the groups."""
    size = len(raw)
    whole = Assigned(np.empty(size, np.int64), np.empty(size), np.empty(size, np.int64))
    centers: list[Scores] = []
    near: list[Indices] = []
    begin = 0
    counts = _apportion(n_clusters, np.array([rows.size for rows in members]), fit.seed)
    for rows, count in zip(members, counts, strict=True):
        found = fit.run(gathered(raw, rows), rows, int(count))
        own = found.rows
        whole.labels[rows], whole.squares[rows] = own.labels + begin, own.squares
        whole.seconds[rows] = np.where(own.seconds < 0, -1, own.seconds + begin)
        begin += len(found.centers)
        centers.append(found.centers)
        near.append(found.nearest)
    return _Found(np.concatenate(centers), whole, np.concatenate(near))


def _members(groups: ArrayLike, n: int, n_clusters: int) -> list[Indices]:
    """Check `groups`; return the rows of each, ascending, in the order of their sorted names."""
    names, inverse = _labels.grouped("groups", groups)
    _check.same_length("groups", inverse, "embeddings", n)
    counts = np.bincount(inverse, minlength=names.size)
    if counts.size > n_clusters:
        raise ValueError(
            f"n_clusters must be >= the number of groups, {counts.size}, got {n_clusters}"
        )
    return np.split(np.argsort(inverse, kind="stable"), np.cumsum(counts)[:-1])


def _apportion(total: int, sizes: Indices, seed: int) -> Indices:
    """Apportion `total` >= G to groups (G,) in proportion to their sizes, at least 1 to each.

    Groups whose share is below 1 get 1; the remainder is apportioned to the others by largest
    remainder, with ties broken by a hashed key. No group gets more than its size if total <= N.
    """
    shares = np.ones(sizes.size, np.int64)
    large = np.ones(sizes.size, np.bool_)
    while True:
        rest = total - int((~large).sum())
        mass = int(sizes[large].sum())
        below = large & (rest * sizes < mass)
        if not below.any():
            break
        large &= ~below
    quota, remainder = np.divmod(rest * sizes[large], mass)
    ties = _hash(seed, "kmeans groups", np.flatnonzero(large))
    quota[np.lexsort((ties, -remainder))[: rest - int(quota.sum())]] += 1
    shares[large] = quota
    return shares


def _distinct(
    rows: Any,  # array (n, D), or Rows
    order: Indices,
    count: int,
    prepare: Callable[[NDArray[Any]], Scores] | None = None,
) -> Indices:
    """Return the first `count` distinct rows in `order`, or all if there are fewer.

    prepare : makes work rows of other rows, if given
    """
    seen: set[bytes] = set()
    chosen: list[int] = []
    step = min(max(count, 256), max(1, BLOCK // rows.shape[1]))
    for start in range(0, order.size, step):
        part = order[start : start + step]
        work = rows[part] if prepare is None else prepare(rows[part])
        for row, line in zip(part.tolist(), work + np.float32(0), strict=True):  # no -0
            content = line.tobytes()
            if content not in seen:
                seen.add(content)
                chosen.append(row)
                if len(chosen) == count:
                    return np.array(chosen)
    return np.array(chosen)


def _means(raw: NDArray[Any], labels: Indices, centers: Scores, space: Space) -> Scores:
    """Return the means of the non-empty clusters, (K, D) -> (K', D)."""

    def work(block: NDArray[Any], label: Indices) -> tuple[Indices, Floats]:
        rows, sums = single(block), np.zeros(shape)
        add_rows(rows, space.lengths(rows), label, sums)
        some = np.flatnonzero(np.bincount(label, minlength=shape[0]))
        return some, sums[some]

    shape = centers.shape
    total = np.zeros(shape)
    for _, (some, sums) in over(work, raw, labels, parts=blocks_for(raw, len(centers))):
        total[some] += sums
    counts = np.bincount(labels, minlength=len(centers))
    means = total[counts > 0] / counts[counts > 0, None]
    if space.spherical:
        means = unit(means)
        lost = ~means.any(axis=1)
        means[lost] = centers[counts > 0][lost]
    return means.astype(np.float32)


def _hash(seed: int, purpose: str, rows: Indices) -> Indices:
    """Return a distinct key in [0, 2**62) for each row number."""
    out = np.empty(rows.size, np.int64)
    with np.errstate(over="ignore"):  # with the JIT off, numpy scalars warn on overflow
        permute(_rng.key(seed, 0, purpose), _check.MAX_SIZE, rows, out)
    return out
