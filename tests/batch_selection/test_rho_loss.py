"""Losses above what cannot be reduced."""

import numpy as np
import pytest
import torch

from sampling.batch_selection import RHOLoss
from sampling.scores import ScoreTable

NAN = float("nan")


def test_against_a_sorted_list():
    draw = np.random.default_rng(0)
    irreducible = draw.exponential(size=100).astype(np.float32)
    selector = RHOLoss(irreducible)
    for _ in range(10):
        indices = draw.permutation(100)[:32]
        losses = draw.exponential(size=32).astype(np.float32)
        twin = np.sort(np.argsort(irreducible[indices] - losses)[:4])  # ceil(3.2)
        assert selector.select(torch.from_numpy(losses), indices).rows.tolist() == twin.tolist()


def test_negative_scores_are_scores():
    selector = RHOLoss([5.0, 5.0, 5.0], keep=1)
    assert selector.select(torch.tensor([1.0, 3.0, 2.0]), [0, 1, 2]).rows.tolist() == [1]


def test_missing_irreducible_losses_are_never_zero_by_mistake():
    """With missing="loss" the loss alone ranks; with "exclude" the row comes after all others."""
    irreducible = [NAN, 1.0, 3.0]
    losses, indices = torch.tensor([1.5, 2.0, 3.5]), [0, 1, 2]
    assert RHOLoss(irreducible, 1).select(losses, indices).rows.tolist() == [0]
    for keep, rows in ((1, [1]), (2, [1, 2]), (3, [0, 1, 2])):
        selector = RHOLoss(irreducible, keep, missing="exclude")
        assert selector.select(losses, indices).rows.tolist() == rows
    assert selector.num_missing == 1


def test_a_missing_one_comes_before_a_loss_that_is_not_finite():
    selector = RHOLoss([NAN, 1.0], 1, missing="exclude")
    for _ in range(10):
        assert selector.select(torch.tensor([0.5, NAN]), [0, 1]).rows.tolist() == [0]


def test_a_score_table_will_do():
    table = ScoreTable(3)
    table.update([0, 2], torch.tensor([0.5, 2.0]))
    selector = RHOLoss(table, 1)
    assert selector.num_missing == 1
    assert selector.select(torch.tensor([2.0, 2.5]), [2, 0]).rows.tolist() == [1]


def test_the_table_is_a_copy():
    irreducible = np.zeros(2, np.float32)
    selector = RHOLoss(irreducible, 1)
    irreducible[1] = 9
    assert selector.select(torch.tensor([1.0, 2.0]), [0, 1]).rows.tolist() == [1]


def test_bad_arguments():
    with pytest.raises(ValueError, match="irreducible must be finite or NaN, got inf in row 1"):
        RHOLoss([0.0, np.inf])
    with pytest.raises(ValueError, match="irreducible must not all be missing, got 2 NaN"):
        RHOLoss([NAN, NAN])
    with pytest.raises(ValueError, match=r"irreducible must have shape \(N,\)"):
        RHOLoss(np.ones((2, 2)))
    with pytest.raises(ValueError, match="missing must be one of 'loss', 'exclude', got 'zero'"):
        RHOLoss([0.0], missing="zero")
    with pytest.raises(ValueError, match="indices must be given to RHOLoss, got None"):
        RHOLoss([0.0]).select(torch.ones(1))
    with pytest.raises(ValueError, match=r"indices must be in \[0, 2\), got 2 in row 1"):
        RHOLoss([0.0, 1.0]).select(torch.ones(3), [0, 2, -1])


@pytest.mark.parametrize(("size", "count"), [(320, 32), (35, 4), (9, 1)])
def test_a_part_of_the_rows_is_rounded_up(size, count):
    """The released code has max(1, int(0.1 B)): 32, 3 and 1."""
    selector = RHOLoss(np.zeros(size))
    assert selector.select(torch.arange(float(size)), indices=range(size)).rows.numel() == count
