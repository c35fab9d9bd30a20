"""Full states: one file that resumes any sampler, refused when it is cut, damaged or foreign."""

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from contracts.cases import FACTORIES, N, order, run_to

from sampling.errors import StateError
from sampling.samplers import (
    DynamicRandomSampler,
    EpochBatchSampler,
    InfoBatchSampler,
    SensitivitySampler,
    ShuffleSampler,
    full_state,
    load_full_state,
    load_state,
    save_state,
)
from sampling.scores import ExposureCounter

every = pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)


def trained(factory, epoch=2, consumed=12, **options):
    """A sampler in mid-epoch, whose first draws were recorded; and what it would go on to deal."""
    sampler = run_to(factory(**options), epoch)
    done = sampler.indices(epoch)[:consumed]
    sampler.record(np.unique(done), np.cos(np.unique(done)))
    return sampler


def continued(sampler, epochs=2):
    """The rest of the epoch and the epochs after it, with losses recorded on the way."""
    orders = []
    for epoch in range(sampler.epoch, sampler.epoch + epochs + 1):
        sampler.set_epoch(epoch)
        drawn = order(sampler)
        biased = sampler.why_biased(epoch)
        weights = None if biased else sampler.weights_for(np.array(drawn)).tolist()
        sampler.record(drawn, np.sin(np.array(drawn) + epoch))
        orders.append((drawn, weights))
    return orders


@every
def test_a_file_resumes_every_sampler(factory, tmp_path):
    sampler = trained(factory)
    save_state(sampler, tmp_path / "s", consumed=12)
    sampler.load_state_dict(sampler.state_dict(consumed=12))
    fresh = factory()
    load_state(fresh, tmp_path / "s")
    assert (fresh.epoch, fresh.remaining) == (2, sampler.remaining)
    assert fresh.state_dict(12) == sampler.state_dict(12)
    assert continued(fresh) == continued(sampler)


@every
def test_restoring_twice_and_by_the_loader_as_well_changes_nothing(factory, tmp_path):
    sampler = trained(factory)
    save_state(sampler, tmp_path / "s", consumed=12)
    light = sampler.state_dict(consumed=12)
    fresh = factory()
    for _ in range(2):
        load_state(fresh, tmp_path / "s")
        fresh.load_state_dict(light)
        fresh.set_epoch(2)
    sampler.load_state_dict(light)
    assert continued(fresh) == continued(sampler)


@every
def test_a_file_serves_other_ranks(factory, tmp_path):
    sampler = trained(factory, num_replicas=2, rank=1)
    save_state(sampler, tmp_path / "s", consumed=12)
    rest = sampler.indices(2)[12:].tolist()
    parts = []
    for rank in range(3):
        resumed = factory(num_replicas=3, rank=rank, pad=False)
        load_state(resumed, tmp_path / "s")
        parts.append(order(resumed))
    assert [part for part in parts] == [rest[rank::3] for rank in range(3)]


def test_saving_does_not_touch_the_running_epoch(tmp_path):
    sampler = run_to(InfoBatchSampler(N, 8), 2)
    expected, live = sampler.indices(2).tolist(), iter(sampler)
    drawn = [next(live) for _ in range(20)]
    sampler.record(drawn, np.ones(20))
    save_state(sampler, tmp_path / "s", consumed=20)
    assert drawn + list(live) == expected
    assert sampler.remaining == len(expected)


def test_the_light_state_of_a_dynamic_sampler_says_what_it_lacks():
    state = trained(FACTORIES["infobatch"]).state_dict(12)
    with pytest.raises(StateError, match=r"save_state\(sampler, path\) and load that file with lo"):
        FACTORIES["infobatch"]().load_state_dict(state)


def test_the_end_of_a_dynamic_pass_waits_for_set_epoch():
    sampler = run_to(InfoBatchSampler(N, 8), 2)
    done = iter(sampler)
    list(done)
    state = done.state_dict()
    assert (state["epoch"], state["consumed"]) == (2, sampler.indices(2).size)
    resumed = InfoBatchSampler(N, 8)
    load_full_state(resumed, full_state(sampler, consumed=sampler.indices(2).size))
    resumed.load_state_dict(state)
    assert list(resumed) == []
    with pytest.raises(RuntimeError, match=r"epoch 2 is over: call set_epoch\(3\)"):
        next(iter(resumed))
    for each in (sampler, resumed):
        each.set_epoch(3)
    resumed.load_state_dict(state)
    assert list(resumed) == list(sampler)
    with pytest.raises(StateError, match="plan must be one that this InfoBatchSampler holds"):
        resumed.load_state_dict({**state, "epoch": 9})


