import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from sampling import Indexed, Selection
from sampling.samplers import (
    ClassBalancedSampler,
    InfoBatchSampler,
    RepeatedSubsetSampler,
    ShuffleSampler,
    SubsetSampler,
    WeightedSampler,
)
from sampling.scores._device import DeviceWeights

CPU = torch.device("cpu")
ROWS = np.array([4, 1, 3])
LOSSES = torch.tensor([0.3, 1.7, 0.4])
WEIGHTS = np.array([1.0, 2.0, 4.0, 8.0, 5.0])  # of samples 0..4; mean 4


def weighted(**options):
    """Weights 1/(N p) = 4 / w of the five samples."""
    return WeightedSampler(WEIGHTS, objective="original", **options)


GIVEN = 4 / WEIGHTS[ROWS]


class Learner(InfoBatchSampler):
    """Notes what the hook of samplers that learn from more than the loss is given."""

    def signals(self, batch):
        self.given = batch.rows, batch.losses, batch.logits, batch.labels
        return super().signals(batch)


# ---- the value -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["batch_mean", "weighted_mean"])
@pytest.mark.parametrize(
    "sampler",
    [
        ShuffleSampler(1000),
        WeightedSampler(np.arange(1.0, 1001)),
        ClassBalancedSampler(np.arange(1000) % 7, objective="sampled"),
        InfoBatchSampler(1000, 5),
        RepeatedSubsetSampler(1000, 0.5, objective="original"),
    ],
    ids=lambda s: type(s).__name__,
)
def test_with_weights_of_one_it_is_the_mean_bit_for_bit(sampler, dtype, reduction):
    losses = torch.rand(257, generator=torch.Generator().manual_seed(0)).to(dtype)
    losses.requires_grad_()
    rows = np.arange(257)
    ours = sampler.reduce(losses, rows, reduction)
    theirs = losses.mean()
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)
    gradient = torch.autograd.grad(ours, losses)[0]
    assert torch.equal(gradient, torch.autograd.grad(theirs, losses)[0])


def test_batch_mean_divides_by_the_batch():
    expected = (GIVEN * LOSSES.numpy()).sum() / 3
    assert float(weighted().reduce(LOSSES, ROWS)) == pytest.approx(expected, rel=1e-6)


def test_weighted_mean_divides_by_the_weights():
    expected = (GIVEN * LOSSES.numpy()).sum() / GIVEN.sum()
    found = weighted().reduce(LOSSES, ROWS, reduction="weighted_mean")
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "denominator", [12, 12.0, torch.tensor(12), torch.tensor(12.0), np.float32(12)]
)
@pytest.mark.parametrize("reduction", ["batch_mean", "weighted_mean"])
def test_denominator_replaces_both(denominator, reduction):
    expected = (GIVEN * LOSSES.numpy()).sum() / 12
    found = weighted().reduce(LOSSES, ROWS, reduction, denominator)
    assert found.shape == ()
    assert float(found) == pytest.approx(expected, rel=1e-6)
    plain = ShuffleSampler(5).reduce(LOSSES, ROWS, reduction, denominator=denominator)
    assert float(plain) == pytest.approx(float(LOSSES.sum()) / 12, rel=1e-6)


def test_accumulated_steps_with_a_denominator_are_one_large_batch():
    whole = float(weighted().reduce(LOSSES, ROWS))
    parts = [
        float(weighted().reduce(LOSSES[part], ROWS[part], denominator=3))
        for part in (slice(0, 2), slice(2, 3))
    ]
    assert sum(parts) == pytest.approx(whole, rel=1e-6)


