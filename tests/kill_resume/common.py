"""What the three training scripts share: digits, a small model, a log, and whole files."""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from sampling import Indexed
from sampling.samplers import ClassBalancedSampler, InfoBatchSampler, WeightedSampler

EPOCHS = 3
ACCUMULATE = 2  # batches to an optimizer step
CHECKPOINT = 3  # optimizer steps between checkpoints
GLOBAL_BATCH = 64  # samples of all ranks in one batch of the loader
SCALE = 1024.0


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sampler", default="infobatch")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--float32", action="store_true", help="no autocast, to compare ranks")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds a step, to be killed in")
    return parser.parse_args()


def digits():
    data = load_digits()
    x = torch.tensor(data.data / 16.0, dtype=torch.float32)
    return x, torch.tensor(data.target)


def make_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def make_sampler(name, **options):
    x, y = digits()
    if name == "infobatch":
        return InfoBatchSampler(len(x), EPOCHS, anneal_fraction=0.0, seed=3, **options)
    if name == "weighted":
        return WeightedSampler(1.0 + np.arange(len(x)) % 4, seed=3, **options)
    return ClassBalancedSampler(y.numpy() // 2, seed=3, **options)


def make_data():
    return Indexed(TensorDataset(*digits()))


def ranks():
    """(rank, number of ranks), joined over gloo if there are several."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")
    return rank, world


class Log:
    """One line a batch: epoch, number of the batch in it, and the samples trained on."""

    def __init__(self, folder, rank, pause):
        self._file = (folder / f"batches.{rank}.jsonl").open("a", encoding="utf-8")
        self._pause = pause

    def __call__(self, epoch, number, indices):
        self._file.write(json.dumps([int(epoch), int(number), [int(i) for i in indices]]) + "\n")
        self._file.flush()
        time.sleep(self._pause)


def write_whole(path, write):
    beside = path.with_name(path.name + ".part")
    write(beside)
    beside.replace(path)


def write_weights(folder, model):
    weights = {name: each.detach().numpy() for name, each in model.state_dict().items()}

    def write(path):
        with path.open("wb") as file:
            np.savez(file, **weights)

    write_whole(folder / "final.npz", write)
