import numpy as np
import pytest
from batch_helpers import check_fingerprints, check_loader, each_check, of_epoch

from sampling.clustering import neighbours
from sampling.samplers import NeighborPairBatchSampler

N = 103
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(N, 3))
TABLE = neighbours(ROWS, 6).indices
HOLES = np.where(RANDOM.random(TABLE.shape) < 0.4, -1, TABLE)
HOLES[5] = -1

FACTORIES = {
    "neighbours": lambda **o: NeighborPairBatchSampler(TABLE, 10, **o),
    "five of six": lambda **o: NeighborPairBatchSampler(TABLE, 8, 5, **o),
    "holes": lambda **o: NeighborPairBatchSampler(HOLES, 8, 3, on_missing="random", **o),
    "whole batches only": lambda **o: NeighborPairBatchSampler(TABLE, 10, drop_last=True, **o),
}
each_factory = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


@each_factory
@each_check
def test_contract(factory, check):
    check(factory)


@pytest.mark.slow
def test_loader():
    check_loader(FACTORIES["five of six"], N)


def test_other_arguments_are_another_sampler():
    check_fingerprints(
        lambda: NeighborPairBatchSampler(TABLE, 10),
        lambda: NeighborPairBatchSampler(TABLE[:, ::-1], 10),
        lambda: NeighborPairBatchSampler(TABLE, 11),
        lambda: NeighborPairBatchSampler(TABLE, 10, 2),
        lambda: NeighborPairBatchSampler(TABLE, 10, on_missing="self"),
        lambda: NeighborPairBatchSampler(TABLE, 10, drop_last=True),
        lambda: NeighborPairBatchSampler(TABLE, 10, seed=1),
        # the same entries in other rows
        lambda: NeighborPairBatchSampler([[1, 2], [2, -1], [0, -1]], 10),
        lambda: NeighborPairBatchSampler([[1, -1], [2, 2], [0, -1]], 10),
    )


def rows_of(batches, epochs=1):
    """Anchors, and the partners of each: (n,), (m, n)."""
    found = [
        np.array(batch).reshape(1 + batches.partners, -1)
        for epoch in range(epochs)
        for batch in of_epoch(lambda: batches, epoch)
    ]
    found = np.concatenate(found, axis=1)
    return found[0], found[1:]


def test_partners_are_distinct_entries_of_the_row():
    for partners in (1, 2, 5, 6):
        batches = NeighborPairBatchSampler(TABLE, 10, partners)
        assert batches.batch_size is None
        anchors, found = rows_of(batches)
        assert sorted(anchors) == list(range(N))
        for anchor, mine in zip(anchors, found.T, strict=True):
            assert len({*mine} & {*TABLE[anchor]}) == partners
    anchors, found = rows_of(NeighborPairBatchSampler([[1, 2, -1], [0, -1, -1], [1, 0, -1]], 3, 4))
    for anchor, mine in zip(anchors, found.T, strict=True):
        counts = np.bincount(mine, minlength=3)
        assert counts.tolist() == [[0, 2, 2], [4, 0, 0], [2, 2, 0]][anchor]


@pytest.mark.parametrize("on_missing", ["random", "self", "skip"])
def test_each_entry_is_equally_likely(on_missing):
    table = np.array([[1, 2, 3], [0, -1, -1], [-1, -1, -1], [0, 1, -1], [-1, 3, 0]])
    chances = np.zeros((5, 5))
    for i, row in enumerate(table):
        for j in row[row >= 0]:
            chances[i, j] += 2 / (row >= 0).sum()
    if on_missing == "self":
        chances[2, 2] = 2
    if on_missing == "random":
        chances[2, [0, 1, 3, 4]] = 0.5
    batches = NeighborPairBatchSampler(table, 2, 2, on_missing=on_missing)
    assert batches.num_missing == 1
    able = np.arange(5) != 2 if on_missing == "skip" else np.ones(5, bool)
    np.testing.assert_allclose(batches.sampler.expected(), able + chances.sum(axis=0))
    epochs = 600
    anchors, partners = rows_of(batches, epochs)
    counts = np.zeros((5, 5))
    np.add.at(counts, (np.tile(anchors, 2), partners.ravel()), 1)
    assert not counts[chances == 0].any()
    # the draws of two partners have at most twice the variance of independent ones
    assert (np.abs(counts - epochs * chances) <= 6 * np.sqrt(epochs * chances) + 3).all()


def test_numbers_of_neighbours_of_each_sample():
    """RegMix: k_i nearest, none for some, whose mix with themselves is themselves."""
    wanted = np.arange(N) % 7
    table = np.where(np.arange(6) < wanted[:, None], TABLE, -1)
    anchors, partners = rows_of(NeighborPairBatchSampler(table, 10, on_missing="self"), 20)
    for anchor, mine in zip(anchors, partners[0], strict=True):
        nearest = TABLE[anchor, : wanted[anchor]]
        assert mine in nearest if nearest.size else mine == anchor


def test_wrong_arguments():
    for arguments, options, message in (
        ((TABLE, 0), {}, "pairs_per_batch must be"),
        ((TABLE, 3, 0), {}, "partners must be"),
        ((TABLE + 1, 3), {}, r"table must be in \[-1, 103\), got 103 in row \d+"),
        ((TABLE - 9, 3), {}, r"table must be in \[-1, 103\)"),
        ((TABLE[0], 3), {}, r"table must have shape \(N, D\)"),
        ((HOLES, 3), {}, "every sample must have a partner, got none for sample 5"),
        ((HOLES, 3), {"on_missing": "drop"}, "on_missing must be one of"),
        (([[-1], [-1]], 3), {"on_missing": "skip"}, "table must have an entry >= 0, got -1 in all"),
    ):
        with pytest.raises(ValueError, match=message):
            NeighborPairBatchSampler(*arguments, **options)
    with pytest.raises(TypeError, match="table must hold ints, got dtype float64"):
        NeighborPairBatchSampler(TABLE * 1.0, 3)
    assert NeighborPairBatchSampler([[-1]], 3, on_missing="random").batches(0) == [[0, 0]]
