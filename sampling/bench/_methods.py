"""The methods that the benchmark compares: each a name, a line of help and a builder.

A builder gets what its method may know of the run, and the budget that the run must cost, and
returns the plan of the run. It raises `Unreachable` where the method cannot have that cost: such a
run becomes a row that says so, never a run of another cost.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..clustering import kmeans
from ..samplers import (
    ClassBalancedSampler,
    ClusterClipSampler,
    DynamicRandomSampler,
    EpochSampler,
    EpsilonGreedySampler,
    HardestSampler,
    IESSampler,
    ImportanceSampler,
    InfoBatchSampler,
    KakurenboSampler,
    RepeatedSubsetSampler,
    SelfPacedSampler,
    SensitivitySampler,
    SeTaSampler,
    ShuffleSampler,
    SubsetSampler,
    UCBSampler,
    VarianceBudgetSampler,
)
from ..samplers._pruning import PruningSampler

_ANNEAL = 0.125  # InfoBatch's default: the last eighth of the run sees all the data
_MEAN_SHARE = 0.7  # part of the samples taken to lie below the mean loss, until a run tells
_CLUSTERS_PER_CLASS = 10

Losses = Callable[[NDArray[np.int64]], NDArray[np.float32]]


class Unreachable(ValueError):
    """The method cannot run at the cost asked for; the message says why."""


@dataclass(frozen=True)
class Context:
    """What a method may know of its run.

    Parameters
    ----------
    labels : int64 array of shape (N,)
        Classes of the training samples.
    pixels : callable
        Returns the inputs as rows, float32 (N, D).
    losses : callable
        Maps indices (m,) to the losses of the current model, float32 (m,); counted in the cost.
    target : float in (0, 1]
        The keep fraction asked for.
    budget : float in (0, 1]
        Draws / (N * epochs) that the run must have: the target, or what InfoBatch made of it.
    pilot : dict of str to float
        The setting with which InfoBatch ran at this target and seed; empty if it did not.
    epochs : int
        E, of a run on all the data.
    seed : int
        For samplers and clusterings.
    """

    labels: NDArray[np.int64]
    pixels: Callable[[], NDArray[np.float32]]
    losses: Losses
    target: float
    budget: float
    pilot: dict[str, float]
    epochs: int
    seed: int

    @property
    def size(self) -> int:
        """N."""
        return self.labels.size

    @property
    def n_classes(self) -> int:
        """C."""
        return int(self.labels.max()) + 1

    @property
    def draws(self) -> int:
        """Draws in each epoch of a run whose epochs are all equal."""
        return _at_least_one(self.budget * self.size)


@dataclass(frozen=True)
class Plan:
    """How one run goes.

    Parameters
    ----------
    sampler : callable
        Returns the sampler of an epoch; called once before each, in order.
    epochs : int
        How many; differs from the option only for `full-fewer`.
    class_weights : float32 tensor of shape (C,), optional
        Weights of a class-weighted loss.
    setting : dict of str to float
        What the method chose by itself, for the results.
    """

    sampler: Callable[[int], EpochSampler]
    epochs: int
    class_weights: torch.Tensor | None = None
    setting: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A method on the command line.

    Parameters
    ----------
    help : str
        One line.
    build : callable
        From context to plan.
    swept : bool, default True
        Whether it runs at every keep fraction, or once at the full cost.
    long_tail : bool, default False
        Whether it needs a long-tailed training part.
    pilot : bool, default False
        Whether the other methods of the same target and seed are matched to its realised cost.
    default : bool, default True
        Whether it runs where no methods are named.
    """

    help: str
    build: Callable[[Context], Plan]
    swept: bool = True
    long_tail: bool = False
    pilot: bool = False
    default: bool = True


def _same(sampler: EpochSampler, context: Context, **setting: float) -> Plan:
    return Plan(lambda epoch: sampler, context.epochs, setting=setting)


