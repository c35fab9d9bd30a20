"""Builders of the methods that train on a fraction of the data, and of their controls.

Each builder returns a plan with the context's budget, or raises `Unreachable`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from ...batch_selection import BatchSelector, RHOLoss
from ...clustering import kmeans
from ...samplers import (
    ClusterClipSampler,
    CurriculumSampler,
    DynamicRandomSampler,
    EpochSampler,
    ImportanceSampler,
    InfoBatchSampler,
    RCAPSampler,
    RepeatedSubsetSampler,
    SensitivitySampler,
    ShuffleSampler,
    SubsetSampler,
)
from ._method import Build, Context, TrainingPlan, Unreachable, at_least_one, same

_ANNEAL = 0.125  # InfoBatch's default: the last eighth of the run uses all the data
_MEAN_SHARE = 0.7  # assumed share of samples below the mean loss, until a run measures it
_CLUSTERS_PER_CLASS = 10
_GROUPS = 10  # instead of classes, where the targets are none


def full(context: Context) -> TrainingPlan:
    return same(ShuffleSampler(context.size, seed=context.seed), context)


def full_fewer(context: Context) -> TrainingPlan:
    epochs = max(1, round(context.budget * context.epochs))
    draws = at_least_one(context.budget * context.size * context.epochs / epochs)
    sampler = ShuffleSampler(context.size, draws, seed=context.seed)
    return TrainingPlan(lambda epoch: sampler, epochs, setting={"epochs": epochs})


def full_matched_rate(context: Context) -> TrainingPlan:
    """All data, with InfoBatch's larger steps: its weights have a mean above 1 while it prunes.

    Its gradients are N / M times those of a mean over M kept samples, a larger learning rate.
    """
    pruning = _infobatch_epochs(context)
    kept = 1 - (1 - context.budget) * context.epochs / max(len(pruning), 1)
    if kept <= 0:
        raise Unreachable(f"unreachable: InfoBatch cannot have a cost of {context.budget:.3g}")
    sampler = ShuffleSampler(context.size, seed=context.seed)
    return TrainingPlan(
        lambda epoch: sampler,
        context.epochs,
        rate=lambda epoch: 1 / kept if epoch in pruning else 1.0,
        setting={"rate": 1 / kept},
    )


def _infobatch_epochs(context: Context) -> range:
    return InfoBatchSampler(1, context.epochs, anneal_fraction=_ANNEAL).pruning_epochs


def random(context: Context) -> TrainingPlan:
    chosen = ShuffleSampler(context.size, context.draws, seed=context.seed).indices(0)
    return same(SubsetSampler(np.sort(chosen), seed=context.seed), context)


def rs2(context: Context) -> TrainingPlan:
    sampler = RepeatedSubsetSampler(context.size, context.draws / context.size, seed=context.seed)
    return same(sampler, context)


def infobatch(context: Context) -> TrainingPlan:
    sampler = _for_target(InfoBatchSampler, context, below_mean=_MEAN_SHARE)
    return same(sampler, context, drop_prob=sampler.drop_prob)


def dynamic_random(context: Context) -> TrainingPlan:
    sampler = _for_target(DynamicRandomSampler, context, below_mean=1.0)
    return same(sampler, context, drop_prob=sampler.drop_prob)


def dynamic_random_weighted(context: Context) -> TrainingPlan:
    """Use InfoBatch's drop probability, on as many samples as it found easy on average."""
    if not context.pilot:
        share = {"share": _MEAN_SHARE, "objective": "original"}
        sampler = _for_target(DynamicRandomSampler, context, below_mean=_MEAN_SHARE, **share)
        return same(sampler, context, drop_prob=sampler.drop_prob, share=sampler.share)
    drop = context.pilot["drop_prob"]
    pruning = len(_infobatch_epochs(context))
    skipped = (1 - context.budget) * context.epochs / max(pruning, 1)  # of N, in each of them
    sampler = DynamicRandomSampler(
        context.size,
        context.epochs,
        drop_prob=drop,
        share=min(1.0, skipped / drop) if skipped > 0 else 1.0,
        anneal_fraction=_ANNEAL,
        objective="original",
        seed=context.seed,
    )
    return same(sampler, context, drop_prob=drop, share=sampler.share)


_Sampler = TypeVar("_Sampler", bound=EpochSampler, covariant=True)


class _Pruner(Protocol[_Sampler]):
    """The class of a sampler that keeps to a cost by itself."""

    def for_target(self, *args: Any, **kwargs: Any) -> _Sampler: ...


def _for_target(kind: _Pruner[_Sampler], context: Context, **arguments: Any) -> _Sampler:
    """Return the sampler whose run costs the budget, or raise `Unreachable` with the reason."""
    try:
        return kind.for_target(
            context.size,
            context.epochs,
            context.budget,
            seed=context.seed,
            **{"anneal_fraction": _ANNEAL, **arguments},
        )
    except ValueError as error:
        if "unreachable" not in str(error):
            raise
        raise Unreachable(str(error)) from None


