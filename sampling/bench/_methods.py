"""The methods that the benchmark compares: each a name, a line of help and a builder.

A builder gets what its method may know of the run, and the budget that the run must cost, and
returns the plan of the run. It raises `Unreachable` where the method cannot have that cost: such a
run becomes a row that says so, never a run of another cost.
"""

from collections.abc import Callable, Iterable

from ..samplers import (
    EpsilonGreedySampler,
    HardestSampler,
    IESSampler,
    KakurenboSampler,
    SelectiveBackprop,
    SelfPacedSampler,
    SeTaSampler,
    TopKLoss,
    UCBSampler,
    VarianceBudgetSampler,
)
from . import _balancers, _pruners
from ._plans import LONG_TAIL, NOISE, PLAIN, Context, Method, Plan


def _at_full_cost(help: str, build: Callable[[Context], Plan], *data: str) -> Method:  # noqa: A002
    return Method(help, build, swept=False, runs_on=data, default_on=data)


METHODS = {
    "full": Method("all the data in every epoch", _pruners.full, swept=False, default_on=(PLAIN,)),
    "full-fewer": Method(
        "all the data for fewer epochs, schedule compressed",
        _pruners.full_fewer,
        default_on=(PLAIN,),
    ),
    "full-matched-rate": Method(
        "all the data, with the longer steps that InfoBatch's weights make",
        _pruners.full_matched_rate,
    ),
    "random": Method(
        "one random subset, fixed before training", _pruners.random, default_on=(PLAIN,)
    ),
    "dynamic-random": Method(
        "random samples skipped anew each epoch, InfoBatch's anneal, weights 1",
        _pruners.dynamic_random,
        default_on=(PLAIN,),
    ),
    "dynamic-random-weighted": Method(
        "InfoBatch's anneal and weights on random samples",
        _pruners.dynamic_random_weighted,
        default_on=(PLAIN,),
    ),
    "rs2": Method(
        "a new random subset each epoch, walking through the data",
        _pruners.rs2,
        default_on=(PLAIN,),
    ),
    "infobatch": Method(
        "easy samples skipped at random, the kept ones count more",
        _pruners.infobatch,
        pilot=True,
        default_on=(PLAIN,),
    ),
    "sensitivity": Method(
        "clustered sensitivity of the current model's losses",
        _pruners.sensitivity,
        default_on=(PLAIN,),
    ),
    "cluster-clip": Method(
        "clusters drawn evenly, repetitions capped", _pruners.cluster_clip, default_on=(PLAIN,)
    ),
    "keep-hardest": Method("the highest last losses", _pruners.engine(HardestSampler)),
    "epsilon-greedy": Method(
        "the highest average losses, and some of the others",
        _pruners.engine(EpsilonGreedySampler),
    ),
    "ucb": Method(
        "the highest average loss plus spread, chosen in every epoch",
        _pruners.engine(UCBSampler, refresh_every=1),
    ),
    "seta": Method("a window of loss groups that slides", _pruners.engine(SeTaSampler)),
    "kakurenbo": Method(
        "the lowest losses hidden where predicted right and surely, and scored again",
        _pruners.engine(KakurenboSampler, anneal_fraction=0.0),
    ),
    "ies": Method(
        "samples rest once their losses stopped bending, and are scored again",
        _pruners.engine(IESSampler, anneal_fraction=0.0),
    ),
    "self-paced": Method("the lowest losses, a part that grows", _pruners.engine(SelfPacedSampler)),
    "variance-budget": Method(
        "low losses skipped at random, where that adds the least variance",
        _pruners.engine(VarianceBudgetSampler),
    ),
    "importance": Method(
        "in proportion to a bound on the gradient, weights 1/(N p)", _pruners.importance
    ),
    "top-k": Method(
        "the highest losses of a larger batch, all of it forwarded",
        _pruners.batch_selection(TopKLoss),
    ),
    "selective-backprop": Method(
        "rows of a larger batch, by the rank of their loss, all of it forwarded",
        _pruners.batch_selection(SelectiveBackprop),
    ),
    "curriculum": Method(
        "near the mean image of the class first", _pruners.curriculum("easy_first")
    ),
    "curriculum-hard": Method(
        "far from the mean image of the class first", _pruners.curriculum("hard_first")
    ),
    "curriculum-random": Method(
        "a random part of the data first, at the pace of a curriculum",
        _pruners.curriculum("random"),
    ),
    "uniform": _at_full_cost("plain shuffling", _balancers.plain, LONG_TAIL, NOISE),
    "class-balanced": _at_full_cost(
        "every class equally often", _balancers.balanced(0.0), LONG_TAIL
    ),
    "square-root": _at_full_cost(
        "classes by the root of their size", _balancers.balanced(0.5), LONG_TAIL
    ),
    "progressive": _at_full_cost(
        "from plain to class-balanced over the run", _balancers.progressive, LONG_TAIL
    ),
    "mixture": _at_full_cost(
        "classes as domains, evenly at first, then where a bandit finds the loss",
        _balancers.mixture,
        LONG_TAIL,
    ),
    "class-weighted": _at_full_cost(
        "plain shuffling, loss weighted by inverse class size", _balancers.class_weighted, LONG_TAIL
    ),
    "deferred": _at_full_cost(
        "plain shuffling, class weights in the last fifth of the run",
        _balancers.deferred,
        LONG_TAIL,
    ),
    "logit-adjusted": _at_full_cost(
        "plain shuffling, loss of logits plus log class shares",
        _balancers.logit_adjusted,
        LONG_TAIL,
    ),
    "group-dro": _at_full_cost(
        "every class equally often, weights grow with a class's loss",
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
        "plain shuffling, weights rise to the middle of a batch's losses",
        _balancers.lin_upper_weighted,
        LONG_TAIL,
        NOISE,
    ),
    "kl-dro": _at_full_cost(
        "plain shuffling, weights exp(loss), normalised in each batch",
        _balancers.kl_dro_weighted,
        LONG_TAIL,
        NOISE,
    ),
    "late-stopping": _at_full_cost(
        "what is learnt late is dropped for good; told the share of wrong labels",
        _balancers.late_stopping,
        NOISE,
    ),
}


def default_methods(kinds: Iterable[str]) -> tuple[str, ...]:
    """Return the methods that run on data of these kinds where none are named."""
    return tuple(
        name for name, method in METHODS.items() if set(kinds).intersection(method.default_on)
    )
