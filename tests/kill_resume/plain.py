"""Train digits with plain torch: AMP scaling, accumulation, a scheduler; killed, it goes on."""

import contextlib

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
    ranks,
    write_weights,
    write_whole,
)
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from sampling.samplers import load_state, save_state


class Run:
    """Everything that a checkpoint holds, and where it lies."""

    def __init__(self, options, rank, world):
        self.rank, self.world = rank, world
        self.folder = options.folder
        self.sampler = make_sampler(options.sampler, drop_last=True)
        self.model = make_model()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda s: 0.99**s)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=5)
        self.epoch = self.batches = self.steps = 0

    @property
    def _parts(self):
        return [self.model, self.optimizer, self.schedule, self.scaler]

    def save(self, consumed):
        """Every rank comes: the sampler's file first, under a name that the other file gives."""
        name = f"sampler.{self.steps}"
        save_state(self.sampler, self.folder / name, consumed)
        if self.rank:
            return
        state = {
            "parts": [part.state_dict() for part in self._parts],
            "at": [self.epoch, self.batches, self.steps],
            "sampler": name,
        }
        write_whole(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))

    def load(self):
        if not (self.folder / "checkpoint.pt").exists():
            return
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        for part, own in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(own)
        self.epoch, self.batches, self.steps = state["at"]
        load_state(self.sampler, self.folder / state["sampler"])


def train(options):
    rank, world = ranks()
    run, log = Run(options, rank, world), Log(options.folder, rank, options.pause)
    run.load()
    net = DistributedDataParallel(run.model) if world > 1 else run.model
    loader = DataLoader(
        make_data(),
        batch_size=GLOBAL_BATCH // world,
        sampler=run.sampler,
        num_workers=options.workers,
        drop_last=True,
        multiprocessing_context="fork" if options.workers else None,
    )
    for epoch in range(run.epoch, EPOCHS):
        run.epoch = epoch
        run.sampler.set_epoch(epoch)
        for number, (indices, (x, y)) in enumerate(loader, start=1):
            last = number % ACCUMULATE == 0
            quiet = net.no_sync() if world > 1 and not last else contextlib.nullcontext()
            with quiet:
                with torch.autocast("cpu", torch.bfloat16, enabled=not options.float32):
                    logits = net(x)
                losses = cross_entropy(logits.float(), y, reduction="none")
                run.scaler.scale(run.sampler.reduce(losses, indices) / ACCUMULATE).backward()
            run.batches += 1
            log(epoch, run.batches, indices)
            if last:
                run.scaler.step(run.optimizer)
                run.scaler.update()
                run.optimizer.zero_grad()
                run.schedule.step()
                run.steps += 1
                if run.steps % CHECKPOINT == 0:
                    run.save(run.sampler.consumed_after(number, GLOBAL_BATCH // world))
        run.optimizer.zero_grad()  # a last batch without its partner is left out
        run.batches = 0
    if rank == 0:
        write_weights(options.folder, run.model)


if __name__ == "__main__":
    train(arguments())
