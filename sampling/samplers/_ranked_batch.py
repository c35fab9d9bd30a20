"""Rows drawn with a chance that falls exponentially with the rank of their loss.

`SelectiveBackprop` fixes how strongly losses count by how much is kept; here that pressure is an
argument of its own, and falls over the run.
"""

import numpy as np
from typing_extensions import Unpack

from .. import _check
from .._keywords import told
from ..types import Floats
from ._lots import check_keep
from ._ranked_draw import RankedDraw
from ._selectors import SelectorOptions


@told
class RankedBatch(RankedDraw):
    """Draw rows with a chance that falls exponentially with their rank, ever less steeply.

    A baseline. The hardest row has s times the chance of the easiest; s falls from `start` to
    `end` over the run, by the same factor from epoch to epoch.

    The paper ranks the whole dataset by last known losses. A chance that depends on the rank as a
    part of all ranks is the same among the rows of a batch drawn evenly, so that this selector
    makes the paper's draw from any big batch: give `SelectiveForward` the last known losses as
    `scores` and no scoring pass is made, as in the paper; without them, ranks are of fresh losses.

    Parameters
    ----------
    num_epochs : int
        Epochs of the run; `set_epoch` says where in it.
    keep : float in (0, 1] or int, default 0.5
        Part of the batch to train on, rounded up, or how many rows; at least 1.
    start : float >= 1, default 100
        s in the first epoch.
    end : float >= 1, default 1
        s in the last epoch; 1 draws evenly.
    unbiased : bool, default False
        Throw a coin for each row, and weight each of the k drawn by k / (B * probability).
    **options
        Those of every selector: see `BatchSelector`.

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
        Without replacement, a function of (losses, seed, epoch, step, rank); ties by lot. Losses
        that are not finite are drawn last.
    Cost
        A forward pass over the batch, or none with last known losses. Does not wait for the device
        unless `unbiased`.
    Gradients
        Biased to hard samples, without weights; unbiased=True restores the batch's mean.
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
        """How many times the chance of the easiest row the hardest one has, in this epoch."""
        part = min(1.0, self.epoch / max(1, self.num_epochs - 1))
        return float(self.start * (self.end / self.start) ** part)

    def _chances(self, size: int, part: float) -> Floats:
        found: Floats = np.exp(-np.log(self.pressure) * np.arange(size) / max(1, size - 1))
        return found

    def _identity(self) -> dict[str, object]:
        names = ("num_epochs", "keep", "start", "end", "unbiased")
        return {name: getattr(self, name) for name in names}
