"""S1: a sampler made for another number of samples than the dataset has is named everywhere."""

import copy
import pickle

import numpy as np
import pytest
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, Dataset, IterableDataset

from sampling import Indexed
from sampling.integrations import BatchTracker, check_loader
from sampling.integrations._loader_chain import refuse_misfit
from sampling.samplers import (
    EpochBatchSampler,
    ImportanceSampler,
    InfoBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    ShuffleSampler,
    SubsetSampler,
    TwoStreamBatchSampler,
    WeightedSampler,
)

N = 100


class Growing(Dataset):
    def __init__(self, size=N):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index


class Unsized(Growing):
    def __len__(self):
        raise NotImplementedError


class Stream(IterableDataset):
    def __iter__(self):
        yield from range(2)

    def __len__(self):
        return 2


class Offset:
    """Somebody's own: chunks are drawn, samples are handed out."""

    def __init__(self, sampler):
        self.sampler = sampler

    def __iter__(self):
        for chunk in self.sampler:
            yield from range(10 * chunk, 10 * chunk + 10)


def class_weights():
    return WeightedSampler([0.1, 0.9])


MISFITS = {
    "class weights": lambda: {"sampler": class_weights(), "batch_size": 4},
    "too few labels": lambda: {"sampler": ShuffleSampler(50), "batch_size": None},
    "too many": lambda: {"batch_sampler": EpochBatchSampler(ShuffleSampler(N + 1), 4)},
    "within torch's": lambda: {"batch_sampler": BatchSampler(class_weights(), 4, False)},
    "a batch sampler as sampler": lambda: {
        "sampler": EpochBatchSampler(class_weights(), 4),
        "batch_size": None,
    },
    "a subset beyond": lambda: {"sampler": SubsetSampler([3, N]), "batch_size": 4},
}
FITS = {
    "all": lambda: (Growing(), {"sampler": ShuffleSampler(N)}),
    "fewer draws": lambda: (Growing(), {"sampler": ShuffleSampler(N, num_samples=7)}),
    "one rank of two": lambda: (
        Indexed(Growing()),
        {"sampler": ShuffleSampler(N, num_replicas=2, rank=1)},
    ),
    "a subset": lambda: (Growing(), {"sampler": SubsetSampler([3, 50])}),
    "two streams": lambda: (
        Growing(),
        {"batch_sampler": TwoStreamBatchSampler([0, 1, 2, 3], [8, 9], 4, 2)},
    ),
    "several datasets": lambda: (
        Indexed(ConcatDataset([Growing(60), Growing(40)])),
        {"sampler": MixtureSampler([60, 40])},
    ),
    "a sampler around ours": lambda: (Growing(), {"sampler": Offset(ShuffleSampler(10))}),
    "no length": lambda: (Unsized(), {"sampler": ShuffleSampler(7)}),
    "a stream": lambda: (Stream(), {}),
    "torch's": lambda: (Growing(), {"shuffle": True}),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_s1_a_misfit_is_named(kind):
    loader = DataLoader(Indexed(Growing()), **MISFITS[kind]())
    report = check_loader(loader)
    assert "another size" in [each.problem for each in report]
    assert "the dataset has 100" in str(report)
    with pytest.raises(ValueError, match="must be made for the 100 samples of the loader's"):
        BatchTracker(loader)


def test_s1_the_message_says_what_is_lost_and_what_to_do():
    message = (
        r"sampler must be made for the 100 samples of the loader's dataset, got one for 2: "
        r"WeightedSampler draws none of the samples from 2 on; .* class weights: weights\[labels\]"
    )
    with pytest.raises(ValueError, match=message):
        refuse_misfit(DataLoader(Growing(), sampler=class_weights()))
    with pytest.raises(ValueError, match="draws indices from 100 on, which the dataset does not"):
        refuse_misfit(DataLoader(Growing(), sampler=ShuffleSampler(N + 1)))


@pytest.mark.parametrize("kind", FITS)
def test_s1_what_fits_passes(kind):
    dataset, options = FITS[kind]()
    loader = DataLoader(dataset, **options)
    assert "another size" not in [each.problem for each in check_loader(loader)]
    refuse_misfit(loader)


def test_s1_accelerate():
    pytest.importorskip("accelerate")
    from accelerate import Accelerator

    from sampling.integrations import check_prepared, prepare_loader

    loader = DataLoader(Growing(), sampler=class_weights())
    prepared = Accelerator(cpu=True).prepare(loader)
    for refused in (
        lambda: prepare_loader(Accelerator(cpu=True), loader),
        lambda: check_prepared(prepared),
        lambda: BatchTracker(prepared),
    ):
        with pytest.raises(ValueError, match="must be made for the 100 samples"):
            refused()
    assert "another size" in [each.problem for each in check_loader(prepared)]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_s1_torchdata():
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    from sampling.integrations import load_loader_state

    loader = torchdata.StatefulDataLoader(Growing(), sampler=class_weights())
    with pytest.raises(ValueError, match="must be made for the 100 samples"):
        load_loader_state(loader, loader.state_dict())
    assert "another size" in [each.problem for each in check_loader(loader)]


@pytest.mark.filterwarnings("ignore")
def test_s1_lightning():
    pl = pytest.importorskip("lightning.pytorch")

    from integrations.lightning_helpers import QUIET, Model
    from sampling.integrations import LightningSamplerCallback

    sampler = class_weights()
    trainer = pl.Trainer(
        callbacks=[LightningSamplerCallback(sampler)],
        enable_checkpointing=False,
        max_epochs=1,
        **QUIET,
    )
    with pytest.raises(ValueError, match="must be made for the 100 samples"):
        trainer.fit(Model(sampler), DataLoader(Growing(), sampler=sampler))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["mixin", "callback"])
