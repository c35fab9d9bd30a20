"""Lightning on two real processes: sharing, resuming, fewer ranks, and what is refused."""

import functools
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs lightning")
pytest.importorskip("torchdata", reason="needs torchdata")

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from two_ranks import on_two_ranks

from integrations.lightning_helpers import (
    BATCH,
    EPOCHS,
    NOISE,
    QUIET,
    Data,
    Model,
    N,
    Save,
    elastic,
    fit,
    make_loader,
    make_sampler,
    run,
    sampler_of,
    trained,
)
from sampling.integrations._lightning import LightningSamplerCallback
from sampling.samplers import EpochBatchSampler

pytestmark = [*NOISE, pytest.mark.distributed, pytest.mark.slow, pytest.mark.full]
DDP = {"strategy": "ddp", "devices": 2, "use_distributed_sampler": False}
CASES = [("shuffle", "plain"), ("shuffle", "stateful"), ("batch", "plain")]
CASES += [("pruned", "plain"), ("batch pruned", "stateful"), ("growing", "plain")]


def indices_in(log):
    return [indices for indices, _ in log]


def everything(folder, rank):
    """One pair of processes for all: to start it takes longer than what it does."""
    elastic(rank)
    return {
        "resumed": resumed(folder),
        "saved": saved_by_lightning(Path(folder, "saved")),
        "refused": refused(rank),
    }


def resumed(folder):
    """Log of the unbroken run, of the resumed runs, and where their checkpoints were written."""
    found = {}
    for kind, loader in CASES:
        place = Path(folder, f"{kind} {loader}")
        save = Save(place, "batch2", "epoch1", "batch4")
        whole = run(kind, loader, 0, save, **DDP)
        rest = {
            name: (done, run(kind, loader, 0, resume=path, **DDP))
            for name, (path, done) in save.written.items()
        }
        found[kind, loader] = whole, rest
    return found


def saved_by_lightning(folder):
    """ModelCheckpoint in all its ways: scores merge there, so every rank has to come."""
    whole = run("pruned", **DDP)
    options = {**DDP, "enable_checkpointing": True, "validate": True, "val_check_interval": 2}
    steps = {"every_n_train_steps": 2, "save_last": True}
    for name, how in {
        "steps": steps,
        "epochs": {"save_on_train_epoch_end": True, "save_last": True},
        "validation": {"save_on_train_epoch_end": False},
    }.items():
        place = ModelCheckpoint(Path(folder, name), "{step}", save_top_k=-1, **how)
        sampler = make_sampler("pruned")
        fit(sampler, make_loader(sampler), place, **options)
    rest = {}
    for path in sorted(folder.rglob("step*.ckpt")):
        done = int(path.stem.partition("=")[2])
        rest[f"{path.parent.name} {path.stem}"] = done, run("pruned", resume=path, **DDP)
    return whole, rest