def _at_least_one(draws: float) -> int:
    if round(draws) < 1:
        raise Unreachable(f"unreachable: {draws:.2g} draws an epoch are less than one")
    return round(draws)


def _full(context: Context) -> Plan:
    return _same(ShuffleSampler(context.size, seed=context.seed), context)


def _full_fewer(context: Context) -> Plan:
    epochs = max(1, round(context.target * context.epochs))
    draws = _at_least_one(context.budget * context.size * context.epochs / epochs)
    sampler = ShuffleSampler(context.size, draws, seed=context.seed)
    return Plan(lambda epoch: sampler, epochs, setting={"epochs": epochs})


def _random(context: Context) -> Plan:
    chosen = ShuffleSampler(context.size, context.draws, seed=context.seed).indices(0)
    return _same(SubsetSampler(np.sort(chosen), seed=context.seed), context)


def _rs2(context: Context) -> Plan:
    sampler = RepeatedSubsetSampler(context.size, context.draws / context.size, seed=context.seed)
    return _same(sampler, context)


def _infobatch(context: Context) -> Plan:
    sampler = _for_target(InfoBatchSampler, context, below_mean=_MEAN_SHARE)
    return _same(sampler, context, drop_prob=sampler.drop_prob)


def _dynamic_random(context: Context) -> Plan:
    sampler = _for_target(DynamicRandomSampler, context, below_mean=1.0)
    return _same(sampler, context, drop_prob=sampler.drop_prob)


def _dynamic_random_weighted(context: Context) -> Plan:
    """InfoBatch's drop probability, on as many samples as it found easy on average."""
    if not context.pilot:
        share = {"share": _MEAN_SHARE, "objective": "original"}
        sampler = _for_target(DynamicRandomSampler, context, below_mean=_MEAN_SHARE, **share)
        return _same(sampler, context, drop_prob=sampler.drop_prob, share=sampler.share)
    drop = context.pilot["drop_prob"]
    pruning = len(InfoBatchSampler(1, context.epochs, anneal_fraction=_ANNEAL).pruning_epochs)
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
    return _same(sampler, context, drop_prob=drop, share=sampler.share)


_Pruner = TypeVar("_Pruner", bound=PruningSampler)


def _for_target(kind: type[_Pruner], context: Context, **arguments: Any) -> _Pruner:  # noqa: ANN401  # the sampler's
    """Return the sampler whose run costs the budget, or raise `Unreachable` with its reason."""
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


def _engine(kind: type[PruningSampler], **arguments: Any) -> Callable[[Context], Plan]:  # noqa: ANN401
    """Return the builder of a pruner that keeps to the budget by itself."""
    return lambda context: _same(_for_target(kind, context, **arguments), context)


def _importance(context: Context) -> Plan:
    sampler = ImportanceSampler(
        context.size, num_samples=context.draws, signal="gradient_norm", seed=context.seed
    )
    return _same(sampler, context)


def _cluster_clip(context: Context) -> Plan:
    count = min(_CLUSTERS_PER_CLASS * context.n_classes, context.size)
    clusters = kmeans(context.pixels(), count, seed=context.seed).labels
    sampler = ClusterClipSampler(
        clusters, context.draws, num_epochs=context.epochs, seed=context.seed
    )
    return _same(sampler, context, n_clusters=count)


def _sensitivity(context: Context) -> Plan:
    """Epoch 0 is uniform: an untrained model's losses say nothing. Refreshed every epoch."""
    first = ShuffleSampler(context.size, context.draws, seed=context.seed)
    count = min(_CLUSTERS_PER_CLASS * context.n_classes, context.size)
    setting: dict[str, float] = {"n_clusters": count}
    made: list[SensitivitySampler] = []

    def sampler(epoch: int) -> EpochSampler:
        if epoch == 0:
            return first
        if not made:
            made.append(_from_pixels(context, count))
            setting["holder_constant"] = made[0].holder_constant
        elif made[0].center_indices is not None:
            made[0].refresh(context.losses(made[0].center_indices))
        return made[0]

    return Plan(sampler, context.epochs, setting=setting)


