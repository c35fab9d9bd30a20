"""Samples in groups (classes or clusters), drawn by quota: every sample before any is repeated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...kernels import _groups
from ...types import Floats, Indices, Packed
from ._quotas import SPAN, Quotas, run_starts
from ._tables import ListTable
from ._threads import PART, in_parts

Shares = Callable[[int], Floats]  # epoch -> share of each group (C,), summing to 1

Unlabeled = Literal["drop", "group", "raise"]

_SHARED = 2**16  # entries of the counters of which each part of the samples has its own, at most
_MOST_PARTS = 16

BLOCK = 1024  # epochs of changing shares after which the sequences restart


@told
class Groups:
    """The samples of each class or cluster.

    Parameters
    ----------
    name : str
        What the labels are called in messages, such as "labels".
    labels : int or str array-like of shape (N,)
        Class of each sample; -1, None and NaN mean unlabelled.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        "drop": samples without a label are in no group; "group": they are a group; "raise":
        refuse them.

    Attributes
    ----------
    names : array of shape (C,)
        The caller's class ids, sorted. Only groups with samples are included.
    sizes : int64 array of shape (C,)
        Number of samples of each group.
    codes : int32 array of shape (N,)
        Position in `names` of each sample's group; -1 if unlabelled.
    starts : int64 array of shape (C + 1,)
        Where the samples of each group begin in `members`.
    members : int array of shape (labelled samples,)
        The samples, group by group.

    Examples
    --------
    >>> groups = Groups("labels", ["cat", "dog", "cat", None])
    >>> groups.names, groups.sizes, groups.codes
    (array(['cat', 'dog'], dtype='<U3'), array([2, 1]), array([ 0,  1,  0, -1], dtype=int32))
    """

    def __init__(self, name: str, labels: ArrayLike, unlabeled: str = "drop") -> None:
        word = _check.choice("unlabeled", unlabeled, get_args(Unlabeled))
        read = _labels.read(name, labels)
        if word == "group":
            read = _labels.as_group(read)
        self.names, self.codes, self.sizes = _encode(read)
        if word == "raise" and (self.codes < 0).any():
            rows = np.flatnonzero(self.codes < 0)
            raise ValueError(
                f"{name} must be given for each sample, got none in row {rows[0]} ({rows.size} "
                "such rows): fill them in, or use unlabeled='drop' or unlabeled='group'"
            )
        size = self.codes.size
        if self.names.size == 0:
            raise ValueError(f"{name} must label at least one sample, got -1 in all {size}")
        self.num_labeled = int(self.sizes.sum())
        self.num_unlabeled = size - self.num_labeled
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)])
        dtype = np.int32 if size < 2**31 else np.int64
        self.members = np.empty(self.num_labeled, dtype)
        _collect(self.codes, self.starts, self.members)

    def __len__(self) -> int:
        return self.names.size

    def of(self, code: int) -> Packed:
        """Return the samples of one group, in index order."""
        return self.members[self.starts[code] : self.starts[code + 1]]

    def spread(self, per_group: Floats, rows: Indices) -> Floats:
        """Return each sample's equal share of the value of its group; 0 if in no group."""
        codes = self.codes[rows]
        return np.where(codes >= 0, (per_group / self.sizes)[codes], 0.0)


