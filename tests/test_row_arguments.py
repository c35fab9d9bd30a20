"""One number for each row: of another length, of another shape or masked, it is refused by name."""

import inspect
import re

import numpy as np
import pytest
import torch
from selection.cases import CALLS, DATA, LABELS, Data, N

from sampling import batch_selection, labeling, scores, weighting
from sampling import samplers as own
from sampling.clustering import Clustering, Neighbours, hard_negatives, kmeans, neighbours
from sampling.selection import (
    METHODS,
    at_threshold,
    bags,
    inclusion_probabilities,
    leverage_scores,
    lewis_weights,
    propagate,
    repeat_counts,
    reweight_clusters,
    share_out,
    spatial_order,
    twins_of,
    unimax,
    water_fill,
)

M = 20
ROWS = 8
CLASSES = np.arange(ROWS) % 3
ONES = np.ones(ROWS)
EYE = np.eye(ROWS)
INDICES = np.arange(ROWS)
LOSSES = torch.ones(ROWS)
LOGITS = torch.zeros(ROWS, 3)
CHANCES = np.full((ROWS, 3), 1 / 3)
SHUFFLE = own.ShuffleSampler(ROWS)
MIXTURE = own.MixtureSampler([3, 5])
ROUND = kmeans(DATA.embeddings, 2)
COPIES = CALLS["semdedup"](DATA, M)
TOP = CALLS["top"](DATA, M)


def given(**arrays):
    return Data(**{**vars(DATA), **arrays})


def selector(name, argument):
    """A call of a selector with one of the arrays of its case replaced."""
    return lambda rows: CALLS[name](given(**{argument: rows}), M)


def keyword(name, argument):
    return lambda rows: CALLS[name](DATA, M, **{argument: rows})


def forward(**arguments):
    step = batch_selection.SelectiveForward(
        torch.nn.Linear(3, 3), lambda model, x: model(x).sum(1), batch_selection.TopKLoss(2)
    )
    return step(torch.ones(ROWS, 3), **arguments)


def acquired():
    acquisition = labeling.Acquisition(ROWS)
    acquisition.draw(ONES, ROWS)
    return acquisition


def sensitivity(distances=ONES, clusters=CLASSES, losses=(1.0, 1.0, 1.0)):
    return own.SensitivitySampler(distances, clusters, losses, 4, holder_constant=1.0)


