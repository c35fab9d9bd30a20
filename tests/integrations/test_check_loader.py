"""What `check_loader` says of chains that the frameworks really build."""

import os
import subprocess
import sys

import pytest
import torch
from contracts.cases import N
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
    default_convert,
)
from two_ranks import on_two_ranks

from sampling import Indexed
from sampling.integrations._check_loader import LoaderProblem, LoaderReport, check_loader
from sampling.loading import TensorLoader
from sampling.samplers import (
    EpochBatchSampler,
    InfoBatchSampler,
    ShuffleSampler,
    SubsetSampler,
)
from sampling.selection import top

DATA = list(range(N))


def found(loader, sampler=None):
    """The problems of a loader as words; the report must print each."""
    report = check_loader(loader, sampler)
    assert bool(report) == bool(len(report)) == bool(report.problems)
    for each in report:
        assert f"{each.problem}, at {each.where}: {each.found}; {each.advice}" in str(report)
        if each.problem not in {"out of order", "not outermost"}:  # `where` leads to a thing
            eval(each.where, {"loader": loader})
    return [each.problem for each in report]


class MyBatches(BatchSampler):
    """A batch sampler of somebody else, that keeps its size in Lightning."""


class Variable(Sampler):
    """Batches of 1 to 4 samples, each sample once; `batch_size` says 4."""

    def __init__(self, batch_size=4):
        self.batch_size = batch_size
        self.drop_last = False

    def __iter__(self):
        i = size = 0
        while i < N:
            size = size % 4 + 1
            yield DATA[i : i + size]
            i += size

    def __len__(self):
        return sum(1 for _ in self)


class Table:
    """Batches by their own access."""

    def __getitem__(self, rows):
        return torch.as_tensor(rows)

    def __len__(self):
        return N


class Own(RandomSampler):
    """What nobody should derive from."""


# ---- one process, without frameworks -------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        lambda s: {"sampler": s, "batch_size": 4},
        lambda s: {"sampler": EpochBatchSampler(s, 4), "batch_size": None},
        lambda s: {"sampler": BatchSampler(s, 4, False), "batch_size": None},
        lambda s: {"batch_sampler": EpochBatchSampler(s, 4)},
        lambda s: {"batch_sampler": BatchSampler(s, 4, False)},
        lambda s: {"batch_sampler": MyBatches(s, 4, True)},
    ],
)
def test_nothing_wrong(options):
    sampler = ShuffleSampler(N)
    loader = DataLoader(Indexed(DATA), **options(sampler))
    assert found(loader) == found(loader, sampler) == []
    if loader.batch_sampler is not None:
        assert found(loader, loader.batch_sampler) == []
    report = check_loader(loader)
    report.raise_for_problems()
    assert str(report).startswith("no problems in DataLoader > ")
    assert str(report).endswith("> ShuffleSampler")


def test_samplers_of_others_are_nobodys_problem():
    for sampler in (Variable(), MyBatches(RandomSampler(DATA), 4, False)):
        loader = DataLoader(DATA, batch_sampler=sampler)
        assert found(loader) == found(loader, sampler) == []
    own = Own(DATA)
    assert found(DataLoader(DATA, sampler=own)) == found(DataLoader(DATA, sampler=own), own) == []


@pytest.mark.parametrize(
    "options", [{}, {"shuffle": True}, {"sampler": DistributedSampler(DATA, 2, 0)}]
)
def test_replaced_where_nothing_but_torchs_is_left(options):
    report = check_loader(DataLoader(DATA, batch_size=4, **options))
    assert [each.problem for each in report] == ["replaced"]
    assert "if the loader was given one, it was replaced" in str(report)
    assert report.problems[0].where == "loader.batch_sampler.sampler"


def test_replaced_by_another_one_of_ours():
    report = check_loader(
        DataLoader(DATA, sampler=ShuffleSampler(N, seed=1)), InfoBatchSampler(N, 2)
    )
    assert "InfoBatchSampler was replaced by a ShuffleSampler" in str(report)


