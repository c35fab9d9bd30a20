"""Selectors of rows: from the losses of a large batch to the rows to train on.

A sampler chooses by what was known before the epoch. A selector chooses with the current model, at
the cost of a forward pass over all rows that it may exclude. `BatchSelector.cost` counts both, to
compare which is cheaper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check import _labels
from .._check._keywords import told
from .._identity import changed, fingerprint, in_short, named_parts
from ..distributed import this_rank, world_size
from ..errors import StateError
from ..weighting._reduction import check_losses
from ._random_keys import uniforms
from ._row_buffer import RowBuffer


@told
@dataclass(frozen=True)
class Chosen:
    """The rows of a batch to train on, and their loss weights.

    The loss of the step is the mean over the rows of weight times loss.

    Attributes
    ----------
    rows : int64 tensor of shape (k,)
        In [0, B), ascending, on the device of the losses.
    weights : float32 tensor of shape (k,)
        1 for a biased selector. If nothing was drawn from a batch, it is one row of weight 0.
    """

    rows: torch.Tensor
    weights: torch.Tensor


@told
@dataclass
class SelectionCost:
    """Cost of selection so far, in samples.

    Attributes
    ----------
    candidates : int
        Number of samples in the batches given to the selector.
    scored : int
        Number of samples in forward passes for scoring only.
    trained : int
        Number of samples in forward and backward passes, or in a buffer for them.
    """

    candidates: int = 0
    scored: int = 0
    trained: int = 0

    def equivalents(self, forward: float = 1 / 3) -> float:
        """Return the cost in samples trained on: trained + forward * scored.

        Parameters
        ----------
        forward : float in [0, 1], default 1/3
            Cost of a forward pass relative to a training step: backward is about two forwards.
        """
        return self.trained + _check.number("forward", forward, "[0, 1]") * self.scored

    def saved(self, forward: float = 1 / 3) -> float:
        """Return the fraction saved of the cost of training on every candidate; 0 at first.

        Negative if scoring cost more than selection saved. The effect of selection on the number of
        training steps is not included.

        Parameters
        ----------
        forward : float in [0, 1], default 1/3
            See `equivalents`.
        """
        return 1.0 - self.equivalents(forward) / self.candidates if self.candidates else 0.0


class SelectorOptions(TypedDict, total=False):
    """Options of every selector; `BatchSelector` documents them."""

    seed: int
    rank: int | None
    collect: int | None


@dataclass(frozen=True)
class Candidates:
    """The rows that a selector chooses from; checked.

    losses   : float (B,), detached, on any device; not finite where unusable
    indices  : dataset indices (B,) or None
    groups   : (B,) on the host, or None
    features : (B, V) on the host, or None
    key      : of this batch's random decisions
    logits   : (B, C), detached, or None
    labels   : (B,) or (B, C), or None
    """

    losses: torch.Tensor
    indices: torch.Tensor | None
    groups: NDArray[Any] | None
    features: Any
    key: np.uint64
    logits: torch.Tensor | None = None
    labels: torch.Tensor | None = None

    def uniforms(self, purpose: int = 0) -> torch.Tensor:
        """Return a random number in [0, 1) for each row, on the device of the losses."""
        return uniforms(_rng.subkey(self.key, purpose), self.losses.numel(), self.losses.device)


@told
class BatchSelector:
    """Base class of all selectors; a method adds `_choose`.

    Parameters
    ----------
    seed : int in [0, 2**64), default 0
        Random decisions are a function of (seed, epoch, batch number in the epoch, rank).
    rank : int, default from `torch.distributed` if initialised, else 0
        Each rank selects from its own batches.
    collect : int, optional
        Collect chosen rows over several batches until there are this many, and train on those: for
        selectors that choose a varying number. At least the size of a batch. One rank only, because
        ranks would be ready to step at different times.

    Attributes
    ----------
    cost : SelectionCost
        Cost of selection so far.
    epoch, step : int
        The epoch, set by `set_epoch`, and the number of batches seen in it.

    Notes
    -----
    Order
        `SelectiveForward` runs the whole step, and is the intended way to use selectors.
    """

    def __init__(
        self, *, seed: int = 0, rank: int | None = None, collect: int | None = None
    ) -> None:
        self.seed = _check.seed(seed)
        self.rank = this_rank() if rank is None else _check.integer("rank", rank, 0)
        self.collect = None if collect is None else _check.integer("collect", collect, 1)
        if self.collect is not None and world_size() > 1:
            raise ValueError(
                f"collect must be None on several ranks, got {self.collect} on {world_size()}: "
                "ranks would be ready to step at different times, and wait forever"
            )
        self.epoch = 0
        self.step = 0
        self.cost = SelectionCost()
        self._buffer = RowBuffer(self.collect)

    # ------------------------------------------------------------------ what a method provides

    def _choose(self, candidates: Candidates) -> Chosen:
        """Return the rows to train on, ascending, possibly none. The only method to define."""
        raise TypeError(f"{type(self).__name__} must define _choose(candidates)")

    @property
    def scores_first(self) -> bool:
        """Whether the next batch is scored; if not, all of it is trained on."""
        return True

    def screen(self, features: Any) -> NDArray[np.int64] | None:
        """Return the rows to score, selected by their features alone; None = all.

        `select` is then called with those rows.

        Parameters
        ----------
        features : array, sparse matrix or tensor of shape (B, V)
        """
        return None

    @told
    def observe(self, losses: torch.Tensor, features: Any = None) -> None:
        """Record a batch that was trained on as a whole.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
        features : array, sparse matrix or tensor of shape (B, V), optional
        """
        self._check_losses(losses, None)
        self.cost.candidates += losses.numel()
        self.cost.trained += losses.numel()
        self._observe(losses.detach(), features)
        self.step += 1

    def _observe(self, losses: torch.Tensor, features: Any) -> None:
        """Update the state from losses of a batch that was trained on as a whole."""

    def _identity(self) -> Mapping[str, object] | tuple[object, ...]:
        """Return what determines the choice in addition to class and seed, by argument."""
        return {}

    def _parts(self) -> dict[str, object]:
        return {**named_parts(self._identity()), "collect": self.collect}

    def _arrays(self) -> dict[str, Any]:
        """Return the state to save, as JSON values and arrays."""
        return {}

    def _adopt(self, arrays: Mapping[str, Any]) -> None:
        """Restore the result of `_arrays`."""

    # ------------------------------------------------------------------ the choice

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, together with the sampler's `set_epoch`; no effect if it is already set.

        Parameters
        ----------
        epoch : int in [0, 2**64)
        """
        if _check.epoch(epoch) != self.epoch:
            self.epoch, self.step = epoch, 0

    @told
    def select(
        self,
        losses: torch.Tensor,
        indices: ArrayLike | torch.Tensor | None = None,
        *,
        groups: ArrayLike | torch.Tensor | None = None,
        features: Any = None,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        scored: bool = True,
    ) -> Chosen:
        """Return the rows of a batch to train on.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            One loss per sample: `reduction="none"`. Losses that are not finite come last.
        indices : int array or tensor of shape (B,), optional
            Dataset indices, for selectors with data on each sample; others ignore them.
        groups : int array or tensor of shape (B,), optional
            Group of each row, for `TopKLoss`, which selects within groups; others ignore them.
        features : array, sparse matrix or tensor of shape (B, V), optional
            For `MultistageFilter` and `ConfidenceFilter`; others ignore them.
        logits : floating tensor of shape (B, C), optional
            For `EATAFilter` and `ConfidenceFilter`; others ignore them.
        labels : tensor of shape (B,) or (B, C), optional
            For selectors of your own.
        scored : bool, default True
            Whether a forward pass was made for these losses; for `cost`.

        Returns
        -------
        Chosen
            Without synchronizing the device, if the number of rows is a fixed fraction.

        Raises
        ------
        ValueError
            If the losses are a scalar, or not as many as the indices, groups, features, logits or
            labels; if the selector requires one that was not given.
        """
        scored = _check.flag("scored", scored)
        self._check_losses(losses, indices)
        size = losses.numel()
        host_groups = None
        if groups is not None:
            found = _labels.read("groups", groups)
            host_groups = found.codes if isinstance(found, _labels.Labels) else found
            _check.same_length("groups", host_groups, "losses", size)
        if features is not None:
            features = host_features(features)
            if features.shape[0] != size:
                raise ValueError(f"features must have {size} rows, got {features.shape[0]}")
        for name, given in (("logits", logits), ("labels", labels)):
            _check_rows(name, given, size)
        values = losses.detach()
        values = values if values.dtype == torch.float64 else values.float()
        rows = None if indices is None else as_indices(indices)
        logits = None if logits is None else logits.detach()
        chosen = self._choose(
            Candidates(values, rows, host_groups, features, self._key(), logits, labels)
        )
        if chosen.rows.numel() == 0 and self.collect is None:
            chosen = _one_of_weight_zero(values)
        self.step += 1
        self.cost.candidates += size
        self.cost.scored += size if scored else 0
        self.cost.trained += chosen.rows.numel()
        return chosen

    def _check_losses(self, losses: torch.Tensor, indices: ArrayLike | torch.Tensor | None) -> None:
        own = losses if isinstance(losses, torch.Tensor) else np.empty(0, np.int64)
        check_losses(losses, own if indices is None else as_indices(indices))

    def _key(self) -> np.uint64:
        """Return the key of this batch's random decisions."""
        key = _rng.key(self.seed, self.epoch, f"{type(self).__name__} of rank {self.rank}")
        return _rng.subkey(key, self.step)

    def _weights(self, inverse: torch.Tensor, size: int) -> torch.Tensor:
        """Return the weights of drawn rows, given 1 / probability, for the mean of the batch.

        When rows are collected over batches, they estimate the sum over the epoch.
        """
        scale = 1.0 if self.collect is not None else inverse.numel() / size
        return (inverse * scale).float()

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the state of selection on this rank: JSON values and arrays.

        With `collect` it includes the buffered rows, with their data.
        """
        return {
            **self._origin(),
            "arguments": self._arguments(),
            "epoch": self.epoch,
            "step": self.step,
            "cost": asdict(self.cost),
            "buffer": self._buffer.state(),
            "arrays": self._arrays(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state of selection.

        Parameters
        ----------
        state : mapping
            Result of `state_dict` on the same rank.

        Raises
        ------
        StateError
            If it comes from another class, seed or other arguments. Nothing is changed then.
        """
        own = self._origin()
        missing = {*own, "epoch", "step", "cost", "buffer", "arrays"} - set(state)
        if missing:
            raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
        for name, ours in own.items():
            if state[name] == ours:
                continue
            differ = changed(state.get("arguments"), self._arguments())
            if name == "fingerprint" and differ:
                raise StateError(
                    f"state must come from a {type(self).__name__} of the same data and "
                    f"arguments, {differ}"
                )
            raise StateError(f"state must have {name} {ours!r}, got {state[name]!r}")
        self.epoch, self.step = _check.epoch(state["epoch"]), int(state["step"])
        self.cost = SelectionCost(**state["cost"])
        self._buffer.restore(state["buffer"])
        self._adopt(state["arrays"])

    def _origin(self) -> dict[str, Any]:
        """Return what a state and its selector must have in common."""
        return {
            "version": 1,
            "selector": type(self).__name__,
            "seed": self.seed,
            "fingerprint": fingerprint(*self._parts().values()),
        }

    def _arguments(self) -> dict[str, str]:
        """Return the arguments in short form, for messages."""
        return in_short(self._parts(), self.__dict__.get("_given", {}))