# (function, argument) -> (right rows, call): these have a length that another argument gives.
PARALLEL = {
    **{(f"selection.{name}", "ids"): (DATA.ids, keyword(name, "ids")) for name in METHODS},
    **{(f"selection.{name}", "groups"): (LABELS, keyword(name, "groups")) for name in METHODS},
    **{
        (f"selection.{name}", "costs"): (np.ones(N, int), keyword(name, "costs"))
        for name in ("top", "quota", "samplemix", "k_center")
    },
    ("selection.beta", "confidence"): (DATA.confidence, selector("beta", "confidence")),
    ("selection.kmq", "quality"): (DATA.scores, selector("kmq", "scores")),
    ("selection.samplemix", "quality"): (DATA.scores, selector("samplemix", "scores")),
    ("selection.semdedup", "quality"): (DATA.scores, selector("semdedup", "scores")),
    ("selection.moderate", "labels"): (LABELS, selector("moderate", "labels")),
    ("selection.best_window", "labels"): (
        LABELS,
        lambda rows: METHODS["best_window"].function(
            DATA.scores, M, embeddings=DATA.embeddings, labels=rows
        ),
    ),
    ("selection.best_window", "embeddings"): (
        DATA.embeddings,
        lambda rows: METHODS["best_window"].function(
            DATA.scores, M, embeddings=rows, labels=LABELS
        ),
    ),
    ("selection.preference_gap", "rejected"): (
        DATA.rejected,
        selector("preference_gap", "rejected"),
    ),
    ("selection.semdedup", "labels"): (LABELS, keyword("semdedup", "labels")),
    ("selection.d2", "embeddings"): (DATA.embeddings, selector("d2", "embeddings")),
    ("selection.pivotal", "embeddings"): (DATA.embeddings, keyword("pivotal", "embeddings")),
    ("selection.pivotal", "order"): (np.arange(N), keyword("pivotal", "order")),
    ("selection.ccs", "margins"): (DATA.scores, keyword("ccs", "margins")),
    ("selection.cluster_sensitivity", "center_losses"): (
        np.ones(2),
        lambda rows: METHODS["cluster_sensitivity"].function(
            DATA.embeddings, M, center_losses=rows, clusters=ROUND, holder_constant=1.0
        ),
    ),
    ("selection.kmq", "cluster_weights"): (np.ones(1), keyword("kmq", "cluster_weights")),
    ("selection.at_threshold", "keys"): (
        np.arange(N, dtype=np.uint64),
        lambda rows: at_threshold(COPIES, 0.5, keys=rows),
    ),
    ("selection.at_threshold", "names"): (
        DATA.ids,
        lambda rows: at_threshold(COPIES, 0.5, names=rows),
    ),
    **{
        ("selection.bags", name): (rows, lambda rows, name=name: bags(ROWS, 2, **{name: rows}))
        for name, rows in (("weights", ONES), ("groups", CLASSES), ("strata", CLASSES))
    },
    ("selection.propagate", "weights"): (np.ones(2), lambda rows: propagate([0, 1], rows, EYE)),
    ("selection.propagate", "labels"): (
        CLASSES,
        lambda rows: propagate([0, 1], [1.0, 1.0], EYE, labels=rows),
    ),
    ("selection.reweight_clusters", "gains"): (
        ONES,
        lambda rows: reweight_clusters(np.zeros(3), rows, CLASSES),
    ),
    ("selection.reweight_clusters", "clusters"): (
        CLASSES,
        lambda rows: reweight_clusters(np.zeros(3), ONES, rows),
    ),
    ("selection.share_out", "caps"): (
        np.array([3, 4]),
        lambda rows: share_out([1.0, 2.0], 5, rows),
    ),
    ("selection.twins_of", "embeddings"): (DATA.embeddings, lambda rows: twins_of(COPIES, rows)),
    (".Selection.summary", "groups"): (LABELS, lambda rows: TOP.summary(groups=rows)),
    (".Selection.summary", "embeddings"): (
        DATA.embeddings,
        lambda rows: TOP.summary(embeddings=rows),
    ),
    (".Selection.explain", "embeddings"): (
        DATA.embeddings,
        lambda rows: TOP.explain(0, embeddings=rows),
    ),
    ("clustering.kmeans", "groups"): (CLASSES, lambda rows: kmeans(EYE, 3, groups=rows)),
    ("samplers.SensitivitySampler", "clusters"): (CLASSES, lambda r: sensitivity(clusters=r)),
    ("samplers.SensitivitySampler.refresh", "center_losses"): (
        np.ones(3),
        lambda rows: sensitivity().refresh(rows),
    ),
    ("samplers.SensitivitySampler.from_embeddings", "labels"): (
        CLASSES,
        lambda rows: own.SensitivitySampler.from_embeddings(
            EYE, lambda i: np.ones(len(i)), 3, labels=rows
        ),
    ),
    ("samplers.TrajectorySampler", "returns"): (
        ONES,
        lambda rows: own.TrajectorySampler(INDICES + 1, rows),
    ),
    ("samplers.TrajectorySampler.from_steps", "ends"): (
        ONES,
        lambda rows: own.TrajectorySampler.from_steps(ONES, rows),
    ),
    ("samplers.TrajectorySampler.from_steps", "observations"): (
        EYE,
        lambda rows: own.TrajectorySampler.from_steps(ONES, ONES, observations=rows),
    ),
    ("samplers.CurriculumSampler", "labels"): (
        CLASSES,
        lambda rows: own.CurriculumSampler(ONES, 3, labels=rows),
    ),
    ("samplers.PairBatchSampler", "domains"): (
        CLASSES,
        lambda rows: own.PairBatchSampler(CLASSES, 2, "cross_domain", domains=rows),
    ),
    ("samplers.ClassesPerBatchSampler", "outer"): (
        CLASSES,
        lambda rows: own.ClassesPerBatchSampler(INDICES % 2, 1, 1, outer=rows),
    ),
    ("samplers.TemporalBatchSampler", "targets"): (
        CLASSES,
        lambda rows: own.TemporalBatchSampler(CLASSES, rows),
    ),
    ("samplers.TemporalBatchSampler", "times"): (
        ONES,
        lambda rows: own.TemporalBatchSampler(CLASSES, times=rows),
    ),
    ("samplers.selmix_pairs", "bias"): (
        np.ones(3),
        lambda rows: own.selmix_pairs(np.ones((3, 3)), EYE[:3, :3], EYE[:3, :3], rows),
    ),
    ("clustering.hard_negatives", "labels"): (
        CLASSES,
        lambda rows: hard_negatives(EYE, rows, 2),
    ),
    ("clustering.hard_negatives", "within"): (
        CLASSES,
        lambda rows: hard_negatives(EYE, INDICES, 2, within=rows),
    ),
    ("samplers.RepeatedSubsetSampler", "labels"): (
        CLASSES,
        lambda rows: own.RepeatedSubsetSampler(ROWS, 0.5, labels=rows),
    ),
    ("samplers.MixtureSampler", "mean_tokens"): (
        np.ones(2),
        lambda rows: own.MixtureSampler([3, 5], mean_tokens=rows),
    ),
    ("samplers.MixtureSampler", "sample_tokens"): (
        ONES,
        lambda rows: own.MixtureSampler([3, 5], sample_tokens=rows),
    ),
    ("samplers.MixtureSampler", "weights"): (
        np.ones(2),
        lambda rows: own.MixtureSampler([3, 5], weights=rows),
    ),
    ("samplers.ClassBalancedSampler.reduce", "indices"): (
        INDICES,
        lambda rows: SHUFFLE.reduce(LOSSES, rows),
    ),
    ("samplers.ClassBalancedSampler.record", "losses"): (
        ONES,
        lambda rows: SHUFFLE.record(INDICES, rows),
    ),
    ("batch_selection.BatchSelector.select", "indices"): (
        INDICES,
        lambda rows: batch_selection.TopKLoss(2).select(LOSSES, rows),
    ),
    ("batch_selection.BatchSelector.select", "groups"): (
        CLASSES,
        lambda rows: batch_selection.TopKLoss(2, within="group").select(LOSSES, groups=rows),
    ),
    ("batch_selection.SelectiveForward.__call__", "indices"): (
        INDICES,
        lambda rows: forward(indices=rows),
    ),
    ("scores.confidence", "labels"): (CLASSES, lambda rows: scores.confidence(LOGITS, rows)),
    ("scores.el2n", "labels"): (CLASSES, lambda rows: scores.el2n(LOGITS, rows)),
    ("scores.margin", "labels"): (CLASSES, lambda rows: scores.margin(LOGITS, rows)),
    ("scores.score_stored", "labels"): (
        CLASSES,
        lambda rows: scores.score_stored(["el2n"], LOGITS, rows),
    ),
    ("scores.label_quality", "labels"): (CLASSES, lambda rows: scores.label_quality(rows, CHANCES)),
    ("scores.pvi", "log_probs_empty"): (-ONES, lambda rows: scores.pvi(-ONES, rows)),
    ("scores.TrainingDynamics.update", "labels"): (
        CLASSES,
        lambda rows: scores.TrainingDynamics(ROWS, 3).update(INDICES, LOGITS, rows),
    ),
    ("scores.TrainingDynamics.update", "indices"): (
        INDICES,
        lambda rows: scores.TrainingDynamics(ROWS, 3).update(rows, LOGITS, CLASSES),
    ),
    ("scores.ScoreTable.update", "losses"): (
        ONES,
        lambda rows: scores.ScoreTable(ROWS).update(INDICES, rows),
    ),
    ("scores.ScoreTable.restore", "values"): (
        ONES,
        lambda rows: scores.ScoreTable(ROWS).restore(rows, 0),
    ),
    ("scores.ExposureCounter.repeats", "groups"): (
        CLASSES,
        lambda rows: scores.ExposureCounter(ROWS).repeats(rows),
    ),
    ("weighting.GroupWeights", "counts"): (
        np.ones(3),
        lambda rows: weighting.GroupWeights(3, rows),
    ),
    ("weighting.group_dro", "groups"): (
        CLASSES,
        lambda rows: weighting.group_dro(LOSSES, groups=rows, state=weighting.GroupWeights(3)),
    ),
    ("weighting.ClassWeights", "counts"): (
        np.ones(3),
        lambda rows: weighting.ClassWeights(rows, num_classes=3),
    ),
    ("weighting.logit_adjustment", "counts"): (
        np.ones(3),
        lambda rows: weighting.logit_adjustment(LOGITS, rows),
    ),
    ("weighting.ClassWeights.__call__", "labels"): (
        CLASSES,
        lambda rows: weighting.ClassWeights(ONES[:3])(LOSSES, labels=rows),
    ),
    ("weighting.SampleWeights.__call__", "indices"): (
        INDICES,
        lambda rows: weighting.SampleWeights(ONES)(LOSSES, indices=rows),
    ),
    ("weighting.RENTWeights.__call__", "labels"): (
        CLASSES,
        lambda rows: weighting.RENTWeights(EYE[:3, :3])(LOSSES, labels=rows, logits=LOGITS),
    ),
    ("weighting.group_loss_scaling", "groups"): (
        CLASSES,
        lambda rows: weighting.group_loss_scaling(LOSSES, groups=rows, num_groups=3),
    ),
    ("labeling.Acquisition.draw", "scores"): (
        ONES,
        lambda rows: labeling.Acquisition(ROWS).draw(rows),
    ),
    ("labeling.Acquisition.estimate", "losses"): (ONES, lambda rows: acquired().estimate(rows)),
    ("labeling.fit_curve", "losses"): (
        1 / (INDICES + 1.0),
        lambda rows: labeling.fit_curve(INDICES + 1, rows),
    ),
    ("labeling.fit_curve", "errors"): (
        ONES,
        lambda rows: labeling.fit_curve(INDICES + 1, 1 / (INDICES + 1.0), rows),
    ),
    ("weighting.CurriculumWeights.__call__", "indices"): (
        INDICES,
        lambda rows: weighting.CurriculumWeights(ONES)(LOSSES, indices=rows),
    ),
}
# Rows that decide N themselves: only shape and mask can be wrong.
FIRST = {
    ("samplers.WeightedSampler", "weights"): (ONES, own.WeightedSampler),
    ("samplers.ClassBalancedSampler", "target"): (
        np.ones(3),
        lambda rows: own.ClassBalancedSampler(CLASSES, target=rows),
    ),
    ("samplers.TrajectorySampler", "lengths"): (
        INDICES + 1,
        lambda rows: own.TrajectorySampler(rows, np.ones(len(np.ravel(rows)))),
    ),
    ("samplers.TrajectorySampler.locate", "indices"): (
        np.arange(4),
        own.TrajectorySampler([2, 3], [0.0, 1.0]).locate,
    ),
    ("samplers.CurriculumSampler", "difficulty"): (
        ONES,
        lambda rows: own.CurriculumSampler(rows, 3),
    ),
    ("samplers.SensitivitySampler", "distances"): (ONES, lambda rows: sensitivity(rows)),
    ("samplers.SensitivitySampler", "center_losses"): (
        np.ones(3),
        lambda rows: sensitivity(losses=rows),
    ),
    ("batch_selection.RHOLoss", "irreducible"): (ONES, batch_selection.RHOLoss),
    ("samplers.TokenBudgetBatchSampler", "lengths"): (
        ONES,
        lambda rows: own.TokenBudgetBatchSampler(rows, 9),
    ),
    ("samplers.TwoStreamBatchSampler", "primary"): (
        np.arange(4),
        lambda rows: own.TwoStreamBatchSampler(rows, [9, 8], 3, 1),
    ),
    ("samplers.MixtureSampler", "lengths"): (np.array([3, 4]), own.MixtureSampler),
    ("samplers.MixtureSampler.domain_of", "indices"): (np.arange(4), MIXTURE.domain_of),
    ("samplers.MixtureSampler.locate", "indices"): (np.arange(4), MIXTURE.locate),
    ("batch_selection.SelectiveForward.__call__", "scores"): (
        ONES,
        lambda rows: forward(scores=rows),
    ),
    ("samplers.temperature_weights", "sizes"): (
        ONES,
        lambda rows: own.temperature_weights(rows, 2.0),
    ),
    ("scores.ExposureCounter.update", "indices"): (
        INDICES,
        lambda rows: scores.ExposureCounter(ROWS).update(rows),
    ),
    ("weighting.CurriculumWeights", "easiness"): (ONES, weighting.CurriculumWeights),
    ("weighting.SampleWeights", "weights"): (ONES, weighting.SampleWeights),
    ("weighting.clipped_inverse", "probabilities"): (ONES, weighting.clipped_inverse),
    ("weighting.effective_sample_size", "weights"): (ONES, weighting.effective_sample_size),
    ("weighting.target_density_weights", "targets"): (ONES, weighting.target_density_weights),
    ("weighting.upweight", "domains"): (CLASSES, lambda rows: weighting.upweight(rows, 2.0)),
    ("weighting.LossReference", "losses"): (ONES, weighting.LossReference),
    **{
        (f"selection.{name}", argument): (getattr(DATA, key), selector(name, key))
        for name, argument, key in (
            *((name, "scores", "scores") for name in ("top", "quota", "d2", "gumbel", "ccs")),
            *((name, "embeddings", "embeddings") for name in ("k_center", "herding", "leverage")),
            ("perplexity", "perplexities", "perplexities"),
            ("surrogate", "probabilities", "probabilities"),
            ("preference_gap", "chosen", "scores"),
            ("match_histogram", "scores", "scores"),
        )
    },
    ("selection.inclusion_probabilities", "scores"): (
        ONES,
        lambda rows: inclusion_probabilities(rows, 2),
    ),
    ("selection.leverage_scores", "rows"): (EYE, leverage_scores),
    ("selection.lewis_weights", "rows"): (EYE, lambda rows: lewis_weights(rows, 1.0)),
    ("selection.spatial_order", "embeddings"): (EYE, spatial_order),
    ("selection.water_fill", "capacities"): (np.array([3, 4]), lambda rows: water_fill(rows, 5)),
    ("selection.unimax", "sizes"): (np.array([3, 4]), lambda rows: unimax(rows, 5)),
    ("selection.repeat_counts", "weights"): (
        ONES,
        lambda rows: repeat_counts(rows, 9, max_repeats=9),
    ),
}


