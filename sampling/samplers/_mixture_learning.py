"""The half of `MixtureSampler` that follows the losses of its sources."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import _check
from ..errors import StateError
from ..scores import ScoreTable
from ..types import Floats, Indices
from ._base import EpochSampler
from ._domain_losses import DomainLosses
from ._mixture_updates import MixtureUpdater, State
from ._sources import Sources
from ._state import Arrays, check_array
from ._tables import Table


class LearningMixture(EpochSampler):
    """Records the mean loss of each source, and moves the weights in `set_epoch`.

    Without an updater all of this is idle, and the sampler static.
    """

    _sources: Sources

    @abstractmethod
    def quotas(self, epoch: int) -> Indices:
        """Return how many draws each domain has in an epoch: int64 (K,)."""

    @abstractmethod
    def _table_of(self, epoch: int, used: Indices, state: State) -> Table:
        """Return the draw table of an epoch, after `used` draws (K,) and a state of weights."""

    def _begin_learning(self, updater: MixtureUpdater | None, weights: Floats) -> None:
        """Take up an updater; called before the constructor of the base."""
        if updater is not None and not isinstance(updater, MixtureUpdater):
            raise TypeError(f"updater must be a MixtureUpdater, got {type(updater).__name__}")
        self.updater = updater
        self.dynamic = updater is not None
        self._learnt: State = {} if updater is None else updater.begin(weights)
        self._used = np.zeros(len(self._sources), np.int64)  # draws before the planned epoch
        self._losses: DomainLosses | None = None

    @property
    def average_weights(self) -> Floats:
        """Mean of the weights that the updater made, the first ones until then: float64 (K,)."""
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
        if self._losses is not None:
            self._losses.write(rows, losses)

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

    # ------------------------------------------------------------------ what outlives the process

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
