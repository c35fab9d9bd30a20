"""Selectors of the registry as methods of the benchmark."""

import numpy as np
import pytest
import torch
from torch import nn
from typing_extensions import Unpack

from sampling import Score, bench, selection
from sampling.bench.methods._method import CLASSES, DRAWS, EMBEDDINGS, LOSSES, TRAINED, Rows
from sampling.bench.methods._named import EQUAL_COST, all_methods, method_named, resolved
from sampling.bench.methods._scores import SCORES, epochs_of, window_of
from sampling.bench.results._run import DONE, NOT_RUN
from sampling.bench.results._store import load_details
from sampling.errors import MissingExtraError
from sampling.scores import TrainingDynamics
from sampling.scores._dynamics_tables import FIELDS
from sampling.selection import Cost, Options, Picks, method, scores_of, select

NAMES = [name.replace("=P", "=1") for name, group, *_ in all_methods() if group == "selector"]


@pytest.mark.slow
def test_every_selector_runs_at_the_budget_or_says_why_not(runs_of):
    """Each with one score; a selector that is registered later is among them by itself."""
    runs = runs_of(NAMES)
    assert {name.partition(":")[0] for name in NAMES} == set(selection.methods())
    assert set(runs) == set(NAMES)
    refused = {name for name, run in runs.items() if run.state != DONE}
    # need pairs, texts, a target, gradients
    lacking = {"preference_gap", "dedup_text", "match_histogram:el2n", "grad_match", "glister"}
    assert refused == lacking
    assert runs["preference_gap"].state == NOT_RUN
    assert "needs `chosen` and `rejected`" in runs["preference_gap"].reason
    for name, run in runs.items():
        entry = selection.methods()[name.partition(":")[0]]
        if name not in refused and (entry.fixed_size or entry.repeats):
            assert run.draws == 4 * 27, name  # of 90 samples, in each of 4 epochs
        if name not in refused:
            assert (run.piloted > 0) == (TRAINED in method_named(name).needs), name


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_every_selector_with_every_score(runs_of, name):
    parts = name.split(":")
    names = [name]
    if len(parts) > 1 and "=" not in parts[1]:
        names = []
        for score in SCORES:
            full = f"{parts[0]}:{score}"
            try:
                method_named(full)
            except ValueError as error:
                assert "must be a score of value" in str(error)
            else:
                names.append(full)
    for each, run in runs_of(names).items():
        assert run.state == DONE or run.reason.startswith(("needs ", "is refused by ")), (each, run)


def test_the_names_of_scores_are_those_of_training_dynamics_with_their_directions():
    dynamics = TrainingDynamics(2, 2, fields=tuple(FIELDS), window=3)
    for _ in range(3):
        dynamics.update([0, 1], [[1.0, 0.0], [0.0, 1.0]], [0, 0])
    given = dynamics.scores()
    ours = {name for name, entry in SCORES.items() if entry.source in {"pilot", "classes"}}
    assert ours == set(given)
    assert all(SCORES[name].direction == score.higher_is for name, score in given.items())


def test_epochs_are_those_of_the_papers_in_short_runs_too():
    assert [epochs_of(0.1, epochs) for epochs in (1, 2, 20, 200)] == [1, 1, 2, 20]
    assert [epochs_of(0.15, epochs, windows=2) for epochs in (1, 2, 20, 200)] == [1, 2, 3, 30]
    assert [window_of(epochs) for epochs in (2, 20, 200, 1000)] == [2, 2, 10, 10]


def test_a_selector_of_your_own_appears_by_itself(runs_of):
    @method(needs="scores", label="baseline", ranked=True, cost=lambda s: Cost(s.N, memory=s.N))
    def middle_third(
        scores: "list[float] | Score",
        budget: float,
        *,
        labels: "list[int] | None" = None,
        **options: Unpack[Options],
    ):
        """Keep the first rows.

        Notes
        -----
        Cost
            O(N) time; N bytes.
        """
        assert labels is not None  # filled where the data have it
        values, bad = scores_of("scores", scores, options)
        return select(
            "middle_third", values.size, budget, options,
            lambda task: Picks(np.arange(task.budget)), arguments={}, bad=bad,
        )  # fmt: skip

    try:
        assert "middle_third:el2n" in [name for name, *_ in all_methods()]
        (run,) = runs_of(["middle_third:aum"]).values()
        assert run.draws == 4 * 27
    finally:
        selection.METHODS.pop("middle_third")