def refused(rank):
    """What is said of settings that would undo the sampler."""

    def words(make, **options):
        sampler = make()
        try:
            fit(sampler, make_loader(sampler), **{**DDP, **options})
        except (ValueError, TypeError) as error:
            return str(error)
        return ""

    early = functools.partial(make_sampler, "shuffle", num_replicas=1, rank=0)
    sharded = {"use_distributed_sampler": True}
    late = make_sampler("shuffle")
    callback = LightningSamplerCallback(late)
    callback.setup = lambda *_, **__: None  # as if the early look had found nothing
    callback._trainer = None
    trainer = pl.Trainer(callbacks=[callback], **{**QUIET, **DDP, **sharded})
    try:
        callback._trainer = trainer
        trainer.fit(Model(late), make_loader(late))
        seen = ""
    except ValueError as error:
        seen = str(error)
    alone = ""
    if rank == 0:  # a checkpoint of an exception waits for nobody
        dynamic = LightningSamplerCallback(make_sampler("pruned"))
        dynamic.on_exception(trainer, None, KeyError())
        alone = ",".join(sorted(dynamic.state_dict()))
    return {
        "sampler": words(lambda: make_sampler("shuffle"), **sharded),
        "batches": words(lambda: make_sampler("batch"), **sharded),
        "early": words(early),
        "early batches": words(lambda: EpochBatchSampler(early(), BATCH)),
        "late": seen,
        "alone": alone,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def both(folder):
    return on_two_ranks(functools.partial(everything, str(folder)), fresh=True)


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_l1_ranks_share_the_epochs_and_resume_exactly(both, case):
    kind, _ = case
    alone = make_sampler("shuffle")
    for rank in (0, 1):
        whole, rest = both[rank]["resumed"][case]
        assert set(rest) == {"batch2", "epoch1", "batch4"}
        for place, (done, log) in rest.items():
            assert log == whole[done:], place
        if kind not in {"shuffle", "batch"}:
            continue
        for epoch in range(EPOCHS):  # L1: set_epoch arrives, and the union is the epoch
            drawn = alone.indices(epoch).tolist()
            batches = indices_in(whole)[3 * epoch : 3 * epoch + 3]
            if kind == "shuffle":
                mine = drawn[rank::2]
                assert batches == [tuple(mine[i : i + BATCH]) for i in (0, 4, 8)]
            else:
                assert batches == [tuple(drawn[i : i + BATCH]) for i in range(4 * rank, N, 8)]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_two_ranks_then_one(both, folder, case):
    """The rest of the global order, nothing twice and nothing lost; for pruned samplers too."""
    whole = [each for batch in indices_in(run(case[0])) for each in batch]
    first = 9 if case[0] == "growing" else N
    for place, position in (("batch2", min(2 * 2 * BATCH, first)), ("epoch1", first)):
        log = run(*case, resume=folder / " ".join(case) / f"{place}.ckpt", validate=True)
        assert [each for batch in indices_in(trained(log)) for each in batch] == whole[position:]
        assert log.count("val") == EPOCHS - (position == first)


def test_every_way_in_which_lightning_saves_is_collective(both):
    for whole, rest in (each["saved"] for each in both):
        assert len(rest) >= 8
        for place, (done, log) in rest.items():
            assert log == whole[done:], place


def test_l2_l3_settings_that_undo_the_sampler_are_refused(both):
    for found in (each["refused"] for each in both):
        for kind in ("sampler", "batches"):
            assert "use_distributed_sampler must be False on 2 ranks, got True" in found[kind]
            assert "construct Trainer(use_distributed_sampler=False)" in found[kind]
        for kind in ("early", "early batches"):
            assert "of 2 of this trainer, got one for rank 0 of 1" in found[kind]
            assert "LightningDataModule.setup" in found[kind]
        assert "DistributedSamplerWrapper" in found["late"]
        assert "use_distributed_sampler=False" in found["late"]
    assert both[0]["refused"]["alone"] == "dealt,over,state"


class Logged(Data):
    """Writes what each rank trained on, for processes that Lightning starts itself."""

    def __init__(self, folder):
        super().__init__("pruned")
        self.folder = folder


class Spawned(Model):
    def __init__(self):
        super().__init__(None)

    def on_train_start(self):
        self.sampler = self.trainer.datamodule.sampler

    def on_train_end(self):
        text = "\n".join(str(indices) for indices in indices_in(self.log_))
        Path(self.trainer.datamodule.folder, f"rank{self.global_rank}.txt").write_text(text)


def test_processes_that_lightning_starts(tmp_path, both):
    """`ddp_spawn` pickles callback and data module; the sampler is made in the processes."""
    callback = LightningSamplerCallback(sampler_of)
    options = {**QUIET, **DDP, "strategy": "ddp_spawn", "enable_checkpointing": False}
    trainer = pl.Trainer(callbacks=[callback], max_epochs=EPOCHS, **options)
    trainer.fit(Spawned(), datamodule=Logged(str(tmp_path)))
    for rank in (0, 1):
        whole, _ = both[rank]["resumed"]["pruned", "plain"]
        lines = (tmp_path / f"rank{rank}.txt").read_text().splitlines()
        assert lines == [str(indices) for indices in indices_in(whole)]
