"""The highest losses of a batch, or of each group in it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ._batch_selector import BatchSelector, Candidates, Chosen, SelectorOptions, unweighted
from ._random_keys import check_keep, count_of, hardest_first


@told
class TopKLoss(BatchSelector):
    """Train on the highest losses of a batch only.

    Online hard example mining; the mean of the k highest losses is also the average top-k loss,
    and the CVaR of the batch. A baseline if rows are samples: mislabelled samples and outliers have
    the highest losses, which `cap` excludes. If the rows of a batch are candidates of a few images,
    as in detection, `within="group"` selects `keep` of the rows of each image.

    Parameters
    ----------
    keep : float in (0, 1] or int, default 0.25
        Fraction of the rows to train on, rounded up, or number of rows; at least 1.
    within : {"batch", "group"}, default "batch"
        Whether `keep` and `cap` apply to the batch or to each group of `groups`.
    cap : float in [0, 1), default 0
        Fraction of the rows, those with the highest losses, that is excluded; rounded down.
    **options
        The options of every selector: see `BatchSelector`.

    Raises
    ------
    ValueError
        If an argument is out of its range, or `keep` and `cap` add up to more than all rows; if
        within="group" and no groups are given.

    Notes
    -----
    Order
        Ties are broken at random. Losses that are not finite come last.
    Cost
        A forward pass over the batch. within="batch" does not synchronize the device.
    Gradients
        Biased towards hard samples, without weights.
    Source
        Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with Online Hard
        Example Mining", CVPR 2016, arXiv:1604.03540. Overlapping candidates are not removed here
        (no non-maximum suppression): do it before, with their boxes.

    Examples
    --------
    >>> losses = torch.tensor([0.1, 9.0, 0.7, 0.5])
    >>> TopKLoss(keep=2).select(losses).rows
    tensor([1, 2])
    >>> TopKLoss(keep=2, cap=0.25).select(losses).rows
    tensor([2, 3])
    >>> TopKLoss(keep=1, within="group").select(losses, groups=[0, 0, 1, 1]).rows
    tensor([1, 2])
    """

    def __init__(
        self,
        keep: float = 0.25,
        *,
        within: Literal["batch", "group"] = "batch",
        cap: float = 0.0,
        **options: Unpack[SelectorOptions],
    ) -> None:
        self.keep = check_keep(keep)
        self.within = _check.choice("within", within, ("batch", "group"))
        self.cap = _check.number("cap", cap, "[0, 1)")
        if isinstance(self.keep, float) and self.keep + self.cap > 1.0 + 1e-9:
            raise ValueError(f"keep + cap must be at most 1, got {keep} + {cap}")
        super().__init__(**options)

    def _choose(self, candidates: Candidates) -> Chosen:
        order = hardest_first(candidates.losses, candidates.uniforms())
        if self.within == "batch":
            return unweighted(order[self._kept(order.numel())].sort().values)
        if candidates.groups is None:
            raise ValueError("groups must be given for within='group', got None")
        _, codes = np.unique(candidates.groups, return_inverse=True)
        ranked = order.cpu().numpy()
        of_group = ranked[np.argsort(codes[ranked], kind="stable")]  # each group's, hardest first
        ends = np.cumsum(np.bincount(codes))
        taken = [part[self._kept(part.size)] for part in np.split(of_group, ends[:-1])]
        rows = torch.from_numpy(np.sort(np.concatenate(taken)))
        return unweighted(rows.to(candidates.losses.device))

    def _kept(self, size: int) -> slice:
        """Return the selected positions in an order of `size` rows, hardest first."""
        left_out = min(int(self.cap * size + 1e-9), size - 1)
        return slice(left_out, min(size, left_out + count_of(self.keep, size)))

    def _identity(self) -> dict[str, object]:
        return {"keep": self.keep, "within": self.within, "cap": self.cap}
