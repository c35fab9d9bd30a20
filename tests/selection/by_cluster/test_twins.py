"""Examples of dropped copies, against all cosines at once."""

import numpy as np
import pytest

from sampling import Selection
from sampling.io import save_selection
from sampling.selection import semdedup, top, twins_of
from sampling.selection.by_cluster import _twins
from sampling.selection.pipeline._within import chosen, lifted

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.normal(size=(60, 5))
ROWS = np.concatenate([FIRST, FIRST[:30] + 0.05 * RANDOM.normal(size=(30, 5))]).astype(np.float32)


def most_similar(found, rows):
    """The kept row with the highest cosine to each row, by the whole matrix."""
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1)[:, None]
    cosines = unit @ unit.T
    cosines[:, ~found.mask()] = -2.0
    return cosines.argmax(axis=1), cosines.max(axis=1)


@pytest.mark.parametrize("block", [1, 17, 2**22])
@pytest.mark.parametrize("count", [1, 5, 1000])
def test_each_is_beside_the_kept_row_most_like_it(monkeypatch, block, count):
    monkeypatch.setattr(_twins, "_BLOCK", block)
    found = semdedup(ROWS, threshold=0.97, clusters=2)
    twins = twins_of(found, ROWS, count)
    copies = np.flatnonzero(
        found.verdicts == found.rules.index("near copy of a row ranked before it")
    )
    assert len(twins) == min(count, copies.size)
    kept, cosine = most_similar(found, ROWS)
    for twin in twins:
        assert twin.dropped in copies
        assert twin.kept == kept[twin.dropped]
        assert twin.similarity == pytest.approx(cosine[twin.dropped], abs=1e-6)
    similarities = [found.scores[twin.dropped] for twin in twins]
    assert similarities == sorted(similarities)
    if count > 1:  # from the least similar one to the most
        assert [similarities[0], similarities[-1]] == [
            found.scores[copies].min(),
            found.scores[copies].max(),
        ]


def test_a_saved_selection_will_do(tmp_path):
    found = semdedup(ROWS, threshold=0.97, clusters=2)
    save_selection(found, tmp_path / "subset.parquet", dropped=True)
    again = Selection.load(tmp_path / "subset.parquet")
    assert twins_of(again, ROWS, 7) == twins_of(found, ROWS, 7)


def test_examples_are_of_the_last_stage():
    """Those of the stage before are no copies by its threshold, and say nothing about it."""
    first = semdedup(ROWS, threshold=0.9, clusters=1)
    alive = np.sort(first.indices)
    second = semdedup(ROWS[alive], threshold=0.6, clusters=1)
    both = lifted(second, alive, chosen(first, len(ROWS)), "second")
    gone = {int(row) for row in np.setdiff1d(alive, both.indices)}
    assert gone
    assert {twin.dropped for twin in twins_of(both, ROWS, 1000)} == gone
    assert {twin.dropped for twin in twins_of(both, count=1000)} <= gone


def test_what_cannot_be_shown_is_said():
    found = semdedup(ROWS, threshold=0.97, clusters=2)
    with pytest.raises(ValueError, match="embeddings must have the length of the data, 90, got 89"):
        twins_of(found, ROWS[1:])
    with pytest.raises(ValueError, match="selection must record its rules"):
        twins_of(Selection(np.array([1]), size=90), ROWS)
    assert twins_of(top(ROWS[:, 0], 9), ROWS) == []  # nothing was dropped as a copy
    assert twins_of(found, ROWS, 0) == []
