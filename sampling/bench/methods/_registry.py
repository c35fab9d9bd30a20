"""The methods that the benchmark compares, each with a name, a line of help and a builder.

A builder takes what its method may know of the run, and the budget that the run must have, and
returns the plan of the run. It raises `Unreachable` if the method cannot have that cost: such a
run becomes a row with that reason, never a run of another cost.

What a sampler of the package does is said by the registry of samplers. Those without an entry here
are methods too, if a run knows all that they require: see `sampler_methods`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...batch_selection import SelectiveBackprop, TopKLoss
from ...samplers import (
    EpsilonGreedySampler,
    HardestSampler,
    IESSampler,
    KakurenboSampler,
    SelfPacedSampler,
    SeTaSampler,
    UCBSampler,
    VarianceBudgetSampler,
)
from . import _balancers, _pruners
from ._method import (
    ANY,
    CLASSES,
    DRAWS,
    EMBEDDINGS,
    LONG_TAIL,
    LOOP,
    NOISE,
    PLAIN,
    SCHEDULE,
    SHARE,
    TRAINED,
    Build,
    Method,
    with_cleanlab,
)
from ._samplers import help_of, sampler_methods


def _sampler(name: str, build: Build, **more: Any) -> Method:
    """Return the method of a sampler as it comes, with the help of its registry."""
    return Method(help_of(name), build, sampler=name, **more)


def _at_full_cost(help: str, build: Build, *data: str, **more: Any) -> Method:  # noqa: A002
    needs = more.pop("needs", (CLASSES,))
    return Method(help, build, swept=False, needs=needs, default_on=data, **more)


METHODS = {
    "full": Method(
        "All data in every epoch",
        _pruners.full,
        swept=False,
        level=DRAWS,
        default_on=ANY,
        sampler="ShuffleSampler",
    ),
    "full-fewer": Method(
        "All data for fewer epochs, with a compressed schedule",
        _pruners.full_fewer,
        level=SCHEDULE,
        default_on=ANY,
    ),
    "full-matched-rate": Method(
        "All data, with the larger learning rate implied by InfoBatch's weights",
        _pruners.full_matched_rate,
        level=LOOP,
    ),
    "random": Method(
        "One random subset, fixed before training",
        _pruners.random,
        level=DRAWS,
        default_on=ANY,
        sampler="SubsetSampler",
    ),
    "dynamic-random": _sampler(
        "DynamicRandomSampler", _pruners.dynamic_random, level=DRAWS, default_on=ANY
    ),
    "dynamic-random-weighted": Method(
        "Random samples skipped with the annealing and weights of InfoBatch",
        _pruners.dynamic_random_weighted,
        default_on=(PLAIN,),
    ),
    "rs2": _sampler("RepeatedSubsetSampler", _pruners.rs2, level=DRAWS, default_on=ANY),
    "infobatch": _sampler("InfoBatchSampler", _pruners.infobatch, pilot=True, default_on=(PLAIN,)),
    "sensitivity": _sampler(
        "SensitivitySampler",
        _pruners.sensitivity,
        needs=(EMBEDDINGS,),
        level=LOOP,
        scores=True,
        default_on=(PLAIN,),
    ),
    "cluster-clip": _sampler(
        "ClusterClipSampler",
        _pruners.cluster_clip,
        needs=(EMBEDDINGS,),
        level=DRAWS,
        default_on=(PLAIN,),
    ),
    "keep-hardest": _sampler("HardestSampler", _pruners.pruner(HardestSampler)),
    "epsilon-greedy": _sampler("EpsilonGreedySampler", _pruners.pruner(EpsilonGreedySampler)),
    "ucb": _sampler("UCBSampler", _pruners.pruner(UCBSampler, refresh_every=1)),
    "seta": _sampler("SeTaSampler", _pruners.pruner(SeTaSampler)),
    "rcap": _sampler("RCAPSampler", _pruners.rcap, needs=(CLASSES,)),
    "kakurenbo": _sampler(
        "KakurenboSampler",
        _pruners.pruner(KakurenboSampler, anneal_fraction=0.0),
        needs=(CLASSES,),
        level=LOOP,
        scores=True,
    ),
    "ies": _sampler(
        "IESSampler",
        _pruners.pruner(IESSampler, anneal_fraction=0.0),
        level=LOOP,
        scores=True,
    ),
    "self-paced": _sampler("SelfPacedSampler", _pruners.pruner(SelfPacedSampler)),
    "variance-budget": _sampler("VarianceBudgetSampler", _pruners.pruner(VarianceBudgetSampler)),
    "importance": Method(
        "Draws in proportion to a bound on the gradient, weights 1/(N p)",
        _pruners.importance,
        needs=(CLASSES,),  # and logits in `reduce`: a script without them is told so by its run
        sampler="ImportanceSampler",
    ),
    "top-k": Method(
        "The rows of highest loss in a larger batch, all of it forwarded",
        _pruners.batch_selection(TopKLoss),
        level=LOOP,
        scores=True,
    ),
    "selective-backprop": Method(
        "Rows of a larger batch, by the rank of their loss, all of it forwarded",
        _pruners.batch_selection(SelectiveBackprop),
        level=LOOP,
        scores=True,
    ),
    "rho-loss": Method(
        "The rows of a larger batch whose loss exceeds most that under a model of other data",
        _pruners.rho_loss,
        needs=(CLASSES, TRAINED),
        level=LOOP,
        scores=True,
    ),
    "curriculum": Method(
        "Samples near the mean of their class first",
        _pruners.curriculum("easy_first"),
        needs=(CLASSES, EMBEDDINGS),
        level=DRAWS,
        sampler="CurriculumSampler",
    ),
    "curriculum-hard": Method(
        "Samples far from the mean of their class first",
        _pruners.curriculum("hard_first"),
        needs=(CLASSES, EMBEDDINGS),
        level=DRAWS,
    ),
    "curriculum-random": Method(
        "A growing random fraction of the data, at the pace of a curriculum",
        _pruners.curriculum("random"),
        needs=(CLASSES, EMBEDDINGS),
        level=DRAWS,
    ),
    "class-balanced": _at_full_cost(
        "Every class drawn equally often",
        _balancers.balanced(0.0),
        LONG_TAIL,
        level=DRAWS,
        sampler="ClassBalancedSampler",
    ),
    "square-root": _at_full_cost(
        "Classes drawn by the square root of their size",
        _balancers.balanced(0.5),
        LONG_TAIL,
        level=DRAWS,
    ),
    "progressive": _at_full_cost(
        "From plain to class-balanced over the run", _balancers.progressive, LONG_TAIL, level=DRAWS
    ),
    "mixture": _at_full_cost(
        "Classes as domains, drawn evenly at first, then by a bandit on their losses",
        _balancers.mixture,
        LONG_TAIL,
        sampler="MixtureSampler",
    ),
    "class-weighted": _at_full_cost(
        "Plain shuffling, loss weighted by inverse class size",
        _balancers.class_weighted,
        LONG_TAIL,
        level=LOOP,
    ),
    "deferred": _at_full_cost(
        "Plain shuffling, class weights in the last fifth of the run",
        _balancers.deferred,
        LONG_TAIL,
        level=LOOP,
    ),
    "logit-adjusted": _at_full_cost(
        "Plain shuffling, loss of logits plus log class shares",
        _balancers.logit_adjusted,
        LONG_TAIL,
        level=LOOP,
    ),
    "group-dro": _at_full_cost(
        "Every class drawn equally often, weights grow with the loss of a class",
        _balancers.group_dro_weighted,
        LONG_TAIL,
    ),
    "upweight": _at_full_cost(
        "Plain shuffling, loss weighted as class-balanced draws would",
        _balancers.upweighted,
    ),
    "group-scaling": _at_full_cost(
        "Every class drawn equally often, weights by the mean loss of the class in the batch",
        _balancers.group_scaled,
    ),
    "importance-full": _at_full_cost(
        "N draws in proportion to a bound on the gradient, weights 1/(N p)",
        _balancers.importance_full,
        LONG_TAIL,
        NOISE,
    ),
    "lin-upper": _at_full_cost(
        "Plain shuffling, weights increase up to the middle of a batch's losses",
        _balancers.lin_upper_weighted,
        LONG_TAIL,
        NOISE,
        needs=(),
    ),
    "kl-dro": _at_full_cost(
        "Plain shuffling, weights exp(loss), normalised in each batch",
        _balancers.kl_dro_weighted,
        LONG_TAIL,
        NOISE,
        needs=(),
    ),
    "rent": _at_full_cost(
        "Plain shuffling, each batch resampled by the transition matrix of the labels",
        _balancers.rent,
        needs=(CLASSES, SHARE),
        level=LOOP,
    ),
    "dirichlet-weights": _at_full_cost(
        "Plain shuffling, weights drawn around those of the transition matrix of the labels",
        _balancers.dirichlet,
        needs=(CLASSES, SHARE),
        level=LOOP,
    ),
    "late-stopping": _at_full_cost(
        help_of("LateStoppingSampler"),
        _balancers.late_stopping,
        NOISE,
        needs=(CLASSES, SHARE),
        sampler="LateStoppingSampler",
    ),
    "label-issues": _at_full_cost(
        "Samples dropped whose labels are probably wrong by cross-validation; top:label_quality "
        "drops as many as the keep fraction says",
        _balancers.label_issues_dropped,
        needs=(CLASSES, TRAINED),
        level=DRAWS,
        scores=True,
        resolve=with_cleanlab,
    ),
}
CONTROLS = ("full", "full-fewer", "random", "dynamic-random", "rs2")


def registered() -> dict[str, Method]:
    """Return name -> method: the table, then the samplers that only the registry of them lists."""
    return METHODS | sampler_methods(METHODS)


def default_methods(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the methods that run on data of these kinds if none are named."""
    return tuple(
        name for name, method in METHODS.items() if set(kinds).intersection(method.default_on)
    )
