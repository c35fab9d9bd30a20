"""Lightning runs that were stopped deal what the unbroken run deals."""

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader

pytest.importorskip("lightning", reason="needs lightning")
pytest.importorskip("torchdata", reason="needs torchdata")

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint
from lightning.pytorch.utilities import CombinedLoader
from products import pairs, rounds

from integrations.lightning_helpers import (
    BATCH,
    EPOCHS,
    NOISE,
    QUIET,
    Data,
    Growing,
    Model,
    N,
    Numbers,
    Save,
    fit,
    make_loader,
    make_sampler,
    run,
    sampler_of,
    trained,
)
from sampling import Indexed
from sampling.errors import StateError
from sampling.integrations._lightning import LightningSamplerCallback
from sampling.samplers import (
    AdaptiveBatchSampler,
    ClassBalancedSampler,
    EpochBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    TwoStreamBatchSampler,
)

pytestmark = NOISE
slow = pytest.mark.slow
workers = pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.full)])
loaders = pytest.mark.parametrize("loader", ["plain", "stateful"])
SETTINGS = {
    "validation": {"validate": True},
    "validation within": {"validate": True, "val_check_interval": 2},
    "reload": {"reload_dataloaders_every_n_epochs": 1, "validate": True},
    "accumulate": {"accumulate_grad_batches": 2},
    "steps": {"max_epochs": -1, "max_steps": 15},
    "steps, validation": {"max_epochs": -1, "max_steps": 15, "validate": True},
    "steps, reload": {"max_epochs": -1, "max_steps": 15, "reload_dataloaders_every_n_epochs": 1},
    "limit": {"limit_train_batches": 3},
}
BY_STEP = ["validation", "accumulate", "steps, validation", "steps, reload"]  # each flag once
PLACES = ["batch2", "batch6", "val6", "epoch1"]


def full(setting):
    return pytest.param(setting, marks=pytest.mark.full)


def batches_of(sampler, epoch, start=0, size=BATCH):
    """What a loader makes of an epoch: lists of indices."""
    drawn = sampler.indices(epoch, start).tolist()
    return [tuple(drawn[i : i + size]) for i in range(0, len(drawn), size)]


def indices_in(log):
    return [indices for indices, _ in trained(log)]


# ---------------------------------------------------------------------- resuming


@pairs({"kind": ["shuffle", "batch", "pruned"], "loader": ["plain", "stateful"], "workers": [0, 2]})
def test_l4_resumed_runs_deal_what_the_unbroken_one_does(kind, loader, workers, tmp_path):
    """In mid-epoch and at an epoch's end; then resumed once more, in the same and the next."""
    save = Save(tmp_path, "batch3", "epoch1")
    whole = run(kind, loader, workers, save)
    for place, (path, done) in save.written.items():
        second = 5 if place == "batch3" else 8
        again = Save(tmp_path, f"batch{second}")
        rest = run(kind, loader, workers, again, resume=path)
        assert rest == whole[done:], place
        ((path, more),) = again.written.values()
        assert done + more == second
        assert run(kind, loader, workers, resume=path) == whole[second:]


@rounds({"setting": SETTINGS, "loader": ["plain", "stateful"]}, times=1)
def test_checkpoints_of_every_hook_resume(setting, loader, tmp_path):
    options = SETTINGS[setting]
    save = Save(tmp_path, *PLACES)
    whole = run("pruned", loader, 0, save, **options)
    assert len(save.written) >= 3
    for place, (path, done) in save.written.items():
        rest = run("pruned", loader, 0, resume=path, **options)
        assert trained(rest) == trained(whole[done:]), place


@slow
@pytest.mark.parametrize("setting", [*map(full, sorted(SETTINGS.keys() - BY_STEP)), *BY_STEP])
def test_checkpoints_of_every_step_resume(setting, tmp_path):
    """Of growing and shrinking epochs, with a loader that restores itself too."""
    options = SETTINGS[setting]
    save = Save(tmp_path)
    whole = run("growing", "stateful", 0, save, **options)
    assert len(save.written) >= 12
    for place, (path, done) in save.written.items():
        rest = run("growing", "stateful", 0, resume=path, **options)
        assert trained(rest) == trained(whole[done:]), place


