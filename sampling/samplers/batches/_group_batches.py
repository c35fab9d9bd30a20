"""Batches of whole groups. Groups in shares, sample by sample: `ClassBalancedSampler`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...kernels import _blocks
from ...types import Indices
from ..core._groups import Groups, Unlabeled
from ..core._options import EpochOptions
from ..core._permutation import Permutation
from ..core._tables import DrawTable, ListTable
from ._epoch_batches import BlockBatchSampler, BlockSampler


@told
class GroupBatchSampler(BlockBatchSampler):
    """Draw whole groups: a batch is one bag, or a few of them.

    For losses that need all samples of a group at once: the bag of multiple-instance learning, the
    documents of one source, the frames of one video, the candidates of one query. The size of a
    batch is that of its groups, so one large group must fit into memory. To limit the size of
    batches, use `TokenBudgetBatchSampler`.

    Parameters
    ----------
    groups : int or str array-like of shape (N,)
        Group of each sample; ids need not be contiguous. -1, None or NaN means in no group, see
        `unlabeled`.
    groups_per_batch : int, default 1
        Number of groups in a batch. The last batch may hold fewer; `drop_last` then excludes it,
        with other groups in each epoch.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose group is missing (-1, None, NaN, a null) are never drawn ("drop"), form one
        more group, named -1 ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    groups_per_batch : int
    batch_size : None
        None because sizes vary.

    Raises
    ------
    ValueError
        If no sample is in a group; if `drop_last` would leave no batch.

    Notes
    -----
    Order
        The groups are shuffled for each (seed, epoch), and each sample is drawn once. The samples
        of a group are adjacent, in the order of the dataset.
    Cost
        8 N bytes, and 4 M in an epoch; O(N) once and O(M) an epoch.
    Gradients
        Those of plain training on batches of different sizes: with `losses.mean()` a sample of a
        small batch has more weight; `reduce(..., denominator=d)` with one d for all batches
        corrects that. All weights are 1.
    Source
        Bags as in Ilse, Tomczak, Welling, "Attention-based Deep Multiple Instance Learning", ICML
        2018.

    Examples
    --------
    >>> bags = [5, 5, 7, 7, 7, 9]
    >>> list(GroupBatchSampler(bags, seed=0))
    [[5], [0, 1], [2, 3, 4]]
    """

    def __init__(
        self,
        groups: ArrayLike,
        groups_per_batch: int = 1,
        *,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        whole = WholeGroups(groups, groups_per_batch, unlabeled, **options)
        self.groups_per_batch = whole.groups_per_batch
        super().__init__(whole, None)


class WholeGroups(BlockSampler):
    """The draws of `GroupBatchSampler`, group by group."""

    covers_dataset = True

    def __init__(
        self,
        groups: ArrayLike,
        groups_per_batch: int,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        self._groups = Groups("groups", groups, unlabeled)
        count = len(self._groups)
        self.groups_per_batch = _check.integer("groups_per_batch", groups_per_batch, 1)
        self._drop_last = _check.flag("drop_last", options.get("drop_last", False))
        if self._drop_last and self.groups_per_batch > count:
            raise ValueError(
                f"groups_per_batch must be at most {count}, the number of groups, with "
                f"drop_last=True, got {self.groups_per_batch}: no batch would be left"
            )
        over = count % self.groups_per_batch if self._drop_last else 0
        self._dealt = count - over
        self.num_batches = -(-self._dealt // self.groups_per_batch)
        super().__init__(self._groups.codes.size, self._groups.num_labeled, **options)

    def _order(self, epoch: int) -> Indices:
        """Return the order of the groups of an epoch: int64."""
        order = Permutation(len(self._groups), _rng.key(self.seed, epoch, "whole groups"))
        return order(np.arange(self._dealt))

    def draws(self, epoch: int) -> int:
        if self._dealt == len(self._groups):
            return self.num_samples
        return int(self._groups.sizes[self._order(epoch)].sum())

    def table(self, epoch: int) -> DrawTable:
        groups = self._groups
        order = self._order(epoch)
        ends = np.concatenate([[0], np.cumsum(groups.sizes[order])])
        samples = np.empty(int(ends[-1]), groups.members.dtype)
        _blocks.lay_groups(groups.members, groups.starts, order, samples)
        edges = np.minimum(np.arange(self.num_batches + 1) * self.groups_per_batch, order.size)
        return ListTable(
            samples,
            groups.num_labeled,
            lambda rows: np.where(groups.codes[rows] >= 0, samples.size / groups.num_labeled, 0.0),
            ordered=True,
            even=groups.num_unlabeled == 0,
            cuts=ends[edges],
        )

    def identity(self) -> dict[str, object]:
        return {
            "groups": self._groups.codes,
            "groups_per_batch": self.groups_per_batch,
            "drop_last": self._drop_last,
        }
