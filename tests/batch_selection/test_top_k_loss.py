"""The highest losses, of the batch or of each group."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampling.batch_selection import TopKLoss


@given(
    losses=st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30),
    keep=st.one_of(st.integers(1, 8), st.sampled_from([0.1, 0.25, 0.5])),
    cap=st.sampled_from([0.0, 0.1, 0.4]),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_against_a_sorted_list(losses, keep, cap):
    """Which of equal losses are taken is left to chance: compare the losses."""
    size = len(losses)
    out = min(int(cap * size + 1e-9), size - 1)
    count = keep if isinstance(keep, int) else max(1, int(np.ceil(round(keep * size, 9))))
    twin = sorted(losses, reverse=True)[out : out + count]
    found = TopKLoss(keep, cap=cap).select(torch.tensor(losses)).rows
    assert sorted((losses[row] for row in found.tolist()), reverse=True) == twin


def test_groups_get_their_own_share():
    losses = torch.tensor([1.0, 2.0, 3.0, 9.0, 8.0, 7.0, 6.0, float("nan")])
    groups = torch.tensor([5, 5, 5, 2, 2, 2, 2, 9])
    rows = TopKLoss(2, within="group").select(losses, groups=groups).rows
    assert rows.tolist() == [1, 2, 3, 4, 7]
    rows = TopKLoss(0.5, within="group", cap=0.25).select(losses, groups=groups).rows
    assert rows.tolist() == [1, 2, 4, 5, 7]
    names = ["a", "a", "a", "b", "b", "b", "b", "c"]
    rows = TopKLoss(1, within="group").select(losses, groups=names).rows
    assert rows.tolist() == [2, 3, 7]


def test_the_cap_leaves_outliers_out():
    losses = torch.tensor([1.0, 100.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    assert TopKLoss(2, cap=0.1).select(losses).rows.tolist() == [8, 9]
    assert TopKLoss(2).select(losses).rows.tolist() == [1, 9]


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"keep \+ cap must be at most 1, got 0.9 \+ 0.2"):
        TopKLoss(0.9, cap=0.2)
    with pytest.raises(ValueError, match=r"cap must be in \[0, 1\), got 1"):
        TopKLoss(cap=1)
    with pytest.raises(ValueError, match="within must be one of 'batch', 'group', got 'image'"):
        TopKLoss(within="image")
    with pytest.raises(ValueError, match="groups must be given for within='group', got None"):
        TopKLoss(within="group").select(torch.ones(2))
