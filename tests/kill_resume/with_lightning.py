"""Train digits with Lightning: autocast, scaler, accumulation, schedule; killed, it goes on."""

import logging
import os

import torch
from common import (
    ACCUMULATE,
    CHECKPOINT,
    EPOCHS,
    GLOBAL_BATCH,
    SCALE,
    Log,
    arguments,
    make_data,
    make_model,
    make_sampler,
    write_weights,
)
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from sampling.integrations import LightningSamplerCallback


class Digits(LightningModule):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.model = make_model()

    def setup(self, stage):
        world = self.trainer.world_size
        self.log_batch = Log(self.options.folder, self.global_rank, self.options.pause)
        self.sampler = make_sampler(self.options.sampler, drop_last=True)
        self.loader = DataLoader(
            make_data(),
            batch_size=GLOBAL_BATCH // world,
            sampler=self.sampler,
            num_workers=self.options.workers,
            drop_last=True,
            multiprocessing_context="fork" if self.options.workers else None,
        )

    def train_dataloader(self):
        return self.loader

    def training_step(self, batch, _):
        indices, (x, y) = batch
        bridge = self.trainer.callbacks[0]
        self.log_batch(self.sampler.epoch, bridge.consumed // GLOBAL_BATCH + 1, indices)
        losses = cross_entropy(self.model(x).float(), y, reduction="none")
        return self.sampler.reduce(losses, indices)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.99**step)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def newest(folder):
    """The last whole checkpoint: Lightning writes each beside its place first."""
    found = sorted(folder.glob("*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]))
    return found[-1] if found else None


def train(options):
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=5)
    module = Digits(options)
    checkpoints = ModelCheckpoint(
        options.folder / "checkpoints",
        filename="{step}",
        every_n_train_steps=CHECKPOINT,
        save_top_k=-1,
        save_on_train_epoch_end=False,
    )
    world = int(os.environ.get("WORLD_SIZE", "1"))
    trainer = Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        use_distributed_sampler=False,
        max_epochs=EPOCHS,
        accumulate_grad_batches=ACCUMULATE,
        plugins=[] if options.float32 else [MixedPrecision("16-mixed", "cpu", scaler=scaler)],
        callbacks=[LightningSamplerCallback(lambda trainer: trainer.lightning_module.sampler),
                   checkpoints],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    path = newest(options.folder / "checkpoints")
    trainer.fit(module, ckpt_path=path)
    if trainer.is_global_zero:
        write_weights(options.folder, module.model)


if __name__ == "__main__":
    train(arguments())
