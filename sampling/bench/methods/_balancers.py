"""Builders of the methods for long tails and label noise, all at the cost of plain training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ... import weighting
from ...samplers import (
    ODM,
    ClassBalancedSampler,
    ImportanceSampler,
    LateStoppingSampler,
    MixtureSampler,
    ShuffleSampler,
    SubsetSampler,
)
from ...scores import label_issues
from ...weighting import (
    BurnIn,
    ClassWeights,
    DirichletWeights,
    GroupWeights,
    RENTWeights,
    group_dro,
    kl_dro,
    lin_upper,
    symmetric_transition,
)
from ._method import Build, Context, Lacking, TrainingPlan, same

_DEFERRED_PART = 0.8  # fraction of the run without weights: 160 of 200 epochs
_EFFECTIVE = 0.9999  # beta of the effective number of samples
_BURN_IN_PART = 0.1  # fraction of the run with weights of 1
# ODM's own schedule would only explore, with one update per epoch; with many classes, half of
# each draw's even share is left for the bandit to move.
_EXPLORATION = 0.05
_EVEN_PART = 0.5
_GROUP_STEP = 0.01
_ROUNDS = (0, 1)  # of Late Stopping: one round, passed by two correct predictions in a row
_LEARNED_PART = 0.85  # of the correctly labelled samples: as many are learnt in half a short run


def balanced(power: float) -> Build:
    def build(context: Context) -> TrainingPlan:
        return same(ClassBalancedSampler(context.labels, power=power, seed=context.seed), context)

    return build


def progressive(context: Context) -> TrainingPlan:
    sampler = ClassBalancedSampler(
        context.labels, progressive_epochs=context.epochs, seed=context.seed
    )
    return same(sampler, context)


def mixture(context: Context) -> TrainingPlan:
    """Draw classes as domains, uniformly at first and then as the bandit decides."""
    sampler = MixtureSampler(
        domains=context.labels,
        temperature=float("inf"),
        updater=ODM(exploration=min(_EXPLORATION, _EVEN_PART / np.unique(context.labels).size)),
        seed=context.seed,
    )
    return same(sampler, context)


def importance_full(context: Context) -> TrainingPlan:
    sampler = ImportanceSampler(context.size, signal="gradient_norm", seed=context.seed)
    return same(sampler, context)


def late_stopping(context: Context) -> TrainingPlan:
    """Run one round, until nearly as many samples are learnt as have correct labels (given)."""
    if not context.noise:
        raise Lacking("needs the share of wrong labels, which only --label-noise tells")
    sampler = LateStoppingSampler(
        context.size,
        context.epochs,
        keep=_LEARNED_PART * (1 - context.noise),
        rounds=_ROUNDS,
        warm_up=0,
        seed=context.seed,
    )
    return same(sampler, context)


def label_issues_dropped(context: Context) -> TrainingPlan:
    """Drop the samples that cleanlab flags, from the predictions of a cross-validation.

    It estimates their number, so that the method has a cost of its own.
    """
    flagged = label_issues(context.labels, context.probabilities())
    kept = np.flatnonzero(~flagged)
    if not kept.size:
        raise Lacking("keeps no sample: all labels are flagged")
    sampler = SubsetSampler(kept, seed=context.seed)
    return same(sampler, context, dropped=float(flagged.sum()))


def class_weighted(context: Context) -> TrainingPlan:
    return _scheduled(context, _class_weights(context))


def deferred(context: Context) -> TrainingPlan:
    """Plain training, then class weights by the effective number of samples in the last fifth."""
    late = _class_weights(context, beta=_EFFECTIVE)
    return _scheduled(context, weighting.deferred(late, round(_DEFERRED_PART * context.epochs)))


def logit_adjusted(context: Context) -> TrainingPlan:
    """Cross-entropy of logits plus log class shares; evaluation uses the plain logits."""
    counts = np.maximum(_counts(context), 1e-12)

    def loss(logits: torch.Tensor, labels: torch.Tensor, epoch: int) -> torch.Tensor:
        return context.loss(weighting.logit_adjustment(logits, counts), labels)

    sampler = ShuffleSampler(context.size, seed=context.seed)
    return TrainingPlan(lambda epoch: sampler, context.epochs, loss=loss)


def upweighted(context: Context) -> TrainingPlan:
    """Weight classes as `class-balanced` draws them: the control of draws by weights."""
    return _scheduled(context, weighting.upweight(context.labels, temperature=float("inf")))


def group_scaled(context: Context) -> TrainingPlan:
    """Scale the loss by the mean loss of the class, whose weights are bounded, drawn evenly.

    The exponential weights by sample and class diverged on texts of 58 classes.
    """
    classes, groups = np.unique(context.labels, return_inverse=True)
    known = torch.from_numpy(groups)

    def scaled(losses: torch.Tensor, *, indices: torch.Tensor) -> torch.Tensor:
        here = known[indices.cpu()].to(losses.device)
        return weighting.group_loss_scaling(
            losses, groups=here, num_groups=classes.size, form="error_bound"
        )

    sampler = ClassBalancedSampler(context.labels, seed=context.seed)
    return TrainingPlan(lambda epoch: sampler, context.epochs, weighting=scaled)


def rent(context: Context) -> TrainingPlan:
    return _scheduled(context, RENTWeights(_transition(context), seed=context.seed))


def dirichlet(context: Context) -> TrainingPlan:
    """Draw weights with ten times the concentration at which they are a resampled batch."""
    alpha = 10.0 * context.batch_size
    return _scheduled(context, DirichletWeights(_transition(context), alpha, seed=context.seed))


def lin_upper_weighted(context: Context) -> TrainingPlan:
    steps = round(_BURN_IN_PART * context.epochs * context.size / context.batch_size)
    return _weighted(context, lin_upper, state=BurnIn(steps))


def kl_dro_weighted(context: Context) -> TrainingPlan:
    """KL-DRO normalised per batch: with a running mean a first outlier diverges at this rate."""
    return _weighted(context, kl_dro)


def group_dro_weighted(context: Context) -> TrainingPlan:
    """Group DRO with classes as groups, drawn evenly, as the method requires."""
    classes, groups = np.unique(context.labels, return_inverse=True)
    state, known = GroupWeights(classes.size), torch.from_numpy(groups)

    def weights(losses: torch.Tensor, *, indices: torch.Tensor) -> torch.Tensor:
        here = known[indices.cpu()].to(losses.device)
        return group_dro(losses, groups=here, state=state, step_size=_GROUP_STEP)

    sampler = ClassBalancedSampler(context.labels, seed=context.seed)
    return TrainingPlan(lambda epoch: sampler, context.epochs, weighting=weights)


def _weighted(
    context: Context,
    function: Callable[..., torch.Tensor],
    **arguments: Any,
) -> TrainingPlan:
    def weights(losses: torch.Tensor, *, indices: object) -> torch.Tensor:
        return function(losses, indices=indices, **arguments)

    sampler = ShuffleSampler(context.size, seed=context.seed)
    return TrainingPlan(lambda epoch: sampler, context.epochs, weighting=weights)


def _scheduled(context: Context, weights: Any) -> TrainingPlan:  # a weighting of the package
    """Return plain shuffling with a weighting, which is told the epoch if it has a schedule."""
    sampler = ShuffleSampler(context.size, seed=context.seed)

    def sampler_of(epoch: int) -> ShuffleSampler:
        if hasattr(weights, "set_epoch"):
            weights.set_epoch(epoch)
        return sampler

    return TrainingPlan(sampler_of, context.epochs, weighting=weights)


def _class_weights(context: Context, **arguments: Any) -> ClassWeights:
    return ClassWeights(_counts(context), empty="ignore", **arguments)


def _transition(context: Context) -> NDArray[np.float64]:
    """Return the transition matrix of the labels that the benchmark has made wrong."""
    if not context.noise:
        raise Lacking("needs the share of wrong labels, which only --label-noise tells")
    return symmetric_transition(context.n_classes, context.noise)


def _counts(context: Context) -> NDArray[np.int64]:
    return np.bincount(context.labels, minlength=context.n_classes)