def test_gradient_flows_through_the_losses_only():
    losses = LOSSES.clone().requires_grad_()
    sampler = weighted()
    weights = sampler.weights_for(torch.tensor(ROWS))
    assert not weights.requires_grad
    batch_mean = torch.autograd.grad(sampler.reduce(losses, ROWS), losses)[0]
    np.testing.assert_allclose(batch_mean, GIVEN / 3, rtol=1e-6)
    mean = sampler.reduce(losses, ROWS, reduction="weighted_mean")
    np.testing.assert_allclose(torch.autograd.grad(mean, losses)[0], GIVEN / GIVEN.sum(), rtol=1e-6)
    denominator = torch.tensor(3.0)
    total = sampler.reduce(losses, ROWS, denominator=denominator)
    np.testing.assert_allclose(torch.autograd.grad(total, losses)[0], GIVEN / 3, rtol=1e-6)


def test_works_without_gradients():
    with torch.no_grad():
        assert float(weighted().reduce(LOSSES, ROWS)) > 0


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, torch.tensor, lambda r: np.array(r, np.int32)]
)
def test_indices_may_be_any_ints(kind):
    expected = weighted().reduce(LOSSES, ROWS)
    assert torch.equal(weighted().reduce(LOSSES, kind(ROWS.tolist())), expected)
    sampler = InfoBatchSampler(5, 3)
    sampler.record(kind(ROWS.tolist()), LOSSES)
    np.testing.assert_array_equal(sampler.scores[ROWS], LOSSES)


def test_the_same_sample_twice_in_a_batch():
    found = weighted().reduce(torch.tensor([1.0, 3.0]), [4, 4])
    assert float(found) == pytest.approx(2 * 4 / 5, rel=1e-6)


# ---- weights -------------------------------------------------------------------------------------


def test_weights_come_back_as_what_the_indices_were():
    sampler = weighted()
    for call in (sampler.weights_for, sampler.importance_weights):
        array = call(ROWS)
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float32
        tensor = call(torch.tensor(ROWS))
        assert isinstance(tensor, torch.Tensor)
        assert tensor.dtype == torch.float32
        np.testing.assert_allclose(array, GIVEN, rtol=1e-6)
        np.testing.assert_array_equal(tensor, array)
        assert call(ROWS.tolist()).shape == (3,)


def test_importance_weights_do_not_depend_on_the_objective():
    sampled = WeightedSampler(WEIGHTS)
    np.testing.assert_array_equal(sampled.weights_for(ROWS), 1)
    np.testing.assert_allclose(sampled.importance_weights(ROWS), GIVEN, rtol=1e-6)
    assert sampled.objective == "sampled"
    assert weighted().objective == "original"


# ---- losses that are not numbers -----------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nonfinite_losses_propagate_and_are_counted(bad):
    losses = torch.tensor([1.0, bad, 2.0])
    for sampler in (ShuffleSampler(5), weighted(), InfoBatchSampler(5, 3)):
        found = sampler.reduce(losses, ROWS)
        np.testing.assert_equal(float(found), float(losses.mean()))
        assert sampler.num_nonfinite == 1
        sampler.record(ROWS, torch.tensor([bad, bad, 0.0]))
        assert sampler.num_nonfinite == 3


def test_nonfinite_losses_are_dropped_on_request():
    losses = torch.tensor([1.0, np.nan, 2.0], requires_grad=True)
    plain = ShuffleSampler(5, nonfinite="drop")
    for reduction in ("batch_mean", "weighted_mean"):
        found = plain.reduce(losses, ROWS, reduction)
        assert found.item() == pytest.approx(1.5)
        np.testing.assert_allclose(torch.autograd.grad(found, losses)[0], [0.5, 0, 0.5])
    assert plain.num_nonfinite == 2
    given = GIVEN[[0, 2]]
    ours = weighted(nonfinite="drop")
    total = given @ np.array([1.0, 2.0])
    assert ours.reduce(losses, ROWS).item() == pytest.approx(total / 2, rel=1e-6)
    mean = ours.reduce(losses, ROWS, "weighted_mean")
    assert mean.item() == pytest.approx(total / given.sum(), rel=1e-6)
    fixed = ours.reduce(losses, ROWS, denominator=10)
    assert fixed.item() == pytest.approx(total / 10, rel=1e-6)


