"""Every sampler on a GPU: the same draws and losses as on the host, and no wait inside an epoch."""

import pytest
import torch

from sampling.samplers import EpochSampler
from sampling.testing._every_sampler import EPOCHS, SAMPLERS

MAKERS = {name: make for name, make in SAMPLERS.items() if isinstance(make(), EpochSampler)}
BATCH = 7

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def losses_of(rows, epoch):
    """Return losses (B,) that differ by sample and by epoch; every 13th is far off."""
    return 0.2 + (rows * 37 % 101) / 60.0 + (rows % 13 == 0) * 2.0 - 0.05 * epoch


@pytest.mark.parametrize("name", MAKERS)
def test_draws_losses_and_scores_are_those_of_the_host(name):
    here, there = MAKERS[name](), MAKERS[name]()
    for epoch in range(EPOCHS):
        here.set_epoch(epoch)
        there.set_epoch(epoch)
        order = list(here)
        assert list(there) == order
        for start in range(0, len(order), BATCH):
            rows = torch.tensor(order[start : start + BATCH])
            losses = losses_of(rows, epoch)
            expected = here.reduce(losses, rows)
            found = there.reduce(losses.cuda(), rows.cuda())
            assert found.is_cuda
            torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.parametrize("name", MAKERS)
def test_no_batch_but_the_first_of_an_epoch_waits(name):
    sampler = MAKERS[name]()
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        rows = torch.tensor(list(sampler)).cuda()
        losses = losses_of(rows, epoch).requires_grad_()
        sampler.reduce(losses[:BATCH], rows[:BATCH])  # copies the epoch's weights to the device
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for start in range(BATCH, len(rows), BATCH):
                part = slice(start, start + BATCH)
                sampler.reduce(losses[part], rows[part]).backward(retain_graph=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
