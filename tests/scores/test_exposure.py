import copy
import pickle

import numpy as np
import pytest
import torch
from two_ranks import on_two_ranks

from sampling.errors import StateError
from sampling.samplers import InfoBatchSampler, WeightedSampler
from sampling.scores import ExposureCounter, _exposure

CPU = torch.device("cpu")


def counter_of(counts):
    counter = ExposureCounter(len(counts))
    counter.restore(np.array(counts, np.uint8))
    return counter


# ---- update --------------------------------------------------------------------------------------


def test_counts_by_hand():
    counter = ExposureCounter(range(5))
    assert len(counter) == 5
    counter.update([0, 3, 3])
    counter.update(torch.tensor([3, 4], dtype=torch.int32))
    counter.update(np.array([4], np.uint16))
    counter.update(np.zeros(0, np.int64))
    np.testing.assert_array_equal(counter.counts, [1, 0, 0, 3, 2])
    assert counter.counts.dtype == np.uint8
    assert counter.num_unmerged == 0


def test_one_byte_a_sample():
    counter = ExposureCounter(1000)
    held = sum(each.nbytes for each in vars(counter).values() if isinstance(each, np.ndarray))
    assert held == 1000


def test_counts_beyond_a_byte_are_exact():
    counter = ExposureCounter(3)
    for _ in range(3):
        counter.update([1] * 100 + [2])  # the type widens in the middle of a batch
    assert counter.counts.dtype == np.uint16
    np.testing.assert_array_equal(counter.counts, [0, 300, 3])
    counter.update([1] * 65_300)
    assert counter.counts.dtype == np.uint32
    np.testing.assert_array_equal(counter.counts, [0, 65_600, 3])
    counter.restore(np.array([2**32 - 1, 2**53, 0], np.uint64))
    counter.update([0, 0, 1])
    assert counter.counts.tolist() == [2**32 + 1, 2**53 + 1, 0]
    counter.restore([0, 255, 7])
    assert counter.counts.dtype == np.uint8


def test_reports_of_many_repeats_are_exact():
    """Two samples, 1,000 and 250 times: the effective size is 1.47, and would be 2.0 if cut off."""
    counter = ExposureCounter(2)
    counter.update(np.repeat([0, 1], [1_000, 250]))
    assert counter.effective_sample_size() == 1250**2 / (1000**2 + 250**2)
    table = counter.repeats()
    assert (table["exposures"].tolist(), table["max"].tolist()) == ([1250], [1000])


def test_counts_are_a_read_only_view():
    counter = ExposureCounter(2)
    counts = counter.counts
    with pytest.raises(ValueError, match="read-only"):
        counts[0] = 5
    counter.update([0])
    assert counts[0] == 1


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 3], ValueError, r"indices must be in \[0, 3\), got 3 in row 1"),
        ([-1, 0], ValueError, r"indices must be in \[0, 3\), got -1 in row 0"),
        ([[0], [1]], ValueError, r"indices must have shape \(B,\), got \(2, 1\)"),
        (1, ValueError, r"indices must have shape \(B,\), got \(\)"),
        ([0.0], TypeError, "indices must hold ints, got dtype float64"),
        ([True], TypeError, "indices must hold ints, got bools"),
    ],
)
def test_refuses_a_batch_and_counts_nothing(rows, error, message):
    counter = ExposureCounter(3)
    with pytest.raises(error, match=message):
        counter.update(rows)
    assert not counter.counts.any()


@pytest.mark.parametrize("source", [0, []])
def test_refuses_an_empty_dataset(source):
    with pytest.raises(ValueError, match="data_source must"):
        ExposureCounter(source)


# ---- indices on a device, tried out on the CPU ---------------------------------------------------


@pytest.fixture
def collecting(monkeypatch):
    """A counter that takes CPU tensors for tensors on a device."""
    monkeypatch.setattr(
        _exposure, "on_device", lambda each: CPU if isinstance(each, torch.Tensor) else None
    )
    return ExposureCounter(5)