def test_s1_trainer(how, tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    from sampling.integrations import SamplerTrainerCallback, SamplerTrainerMixin

    sampler = class_weights()
    settings = transformers.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    rows = [{"x": float(i)} for i in range(N)]

    class Mixed(SamplerTrainerMixin, transformers.Trainer):
        pass

    class Plain(transformers.Trainer):
        def _get_train_sampler(self, train_dataset=None):
            return sampler

    def fit():
        options = {"model": torch.nn.Linear(1, 1), "args": settings, "train_dataset": rows}
        if how == "mixin":
            return Mixed(**options, train_sampler=sampler)
        return Plain(**options, callbacks=[SamplerTrainerCallback(sampler)]).train()

    with pytest.raises(ValueError, match="must be made for the 100 samples .* got one for 2"):
        fit()


# ---------------------------------------------------------------------- a dataset that changes


@pytest.mark.parametrize("change", [-1, 5])
@pytest.mark.parametrize(
    "make",
    [
        ShuffleSampler,
        lambda data: RepeatedSubsetSampler(data, 0.5),
        lambda data: InfoBatchSampler(data, 4),
        ImportanceSampler,
        lambda data: EpochBatchSampler(ShuffleSampler(data), 4),
        lambda data: MixtureSampler([Growing(3), data]),
    ],
)
def test_s1_a_dataset_of_another_length_is_named_at_set_epoch(make, change):
    data = Growing()
    sampler = make(Indexed(data))
    sampler.set_epoch(1)
    data.size += change
    for each in (2, 1):
        with pytest.raises(ValueError, match=rf"must keep the 100 .* got {N + change} at set_ep"):
            sampler.set_epoch(each)
    assert sampler.epoch == 1
    data.size = N
    sampler.set_epoch(2)


def test_s1_a_sampler_keeps_no_dataset_alive_and_takes_none_along():
    rows = [0, 1, 2]
    sampler = ShuffleSampler(rows)
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        rows.append(3)
        twin.set_epoch(1)
        with pytest.raises(ValueError, match="data_source must keep the 3 samples"):
            sampler.set_epoch(1)
        rows.pop()
    passing = ShuffleSampler(Growing(3))
    passing.set_epoch(1)
    assert len(passing) == 3
    assert len(ShuffleSampler(np.zeros(3))) == 3