@pytest.mark.parametrize("reduction", ["batch_mean", "weighted_mean"])
def test_a_batch_of_nothing_but_bad_losses_counts_zero(reduction):
    losses = torch.full((3,), np.inf, requires_grad=True)
    for sampler in (ShuffleSampler(5, nonfinite="drop"), weighted(nonfinite="drop")):
        found = sampler.reduce(losses, ROWS, reduction)
        assert found.item() == 0
        np.testing.assert_array_equal(torch.autograd.grad(found, losses)[0], 0)


def test_dropping_changes_nothing_where_all_losses_are_finite():
    for drop in ("drop", "propagate"):
        found = weighted(nonfinite=drop).reduce(LOSSES, ROWS)
        assert float(found) == pytest.approx((GIVEN * LOSSES.numpy()).mean(), rel=1e-6)


# ---- recording -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_recorded_losses_keep_their_index(dtype):
    """Above 2,048 float16 has no odd numbers: indices must never pass through the loss's type."""
    sampler = InfoBatchSampler(100_000, 3)
    rows = torch.arange(2047, 100_000, 97)
    losses = torch.rand(len(rows), generator=torch.Generator().manual_seed(1)).to(dtype)
    sampler.reduce(losses, rows)
    scores = sampler.scores
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(scores)), rows)
    np.testing.assert_array_equal(scores[rows], losses.float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_do_not_round_to_half_precision(dtype):
    sampler = WeightedSampler(1 + np.arange(1000) * 1e-5, objective="original")
    rows = np.arange(0, 1000, 100)
    found = float(sampler.reduce(torch.ones(10, dtype=dtype), rows))
    assert found == pytest.approx(float(sampler.weights_for(rows).mean()), rel=1e-6)


@pytest.mark.parametrize(
    "losses",
    [np.array([0.5, 1.5, 2.5]), np.array([0.5, 1.5, 2.5], np.float32), [0.5, 1.5, 2.5],
     np.array([1, 3, 5])],
)  # fmt: skip
def test_record_takes_arrays(losses):
    sampler = InfoBatchSampler(5, 3)
    sampler.record(ROWS, losses)
    np.testing.assert_array_equal(sampler.scores[ROWS], np.asarray(losses, np.float32))


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_recorded_losses_are_copies(kind):
    sampler = InfoBatchSampler(5, 3)
    losses, rows = kind([0.5, 1.5, 2.5]), kind([4, 1, 3])
    losses = losses.float() if isinstance(losses, torch.Tensor) else losses.astype(np.float32)
    sampler.record(rows, losses)
    losses *= 100
    rows[:] = 0
    np.testing.assert_array_equal(sampler.scores[ROWS], [0.5, 1.5, 2.5])
    assert np.isnan(sampler.scores[0])


def test_reduce_records_detached():
    sampler = InfoBatchSampler(5, 3)
    losses = LOSSES.clone().requires_grad_()
    loss = sampler.reduce(losses * 2, ROWS)
    np.testing.assert_array_equal(sampler.scores[ROWS], LOSSES * 2)
    loss.backward()
    np.testing.assert_allclose(losses.grad, np.full(3, 2 / 3), rtol=1e-6)


def test_scores_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        InfoBatchSampler(5, 3).scores[0] = 1


# ---- bad input -----------------------------------------------------------------------------------


def refused(call, message, error=ValueError):
    """Nothing may be recorded by a batch that was refused."""
    sampler = InfoBatchSampler(5, 3)
    sampler.record([0], [7.0])
    before = sampler.scores.copy()
    with pytest.raises(error, match=message):
        call(sampler)
    np.testing.assert_array_equal(sampler.scores, before)
    assert sampler.num_nonfinite == 0


BATCHES = [
    (torch.tensor(0.5), ROWS, ValueError, "got a scalar: compute the loss with reduction='none'"),
    (torch.tensor(0.5), [2], ValueError, "got a scalar: compute the loss with reduction='none'"),
    (torch.ones(3, 2), ROWS, ValueError, r"shape \(B,\), got \(3, 2\): reduce each sample"),
    (torch.ones(2), ROWS, ValueError, "losses must be as many as indices .*, got 2 losses for 3"),
    (torch.ones(4), ROWS, ValueError, "losses must be as many as indices .*, got 4 losses for 3"),
    (torch.ones(0), np.empty(0, int), ValueError, "at least 1, got 0 losses for 0 indices"),
    (torch.ones(2), [0, 5], ValueError, r"indices must be in \[0, 5\), got 5 in row 1"),
    (torch.ones(2), [-1, 2], ValueError, r"indices must be in \[0, 5\), got -1 in row 0"),
    (torch.ones(2), [0, 2**40], ValueError, r"indices must be in \[0, 5\), got 1099511627776 "),
    (torch.ones(2), [0.0, 1.0], TypeError, "indices must hold ints, got dtype float64"),
    (torch.ones(2), [True, False], TypeError, "indices must hold ints, got bools"),
    (torch.ones(2), [[0, 1]], ValueError, r"indices must have shape \(B,\), got \(1, 2\)"),
    (torch.ones(2, dtype=torch.int64), [0, 1], TypeError, "losses must be floating, got .*int64"),
]


@pytest.mark.parametrize(("losses", "rows", "error", "message"), BATCHES)
def test_bad_batches_are_refused_and_not_recorded(losses, rows, error, message):
    refused(lambda sampler: sampler.reduce(losses, rows), message, error)
    refused(lambda sampler: sampler.record(rows, losses), message, error)


@pytest.mark.parametrize("losses", [0.5, np.float32(0.5), np.array(0.5)])
@pytest.mark.parametrize("rows", [[2], ROWS])
def test_a_scalar_that_is_no_tensor_is_refused_too(losses, rows):
    refused(lambda sampler: sampler.record(rows, losses), "reduction='none'")


def test_reduce_wants_a_tensor():
    message = "losses must be a tensor, got ndarray"
    refused(lambda sampler: sampler.reduce(np.ones(3), ROWS), message, TypeError)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"reduction": "sum"}, ValueError, "reduction must be one of .*, got 'sum'"),
        ({"denominator": 0}, ValueError, r"denominator must be in \(0, inf\), got 0"),
        ({"denominator": -2.0}, ValueError, r"denominator must be in \(0, inf\), got -2.0"),
        ({"denominator": float("nan")}, ValueError, r"denominator must be in \(0, inf\), got nan"),
        ({"denominator": "3"}, TypeError, "denominator must be a number, got '3'"),
    ],
)
def test_bad_settings_are_refused_and_not_recorded(settings, error, message):
    refused(lambda sampler: sampler.reduce(LOSSES, ROWS, **settings), message, error)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SubsetSampler([0, 4]),
        lambda: SubsetSampler(Selection(np.array([0, 4]), weights=np.ones(2))),
        lambda: WeightedSampler([1, 0, 0, 1, 1]),
        lambda: ClassBalancedSampler([0, -1, 0, 0, 1]),
    ],
)
def test_indices_that_were_never_dealt(make):
    sampler = make()
    message = "indices must be draws of epoch 0, got 1 in row 1: .*Indexed must be the outermost"
    with pytest.raises(ValueError, match=message):
        sampler.reduce(torch.full((2,), np.nan), [0, 1])
    assert sampler.num_nonfinite == 0


