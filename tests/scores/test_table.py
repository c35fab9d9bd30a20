import copy
import pickle

import numpy as np
import pytest
import torch

from sampling.distributed import _ranks
from sampling.samplers import HardestSampler, IESSampler
from sampling.scores import ScoreTable
from sampling.scores._buffer import DeviceBuffer

CPU = torch.device("cpu")


def table_of(values, **arguments):
    table = ScoreTable(len(values), **arguments)
    table.update(np.arange(len(values)), values)
    return table


# ---- update --------------------------------------------------------------------------------------


def test_nan_until_first_seen():
    table = ScoreTable(range(4))
    assert len(table) == 4
    assert table.values.dtype == np.float32
    assert np.isnan(table.values).all()
    assert table.num_seen == 0
    table.update([2, 0], torch.tensor([0.5, 3.0]))
    np.testing.assert_array_equal(table.values, [3.0, np.nan, 0.5, np.nan])
    assert table.num_seen == 2


def test_the_last_of_two_equal_indices_wins():
    table = ScoreTable(3)
    table.update([1, 1, 0, 1], [1.0, 2.0, 5.0, 3.0])
    np.testing.assert_array_equal(table.values, [5.0, 3.0, np.nan])


def test_moving_average_by_hand():
    table = ScoreTable(2, ema=0.25)
    table.update([0], [8.0])  # a first loss counts whole
    table.update([0], [0.0])
    table.update([0, 0], [2.0, 4.0])  # twice in one batch: two steps
    assert table.values[0] == 0.25 * 4 + 0.75 * (0.25 * 2 + 0.75 * 6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ema", [1.0, 0.5])
def test_nonfinite_losses_are_counted_and_not_stored(bad, ema):
    table = table_of([1.0, 2.0, 3.0], ema=ema)
    table.update([0, 1, 0], [bad, 4.0, bad])
    np.testing.assert_array_equal(table.values, [1.0, 4.0 if ema == 1 else 3.0, 3.0])
    assert table.num_nonfinite == 2
    fresh = ScoreTable(1)
    fresh.update([0], [bad])
    assert fresh.num_seen == 0


def test_a_loss_beyond_float32_is_not_finite():
    table = ScoreTable(2)
    with np.errstate(over="ignore"):
        table.update([0], torch.tensor([1e300], dtype=torch.float64))
    assert np.isnan(table.values[0])
    assert table.num_nonfinite == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_indices_keep_all_their_digits(dtype):
    table = ScoreTable(70_002)
    rows = torch.tensor([2049, 4097, 50_001, 65_537, 70_001])
    table.update(rows, torch.arange(1, 6).to(dtype))
    np.testing.assert_array_equal(np.flatnonzero(~np.isnan(table.values)), rows)
    np.testing.assert_array_equal(table.values[rows], [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    "rows",
    [[1, 0], (1, 0), np.array([1, 0], np.int32), np.array([1, 0], np.uint8), torch.tensor([1, 0])],
)
@pytest.mark.parametrize("kind", [list, np.array, np.float32, torch.tensor])
def test_takes_any_array(rows, kind):
    table = ScoreTable(2)
    table.update(rows, kind([1.5, 2.5]))
    np.testing.assert_array_equal(table.values, [2.5, 1.5])


def test_strided_and_read_only_input():
    table = ScoreTable(6)
    rows, losses = np.arange(12)[::4], np.arange(9.0, dtype=np.float32)[::3]
    rows.flags.writeable = losses.flags.writeable = False
    table.update(rows[::2] // 2, losses[::2])
    np.testing.assert_array_equal(table.values[[0, 4]], [0, 6])
    table.update(torch.arange(4)[::2], torch.arange(8.0).reshape(4, 2)[::2, 1])
    np.testing.assert_array_equal(table.values[[0, 2]], [1, 5])


def test_losses_are_detached_and_copied():
    table = ScoreTable(2)
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    table.update([0, 1], losses)
    with torch.no_grad():
        losses *= 100
    np.testing.assert_array_equal(table.values, [1, 2])


def test_values_are_a_read_only_view():
    table = table_of([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 5
    table.update([0], [3.0])
    assert table.values[0] == 3


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "losses", "error", "message"),
    [
        ([0, 3], [1.0, 2.0], ValueError, r"indices must be in \[0, 3\), got 3 in row 1"),
        ([-1, 0], [1.0, 2.0], ValueError, r"indices must be in \[0, 3\), got -1 in row 0"),
        ([0, 1], [1.0], ValueError, r"losses must have the shape of indices, \(2,\), got \(1,\)"),
        ([0], [1.0, 2.0], ValueError, r"losses must have the shape of indices, \(1,\), got \(2,\)"),
        ([0, 1], [[1.0], [2.0]], ValueError, r"losses must have the shape .*, got \(2, 1\)"),
        ([0, 1], 0.5, ValueError, "losses must have the shape of indices"),
        ([0], torch.tensor(0.5), ValueError, r"losses must have the shape .*, \(1,\), got \(\)"),
        ([0.0], [1.0], TypeError, "indices must hold ints, got dtype float64"),
    ],
)
def test_refuses_a_batch_and_stores_nothing(rows, losses, error, message):
    table = table_of([7.0, 8.0, 9.0])
    with pytest.raises(error, match=message):
        table.update(rows, losses)
    np.testing.assert_array_equal(table.values, [7, 8, 9])
    assert table.num_nonfinite == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_source": 0}, r"data_source must be in \[1, .*\), got 0"),
        ({"data_source": []}, "data_source must not be empty, got length 0"),
        ({"data_source": 3, "ema": 0.0}, r"ema must be in \(0, 1\], got 0.0"),
        ({"data_source": 3, "ema": 1.1}, r"ema must be in \(0, 1\], got 1.1"),
        ({"data_source": 3, "ema": np.nan}, r"ema must be in \(0, 1\], got nan"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ScoreTable(**arguments)


# ---- losses on a device, tried out on the CPU ----------------------------------------------------


class Landed(list):
    """What a buffer brought home: (index, loss) pairs in order."""

    def __call__(self, rows, losses):
        assert rows.dtype == np.int64
        assert losses.dtype == np.float32
        self.extend(zip(rows.tolist(), losses.tolist(), strict=True))


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("batches", [[1], [3, 3, 3], [7, 1, 12], [5, 0, 5]])
def test_buffer_brings_everything_home_in_order(capacity, batches):
    landed, sent = Landed(), []
    buffer = DeviceBuffer(CPU, landed, capacity)
    for size in batches:
        rows = torch.arange(len(sent), len(sent) + size)
        buffer.append(rows, rows.to(torch.float64) / 2)
        sent += [(each, each / 2) for each in rows.tolist()]
        assert len(landed) <= len(sent)
    buffer.drain()
    assert landed == sent
    buffer.drain()
    assert landed == sent


def test_buffer_copies():
    landed = Landed()
    buffer = DeviceBuffer(CPU, landed, 10)
    rows, losses = torch.tensor([1, 2]), torch.tensor([0.5, 0.25])
    buffer.append(rows, losses)
    rows.zero_()
    losses.zero_()
    buffer.append(torch.tensor([3], dtype=torch.int32), torch.tensor([4.0], dtype=torch.float16))
    buffer.drain()
    assert landed == [(1, 0.5), (2, 0.25), (3, 4.0)]


def test_buffer_reuses_its_memory_only_after_a_chunk_went_home():
    """What travels must not be overwritten by what comes next."""
    landed = Landed()
    buffer = DeviceBuffer(CPU, landed, 2)
    for start in range(0, 20, 4):
        buffer.append(torch.arange(start, start + 4), torch.arange(start, start + 4.0))
    buffer.drain()
    assert landed == [(each, float(each)) for each in range(20)]


@pytest.fixture
def collecting(monkeypatch):
    """A table that takes CPU tensors for tensors on a device."""
    from sampling.scores import _table

    table = ScoreTable(5)
    monkeypatch.setattr(
        _table, "on_device", lambda each: CPU if isinstance(each, torch.Tensor) else None
    )
    return table


def test_device_losses_come_home_when_asked_for(collecting):
    table = collecting
    table.update(torch.tensor([1, 3]), torch.tensor([0.5, 2.0]))
    assert np.isnan(table._scores).all()  # collected
    table.update(torch.tensor([3]), torch.tensor([np.nan]))
    np.testing.assert_array_equal(table.values, [np.nan, 0.5, np.nan, 2.0, np.nan])
    assert table.num_nonfinite == 1


@pytest.mark.parametrize("ask", ["flush", "merge", "values", "num_seen"])
def test_device_indices_out_of_range_are_reported_at_the_next_look(collecting, ask):
    table = collecting
    table.update(torch.tensor([1, 5, 2]), torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"indices must be in \[0, 5\), got 5 from a device"):
        getattr(table, ask)() if ask in ("flush", "merge") else getattr(table, ask)
    np.testing.assert_array_equal(table.values, [np.nan, 1.0, 3.0, np.nan, np.nan])  # said once


def test_device_batches_of_unequal_length_are_refused_at_once(collecting):
    with pytest.raises(
        ValueError, match=r"losses must have the shape of indices, \(2,\), got \(3,\)"
    ):
        collecting.update(torch.tensor([1, 2]), torch.ones(3))
    assert collecting.num_seen == 0


def test_a_sampler_checks_the_rows_of_a_batch_once(monkeypatch):
    """Its tables write rows that the plan has checked: of the batch, and of a forward pass."""

    def twice(rows, size):
        raise AssertionError("checked a second time")

    monkeypatch.setattr("sampling.scores._table._scores.first_outside", twice)
    sampler = HardestSampler(4, 9, score_ema=0.5)
    sampler.reduce(torch.tensor([1.0, 3.0]), [0, 2])
    sampler.record([1, 3], [2.0, 4.0])
    assert sampler.scores.tolist() == [1, 2, 3, 4]
    for wrong in ([-1, 0], [0, 4]):
        with pytest.raises(ValueError, match=r"indices must be in \[0, 4\)"):
            sampler.record(wrong, [1.0, 2.0])
    hiding = IESSampler(4, 9)
    hiding.set_epoch(1)
    with pytest.raises(ValueError, match=r"indices must be in \[0, 4\)"):
        hiding.rescore([4], [1.0])
    table = ScoreTable(4)
    with pytest.raises(ValueError, match="losses must have the shape of indices"):
        table.write(np.array([0, 1]), [1.0])
    with pytest.raises(AssertionError, match="a second time"):
        table.update([0], [1.0])


@pytest.mark.parametrize("copy_of", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_copies_bring_losses_home_first(collecting, copy_of):
    collecting.update(torch.tensor([1]), torch.tensor([0.5]))
    twin = copy_of(collecting)
    assert twin.values[1] == 0.5
    twin.update([1], [9.0])
    assert collecting.values[1] == 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("indices_there", [True, False])
def test_update_never_waits_for_a_gpu(indices_there):
    size = 300_000
    table = ScoreTable(size)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    losses = torch.rand(size, device="cuda")
    rows = order.cuda() if indices_there else order
    table.update(rows[:1], losses[:1])  # makes the buffer
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error" if indices_there else "default")
    try:
        for start in range(0, size, 1000):
            batch = losses[start : start + 1000].clone()
            table.update(rows[start : start + 1000], batch)
            batch.zero_()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    np.testing.assert_array_equal(table.values[order], losses.cpu())


# ---- merging, with the other ranks played by a function ------------------------------------------


def merged(monkeypatch, ranks):
    """Merge the tables of several ranks, each a dict of what it wrote; -> one result a rank.

    `gather_rows` is called once a block, with N, its start, indices and bits in one array.
    """
    size, before = 6, np.array([1, 2, 3, 4, np.nan, np.nan], np.float32)
    tables, touched = [], []
    for wrote in ranks:
        scores, mark = before.copy(), np.zeros(size, np.bool_)
        for row, value in wrote.items():
            scores[row], mark[row] = value, True
        tables.append(scores)
        touched.append(mark)
    sent = [
        np.concatenate([[size, 0, 0, 0], np.flatnonzero(m), s[m].view(np.int32)]).astype(np.int32)
        for s, m in zip(tables, touched, strict=True)
    ]
    monkeypatch.setattr(_ranks, "gather_rows", lambda array, group: sent)
    for scores, mark in zip(tables, touched, strict=True):
        _ranks.merge_means(scores, mark, None)
        assert not mark.any()
    for scores in tables:
        np.testing.assert_array_equal(scores, tables[0])
    return tables[0]


def test_merge_takes_what_any_rank_wrote(monkeypatch):
    found = merged(monkeypatch, [{0: 10.0, 4: 5.0}, {1: 20.0}, {}])
    np.testing.assert_array_equal(found, [10, 20, 3, 4, 5, np.nan])


def test_merge_takes_the_mean_where_several_wrote(monkeypatch):
    found = merged(monkeypatch, [{0: 10.0, 5: 1.0}, {0: 20.0, 5: 2.0}, {5: 6.0}])
    np.testing.assert_array_equal(found, [15, 2, 3, 4, np.nan, 3])


def test_merge_sums_in_double_precision(monkeypatch):
    found = merged(monkeypatch, [{0: 1e8}, {0: 1.0}, {0: -1e8}])
    assert found[0] == np.float32(1 / 3)


def test_merge_goes_block_by_block(monkeypatch):
    """Indices are relative to their block: a second block must not land in the first."""
    monkeypatch.setattr(_ranks, "_BLOCK", 2)
    monkeypatch.setattr(_ranks, "gather_rows", lambda array, group: [array, array])
    scores = np.array([1, 2, 3, 4, 5], np.float32)
    touched = np.array([0, 1, 0, 1, 1], np.bool_)
    _ranks.merge_means(scores, touched, None)
    np.testing.assert_array_equal(scores, [1, 2, 3, 4, 5])
    assert not touched.any()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([4, 0, 0, 0], "3 samples at block 0, got 4 samples at block 0 from rank 1"),
        ([3, 0, 2, 0], "3 samples at block 0, got 3 samples at block 1 from rank 1"),
        ([3, 0, 0, 0, 3, 0], r"indices in \[0, 2\), got 3 at block 0 from rank 1"),
        ([3, 0, 0, 0, -1, 0], r"indices in \[0, 2\), got -1 at block 0 from rank 1"),
        ([3, 0, 0, 0, 1], "got 3 samples at block 0 from rank 1"),
        ([3], "got no such message from rank 1"),
    ],
)
def test_merge_refuses_scores_of_other_data(monkeypatch, sent, message):
    """Such an index would be written outside the arrays of the kernel."""
    monkeypatch.setattr(_ranks, "_BLOCK", 2)
    other = np.array(sent, np.int32)
    monkeypatch.setattr(_ranks, "gather_rows", lambda array, group: [array, other])
    scores, touched = np.array([1, 2, 3], np.float32), np.ones(3, np.bool_)
    with pytest.raises(RuntimeError, match=message):
        _ranks.merge_means(scores, touched, None)
    np.testing.assert_array_equal(scores, [1, 2, 3])


def test_merge_on_one_rank_changes_nothing():
    table = table_of([1.0, 2.0])
    table.merge()
    np.testing.assert_array_equal(table.values, [1, 2])


# ---- clear ---------------------------------------------------------------------------------------


def test_clear_forgets_the_scores_but_not_what_was_lost():
    table = table_of([1.0, np.nan, 3.0], ema=0.5)
    table.clear()
    assert np.isnan(table.values).all()
    assert (table.num_seen, table.num_nonfinite) == (0, 1)
    table.update([0], [7.0])
    assert table.values[0] == 7.0  # a first loss again, taken whole


def test_clear_takes_what_is_still_on_its_way():
    table = ScoreTable(3)
    buffer = DeviceBuffer(CPU, table._land_checked)
    table._buffers[CPU] = buffer
    buffer.append(torch.tensor([1]), torch.tensor([2.0]))
    table.clear()
    assert np.isnan(table.values).all()


def test_clear_leaves_nothing_to_merge(monkeypatch):
    monkeypatch.setattr("sampling.scores._table.world_size", lambda group: 2)
    table = table_of([1.0, 2.0])
    assert table.num_unmerged == 2
    table.clear()
    assert table.num_unmerged == 0