def test_the_sampler_is_dealt_as_lightning_counts_epochs():
    """L1 on one rank: what is trained on are epochs 0, 1 and 2 of the sampler."""
    for kind in ("shuffle", "batch"):
        sampler = make_sampler(kind)
        expected = [each for epoch in range(EPOCHS) for each in batches_of(sampler, epoch)]
        assert indices_in(run(kind)) == expected


def test_a_checkpoint_is_read_without_pickle_and_small_if_static(tmp_path):
    for kind, arrays in (("shuffle", False), ("pruned", True)):
        save = Save(tmp_path, "batch3")
        run(kind, save=save)
        loaded = torch.load(save.written["batch3"][0], weights_only=True)
        state = loaded["callbacks"]["LightningSamplerCallback{'name': 'train'}"]
        assert state["state"]["consumed"] == 3 * BATCH
        assert bool(state["arrays"]) is arrays
        assert all(isinstance(each, torch.Tensor) for each in state["arrays"].values())
        assert len(str({**state, "arrays": None})) < 1024


def test_model_checkpoint_of_lightning(tmp_path):
    """The callback that users have: every third step, the last, and one for an exception."""

    class Break(pl.Callback):
        def on_train_batch_start(self, trainer, model, batch, batch_idx):
            if trainer.fit_loop.total_batch_idx == 8:  # the ninth batch, which is not trained on
                raise KeyError("stop")

    def saver():
        return ModelCheckpoint(
            tmp_path,
            "{step}",
            save_last=True,
            save_top_k=-1,
            every_n_train_steps=3,
            save_on_exception=True,
        )

    whole = run("pruned")
    sampler = make_sampler("pruned")
    options = {"enable_checkpointing": True}
    with pytest.raises(KeyError, match="stop"):
        fit(sampler, make_loader(sampler), Break(), saver(), **options)
    for name, done in (("step=3", 3), ("step=6", 6), ("step=8", 8), ("last", 8)):
        assert run("pruned", resume=tmp_path / f"{name}.ckpt") == whole[done:], name


def test_a_run_that_max_steps_ended_may_go_on(tmp_path):
    """Exactly, from the checkpoint of its last step; with the next epoch, from one after it."""
    whole = run("shuffle", max_epochs=-1, max_steps=16)
    save = Save(tmp_path, "batch8", "epoch2")
    assert run("shuffle", save=save, max_epochs=-1, max_steps=8) == whole[:8]
    more = {"max_epochs": -1, "max_steps": 16}
    assert run("shuffle", resume=save.written["batch8"][0], **more) == whole[8:]
    after = run("shuffle", resume=save.written["epoch2"][0], **more)
    assert indices_in(after)[:6] == batches_of(make_sampler("shuffle"), 2)


class Early(Model):
    """Builds its loaders before Lightning restores its counters, and before `on_fit_start`."""

    def configure_optimizers(self):
        if self.sampler is not None:
            assert self.trainer.estimated_stepping_batches > 0
        return super().configure_optimizers()