class Dealer:
    """Draws quotas from endless sequences of shuffles, one for each group, continued across epochs.

    A quota M * share is rarely an integer. It is rounded up or down, for all groups together so
    that the sum is M; the position in each sequence is the sum of the earlier quotas.

    If the shares are constant from some epoch, the sums of any later epoch are computed directly:
    see `Quotas`. Before it, each epoch is rounded at random, independently, and the sums are
    accumulated epoch by epoch. To limit this to `BLOCK` epochs, the sequences restart, with other
    shuffles, in every earlier epoch that is a multiple of `BLOCK`.

    Parameters
    ----------
    groups : Groups
        The samples of each group.
    num_samples : int
        M, draws in one epoch.
    shares : float64 array of shape (C,) or callable
        Share of each group, summing to 1; a callable takes the epoch.
    seed : int
        Seed of the shuffles and of the random rounding.
    settled : int, default 0
        First epoch from which the shares are constant.
    quotas : Quotas, optional
        The quotas from epoch `settled`; by default made from the shares then.
    most : int, optional
        How often a sample may be drawn in an epoch; the shares must allow it.
    """

    def __init__(
        self,
        groups: Groups,
        num_samples: int,
        shares: Floats | Shares,
        seed: int,
        *,
        settled: int = 0,
        quotas: Quotas | None = None,
        most: int | None = None,
    ) -> None:
        self._groups = groups
        self._num_samples = num_samples
        self._shares = shares
        self._seed = seed
        self._settled = settled
        self._most = most
        if quotas is None:
            quotas = Quotas(self._share(settled), num_samples, _rng.key(seed, settled, "quotas"))
        self._quotas = quotas
        self._epoch = 0
        self._used = np.zeros(len(groups), np.int64)

    def _share(self, epoch: int) -> Floats:
        return self._shares(epoch) if callable(self._shares) else self._shares

    def _plan(self, epoch: int) -> tuple[NDArray[Any], Indices]:
        """Return the earlier draws of each sequence and an epoch's quotas: (C,), int64 (C,)."""
        if epoch < self._settled:
            return self._walked(epoch), self._rounded(epoch)
        after = epoch - self._settled
        used = self._quotas.before(after) + self._walked(self._settled)
        return used, self._quotas.of(after)

    def _rounded(self, epoch: int) -> Indices:
        offset = _rng.uniform(_rng.key(self._seed, epoch, "quota"))
        return quotas_of(self._share(epoch), self._num_samples, offset)

    def _walked(self, epoch: int) -> Indices:
        """Return the earlier draws of each sequence, since the last epoch that `BLOCK` divides."""
        begin = epoch // BLOCK * BLOCK
        if not begin <= self._epoch <= epoch:
            self._epoch, self._used = begin, np.zeros_like(self._used)
        while self._epoch < epoch:
            self._used = self._used + self._rounded(self._epoch)
            self._epoch += 1
        return self._used

    def deal(self, epoch: int) -> Packed:
        """Return the samples of an epoch, group by group: (M,)."""
        groups = self._groups
        out = np.empty(self._num_samples, groups.members.dtype)
        key = _rng.key(self._seed, min(epoch, self._settled) // BLOCK, "deal")
        used, quotas = self._plan(epoch)
        starts = run_starts(used, groups.sizes)
        if self._most is not None:
            shuffles = -(-(starts % groups.sizes + quotas) // groups.sizes)
            own = (epoch * self._most % SPAN) % (SPAN // groups.sizes) * groups.sizes
            starts = np.where(shuffles > self._most, own, starts)
        deal_windows(groups.members, groups.starts, starts, quotas, key, out)
        return out

    def table(self, epoch: int) -> ListTable:
        """Return the draw table of an epoch."""
        per_group = self._share(epoch) * self._num_samples
        return ListTable(
            self.deal(epoch),
            self._groups.num_labeled,
            partial(self._groups.spread, per_group),
        )


def quotas_of(shares: Floats, num_samples: int, offset: float) -> NDArray[np.int64]:
    """Round num_samples * shares (C,) up or down, by a number in [0, 1); the sum is unchanged."""
    edges = np.cumsum(shares) * num_samples
    edges[-1] = num_samples
    steps = np.floor(np.minimum(edges, num_samples) + offset).astype(np.int64)
    steps[-1] = num_samples
    return np.diff(steps, prepend=0)


def within_room(quotas: NDArray[np.int64], room: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cap quotas (C,) at `room` (C,); the groups with the most remaining room get the excess."""
    wanted = int(quotas.sum())
    quotas = np.minimum(quotas, room)
    while (left := wanted - int(quotas.sum())) > 0:
        free = room - quotas
        takers = np.argsort(-free, kind="stable")[:left]
        quotas[takers] += free[takers] > 0
    return quotas


def _encode(
    labels: NDArray[Any] | _labels.Labels,
) -> tuple[NDArray[np.generic], NDArray[np.int32], NDArray[np.int64]]:
    """Return (names (C,), codes (N,), sizes (C,)); ids in [0, 4 N) by counting, others by sort."""
    if isinstance(labels, _labels.Labels):
        known = labels.codes[labels.codes >= 0]
        sizes = np.bincount(known, minlength=labels.names.size)
        return labels.names, labels.codes.astype(np.int32), sizes
    if labels.dtype.kind in "iu" and (top := int(labels.max())) < 4 * labels.size + 65_536:
        counts = np.sum(_counted(labels, top + 2), axis=0)
        names = np.flatnonzero(counts[1:])
        numbers = np.full(top + 2, -1, np.int32)
        numbers[names + 1] = np.arange(names.size)
        codes = np.empty(labels.size, np.int32)
        in_parts(
            lambda start, stop: _groups.encode(labels[start:stop], numbers, codes[start:stop]),
            labels.size,
        )
        return names, codes, counts[1:][names]
    return _encode(_labels.Labels.of(labels))


def _part(size: int, entries: int) -> int:
    """Return how many of `size` samples a thread takes at a time, if it counts in `entries`."""
    return max(PART, -(-size // _MOST_PARTS)) if entries <= _SHARED else size


def _counted(labels: Packed, entries: int) -> list[Indices]:
    """Return how often each label - 1 occurs in each part of the samples: int64 (entries,)."""

    def part(start: int, stop: int) -> Indices:
        counts = np.zeros(entries, np.int64)
        _groups.count(labels[start:stop], counts)
        return counts

    return in_parts(part, labels.size, _part(labels.size, entries))


def _collect(codes: NDArray[np.int32], starts: Indices, members: Packed) -> None:
    """List the samples of each group, in index order, group after group.

    starts  : int64 (C + 1,)
    members : int, filled
    """
    size = _part(codes.size, starts.size)
    cursors = [starts[:-1].copy()]
    if size < codes.size:  # each part begins where the parts before it end
        for counts in _counted(codes, starts.size)[:-1]:
            cursors.append(cursors[-1] + counts[1:])
    in_parts(
        lambda start, stop: _groups.collect_members(
            codes[start:stop], start, cursors[start // size], members
        ),
        codes.size,
        size,
    )


def deal_windows(
    members: Packed,
    starts: Indices,
    used: Indices,
    quotas: Indices,
    key: np.uint64,
    out: Packed,
) -> None:
    """Draw the quota of each group, as `kernels._groups.deal_windows` does, shared by threads."""
    begins = np.cumsum(quotas) - quotas

    def part(start: int, stop: int) -> None:
        first, last = (np.clip(at - begins, 0, quotas) for at in (start, stop))
        here = out[start:stop]
        _groups.deal_windows(members, starts, used + first, last - first, key, here)

    in_parts(part, out.size, max(PART, -(-out.size // _MOST_PARTS)))
