"""Loss weights, recording of losses, and the loss for `backward`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..._check._keywords import told
from ...distributed import refuse_uneven, uneven
from ...kernels._scores import first_outside
from ...scores import ScoreTable
from ...scores._device import DeviceWeights
from ...scores._table import host_losses, host_rows, on_device
from ...types import Indices, Scores
from ...weighting._reduction import (
    Reduction,
    check_losses,
    check_reduction,
    checked_weights,
    reduce_losses,
)
from ._options import Checked

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from ...scores import ExposureCounter
    from ._plan import Plan
    from ._tables import Table


class Objective:
    """The methods of `EpochSampler` that compute the weights of losses."""

    size: int
    epoch: int
    _options: Checked
    _outer: str
    _plans: "dict[int, Plan]"
    _scores: ScoreTable | None
    _nonfinite: "int | torch.Tensor" = 0

    # ------------------------------------------------------------------ what a method may provide

    def _make_scores(self) -> ScoreTable | None:
        """Return the table that `record` writes to; None if recorded losses are only counted."""
        return None

    def _score_tables(self) -> tuple[ScoreTable, ...]:
        """Return the tables that are synchronized between the ranks."""
        return () if self._scores is None else (self._scores,)

    def _learn(
        self,
        rows: Indices | torch.Tensor,
        losses: torch.Tensor,
        logits: torch.Tensor | None,
        labels: torch.Tensor | None,
    ) -> None:
        """Write what the method uses to its tables: by default the losses.

        losses : (B,), checked, with their graph; logits (B, C) and labels as given by the user
        """
        if self._scores is not None:
            self._scores.update(rows, losses)

    def _refusal(self, epoch: int) -> str:
        """Return why an epoch has no importance weights; empty if it has them."""
        return ""

    def _original_weights(self, table: "Table", rows: Indices) -> NDArray[np.float64]:
        """Return the weights of objective="original"; by default 1/(N p)."""
        return table.size / (table.population * table.expected(rows))

    def _plan(self, epoch: int) -> "Plan":
        raise TypeError("EpochSampler plans epochs")

    # ------------------------------------------------------------------ weights

    @property
    def objective(self) -> str:
        """Which mean training minimises: "sampled" (over the draws) or "original" (the data)."""
        return self._options.objective

    @property
    def process_group(self) -> "ProcessGroup | None":
        """The ranks that train together; None = all ranks."""
        return self._options.process_group

    @property
    def exposure(self) -> "ExposureCounter | None":
        """The counter of every sample trained on."""
        return self._options.exposure

    @property
    def num_nonfinite(self) -> int:
        """Number of losses recorded so far that were NaN or infinite. Synchronizes a device."""
        if self._scores is None:
            return int(self._nonfinite)
        self._scores.flush()
        return self._scores.num_nonfinite + int(self._nonfinite)

    @overload
    def weights_for(self, indices: torch.Tensor) -> torch.Tensor: ...
    @overload
    def weights_for(self, indices: ArrayLike) -> Scores: ...
    @told
    def weights_for(self, indices: ArrayLike | torch.Tensor) -> Scores | torch.Tensor:
        """Return the loss weights that `reduce` applies to these samples in the current epoch.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples that this epoch draws.

        Returns
        -------
        float32 of shape (B,)
            A tensor on the same device if `indices` is one, else an array.
        """
        if isinstance(indices, torch.Tensor) and not indices.is_cpu:
            found = self._device_weights(indices)
            return torch.ones(indices.shape, device=indices.device) if found is None else found
        rows = self._rows(indices)
        weights = self._host_weights(rows)
        weights = np.ones(rows.size, np.float32) if weights is None else weights
        return torch.from_numpy(weights) if isinstance(indices, torch.Tensor) else weights

    @overload
    def importance_weights(self, indices: torch.Tensor) -> torch.Tensor: ...
    @overload
    def importance_weights(self, indices: ArrayLike) -> Scores: ...
    @told
    def importance_weights(self, indices: ArrayLike | torch.Tensor) -> Scores | torch.Tensor:
        """Return 1/(N p) for samples of this epoch, whatever the objective.

        p is the sample's share of the expected draws, so a draw's expected weight is 1, and the
        weighted mean over draws estimates the mean over the data.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples that this epoch draws.

        Returns
        -------
        float32 of shape (B,)
            A tensor on the same device if `indices` is one, else an array.

        Raises
        ------
        ValueError
            If some sample is never drawn, or p is unknown: no weight can then restore the mean.
        """
        self._raise_if_refused(self.epoch)
        table = self._plan(self.epoch).table
        rows = self._rows(indices.cpu() if isinstance(indices, torch.Tensor) else indices)
        weights = (table.size / (table.population * table.expected(rows))).astype(np.float32)
        if isinstance(indices, torch.Tensor):
            return torch.from_numpy(weights).to(indices.device)
        return weights

    # ------------------------------------------------------------------ the training step

    @told
    def record(
        self,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> None:
        """Record the losses of a batch, from which a dynamic sampler plans its epochs.

        For training loops that compute their own loss; `reduce` records by itself. Never
        synchronizes a device. Static samplers check the batch and count losses that are not finite.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them. May be on the device of the
            losses.
        losses : float array or tensor of shape (B,)
            One loss per sample, unweighted. Detached and copied.
        logits : float tensor of shape (B, C), optional
        labels : tensor of shape (B,) or (B, C), optional
            Required by samplers that use more than the loss, as documented there; others ignore
            them.
        """
        if not isinstance(losses, torch.Tensor):
            losses = torch.from_numpy(host_losses(losses))
        rows = self._located(indices)
        check_losses(losses, rows)
        if isinstance(rows, torch.Tensor):
            self._device_weights(rows)  # counts bad indices
        self._store(rows, losses, logits, labels)

    @told
    def reduce(
        self,
        losses: torch.Tensor,
        indices: ArrayLike | torch.Tensor,
        reduction: Reduction = "batch_mean",
        denominator: float | torch.Tensor | None = None,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        weighting: Callable[..., torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Record the losses of a batch and return their weighted mean, for `backward`.

        It replaces `losses.mean()`.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            One loss per sample: `reduction="none"`.
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them.
        reduction : {"batch_mean", "weighted_mean"}, default "batch_mean"
            "batch_mean" divides sum(w * l) by this rank's B. "weighted_mean" divides by the sum of
            the weights over all ranks of `process_group`, times their number, which undoes the
            averaging of DistributedDataParallel.
        denominator : float or scalar tensor, optional
            Global count of one optimizer step (accumulated samples, tokens); replaces both: the
            result is W * sum(w * l) / denominator.
        logits : float tensor of shape (B, C), optional
        labels : tensor of shape (B,) or (B, C), optional
            Required by samplers that use more than the loss, as documented there; others ignore
            them.
        weighting : callable, optional
            Additional weights of the batch, from its losses: called as `weighting(losses,
            indices=indices)`, it returns a tensor (B,) that is multiplied with the sampler's. See
            `sampling.weighting`.

        Returns
        -------
        scalar tensor
            With all weights 1 and one rank exactly `losses.mean()`.

        Raises
        ------
        ValueError
            If the losses are a scalar, or not as many as the indices, or an index is out of range
            or was never drawn in this epoch, or `weighting` returns another shape; if ranks have
            unequal numbers of batches (`pad=False`) and "weighted_mean" without a denominator, or a
            `weighting` over all ranks, would wait for ranks that have finished. Nothing is recorded
            then.
        """
        denominator = check_reduction(reduction, denominator)
        rows = self._located(indices)
        check_losses(losses, rows)
        with uneven(self._uneven()):
            if reduction == "weighted_mean" and denominator is None:
                refuse_uneven("reduction='weighted_mean'", self.process_group)
            own = None
            if weighting is not None:
                own = checked_weights(weighting(losses, indices=indices), losses)
        if isinstance(rows, torch.Tensor):
            weights: torch.Tensor | None = self._device_weights(rows)
        else:
            array = self._host_weights(rows)
            weights = None if array is None else torch.from_numpy(array)
        if weights is not None and weights.device != losses.device:
            weights = weights.to(losses.device, non_blocking=True)
        if own is not None:
            weights = own if weights is None else weights * own
        self._store(rows, losses, logits, labels)
        return reduce_losses(
            losses,
            weights,
            reduction=reduction,
            denominator=denominator,
            drop_nonfinite=self._options.nonfinite == "drop",
            group=self.process_group,
        )

    # ------------------------------------------------------------------ helpers

    def _uneven(self) -> str:
        """Return why ranks may have unequal numbers of batches, and the remedy; empty if none."""
        raise TypeError("EpochSampler knows its ranks")

    def _raise_if_refused(self, epoch: int) -> None:
        reason = self._refusal(epoch)
        if reason:
            raise ValueError(
                f"{self._outer or type(self).__name__} has no importance weights: {reason}"
            )

    def _located(self, indices: ArrayLike | torch.Tensor) -> Indices | torch.Tensor:
        """Return checked indices on the host, or indices on a device as they are."""
        if on_device(indices) is not None:
            return indices  # type: ignore[return-value]
        return self._rows(indices)

    def _rows(self, indices: ArrayLike | torch.Tensor) -> Indices:
        """Return indices of this epoch on the host; raise for one out of range or never drawn."""
        rows = host_rows(indices)
        if rows.ndim != 1:
            raise ValueError(f"indices must have shape (B,), got {rows.shape}")
        table = self._plan(self.epoch).table
        bad = first_outside(rows, self.size) if table.even else table.first_absent(rows, self.size)
        if bad >= 0:
            inside = 0 <= rows[bad] < self.size
            rule = f"draws of epoch {self.epoch}" if inside else f"in [0, {self.size})"
            raise ValueError(
                f"indices must be {rule}, got {rows[bad]} in row {bad}: are they indices of the "
                "dataset that the sampler was made for? (Indexed must be the outermost wrapper)"
            )
        return rows

    def _host_weights(self, rows: Indices) -> Scores | None:
        """Return the weights of checked indices, float32 (B,); None if all are 1."""
        if self._options.objective == "sampled":
            return None
        self._raise_if_refused(self.epoch)
        table = self._plan(self.epoch).table
        if table.even:
            return None
        return self._original_weights(table, rows).astype(np.float32)

    def _device_weights(self, indices: torch.Tensor) -> torch.Tensor | None:
        """Return the weights of indices on a device, None if all are 1; bad ones are counted."""
        plan = self._plan(self.epoch)
        if indices.device not in plan.devices:
            dealt: NDArray[np.bool_] | None = None
            weights: Scores | None = None
            if not plan.table.even:
                rows = np.arange(self.size, dtype=np.int64)
                dealt = plan.table.expected(rows) > 0
                known = self._host_weights(rows[dealt])
                if known is not None:
                    weights = np.zeros(self.size, np.float32)
                    weights[dealt] = known
            plan.devices[indices.device] = DeviceWeights(self.size, dealt, weights, indices.device)
        return plan.devices[indices.device](indices)

    def _store(
        self,
        rows: Indices | torch.Tensor,
        losses: torch.Tensor,
        logits: torch.Tensor | None,
        labels: torch.Tensor | None,
    ) -> None:
        """Record the losses, logits and labels of a batch at checked indices."""
        if self._scores is not None:
            self._learn(rows, losses, logits, labels)  # first: it may refuse the batch
        else:
            self._count_nonfinite(losses)
        if self.exposure is not None:
            self.exposure.update(rows)

    def _count_nonfinite(self, losses: torch.Tensor) -> None:
        """Count the losses that are not finite and not written to a table."""
        losses = losses.detach()
        if losses.device.type == "cpu":
            self._nonfinite += losses.numel() - int(torch.isfinite(losses).sum())
        else:
            self._nonfinite = self._nonfinite + (~torch.isfinite(losses)).sum()

    def _report_device_indices(self) -> None:
        """Raise for bad indices that were on devices in this epoch."""
        plan = self._plans.get(self.epoch)
        for device, weights in plan.devices.items() if plan is not None else ():
            bad = weights.num_bad()
            if bad:
                plan.devices.clear()  # type: ignore[union-attr]
                raise ValueError(
                    f"indices must be draws of epoch {self.epoch}, got {bad} on {device} that are "
                    "out of range or were never drawn"
                )
