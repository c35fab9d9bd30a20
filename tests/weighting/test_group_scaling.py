"""Group loss scaling: FIS and FEBS, and the defects of their released code."""

import functools

import numpy as np
import pytest
import torch
from oracle_weighting import group_scaling_by_loops
from two_ranks import on_two_ranks

from sampling.samplers import ShuffleSampler
from sampling.weighting import group_loss_scaling

LOSSES = torch.tensor([0.5, 2.0, 0.25, 4.0, 1.0, 0.75])
GROUPS = torch.tensor([0, 1, 0, 1, 3, 0])  # of 4, one of which is not in the batch
FORMS = [
    {"form": "identity"},
    {"form": "identity", "coefficient": 0.0, "temperature": 0.3},
    {"form": "identity", "coefficient": 1.0},
    {"form": "error_bound"},
    {"form": "error_bound", "gamma": 0.5},
    {"form": "error_bound", "gamma": 0},
]
forms = pytest.mark.parametrize("arguments", FORMS)


@forms
def test_against_loops(arguments):
    found = group_loss_scaling(LOSSES, groups=GROUPS, num_groups=4, **arguments)
    twin = group_scaling_by_loops(LOSSES.tolist(), GROUPS.tolist(), **arguments)
    np.testing.assert_allclose(found, twin, rtol=1e-5)


@forms
def test_a_group_that_the_batch_lacks_changes_nothing(arguments):
    """The released error bound divides 0 by 0 then: NaN for every group."""
    least = group_loss_scaling(LOSSES[:3], groups=[0, 1, 0], num_groups=2, **arguments)
    more = group_loss_scaling(LOSSES[:3], groups=[0, 1, 0], num_groups=9, **arguments)
    torch.testing.assert_close(least, more)
    assert torch.isfinite(more).all()


@pytest.mark.parametrize("arguments", [FORMS[0], FORMS[3]])
def test_weight_moves_to_the_group_of_larger_loss(arguments):
    """Group terms that are trained by descent, as in an early released code, move away from it."""
    groups, losses = torch.tensor([0, 0, 1, 1]), torch.tensor([1.0, 1.0, 3.0, 3.0])
    found = group_loss_scaling(losses, groups=groups, num_groups=2, **arguments)
    assert found[2] > 2 * found[0]
    trained = torch.zeros(2, requires_grad=True)
    (torch.softmax(0.5 * losses + 0.5 * trained[groups], 0) * losses).sum().backward()
    assert trained.grad[1] > 0  # so that descent lowers the weight of group 1
    assert trained.grad[0] < 0


def test_equal_groups_have_equal_weights_also_at_a_loss_of_0():
    for value in (0.0, 0.7):
        losses = torch.full((4,), value)
        for arguments in FORMS:
            found = group_loss_scaling(losses, groups=[0, 1, 0, 1], num_groups=2, **arguments)
            np.testing.assert_allclose(found, np.ones(4), rtol=1e-5)


def test_in_the_loop_and_without_groups():
    weighting = functools.partial(group_loss_scaling, num_groups=4)
    sampler = ShuffleSampler(6)
    found = sampler.reduce(LOSSES, range(6), groups=GROUPS, weighting=weighting)
    weights = group_loss_scaling(LOSSES, groups=GROUPS, num_groups=4)
    torch.testing.assert_close(found, (weights * LOSSES).mean())
    with pytest.raises(ValueError, match="groups must be given, one for each loss, got None"):
        sampler.reduce(LOSSES, range(6), weighting=weighting)
    with pytest.raises(TypeError, match="required parameter 'num_groups': bind it with functools"):
        sampler.reduce(LOSSES, range(6), groups=GROUPS, weighting=group_loss_scaling)


def of_two_ranks(rank):
    here = [slice(0, 2), slice(2, 6)][rank]
    return [
        group_loss_scaling(LOSSES[here], groups=GROUPS[here], num_groups=4, **each).tolist()
        for each in FORMS
    ]


@pytest.mark.distributed
@pytest.mark.slow
def test_ranks_have_one_batch():
    first, second = on_two_ranks(of_two_ranks)
    for at, arguments in enumerate(FORMS):
        alone = group_loss_scaling(LOSSES, groups=GROUPS, num_groups=4, **arguments)
        np.testing.assert_allclose([*first[at], *second[at]], alone, rtol=1e-5)