@pytest.mark.parametrize(
    ("wrap", "where"),
    [
        (lambda: Subset(Indexed(DATA), DATA), "loader.dataset.dataset"),
        (lambda: Subset(Subset(Indexed(DATA), DATA), DATA), "loader.dataset.dataset.dataset"),
        (
            lambda: ConcatDataset([DATA, Indexed(DATA)]),
            "loader.dataset.datasets[1]",
        ),
    ],
)
def test_indexed_must_be_outermost(wrap, where):
    loader = DataLoader(wrap(), sampler=ShuffleSampler(N))
    (problem,) = check_loader(loader)
    assert (problem.problem, problem.where) == ("not outermost", where)
    assert isinstance(eval(problem.where, {"loader": loader}), Indexed)
    assert found(DataLoader(Indexed(Subset(DATA, DATA)), sampler=ShuffleSampler(N))) == []


def test_out_of_order():
    loader = DataLoader(DATA, sampler=ShuffleSampler(N), num_workers=2, in_order=False)
    assert found(loader) == ["out of order"]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_torchs_batch_sampler_hides_the_state_from_a_stateful_loader():
    module = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
    sampler = ShuffleSampler(N)

    def problems(**options):
        return found(module.StatefulDataLoader(DATA, **options), sampler)

    assert problems(batch_sampler=BatchSampler(sampler, 4, False)) == ["state hidden"]
    assert problems(batch_sampler=MyBatches(sampler, 4, False)) == ["state hidden"]
    assert problems(batch_sampler=EpochBatchSampler(sampler, 4)) == []
    assert problems(sampler=sampler, batch_size=4) == []
    assert problems(sampler=EpochBatchSampler(sampler, 4), batch_size=None) == []