class Squares:
    def __len__(self):
        return 100

    def __getitem__(self, index):
        return float(index**2)


def loop(dataset, sampler):
    for indices, values in DataLoader(dataset, batch_size=4, sampler=sampler):
        sampler.reduce(values.float(), indices)


def test_indexed_inside_a_subset_is_caught():
    """`Subset(Indexed(ds))` hands out indices of `ds`, not those that the sampler dealt."""
    rows = list(range(90, 100))
    wrong = Subset(Indexed(Squares()), rows)
    sampler = InfoBatchSampler(wrong, 3)
    with pytest.raises(
        ValueError, match=r"indices must be in \[0, 10\), got 9. in row 0.*outermost"
    ):
        loop(wrong, sampler)
    assert np.isnan(sampler.scores).all()
    right = Indexed(Subset(Squares(), rows))
    sampler = InfoBatchSampler(right, 3)
    loop(right, sampler)
    np.testing.assert_array_equal(sampler.scores, np.arange(90, 100) ** 2)


def test_indexed_inside_a_subset_is_caught_among_samples_left_out():
    """Here every index is in range; but some of them were not dealt in this epoch."""
    wrong = Subset(Indexed(Squares()), [each ^ 1 for each in range(100)])
    sampler = InfoBatchSampler(wrong, 4)
    sampler.record(np.arange(100), np.arange(100.0))
    sampler.set_epoch(1)
    with pytest.raises(ValueError, match="indices must be draws of epoch 1"):
        loop(wrong, sampler)


