"""The methods that the benchmark compares, each with a name, a line of help and a builder.

A builder takes what its method may know of the run, and the budget that the run must have, and
returns the plan of the run. It raises `Unreachable` if the method cannot have that cost: such a
run becomes a row with that reason, never a run of another cost.
"""

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


def _at_full_cost(help: str, build: Build, *data: str, **more: Any) -> Method:  # noqa: A002
    needs = more.pop("needs", (CLASSES,))
    return Method(help, build, swept=False, needs=needs, default_on=data, **more)


METHODS = {
    "full": Method(
        "All data in every epoch", _pruners.full, swept=False, level=DRAWS, default_on=ANY
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
    ),
    "dynamic-random": Method(
        "New random samples skipped in each epoch, annealed as InfoBatch, weights of 1",
        _pruners.dynamic_random,
        level=DRAWS,
        default_on=ANY,
    ),
    "dynamic-random-weighted": Method(
        "Random samples skipped with the annealing and weights of InfoBatch",
        _pruners.dynamic_random_weighted,
        default_on=(PLAIN,),
    ),
    "rs2": Method(
        "A new random subset in each epoch, covering the data in turn",
        _pruners.rs2,
        level=DRAWS,
        default_on=ANY,
    ),
    "infobatch": Method(
        "Easy samples skipped at random, the kept ones weighted up",
        _pruners.infobatch,
        pilot=True,
        default_on=(PLAIN,),
    ),
    "sensitivity": Method(
        "Draws by clustered sensitivity of the current model's losses",
        _pruners.sensitivity,
        needs=(EMBEDDINGS,),
        level=LOOP,
        scores=True,
        default_on=(PLAIN,),
    ),
    "cluster-clip": Method(
        "Clusters drawn evenly, with a limit on repetitions",
        _pruners.cluster_clip,
        needs=(EMBEDDINGS,),
        level=DRAWS,
        default_on=(PLAIN,),
    ),
    "keep-hardest": Method("Samples with the highest last losses", _pruners.pruner(HardestSampler)),
    "epsilon-greedy": Method(
        "Samples with the highest average losses, and random others",
        _pruners.pruner(EpsilonGreedySampler),
    ),
    "ucb": Method(
        "Samples with the highest average loss plus spread, chosen in every epoch",
        _pruners.pruner(UCBSampler, refresh_every=1),
    ),
    "seta": Method("A sliding window over groups of losses", _pruners.pruner(SeTaSampler)),
    "kakurenbo": Method(
        "Samples of low loss excluded if predicted correctly with confidence, and rescored",
        _pruners.pruner(KakurenboSampler, anneal_fraction=0.0),
        needs=(CLASSES,),
        level=LOOP,
        scores=True,
    ),
    "ies": Method(
        "Samples excluded once their losses have converged, and rescored",
        _pruners.pruner(IESSampler, anneal_fraction=0.0),
        level=LOOP,
        scores=True,
    ),
    "self-paced": Method(
        "Samples of low loss, a growing fraction", _pruners.pruner(SelfPacedSampler)
    ),
    "variance-budget": Method(
        "Samples of low loss skipped at random, where that adds the least variance",
        _pruners.pruner(VarianceBudgetSampler),
    ),
    "importance": Method(
        "Draws in proportion to a bound on the gradient, weights 1/(N p)",
        _pruners.importance,
        needs=(CLASSES,),  # and logits in `reduce`: a script without them is told so by its run
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
    "curriculum": Method(
        "Samples near the mean of their class first",
        _pruners.curriculum("easy_first"),
        needs=(CLASSES, EMBEDDINGS),
        level=DRAWS,
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
        "Every class drawn equally often", _balancers.balanced(0.0), LONG_TAIL, level=DRAWS
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
    "late-stopping": _at_full_cost(
        "Samples learnt late dropped permanently; given the share of wrong labels",
        _balancers.late_stopping,
        NOISE,
        needs=(CLASSES, SHARE),
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


def default_methods(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the methods that run on data of these kinds if none are named."""
    return tuple(
        name for name, method in METHODS.items() if set(kinds).intersection(method.default_on)
    )
