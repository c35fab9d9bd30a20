"""One training step on the rows that a selector chooses: score, choose, train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import ArrayLike

from .. import _check
from .._check._keywords import told
from ..weighting._reduction import check_losses
from ._batch_selector import BatchSelector, Chosen, as_indices, host_features
from ._frozen import Mode, frozen_statistics
from ._row_buffer import Rows
from ._take_rows import take_rows

LossFunction = Callable[[torch.nn.Module, Any], torch.Tensor | tuple[torch.Tensor, torch.Tensor]]


@told
@dataclass(frozen=True)
class SelectedStep:
    """The result of a step: losses, weights and indices of the chosen rows.

    Attributes
    ----------
    ready : bool
        False if there is nothing to train on yet: rows are being collected, or none was selected.
        Only `scores` and `candidates` may then be read.
    losses : floating tensor of shape (k,)
        Losses of the chosen rows, with their graph.
    weights : float32 tensor of shape (k,)
        Loss weights of the chosen rows.
    indices : int64 tensor of shape (k,) or None
        Dataset indices of the chosen rows, on the device of the losses, if indices were given.
    batch
        The chosen rows of the batch.
    scores : floating tensor of shape (m,)
        Losses of all rows that were scored, detached.
    candidates : int64 tensor of shape (m,) or None
        Dataset indices of the rows that were scored.
    logits : floating tensor of shape (k, C) or None
        Logits of the chosen rows, with their graph, if `loss_fn` returns them.
    labels, groups : tensor or array of shape (k,) or None
        Those of the chosen rows, if they were given.
    """

    ready: bool
    losses: torch.Tensor
    weights: torch.Tensor
    indices: torch.Tensor | None
    batch: Any
    scores: torch.Tensor
    candidates: torch.Tensor | None
    logits: torch.Tensor | None = None
    labels: Any = None
    groups: Any = None

    @property
    def loss(self) -> torch.Tensor:
        """The mean over the chosen rows of weight times loss, for `backward`."""
        if not self.ready:
            raise ValueError("the step must be ready before its loss is read, got ready=False")
        return (self.losses * self.weights).mean()

    def weighting(self, losses: torch.Tensor, indices: object = None) -> torch.Tensor:
        """Return `weights`: for `sampler.reduce(step.losses, step.indices, weighting=...)`.

        Parameters
        ----------
        losses : floating tensor of shape (k,)
            Ignored, as are the indices.
        indices : optional
        """
        return self.weights


@told
class SelectiveForward:
    """Score a batch without changing the model, select rows, and run the forward pass on them.

    The step of a training loop with a `BatchSelector`::

        step_of = SelectiveForward(model, loss_fn, selector)
        for epoch in range(num_epochs):
            sampler.set_epoch(epoch)
            selector.set_epoch(epoch)
            for indices, batch in loader:                    # large batches
                step = step_of(batch, indices)
                if not step.ready:
                    continue
                loss = sampler.reduce(step.losses, step.indices, weighting=step.weighting)
                optimizer.zero_grad(); loss.backward(); optimizer.step()

    `step.loss` replaces `sampler.reduce(...)` if no sampler has weights or records losses.
    `sampler.record(step.candidates, step.scores)`, or the `update` of a `ScoreTable`, records the
    losses of all rows that were scored, not only of those trained on. `step.logits`, `step.labels`
    and `step.groups` are those of the chosen rows, for a sampler that requires them.

    Parameters
    ----------
    model : torch.nn.Module
        If it is a `DistributedDataParallel`, the scoring pass uses the wrapped module: ranks may
        score different numbers of rows.
    loss_fn : callable
        (model, batch) -> one loss for each row, (B,), or the pair of losses and logits (B, C), for
        a selector or a sampler that requires logits: it must use the model that it is given.
    selector : BatchSelector
        Chooses the rows to train on.
    scoring : {"eval", "train"}, default "eval"
        Mode of the scoring pass: see `frozen_statistics`. Neither changes the model.
    take : callable, default `take_rows`
        (batch, rows, B) -> the batch with those rows, for other kinds of batches. A selector that
        collects rows supports only the default.

    Raises
    ------
    ValueError
        If `loss_fn` returns a scalar, or not one loss for each row.

    Notes
    -----
    Order
        The scoring pass in "eval" draws no random number.
    Cost
        A forward pass over all rows, then a step on the chosen ones; `selector.cost` is the total.
        With a forward pass at a third of a step, choosing half of the rows costs 5/6 of a plain
        step. Selectors that choose a varying number of rows synchronize the device, the others do
        not, unless parts of the batch are on the host.
    Gradients
        Those of the selector. Batch norm treats the chosen rows as a separate batch.

    Examples
    --------
    >>> from sampling.batch_selection import TopKLoss
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> model.weight.data.fill_(1.0)
    tensor([[1.]])
    >>> squares = lambda model, batch: model(batch["x"]).square().flatten()
    >>> step_of = SelectiveForward(model, squares, TopKLoss(keep=0.5))
    >>> step = step_of({"x": torch.tensor([[1.0], [4.0], [2.0], [3.0]])}, indices=[7, 8, 9, 5])
    >>> step.indices, step.loss
    (tensor([8, 5]), tensor(12.5000, grad_fn=<MeanBackward0>))
    >>> step_of.selector.cost
    SelectionCost(candidates=4, scored=4, trained=2)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        loss_fn: LossFunction,
        selector: BatchSelector,
        *,
        scoring: Mode = "eval",
        take: Callable[[Any, torch.Tensor, int], Any] | None = None,
    ) -> None:
        if not isinstance(selector, BatchSelector):
            raise TypeError(f"selector must be a BatchSelector, got {type(selector).__name__}")
        if selector.collect is not None and take not in (None, take_rows):
            raise ValueError("take must be take_rows for a selector that collects, got another")
        scoring = _check.choice("scoring", scoring, ("eval", "train"))
        self.model = model
        self.loss_fn = loss_fn
        self.selector = selector
        self.scoring = scoring
        self.take = take_rows if take is None else take

    def __call__(
        self,
        batch: Any,
        indices: ArrayLike | torch.Tensor | None = None,
        *,
        groups: ArrayLike | torch.Tensor | None = None,
        features: Any = None,
        labels: torch.Tensor | None = None,
        scores: ArrayLike | torch.Tensor | None = None,
        active: bool = True,
    ) -> SelectedStep:
        """Choose rows of a batch and return their losses.

        Parameters
        ----------
        batch : any batch that `take` and `loss_fn` accept
        indices : int array or tensor of shape (B,), optional
            Dataset indices of the rows.
        groups, features, labels
            See `BatchSelector.select`.
        scores : float array or tensor of shape (B,), optional
            Losses known in advance, such as `table.values[indices]` of a `ScoreTable`: there is no
            scoring pass. NaN = not known; those rows rank as harder than all others.
        active : bool, default True
            False trains on the whole batch, without a scoring pass, for parts of a run without
            selection.

        Returns
        -------
        SelectedStep
        """
        active = _check.flag("active", active)
        candidates = None if indices is None else as_indices(indices)
        given: dict[str, Any] = {"labels": labels, "groups": groups}
        given = {name: each for name, each in given.items() if each is not None}
        if not active or not self.selector.scores_first:
            return self._plain(batch, candidates, features, given)
        features = None if features is None else host_features(features)
        screened = None if features is None else self.selector.screen(features)
        if screened is not None:
            if scores is not None or groups is not None:
                raise ValueError("scores and groups must be None if features are screened")
            rows = torch.from_numpy(screened)
            candidates = None if candidates is None else candidates[rows.to(candidates.device)]
            if rows.numel() == 0:
                return _not_ready(torch.empty(0), candidates)
            batch = self.take(batch, rows, features.shape[0])
            given = take_rows(given, rows, features.shape[0])
            features = features[screened]
        values, logits = self._score(batch) if scores is None else (_known(scores), None)
        chosen = self.selector.select(
            values,
            candidates,
            groups=groups,
            features=features,
            logits=logits,
            labels=given.get("labels"),
            scored=scores is None,
        )
        ready = self._rows(batch, candidates, chosen, values.numel(), given)
        if ready is None:
            return _not_ready(values, candidates)
        batch, given = ready.batch
        losses, logits = _parts(self.loss_fn(self.model, batch))
        check_losses(losses, ready.weights)
        weights = ready.weights.to(losses.device)
        return SelectedStep(
            True, losses, weights, ready.indices, batch, values, candidates, logits, **given
        )

    def _rows(
        self,
        batch: Any,
        indices: torch.Tensor | None,
        chosen: Chosen,
        size: int,
        given: dict[str, Any],
    ) -> Rows | None:
        """Return the rows to train on now; None if more are to be collected first.

        Its batch is the pair of the batch and of what was given for its rows.
        """
        if self.selector.collect is not None:
            whole = Rows((batch, given), indices, chosen.weights)
            return self.selector._buffer.exchange(whole, chosen.rows, size)
        if indices is not None:
            indices = indices.to(chosen.rows.device, non_blocking=True)[chosen.rows]
        taken = self.take(batch, chosen.rows, size), take_rows(given, chosen.rows, size)
        return Rows(taken, indices, chosen.weights)

    def _score(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        model = self.model
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        with torch.no_grad(), frozen_statistics(model, self.scoring):
            found = _parts(self.loss_fn(model, batch))
        # Inside autocast, weights cast without gradients would be reused by the training pass,
        # which then has no gradients for them (pytorch issue 112583; fixed in torch 2.13).
        torch.clear_autocast_cache()
        return found

    def _plain(
        self,
        batch: Any,
        indices: torch.Tensor | None,
        features: Any,
        given: dict[str, Any],
    ) -> SelectedStep:
        losses, logits = _parts(self.loss_fn(self.model, batch))
        self.selector.observe(losses, features)
        if indices is not None:
            check_losses(losses, indices)
            indices = indices.to(losses.device, non_blocking=True)
        weights = torch.ones(losses.shape, device=losses.device)
        scores = losses.detach()
        return SelectedStep(True, losses, weights, indices, batch, scores, indices, logits, **given)


def _parts(found: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the losses and the logits, or None, that a loss function returned."""
    if not isinstance(found, tuple):
        return found, None
    if len(found) != 2:  # noqa: PLR2004
        raise ValueError(
            f"loss_fn must return losses, or losses and logits, got {len(found)} parts"
        )
    return found


def _not_ready(scores: torch.Tensor, candidates: torch.Tensor | None) -> SelectedStep:
    """Return a step with nothing to train on."""
    nothing = scores[:0]
    return SelectedStep(False, nothing, nothing, None, None, scores, candidates)


def _known(scores: ArrayLike | torch.Tensor) -> torch.Tensor:
    """Return scores in which unknown values are larger than all known ones."""
    if isinstance(scores, torch.Tensor):
        values = scores
    else:
        values = torch.tensor(_check.as_numbers("scores", _check.host(scores, "scores")))
    if values.ndim != 1:
        raise ValueError(f"scores must have shape (B,), got {tuple(values.shape)}")
    values = values.detach().float()
    highest = torch.nan_to_num(values, nan=-1e30, posinf=1e30, neginf=-1e30).amax()
    return torch.where(torch.isnan(values), highest + highest.abs() + 1.0, values)