@pytest.mark.parametrize(
    "sampler",
    [
        ShuffleSampler(N),
        InfoBatchSampler(N, 2),
        Own(DATA),
        WeightedRandomSampler(torch.ones(N), N),
        SubsetRandomSampler(DATA),
        DistributedSampler(DATA, 2, 0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_single_indices_without_a_batch_size(sampler):
    for dataset in (DATA, Indexed(DATA)):
        report = check_loader(DataLoader(dataset, sampler=sampler, batch_size=None), sampler)
        (problem,) = report
        assert (problem.problem, problem.where) == ("batch size lost", "loader.sampler")
        assert f"{type(sampler).__name__} yields single indices" in problem.found


def test_batches_of_others_without_a_batch_size():
    for sampler in (Variable(), MyBatches(RandomSampler(DATA), 4, False)):
        assert found(DataLoader(DATA, sampler=sampler, batch_size=None), sampler) == []


def test_a_collate_function_that_gets_the_pair():
    whole = {"sampler": EpochBatchSampler(ShuffleSampler(N), 4), "batch_size": None}
    records = [{"x": i} for i in DATA]
    for dataset in (Indexed(DATA), Indexed(DATA, collate_fn=list), Indexed(records, key="i")):
        for collate_fn in (list, default_collate, Indexed.collate(list)):
            (problem,) = check_loader(DataLoader(dataset, collate_fn=collate_fn, **whole))
            assert (problem.problem, problem.where) == ("pairs expected", "loader.collate_fn")
            assert problem.advice == "give the function to Indexed(dataset, collate_fn=...)"
        assert found(DataLoader(dataset, **whole)) == []
        assert found(DataLoader(dataset, collate_fn=default_convert, **whole)) == []
    assert found(DataLoader(Table(), collate_fn=list, **whole)) == []  # its own batches


def test_a_selection_of_other_rows():
    made, data = top(torch.arange(N).flip(0), 5), torch.arange(N + 9)  # the first five rows
    for batches in (SubsetSampler(made), EpochBatchSampler(SubsetSampler(made), 2)):
        cut = isinstance(batches, EpochBatchSampler)
        options = {"batch_sampler" if cut else "sampler": batches}
        for size, problems in ((N, []), (N + 9, ["another size"]), (N - 9, ["another size"])):
            assert found(DataLoader(Indexed(data[:size]), **options)) == problems
        with pytest.raises(
            ValueError, match=f"made for the {N + 9} samples .* got one for {N}: Su"
        ):
            TensorLoader(batches, None if cut else 2, data)
        TensorLoader(batches, None if cut else 2, data[:N])
    assert found(DataLoader(data, sampler=SubsetSampler(made.indices))) == []  # which know no N


def test_raising():
    report = check_loader(DataLoader(DATA, shuffle=True), ShuffleSampler(N))
    with pytest.raises(ValueError, match="1 problem in DataLoader > .*\n  replaced, at loader"):
        report.raise_for_problems()
    report.raise_for_problems("replaced", "reshuffled")
    two = LoaderReport("chain", (LoaderProblem("a", "b", "c", "d"), *report.problems))
    with pytest.raises(ValueError, match="^1 problem in chain\n  a, at b: c; d$"):
        two.raise_for_problems("replaced")


@pytest.mark.parametrize("thing", [[1, 2], None, "loader"])
def test_refuses_what_is_no_loader(thing):
    with pytest.raises(TypeError, match="loader must be a DataLoader or what a framework made of"):
        check_loader(thing)


def test_a_batch_sampler_that_names_itself_its_sampler_ends_the_walk():
    class Itself(Variable):
        @property
        def sampler(self):
            return self

    assert found(DataLoader(DATA, batch_sampler=Itself())) == []


def test_nothing_is_iterated():
    class Once(Sampler):
        def __iter__(self):
            raise RuntimeError("iterated")

        def __len__(self):
            return N

    assert found(DataLoader(DATA, sampler=Once())) == []


@pytest.mark.slow
def test_no_framework_is_imported():
    code = (
        "import sys; from torch.utils.data import DataLoader;"
        "from sampling.integrations._check_loader import check_loader;"
        "from sampling.samplers import ShuffleSampler;"
        "check_loader(DataLoader(range(4), sampler=ShuffleSampler(4)));"
        "roots = {name.partition('.')[0] for name in sys.modules};"
        "sys.exit(bool(roots & {'lightning', 'accelerate', 'transformers', 'torchdata'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- accelerate, two processes -------------------------------------------------------------------


def launched(rank):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", NODE_RANK="0")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="0")  # the group is there already


def with_accelerate(rank):
    launched(rank)
    from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches

    from sampling.integrations._accelerate import prepare_loader

    def prepare(config=None, **options):
        accelerator = Accelerator(
            cpu=True, dataloader_config=DataLoaderConfiguration(**config or {})
        )
        assert accelerator.num_processes == 2
        return accelerator.prepare(DataLoader(DATA, **options))

    whole, aware = ShuffleSampler(N, num_replicas=1, rank=0), ShuffleSampler(N)
    assert aware.num_replicas == 2
    distributed, own = DistributedSampler(DATA), Own(DATA)
    batches = EpochBatchSampler(whole, 4)
    changed = MyBatches(whole, 4, False)
    prepared_changed = prepare(batch_sampler=changed)
    changed.batch_size = 6
    skipping = skip_first_batches(prepare(sampler=whole, batch_size=4), 3)
    guarded = prepare_loader(Accelerator(cpu=True), DataLoader(DATA, batch_sampler=Variable()))
    opted_out = prepare_loader(Accelerator(cpu=True), DataLoader(DATA, sampler=aware, batch_size=4))
    cases = {
        "global": found(prepare(sampler=whole, batch_size=4), whole),
        "global batches": found(prepare(batch_sampler=batches), batches),
        "global batches, by their sampler": found(prepare(batch_sampler=batches), whole),
        "before prepare": found(DataLoader(DATA, sampler=whole), whole),
        "rank-aware": found(prepare(sampler=aware, batch_size=4), aware),
        "rank-aware batches": found(prepare(batch_sampler=EpochBatchSampler(aware, 4))),
        "rank-aware, our opt-out": found(opted_out, aware),
        "torch's distributed": found(prepare(sampler=distributed, batch_size=4), distributed),
        "rank-aware, dispatched": found(
            prepare({"dispatch_batches": True}, sampler=aware, batch_size=4), aware
        ),
        "a RandomSampler": found(prepare(sampler=own, batch_size=4), own),
        "a RandomSampler, as the Trainer has it": found(
            prepare({"use_seedable_sampler": True}, sampler=own, batch_size=4), own
        ),
        "shuffle=True": found(prepare(shuffle=True, batch_size=4)),
        "variable": found(prepare(batch_sampler=Variable())),
        "variable without a size": found(prepare(batch_sampler=Variable(None))),
        "variable, guarded": found(guarded),
        "equal batches of another": found(prepare(batch_sampler=MyBatches(whole, 4, True))),
        "size changed": found(prepared_changed),
        "skipping": found(skipping, whole),
        "stateful": found(
            prepare({"use_stateful_dataloader": True}, sampler=whole, batch_size=4), whole
        ),
    }
    texts = {
        "rank-aware": str(check_loader(prepare(sampler=aware, batch_size=4))),
        "variable": str(check_loader(prepare(batch_sampler=Variable()))),
        "a RandomSampler": str(
            check_loader(prepare({"use_seedable_sampler": True}, sampler=own), own)
        ),
        "size changed": str(check_loader(prepared_changed)),
        "torch's": str(check_loader(prepare(sampler=distributed, batch_size=4), distributed)),
    }
    return cases, texts


ACCELERATE = {
    "global": [],
    "global batches": [],
    "global batches, by their sampler": [],
    "before prepare": ["not sharded"],
    "rank-aware": ["sharded twice"],
    "rank-aware batches": ["sharded twice"],
    "rank-aware, our opt-out": [],
    "torch's distributed": ["sharded twice"],
    "rank-aware, dispatched": ["sharded twice"],
    "a RandomSampler": [],
    "a RandomSampler, as the Trainer has it": ["replaced"],
    "shuffle=True": ["replaced"],
    "variable": ["batch size lost"],
    "variable without a size": [],
    "variable, guarded": [],
    "equal batches of another": [],
    "size changed": ["batch size lost"],
    "skipping": ["epoch not delivered"],
    "stateful": ["state hidden"],
}


@pytest.mark.slow
@pytest.mark.distributed
def test_what_accelerate_makes_of_loaders():
    pytest.importorskip("accelerate", reason="needs accelerate")
    pytest.importorskip("torchdata", reason="needs torchdata")
    for cases, texts in on_two_ranks(with_accelerate, fresh=True):
        assert cases == ACCELERATE
        assert texts["rank-aware"].splitlines() == [
            "1 problem in DataLoaderShard > BatchSamplerShard > BatchSampler > ShuffleSampler",
            "  sharded twice, at loader.batch_sampler: BatchSamplerShard shards over 2 processes "
            "what ShuffleSampler already shards over 2 ranks: each sees only a fraction of its "
            "share; make the sampler with num_replicas=1 (scores still merge over all ranks), or "
            "prepare the loader with sampling.integrations.prepare_loader",
        ]
        assert "Variable has batch_size=4 but cuts 103 samples into 42 batches" in texts["variable"]
        assert "expects batches of 4, and MyBatches now has batch_size=6" in texts["size changed"]
        assert "Own was replaced by a SeedableRandomSampler" in texts["a RandomSampler"]
        assert "let only accelerate shard over ranks, without Distributed" in texts["torch's"]


# ---- Lightning, DDP on two processes -------------------------------------------------------------


def with_lightning(rank):
    launched(rank)
    import warnings

    import torch
    from lightning.pytorch import LightningModule, Trainer

    warnings.simplefilter("ignore")

    class Model(LightningModule):
        def __init__(self, make):
            super().__init__()
            self.layer, self.make = torch.nn.Linear(1, 1), make

        def train_dataloader(self):
            return self.make()

        def training_step(self, batch, _):
            return self.layer(torch.as_tensor(batch).reshape(-1, 1).float()).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def train(make, sampler, **options):
        trainer = Trainer(
            accelerator="cpu",
            devices=2,
            strategy="ddp",
            max_epochs=1,
            limit_train_batches=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        loader = None if isinstance(make, type(lambda: 0)) else make
        trainer.fit(Model(make), loader)
        assert trainer.world_size == 2
        return found(trainer.train_dataloader, sampler), str(
            check_loader(trainer.train_dataloader, sampler)
        )

    whole, aware = ShuffleSampler(N, num_replicas=1, rank=0), ShuffleSampler(N)
    plain = BatchSampler(aware, 3, False)

    def single():  # torch's own collation fails on single ints
        return DataLoader(DATA, batch_sampler=plain, collate_fn=torch.as_tensor)

    ours = {"use_distributed_sampler": False}
    cases = {
        "rank-aware": train(DataLoader(DATA, batch_size=3, sampler=aware), aware),
        "global": train(DataLoader(DATA, batch_size=3, sampler=whole), whole),
        "a BatchSampler": train(single(), aware),
        "a BatchSampler, given": train(single(), plain),
        "a BatchSampler in a hook": train(lambda: DataLoader(DATA, batch_sampler=plain), plain),
        "of another class": train(
            DataLoader(DATA, batch_sampler=MyBatches(aware, 3, False)), aware
        ),
        "a subclass of DistributedSampler": train(
            DataLoader(DATA, sampler=(kept := DistributedSampler(DATA))), kept
        ),
        "left alone": train(DataLoader(DATA, batch_size=3, sampler=aware), aware, **ours),
        "left alone, batches": train(
            DataLoader(DATA, batch_sampler=EpochBatchSampler(aware, 3)), aware, **ours
        ),
        "made too early": train(DataLoader(DATA, batch_size=3, sampler=whole), whole, **ours),
    }
    return {name: problems for name, (problems, _) in cases.items()}, {
        name: text for name, (_, text) in cases.items()
    }


LIGHTNING = {
    "rank-aware": ["reshuffled", "sharded twice"],
    "global": ["reshuffled"],
    "a BatchSampler": ["replaced", "batch size lost"],
    "a BatchSampler, given": ["replaced", "batch size lost"],
    "a BatchSampler in a hook": ["replaced", "batch size lost"],
    "of another class": ["replaced"],
    "a subclass of DistributedSampler": [],
    "left alone": [],
    "left alone, batches": [],
    "made too early": ["not sharded"],
}


@pytest.mark.full
@pytest.mark.distributed
def test_what_lightning_makes_of_loaders():
    pytest.importorskip("lightning", reason="needs lightning")
    for cases, texts in on_two_ranks(with_lightning, fresh=True):
        assert cases == LIGHTNING
        assert texts["rank-aware"].splitlines() == [
            "2 problems in DataLoader > BatchSampler > DistributedSamplerWrapper > ShuffleSampler",
            "  reshuffled, at loader.batch_sampler.sampler: DistributedSamplerWrapper shuffles "
            "the order of ShuffleSampler, so that its order, curriculum or batches are lost; "
            "construct Trainer(use_distributed_sampler=False), or shuffle=False",
            "  sharded twice, at loader.batch_sampler.sampler: DistributedSamplerWrapper shards "
            "over 2 processes what ShuffleSampler already shards over 2 ranks: each sees only a "
            "fraction of its share; construct Trainer(use_distributed_sampler=False)",
        ]
        assert "yields single samples instead of 3" in texts["a BatchSampler, given"]
        assert "yields batches of 1 instead of 3" in texts["a BatchSampler in a hook"]
        assert "ShuffleSampler was replaced by a DistributedSampler" in texts["of another class"]


def test_sequential_is_what_a_plain_loader_has():
    assert isinstance(DataLoader(DATA).sampler, SequentialSampler)
