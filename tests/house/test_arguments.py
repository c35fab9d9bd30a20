"""Flags and words are checked at the call: whoever writes "false" or "droop" is told at once."""

import inspect
import sys
import typing

import numpy as np
import pytest
import torch
from selection.cases import CALLS, DATA

from sampling import (
    Score,
    Selection,
    bench,
    clustering,
    embedding,
    engine,
    integrations,
    io,
    labeling,
    reports,
    scores,
    training,
    weighting,
)
from sampling import batch_selection as rows
from sampling import samplers as own
from sampling.samplers.core._options import EpochOptions
from sampling.selection import (
    METHODS,
    NgramCounts,
    SelectionPlan,
    Stage,
    bags,
    dsir_scores,
    embeddings_of,
    estimate_from,
    leverage_scores,
    lewis_weights,
    method,
    quotas_from_recall,
    repeat_counts,
    select,
)
from sampling.selection.core._options import Options
from sampling.testing import parametrize_with_checks
from sampling.testing._every_sampler import SAMPLERS

from .test_docstrings import CLASSES, PUBLIC
from .test_docstrings import METHODS as OF_CLASSES

LOGITS = torch.zeros(4, 3)
LABELS = torch.zeros(4, dtype=torch.int64)
LOSSES = torch.ones(4)
ROWS = np.eye(6, 2)
FIELDS = [
    "forgetting",
    "cartography",
    "aum",
    "el2n",
    "entropy",
    "margin",
    "ema_loss",
    "dyn_unc",
    "dual",
    "tdds",
    "probabilities",
]
SCORES = scores.AttributionScores(np.eye(3))
DYNAMICS = scores.TrainingDynamics(4, 3, fields=FIELDS)
NETWORK = torch.nn.Linear(3, 3)


def selector(name):
    def call(**given):
        needed = {"semdedup": {"threshold": None}}.get(name, {})
        return CALLS[name](DATA, 20, **needed, **given)

    return call


def sampler(name):
    return lambda **given: SAMPLERS[name](**given)


def forward(**given):
    chooser = rows.SelectiveForward(NETWORK, lambda model, x: model(x).sum(1), rows.TopKLoss(2))
    return chooser(torch.ones(4, 3), **given)