@pytest.mark.parametrize(("kind", "workers"), [("shuffle", 0), ("pruned", 1)])
@pytest.mark.parametrize("model", [Model, Early])
def test_fit_called_twice_goes_on(kind, workers, model):
    """The first iterator of the second fit is made before Lightning hands over the epoch."""
    sampler = make_sampler(kind)
    callbacks = [LightningSamplerCallback(sampler)]
    trainer = pl.Trainer(callbacks=callbacks, enable_checkpointing=False, max_epochs=1, **QUIET)
    model = model(sampler)
    trainer.fit(model, make_loader(sampler, workers=workers))
    trainer.fit_loop.max_epochs = EPOCHS
    trainer.fit(model, make_loader(sampler, workers=workers))
    assert model.log_ == run(kind)


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize(
    ("kind", "drop_last"), [("shuffle", False), ("shuffle", True), ("pruned", False)]
)
def test_another_batch_size_goes_on_where_the_first_stopped(kind, drop_last, size, tmp_path):
    """Lightning counts batches of the old size: it would end the epoch too early or too late."""
    save = Save(tmp_path, "batch9")
    whole = [index for indices in indices_in(run(kind, save=save)) for index in indices]
    sampler = make_sampler(kind)
    loader = make_loader(sampler, batch_size=size, drop_last=drop_last)
    model, _ = fit(sampler, loader, resume=save.written["batch9"][0], validate=True)
    rest = [index for indices in indices_in(model.log_) for index in indices]
    if drop_last:
        assert len(rest) == sum(n // size * size for n in (N - 3 * BATCH, N))
    else:
        assert rest == whole[N + 3 * BATCH :]
    assert model.log_.count("val") == 2  # after each epoch, the resumed one too
    assert model.log_[-1] == "val"


@pytest.mark.parametrize("batch_size", [None, 4])
def test_loaders_that_cut_batches_otherwise(batch_size, tmp_path):
    """torch's BatchSampler around the sampler, and a loader that gives single samples."""

    def make():
        sampler = make_sampler("shuffle")
        if batch_size is None:
            return sampler, DataLoader(Indexed(Numbers()), sampler=sampler, batch_size=None)
        batches = BatchSampler(sampler, batch_size, drop_last=True)
        return sampler, DataLoader(Indexed(Numbers()), batch_sampler=batches)

    class Single(Model):
        def training_step(self, batch, batch_idx):
            self.log_.append(torch.as_tensor(batch[0]).tolist())

    def logged(*callbacks, resume=None):
        sampler, loader = make()
        model = Single(sampler)
        trainer = pl.Trainer(
            callbacks=[*callbacks, LightningSamplerCallback(sampler)],
            enable_checkpointing=False,
            max_epochs=2,
            **QUIET,
        )
        trainer.fit(model, loader, ckpt_path=resume)
        return model.log_

    save = Save(tmp_path, "batch3", "epoch1")
    whole = logged(save)
    assert len(whole) == 2 * (N if batch_size is None else N // batch_size)
    for path, done in save.written.values():
        assert logged(resume=path) == whole[done:]


def test_a_function_finds_the_sampler_of_a_data_module(tmp_path):
    def logged(*callbacks, resume=None):
        model = Model(None)
        data = Data("pruned", workers=1)
        find = LightningSamplerCallback(sampler_of)
        with pytest.raises(RuntimeError, match="sampler is known when fit has begun"):
            find.sampler  # noqa: B018

        class Give(pl.Callback):
            def on_train_start(self, trainer, module):
                module.sampler = find.sampler

        used = [*callbacks, find, Give()]
        options = {"enable_checkpointing": False, "max_epochs": EPOCHS - 1, **QUIET}
        trainer = pl.Trainer(callbacks=used, **options)
        trainer.fit(model, datamodule=data, ckpt_path=resume)
        trainer.fit_loop.max_epochs = EPOCHS
        trainer.fit(model, datamodule=data)
        return model.log_

    save = Save(tmp_path, "batch3", "epoch1")
    whole = logged(save)
    assert whole == run("pruned")
    for path, done in save.written.values():
        assert logged(resume=path) == whole[done:]


def test_loaders_that_are_built_early_resume_too(tmp_path):

    def logged(loader, *callbacks, resume=None):
        sampler = make_sampler("pruned")
        model = Early(sampler)
        used = [*callbacks, LightningSamplerCallback(sampler)]
        options = {"enable_checkpointing": False, "max_epochs": EPOCHS, **QUIET}
        trainer = pl.Trainer(callbacks=used, **options)
        trainer.fit(model, make_loader(sampler, loader), ckpt_path=resume)
        return model.log_

    for loader in ("plain", "stateful"):
        save = Save(tmp_path, "batch3", "epoch1", "batch8")
        whole = logged(loader, save)
        for path, done in save.written.values():
            assert logged(loader, resume=path) == whole[done:]


def test_another_loader_and_number_of_workers(tmp_path):
    """The state of a StatefulDataLoader fits neither; the callback's fits both."""
    save = Save(tmp_path, "batch3", "batch7")
    whole = run("pruned", "stateful", save=save)
    for path, done in save.written.values():
        for loader, workers in (("plain", 0), ("stateful", 1)):
            sampler = make_sampler("pruned")
            callback = LightningSamplerCallback(sampler, restore_loader=False)
            model = Model(sampler)
            options = {"enable_checkpointing": False, "max_epochs": EPOCHS, **QUIET}
            trainer = pl.Trainer(callbacks=[callback], **options)
            trainer.fit(model, make_loader(sampler, loader, workers), ckpt_path=path)
            assert model.log_ == whole[done:]


def test_the_search_for_a_learning_rate_leaves_no_trace():
    """It trains, and goes back by a checkpoint: position and scores are those of before."""

    class Rated(Model):
        lr = 0.1

    sampler = make_sampler("pruned")
    model = Rated(sampler)
    search = LearningRateFinder(num_training_steps=4, update_attr=False)
    options = {**QUIET, "max_epochs": EPOCHS}
    pl.Trainer(callbacks=[search, LightningSamplerCallback(sampler)], **options).fit(
        model, make_loader(sampler)
    )
    whole = run("pruned")
    assert model.log_ == whole[:4] + whole


def test_the_same_package_under_its_old_name(tmp_path):
    """`pytorch_lightning.Trainer` calls the hooks of our callback as well."""
    old = pytest.importorskip("pytorch_lightning", reason="needs pytorch_lightning")

    class Old(old.LightningModule):
        __init__, training_step = Model.__init__, Model.training_step
        configure_optimizers = Model.configure_optimizers

    def logged(resume=None, **options):
        sampler = make_sampler("pruned")
        model = Old.__new__(Old)
        old.LightningModule.__init__(model)
        model.layer, model.sampler, model.log_ = torch.nn.Linear(1, 1), sampler, []
        callback = LightningSamplerCallback(sampler)
        options = {"enable_checkpointing": False, **QUIET, **options}
        trainer = old.Trainer(callbacks=[callback], **options)
        trainer.fit(model, make_loader(sampler), ckpt_path=resume)
        return trainer, model.log_

    trainer, first = logged(max_epochs=1)
    trainer.save_checkpoint(tmp_path / "old.ckpt")
    _, rest = logged(tmp_path / "old.ckpt", max_epochs=EPOCHS)
    assert first + rest == run("pruned")


# ---------------------------------------------------------------------- lengths


@workers
@loaders
@pytest.mark.parametrize("reload", [0, 1, 2])
def test_l5_growing_and_shrinking_epochs_are_whole_and_validated(reload, loader, workers):
    lengths = [9, 18, 12, 22]
    sampler = make_sampler("growing")
    flag = {"reload_dataloaders_every_n_epochs": reload}
    given = make_loader(sampler, loader, workers)
    model, trainer = fit(sampler, given, validate=True, max_epochs=5, **flag)
    expected = []
    for epoch, length in enumerate([*lengths, lengths[0]]):
        epochs = batches_of(sampler, epoch)
        assert len(epochs) == -(-length // BATCH)
        expected += [*epochs, "val"]
    assert [each if each == "val" else each[0] for each in model.log_] == expected
    assert trainer.reload_dataloaders_every_n_epochs == reload
    if reload != 2:  # then Lightning's own number is left as it is
        assert trainer.num_training_batches == 3


def test_lightning_alone_cuts_them_and_skips_their_validation():
    """What the callback is for; should this fail one day, Lightning reads lengths itself."""
    sampler = Growing([12, 18, 8], seed=3)
    model = Model(sampler)
    val = DataLoader(Indexed(Numbers()), batch_size=N)
    trainer = pl.Trainer(enable_checkpointing=False, max_epochs=3, **QUIET)
    trainer.fit(model, make_loader(sampler), val)
    assert len(trained(model.log_)) == 3 + 3 + 2  # of 3 + 5 + 2
    assert model.log_.count("val") == 2  # of 3


def test_validation_within_shrinking_epochs():
    sampler = Growing([22, 12], seed=3)
    options = {"validate": True, "val_check_interval": 0.5, "max_epochs": 2}
    model, _ = fit(sampler, make_loader(sampler), **options)
    at = [i for i, each in enumerate(model.log_) if each == "val"]
    assert at == [3, 7, 9, 11, 13]  # of 6 batches after 3 and 6; of 3 after each


def test_progress_reaches_1_whatever_the_lengths(tmp_path):
    seen = []

    class Follow(pl.Callback):
        def on_train_batch_end(self, trainer, model, *_):
            seen.append((callback.progress, callback.consumed))

        def on_train_epoch_end(self, trainer, model):
            seen.append((callback.progress, callback.consumed))

    class Scheduled(Model):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - callback.progress)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    sampler = Growing([8, 16], seed=3)
    callback = LightningSamplerCallback(sampler)
    options = {"enable_checkpointing": False, "max_epochs": 2, **QUIET}
    trainer = pl.Trainer(callbacks=[callback, Follow()], **options)
    model = Scheduled(sampler)
    trainer.fit(model, make_loader(sampler))
    parts = [0.25, 0.5, 0.5, 0.625, 0.75, 0.875, 1, 1]
    assert [progress for progress, _ in seen] == pytest.approx(parts)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0
    # A pruned run has its own number of epochs.
    sampler = make_sampler("pruned")
    callback = LightningSamplerCallback(sampler)
    trainer = pl.Trainer(callbacks=[callback], **options)
    trainer.fit(Model(sampler), make_loader(sampler))
    assert callback.progress == 2 / 8
    # What is left out of an epoch counts as done when it is over.
    sampler = make_sampler("shuffle")
    callback = LightningSamplerCallback(sampler)
    trainer = pl.Trainer(callbacks=[callback], limit_train_batches=2, **options)
    trainer.fit(Model(sampler), make_loader(sampler))
    assert (callback.progress, callback.consumed) == (1, 2 * BATCH)


def test_adaptive_batches_change_between_epochs_only():
    def logged(place, size):
        sampler = AdaptiveBatchSampler(ShuffleSampler(N, seed=3), BATCH)

        class Change(pl.Callback):
            pass

        setattr(Change, place, lambda *_: sampler.set_batch_size(size))
        loader = make_loader(sampler)
        return fit(sampler, loader, Change(), max_epochs=2, validate=True)[0].log_

    log = logged("on_train_epoch_end", 8)
    assert [len(each[0]) for each in trained(log)] == [4, 4, 4, 4, 4, 2, 8, 8, 6]
    assert log.count("val") == 2
    log = logged("on_train_epoch_end", 2)
    assert len(trained(log)) == 6 + 11
    with pytest.raises(RuntimeError, match="the batch size must stay 4 within an epoch, got 8"):
        logged("on_train_batch_end", 8)


def test_a_longer_epoch_that_nobody_could_foresee_is_refused():
    class Late(Model):
        def on_train_epoch_end(self):
            self.sampler.lengths = [22]

    sampler = Growing([9], seed=3)
    model = Late(sampler)
    sampler.size = sampler.num_samples = N
    callback = LightningSamplerCallback(sampler)
    trainer = pl.Trainer(callbacks=[callback], enable_checkpointing=False, max_epochs=2, **QUIET)
    with pytest.raises(RuntimeError, match=r"epoch 1 has 6 batches, .* cut it to 3"):
        trainer.fit(model, make_loader(sampler))


# ---------------------------------------------------------------------- several samplers


@pytest.mark.parametrize("mode", ["min_size", "max_size"])
def test_two_callbacks_for_two_samplers(mode, tmp_path):
    class Two(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.log_ = torch.nn.Linear(1, 1), []

        def training_step(self, batch, batch_idx):
            self.log_.append({k: v and v[0].tolist() for k, v in batch.items()})

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

    def logged(*callbacks, resume=None):
        one, two = ShuffleSampler(N, seed=1), InfoBatchSampler(N, 8, seed=2)
        loader = CombinedLoader({"a": make_loader(one), "b": make_loader(two, batch_size=3)}, mode)
        used = [LightningSamplerCallback(one, "a"), LightningSamplerCallback(two, "b")]
        options = {"enable_checkpointing": False, "max_epochs": 2, **QUIET}
        model = Two()
        pl.Trainer(callbacks=[*callbacks, *used], **options).fit(model, loader, ckpt_path=resume)
        return model.log_

    save = Save(tmp_path, "batch3", "epoch1")
    whole = logged(save)
    for path, done in save.written.values():
        assert logged(resume=path) == whole[done:]


def test_two_callbacks_of_one_name_are_refused():
    sampler = make_sampler("shuffle")
    callbacks = [LightningSamplerCallback(sampler), LightningSamplerCallback(sampler)]
    with pytest.raises(RuntimeError, match="more than one stateful callback"):
        pl.Trainer(callbacks=callbacks, **QUIET)


@pytest.mark.parametrize("kind", ["shuffle", "batch"])
def test_a_validation_loader_may_have_a_sampler_of_its_own(kind):
    sampler, other = make_sampler("pruned"), make_sampler(kind)
    model = Model(sampler)
    callback = LightningSamplerCallback(sampler)
    options = {**QUIET, "num_sanity_val_steps": 2, "val_check_interval": 0.5}
    trainer = pl.Trainer(callbacks=[callback], enable_checkpointing=False, max_epochs=3, **options)
    trainer.fit(model, make_loader(sampler), make_loader(other))
    assert trained(model.log_) == run("pruned")
    trainer.validate(model, make_loader(other))


# ---------------------------------------------------------------------- what Lightning replaces


@loaders
def test_l6_overfitting_goes_on_without_the_sampler(loader, tmp_path):
    sampler = make_sampler("shuffle")
    save = Save(tmp_path, "batch3")
    model, _ = fit(sampler, make_loader(sampler, loader, 0), save, overfit_batches=2)
    assert indices_in(model.log_) == [(0, 1, 2, 3), (4, 5, 6, 7)] * EPOCHS
    saved = torch.load(save.written["batch3"][0], weights_only=True)
    assert "LightningSamplerCallback{'name': 'train'}" not in saved["callbacks"]
    batches = make_sampler("batch")
    model, _ = fit(batches, make_loader(batches, loader, 0), overfit_batches=2)
    assert len(model.log_) == 2 * EPOCHS


@pytest.mark.parametrize("limit", [2, 0.5])
@pytest.mark.parametrize("kind", ["shuffle", "batch", "pruned"])
def test_l6_limited_batches(kind, limit):
    log = run(kind, limit_train_batches=limit)
    assert [len(each) for each in indices_in(log)] == [BATCH] * len(log)
    assert indices_in(log)[:2] == batches_of(make_sampler(kind), 0)[:2]
    assert run("shuffle", fast_dev_run=True, enable_checkpointing=True) == run("shuffle")[:1]


def test_l6_prediction_with_the_sampler():
    sampler = make_sampler("shuffle")
    model, trainer = fit(sampler, make_loader(sampler), max_epochs=1)
    found = [tuple(each.tolist()) for each in trainer.predict(model, make_loader(sampler))]
    assert found == batches_of(sampler, 1)


@pytest.mark.filterwarnings("ignore:You are using a custom batch sampler")
@pytest.mark.parametrize("kind", ["whole", "drop_last", "two streams"])
def test_l6_prediction_leaves_a_batch_sampler_as_it_is(kind):
    """Lightning makes anew what shows `drop_last`, around a SequentialSampler: not to it."""
    if kind == "two streams":
        batches = TwoStreamBatchSampler(range(N - 9), range(N - 9, N), 5, 2, drop_last=True)
    else:
        batches = EpochBatchSampler(ShuffleSampler(N, seed=3), 5, kind == "drop_last")
    assert batches.drop_last == (kind != "whole")
    expected = batches.batches(0)
    trainer = pl.Trainer(enable_checkpointing=False, **QUIET)
    found = trainer.predict(Model(batches), make_loader(batches))
    assert [each.tolist() for each in found] == expected


def test_validation_of_a_checkpoint_leaves_the_sampler_alone(tmp_path):
    save = Save(tmp_path, "batch9")
    run("pruned", save=save)
    sampler = make_sampler("pruned")
    callback = LightningSamplerCallback(sampler)
    trainer = pl.Trainer(callbacks=[callback], enable_checkpointing=False, **QUIET)
    val = DataLoader(Indexed(Numbers()), batch_size=N)
    trainer.validate(Model(sampler), val, ckpt_path=save.written["batch9"][0])
    assert (sampler.epoch, sampler.remaining) == (0, N)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize("bad", [3, None, torch.utils.data.SequentialSampler(range(3))])
def test_only_samplers_of_ours(bad):
    with pytest.raises(TypeError, match="sampler must be an EpochSampler, an EpochBatchSampler"):
        LightningSamplerCallback(bad)
    sampler = make_sampler("shuffle")
    callback = LightningSamplerCallback(lambda trainer: bad)
    trainer = pl.Trainer(callbacks=[callback], enable_checkpointing=False, **QUIET)
    with pytest.raises(TypeError, match=f"returns one, got {type(bad).__name__}"):
        trainer.fit(Model(sampler), make_loader(sampler))


def test_names_are_strings():
    with pytest.raises(TypeError, match="name must be a str, got int"):
        LightningSamplerCallback(make_sampler("shuffle"), 3)


@pytest.mark.parametrize("kind", ["shuffle", "batch"])
def test_another_sampler_in_the_loader_is_refused(kind):
    with pytest.raises(ValueError, match=r"must have the \w+ of this callback, got DataLoader > "):
        fit(make_sampler(kind), make_loader(make_sampler(kind)))


def test_what_is_no_data_loader_is_refused():
    class Own:
        def __init__(self, sampler):
            self.sampler = sampler

        def __iter__(self):
            return iter(make_loader(self.sampler))

    sampler = make_sampler("shuffle")
    with pytest.raises(ValueError, match="got Own > ShuffleSampler"):
        fit(sampler, Own(sampler))


def test_a_sampler_for_other_ranks_is_refused():
    sampler = make_sampler("shuffle", num_replicas=2, rank=1)
    with pytest.raises(ValueError, match="rank 0 of 1 of this trainer, got one for rank 1 of 2"):
        fit(sampler, make_loader(sampler))


def test_a_batch_sampler_that_hides_the_state_is_refused():
    sampler = make_sampler("shuffle")
    hidden = BatchSampler(sampler, BATCH, False)
    loader = make_loader(EpochBatchSampler(sampler, BATCH), "stateful")
    loader = type(loader)(Indexed(Numbers()), batch_sampler=hidden)
    with pytest.raises(ValueError, match="must be an EpochBatchSampler, got BatchSampler"):
        fit(sampler, loader)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    save = Save(tmp_path, "batch3")
    run("shuffle", save=save)
    path = save.written["batch3"][0]
    for sampler, reason in (
        (ShuffleSampler(N, seed=4), "seed 4, got 3"),
        (ShuffleSampler(N + 1, seed=3), "size 23, got 22"),
        (ClassBalancedSampler([0, 1] * 11), "sampler 'ClassBalancedSampler', got 'ShuffleSampler'"),
    ):
        with pytest.raises(StateError, match=reason):
            fit(sampler, make_loader(sampler), resume=path)
        assert (sampler.epoch, sampler.remaining) == (0, len(sampler))


def test_a_checkpoint_without_the_callback_is_warned_of(tmp_path):
    sampler = make_sampler("shuffle")
    save = Save(tmp_path, "batch3")
    trainer = pl.Trainer(callbacks=[save], enable_checkpointing=False, max_epochs=1, **QUIET)
    trainer.fit(Model(sampler), make_loader(sampler))
    with pytest.raises(UserWarning, match="the checkpoint holds no state of LightningSampler"):
        run("shuffle", resume=save.written["batch3"][0])


def test_a_checkpoint_of_one_failing_rank_waits_for_nobody():
    """And does not pretend to hold the scores of the others."""
    sampler = make_sampler("pruned")
    callback = LightningSamplerCallback(sampler)

    class Two:
        world_size = 2

    callback.on_exception(Two(), None, KeyError())
    state = callback.state_dict()
    assert "arrays" not in state
    with pytest.raises(StateError, match="must hold the scores of the InfoBatchSampler, got none"):
        LightningSamplerCallback(make_sampler("pruned")).load_state_dict(state)
    static = LightningSamplerCallback(make_sampler("shuffle"))
    static.on_exception(Two(), None, KeyError())
    LightningSamplerCallback(make_sampler("shuffle")).load_state_dict(static.state_dict())


# ---- loaders that start again within an epoch ----------------------------------------------------

SHORT = 12


def cycled(short, long=3 * SHORT, mode="max_size_cycle"):
    loaders = {
        "short": DataLoader(range(SHORT), batch_size=4, sampler=short),
        "long": DataLoader(range(long), batch_size=4),
    }
    return CombinedLoader(loaders, mode)


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated")
def test_a_loader_that_starts_again_within_an_epoch_gets_advice_that_works_there():
    message = (
        r"epoch 0 is over: call set_epoch\(1\) before the next pass.*CombinedLoader in mode "
        r"'max_size_cycle'\), construct with auto_epoch=True, or choose a mode .* 'min_size'"
    )
    sampler = InfoBatchSampler(SHORT, 9)
    with pytest.raises(RuntimeError, match=message):
        list(cycled(sampler))
    sampler = InfoBatchSampler(SHORT, 9, num_replicas=2, rank=0)
    with pytest.raises(RuntimeError, match=r"'max_size_cycle'\), choose a mode that its other"):
        list(cycled(sampler))
    with pytest.warns(UserWarning, match="epoch 0 is iterated a second time.*with auto_epoch=True"):
        list(cycled(ShuffleSampler(SHORT)))


@pytest.mark.parametrize("mode", ["max_size_cycle", "min_size", "max_size"])
def test_the_advice_is_followed(mode):
    cycles = mode == "max_size_cycle"
    sampler = InfoBatchSampler(SHORT, 99, auto_epoch=cycles)
    loader, drawn = cycled(sampler, mode=mode), []
    for epoch in range(2):
        sampler.set_epoch(epoch)  # as Lightning does: the second is behind the sampler's own
        for batch, _, _ in loader:
            if batch["short"] is not None:
                drawn.extend(batch["short"].tolist())
    assert len(drawn) == (6 if cycles else 2) * SHORT
    passes = [drawn[at : at + SHORT] for at in range(0, len(drawn), SHORT)]
    assert all(sorted(each) == [*range(SHORT)] for each in passes)
    assert len({tuple(each) for each in passes}) == len(passes)


class Paired(pl.LightningModule):
    def __init__(self, sampler):
        super().__init__()
        self.sampler, self.layer, self.drawn = sampler, torch.nn.Linear(1, 1), []

    def training_step(self, batch, batch_idx):
        indices = batch["short"]
        self.drawn.extend(indices.tolist())
        losses = self.layer(indices[:, None].float()).square().mean(1)
        return self.sampler.reduce(losses, indices)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-4)


def test_a_dynamic_sampler_in_a_dict_of_loaders():
    """Lightning's own mode there is "max_size_cycle": two passes and a half in each epoch."""
    sampler = InfoBatchSampler(SHORT, 99, auto_epoch=True)
    model, loaders = Paired(sampler), cycled(sampler, long=30).iterables
    pl.Trainer(enable_checkpointing=False, max_epochs=2, **QUIET).fit(model, loaders)
    assert sampler.epoch > 3  # each pass was an epoch, and Lightning's second did not go back to 1
    assert sorted(model.drawn[:SHORT]) == [*range(SHORT)]
    assert len(model.drawn) > 4 * SHORT
