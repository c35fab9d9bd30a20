"""Which runs there are, what each waits for, and its budget."""

from dataclasses import replace

import pytest

from sampling.bench._jobs import Jobs
from sampling.bench.methods._named import method_named
from sampling.bench.results._run import FAILED, NOT_RUN, UNREACHABLE, Run
from sampling.bench.results._store import Results

TOP = "full-fewer:top-k"


def jobs(*names, protocol="samples", keep=(0.5,), **own):
    methods = {name: method_named(name) for name in names}
    return Jobs(methods | own, keep, 4, 16, protocol)


def results(*runs):
    return Results({}, "accuracy", runs=list(runs))


def done(method, cost, total_cost=0.0):
    return Run(method, 0.5, 0, 0.5, cost=cost, total_cost=total_cost, test=0.9)


def test_a_control_of_equal_total_cost_has_that_cost_or_the_reason_why_not():
    asked = jobs("top-k", TOP)
    place = (TOP, 0.5, 0)
    assert asked.job(place, results(done("top-k", 0.5, 0.8))).budget == 0.8
    for state, wanted in ((NOT_RUN, NOT_RUN), (UNREACHABLE, UNREACHABLE), (FAILED, UNREACHABLE)):
        found = asked.job(place, results(Run("top-k", 0.5, 0, 0.5, state, "no luck")))
        reason = (
            "is matched to the total cost of top-k, which failed" if state == FAILED else "no luck"
        )
        assert (found.place, found.state, found.reason) == (place, wanted, reason)
    found = asked.job(place, results(replace(done("top-k", 0.5, 0.8), seed=1)))
    assert (found.state, found.reason) == (
        UNREACHABLE,
        "is matched to the total cost of top-k, which did not run",
    )


@pytest.mark.parametrize("protocol", ["samples", "epochs", "steps", "cost"])
def test_only_equal_samples_are_matched_to_infobatch(protocol):
    asked = jobs("full", "infobatch", "rs2", "top-k", TOP, protocol=protocol)
    found = asked.job(("rs2", 0.5, 0), results(done("infobatch", 0.4)))
    matched = protocol == "samples"
    assert found.budget == (0.4 if matched else 0.5)
    assert asked.waits_for(("rs2", 0.5, 3)) == ([("infobatch", 0.5, 3)] if matched else [])
    assert asked.waits_for((TOP, 0.5, 3)) == [("top-k", 0.5, 3)]
    assert asked.waits_for(("full", 1.0, 3)) == asked.waits_for(("infobatch", 0.5, 3)) == []


def test_equal_steps_are_more_epochs_in_the_units_of_the_full_run():
    asked = jobs("full", "rs2", "full-fewer", protocol="steps", keep=(0.4,))
    found = asked.job(("rs2", 0.4, 0), results())
    assert (found.epochs, found.full_epochs, found.asked) == (10, 4, pytest.approx(1.0))
    fewer = asked.job(("full-fewer", 0.4, 0), results())
    assert (fewer.state, fewer.budget) == (NOT_RUN, 1.0)
    assert "as many steps as full" in fewer.reason
    assert asked.plain(("rs2", 0.4, 0)).budget == 0.4


def test_a_given_subset_runs_at_its_own_fraction_next_to_the_controls():
    subset = replace(method_named("rs2"), keep=0.3)
    found = jobs("full", "random", "sensitivity", keep=(0.5,), subset=subset).wanted([7])
    assert list(found) == [
        ("full", 1.0, 7),
        ("random", 0.3, 7),
        ("subset", 0.3, 7),
        ("random", 0.5, 7),
        ("sensitivity", 0.5, 7),
    ]