# One call of each public function, class and method that has a flag or a word.
RECIPES = {
    ".Selection": lambda **o: Selection(np.arange(3), **o),
    "io.check_export": lambda **o: io.check_export("none", "nowhere", **o),
    "io.class_columns": lambda **o: io.class_columns(None, **o),
    "io.direction_of": lambda **o: io.direction_of(None, "x", **o),
    "io.export_rows": lambda **o: io.export_rows(Selection(np.arange(3)), "none", "nowhere", **o),
    "io.load_scores": lambda **o: io.load_scores("none", **o),
    "io.Table.column": lambda **o: io.Table((), 0, ()).column("x", **o),
    "io.score_of": lambda **o: io.score_of(None, "x", **o),
    "io.selection_outputs": lambda **o: io.selection_outputs("none", **o),
    "io.save_selection": lambda **o: io.save_selection(Selection(np.arange(3)), "none", **o),
    "scores.check_stored": lambda **o: scores.check_stored(["entropy"], (4, 3), **o),
    **{f"selection.{name}": selector(name) for name in METHODS},
    "selection.SelectionPlan.check_bad": lambda **o: SelectionPlan(
        "t.parquet", [Stage("top", 1)]
    ).check_bad(**o),
    "selection.SelectionPlan.estimates_of": lambda **o: SelectionPlan(
        "t.parquet", [Stage("top", 1)]
    ).estimates_of(None, **o),
    "selection.bags": lambda **o: bags(3, 2, **o),
    "selection.NgramCounts": lambda **o: NgramCounts(["a"], **o),
    "selection.dsir_scores": lambda **o: dsir_scores(["a"], ["a"], **o),
    "selection.estimate_from": lambda **o: estimate_from(None, "top", 1, **o),
    "selection.embeddings_of": lambda **o: embeddings_of("rows", ROWS, {}, **o),
    "selection.leverage_scores": lambda **o: leverage_scores(ROWS, **o),
    "selection.lewis_weights": lambda **o: lewis_weights(ROWS, 1.0, **o),
    "selection.method": lambda **o: method(
        **{"needs": "scores", "label": "baseline", "ranked": True, "cost": None, **o}
    ),
    "selection.quotas_from_recall": lambda **o: quotas_from_recall(["a", "b"], [0.5, 0.9], 1, **o),
    "selection.repeat_counts": lambda **o: repeat_counts([1.0, 2.0], 4, max_repeats=3, **o),
    "selection.select": lambda **o: select("top", 3, 1, {}, None, arguments={}, bad=None, **o),
    **{f"samplers.{name}": sampler(name) for name in SAMPLERS},
    "samplers.TrajectorySampler.from_steps": lambda **o: own.TrajectorySampler.from_steps(
        [1.0], [1], **o
    ),
    "samplers.MixtureSampler": lambda **o: own.MixtureSampler([3, 4], **o),
    "samplers.AdaptiveBatchSampler": lambda **o: own.AdaptiveBatchSampler(
        own.ShuffleSampler(9), 2, **o
    ),
    "samplers.Aioli": lambda **o: own.Aioli(**o),
    "samplers.ByPerformance": lambda **o: own.ByPerformance(**o),
    "samplers.DoReMi": lambda **o: own.DoReMi(**o),
    "samplers.EpochBatchSampler": lambda **o: own.EpochBatchSampler(own.ShuffleSampler(9), 2, **o),
    "batch_selection.ClassBalancedMemory": lambda **o: rows.ClassBalancedMemory(4, 3, **o),
    "batch_selection.MultistageFilter": lambda **o: rows.MultistageFilter(3, **o),
    "samplers.selmix_pairs": lambda **o: own.selmix_pairs(np.ones((2, 2)), ROWS[:2], ROWS[:2], **o),
    "samplers.ODM": lambda **o: own.ODM(**o),
    "samplers.SkillIt": lambda **o: own.SkillIt(**o),
    "samplers.mixture_regression": lambda **o: own.mixture_regression(np.eye(12), np.ones(12), **o),
    "batch_selection.RHOLoss": lambda **o: rows.RHOLoss(np.zeros(9), **o),
    "batch_selection.RankedBatch": lambda **o: rows.RankedBatch(2, **o),
    "batch_selection.SelectiveBackprop": lambda **o: rows.SelectiveBackprop(**o),
    "batch_selection.SelectiveForward": lambda **o: rows.SelectiveForward(
        NETWORK, lambda model, x: x, rows.TopKLoss(2), **o
    ),
    "batch_selection.SelectiveForward.__call__": forward,
    "batch_selection.BatchSelector.select": lambda **o: rows.TopKLoss(2).select(LOSSES, **o),
    "batch_selection.TopKLoss": lambda **o: rows.TopKLoss(2, **o),
    "batch_selection.frozen_statistics": lambda **o: rows.frozen_statistics(
        NETWORK, **o
    ).__enter__(),
    "training.suggest_batch_size": lambda **o: training.suggest_batch_size(
        torch.ones(4, 3), max_batch_size=9, **o
    ),
    "samplers.AdaptiveBatchSampler.reduce": lambda **o: own.EpochBatchSampler(
        own.ShuffleSampler(4), 2
    ).reduce(LOSSES, range(4), **o),
    "samplers.ClassBalancedSampler.reduce": lambda **o: own.ShuffleSampler(4).reduce(
        LOSSES, range(4), **o
    ),
    ".Score": lambda **o: Score(np.ones(3), **o),
    ".Score.as_higher": lambda **o: Score(np.ones(3), "keep").as_higher(**o),
    "scores.AttributionScores": lambda **o: scores.AttributionScores(np.eye(3), **o),
    "scores.AttributionScores.score": lambda **o: SCORES.score(**o),
    **{
        f"scores.TrainingDynamics.{name}": lambda name=name, **o: getattr(DYNAMICS, name)(**o)
        for name in dir(DYNAMICS)
        if "missing" in getattr(getattr(DYNAMICS, name), "__annotations__", ())
    },
    "scores.gradient_norm_bound": lambda **o: scores.gradient_norm_bound(LOGITS, LABELS, **o),
    "scores.grand": lambda **o: scores.grand(
        NETWORK, torch.nn.CrossEntropyLoss(), torch.ones(4, 3), LABELS, **o
    ),
    "scores.label_issues": lambda **o: scores.label_issues(LABELS, LOGITS, **o),
    "scores.label_quality": lambda **o: scores.label_quality(LABELS, LOGITS, **o),
    "scores.margin": lambda **o: scores.margin(LOGITS, LABELS, **o),
    "scores.mean_scores": lambda **o: scores.mean_scores([Score(np.ones(3), "harder")], **o),
    "scores.score_stored": lambda **o: scores.score_stored(["el2n"], LOGITS, LABELS, **o),
    "scores.sequence_log_probs": lambda **o: scores.sequence_log_probs(
        torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64), **o
    ),
    "weighting.ClassWeights": lambda **o: weighting.ClassWeights([3, 1], **o),
    "weighting.logit_adjustment": lambda **o: weighting.logit_adjustment(LOGITS, [3, 1, 1], **o),
    "weighting.group_loss_scaling": lambda **o: weighting.group_loss_scaling(
        LOSSES, groups=LABELS, num_groups=1, **o
    ),
    "weighting.CurriculumWeights": lambda **o: weighting.CurriculumWeights([0.1, 0.2], 3, **o),
    "weighting.clipped_inverse": lambda **o: weighting.clipped_inverse([0.5], **o),
    "weighting.cvar": lambda **o: weighting.cvar(LOSSES, **o),
    "weighting.esrm": lambda **o: weighting.esrm(LOSSES, **o),
    "weighting.extremile": lambda **o: weighting.extremile(LOSSES, **o),
    "weighting.feasible": lambda **o: weighting.feasible(LOSSES, bound=1.0, step_size=1.0, **o),
    "weighting.focal": lambda **o: weighting.focal(LOSSES[None], **o),
    "weighting.self_paced": lambda **o: weighting.self_paced(LOSSES, share=0.5, **o),
    "weighting.tldr": lambda **o: weighting.tldr(LOSSES[None], **o),
    "labeling.allocate": lambda **o: labeling.allocate([], 1, **o),
    "labeling.expected_loss": lambda **o: labeling.expected_loss([[1.0]], **o),
    "embedding.embed": lambda **o: embedding.embed(["a"], len, **o),
    "embedding.embedding_outputs": lambda **o: embedding.embedding_outputs("x.npy", **o),
    "clustering.kmeans": lambda **o: clustering.kmeans(ROWS, 2, **o),
    "clustering.second_nearest": lambda **o: clustering.second_nearest(
        ROWS, clustering.kmeans(ROWS, 2), **o
    ),
    "engine.each": lambda **o: engine.each(len, ROWS, **o),
    "engine.bad_rows": lambda **o: engine.bad_rows(ROWS, **o),
    "integrations.LightningSamplerCallback": lambda **o: integrations.LightningSamplerCallback(
        own.ShuffleSampler(9), **o
    ),
    "integrations.load_loader_state": lambda **o: integrations.load_loader_state(None, {}, **o),
    "integrations.SamplerTrainerMixin.compute_loss": lambda **o: (
        integrations.SamplerTrainerMixin.compute_loss(None, None, {}, **o)
    ),
    "testing.parametrize_with_checks": lambda **o: parametrize_with_checks(own.ShuffleSampler, **o),
    "bench.table": lambda **o: bench.table(bench.Results({}, ""), **o),
    "bench.Settings": lambda **o: bench.Settings(**o),
    "bench.Task": lambda **o: bench.Task((ROWS, ROWS), (ROWS, ROWS), own.ShuffleSampler, **o),
    "reports.write_plan_report": lambda **o: reports.write_plan_report(
        SelectionPlan("none.parquet", [Stage("top", 1)]), "no work", "page.html", **o
    ),
    "reports.write_selection_report": lambda **o: reports.write_selection_report(
        "subset.parquet", "rows.npy", "report.html", **o
    ),
    "bench.write_report": lambda **o: bench.write_report(bench.Results({}, ""), "none", **o),
}
# What the package fills in itself, or takes from a framework that it plugs into.
EXEMPT = {
    "integrations.SamplerTrainerMixin": "a base of a Trainer: tests/integrations makes them",
    "selection.Bags": "made by `bags`",
    "selection.Method": "made by `method`",
    "batch_selection.SelectedStep": "made by `SelectiveForward`",
    "bench.Benchmark": "`interrupted` says how a run ended",
    "bench.Evaluation": "made by `verdicts`",
    "bench.Verdict": "made by `verdicts`",
    "bench.Benchmark.run": "would train",
    "testing.Check": "made by the kit",
    "testing.Result": "made by the kit",
}


