"""The methods of `MixtureSampler` that record losses by source and update the weights."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ... import _check
from ...errors import StateError
from ...scores import ScoreTable
from ...types import Floats, Indices
from ..core._epoch_sampler import EpochSampler
from ..core._state import Arrays, check_array
from ..core._tables import Table
from ._domain_losses import DomainLosses
from ._sources import Sources
from ._updates import MixtureUpdater, State


class LearningMixture(EpochSampler):
    """Records the mean loss of each source, and updates the weights in `set_epoch`.

    Without an updater it has no effect, and the sampler is static.
    """

    _sources: Sources

    @abstractmethod
    def quotas(self, epoch: int) -> Indices:
        """Return the number of draws of each domain in an epoch: int64 (K,)."""

    @abstractmethod
    def _table_of(self, epoch: int, used: Indices, state: State) -> Table:
        """Return the draw table of an epoch, after `used` draws (K,) and a state of weights."""

    def _begin_learning(self, updater: MixtureUpdater | None, weights: Floats) -> None:
        """Initialise the updater; called before the constructor of the base."""
        if updater is not None and not isinstance(updater, MixtureUpdater):
            raise TypeError(f"updater must be a MixtureUpdater, got {type(updater).__name__}")
        self.updater = updater
        self.dynamic = updater is not None
        self._learnt: State = {} if updater is None else updater.begin(weights)
        self._used = np.zeros(len(self._sources), np.int64)  # draws before the planned epoch
        self._losses: DomainLosses | None = None

    @property
    def average_weights(self) -> Floats:
        """Mean of the weights of all updates, before them the initial weights: float64 (K,)."""
        if self.updater is None:
            raise ValueError("average_weights needs an updater, got none")
        return self._learnt["average"].copy()

    # ------------------------------------------------------------------ recording

    def _make_scores(self) -> ScoreTable | None:
        if self.updater is not None:
            reference = self.updater.reference_losses
            if reference is not None:
                _check.same_length("reference_losses", reference, "the data", self.size)
            self._losses = DomainLosses(
                self.size, len(self._sources), self._sources.of, reference, self.process_group
            )
        return None  # no score for each sample: a sum and a count for each source

    def _store(
        self,
        rows: Indices | torch.Tensor,
        losses: torch.Tensor,
        logits: torch.Tensor | None,
        labels: torch.Tensor | None,
    ) -> None:
        super()._store(rows, losses, logits, labels)
        if self._losses is not None and not self._reads_excess:
            self._losses.write(rows, losses)

    @property
    def _reads_excess(self) -> bool:
        return self.updater is not None and self.updater.per_token

    def record_excess(
        self,
        indices: ArrayLike | torch.Tensor,
        excess: ArrayLike | torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        num_tokens: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Record the excess loss of a batch over a reference model, token by token.

        For `DoReMi(excess="token")`, once for each batch; train on the loss of `reduce` as usual.
        Negative excess is clipped to 0, for each token; the excess of a domain in an epoch is the
        mean over all tokens recorded. Never synchronizes a device.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them.
        excess : float array or tensor of shape (B, T) or (B,)
            Loss of each token minus its loss under the reference model. (B,): the mean of a
            sample's tokens, each already clipped at 0. Values that are not finite are counted, and
            ignored.
        mask : bool tensor of the shape of excess, optional
            False for padding.
        num_tokens : array or tensor of shape (B,), optional
            Number of tokens of each mean, >= 0; 1 by default. Only for excess of shape (B,).

        Raises
        ------
        ValueError
            If the updater does not use it, a shape does not fit, or an index is out of range or was
            not drawn in this epoch. Nothing is recorded then.

        Examples
        --------
        >>> from sampling.samplers import DoReMi, MixtureSampler
        >>> sampler = MixtureSampler([2, 2], updater=DoReMi(excess="token", floor=0.0))
        >>> losses, reference = torch.tensor([[3.0, 0.0], [1.0, 2.0]]), torch.ones(2, 2)
        >>> sampler.record_excess([0, 2], losses - reference)  # 2, 0 and 0, 1: means 1 and 1/2
        >>> sampler.set_epoch(1)
        >>> sampler.shares(1).round(3)
        array([0.622, 0.378])
        """
        if self._losses is None or not self._reads_excess:
            raise ValueError(
                "updater must be one that learns from the excess of tokens for record_excess, such "
                f"as DoReMi(excess='token'), got {type(self.updater).__name__}"
            )
        rows = self._located(indices)
        if not isinstance(excess, torch.Tensor):
            excess = torch.from_numpy(np.array(excess, np.float64))
        values = excess.detach()
        if not values.is_floating_point():
            values = values.double()
        if values.ndim not in {1, 2} or values.shape[0] != len(rows):
            raise ValueError(
                f"excess must have shape ({len(rows)}, T) or ({len(rows)},), got "
                f"{tuple(values.shape)}"
            )
        counted = _counted(mask, values)
        sizes = _sizes(num_tokens, values)
        if isinstance(rows, torch.Tensor):
            self._device_weights(rows)  # counts bad indices
        self._count_nonfinite(torch.where(counted, values, 0.0))
        counted &= torch.isfinite(values)
        cut = torch.where(counted, values.clamp(min=0.0), 0.0)
        cut = cut if cut.dtype == torch.float64 else cut.float()
        if values.ndim == 2:
            self._losses.add(rows, cut.sum(dim=1), counted.sum(dim=1))
        else:
            self._losses.add(rows, cut * sizes, torch.where(counted, sizes, 0.0))

    def _exchange(self, call: str) -> None:
        super()._exchange(call)
        if self._losses is not None:
            self._losses.merge()

    def _before_plan(self, epoch: int) -> None:
        if self.updater is None or self._losses is None:
            return
        self._used = self._used + self.quotas(self.epoch)
        self._learnt = self.updater.step(self._learnt, self._losses.means())
        self._losses.clear()

    # ------------------------------------------------------------------ saved state

    def _arrays(self) -> Arrays:
        if self._losses is None:
            return {}
        learnt: Arrays = {f"weights.{name}": each for name, each in self._learnt.items()}
        return {**learnt, "used": self._used, "losses": self._losses.merged}

    def _notes(self) -> dict[str, Any]:
        return {"num_nonfinite": self.num_nonfinite} if self.dynamic else {}

    def _table_from(self, epoch: int, arrays: Mapping[str, NDArray[Any]]) -> Table:
        domains = len(self._sources)
        state = {
            name: check_array(arrays, f"weights.{name}", np.float64, ours.size)
            for name, ours in self._learnt.items()
        }
        check_array(arrays, "losses", np.float64, 2 * domains)
        used = check_array(arrays, "used", np.int64, domains)
        weights = state["weights"]
        if not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise StateError(f"weights.weights must be finite and >= 0, not all 0, got {weights}")
        return self._table_of(epoch, used.copy(), state)

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        if self._losses is None:
            return
        self._learnt = {name: arrays[f"weights.{name}"].copy() for name in self._learnt}
        self._used = arrays["used"].copy()
        self._losses.restore(arrays["losses"])
        self._nonfinite = int(notes["num_nonfinite"])


