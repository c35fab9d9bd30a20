"""Pairs of a sample and entries of its row of a table. By class and domain: `_pairs.py`."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Packed
from ..core._options import EpochOptions
from ..core._tables import DrawTable
from ._pair_source import Missing, PairBatches, PairSource, check_missing, refuse_missing
from ._partners import _below


@told
class NeighborPairBatchSampler(PairBatches):
    """Pair every sample with samples listed for it: nearest neighbours, hard negatives, positives.

    With the `indices` of `sampling.clustering.neighbours` each sample is mixed with one of its
    nearest (RegMix, for regression); with those of `sampling.clustering.hard_negatives` and
    `partners=5` a batch holds each query and five hard negatives. A batch of B pairs with m
    partners is a list of B (1 + m) indices: the anchors, then the first partner of each, then the
    second, so that `x.view(1 + m, -1, *x.shape[1:])` separates them, in a short last batch too.

    Parameters
    ----------
    table : int array-like of shape (N, k)
        Dataset indices for each sample of the dataset; -1 for no entry. With -1 in all but the
        first k_i entries, sample i has k_i neighbours.
    pairs_per_batch : int
        B, anchors in a batch.
    partners : int, default 1
        m, partners of each anchor. They are distinct if its row has m entries; else some are
        repeated.
    on_missing : {"raise", "self", "random", "skip"}, default "raise"
        If a row has no entry: an error; the sample itself, which mixing leaves unchanged; any other
        samples; or no pair with this sample as anchor.
    **options
        The options of every sampler: see `EpochSampler`. The last batch may hold fewer anchors;
        `drop_last` then excludes it.

    Attributes
    ----------
    pairs_per_batch : int
        B.
    partners : int
        m.
    batch_size : int or None
        B (1 + m); None if the last batch is short.
    num_missing : int
        Number of samples without an entry.

    Raises
    ------
    ValueError
        If an entry is not in [-1, N), the message names the row; if a row has no entry and
        `on_missing` is "raise"; if no row has one and it is "skip".

    Notes
    -----
    Order
        Anchors are shuffled for each (seed, epoch), and each is drawn once. Its partners are m
        successive entries of its row, from a random one on: each entry is equally likely. To follow
        a model, make a table of its embeddings, and a sampler of the table, every few epochs.
    Cost
        4 N k bytes, 12 N more, and 4 M in an epoch; O(N k) once and O(M) an epoch.
    Gradients
        Those of the loss of pairs, which has no weights. objective="original" restores the mean
        over all samples if the draws are used one by one.
    Source
        Hwang and Whang, "RegMix: Data Mixing Augmentation for Regression", arXiv 2106.03374, where
        the numbers of neighbours are learnt; here they are given.

    Examples
    --------
    >>> batches = NeighborPairBatchSampler([[1], [0], [1]], 3, seed=0)
    >>> list(batches)
    [[0, 2, 1, 1, 1, 0]]
    """

    def __init__(
        self,
        table: ArrayLike,
        pairs_per_batch: int,
        partners: int = 1,
        *,
        on_missing: Missing = "raise",
        **options: Unpack[EpochOptions],
    ) -> None:
        source = TablePairs(table, pairs_per_batch, partners, on_missing, **options)
        self.num_missing = source.num_missing
        super().__init__(source)


class TablePairs(PairSource):
    """The draws of `NeighborPairBatchSampler`."""

    def __init__(
        self,
        table: ArrayLike,
        pairs_per_batch: int,
        partners: int,
        on_missing: str,
        **options: Unpack[EpochOptions],
    ) -> None:
        rows = np.asarray(_check.matrix("table", table)[:])  # also of rows on disk
        _check.codes("table", rows, len(rows), low=-1)
        partners = _check.integer("partners", partners, 1)
        self.on_missing = check_missing(on_missing)
        n = len(rows)
        dtype = np.int32 if n < 2**31 else np.int64
        listed = rows >= 0
        counts = listed.sum(axis=1)
        self._entries: Packed = rows[listed].astype(dtype)  # row after row
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        lacking = np.flatnonzero(counts == 0)
        self.num_missing = lacking.size
        if self.on_missing == "raise":
            refuse_missing(lacking, "exclude those samples, or use another on_missing")
        self._anchors = np.arange(n, dtype=dtype)
        if self.on_missing == "skip":
            self._anchors = np.flatnonzero(counts).astype(dtype)
            if self._anchors.size == 0:
                raise ValueError(f"table must have an entry >= 0, got -1 in all {n} rows")
        self._population = n
        if self.on_missing == "skip":
            drawn = np.zeros(n, np.bool_)
            drawn[self._anchors] = drawn[self._entries] = True
            self._population = int(np.count_nonzero(drawn))
        super().__init__(n, self._anchors.size, pairs_per_batch, partners, **options)

    def table(self, epoch: int) -> DrawTable:
        anchors = self._anchors[self._order(epoch)]
        key = _rng.key(self.seed, epoch, "pair entries")
        slots = np.arange(anchors.size, dtype=np.uint64)
        begin = self._starts[anchors]
        count = self._starts[anchors.astype(np.int64) + 1] - begin
        lost = count == 0
        first = _below(_rng.values(key, slots), np.maximum(count, 1))
        partners: NDArray[np.integer] = np.empty((self.partners, anchors.size), anchors.dtype)
        for turn in range(self.partners):
            at = np.where(lost, 0, begin + (first + turn) % np.maximum(count, 1))
            partners[turn] = self._entries[at] if self._entries.size else 0
            partners[turn, lost] = self._others(anchors[lost], slots[lost], _rng.subkey(key, turn))
        return self._laid(anchors, partners, self._population, lambda rows: self.share()[rows])

    def _others(self, anchors: Packed, slots: NDArray[np.uint64], key: np.uint64) -> Packed:
        """Return the partner of anchors without an entry."""
        if self.on_missing != "random" or self.size == 1:
            return anchors
        drawn = _below(_rng.values(key, slots), np.full(slots.size, self.size - 1))
        return drawn + (drawn >= anchors)

    def expected(self) -> Floats:
        return self._expected

    @cached_property
    def _expected(self) -> Floats:
        counts = np.diff(self._starts)
        out = np.zeros(self.size)
        out[self._anchors] = 1.0
        each = np.repeat(self.partners / np.maximum(counts, 1), counts)
        out += np.bincount(self._entries, each, self.size)
        lost = self.partners * (counts == 0)
        if self.on_missing == "random" and self.size > 1:
            out += (lost.sum() - lost) / (self.size - 1)
        elif self.on_missing != "skip":
            out += lost
        return out

    def identity(self) -> dict[str, object]:
        return {
            **super().identity(),
            "table": self._entries,
            "entries of each sample": self._starts,
            "partners": self.partners,
            "on_missing": self.on_missing,
        }