def words_of(hint):
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    return [word for part in typing.get_args(hint) for word in words_of(part)]


def callables():
    for package, name, thing in PUBLIC:
        if not inspect.isclass(thing):
            yield f"{package}.{name}", thing
    for package, name, cls in CLASSES:
        yield f"{package}.{name}", cls.__init__
        if "__call__" in vars(cls):
            yield f"{package}.{name}.__call__", cls.__call__
    for package, name, function in OF_CLASSES:
        if not isinstance(function, property):
            yield f"{package}.{name}", function


def evaluated(hint, names):
    """The annotation that a module defers; the text if it names what type checkers alone import."""
    try:
        return eval(getattr(hint, "__forward_arg__", hint), names)
    except (NameError, TypeError):  # TypeError: it is none
        return hint


def arguments():
    """(name of a callable, parameter, whether it is a flag) of all flags and words."""
    for name, function in callables():
        plain = inspect.unwrap(getattr(function, "__func__", function))
        if not callable(plain):
            continue
        for parameter in inspect.signature(plain).parameters.values():
            hint = evaluated(parameter.annotation, getattr(plain, "__globals__", {}))
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            assert not (isinstance(hint, str) and ("bool" in hint.split() or "Literal" in hint))
            if hint is bool or typing.get_args(hint) == (bool, type(None)):
                yield name, parameter.name, True
            elif words_of(hint):
                yield name, parameter.name, False


