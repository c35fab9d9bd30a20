"""The list of scores names all that is public, each with a verdict and evidence."""

import inspect

from sampling import scores
from sampling._entry import NOT_MEASURED, VERDICTS, table
from sampling.scores import TrainingDynamics
from sampling.scores._registry import SCORES

HELPERS = {  # no scores themselves
    *("ExposureCounter", "TrainingDynamics", "check_stored", "score_stored", "threshold_samples"),
}
REPORTS = ("missing",)  # the argument that every score of the dynamics has


def test_the_list_names_all_that_is_public():
    recorded = {
        f"TrainingDynamics.{name}"
        for name, each in inspect.getmembers(TrainingDynamics, inspect.isfunction)
        if name != "scores"
        and name[0] != "_"
        and set(REPORTS) <= set(inspect.signature(each).parameters)
    }
    assert set(SCORES) == set(scores.__all__) - HELPERS | recorded


def test_every_score_has_a_verdict_and_evidence():
    for name, each in SCORES.items():
        assert each.verdict in VERDICTS, name
        assert each.use, name
        assert each.evidence, name
    assert any(each.evidence == NOT_MEASURED for each in SCORES.values())
    assert "| `grand` | norm of each sample's gradient | Paul 2021 |" in table("Score", SCORES)