# ---- indices on a device, tried out on the CPU ---------------------------------------------------


def test_device_weights_look_up_and_count_what_is_bad():
    lookup = DeviceWeights(
        3, np.array([True, False, True]), np.array([1.0, 0.0, 2.5], np.float32), CPU
    )
    found = lookup(torch.tensor([2, 0, 2]))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found, [2.5, 1, 2.5])
    assert lookup.num_bad() == 0
    np.testing.assert_array_equal(lookup(torch.tensor([3, 0, -1, 2**40])), [0, 1, 0, 0])
    assert lookup.num_bad() == 3
    lookup(torch.tensor([1]))  # never dealt
    assert lookup.num_bad() == 4
    np.testing.assert_array_equal(lookup(torch.tensor([2], dtype=torch.int32)), [2.5])


def test_device_weights_of_one_only_count_what_is_bad():
    lookup = DeviceWeights(3, None, None, CPU)
    assert lookup(torch.tensor([0, 2])) is None
    assert lookup.num_bad() == 0
    lookup(torch.tensor([3, 0, -1]))
    assert lookup.num_bad() == 2


@pytest.mark.parametrize("objective", ["sampled", "original"])
def test_device_weights_are_those_of_the_host(objective):
    samplers = [
        WeightedSampler(WEIGHTS, objective=objective),
        ClassBalancedSampler([0, 0, 0, 1, 2], objective=objective),
        InfoBatchSampler(5, 3, objective=objective),
        ShuffleSampler(5, objective=objective),
    ]
    samplers[2].record(np.arange(5), [1.0, 2, 3, 50, 60])
    samplers[2].set_epoch(1)
    for sampler in samplers:
        rows = torch.tensor(np.unique(sampler.indices(sampler.epoch)))
        plan = sampler._plan(sampler.epoch)
        found = plan.loss_weights(rows, weighted=sampler.objective == "original")
        found = np.ones(len(rows)) if found is None else found  # None: all are 1
        np.testing.assert_array_equal(found, sampler.weights_for(rows))
        sampler.set_epoch(sampler.epoch + 1)  # all of them had been dealt


@pytest.mark.parametrize("objective", ["sampled", "original"])
@pytest.mark.parametrize("make", [SubsetSampler, ClassBalancedSampler, InfoBatchSampler])
def test_indices_on_a_device_that_were_never_dealt(make, objective):
    """`Subset(Indexed(ds))` has to be caught there too, whatever the objective."""
    if make is SubsetSampler:
        sampler, left_out = make([0, 4], objective=objective), [1, 2, 3]
    elif make is ClassBalancedSampler:
        sampler, left_out = make([0, -1, 0, -1, 1], objective=objective), [1, 3]
    else:
        sampler = make(5, 4, objective=objective)
        sampler.record(np.arange(5), [1.0, 1, 1, 9, 9])
        sampler.set_epoch(1)
        left_out = np.setdiff1d(np.arange(5), sampler.indices(1))
    epoch, count = sampler.epoch, len(left_out)
    weighted = objective == "original"
    sampler._plan(epoch).loss_weights(torch.tensor(left_out), weighted=weighted)
    with pytest.raises(ValueError, match=f"indices must be draws of epoch {epoch}, got {count} on"):
        sampler.set_epoch(epoch + 1)


