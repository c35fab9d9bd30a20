"""The figures of each epoch reach the logs of Lightning and of the Trainer."""

import pytest

pytest.importorskip("lightning", reason="needs lightning")
pytest.importorskip("transformers", reason="needs transformers")

from lightning.pytorch.loggers.logger import Logger

from sampling.samplers import ShuffleSampler

from .lightning_helpers import EPOCHS, NOISE, fit, make_loader, make_sampler
from .lightning_helpers import N as LIGHTNING_N
from .trainer_runs import N, Y, train

pytestmark = NOISE


class Kept(Logger):
    """Remembers what is logged."""

    name, version = "kept", 0

    def __init__(self):
        super().__init__()
        self.seen = []

    def log_metrics(self, metrics, step=None):
        self.seen.append((step, dict(metrics)))

    def log_hyperparams(self, *args, **kwargs):
        pass


def test_lightning():
    logger, sampler = Kept(), make_sampler("pruned")
    fit(sampler, make_loader(sampler), logger=logger, validate=True)
    found = [each for _, each in logger.seen if "train_sampler/kept" in each]
    assert len(found) == EPOCHS
    assert found[0]["train_sampler/kept"] == 1.0
    assert min(each["train_sampler/kept"] for each in found) < 1.0
    assert found[-1]["train_sampler/draws"] == round(found[-1]["train_sampler/kept"] * LIGHTNING_N)


def test_the_trainer(tmp_path):
    sampler = ShuffleSampler(N, num_replicas=1, num_samples=15)
    logs = {"logging_strategy": "epoch"}
    trainer = train(tmp_path, sampler, extra={"sampler_groups": Y.numpy()}, **logs).trainer
    found = [each for each in trainer.state.log_history if "sampler/kept" in each]
    assert [each["epoch"] for each in found] == [0, 1, 2]
    assert all(each["sampler/kept"] == 15 / N for each in found)
    assert {name for name in found[0] if "excluded" in name} == {
        f"sampler/excluded/{label}" for label in range(4)
    }
    silent = train(
        tmp_path, ShuffleSampler(N, num_replicas=1), extra={"log_sampler": False}, **logs
    )
    assert not any("sampler/kept" in each for each in silent.trainer.state.log_history)