def cases(table):
    return pytest.mark.parametrize(
        ("argument", "rows", "call"),
        [pytest.param(key[1], *case, id=".".join(key)) for key, case in table.items()],
    )


@cases(PARALLEL)
def test_another_length_is_refused_by_name(argument, rows, call):
    for wrong in (np.concatenate([rows, rows[:1]]), rows[:-1]):
        with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b"):
            call(wrong)
    call(rows)


@cases(PARALLEL | FIRST)
def test_another_shape_is_refused_by_name(argument, rows, call):
    # a column is (N,) where labels are read as those of a model of one output
    for wrong in (np.stack([rows, rows], axis=-1), rows[0]):
        with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b"):
            call(wrong)


@cases(PARALLEL | FIRST)
def test_a_mask_is_refused_by_name_and_row_and_an_empty_one_is_none(argument, rows, call):
    mask = np.zeros(rows.shape, bool)
    call(np.ma.masked_array(rows, mask))
    mask[-1] = True
    unlabelled = ("labels", "groups", "strata", "clusters", "domains", "outer", "targets", "within")
    if argument not in unlabelled:
        rule = rf"\b{argument} must hold no masked values, got one in row {len(rows) - 1}: "
        with pytest.raises(ValueError, match=rule):
            call(np.ma.masked_array(rows, mask))


