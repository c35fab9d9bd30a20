"""Pairs of classes in given shares. Rules without shares: `_pairs.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices, Packed
from ..core._groups import Groups, Unlabeled, deal_windows, quotas_of
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._replaceable import ReplaceableSampler
from ..core._tables import DrawTable
from ._pair_source import PairBatches, PairSource


@told
class ClassPairBatchSampler(PairBatches):
    """Draw pairs of samples whose ordered class pairs have given shares, as SelMix does.

    `selmix_pairs` computes the shares that improve a metric of the confusion matrix most. The first
    sample of a pair gives the label; a batch of B pairs lists the B first samples, then the second
    ones, as `PairBatchSampler` does.

    Parameters
    ----------
    labels : int or str array-like of shape (N,)
        Class of each sample; -1, None or NaN means unlabelled, see `unlabeled`.
    class_pairs : float array-like of shape (C, C)
        Relative share of each pair (class of the first sample, class of the second), finite and
        >= 0. Rows and columns are in the order of the sorted class ids; those of a pandas DataFrame
        that names the classes are taken by name. Of int labels below C it may include classes
        without samples: their shares are ignored.
    pairs_per_batch : int
        B: a batch has 2 B draws.
    num_pairs : int, optional
        Pairs of an epoch; by default the number of labelled samples. Shares that change are used
        from the next epoch, so an epoch should be as long as they are to stay.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose class is missing are never drawn ("drop"), form one more class, named -1
        ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`. The last batch may hold fewer pairs;
        `drop_last` then excludes it.

    Attributes
    ----------
    pairs_per_batch : int
        B.
    partners : int
        1.
    batch_size : int or None
        2 B; None if the last batch is short.
    classes : array of shape (C,)
        The class ids that have samples, sorted.

    Raises
    ------
    ValueError
        If a share is negative, NaN or infinite, or all of the classes with samples are 0; if the
        shape does not fit the classes.

    Notes
    -----
    Order
        In each epoch every class pair is drawn its share times the number of pairs, rounded up or
        down at random, in random order. In each role the samples of a class are drawn from a
        shuffle of it, so that all are drawn before one is repeated in that role and epoch. A pair
        within one class may be of a sample and itself.
    Cost
        8 N + 8 C^2 bytes and 8 M an epoch; O(N) once and O(M log M + C^2) an epoch.
    Gradients
        Those of the loss of pairs, which has no weights. objective="original" restores the mean
        over all samples that can be drawn, if the draws are used one by one.
    Source
        Ramasubramanian et al., "Selective Mixup Fine-Tuning for Optimizing Non-Decomposable
        Objectives", ICLR 2024.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1])
    >>> batches = ClassPairBatchSampler(labels, [[0, 3], [1, 0]], 4, seed=0)
    >>> first, second = labels[next(iter(batches))].reshape(2, -1)
    >>> sorted(zip(first.tolist(), second.tolist()))
    [(0, 1), (0, 1), (0, 1), (1, 0)]
    """

    sampler: SharedPairs

    def __init__(
        self,
        labels: ArrayLike,
        class_pairs: ArrayLike,
        pairs_per_batch: int,
        num_pairs: int | None = None,
        *,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        groups = Groups("labels", labels, unlabeled)
        count = groups.num_labeled
        if num_pairs is not None:
            count = _check.integer("num_pairs", num_pairs, 1)
        shares = shares_of_pairs(class_pairs, groups.names)
        self.classes = groups.names
        super().__init__(SharedPairs(groups, shares, pairs_per_batch, count, **options))

    def set_class_pairs(self, class_pairs: ArrayLike) -> None:
        """Set new shares, used from the next `set_epoch`.

        Parameters
        ----------
        class_pairs : float array-like of shape (C, C)
            As in the constructor, equal on every rank.
        """
        shares = shares_of_pairs(class_pairs, self.classes)
        self.sampler._replace(shares)


class SharedPairs(PairSource, ReplaceableSampler[Floats]):
    """The draws of `ClassPairBatchSampler`."""

    _planned_from = "shares that were set"

    def __init__(
        self,
        groups: Groups,
        shares: Floats,
        pairs_per_batch: int,
        num_pairs: int,
        **options: Unpack[EpochOptions],
    ) -> None:
        # shares : (C * C,), summing to 1
        self._groups = groups
        self._source = shares
        super().__init__(groups.codes.size, num_pairs, pairs_per_batch, 1, **options)

    def _source_of(self, values: Floats) -> Floats:
        return values

    def _values_of(self, source: Floats) -> Floats:
        return source

    def table(self, epoch: int) -> DrawTable:
        return self._drawn_from(self._source, epoch)

    def _drawn_from(self, source: Floats, epoch: int) -> DrawTable:
        groups = self._groups
        per_class = self._per_class(source)
        population = int(groups.sizes[per_class > 0].sum())
        per_class *= self.num_pairs / self.num_anchors
        first, second = self._pairs(source, epoch)
        return self._laid(
            first, second[None], population, lambda rows: groups.spread(per_class, rows)
        )

    def _per_class(self, source: Floats) -> Floats:
        """Return the expected draws of each class, in both roles: (C,)."""
        shares = source.reshape(len(self._groups), -1)
        found: Floats = (shares.sum(axis=0) + shares.sum(axis=1)) * self.num_anchors
        return found

    def _pairs(self, source: Floats, epoch: int) -> tuple[Packed, Packed]:
        """Return the first and the second sample of each pair."""
        classes = len(self._groups)
        key = _rng.key(self.seed, epoch, "class pairs")
        offset = _rng.uniform(_rng.subkey(key, 0))
        quotas = quotas_of(source, self.num_pairs, offset)
        listed = np.repeat(np.arange(classes * classes), quotas)
        order = Permutation(self.num_pairs, _rng.subkey(key, 1))(np.arange(self.num_pairs))
        first, second = np.divmod(listed[order], classes)
        return (
            self._drawn(first, _rng.subkey(key, 2)),
            self._drawn(second, _rng.subkey(key, 3)),
        )

    def _drawn(self, classes: Indices, key: np.uint64) -> Packed:
        """Return a sample of each of some classes."""
        groups = self._groups
        quotas = np.bincount(classes, minlength=len(groups))
        listed: NDArray[np.integer] = np.empty(classes.size, groups.members.dtype)
        deal_windows(groups.members, groups.starts, np.zeros_like(quotas), quotas, key, listed)
        out = np.empty_like(listed)
        out[np.argsort(classes, kind="stable")] = listed
        return out

    def expected(self) -> Floats:
        rows = np.arange(self._groups.codes.size)
        return self._groups.spread(self._per_class(self._source), rows)

    def identity(self) -> dict[str, object]:
        known = {} if self.dynamic else {"class_pairs": self._source}
        return {
            **super().identity(),
            **known,
            "labels": self._groups.codes,
            "num_pairs": self.num_anchors,
        }


def shares_of_pairs(class_pairs: ArrayLike, names: NDArray[np.generic]) -> Floats:
    """Return the shares of the pairs of classes with samples: float64 (C * C,), summing to 1."""
    if {"index", "columns", "loc"} <= set(dir(class_pairs)):  # of pandas
        class_pairs = _in_order(class_pairs, names.tolist())
    given = _check.matrix("class_pairs", class_pairs)
    size = names.size
    numbers = np.arange(size)
    if names.dtype.kind in "iu" and names[0] >= 0 and names[-1] < len(given):
        numbers, size = names.astype(np.int64), len(given)
    if given.shape != (size, size):
        raise ValueError(
            f"class_pairs must have shape ({names.size}, {names.size}), a row and a column for "
            f"each class, got {given.shape}"
        )
    bad = np.argwhere(~(np.isfinite(given) & (given >= 0)))
    if bad.size:
        row, column = bad[0]
        raise ValueError(
            f"class_pairs must be finite and >= 0, got {given[row, column]} in row {row}, column "
            f"{column}"
        )
    shares = given[np.ix_(numbers, numbers)].reshape(-1)
    weights = _check.weights("class_pairs", shares)
    found: Floats = weights / weights.sum()
    return found


def _in_order(frame: Any, names: list[Any]) -> Any:  # pandas.DataFrame
    """Return a frame whose rows and columns name the classes in their order, others as they are."""
    rows, columns = (list(each) for each in (frame.index, frame.columns))
    if sorted(map(repr, rows)) == sorted(map(repr, columns)) == sorted(map(repr, names)):
        return frame.loc[names, names]
    return frame
