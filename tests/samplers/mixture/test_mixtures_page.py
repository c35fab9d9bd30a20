"""What docs/mixtures.md prints runs, and its table is that of the registry."""

import re
from pathlib import Path

import numpy as np

from sampling import samplers
from sampling._entry import VERDICTS, table
from sampling.samplers.mixture._registry import UPDATERS

PAGE = (Path(__file__).parents[3] / "docs" / "mixtures.md").read_text()


def test_the_page_runs(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/mixtures.md", "exec"), names)
    assert "[[200, 100, 100], [200, 100, 100], [267, 133, 0]" in capsys.readouterr().out
    np.testing.assert_allclose(names["budget"].token_shares(0), [0.5, 0.25, 0.25], atol=0.04)
    shares = names["own"].shares(1)
    assert shares[0] > shares[1] > shares[2] > 0
    assert names["fit"].error < names["fit"].baseline_error
    np.testing.assert_allclose(names["final"].shares(0), names["fit"].weights)


def test_the_registry_names_all_updaters():
    public = {name: getattr(samplers, name) for name in samplers.__all__}
    rules = {
        name
        for name, each in public.items()
        if isinstance(each, type) and issubclass(each, samplers.MixtureUpdater)
    }
    assert set(UPDATERS) == rules - {"MixtureUpdater"}
    assert table("Updater", UPDATERS) in PAGE
    assert {each.verdict for each in UPDATERS.values()} <= set(VERDICTS)
