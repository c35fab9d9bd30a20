"""Killed at a random step, a run goes on and ends as if nothing had happened."""

import json
import os
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


def kill_at(processes, folder, batch):
    """Kill all processes as soon as rank 0 has trained on so many batches."""
    end = time.monotonic() + 300
    while lines(folder) < batch:
        assert all(process.poll() is None for process in processes), processes[0].communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    for process in processes:
        process.communicate()


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


def weights(folder):
    with np.load(folder / "final.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.distributed)])
@pytest.mark.parametrize("script", ["plain.py", "with_lightning.py", "with_trainer.py"])
def test_killed_and_resumed_it_is_the_same_run(script, ranks, tmp_path):
    finish(start(script, tmp_path / "whole", ranks))
    seed = int.from_bytes(os.urandom(4), "little")  # another step each time; said on failure
    batch = 2 + seed % BATCHES
    killed = tmp_path / "killed"
    kill_at(start(script, killed, ranks, "--pause", "0.02", "--workers", "2"), killed, batch)
    assert not (killed / "final.npz").exists(), f"killed too late, at batch {batch}"
    finish(start(script, killed, ranks))
    assert trained(killed, ranks) == trained(tmp_path / "whole", ranks), f"at batch {batch}"
    expected = weights(tmp_path / "whole")
    for name, found in weights(killed).items():
        assert np.array_equal(found, expected[name]), f"{name}, at batch {batch}"


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.parametrize("script", ["plain.py", "with_lightning.py", "with_trainer.py"])
def test_two_ranks_killed_one_goes_on(script, tmp_path):
    finish(start(script, tmp_path / "whole", 2, "--float32"))
    killed = tmp_path / "killed"
    kill_at(start(script, killed, 2, "--pause", "0.02", "--float32"), killed, 25)
    finish(start(script, killed, 1, "--float32"))
    whole = together(trained(tmp_path / "whole", 2))
    alone = together(trained(killed, 1))  # what rank 0 did again, it did for both
    for place, samples in whole.items():
        if len(alone[place]) == len(samples):
            assert alone[place] == samples
    both = together(trained(killed, 2))
    assert all(set(whole[place]) <= set(both[place]) for place in whole)
    assert sum(len(alone[place]) == len(whole[place]) for place in whole) > 10
    expected = weights(tmp_path / "whole")
    for name, found in weights(killed).items():
        assert np.allclose(found, expected[name], atol=1e-5), name
