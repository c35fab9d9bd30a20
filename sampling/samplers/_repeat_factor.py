"""Repeating images with rare categories (several labels a sample). One label: the balanced one."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from .. import _check, _rng
from .._keywords import told
from ..kernels._scores import fill_uniform
from ..types import Floats
from ._base import EpochSampler
from ._options import EpochOptions
from ._tables import Listed, Table

if TYPE_CHECKING:
    from scipy import sparse


@told
class RepeatFactorSampler(EpochSampler):
    """Repeat each sample by its rarest category, dropping none.

    For data whose samples hold several labels (boxes in images, tags), where no draw can balance
    one class alone. Sample i is drawn floor(r_i) times in each epoch, and once more with
    probability r_i - floor(r_i). Rare labels lift the frequent ones they occur with: look at
    `class_exposure`, not at the factors of the classes.

    Parameters
    ----------
    labels : 0/1 array or scipy sparse matrix of shape (N, C)
        Which categories each sample holds. A sample without any has factor 1.
    threshold : float in (0, 1]
        t: categories in fewer than this part of the samples are repeated.
    sqrt : bool, default True
        Factor of a category sqrt(t / f) as in LVIS, or t / f.
    **options
        Those of every sampler: see `EpochSampler`.

    Attributes
    ----------
    repeat_factors : float64 array of shape (N,)
        r_i: the largest max(1, sqrt(t / f_c)) among the sample's categories.

    Raises
    ------
    ValueError
        If the matrix is not two-dimensional and of 0 and 1, or `threshold` is outside (0, 1].

    Notes
    -----
    Order       A shuffle of the repeated list; rounding and shuffle are drawn anew for each epoch.
    Cost        O(labels) once, O(N) an epoch; 8 N + 4 M bytes. The number of draws varies a little
                from epoch to epoch: `length(epoch)` tells it, at O(N).
    Gradients   objective="sampled" (default) trains on the repeated data. "original" multiplies by
                1 / (N p), p in proportion to r_i, which restores the mean over the data.
    Source      Gupta, Dollar, Girshick, "LVIS", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((100, 2), int)
    >>> labels[:, 0] = 1
    >>> labels[:1, 1] = 1
    >>> sampler = RepeatFactorSampler(labels, threshold=0.04)
    >>> sampler.repeat_factors[:3], len(sampler)
    (array([2., 1., 1.]), 101)
    """

    covers_dataset = True

    def __init__(
        self,
        labels: "ArrayLike | sparse.sparray | sparse.spmatrix",
        threshold: float,
        *,
        sqrt: bool = True,
        **options: Unpack[EpochOptions],
    ) -> None:
        sqrt = _check.flag("sqrt", sqrt)
        matrix = _binary_csr(labels)
        threshold = _check.number("threshold", threshold, "(0, 1]")
        self._matrix = matrix
        frequency = np.bincount(matrix.indices, minlength=matrix.shape[1]) / matrix.shape[0]
        ratio = threshold / np.where(frequency > 0, frequency, threshold)  # absent: no matter
        factors = np.maximum(1.0, np.sqrt(ratio) if sqrt else ratio)
        self.repeat_factors: Floats = np.ones(matrix.shape[0])
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        np.maximum.at(self.repeat_factors, rows, factors[matrix.indices])
        super().__init__(matrix.shape[0], matrix.shape[0], **options)
        self.num_samples = round(float(self.repeat_factors.sum()))

    def class_exposure(self) -> Floats:
        """Return how many expected draws of an epoch hold each category: float64 (C,)."""
        exposure: Floats = self._matrix.T @ self.repeat_factors
        return exposure

    def _counts(self, epoch: int) -> NDArray[np.int64]:
        jitter = np.empty(self.size, np.float32)
        fill_uniform(_rng.key(self.seed, epoch, "repeat"), jitter)
        return np.floor(self.repeat_factors + jitter).astype(np.int64)

    def _draws(self, epoch: int) -> int:
        return self._plan(epoch).table.size

    def _table(self, epoch: int) -> Table:
        dtype = np.int32 if self.size < 2**31 else np.int64
        samples = np.repeat(np.arange(self.size, dtype=dtype), self._counts(epoch))
        scale = samples.size / self.repeat_factors.sum()
        return Listed(samples, self.size, lambda rows: scale * self.repeat_factors[rows])

    def _identity(self) -> dict[str, object]:
        return {"repeat factors from labels, threshold and sqrt": self.repeat_factors}


def _binary_csr(labels: Any) -> "sparse.csr_array":  # noqa: ANN401  # any matrix
    """Return a 0/1 matrix (N, C) as CSR with only its ones stored."""
    from scipy import sparse  # 0.1 s that only this sampler needs

    matrix = labels if sparse.issparse(labels) else _check.host(labels, "labels")
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"labels must have shape (N, C) with N, C >= 1, got {matrix.shape}")
    csr = sparse.csr_array(matrix, copy=True)
    csr.sum_duplicates()
    bad = np.flatnonzero(~np.isin(csr.data, (0, 1)))
    if bad.size:
        row = int(np.searchsorted(csr.indptr, bad[0], side="right")) - 1
        raise ValueError(f"labels must be 0 or 1, got {csr.data[bad[0]]} in row {row}")
    csr.eliminate_zeros()
    return csr
