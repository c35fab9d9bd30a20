"""Rows drawn with a probability that decreases exponentially with the rank of their loss.

In `SelectiveBackprop` the selection pressure follows from the fraction kept; here it is a separate
argument, and decreases over the run.
"""

from __future__ import annotations

import numpy as np
from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ._batch_selector import BatchSelector, Candidates, Chosen, SelectorOptions, unweighted
from ._draw_by_rank import draw_by_rank, draw_each_by_rank
from ._random_keys import check_keep, count_of


@told
class RankedBatch(BatchSelector):
    """Draw rows with probability decreasing exponentially with rank, less steeply over the run.

    A baseline. The hardest row has s times the probability of the easiest; s decreases from `start`
    to `end` over the run, by a constant factor from epoch to epoch.

    The paper ranks the whole dataset by last known losses. A probability that depends on the
    relative rank is the same among the rows of a uniformly drawn batch, so this selector makes the
    paper's draw from any large batch: give `SelectiveForward` the last known losses as `scores` and
    there is no scoring pass, as in the paper; without them, ranks are those of fresh losses.

    Parameters
    ----------
    num_epochs : int
        Number of epochs in the run; `set_epoch` sets the current one.
    keep : float in (0, 1] or int, default 0.5
        Fraction of the batch to train on, rounded up, or number of rows; at least 1.
    start : float >= 1, default 100
        s in the first epoch.
    end : float >= 1, default 1
        s in the last epoch; 1 draws uniformly.
    unbiased : bool, default False
        Draw each row independently, and weight each of the k drawn by k / (B * probability).
    **options
        The options of every selector: see `BatchSelector`.

    Attributes
    ----------
    pressure : float
        s of the current epoch.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Notes
    -----
    Order
        Without replacement, a function of (losses, seed, epoch, step, rank); ties are broken at
        random. Losses that are not finite are drawn last.
    Cost
        A forward pass over the batch, or none with last known losses. Does not synchronize the
        device unless `unbiased`.
    Gradients
        Biased towards hard samples, without weights; unbiased=True restores the batch's mean.
    Source
        After Loshchilov, Hutter, "Online Batch Selection for Faster Training of Neural Networks",
        2016, arXiv:1511.06343.

    Examples
    --------
    >>> selector = RankedBatch(num_epochs=3)
    >>> for epoch in range(3):
    ...     selector.set_epoch(epoch)
    ...     print(round(selector.pressure, 9))
    100.0
    10.0
    1.0
    """

    def __init__(
        self,
        num_epochs: int,
        keep: float = 0.5,
        *,
        start: float = 100.0,
        end: float = 1.0,
        unbiased: bool = False,
        **options: Unpack[SelectorOptions],
    ) -> None:
        self.num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.keep = check_keep(keep)
        self.start = _check.number("start", start, "[1, 1e30)")
        self.end = _check.number("end", end, "[1, 1e30)")
        self.unbiased = _check.flag("unbiased", unbiased)
        super().__init__(**options)
        if self.collect is not None and not self.unbiased:
            raise ValueError(
                f"collect must be None without unbiased, got {self.collect}: the same number of "
                "rows is taken from every batch"
            )

    @property
    def pressure(self) -> float:
        """Ratio of the probabilities of the hardest and the easiest row in this epoch."""
        part = min(1.0, self.epoch / max(1, self.num_epochs - 1))
        return float(self.start * (self.end / self.start) ** part)

    def _choose(self, candidates: Candidates) -> Chosen:
        size = candidates.losses.numel()
        chances = np.exp(-np.log(self.pressure) * np.arange(size) / max(1, size - 1))
        count = count_of(self.keep, size)
        if not self.unbiased:
            return unweighted(draw_by_rank(candidates, chances, count))
        rows, chance = draw_each_by_rank(candidates, chances, count)
        return Chosen(rows, self._weights(1.0 / chance, size))

    def _identity(self) -> dict[str, object]:
        names = ("num_epochs", "keep", "start", "end", "unbiased")
        return {name: getattr(self, name) for name in names}
