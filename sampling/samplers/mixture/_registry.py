"""The one list of rules for the weights of a mixture, for the table in docs/mixtures.md.

A test compares its names with the subclasses of `MixtureUpdater` that are public.
"""

from __future__ import annotations

from ..._entry import Entry

UPDATERS: dict[str, Entry] = {
    "ODM": Entry("training losses: a bandit that prefers sources of high loss", "Albalak 2023"),
    "DoReMi": Entry(
        "training losses: excess over a reference model; without one, group DRO", "Xie 2023"
    ),
    "SkillIt": Entry(
        "validation losses: sources that help those of high loss, by a graph", "Chen 2023"
    ),
    "Aioli": Entry(
        "validation losses: probes during training estimate how sources help", "Chen 2025"
    ),
    "ByPerformance": Entry("any metric: sources that are far from its best value", "", "control"),
}