def _from_pixels(context: Context, n_clusters: int) -> SensitivitySampler:
    return SensitivitySampler.from_embeddings(
        context.pixels(),
        context.losses,
        n_clusters,
        num_samples=context.draws,
        labels=context.labels,
        seed=context.seed,
    )


def _balanced(power: float) -> Callable[[Context], Plan]:
    def build(context: Context) -> Plan:
        return _same(ClassBalancedSampler(context.labels, power=power, seed=context.seed), context)

    return build


def _progressive(context: Context) -> Plan:
    sampler = ClassBalancedSampler(
        context.labels, progressive_epochs=context.epochs, seed=context.seed
    )
    return _same(sampler, context)


def _class_weighted(context: Context) -> Plan:
    counts = np.bincount(context.labels, minlength=context.n_classes)
    inverse = np.where(counts > 0, 1 / np.maximum(counts, 1), 0)
    weights = torch.tensor(inverse / inverse.mean(), dtype=torch.float32)
    sampler = ShuffleSampler(context.size, seed=context.seed)
    return Plan(lambda epoch: sampler, context.epochs, class_weights=weights)


METHODS = {
    "full": Method("all the data in every epoch", _full, swept=False),
    "full-fewer": Method("all the data for fewer epochs, schedule compressed", _full_fewer),
    "random": Method("one random subset, fixed before training", _random),
    "dynamic-random": Method(
        "random samples skipped anew each epoch, InfoBatch's anneal, weights 1", _dynamic_random
    ),
    "dynamic-random-weighted": Method(
        "InfoBatch's anneal and weights on random samples", _dynamic_random_weighted
    ),
    "rs2": Method("a new random subset each epoch, walking through the data", _rs2),
    "infobatch": Method(
        "easy samples skipped at random, the kept ones count more", _infobatch, pilot=True
    ),
    "sensitivity": Method("clustered sensitivity of the current model's losses", _sensitivity),
    "cluster-clip": Method("clusters drawn evenly, repetitions capped", _cluster_clip),
    "keep-hardest": Method("the highest last losses", _engine(HardestSampler), default=False),
    "epsilon-greedy": Method(
        "the highest average losses, and some of the others",
        _engine(EpsilonGreedySampler),
        default=False,
    ),
    "ucb": Method(
        "the highest average loss plus spread, chosen in every epoch",
        _engine(UCBSampler, refresh_every=1),
        default=False,
    ),
    "seta": Method("a window of loss groups that slides", _engine(SeTaSampler), default=False),
    "kakurenbo": Method(
        "the lowest losses hidden where predicted right and surely, and scored again",
        _engine(KakurenboSampler, anneal_fraction=0.0),
        default=False,
    ),
    "ies": Method(
        "samples rest once their losses stopped bending, and are scored again",
        _engine(IESSampler, anneal_fraction=0.0),
        default=False,
    ),
    "self-paced": Method(
        "the lowest losses, a part that grows", _engine(SelfPacedSampler), default=False
    ),
    "variance-budget": Method(
        "low losses skipped at random, where that adds the least variance",
        _engine(VarianceBudgetSampler),
        default=False,
    ),
    "importance": Method(
        "in proportion to a bound on the gradient, weights 1/(N p)", _importance, default=False
    ),
    "uniform": Method("plain shuffling", _full, swept=False, long_tail=True),
    "class-balanced": Method(
        "every class equally often", _balanced(0.0), swept=False, long_tail=True
    ),
    "square-root": Method(
        "classes by the root of their size", _balanced(0.5), swept=False, long_tail=True
    ),
    "progressive": Method(
        "from plain to class-balanced over the run", _progressive, swept=False, long_tail=True
    ),
    "class-weighted": Method(
        "plain shuffling, loss weighted by inverse class size",
        _class_weighted,
        swept=False,
        long_tail=True,
    ),
}