def test_device_indices_come_home_when_asked_for(collecting):
    rows = torch.tensor([1, 3, 3])
    collecting.update(rows)
    rows.zero_()
    assert not collecting._counts.any()  # collected
    collecting.update(torch.tensor([3], dtype=torch.int32))
    collecting.update([0])
    np.testing.assert_array_equal(collecting.counts, [1, 1, 0, 3, 0])
    np.testing.assert_array_equal(collecting.counts, [1, 1, 0, 3, 0])


@pytest.mark.parametrize(
    "ask",
    [
        ExposureCounter.flush,
        ExposureCounter.merge,
        ExposureCounter.coverage,
        ExposureCounter.effective_sample_size,
        ExposureCounter.repeats,
        lambda counter: counter.counts,
        lambda counter: counter.num_unmerged,
    ],
)
def test_device_indices_out_of_range_are_reported_at_the_next_look(collecting, ask):
    collecting.update(torch.tensor([1, 5, 2, -1]))
    with pytest.raises(ValueError, match=r"indices must be in \[0, 5\), got 5 from a device"):
        ask(collecting)
    np.testing.assert_array_equal(collecting.counts, [0, 1, 1, 0, 0])  # said once


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.ones(2), TypeError, "indices must hold ints, got dtype torch.float32"),
        (torch.ones(2, dtype=torch.bool), TypeError, "indices must hold ints"),
        (torch.ones(2, 1, dtype=torch.int64), ValueError, r"must have shape \(B,\), got \(2, 1\)"),
    ],
)
def test_device_batches_of_another_kind_are_refused_at_once(collecting, rows, error, message):
    with pytest.raises(error, match=message):
        collecting.update(rows)
    assert not collecting.counts.any()


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_copies_bring_indices_home_first(collecting, copy_of):
    collecting.update(torch.tensor([1]))
    twin = copy_of(collecting)
    assert twin.counts[1] == 1
    twin.update([1])
    assert collecting.counts[1] == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_update_never_waits_for_a_gpu():
    size = 300_000
    counter = ExposureCounter(size)
    rows = torch.randint(size, (size,), generator=torch.Generator().manual_seed(0))
    there = rows.cuda()
    counter.update(there[:0])  # makes the buffer
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for start in range(0, size, 1000):
            batch = there[start : start + 1000].clone()
            counter.update(batch)
            batch.zero_()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_array_equal(counter.counts, np.bincount(rows.numpy(), minlength=size))


# ---- reports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [2**22, 3])
def test_reports_by_hand(monkeypatch, block):
    monkeypatch.setattr(_exposure, "_BLOCK", block)
    counter = counter_of([0, 1, 2, 3, 0, 0, 4, 255])
    assert counter.coverage() == 5 / 8
    total, squares = 1 + 2 + 3 + 4 + 255, 1 + 4 + 9 + 16 + 255**2
    assert counter.effective_sample_size() == pytest.approx(total**2 / squares)

    table = counter.repeats([7, 7, 7, 2, 2, -1, -1, -1])
    assert list(table) == ["group", "samples", "exposures", "coverage", "mean", "max"]
    assert table["group"].tolist() == [-1, 2, 7]
    assert table["samples"].tolist() == [3, 2, 3]
    assert table["exposures"].tolist() == [259, 3, 3]
    assert table["coverage"].tolist() == [2 / 3, 1 / 2, 2 / 3]
    assert table["mean"].tolist() == [259 / 3, 3 / 2, 1.0]
    assert table["max"].tolist() == [255, 3, 2]

    whole = counter.repeats()
    assert {name: column.tolist() for name, column in whole.items()} == {
        "group": ["all"],
        "samples": [8],
        "exposures": [265],
        "coverage": [5 / 8],
        "mean": [265 / 8],
        "max": [255],
    }


def test_strings_may_name_the_groups():
    table = counter_of([1, 0, 2]).repeats(["dog", "cat", "dog"])
    assert table["group"].tolist() == ["cat", "dog"]
    assert table["exposures"].tolist() == [0, 3]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([0, 0, 0], 0.0), ([0, 9, 0], 1.0), ([4, 4, 4], 3.0), ([2, 2, 0, 0], 2.0)],
)
def test_effective_sample_size_at_its_ends(counts, expected):
    assert counter_of(counts).effective_sample_size() == expected


