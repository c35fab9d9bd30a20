"""Reducible holdout loss: the loss of a sample minus its loss under a model of other data."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ..scores import ScoreTable
from ..scores._device import DeviceWeights
from ..types import Scores
from ._batch_selector import BatchSelector, Candidates, Chosen, SelectorOptions, unweighted
from ._random_keys import check_keep, count_of, hardest_first

_EXCLUDED = 1e30  # an irreducible loss that puts a row after all others but not after NaN


@told
class RHOLoss(BatchSelector):
    """Train on the rows with the highest reducible loss: loss minus irreducible loss.

    Use it on noisy data, if there is more of it than training can use: mislabelled samples have a
    high irreducible loss and are not selected, nor are samples already learned. If the irreducible
    losses are all alike it is `TopKLoss`. Its steps are few but not cheap: selecting a tenth costs
    10/3 steps of scoring for each step of training, with a forward pass at a third of a step; and
    another model has to be trained first.

    The irreducible loss of a sample is its loss under a model that was not trained on it: a model
    of holdout data; or, without any, two models of the two halves of the data, each of which scores
    the other half.

    Parameters
    ----------
    irreducible : array-like of shape (N,) or ScoreTable
        Irreducible loss of each sample of the dataset; NaN = missing.
    keep : float in (0, 1] or int, default 0.1
        Fraction of the batch to train on, rounded up, or number of rows; at least 1.
    missing : {"loss", "exclude"}, default "loss"
        How to rank a row whose irreducible loss is missing: "loss" by its loss alone (which favours
        it), "exclude" after all other rows.
    **options
        The options of every selector: see `BatchSelector`.

    Attributes
    ----------
    num_missing : int
        Number of samples without an irreducible loss.

    Raises
    ------
    ValueError
        If an irreducible loss is infinite or all are missing; if `select` gets no indices, or one
        outside [0, N). For indices on a device `set_epoch` and `state_dict` raise instead.

    Notes
    -----
    Order
        Ties are broken at random. Losses that are not finite come last; scores may be negative.
    Cost
        4 N bytes, and as many on the device. A forward pass over the batch; never synchronizes the
        device.
    Gradients
        Biased towards samples that can be learned, without weights.
    Source
        Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
        Not Yet Learnt", ICML 2022, arXiv:2206.07137. The released code rounds the number of rows
        down: of a last batch of 35 it selects 3, where this selects 4.

    Examples
    --------
    >>> selector = RHOLoss([0.1, 2.0, 0.1, np.nan], keep=1)
    >>> selector.select(torch.tensor([1.0, 2.5, 0.2]), indices=[0, 1, 2]).rows  # 0.9, 0.5, 0.1
    tensor([0])

    Irreducible losses from two halves, where `losses_of(train, score)` trains a model on some
    samples and returns its losses on others:

    >>> from sklearn.model_selection import KFold
    >>> losses_of = lambda train, score: np.full(len(score), len(train) / 10)
    >>> irreducible = np.empty(9)
    >>> for train, score in KFold(2, shuffle=True, random_state=0).split(irreducible):
    ...     irreducible[score] = losses_of(train, score)
    >>> sorted(set(irreducible.tolist()))
    [0.4, 0.5]
    """

    def __init__(
        self,
        irreducible: ArrayLike | ScoreTable,
        keep: float = 0.1,
        *,
        missing: Literal["loss", "exclude"] = "loss",
        **options: Unpack[SelectorOptions],
    ) -> None:
        values = irreducible.values if isinstance(irreducible, ScoreTable) else irreducible
        given = _check.one_dimensional("irreducible", values)
        array = np.array(_check.as_numbers("irreducible", given), np.float32)
        if np.isinf(array).any():
            row = int(np.isinf(array).argmax())
            raise ValueError(f"irreducible must be finite or NaN, got {array[row]} in row {row}")
        self.num_missing = int(np.isnan(array).sum())
        if self.num_missing == array.size:
            raise ValueError(f"irreducible must not all be missing, got {array.size} NaN")
        self.keep = check_keep(keep)
        self.missing = _check.choice("missing", missing, ("loss", "exclude"))
        super().__init__(**options)
        self._irreducible: Scores = array
        self._on_device: dict[torch.device, DeviceWeights] = {}

    def _choose(self, candidates: Candidates) -> Chosen:
        losses = candidates.losses
        if candidates.indices is None:
            raise ValueError("indices must be given to RHOLoss, got None")
        known = self._known(candidates.indices, losses.device)
        instead = 0.0 if self.missing == "loss" else _EXCLUDED
        scores = losses - torch.where(torch.isnan(known), instead, known)
        order = hardest_first(scores, candidates.uniforms())
        return unweighted(order[: count_of(self.keep, order.numel())].sort().values)

    def _known(self, indices: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Return the irreducible losses of samples, on the device of the losses: float32 (B,)."""
        if not indices.is_cpu:
            if indices.device not in self._on_device:
                table = DeviceWeights(
                    self._irreducible.size, None, self._irreducible, indices.device
                )
                self._on_device[indices.device] = table
            found = self._on_device[indices.device](indices)
            return torch.full(indices.shape, torch.nan) if found is None else found.to(device)
        rows = indices.numpy()
        bad = (rows < 0) | (rows >= self._irreducible.size)
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"indices must be in [0, {self._irreducible.size}), got {rows[row]} in row {row}"
            )
        return torch.from_numpy(self._irreducible[rows]).to(device, non_blocking=True)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; see `BatchSelector.set_epoch`. Synchronizes with indices on a device."""
        self._report()
        super().set_epoch(epoch)

    def _report(self) -> None:
        """Raise for indices outside [0, N) among those that were on a device."""
        for device, table in self._on_device.items():
            bad = table.num_bad()
            if bad:
                self._on_device.clear()
                raise ValueError(
                    f"indices must be in [0, {self._irreducible.size}), got {bad} on {device} "
                    "that are not"
                )

    def _identity(self) -> dict[str, object]:
        return {
            "irreducible": self._irreducible,
            "keep": self.keep,
            "missing": self.missing,
        }

    def _arrays(self) -> dict[str, Any]:
        self._report()
        return {}