ARGUMENTS = list(arguments())


def options_of(kind):
    """Flags and words among the keywords that a whole family takes."""
    for name, text in kind.__annotations__.items():
        hint = evaluated(text, vars(sys.modules[kind.__module__]))
        if hint is bool or words_of(hint):
            yield name, hint is bool


def refused(call, name, is_flag):
    if is_flag:
        for value in ("false", 1):
            with pytest.raises(TypeError, match=f"^{name} must be True or False, got "):
                call(**{name: value})
        return
    with pytest.raises((ValueError, TypeError), match=f"^{name} must be .*, got 'no such word'"):
        call(**{name: "no such word"})


def test_the_table_names_what_there_is():
    found = {name for name, _, _ in ARGUMENTS}
    assert len(ARGUMENTS) > 100
    assert found - set(RECIPES) - set(EXEMPT) == set()
    assert set(EXEMPT) - found == set()


@pytest.mark.parametrize(
    ("name", "parameter", "is_flag"),
    [pytest.param(*each, id=".".join(each[:2])) for each in ARGUMENTS if each[0] not in EXEMPT],
)
def test_a_wrong_flag_or_word_is_refused_at_the_call(name, parameter, is_flag):
    refused(RECIPES[name], parameter, is_flag)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_every_sampler_checks_the_flags_and_words_of_all(name):
    for option, is_flag in options_of(EpochOptions):
        refused(SAMPLERS[name], option, is_flag)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_selector_checks_the_words_of_all(name):
    for option, is_flag in options_of(Options):
        refused(selector(name), option, is_flag)
    refused(selector(name), "group_budgets", False)


def test_scores_have_a_direction_that_there_is():
    refused(lambda higher_is: Score(np.ones(3), higher_is), "higher_is", False)
    refused(Score(np.ones(3), "keep").as_higher, "meaning", False)


# What is not called with keywords of ours: a protocol, a mixin, an exception.
UNTOLD = {"Engine", "SamplerTrainerMixin", "ContractError"}


# The keywords of a method, by whose name they are refused.
HAND_ON = {"estimate", "check_kmeans", "check_neighbours", "report"}


def test_what_is_public_refuses_a_wrong_keyword_by_its_own_name():
    for _, name, thing in PUBLIC:
        if name in UNTOLD or not callable(thing) or isinstance(thing, dict):
            continue
        if name in HAND_ON:
            assert "**" in str(inspect.signature(thing)), name
            continue
        with pytest.raises(TypeError, match=f"^{name} takes no keyword 'no_such_word': "):
            thing(no_such_word=1)
