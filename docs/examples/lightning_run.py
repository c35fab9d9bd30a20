"""Train with Lightning and InfoBatch; run it again after an interruption to resume.

    pip install 'sampling[lightning]'
    python lightning_run.py --epochs 10 --out runs/lightning

The callback puts the sampler into Lightning's checkpoints, and logs the fraction of samples kept.
"""

import argparse
from pathlib import Path
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from sampling import Indexed
from sampling.integrations import LightningSamplerCallback
from sampling.samplers import InfoBatchSampler


class Classifier(lightning.LightningModule):
    """A small network that passes the loss of each sample through the sampler."""

    def __init__(self, sampler: InfoBatchSampler) -> None:
        super().__init__()
        self.sampler = sampler
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
        )

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch; `Indexed` puts the indices before the sample."""
        indices, (inputs, targets) = batch
        losses = F.cross_entropy(self.layers(inputs), targets, reduction="none")
        return self.sampler.reduce(losses, indices)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the accuracy."""
        inputs, targets = batch
        correct = self.layers(inputs).argmax(1) == targets
        self.log("accuracy", correct.float().mean(), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> None:
    """Train, or resume from the newest checkpoint."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/lightning"))
    args = parser.parse_args()

    lightning.seed_everything(0)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    train, test = Indexed(TensorDataset(x[:1200], y[:1200])), TensorDataset(x[1200:], y[1200:])

    sampler = InfoBatchSampler(train, num_epochs=args.epochs, seed=0)
    saver = ModelCheckpoint(
        args.out, filename="newest", every_n_train_steps=20, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_epochs=args.epochs,
        accelerator="auto",
        devices=1,
        callbacks=[LightningSamplerCallback(sampler, groups=y[:1200]), saver],
        use_distributed_sampler=False,  # or Lightning replaces the sampler
        logger=CSVLogger(args.out, name="", version=""),
        log_every_n_steps=10,
    )
    newest = args.out / "newest.ckpt"
    trainer.fit(
        Classifier(sampler),
        DataLoader(train, batch_size=32, sampler=sampler),
        DataLoader(test, batch_size=600),
        ckpt_path=str(newest) if newest.exists() else None,
    )
    print(f"accuracy {trainer.callback_metrics['accuracy']:.3f}, step {trainer.global_step}")


if __name__ == "__main__":
    main()
