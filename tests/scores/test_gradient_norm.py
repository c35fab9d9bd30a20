import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sampling.scores import el2n, gradient_norm_bound

RANDOM = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(20, 5, generator=RANDOM)
CLASSES = torch.randint(0, 5, (20,), generator=RANDOM)
SOFT = torch.rand(20, 5, generator=RANDOM).softmax(dim=1)
MULTI = (torch.rand(20, 5, generator=RANDOM) < 0.4).float()


def norm_by_autograd(loss_of, logits):
    logits = logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(logits), logits)
    return gradient.norm(dim=1)


CASES = {
    "classes": (CLASSES, False, lambda z: F.cross_entropy(z, CLASSES, reduction="sum")),
    "soft": (SOFT, False, lambda z: F.cross_entropy(z, SOFT.double(), reduction="sum")),
    "soft, not summing to 1": (
        3 * SOFT, False, lambda z: F.cross_entropy(z, (3 * SOFT).double(), reduction="sum"),
    ),
    "multi-label": (
        MULTI, True,
        lambda z: F.binary_cross_entropy_with_logits(z, MULTI.double(), reduction="sum"),
    ),
    "soft multi-label": (
        SOFT, True,
        lambda z: F.binary_cross_entropy_with_logits(z, SOFT.double(), reduction="sum"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "multi_label", "loss_of"), CASES.values(), ids=CASES)
def test_it_is_the_norm_of_the_gradient_at_the_logits(labels, multi_label, loss_of):
    norms = gradient_norm_bound(LOGITS, labels, multi_label=multi_label)
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms.double(), norm_by_autograd(loss_of, LOGITS), rtol=1e-5, atol=0)
    wide = gradient_norm_bound(LOGITS.double(), labels, multi_label=multi_label)
    assert wide.dtype == torch.float64
    torch.testing.assert_close(wide, norm_by_autograd(loss_of, LOGITS), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("labels", "multi_label", "loss_of"), CASES.values(), ids=CASES)
def test_half_precision_is_computed_in_float32(dtype, labels, multi_label, loss_of):
    logits = LOGITS.to(dtype)
    norms = gradient_norm_bound(logits, labels, multi_label=multi_label)
    assert norms.dtype == torch.float32
    exact = norm_by_autograd(loss_of, logits)
    torch.testing.assert_close(norms.double(), exact, rtol=1e-5, atol=0)


def test_a_class_that_is_nearly_certain_keeps_its_digits():
    """1 - p of a float32 p would be 0."""
    norms = gradient_norm_bound(torch.tensor([[40.0, 0.0]]), torch.tensor([0]))
    assert norms.item() == pytest.approx(np.sqrt(2) * np.exp(-40), rel=1e-5)


def test_it_equals_el2n_of_stored_logits():
    np.testing.assert_allclose(
        gradient_norm_bound(LOGITS, CLASSES), el2n(LOGITS, CLASSES).values, rtol=1e-5
    )


def test_it_is_detached_and_changes_nothing():
    logits, before = LOGITS.clone().requires_grad_(), LOGITS.clone()
    for labels in (CLASSES.to(torch.uint8), SOFT, MULTI.bool()):
        assert not gradient_norm_bound(logits, labels).requires_grad
    assert torch.equal(logits, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("labels", "multi_label", "loss_of"), CASES.values(), ids=CASES)
def test_nothing_waits_for_the_device(labels, multi_label, loss_of):
    logits, there = LOGITS.cuda(), labels.cuda()
    gradient_norm_bound(logits, there, multi_label=multi_label)
    torch.cuda.set_sync_debug_mode("error")
    try:
        norms = gradient_norm_bound(logits, there, multi_label=multi_label)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = gradient_norm_bound(LOGITS, labels, multi_label=multi_label)
    torch.testing.assert_close(norms.cpu(), expected)


def test_an_unknown_class_is_nan_and_leaves_the_others_alone():
    labels = CLASSES.clone()
    labels[[3, 7]] = torch.tensor([-100, 5])
    norms, whole = gradient_norm_bound(LOGITS, labels), gradient_norm_bound(LOGITS, CLASSES)
    assert torch.isnan(norms).nonzero().flatten().tolist() == [3, 7]
    known = ~torch.isnan(norms)
    assert torch.equal(norms[known], whole[known])


def test_logits_that_are_not_finite_are_nan():
    assert gradient_norm_bound(torch.tensor([[np.nan, 0.0]]), torch.tensor([0])).isnan().all()


@pytest.mark.parametrize(
    ("logits", "labels", "multi_label", "error", "message"),
    [
        (LOGITS.numpy(), CLASSES, False, TypeError, "logits must be a tensor, got ndarray"),
        (LOGITS, CLASSES.tolist(), False, TypeError, "labels must be a tensor, got list"),
        (LOGITS.long(), CLASSES, False, TypeError, "logits must be floating, got torch.int64"),
        (LOGITS[None], CLASSES, False, ValueError, r"logits must have shape \(B, C\), got \(1, 2"),
        (LOGITS, CLASSES[:3], False, ValueError, "labels must be one for each row .* 20, got 3"),
        (LOGITS, CLASSES.float(), False, TypeError, "must be ints, got torch.float32"),
        (LOGITS, CLASSES, True, ValueError, r"shape of the logits, \(20, 5\), got \(20,\)"),
        (LOGITS, SOFT[:, :4], False, ValueError, r"\(20, 5\), or \(20,\), got \(20, 4\)"),
    ],
)
def test_bad_input(logits, labels, multi_label, error, message):
    with pytest.raises(error, match=message):
        gradient_norm_bound(logits, labels, multi_label=multi_label)
