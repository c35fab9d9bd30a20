"""Lightning runs on tiny data that write down what they trained on."""

import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from sampling import Indexed
from sampling.integrations._lightning import LightningSamplerCallback
from sampling.samplers import EpochBatchSampler, EpochSampler, InfoBatchSampler, ShuffleSampler
from sampling.samplers.tables import ShuffledTable

N, BATCH, EPOCHS = 22, 4, 3  # 6 batches, the last one short
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
LOADERS = {"plain": DataLoader, "stateful": StatefulDataLoader}
NOISE = [
    *(
        pytest.mark.filterwarnings(f"ignore::{each}:(pytorch_)?lightning")
        for each in ("UserWarning", "FutureWarning", "DeprecationWarning")
    ),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]


class Numbers(Dataset):
    def __init__(self, size=N):
        self.size = size

    def __getitem__(self, index):
        return torch.tensor([float(index)])

    def __len__(self):
        return self.size


class Growing(EpochSampler):
    """A static sampler whose epochs have as many draws as they are told."""

    def __init__(self, lengths, **options):
        self.lengths = lengths
        super().__init__(max(lengths), max(lengths), **options)

    def draws(self, epoch):
        return self.lengths[epoch % len(self.lengths)]

    def table(self, epoch):
        from sampling import _rng

        return ShuffledTable(self.size, self.draws(epoch), _rng.key(self.seed, epoch, "shuffle"))


class Model(LightningModule):
    """Its log has (indices, weights) of each batch, "val" for a validation."""

    def __init__(self, sampler):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.sampler = sampler
        self.log_ = []

    def training_step(self, batch, batch_idx):
        indices, numbers = batch
        weights = self.sampler.weights_for(indices)
        self.log_.append((tuple(indices.tolist()), tuple(weights.tolist())))
        losses = self.layer(numbers)[:, 0] * 0 + (numbers[:, 0] * 7 + self.sampler.epoch) % 5
        return self.sampler.reduce(losses, indices)

    def validation_step(self, batch, batch_idx):
        self.log_.append("val")

    def predict_step(self, batch, batch_idx):
        return batch[0]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Save(Callback):
    """Write a checkpoint wherever it is told to, and note how much of the log came before.

    It stands before the sampler's callback: that may not depend on their order.
    """

    def __init__(self, folder, *places):
        self.folder, self.places = Path(folder), places
        self.written = {}

    def write(self, trainer, model, place):
        if self.places and place not in self.places:
            return
        path = self.folder / f"{place}.ckpt"
        trainer.save_checkpoint(path)
        self.written[place] = (str(path), len(model.log_))

    def on_train_batch_end(self, trainer, model, *_):
        self.write(trainer, model, f"batch{trainer.fit_loop.total_batch_idx + 1}")

    def on_validation_end(self, trainer, model):
        self.write(trainer, model, f"val{trainer.fit_loop.total_batch_idx + 1}")

    def on_train_epoch_end(self, trainer, model):
        self.write(trainer, model, f"epoch{trainer.fit_loop.epoch_progress.current.processed}")


def make_sampler(kind, **options):
    """A sampler by the name of its kind, the same each time."""
    if kind.startswith("batch"):
        return EpochBatchSampler(make_sampler(kind.removeprefix("batch").strip()), BATCH)
    if kind == "pruned":
        return InfoBatchSampler(N, 8, seed=3, drop_prob=0.5, **options)
    if kind == "growing":
        return Growing([9, 18, 12, 22], seed=3, **options)
    return ShuffleSampler(N, seed=3, **options)


def make_loader(sampler, loader="plain", workers=0, **options):
    if isinstance(sampler, EpochBatchSampler):
        options["batch_sampler"] = sampler
    else:
        options = {"sampler": sampler, "batch_size": BATCH, **options}
    if workers:
        options["multiprocessing_context"] = "fork"
    return LOADERS[loader](Indexed(Numbers()), num_workers=workers, **options)


def fit(sampler, loader, *callbacks, resume=None, validate=False, **options):
    """Train; return the model, whose `log_` is what was trained on, and the trainer."""
    model = Model(sampler)
    options = {**QUIET, "max_epochs": EPOCHS, "enable_checkpointing": False, **options}
    used = [*callbacks, LightningSamplerCallback(sampler)]
    trainer = Trainer(callbacks=used, **options)
    val = DataLoader(Indexed(Numbers()), batch_size=N) if validate else None
    trainer.fit(model, loader, val_dataloaders=val, ckpt_path=resume)
    return model, trainer


def run(kind, loader="plain", workers=0, save=None, **options):
    """Train a fresh sampler of a kind; return the log."""
    sampler = make_sampler(kind)
    callbacks = [save] if save else []
    return fit(sampler, make_loader(sampler, loader, workers), *callbacks, **options)[0].log_


def trained(log):
    return [batch for batch in log if batch != "val"]


class Data(LightningDataModule):
    """Makes the sampler where Lightning has started its ranks."""

    def __init__(self, kind, workers=0):
        super().__init__()
        self.kind, self.workers = kind, workers

    def setup(self, stage):
        if not hasattr(self, "sampler"):
            self.sampler = make_sampler(self.kind)

    def train_dataloader(self):
        return make_loader(self.sampler, workers=self.workers)


def sampler_of(trainer):
    return trainer.datamodule.sampler


def elastic(rank):
    """Let Lightning find the two processes that are there, as under torchrun."""
    port = os.environ.setdefault("MASTER_PORT", "29500")  # unused: the group exists
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=port,
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        LOCAL_WORLD_SIZE="2",
        GROUP_RANK="0",
        TORCHELASTIC_RUN_ID="test",
        OMP_NUM_THREADS="1",
    )