@pytest.mark.parametrize(
    ("name", "message"),
    {
        "ccs": "ccs must be named with a score, got 'ccs': write 'ccs:el2n'",
        "beta": "write 'beta:el2n'",
        "k_center:el2n": "k_center must be named without a score, got 'k_center:el2n'",
        "ccs:el3n": "the score of ccs must be one of .* got 'el3n': did you mean 'el2n'",
        "ccs:el2n:aum": "ccs must be named with 1 score, got 2 in 'ccs:el2n:aum'",
        "cssc:el2n": "got 'cssc:el2n': did you mean 'ccs:el2n'",
        "k_centre": "got 'k_centre': did you mean 'k_center'",
        "herdin": "got 'herdin': did you mean 'herding'",
        "infobach": "got 'infobach': did you mean 'infobatch'",
        "full-fewer:cs:el2n": "got 'cs:el2n': did you mean 'ccs:el2n'",
        "kmq:el2n": "quality of kmq must be a score of value, one of variability, .* got 'el2n'",
        "sensitivity_lp": "must be named with p, got 'sensitivity_lp': write sensitivity_lp:p=VAL",
        "sensitivity_lp:p=x": "p must be a number, got 'x'",
        "window:el2n:offset=2": r"offset must be in \[0, 1\), got 2",
        "window:el2n:ofset=0.2": "must name arguments of window, .* got 'ofset': did you mean 'off",
        "top:el2n:seed=3": "must name arguments of top, .* got 'seed'",
        "top:el2n:budget=3": "must name arguments of top, .* got 'budget'",
        "semdedup:threshold=0.9": "budget and threshold|exactly one|threshold",
        "top:el2n:groups=colour": "groups must be one of 'labels', got 'colour'",
        "ccs:el2n:margins=au": "the score of ccs must be one of .* got 'au': did you mean 'aum'",
    }.items(),
)
def test_names_are_refused_before_any_work(name, message):
    with pytest.raises((ValueError, TypeError), match=message):
        bench.Settings(methods=("full", name))


def test_levels_needs_and_controls_follow_from_the_registry():
    facts = {name: (level, needs) for name, _, level, needs, _ in all_methods()}
    assert facts["k_center"] == (DRAWS, (EMBEDDINGS,))
    assert facts["leverage"] == (LOSSES, (EMBEDDINGS,))
    assert facts["d2:el2n"] == (DRAWS, (CLASSES, TRAINED, EMBEDDINGS))
    assert facts["samplemix:dual"][0] == DRAWS  # its repeats are draws
    assert method_named("top:aum").help.endswith("(aum, high is easier)")
    settings = bench.Settings(methods=("ccs:el2n", "k_center"))
    assert {EQUAL_COST + "ccs:el2n", EQUAL_COST + "k_center"} <= set(settings.all_methods)


def test_scores_keep_their_own_direction(runs_of, tmp_path):
    """`top` keeps high values, whatever they mean; methods for hard samples turn the sign."""
    names = ("top:aum", "bottom:aum", "window:aum:offset=0.0", "window:ema_loss:offset=0.0")
    runs = runs_of(names)
    counts = {n: load_details(tmp_path / "out", run)["counts"] > 0 for n, run in runs.items()}
    assert np.array_equal(counts["bottom:aum"], counts["window:aum:offset=0.0"])
    assert not (counts["top:aum"] & counts["bottom:aum"]).any()


def test_classes_as_groups_are_kept_in_proportion(runs_of):
    (run,) = runs_of(("top:el2n:groups=labels",)).values()
    assert run.draws == 4 * 27
    assert CLASSES in method_named("k_center:groups=labels").needs


def test_data_without_classes_or_rows_have_the_reason_in_their_row(runs_of):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    data = bench.Task((x, x[:, 0]), (x, x[:, 0]), lambda: nn.Linear(3, 1), epochs=2, batch_size=8)
    runs = runs_of(("k_center", "top:el2n", "surrogate", "label-issues"), data=data)
    assert runs["k_center"].state == DONE
    for name in ("top:el2n", "surrogate", "label-issues"):
        assert runs[name].state == NOT_RUN
        assert "needs classes" in runs[name].reason
    rows = [(x[i], i % 2) for i in range(24)]
    data = bench.Task(rows, rows, lambda: nn.Linear(3, 2), epochs=2, batch_size=8)
    runs = runs_of(("k_center", "top:el2n"), data=data, out="lists")
    assert "needs embeddings" in runs["k_center"].reason
    assert runs["top:el2n"].state == DONE


def test_one_epoch_is_too_few_for_windows_and_enough_for_the_others(runs_of, task):
    runs = runs_of(("top:dual", "top:el2n", "top:forgetting"), data=task(epochs=1))
    assert runs["top:dual"].state == NOT_RUN
    assert "needs 2 epochs for dual, got 1" in runs["top:dual"].reason
    assert runs["top:el2n"].state == runs["top:forgetting"].state == DONE


def test_a_score_below_zero_is_refused_by_beta_with_the_reason(runs_of):
    (run,) = runs_of(("beta:aum",)).values()
    assert run.state == NOT_RUN
    assert "is refused by `beta`: scores must be in [0, inf), got" in run.reason


def test_label_quality_needs_cleanlab_before_any_run(monkeypatch):
    rows = Rows(np.arange(3), 3)
    assert resolved(method_named("top:el2n"), rows).scores
    monkeypatch.setitem(__import__("sys").modules, "cleanlab", None)
    for name in ("top:label_quality", "label-issues", EQUAL_COST + "top:label_quality"):
        with pytest.raises(MissingExtraError, match="needs cleanlab"):
            resolved(method_named(name), rows)
