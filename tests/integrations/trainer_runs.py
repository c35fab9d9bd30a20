"""Tiny runs of the Hugging Face Trainer that remember which samples they trained on."""

import os
import socket
from types import SimpleNamespace

import datasets
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from sampling.integrations._trainer import SamplerTrainerMixin
from sampling.integrations._trainer_callback import SamplerTrainerCallback

N = 23  # a prime: nothing divides it
CLASSES = 4
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
Y = torch.arange(N) % CLASSES


class Net(torch.nn.Module):
    """Remember the first number of each sample, which is its index; the rest are features."""

    def __init__(self, dropout=0.0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear = torch.nn.Linear(3, CLASSES)
        self.dropout = torch.nn.Dropout(dropout)
        self.seen = []

    def forward(self, x, labels=None):
        if self.training:
            self.seen.append(x[:, 0].int().tolist())
        logits = self.linear(self.dropout(x[:, 1:]))
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class CountingNet(Net):
    """Takes the number of items, as the models of transformers do."""

    def forward(self, x, labels=None, **kwargs):
        unknown = set(kwargs) - {"num_items_in_batch"}
        assert not unknown, unknown
        found = super().forward(x, labels)
        if kwargs:
            total = torch.nn.functional.cross_entropy(found["logits"], labels, reduction="sum")
            found["loss"] = total / kwargs["num_items_in_batch"]
        return found


class Plain(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, index):
        x = torch.cat([torch.tensor([float(index)]), X[index]])
        return {"x": x, "labels": Y[index], "note": "a column that the model does not take"}


def table():
    """The same samples as a dataset of the datasets library."""
    rows = [Plain()[i] for i in range(N)]
    columns = {"x": [row["x"].tolist() for row in rows], "labels": Y.tolist()}
    return datasets.Dataset.from_dict({**columns, "note": ["a"] * N}).with_format("torch")


class OurTrainer(SamplerTrainerMixin, Trainer):
    pass


class ByHand(Trainer):
    """As users write it: the sampler through the override point, the rest by the Trainer."""

    train_sampler = None

    def _get_train_sampler(self, train_dataset=None):
        return self.train_sampler


class Diary(TrainerCallback):
    def __init__(self):
        self.epochs, self.rates = [], []

    def on_step_end(self, args, state, control, lr_scheduler=None, **kwargs):
        self.epochs.append(state.epoch)
        self.rates.append(lr_scheduler.get_last_lr()[0])


def arguments(folder, **changes):
    given = {
        "output_dir": str(folder),
        "use_cpu": True,
        "report_to": [],
        "per_device_train_batch_size": 4,
        "num_train_epochs": 3,
        "learning_rate": 0.1,
        "optim": "sgd",
        "max_grad_norm": 0,
        "save_strategy": "no",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return TrainingArguments(**{**given, **changes})


def train(folder, sampler, resume=None, **changes):
    """One run; `net`, `data`, `cls` and `extra` are ours, the rest are TrainingArguments."""
    net = changes.pop("net", None) or Net()
    data = changes.pop("data", None) or Plain()
    cls, extra = changes.pop("cls", OurTrainer), changes.pop("extra", {})
    diary = Diary()
    callbacks = [*extra.pop("callbacks", []), diary]
    if issubclass(cls, SamplerTrainerMixin):
        extra = {**extra, "train_sampler": sampler}
    trainer = cls(
        net, arguments(folder, **changes), train_dataset=data, callbacks=callbacks, **extra
    )
    trainer.train_sampler = sampler
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return SimpleNamespace(
        seen=net.seen,
        weights=net.linear.weight.tolist() if hasattr(net, "linear") else None,
        epochs=diary.epochs,
        rates=diary.rates,
        steps=trainer.state.global_step,
        max_steps=trainer.state.max_steps,
        epoch=trainer.state.epoch,
        trainer=trainer,
    )


def with_callback(folder, sampler, **changes):
    """One run of a plain Trainer with our callback."""
    extra = {"callbacks": [SamplerTrainerCallback(sampler)]}
    return train(folder, sampler, cls=ByHand, extra=extra, **changes)


def flat(batches):
    return [index for batch in batches for index in batch]


# ---------------------------------------------------------------------- two processes


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _child(rank, work, folder, port, queue):
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    queue.put((rank, work(rank, folder)))
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def on_two_processes(work, folder):
    """Return what `work(rank, folder)` gives on each of two processes, started as by torchrun."""
    queue = mp.get_context("spawn").SimpleQueue()
    context = mp.spawn(_child, args=(work, folder, _free_port(), queue), nprocs=2, join=False)
    results = {}
    while len(results) < 2:
        if context.join(timeout=0.1) and queue.empty():
            break
        if not queue.empty():
            rank, result = queue.get()
            results[rank] = result
    while not context.join():
        pass
    return results[0], results[1]


def attempt(work, *arguments, **keywords):
    """What a call returns, or the text of what it raises: results that cross processes."""
    try:
        found = work(*arguments, **keywords)
    except (ValueError, RuntimeError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(found, SimpleNamespace):
        del found.trainer
    return found