def _counted(mask: torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    """Return which values are counted, bool of their shape: a checked copy of the mask."""
    if mask is None:
        return torch.ones_like(values, dtype=torch.bool)
    found = torch.as_tensor(np.array(mask) if not isinstance(mask, torch.Tensor) else mask)
    if found.dtype != torch.bool:
        raise TypeError(f"mask must be bool, got {found.dtype}")
    if found.shape != values.shape:
        raise ValueError(
            f"mask must have the shape of excess, {tuple(values.shape)}, got {tuple(found.shape)}"
        )
    return found.to(values.device, non_blocking=True, copy=True)


def _sizes(num_tokens: ArrayLike | torch.Tensor | None, values: torch.Tensor) -> torch.Tensor:
    """Return the number of tokens of each value, float (B,)."""
    if num_tokens is None:
        return torch.ones(len(values), device=values.device)
    found = num_tokens if isinstance(num_tokens, torch.Tensor) else torch.tensor(num_tokens)
    if values.ndim != 1 or found.shape != values.shape:
        raise ValueError(
            f"num_tokens must have the shape of excess, which must be (B,), got "
            f"{tuple(found.shape)} for {tuple(values.shape)}"
        )
    if found.is_cpu and bool((~(found >= 0)).any()):
        row = int((~(found >= 0)).to(torch.uint8).argmax())
        raise ValueError(f"num_tokens must be >= 0, got {found[row].item()} in row {row}")
    return found.to(values.device, torch.float32, non_blocking=True).clamp(min=0.0)
