"""Loaders of whole batches, in the frameworks of the contract matrix."""

from types import SimpleNamespace

import numpy as np
import pytest

from sampling.integrations import prepare_loader
from sampling.loading import TensorLoader
from sampling.samplers import ShuffleSampler
from sampling.testing._every_sampler import ROWS
from sampling.testing._matrix import cells, run_cells
from sampling.testing._matrix_leg import Trip

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata's

SAMPLERS = ["InfoBatchSampler", "ClassesPerBatchSampler"]


@pytest.mark.parametrize("framework", ["StatefulDataLoader", "Lightning", "accelerate"])
def test_whole_batches_of_a_dataloader(monkeypatch, framework):
    monkeypatch.setattr(Trip, "__init__", _whole(Trip.__init__))
    found = run_cells(cells(SAMPLERS, [framework], workers=[0], ranks=[1]))
    assert len(found) == 6 and not any(found.values()), found


@pytest.mark.parametrize("framework", ["Lightning", "accelerate"])
def test_tensor_loader(monkeypatch, framework):
    monkeypatch.setattr(
        Trip, "loader", lambda trip: TensorLoader(trip.batch_sampler(), None, ROWS, ROWS)
    )
    found = run_cells(cells(SAMPLERS, [framework], workers=[0], ranks=[1]))
    assert len(found) == 6 and not any(found.values()), found


def test_accelerate_does_not_shard_a_tensor_loader():
    accelerator = SimpleNamespace(num_processes=2, process_index=1)
    loader = TensorLoader(ShuffleSampler(10, num_replicas=2, rank=1), 2, np.arange(10))
    assert prepare_loader(accelerator, loader) is loader
    loader = TensorLoader(ShuffleSampler(10, num_replicas=1, rank=0), 2, np.arange(10))
    with pytest.raises(ValueError, match="must be 2 and 1 for a TensorLoader, which accelerate"):
        prepare_loader(accelerator, loader)


def _whole(made):
    def init(self, *args):
        made(self, *args)
        self.whole = True

    return init