def test_refreshed_losses_survive_before_and_after_their_epoch(tmp_path):
    factory = FACTORIES["sensitivity"]
    for epochs_after in (0, 1):
        sampler = factory()
        sampler.refresh(np.linspace(9.0, 0.1, 7))
        sampler.set_epoch(epochs_after)
        save_state(sampler, tmp_path / "s", consumed=4)
        fresh = factory()
        with pytest.raises(StateError, match="plan must be one that"):
            fresh.load_state_dict(sampler.state_dict(4))
        load_state(fresh, tmp_path / "s")
        sampler.load_state_dict(sampler.state_dict(4))
        assert continued(fresh) == continued(sampler)


def test_batch_samplers_save_and_load_through_the_same_functions(tmp_path):
    sampler = trained(FACTORIES["infobatch"])
    save_state(EpochBatchSampler(sampler, 4), tmp_path / "s", consumed=12)
    other = EpochBatchSampler(InfoBatchSampler(N, 8), 5)
    load_state(other, tmp_path / "s")
    rest = sampler.indices(2)[12:].tolist()
    assert [index for batch in other for index in batch] == rest


def test_exposure_is_part_of_the_state(tmp_path):
    def make():
        return ShuffleSampler(10, exposure=ExposureCounter(10))

    sampler = make()
    sampler.record([1, 1, 4], np.ones(3))
    save_state(sampler, tmp_path / "s")
    fresh = make()
    load_state(fresh, tmp_path / "s")
    assert fresh._options.exposure.counts.tolist() == [0, 2, 0, 0, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_counter_can_be_added_or_left_out_on_resume(tmp_path, dynamic):
    def make(**more):
        return InfoBatchSampler(10, 8, **more) if dynamic else ShuffleSampler(10, **more)

    save_state(make(), tmp_path / "without", consumed=4)
    sampler = make(exposure=ExposureCounter(10))
    load_state(sampler, tmp_path / "without")
    assert sampler.remaining == 6
    sampler.record([3] * 300, np.ones(300))  # counts from here on
    load_state(sampler, tmp_path / "without")  # and what it has counted stays
    save_state(sampler, tmp_path / "with", consumed=6)
    plain = make()
    load_state(plain, tmp_path / "with")
    assert plain.remaining == 4
    assert plain.exposure is None
    again = make(exposure=ExposureCounter(10))
    load_state(again, tmp_path / "with")
    assert again.exposure.counts.tolist() == [0, 0, 0, 300, 0, 0, 0, 0, 0, 0]
    other = make(exposure=ExposureCounter(9))
    with pytest.raises(StateError, match=r"exposure counts must be ints of shape \(9,\)"):
        load_state(other, tmp_path / "with")


# ---------------------------------------------------------------------- damage


@pytest.fixture
def saved(tmp_path):
    sampler = trained(FACTORIES["infobatch"])
    path = tmp_path / "state"
    save_state(sampler, path, consumed=12)
    return path


def test_a_file_cut_short_is_refused(saved):
    data = saved.read_bytes()
    fresh = FACTORIES["infobatch"]()
    before = fresh.state_dict()
    for length in {0, 4, 8, 20, len(data) // 2, len(data) - 1}:
        saved.write_bytes(data[:length])
        with pytest.raises(StateError, match="state must be a whole file of save_state, got"):
            load_state(fresh, saved)
    assert fresh.state_dict() == before


def test_any_flipped_bit_is_noticed(saved):
    data = saved.read_bytes()
    fresh = FACTORIES["infobatch"]()
    before = fresh.state_dict()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(bytes(damaged))
        with pytest.raises(StateError, match="state"):
            load_state(fresh, saved)
    assert fresh.state_dict() == before
    saved.write_bytes(data)
    load_state(fresh, saved)


def test_a_file_of_something_else_is_refused(saved, tmp_path):
    for other, message in [
        (InfoBatchSampler(N + 1, 8), "must have size 104, got 103"),
        (InfoBatchSampler(N, 8, seed=5), "must have seed 5, got 0"),
        (InfoBatchSampler(N, 9), "same data and arguments"),
        (DynamicRandomSampler(N, 8), "must have sampler 'DynamicRandomSampler'"),
    ]:
        before = other.state_dict()
        with pytest.raises(StateError, match=message):
            load_state(other, saved)
        assert other.state_dict() == before
    from safetensors.numpy import save_file

    save_file({"weights": np.ones(3)}, tmp_path / "model")
    with pytest.raises(StateError, match="must be a file of save_state, got a header of"):
        load_state(InfoBatchSampler(N, 8), tmp_path / "model")
    with pytest.raises(FileNotFoundError):
        load_state(InfoBatchSampler(N, 8), tmp_path / "absent")


def test_arrays_that_do_not_belong_to_the_state_are_refused():
    sampler = trained(FACTORIES["infobatch"])
    full = full_state(sampler, 12)
    copies = {name: array.copy() for name, array in full["arrays"].items()}
    fresh = FACTORIES["infobatch"]()
    before = fresh.state_dict()
    wrong = {
        "must hold the array 'scores'": {k: v for k, v in copies.items() if k != "scores"},
        r"scores must be float32 of shape \(103,\), got float32": {
            **copies,
            "scores": np.ones(5, np.float32),
        },
        "codes must be uint8": {**copies, "table.codes": copies["table.codes"].astype(np.int64)},
        "arrays must give plan": {**copies, "table.codes": np.roll(copies["table.codes"], 1)},
        r"codes must be in \[0, ": {**copies, "table.codes": np.full(N, 99, np.uint8)},
    }
    for message, arrays in wrong.items():
        with pytest.raises(StateError, match=message):
            load_full_state(fresh, {**full, "arrays": arrays})
    with pytest.raises(ValueError, match="consumed must be"):
        load_full_state(fresh, {**full, "state": {**full["state"], "consumed": 1000}})
    with pytest.raises(StateError, match="keys of full_state"):
        load_full_state(fresh, {"state": full["state"]})
    assert fresh.state_dict() == before


def test_a_failed_write_leaves_the_old_file(saved, monkeypatch):
    data = saved.read_bytes()

    def fails(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.numpy.save_file", fails)
    with pytest.raises(OSError, match="disk full"):
        save_state(trained(FACTORIES["infobatch"]), saved, consumed=12)
    assert saved.read_bytes() == data
    assert [each.name for each in saved.parent.iterdir()] == [saved.name]


WRITER = """
import sys, numpy as np
from sampling.samplers import InfoBatchSampler, save_state
sampler = InfoBatchSampler(2_000_000, 8)
sampler.record(np.arange(2_000_000), np.ones(2_000_000))
print("ready", flush=True)
while True:
    save_state(sampler, sys.argv[1])
    print("saved", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "wait", [0.004, *(pytest.param(each, marks=pytest.mark.full) for each in (0.0, 0.02))]
)
def test_killed_while_writing_the_old_file_is_whole(tmp_path, wait):
    path = tmp_path / "state"
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    while child.stdout.readline().strip() != "saved":
        pass
    time.sleep(wait)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    load_state(InfoBatchSampler(2_000_000, 8), path)


@pytest.mark.slow
def test_saving_makes_no_copy_of_the_arrays(tmp_path):
    size = 10_000_000
    sampler = InfoBatchSampler(size, 8)
    sampler.record(np.arange(size), np.ones(size, np.float32))
    tracemalloc.start()
    save_state(sampler, tmp_path / "s")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * 4 * size


@every
def test_light_states_are_json_under_1_kib(factory):
    state = trained(factory).state_dict(12)
    assert json.loads(json.dumps(state)) == state
    assert len(json.dumps(state)) < 1024


def test_sensitivity_needs_both_arrays():
    factory = FACTORIES["sensitivity"]
    sampler = factory()
    sampler.refresh(np.ones(7))
    full = full_state(sampler)
    assert isinstance(sampler, SensitivitySampler)
    with pytest.raises(StateError, match="must hold the array 'latest'"):
        load_full_state(factory(), {**full, "arrays": {"planned": np.ones(7)}})
