"""What docs/weighting.md prints runs, and the registries name what there is."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sampling import batch_selection, weighting
from sampling._entry import NOT_MEASURED, VERDICTS
from sampling.batch_selection import BatchSelector
from sampling.batch_selection._registry import SELECTORS
from sampling.samplers._registry import SAMPLERS
from sampling.weighting._registry import WEIGHTINGS

ROOT = Path(__file__).parents[2]
HELPERS = {  # states, schedules and numbers for the weightings
    *("BurnIn", "Deferred", "Duals", "GroupWeights", "LossReference", "RunningRisk"),
    *("effective_sample_size", "pairwise_easiness", "pointwise_easiness", "symmetric_transition"),
}


def test_the_page_runs():
    text = (ROOT / "docs" / "weighting.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/weighting.md", "exec"), names)
    torch.testing.assert_close(names["same"].shape, names["corrected"].shape)
    assert 1 < len(set(names["corrected"].tolist()))
    assert np.isfinite(float(names["loss"].detach()))
    assert names["weighting"].progress == 1


def test_the_registries_name_all_that_is_public():
    assert set(WEIGHTINGS) | HELPERS == set(weighting.__all__)
    selectors = [getattr(batch_selection, name) for name in batch_selection.__all__]
    kinds = {
        each.__name__
        for each in selectors
        if isinstance(each, type) and issubclass(each, BatchSelector)
    }
    assert set(SELECTORS) == kinds - {"BatchSelector"} | {"ClassBalancedMemory"}  # no selector


@pytest.mark.parametrize("registry", [WEIGHTINGS, SELECTORS, SAMPLERS])
def test_every_method_has_a_verdict_and_evidence(registry):
    for name, each in registry.items():
        assert each.verdict in VERDICTS, name
        assert each.evidence, name
    assert any(each.evidence == NOT_MEASURED for each in registry.values())
