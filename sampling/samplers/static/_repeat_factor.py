"""Repeat-factor sampling (several labels a sample). One label: `ClassBalancedSampler`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._containers import is_missing, unread
from ..._check._keywords import told
from ...kernels._scores import fill_uniform
from ...types import Floats
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._repeats import note_repeats
from ..core._tables import DrawTable, ListTable
from ._limited import limit_of

if TYPE_CHECKING:
    from scipy import sparse


@told
class RepeatFactorSampler(EpochSampler):
    """Repeat each sample according to its rarest category, and draw all samples.

    For data whose samples have several labels (boxes in images, tags), where a draw cannot balance
    one class alone. Sample i is drawn floor(r_i) times in each epoch, and once more with
    probability r_i - floor(r_i). Rare labels also increase the frequent ones they occur with: see
    `class_exposure`, not the factors of the classes.

    Parameters
    ----------
    labels : list of N lists of int or str, or 0/1 array or scipy sparse matrix of shape (N, C)
        Categories of each sample: their ids, as in COCO and LVIS for each box of an image, or a
        matrix. An id counts once for each sample. A sample without any has factor 1. Lists of equal
        length with zeros, or of ones alone, are ambiguous and refused: an array is a matrix, and
        sets hold ids.
    threshold : float in (0, 1]
        t: categories in less than this fraction of the samples are repeated.
    sqrt : bool, default True
        Whether the factor of a category is sqrt(t / f) as in LVIS, or t / f.
    max_repeats_per_epoch : int, optional
        Upper limit of the factors, and so of the draws of a sample in an epoch.
    max_repeats : int, optional
        R: instead, the limit on the draws of a sample in the run. Factors are then at most R / E.
    num_epochs : int, optional
        E: number of epochs in the run, for `max_repeats` and `progress`.
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    categories : array of shape (C,)
        The ids that occur, sorted; 0 to C - 1 for a matrix.
    repeat_factors : float64 array of shape (N,)
        r_i: the largest max(1, sqrt(t / f_c)) among the sample's categories, up to the limit.

    Raises
    ------
    ValueError
        If the matrix is not two-dimensional with entries 0 and 1, or no list holds a category; if
        `threshold` is outside (0, 1]; if R < E, or both limits are given; from `set_epoch`, at the
        end of a run with `max_repeats`.
    TypeError
        If ids are neither all int nor all str. The message names the row.

    Notes
    -----
    Order
        A shuffle of the repeated list; rounding and shuffle are drawn again for each epoch. With
        `max_repeats` E r_i is rounded once, and those draws are spread evenly over the epochs.
    Cost
        O(labels) once, O(N) an epoch; 8 N + 4 M bytes. The number of draws varies slightly between
        epochs: `length(epoch)` returns it, in O(N).
    Gradients
        objective="sampled" (default) trains on the repeated data. "original" multiplies by
        1 / (N p), p in proportion to r_i, which restores the mean over the data.
    Source
        Gupta, Dollar, Girshick, "LVIS", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((100, 2), int)
    >>> labels[:, 0] = 1
    >>> labels[:1, 1] = 1
    >>> sampler = RepeatFactorSampler(labels, threshold=0.04)
    >>> sampler.repeat_factors[:3], len(sampler)
    (array([2., 1., 1.]), 101)
    >>> images = [["person", "person", "dog"], ["person"], ["person"], []]
    >>> RepeatFactorSampler(images, threshold=1.0).repeat_factors.round(2)
    array([2.  , 1.15, 1.15, 1.  ])
    """

    covers_dataset = True

    def __init__(
        self,
        labels: ArrayLike | Sequence[Collection[Any]] | sparse.sparray | sparse.spmatrix,
        threshold: float,
        *,
        sqrt: bool = True,
        max_repeats_per_epoch: int | None = None,
        max_repeats: int | None = None,
        num_epochs: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        sqrt = _check.flag("sqrt", sqrt)
        self.categories, matrix = _categories_of(labels)
        threshold = _check.number("threshold", threshold, "(0, 1]")
        self._matrix = matrix
        frequency = np.bincount(matrix.indices, minlength=matrix.shape[1]) / matrix.shape[0]
        ratio = threshold / np.where(frequency > 0, frequency, threshold)  # absent: unused
        factors = np.maximum(1.0, np.sqrt(ratio) if sqrt else ratio)
        self.repeat_factors: Floats = np.ones(matrix.shape[0])
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        np.maximum.at(self.repeat_factors, rows, factors[matrix.indices])
        if num_epochs is not None:
            num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.num_epochs, self.max_repeats = num_epochs, max_repeats
        limit = self._limit = limit_of(max_repeats_per_epoch, max_repeats, num_epochs)
        if limit is not None:
            epochs = limit.epochs or 1
            if limit.most < epochs:
                raise ValueError(
                    f"max_repeats must be at least num_epochs, {epochs}, since every sample is "
                    f"drawn in every epoch, got {limit.most}"
                )
            np.minimum(self.repeat_factors, limit.most / epochs, out=self.repeat_factors)
        most_often = int(np.argmax(self.repeat_factors))
        note_repeats(self.repeat_factors[most_often], 1.0, f"sample {most_often}")
        super().__init__(matrix.shape[0], matrix.shape[0], **options)
        self.num_samples = round(float(self.repeat_factors.sum()))

    def class_exposure(self) -> Floats:
        """Return the expected draws of an epoch with each of `categories`: float64 (C,)."""
        exposure: Floats = self._matrix.T @ self.repeat_factors
        return exposure

    def _counts(self, epoch: int) -> NDArray[np.int64]:
        jitter = np.empty(self.size, np.float32)
        limit = self._limit
        if limit is None or limit.epochs is None:
            fill_uniform(_rng.key(self.seed, epoch, "repeat"), jitter)
            return np.floor(self.repeat_factors + jitter).astype(np.int64)
        epochs = limit.epochs
        fill_uniform(_rng.key(self.seed, 0, "repeat run"), jitter)
        whole = np.floor(epochs * self.repeat_factors + jitter)
        draws = np.minimum(whole, limit.most).astype(np.int64)  # in the run
        fill_uniform(_rng.key(self.seed, 0, "repeat phase"), jitter)
        phases = (epochs * jitter.astype(np.float64)).astype(np.int64)
        return ((epoch + 1) * draws + phases) // epochs - (epoch * draws + phases) // epochs

    def _before_plan(self, epoch: int) -> None:
        if self._limit is not None:
            self._limit.check_epoch(epoch)

    def draws(self, epoch: int) -> int:
        return self._plan(epoch).table.size

    def table(self, epoch: int) -> DrawTable:
        self._before_plan(epoch)
        dtype = np.int32 if self.size < 2**31 else np.int64
        samples = np.repeat(np.arange(self.size, dtype=dtype), self._counts(epoch))
        scale = samples.size / self.repeat_factors.sum()
        return ListTable(samples, self.size, lambda rows: scale * self.repeat_factors[rows])

    def identity(self) -> dict[str, object]:
        run = {"max_repeats": self.max_repeats, "num_epochs": self.num_epochs}
        return {
            "repeat factors from labels, threshold, sqrt and limit": self.repeat_factors,
            **(run if self.max_repeats is not None else {}),
        }


def _categories_of(labels: Any) -> tuple[NDArray[Any], sparse.csr_array]:
    """Return the categories (C,), and a 0/1 matrix (N, C) as CSR with only its ones stored."""
    from scipy import sparse  # 0.1 s, and only this sampler needs it

    if sparse.issparse(labels):
        return _of_matrix(labels)
    lists = _lists_of(labels)
    if lists is None:
        return _of_matrix(_check.host(labels, "labels"))
    lists = [[] if each is None else list(each) for each in lists]
    counts = np.array([len(each) for each in lists])
    flat = list(chain.from_iterable(lists))
    starts = np.concatenate([[0], np.cumsum(counts)])
    if not flat:
        raise ValueError(f"labels must hold a category, got none in all {len(lists)} rows")
    words = isinstance(flat[0], str)
    for at, each in enumerate(flat):
        number = isinstance(each, int | np.integer) and not isinstance(each, bool) and each >= 0
        if not isinstance(each, str) if words else not number:
            row = int(np.searchsorted(starts, at, side="right")) - 1
            raise TypeError(
                "labels must be lists of category ids, all int >= 0 or all str, got "
                f"{each!r} in row {row}"
            )
    names, codes = np.unique(np.array(flat, object if words else np.int64), return_inverse=True)
    if words:
        names = _labels.strings(names.tolist())
    matrix = sparse.csr_array((np.ones(codes.size), codes, starts), shape=(len(lists), names.size))
    matrix.sum_duplicates()  # a category counts once for each sample, however many boxes it has
    matrix.data[:] = 1.0
    return names, matrix


def _lists_of(labels: Any) -> list[Any] | None:  # any container
    """Return the ids of each sample, None for no list; or None if labels are a matrix."""
    labels = unread("labels", labels)
    labels = labels.to_arrow() if hasattr(labels, "to_arrow") else labels  # a Series of polars
    if "list<" in str(getattr(labels, "type", "")):  # of Arrow
        held = labels.to_pylist()
    elif isinstance(labels, list | tuple) or _has_objects(labels):
        held = [each.tolist() if hasattr(each, "tolist") else each for each in labels]
    else:
        return None
    rows = [each for each in held if isinstance(each, _SEVERAL)]
    for row, each in enumerate(held):
        if not isinstance(each, _SEVERAL) and not is_missing(each) and rows:
            raise TypeError(f"labels must be lists of category ids, got {each!r} in row {row}")
    held = [each if isinstance(each, _SEVERAL) else None for each in held]
    if any(isinstance(each, set | frozenset) for each in rows) or len(rows) < len(held):
        return held if rows else None
    entries = list(chain.from_iterable(rows))
    if len(set(map(len, rows))) > 1:
        return held
    if not entries or any(isinstance(each, bool | list) for each in entries):
        return None  # no id is a bool
    if all(each in (0, 1) for each in entries) or (len(rows[0]) > 1 and 0 in entries):
        raise ValueError(
            "labels must be an array, or lists of category ids, got lists of one length that "
            "could be either: give np.array(labels) if they are a matrix, or "
            "[set(row) for row in labels] if they are category ids"
        )
    return held


_SEVERAL = (list, tuple, set, frozenset)


def _has_objects(labels: Any) -> bool:  # anything
    """Return whether this is a column of objects, such as a Series of lists."""
    if len(getattr(labels, "shape", ())) != 1 or hasattr(labels, "detach"):
        return False
    return not isinstance(labels.dtype, np.dtype) or labels.dtype == object


def _of_matrix(matrix: Any) -> tuple[NDArray[Any], sparse.csr_array]:
    from scipy import sparse

    if matrix.ndim == 2 and matrix.shape[0] and not matrix.shape[1]:
        raise ValueError(f"labels must hold a category, got none in all {matrix.shape[0]} rows")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"labels must have shape (N, C) with N, C >= 1, got {matrix.shape}: give lists of "
            "category ids, or for one label a sample use ClassBalancedSampler"
        )
    csr = sparse.csr_array(matrix, copy=True)
    csr.sum_duplicates()
    bad = np.flatnonzero(~np.isin(csr.data, (0, 1)))
    if bad.size:
        row = int(np.searchsorted(csr.indptr, bad[0], side="right")) - 1
        raise ValueError(f"labels must be 0 or 1, got {csr.data[bad[0]]} in row {row}")
    csr.eliminate_zeros()
    return np.arange(csr.shape[1]), csr