@pytest.mark.parametrize("size", [N - 1, N + 1])
@pytest.mark.parametrize("name", ["cluster_uniform", "prototypes", "kmq", "samplemix", "semdedup"])
def test_clusters_of_other_rows_are_refused(name, size):
    other = kmeans(np.resize(DATA.embeddings, (size, 5)), 2, spherical=True)
    rest = {} if name in ("cluster_uniform", "prototypes") else {"quality": DATA.scores}
    with pytest.raises(ValueError, match=rf"clusters must .*{N}.*, got {size}"):
        METHODS[name].function(DATA.embeddings, M, clusters=other, **rest)


def test_records_of_clusters_and_neighbours_check_themselves():
    found = kmeans(EYE, 3)
    arguments = {name: getattr(found, name) for name in inspect.signature(Clustering).parameters}
    for name, wrong, message in (
        ("labels", found.labels + 1, r"labels must be in \[0, 3\), got 3 in row"),
        ("labels", found.labels - 1, r"labels must be in \[0, 3\), got -1 in row"),
        ("labels", found.labels.astype(float), "labels must hold ints, got dtype float64"),
        ("distances", found.distances[1:], "distances must have the length of labels, 8, got 7"),
        ("seconds", found.labels[1:], "seconds must have the length of labels, 8, got 7"),
        ("seconds", found.labels + 1, r"seconds must be in \[-1, 3\), got 3 in row"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            Clustering(**{**arguments, name: wrong})
    graph = neighbours(EYE, 2)
    for indices, distances, message in (
        (graph.indices + 9, graph.distances, r"indices must be in \[-1, 8\), got 1\d in row 0"),
        (graph.indices - 9, graph.distances, r"indices must be in \[-1, 8\), got -\d in row 0"),
        (graph.indices, graph.distances[1:], r"indices and distances must have one shape"),
        (graph.indices[0], graph.distances[0], r"indices and distances must have one shape"),
    ):
        with pytest.raises(ValueError, match=message):
            Neighbours(indices, distances)


SEVERAL = {key: case for key, case in {**PARALLEL, **FIRST}.items() if len(case[0]) > 1}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of rows without a value that are omitted
@pytest.mark.parametrize("wrong", ["x", None, {}], ids=["string", "none", "mapping"])
@cases(SEVERAL)
def test_a_value_of_another_type_is_refused_with_its_row(argument, rows, call, wrong):
    """Labels may be strings and missing, and a float may be missing: then nothing is refused."""
    held = rows.tolist()
    if rows.ndim == 1:
        held[1] = wrong
    else:
        held[1][0] = wrong
    try:
        call(held)
    except (TypeError, ValueError) as error:
        if wrong is None and "number of groups" in str(error):
            return  # a missing group is one of its own
        named = rf"\b{argument}(\[1\] must|\b.* row 1\b)"
        assert re.search(named, str(error)), error  # noqa: PT017  # it may be accepted
