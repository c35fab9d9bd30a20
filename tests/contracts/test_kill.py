"""Killed at a random step, a run goes on and ends as if nothing had happened."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parent.parent / "kill_resume"
BATCHES = 40  # or a few more, in any run


def start(script, folder, ranks, *options):
    """Start the processes of a run."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SCRIPTS / script), str(folder), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    environment |= {"MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    return [
        subprocess.Popen(
            command,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]


def finish(processes):
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-3000:]


def lines(folder):
    path = folder / "batches.0.jsonl"
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def kill_at(processes, folder, batch, ranks=slice(None)):
    """Kill processes, by default all, as soon as rank 0 has trained on so many batches."""
    end = time.monotonic() + 300
    while lines(folder) < batch:
        assert all(process.poll() is None for process in processes), processes[0].communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    for process in processes[ranks]:
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:  # the others end by themselves
        process.communicate(timeout=120)


def trained(folder, ranks):
    """(epoch, number of the batch) -> samples of all ranks; what was done again counts once."""
    batches = {}
    for rank in range(ranks):
        path = folder / f"batches.{rank}.jsonl"
        own = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            epoch, number, indices = json.loads(line)
            own[epoch, number] = indices
        for place, indices in own.items():
            batches.setdefault(place, {})[rank] = indices
    return batches


def together(batches):
    return {place: sorted(sum(parts.values(), [])) for place, parts in batches.items()}


scripts = pytest.mark.parametrize(
    "script", ["plain.py", "with_lightning.py", "with_trainer.py"], ids=lambda name: name[:-3]
)
pytestmark = pytest.mark.full


def weights(folder):
    with np.load(folder / "final.npz") as file:
        return {name: file[name] for name in file.files}


def killed_somewhere(script, folder, ranks, *options):
    """Kill a run at a random batch; returns which."""
    batch = 2 + int.from_bytes(os.urandom(4), "little") % BATCHES  # said where it fails
    kill_at(start(script, folder, ranks, "--pause", "0.02", *options), folder, batch)
    assert not (folder / "final.npz").exists(), f"killed too late, at batch {batch}"
    return batch


@scripts
def test_killed_and_resumed_it_is_the_same_run(script, tmp_path):
    unbroken = start(script, tmp_path / "whole", 1)
    batch = killed_somewhere(script, tmp_path / "killed", 1, "--workers", "2")
    finish(unbroken)
    finish(start(script, tmp_path / "killed", 1))
    assert trained(tmp_path / "killed", 1) == trained(tmp_path / "whole", 1), f"at batch {batch}"
    expected = weights(tmp_path / "whole")
    for name, found in weights(tmp_path / "killed").items():
        assert np.array_equal(found, expected[name]), f"{name}, at batch {batch}"


@scripts
@pytest.mark.distributed
def test_two_processes_killed_go_on_as_two_and_as_one(script, tmp_path):
    """As one where nothing but the loop is between: each framework's own tests change ranks too."""
    whole, two, one = (tmp_path / name for name in ("whole", "two", "one"))
    finish(start(script, whole, 2, "--float32"))
    batch = killed_somewhere(script, two, 2, "--float32")
    if script == "plain.py":
        shutil.copytree(two, one)
        finish(start(script, one, 1, "--float32"))
    finish(start(script, two, 2, "--float32"))

    assert trained(two, 2) == trained(whole, 2), f"at batch {batch}"
    expected = weights(whole)
    for name, found in weights(two).items():
        assert np.array_equal(found, expected[name]), f"{name}, at batch {batch}"
    if script != "plain.py":
        return

    by_both, alone = together(trained(whole, 2)), together(trained(one, 1))
    later = {place for place, samples in alone.items() if len(samples) == len(by_both[place])}
    assert len(later) >= len(by_both) - batch  # what rank 0 did after the kill, it did for both
    assert all(alone[place] == by_both[place] for place in later), f"at batch {batch}"
    for name, found in weights(one).items():
        assert np.allclose(found, expected[name], atol=1e-4), f"{name}, at batch {batch}"


@pytest.mark.distributed
def test_one_of_four_processes_is_killed_and_the_run_goes_on_as_two(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start("plain.py", whole, 4, "--float32"))
    four = start("plain.py", killed, 4, "--float32", "--pause", "0.02")
    kill_at(four, killed, 20, slice(2, 3))
    assert not (killed / "final.npz").exists()
    assert all(process.returncode != 0 for process in four)  # none waits forever

    finish(start("plain.py", killed, 2, "--float32"))
    by_four, by_two = together(trained(whole, 4)), together(trained(killed, 2))
    later = {place for place, samples in by_two.items() if len(samples) == len(by_four[place])}
    assert len(later) >= len(by_four) - 20
    assert all(by_two[place] == by_four[place] for place in later)
    for name, found in weights(killed).items():
        assert np.allclose(found, weights(whole)[name], atol=1e-4), name