def test_bad_indices_on_a_device_are_reported_by_the_next_set_epoch():
    sampler = InfoBatchSampler(5, 4)
    sampler._plan(0).loss_weights(torch.tensor([0, 5, -1]), weighted=True)
    message = "indices must be draws of epoch 0, got 2 on cpu that are out of range or were never"
    with pytest.raises(ValueError, match=message):
        sampler.set_epoch(1)
    assert sampler.epoch == 0
    sampler.set_epoch(1)  # said once
    assert len(list(sampler)) == 5


# ---- on a GPU ------------------------------------------------------------------------------------

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("indices_there", [True, False])
def test_reduce_on_a_gpu_is_that_on_the_host(indices_there):
    rows = torch.tensor(ROWS)
    for make in (lambda: ShuffleSampler(5), weighted, lambda: InfoBatchSampler(5, 3)):
        here, there = make(), make()
        for reduction in ("batch_mean", "weighted_mean"):
            expected = here.reduce(LOSSES, rows, reduction)
            found = there.reduce(LOSSES.cuda(), rows.cuda() if indices_there else rows, reduction)
            assert found.is_cuda
            torch.testing.assert_close(found.cpu(), expected)
        assert there.num_nonfinite == 0
        if there.dynamic:
            np.testing.assert_array_equal(there.scores, here.scores)


@pytest.mark.gpu
@needs_gpu
def test_reduce_and_record_never_wait_for_a_gpu():
    size = 200_000
    sampler = InfoBatchSampler(size, 6)
    sampler.record(np.arange(size), np.random.default_rng(0).exponential(size=size))
    sampler.set_epoch(1)
    order = torch.tensor(sampler.indices(1)).cuda()
    losses = torch.rand(order.numel(), device="cuda", dtype=torch.float16)
    sampler.reduce(losses[:8], order[:8])  # the first batch makes the device copy of the weights
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for start in range(0, order.numel(), 4096):  # fills more than one chunk of the buffer
            part = slice(start, start + 4096)
            sampler.reduce(losses[part], order[part])
            sampler.record(order[part], losses[part])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_array_equal(sampler.scores[order.cpu()], losses.float().cpu())


@pytest.mark.gpu
@needs_gpu
def test_bad_indices_on_a_gpu_are_reported_later():
    sampler = InfoBatchSampler(5, 3)
    sampler.reduce(torch.ones(2, device="cuda"), torch.tensor([0, 5], device="cuda"))
    with pytest.raises(ValueError, match="got 1 on cuda:0 that are out of range"):
        sampler.set_epoch(1)


@pytest.mark.gpu
@needs_gpu
def test_recorded_gpu_losses_are_copies():
    sampler = InfoBatchSampler(5, 3)
    losses = LOSSES.cuda()
    sampler.record(torch.tensor(ROWS).cuda(), losses)
    losses.zero_()
    np.testing.assert_array_equal(sampler.scores[ROWS], LOSSES)


# ---- logits, labels and a weighting --------------------------------------------------------------

OWN = torch.tensor([0.5, 2.0, 0.25])


def test_logits_and_labels_reach_the_sampler_that_learns_from_them():
    logits, labels = torch.randn(3, 2, requires_grad=True), torch.tensor([0, 1, 1])
    for call in ("record", "reduce"):
        sampler = Learner(5, 4)
        losses = LOSSES.clone().requires_grad_()
        arguments = (ROWS, losses) if call == "record" else (losses, ROWS)
        getattr(sampler, call)(*arguments, logits=logits, labels=labels)
        rows, found, given_logits, given_labels = sampler.given
        np.testing.assert_array_equal(rows, ROWS)
        assert given_logits is logits
        assert given_labels is labels
        assert found is losses
        np.testing.assert_array_equal(sampler.scores[ROWS], LOSSES)
        getattr(sampler, call)(*arguments)
        assert sampler.given[2:] == (None, None)


