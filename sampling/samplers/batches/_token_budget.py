"""Batches of similar lengths within a budget of tokens. Whole groups: `GroupBatchSampler`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices
from ..core._epoch_sampler import EpochSampler
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ListTable
from ._by_length import ByLength, DrawsByLength
from ._epoch_batches import BlockBatchSampler, BlockSampler, EpochBatchSampler


@told
class TokenBudgetBatchSampler(BlockBatchSampler):
    """Batch samples of similar length, as many as a budget of tokens allows.

    For text, speech and other samples of different lengths: a batch of n samples padded to the
    longest costs n times that length, and no batch costs more than `max_tokens`. Random batches of
    the same budget spend most of it on padding if lengths vary widely. Every sample is drawn once
    an epoch, or as `sampler` draws it: pruned, balanced, mixed or weighted.

    Without `sampler`, the number of batches is the same in every epoch, and known before the first:
    loaders and learning-rate schedules may read it once. With it, the number may vary:
    `length(epoch)` returns it, of a dynamic sampler that of the planned epoch.

    Parameters
    ----------
    lengths : int or float array-like of shape (N,)
        Length of each sample, finite and >= 0: tokens, frames, seconds.
    max_tokens : int or float, optional
        Maximum cost of a batch, in the unit of `lengths`; at least the longest of them. None for
        batches of `max_batch_size` samples of similar length, whatever they cost.
    max_batch_size : int, optional
        Maximum number of samples in a batch, however short.
    batch_size_multiple : int, default 1
        Sizes of at least this are rounded down to a multiple of it; the last few samples form one
        batch of any size.
    padded : bool, default True
        True: a batch costs n times its longest sample. False: it costs the sum of its lengths, for
        packed or nested tensors; it then contains lengths of all kinds, and all batches have nearly
        equal sums.
    noise : float >= 0, default 0.1
        Samples are shuffled within bands of similar length, whose longest sample is at most
        1 + noise times the shortest. About half of `noise` is lost, to padding or, with
        padded=False, of the budget. 0 shuffles equal lengths only.
    round_size : int, default 8
        Number of consecutive batches of similar length. A multiple of `num_replicas` gives the
        ranks of a step nearly equal cost, also if cost grows faster than length, as that of
        attention does. The order does not depend on the ranks, so choose it for the largest number
        that the run may have. Ignored if not padded.
    longest_first : bool, default False
        Whether epoch 0 begins with the batch of the longest sample, and a round of batches of
        similar length: a budget that does not fit into memory then fails at once. With padded=True
        only.
    sampler : EpochSampler, optional
        Draws the epoch, with its seed and its ranks: any sampler of this package that draws single
        samples, and is at the beginning of an epoch. Make it for these batches alone: it draws in
        their order from then on. Call `reduce`, `record`, `set_epoch` and the others here or there.
    window : int, optional
        Number of consecutive draws of `sampler` that are grouped together; the whole epoch by
        default. Batches then follow the sampler's order from window to window, as a curriculum or
        the even shares of a mixture require. The last batch of a window may be small.
    **options
        The options of every sampler: see `EpochSampler`. Every sample is drawn, so `drop_last` only
        lets accelerate exclude a last round with fewer batches than processes. With `sampler`, give
        them to it.

    Attributes
    ----------
    batch_size : None
        None because sizes vary.
    sampler : EpochSampler
        What draws the samples: the argument, or the one that is made without it.

    Raises
    ------
    ValueError
        If a sample is longer than `max_tokens`, or a length is negative, NaN or infinite: the
        message names the row. If `batch_size_multiple` or `longest_first` is given with
        padded=False, or `longest_first` with `window`. If there are not as many lengths as samples
        in the dataset of `sampler`, or it is part of another batch sampler, or not at the beginning
        of an epoch.

    Notes
    -----
    Order
        Samples are sorted by length once, and cut into batches. In each epoch the samples of a band
        are permuted at random, rounds of adjacent batches are shuffled, and so are the batches of a
        round. If `round_size` does not divide the number of batches, there is one short round, of
        random lengths, which is drawn last. With `sampler`, the M draws of an epoch are sorted and
        cut when the epoch is planned; which samples are drawn, how often, and their weights do not
        change. Draws of one sample have equal lengths, so they often share a batch.
    Cost
        O(N log N) once, O(N) an epoch. Holds 4 N bytes (8 N if not padded), 4 N in an epoch, 8 N
        more during planning and up to 45 N during construction. With `sampler`: O(M log M) an epoch
        and 8 N bytes; 4 M in an epoch, and up to 60 M during planning, less with a `window`.
    Gradients
        Those of plain training on batches of different sizes: with `losses.mean()` a sample of a
        small batch, which is a long one, has more weight; `reduce(..., denominator=d)` with one d
        for all batches corrects that. All weights are 1, or those of `sampler`.

    Examples
    --------
    >>> lengths = [3, 9, 4, 4, 10, 3, 3]
    >>> batches = TokenBudgetBatchSampler(lengths, max_tokens=20, seed=0)
    >>> [[lengths[i] for i in batch] for batch in batches]
    [[10, 9], [4, 4, 3, 3, 3]]

    The draws of another sampler, in batches of similar length:

    >>> from sampling.samplers import ClassBalancedSampler
    >>> balanced = ClassBalancedSampler([0, 0, 0, 0, 0, 1, 1], num_samples=8, seed=0)
    >>> batches = TokenBudgetBatchSampler(lengths, max_tokens=20, sampler=balanced)
    >>> [[lengths[i] for i in batch] for batch in batches]
    [[10, 4], [4, 3, 3, 3, 3], [3]]
    """

    sampler: EpochSampler  # type: ignore[assignment]  # or a `BlockSampler`

    def __init__(  # noqa: PLR0913  # how the batches are made, and of what
        self,
        lengths: ArrayLike,
        max_tokens: float | None = None,
        *,
        max_batch_size: int | None = None,
        batch_size_multiple: int = 1,
        padded: bool = True,
        noise: float = 0.1,
        round_size: int = 8,
        longest_first: bool = False,
        sampler: EpochSampler | None = None,
        window: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        by_length = ByLength(
            max_tokens,
            max_batch_size=max_batch_size,
            batch_size_multiple=batch_size_multiple,
            padded=padded,
            noise=noise,
            round_size=round_size,
            longest_first=longest_first,
        )
        self.max_tokens = by_length.max_tokens
        sizes = _check.floats("lengths", lengths, "finite and >= 0")
        if sampler is None:
            if window is not None:
                raise ValueError(
                    f"window must not be given without sampler, got {window}: it keeps the order "
                    "of one"
                )
            super().__init__(TokenBlocks(sizes, by_length, **options), None)
            return
        if options:
            raise ValueError(
                f"{next(iter(options))} must not be given with sampler: give it to the sampler"
            )
        self._arrange(sampler, sizes, by_length, window)

    def _arrange(
        self, sampler: EpochSampler, lengths: Floats, by_length: ByLength, window: int | None
    ) -> None:
        if not isinstance(sampler, EpochSampler):
            raise TypeError(
                "sampler must be an EpochSampler, which draws single samples, got "
                f"{type(sampler).__name__}"
            )
        if window is not None:
            window = _check.integer("window", window, 1)
            if by_length.longest_first:
                raise ValueError(
                    "longest_first must be False with a window, whose longest samples need not be "
                    "those of the epoch, got True"
                )
        _check_rows(sampler, lengths)
        if sampler.covers_dataset:
            by_length.check(lengths)
        sampler._arrange(DrawsByLength(lengths.copy(), by_length, window), type(self).__name__)
        self.sampler, self.batch_size = sampler, None
        sampler._plan(sampler.epoch)  # raises for a draw that is too long

    @property
    def num_batches(self) -> int:
        """Number of batches in the current epoch, summed over all ranks."""
        if isinstance(self.sampler, BlockSampler):
            return self.sampler.num_batches
        return self._cuts(self.sampler.epoch).whole

    def length(self, epoch: int) -> int:
        """Return this rank's number of batches in an epoch; if dynamic, in the planned one."""
        if isinstance(self.sampler, BlockSampler):
            return super().length(epoch)
        return EpochBatchSampler.length(self, epoch)