def _check_rows(name: str, given: object, size: int) -> None:
    """Refuse anything but a tensor of `size` rows, or None."""
    if given is None:
        return
    if not isinstance(given, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(given).__name__}")
    if given.ndim == 0 or len(given) != size:
        raise ValueError(f"{name} must have {size} rows, got shape {tuple(given.shape)}")


def as_indices(indices: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return dataset indices as a tensor, on their own device."""
    _check.refuse_mask("indices", indices)
    if isinstance(indices, torch.Tensor):
        return indices
    given = _check.host(indices, "indices")
    _check.refuse_mask("indices", given)
    array = np.array(given)  # a copy: torch warns of arrays that are read-only
    if array.ndim != 1:
        raise TypeError(f"indices must hold ints (B,), got {array.dtype} of shape {array.shape}")
    _check.refuse_other_than_ints("indices", array)
    return torch.from_numpy(array.astype(np.int64))


def host_features(features: Any) -> Any:
    """Return features (B, V) as an array, or as a sparse matrix whose rows can be indexed."""
    return features.tocsr() if hasattr(features, "tocsr") else _check.host(features, "features")


def unweighted(rows: torch.Tensor) -> Chosen:
    """Return rows with loss weight 1."""
    return Chosen(rows, torch.ones(rows.shape, device=rows.device))


def _one_of_weight_zero(losses: torch.Tensor) -> Chosen:
    """Return one row of weight 0, so that all ranks, which wait for each other, make the step."""
    row = torch.where(torch.isfinite(losses), losses, -math.inf).argmax().reshape(1)
    return Chosen(row, torch.zeros(1, device=losses.device))