def test_samplers_that_learn_from_nothing_ignore_them():
    for sampler in (ShuffleSampler(5), InfoBatchSampler(5, 4), weighted()):
        more = {"logits": torch.randn(3, 2), "labels": torch.zeros(3, dtype=torch.int64)}
        sampler.record(ROWS, LOSSES, **more)
        assert torch.equal(sampler.reduce(LOSSES, ROWS, **more), sampler.reduce(LOSSES, ROWS))


def test_a_weighting_multiplies_the_weights_of_the_sampler():
    def own(losses, *, indices):
        assert losses is LOSSES
        assert indices is ROWS
        return OWN

    found = weighted().reduce(LOSSES, ROWS, weighting=own)
    assert float(found) == pytest.approx(float((OWN * LOSSES).numpy() @ GIVEN) / 3, rel=1e-6)
    found = weighted().reduce(LOSSES, ROWS, "weighted_mean", weighting=own)
    weights = GIVEN * OWN.numpy()
    assert float(found) == pytest.approx(weights @ LOSSES.numpy() / weights.sum(), rel=1e-6)
    found = weighted().reduce(LOSSES, ROWS, denominator=12, weighting=own)
    assert float(found) == pytest.approx(weights @ LOSSES.numpy() / 12, rel=1e-6)
    plain = ShuffleSampler(5).reduce(LOSSES, ROWS, weighting=own)  # weights of 1 are left out
    assert float(plain) == pytest.approx(float((OWN * LOSSES).mean()), rel=1e-6)


def test_gradients_flow_through_a_weighting_that_has_them():
    losses = LOSSES.clone().requires_grad_()
    ShuffleSampler(5).reduce(losses, ROWS, weighting=lambda losses, indices: losses**2).backward()
    np.testing.assert_allclose(losses.grad, LOSSES**2, rtol=1e-6)  # of l^3 / 3
    losses.grad = None
    sampler = ShuffleSampler(5)
    sampler.reduce(losses, ROWS, weighting=lambda losses, indices: losses.detach() ** 2).backward()
    np.testing.assert_allclose(losses.grad, LOSSES**2 / 3, rtol=1e-6)


def test_a_dropped_loss_counts_nothing_whatever_its_weight():
    losses = torch.tensor([1.0, float("nan"), 3.0])
    sampler = ShuffleSampler(5, nonfinite="drop")
    found = sampler.reduce(losses, ROWS, weighting=lambda losses, indices: losses * 2)
    assert float(found) == (2 + 18) / 2


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (1.0, TypeError, "weighting must return a tensor, got float"),
        (np.ones(3), TypeError, "weighting must return a tensor, got ndarray"),
        (None, TypeError, "weighting must return a tensor, got NoneType"),
        (torch.tensor(1.0), ValueError, r"floating weights of shape \(3,\), got .*of shape \(\)"),
        (torch.ones(2), ValueError, r"floating weights of shape \(3,\), got .*of shape \(2,\)"),
        (torch.ones(3, 1), ValueError, r"of shape \(3,\), got torch.float32 of shape \(3, 1\)"),
        (torch.ones(3, dtype=torch.int64), ValueError, r"floating weights .*got torch.int64"),
        (torch.ones(3, dtype=torch.bool), ValueError, r"floating weights .*got torch.bool"),
    ],
)
def test_refuses_what_a_weighting_should_not_return(returned, error, message):
    sampler = InfoBatchSampler(5, 4)
    with pytest.raises(error, match=message):
        sampler.reduce(LOSSES, ROWS, weighting=lambda losses, indices: returned)
    assert np.isnan(sampler.scores).all()  # nor was anything recorded