def _check_rows(sampler: EpochSampler, lengths: Floats) -> None:
    """Raise unless there is a length for each sample that the sampler may draw."""
    known = sampler.size if sampler.covers_dataset else sampler.selected_from
    if lengths.size == known or (known is None and lengths.size >= sampler.size):
        return
    rule = f"at least {sampler.size}" if known is None else str(known)
    raise ValueError(
        f"lengths must have one value for each sample of the dataset of the "
        f"{type(sampler).__name__}, {rule}, got {lengths.size}"
    )


class TokenBlocks(BlockSampler):
    """The draws of `TokenBudgetBatchSampler`, batch by batch."""

    covers_dataset = True

    def __init__(
        self, lengths: Floats, by_length: ByLength, **options: Unpack[EpochOptions]
    ) -> None:
        by_length.check(lengths)
        self._by_length = by_length
        self._batches = by_length.grouped(lengths)
        self.num_batches = self._batches.cuts.size - 1
        super().__init__(lengths.size, lengths.size, **options)

    def table(self, epoch: int) -> DrawTable:
        bands, rounds = (
            _rng.key(self.seed, epoch, f"token {name}") for name in ("bands", "rounds")
        )
        begins = self._by_length.longest_first and epoch == 0
        samples, cuts = self._by_length.laid(self._batches, bands, rounds, begins=begins)
        return ListTable(samples, self.size, _once, ordered=True, even=True, cuts=cuts)

    def identity(self) -> dict[str, object]:
        batches = self._batches
        found: dict[str, object] = {
            "order from lengths": batches.members,
            "bands from lengths": batches.starts,
            "batches from lengths": batches.cuts,
        }
        if batches.places is not None:
            found["places from lengths"] = batches.places
        return found | self._by_length.identity()


def _once(rows: Indices) -> Floats:
    return np.ones(rows.size)
