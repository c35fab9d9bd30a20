"""Train digits with the Hugging Face Trainer; killed, it goes on."""

import warnings

import torch
from common import (
    ACCUMULATE,
    CHECKPOINT,
    EPOCHS,
    GLOBAL_BATCH,
    Log,
    arguments,
    digits,
    make_model,
    make_sampler,
    ranks,
    write_weights,
)
from datasets import Dataset
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from sampling.integrations import SamplerTrainerMixin


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = make_model()

    def forward(self, x, labels=None):
        return {"logits": self.model(x)}


class Start(TrainerCallback):
    """Notes where in the epoch a pass begins."""

    batches = 0

    def __init__(self, sampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **_):
        self.batches = (len(self.sampler) - self.sampler.remaining) // GLOBAL_BATCH


class DigitsTrainer(SamplerTrainerMixin, Trainer):
    def training_step(self, model, inputs, num_items_in_batch=None):
        self.start.batches += 1
        indices = inputs[self.index_key].tolist()
        self.log_batch(self.train_sampler.epoch, self.start.batches, indices)
        return super().training_step(model, inputs, num_items_in_batch)


def newest(folder):
    """The last whole checkpoint: the Trainer writes into the folder, its state as the last file."""
    whole = [path.parent for path in folder.glob("checkpoint-*/sampler.safetensors")]
    whole = [path for path in whole if (path / "trainer_state.json").exists()]
    return max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)


def train(options):
    rank, world = ranks()
    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    x, y = digits()
    sampler = make_sampler(options.sampler, num_replicas=1, rank=0)
    start = Start(sampler)
    settings = TrainingArguments(
        output_dir=str(options.folder / "checkpoints"),
        per_device_train_batch_size=GLOBAL_BATCH // world,
        gradient_accumulation_steps=ACCUMULATE,
        num_train_epochs=EPOCHS,
        learning_rate=0.05,
        save_steps=CHECKPOINT,
        bf16=not options.float32,
        use_cpu=True,
        dataloader_num_workers=options.workers,
        dataloader_drop_last=True,
        report_to=[],
        disable_tqdm=True,
        logging_strategy="no",
    )
    trainer = DigitsTrainer(
        model=Digits(),
        args=settings,
        train_dataset=Dataset.from_dict({"x": x.numpy(), "labels": y.numpy()}).with_format("torch"),
        train_sampler=sampler,
        callbacks=[start],
    )
    trainer.start, trainer.log_batch = start, Log(options.folder, rank, options.pause)
    path = newest(options.folder / "checkpoints")
    trainer.train(resume_from_checkpoint=str(path) if path else None)
    if rank == 0:
        write_weights(options.folder, trainer.model.model)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(arguments())
