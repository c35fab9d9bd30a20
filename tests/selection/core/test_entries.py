"""Every selector as an entry of the registries: use, paper, verdict, evidence."""

from pathlib import Path

from sampling._entry import NOT_MEASURED, VERDICTS, table
from sampling.selection import methods

BENCHMARKS = (Path(__file__).parents[3] / "benchmarks" / "README.md").read_text()
WITHOUT_A_PAPER = {"bottom", "match_histogram", "quota"}


def test_every_selector_has_a_verdict_a_source_and_evidence():
    for name, each in methods().items():
        assert each.entry.verdict in VERDICTS, name
        assert bool(each.source) == (name not in WITHOUT_A_PAPER), name
        assert each.evidence, name
        assert each.entry.use[0].islower(), name
        assert not each.entry.use.endswith("."), name
    measured = {name for name, each in methods().items() if each.evidence != NOT_MEASURED}
    assert measured >= {"k_center", "semdedup", "facility_location", "pivotal", "dedup_text"}
    assert "13,972 true pairs 99.8 %" in " ".join(BENCHMARKS.split())


def test_the_table_has_the_columns_of_the_other_registries():
    entries = {name: each.entry for name, each in methods().items()}
    row = (
        "| `top` | keep the rows with the highest scores, in descending order | Paul 2021 | control"
    )
    assert row in table("Selector", entries)