_KEEPING: dict[str, tuple[_Pruner[EpochSampler], float]] = {
    "infobatch": (InfoBatchSampler, _MEAN_SHARE),
    "dynamic-random": (DynamicRandomSampler, 1.0),
}


def unreachable(name: str, size: int, epochs: int, keep: float) -> str:
    """Return, before any run, why a method cannot have a cost; "" if it can, or if runs tell."""
    kind, below_mean = _KEEPING.get(name, (None, 0.0))
    if kind is not None:
        try:
            kind.for_target(size, epochs, keep, anneal_fraction=_ANNEAL, below_mean=below_mean)
        except ValueError as error:
            return str(error)
    return ""


def pruner(kind: _Pruner[EpochSampler], **arguments: Any) -> Build:
    """Return the builder of a pruner that keeps to the budget by itself."""
    return lambda context: same(_for_target(kind, context, **arguments), context)


def rcap(context: Context) -> TrainingPlan:
    sampler = _for_target(RCAPSampler, context, labels=context.labels, anneal_fraction=0.0)
    return same(sampler, context, keep=sampler.keep)


def importance(context: Context) -> TrainingPlan:
    sampler = ImportanceSampler(
        context.size, num_samples=context.draws, signal="gradient_norm", seed=context.seed
    )
    return same(sampler, context)


def batch_selection(kind: Callable[..., BatchSelector]) -> Build:
    """Return the builder of a selector that trains on one batch size of a larger batch's rows.

    The forward passes over all N samples of each epoch are counted in addition to the draws.
    """

    def build(context: Context) -> TrainingPlan:
        sampler = ShuffleSampler(context.size, seed=context.seed)
        candidates = round(context.batch_size / context.budget)
        return TrainingPlan(
            lambda epoch: sampler,
            context.epochs,
            selector=kind(keep=context.batch_size / candidates, seed=context.seed),
            candidates=candidates,
            forwards=1.0,
        )

    return build


def rho_loss(context: Context) -> TrainingPlan:
    """Train on the rows of a larger batch with the highest loss above the irreducible loss."""
    losses = np.asarray(context.score("irreducible").values, np.float64)
    most = float(np.finfo(np.float32).max)
    kind = functools.partial(RHOLoss, np.clip(losses, -most, most))
    return batch_selection(kind)(context)


def _clusters(context: Context) -> int:
    groups = context.n_classes if context.has_labels else _GROUPS
    return min(_CLUSTERS_PER_CLASS * groups, context.size)


def curriculum(
    order: Literal["easy_first", "hard_first", "random"],
) -> Build:
    """Return the builder of a curriculum by the distance to the mean image of the class."""

    def build(context: Context) -> TrainingPlan:
        pixels, distances = context.embeddings(), np.zeros(context.size)
        for c in np.unique(context.labels):
            rows = context.labels == c
            distances[rows] = np.linalg.norm(pixels[rows] - pixels[rows].mean(0), axis=1)
        sampler = CurriculumSampler(
            distances,
            context.epochs,
            num_samples=context.draws,
            order=order,
            labels=context.labels,
            seed=context.seed,
        )
        return same(sampler, context)

    return build


def cluster_clip(context: Context) -> TrainingPlan:
    count = _clusters(context)
    clusters = kmeans(context.embeddings(), count, seed=context.seed).labels
    sampler = ClusterClipSampler(
        clusters, context.draws, num_epochs=context.epochs, seed=context.seed
    )
    return same(sampler, context, n_clusters=count)


def sensitivity(context: Context) -> TrainingPlan:
    """Sensitivity sampling, uniform in epoch 0 with its untrained model, refreshed every epoch."""
    first = ShuffleSampler(context.size, context.draws, seed=context.seed)
    count = _clusters(context)
    setting: dict[str, float] = {"n_clusters": count}
    made: list[SensitivitySampler] = []

    def sampler(epoch: int) -> EpochSampler:
        if epoch == 0:
            return first
        if not made:
            made.append(_from_embeddings(context, count))
            setting["holder_constant"] = made[0].holder_constant
        elif made[0].center_indices is not None:
            made[0].refresh(context.losses(made[0].center_indices))
        return made[0]

    return TrainingPlan(sampler, context.epochs, setting=setting)


def _from_embeddings(context: Context, n_clusters: int) -> SensitivitySampler:
    return SensitivitySampler.from_embeddings(
        context.embeddings(),
        context.losses,
        n_clusters,
        num_samples=context.draws,
        labels=context.find_labels,
        seed=context.seed,
    )