@pytest.mark.parametrize(
    ("groups", "message"),
    [([0, 1], r"groups must have the length of the counter, 3, got 2"), ([0, 0, -2], "groups")],
)
def test_refuses_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        ExposureCounter(3).repeats(groups)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_sampler_counts_what_its_loop_trains_on(dynamic):
    counter = ExposureCounter(20)
    sampler = (
        InfoBatchSampler(20, 4, exposure=counter)
        if dynamic
        else WeightedSampler(np.arange(20.0), exposure=counter)
    )
    expected = np.zeros(20, int)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        drawn = np.array(list(sampler))
        for batch in np.array_split(drawn, 4)[:3]:  # the last one is left out
            sampler.reduce(torch.from_numpy(batch / 7), batch)
            expected += np.bincount(batch, minlength=20)
    np.testing.assert_array_equal(counter.counts, expected)


# ---- saving --------------------------------------------------------------------------------------


def test_restored_counts_go_on(collecting):
    counter = counter_of([0, 255, 7])
    counter.update([0, 1, 2])
    np.testing.assert_array_equal(counter.counts, [1, 256, 8])

    saved = counter_of([1, 2, 3, 4, 5]).counts
    collecting.update(torch.tensor([4, 9]))  # what was not yet home is forgotten, errors too
    collecting.restore(saved)
    collecting.update([4])
    np.testing.assert_array_equal(collecting.counts, [1, 2, 3, 4, 6])
    np.testing.assert_array_equal(saved, [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (None, "must be part of the state, got a state without them"),
        (np.zeros(4, np.uint8), r"ints of shape \(3,\), .*, got uint8 of shape \(4,\)"),
        (np.zeros(3), r"ints of shape \(3,\), .*, got float64 of shape \(3,\)"),
        ([0, -1, 2], "exposure counts must be >= 0, got -1 in row 1"),
    ],
)
def test_counts_of_something_else_are_refused(saved, message):
    counter = counter_of([1, 2, 3])
    for load in (counter.check, counter.restore):
        with pytest.raises(StateError, match=message):
            load(saved)
    np.testing.assert_array_equal(counter.counts, [1, 2, 3])


# ---- ranks ---------------------------------------------------------------------------------------


def test_merge_on_one_rank_changes_nothing():
    counter = counter_of([1, 2])
    counter.merge()
    np.testing.assert_array_equal(counter.counts, [1, 2])


def count_apart(rank):
    from sampling.distributed import _counts

    _counts._BLOCK = 3  # several exchanges
    counter = ExposureCounter(7)
    found = [sum(each.nbytes for each in (counter._counts, counter._own))]
    for times, (row, of) in enumerate([(0, 0), (1, 0), (2, 1), (3, 1), (4, 1)], start=1):
        if rank == of:
            counter.update([row] * times)
    counter.update([5] * (200 if rank == 0 else 56))  # 256 together
    found += [counter.num_unmerged, counter.counts.copy()]
    counter.merge()
    found += [counter.num_unmerged, counter.counts.copy()]
    counter.merge()  # nothing new
    found.append(counter.counts.copy())
    counter.update([0, 5] if rank == 0 else [0, 0, 6])
    counter.merge()
    found.append(counter.counts.copy())
    counter.update([0] * (300 if rank == 0 else 1))
    counter.merge()
    found.append(counter.counts.copy())
    counter.update([2])
    counter.restore(found[-1])
    counter.merge()
    return [*found, counter.counts.copy()]


@pytest.mark.distributed
@pytest.mark.slow
def test_two_ranks_add_up():
    one, two = on_two_ranks(count_apart)
    assert one[0] == two[0] == 14  # two bytes a sample
    assert (one[1], two[1]) == (3, 4)
    np.testing.assert_array_equal(one[2], [1, 2, 0, 0, 0, 200, 0])
    np.testing.assert_array_equal(two[2], [0, 0, 3, 4, 5, 56, 0])
    assert one[3] == two[3] == 0
    merged = [1, 2, 3, 4, 5, 256, 0]
    after = [merged, merged, [4, 2, 3, 4, 5, 257, 1]]
    after += [[305, 2, 3, 4, 5, 257, 1]] * 2
    for ours in (one, two):
        for found, expected in zip(ours[4:], after, strict=True):
            np.testing.assert_array_equal(found, expected)
