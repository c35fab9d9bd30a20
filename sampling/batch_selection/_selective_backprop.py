"""Selective-Backprop: rows drawn with a probability that increases with the rank of their loss.

Softer than `TopKLoss`, which never selects an easy row: here every row can be drawn, so a sample
that was learned and then forgotten returns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ._batch_selector import BatchSelector, Candidates, Chosen, SelectorOptions, unweighted
from ._draw_by_rank import draw_by_rank, draw_each_by_rank
from ._random_keys import check_keep, count_of


@told
class SelectiveBackprop(BatchSelector):
    """Draw rows with a probability that is a power of the percentile of their loss.

    A baseline. It can save little: with a forward pass at a third of a step, keeping half saves a
    sixth, and the gradient changes. If losses from earlier steps suffice, a sampler that prunes
    (`InfoBatchSampler`) needs no scoring pass. Give `SelectiveForward` the last known losses as
    `scores` for the form without a scoring pass.

    Parameters
    ----------
    keep : float in (0, 1] or int, default 0.5
        Fraction of the batch to train on, rounded up, or number of rows; at least 1. The power is
        1 / keep - 1. An int is for form="batch".
    form : {"batch", "history"}, default "batch"
        "batch": percentiles in the batch, and a fixed number of rows without replacement, as in
        Composer. "history": percentiles among the last `history` losses, and an independent draw
        for each row, as in the paper: the number of rows varies; `collect` makes it constant.
    history : int, default 1024
        R: number of losses remembered, including those of the batch. Ignored by form="batch".
    unbiased : bool, default False
        Draw each row independently, also in form="batch", and weight each of the k drawn rows by
        k / (B * probability): their mean is that of the whole batch in expectation.
    floor : float in [0, 1], default 0
        Lowest probability of a row, which bounds the weights. For form="history".
    **options
        The options of every selector: see `BatchSelector`.

    Raises
    ------
    ValueError
        If an argument is out of its range or not supported by the form.

    Notes
    -----
    Order
        A function of (losses, seed, epoch, step, rank) and, for "history", of the earlier losses.
        Ties are broken at random. Losses that are not finite are drawn last, and never by
        independent draws.
    Cost
        A forward pass over the batch. form="batch" without `unbiased` does not synchronize the
        device. "history" sorts R numbers a batch.
    Gradients
        Biased towards hard samples, without weights. unbiased=True restores the mean of the batch,
        with more variance; when rows are collected, the sum over the epoch (weights
        1 / probability). Adam and similar optimizers undo a common factor of the weights.
    Source
        Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", 2019,
        arXiv:1910.00762; R and `floor` as in its code. form="batch": Composer, which selects
        int(keep * B) rows, where this rounds up; it selects only between fractions 0.5 and 0.9 of
        the run, in every second batch: use `active` of `SelectiveForward` for that.

    Examples
    --------
    >>> selector = SelectiveBackprop(keep=0.25, seed=0)
    >>> chosen = selector.select(torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, float("nan")]))
    >>> len(chosen.rows), bool((chosen.rows < 7).all())
    (2, True)
    """

    def __init__(
        self,
        keep: float = 0.5,
        *,
        form: Literal["batch", "history"] = "batch",
        history: int = 1024,
        unbiased: bool = False,
        floor: float = 0.0,
        **options: Unpack[SelectorOptions],
    ) -> None:
        self.keep = check_keep(keep)
        self.form = _check.choice("form", form, ("batch", "history"))
        self.history = _check.integer("history", history, 1)
        self.unbiased = _check.flag("unbiased", unbiased)
        self.floor = _check.number("floor", floor, "[0, 1]")
        if form == "history" and isinstance(self.keep, int):
            raise ValueError(f"keep must be a fraction in (0, 1] for form='history', got {keep}")
        if form == "batch" and self.floor:
            raise ValueError(f"floor must be 0 for form='batch', got {floor}")
        super().__init__(**options)
        if form == "batch" and self.collect is not None and not self.unbiased:
            raise ValueError(
                f"collect must be None for form='batch', got {self.collect}: it takes the same "
                "number of rows from every batch"
            )
        self._ring = torch.empty(0)  # the last losses, unordered; those not finite as NaN
        self._next = 0

    def _choose(self, candidates: Candidates) -> Chosen:
        size = candidates.losses.numel()
        if self.form == "history":
            rows, chance = self._draw_from_history(candidates)
        else:
            count = count_of(self.keep, size)
            part = count / size if self.keep >= 1 else self.keep
            percentiles = (size - np.arange(size) - 0.5) / size
            chances = np.maximum(percentiles ** (1.0 / part - 1.0), 1e-30)
            if not self.unbiased:
                return unweighted(draw_by_rank(candidates, chances, count))
            rows, chance = draw_each_by_rank(candidates, chances, count)
        if not self.unbiased:
            return unweighted(rows)
        return Chosen(rows, self._weights(1.0 / chance, size))

    def _draw_from_history(self, candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw each row by its percentile among the last losses: rows (k,), probabilities (k,)."""
        losses = candidates.losses
        self._observe(losses, None)
        chance = self._percentiles(losses) ** (1.0 / self.keep - 1.0)
        chance = torch.where(torch.isfinite(losses), chance.clamp(min=self.floor), 0.0)
        rows = torch.nonzero(candidates.uniforms() < chance).flatten()
        return rows, chance[rows]

    def _percentiles(self, losses: torch.Tensor) -> torch.Tensor:
        """Return the fraction of the remembered losses that is not above each loss: (B,)."""
        # NaN is moved to the end as infinity: a search among NaN would match everywhere.
        known = torch.sort(torch.nan_to_num(self._ring, nan=math.inf)).values
        below = torch.searchsorted(known, losses.to(known.dtype), right=True)
        return below / torch.isfinite(known).sum().clamp(min=1)

    def _observe(self, losses: torch.Tensor, features: Any) -> None:
        """Remember losses, replacing the oldest."""
        if self.form == "batch":
            return
        fresh = torch.where(torch.isfinite(losses), losses, torch.nan).float()[-self.history :]
        if self._ring.numel() == 0:
            self._ring = torch.full((self.history,), torch.nan, device=losses.device)
        if self._ring.device != losses.device:
            self._ring = self._ring.to(losses.device)
        first = min(fresh.numel(), self.history - self._next)
        self._ring[self._next : self._next + first] = fresh[:first]
        self._ring[: fresh.numel() - first] = fresh[first:]
        self._next = (self._next + fresh.numel()) % self.history

    def _identity(self) -> dict[str, object]:
        names = ("keep", "form", "history", "unbiased", "floor")
        return {name: getattr(self, name) for name in names}

    def _arrays(self) -> dict[str, Any]:
        return {"ring": _check.host(self._ring).copy(), "next": self._next}

    def _adopt(self, arrays: Mapping[str, Any]) -> None:
        self._ring = torch.from_numpy(np.array(arrays["ring"], np.float32))
        self._next = int(arrays["next"])
