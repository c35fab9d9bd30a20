"""The kit is proven by mutation: each fault is caught, and by the line that is meant for it."""

import pytest

from sampling.testing import check_batch_sampler, check_sampler

from .good import Good, GoodBatches, GoodDynamic
from .mutants import MUTANTS, table


def dynamic(**options):
    return GoodDynamic(**options)


@pytest.mark.parametrize(
    ("check", "factory"),
    [(check_sampler, Good), (check_sampler, dynamic), (check_batch_sampler, GoodBatches)],
)
def test_the_ground_of_the_mutants_keeps_every_line(check, factory):
    report = check(factory)
    assert not report.failures
    assert sum(result.status == "pass" for result in report.results) >= 23


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize(
    ("check", "factory"),
    [
        pytest.param(check_sampler, Good, marks=pytest.mark.full),
        pytest.param(check_sampler, dynamic, marks=pytest.mark.full),
        (check_batch_sampler, GoodBatches),
    ],
)
def test_the_ground_of_the_mutants_keeps_every_line_with_workers(check, factory):
    assert not check(factory, workers=(0, 2), distributed=True).failures


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(
            mutant,
            id=name,
            marks=[pytest.mark.slow, pytest.mark.distributed] if mutant.distributed else [],
        )
        for name, mutant in MUTANTS.items()
    ],
)
def test_a_mutant_is_caught_by_the_line_meant_for_it(mutant):
    failed = {
        result.id: result.seen for result in mutant.report().results if result.status == "fail"
    }
    assert set(failed) == mutant.caught_by, failed


def test_every_line_catches_a_mutant():
    from sampling.testing._registry import CHECKS

    caught = {line for mutant in MUTANTS.values() for line in mutant.caught_by}
    assert caught == set(CHECKS)


def test_the_table_names_every_mutant(monkeypatch):
    chosen = {name: MUTANTS[name] for name in ("AddsSeedAndEpoch", "DealsBlocks")}
    monkeypatch.setattr("testing.mutants.MUTANTS", chosen)
    assert table().splitlines()[2:] == [
        "| AddsSeedAndEpoch | mixes seed and epoch by addition | C8 |",
        "| DealsBlocks | deals the ranks blocks of the epoch | R1 |",
    ]
