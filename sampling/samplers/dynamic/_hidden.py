"""Losses and predictions of the samples that an epoch excludes, from a forward pass.

A method that excludes easy samples has to evaluate them again, or none would ever return. At the
end of an epoch the training loop runs a forward pass over them, and `rescore` records their losses:

    for epoch in range(30):
        sampler.set_epoch(epoch)
        ...                                          # train as usual
        hidden = sampler.hidden[sampler.rank :: sampler.num_replicas]
        model.eval()
        with torch.no_grad():
            for indices, (x, y) in DataLoader(Subset(train, hidden), batch_size=512):
                losses = F.cross_entropy(model(x), y, reduction="none")
                sampler.rescore(indices, losses)
        model.train()
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...kernels._scores import first_outside
from ...scores import ScoreTable
from ...scores._device import DeviceWeights
from ...scores._heads import binary_ids, is_one_output, one_class, two_columns
from ...scores._table import host_losses, on_device
from ...types import Indices
from ...weighting._reduction import check_losses
from ..core._batch import Batch
from ..core._plan import rows_on_host
from ..core._tables import KeptTable
from ._pruning import PruningSampler


class HidingSampler(PruningSampler):
    """Base class of pruning samplers that receive the losses of the samples they excluded."""

    def _loss_tables(self) -> Mapping[str, ScoreTable]:
        self._rescored: dict[torch.device, DeviceWeights] = {}  # of this epoch
        return super()._loss_tables()

    @property
    def hidden(self) -> Indices:
        """The samples that this epoch excludes, int64 (H,), ascending.

        With several ranks each evaluates its own share of them, `hidden[rank::num_replicas]` (or by
        the ranks of the code that shards a sampler of one rank); the next `set_epoch` gathers the
        shares. Each access computes the list again, O(N).
        """
        table = self._plan(self.epoch).table
        return table.left_out() if isinstance(table, KeptTable) else np.empty(0, np.int64)

    def rescore(
        self,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> None:
        """Record the losses and predictions of a forward pass over excluded samples.

        Call it before the next `set_epoch`, preferably at the end of the epoch, with the model in
        evaluation mode and under `torch.no_grad()`. Never synchronizes a device, and does not
        update the exposure counter.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples of `hidden`, B >= 0; on each rank its own share. May be on the device of the
            losses.
        losses : float array or tensor of shape (B,)
            One loss per sample. Detached and copied.
        logits : float tensor of shape (B, C), optional
        labels : tensor of shape (B,) or (B, C), optional
            Required by samplers that use predictions.

        Raises
        ------
        ValueError
            If an index is out of range or drawn in this epoch: use `reduce` and `record` for those.
            Nothing is recorded then. For indices on a device the next `set_epoch` raises.

        Notes
        -----
        With DistributedDataParallel call `model.module`: ranks may have unequal shares, and the
        forward pass of the wrapper may wait for the others.
        """
        if not isinstance(losses, torch.Tensor):
            losses = torch.from_numpy(host_losses(losses))
        if losses.numel() == 0 and len(indices) == 0:  # type: ignore[arg-type]  # sized
            return  # nothing was excluded, or this rank has no share
        rows = self._hidden_rows(indices)
        check_losses(losses, rows)
        if isinstance(rows, torch.Tensor):
            self._count_bad(rows)
        batch = Batch(rows, indices, losses, logits, labels)
        for name, each in self.signals(batch).items():
            self._score_tables[name].write(rows, each)

    def _hidden_rows(self, indices: ArrayLike | torch.Tensor) -> Indices | torch.Tensor:
        """Return checked indices on the host, or indices on a device as they are."""
        if on_device(indices) is not None:
            return indices  # type: ignore[return-value]
        rows = rows_on_host(indices)
        bad = first_outside(rows, self.size)
        if bad >= 0:
            raise ValueError(f"indices must be in [0, {self.size}), got {rows[bad]} in row {bad}")
        dealt = self._plan(self.epoch).table.expected(rows) > 0
        if dealt.any():
            bad = int(dealt.argmax())
            raise ValueError(
                f"indices must be excluded from epoch {self.epoch}, got {rows[bad]} in row {bad}, "
                "which the epoch draws: see `hidden`, and use reduce or record for the others"
            )
        return rows

    def _count_bad(self, indices: torch.Tensor) -> None:
        """Count the indices on a device that are out of range or drawn, without synchronizing."""
        if indices.device not in self._rescored:
            mask = np.zeros(self.size, np.bool_)
            mask[self.hidden] = True
            self._rescored[indices.device] = DeviceWeights(self.size, mask, None, indices.device)
        self._rescored[indices.device](indices)

    def _report_bad_indices(self) -> None:
        super()._report_bad_indices()
        rescored, self._rescored = self._rescored, {}
        for device, seen in rescored.items():
            bad = seen.num_bad()
            if bad:
                raise ValueError(
                    f"indices of rescore must be excluded from epoch {self.epoch}, got {bad} on "
                    f"{device} that are out of range or drawn"
                )


def answers(
    sampler: str, count: int, logits: torch.Tensor | None, labels: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return detached float32 logits (B, C), and whether each row predicts its label, bool (B,).

    A tie for the largest logit is no prediction: `argmax` would return the lower class, and in
    float16 ties are common. Soft labels mean the class of their largest entry. Logits of one output
    are returned as two columns. On a device, a row whose label is no class gets logits of NaN.
    """
    if logits is None or labels is None:
        raise ValueError(
            f"logits and labels must be given: {sampler} learns from predictions, got "
            f"{'no logits' if logits is None else 'no labels'}"
        )
    for name, each in (("logits", logits), ("labels", labels)):
        if not isinstance(each, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(each).__name__}")
    single = is_one_output(logits, count)
    fits = single or (logits.ndim == 2 and logits.shape[0] == count)
    if not fits or not logits.is_floating_point():
        raise ValueError(
            f"logits must be floating of shape (B, C), B = {count}, got {logits.dtype} of shape "
            f"{tuple(logits.shape)}"
        )
    outputs = logits.detach().float()
    if single:
        return _compared(two_columns(outputs), binary_ids(labels, count))
    if labels.shape != logits.shape and labels.shape != (count,):
        raise ValueError(
            f"labels must have shape ({count},) or that of logits, {tuple(logits.shape)}, got "
            f"{tuple(labels.shape)}"
        )
    if labels.ndim == 1 and labels.is_floating_point():
        raise TypeError(
            f"labels of shape (B,) must hold ints, got {labels.dtype}: give labels.long()"
        )
    if labels.ndim == 1:
        return _compared(outputs, labels.detach())
    classes = one_class(labels)
    return _compared(outputs, classes, unknown=classes < 0)


def _compared(
    outputs: torch.Tensor, given: torch.Tensor, unknown: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    given = given.to(outputs.device, non_blocking=True)
    if unknown is not None:
        unknown = unknown.to(outputs.device, non_blocking=True)
        outputs = outputs.masked_fill(unknown.unsqueeze(1), torch.nan)
    top, predicted = outputs.max(dim=1)
    alone = (outputs == top.unsqueeze(1)).sum(dim=1) == 1
    return outputs, (predicted == given) & alone
