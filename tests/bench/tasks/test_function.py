"""Tasks from a file of the user: `my_task.py:make`."""

import sys
from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from sampling import bench
from sampling.bench import Task, _benchmark
from sampling.bench.tasks._data import data_of
from sampling.bench.training._calibrate import calibrated

ONE = {"methods": ("full",), "without": ("full-fewer", "random", "dynamic-random", "rs2"),
       "seeds": 1, "jobs": 1}  # fmt: skip
X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()

GOOD = """
    import torch
    from sampling.bench import Task
    from helper_of_{name} import X, Y

    class Model(torch.nn.Linear):
        pass

    def make():
        from helper_of_{name} import late
        return Task((X, Y), (X, Y), lambda: Model(4, 2), epochs=1, batch_size=16)

    def broken():
        return make(1)

    def number():
        return 3

    def stop():
        raise SystemExit(2)

    task = make()
"""
HELPER = """
    import torch
    X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    Y = (X[:, 0] > 0).long()
    late = 1
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of the user, with a neighbour that it imports."""
    monkeypatch.setattr(sys, "path", sys.path[:])

    def write(text=GOOD, name="own_task", folder="tasks"):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = tmp_path / folder / f"{name}.py"
        path.write_text(dedent(text.replace("{name}", name)))
        (path.parent / f"helper_of_{name}.py").write_text(dedent(HELPER))
        return path

    yield write
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def prepared(path, name="make", **given):
    return bench.prepare(
        bench.Settings(f"{path}:{name}", **{"out": path.parent / name, **ONE, **given})
    )


def test_a_function_is_run(write):
    benchmark = prepared(write())
    assert benchmark.run(progress=False).runs[0].done
    assert benchmark.source.name == "own_task"
    assert prepared(write(), "task").source.name == "own_task-task"


@pytest.mark.slow
@pytest.mark.full
def test_it_runs_in_several_processes(write):
    settings = {"methods": ("full", "class-balanced"), "jobs": 2, "seeds": 1}
    results = prepared(write(), **settings).run(progress=False)
    assert len(results.runs) == 2
    assert all(run.done for run in results.runs)


def test_a_changed_file_is_run_again_and_other_files_may_share_the_name(write):
    assert prepared(write(), epochs=1).data.task.batch_size == 16
    path = write(GOOD.replace("batch_size=16", "batch_size=8"))
    assert prepared(path, out=path.parent / "b").data.task.batch_size == 8
    other = write(GOOD.replace("batch_size=16", "batch_size=4"), folder="more")
    assert prepared(other).data.task.batch_size == 4


def test_a_file_in_a_package_may_import_relatively(write):
    path = write("from .helper_of_inside import X, Y\n" + dedent(GOOD).replace("{name}", "inside"),
                 name="inside", folder="package_of_tasks")  # fmt: skip
    with pytest.raises(ValueError, match=r"relative import.*import neighbours by their names"):
        prepared(path)
    (path.parent / "__init__.py").touch()
    assert prepared(path).data.task.batch_size == 16


BAD = {
    "no such name": (GOOD, "mak", "must name a function of .*got 'mak': did you mean 'make'"),
    "an error": (GOOD, "broken", r"must return a sampling.bench.Task, got TypeError: .*line 14\)"),
    "no task": (GOOD, "number", "must return a sampling.bench.Task, got 3"),
    "exit": (GOOD, "stop", r"got SystemExit: 2 \(own_task.py, line 20\)"),
    "no function": (GOOD, "Y", "must be a function, got <int64"),
    "syntax": ("def make(:", "make", r"got SyntaxError: invalid syntax \(own_task.py, line 1\)"),
    "import": ("import no_such_module_at_all", "make", "got ModuleNotFoundError: No module named"),
    "field": ("from sampling.bench import Task\n\ndef make():\n    return Task(train=1)", "make",
              r"got TypeError: .*\(own_task.py, line 4\)"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_file_is_named(write, text, name, message):
    with pytest.raises((ValueError, TypeError), match=message):
        prepared(write(text), name)
    assert not (write().parent / name).exists()


def test_files_that_cannot_be_imported(write):
    with pytest.raises(ValueError, match="there is another module 'random'; rename the file"):
        prepared(write(name="random"))
    with pytest.raises(ValueError, match="must be a file whose name Python can import.*my-task.py"):
        prepared(write("", name="my-task"))
    with pytest.raises(FileNotFoundError, match=r"none.py must exist"):
        prepared(write().parent / "none.py")
    with pytest.raises(ValueError, match=r"must name a function of a Python file, such as .*:make"):
        bench.prepare(bench.Settings(str(write())))


class Pairs(Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, index):
        return X[index], int(Y[index])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))

    def __len__(self):
        return 60


def linear(outputs=2):
    return lambda: nn.Linear(4, outputs)


class Named(nn.Module):
    """A model that takes its inputs by name, as those of transformers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(x)


def hugging_face(split=None):
    datasets = pytest.importorskip("datasets")
    found = datasets.Dataset.from_dict({"x": X.tolist(), "label": Y.tolist()}).with_format("torch")
    return found if split is None else datasets.DatasetDict({split: found})


def stacked(samples):
    return torch.stack([x for x, _ in samples]), torch.tensor([y for _, y in samples])


def f1_of_one(outputs, targets):
    return float((outputs.argmax(1)[targets == 1] == 1).mean())


TASKS = {
    "a dataset": lambda: Task(Pairs(), Pairs(), linear()),
    "a subset": lambda: Task(Subset(Pairs(), range(5, 55)), Pairs(), linear()),
    "tensors": lambda: Task(TensorDataset(X, Y), TensorDataset(X, Y), linear()),
    "lists": lambda: Task((X.tolist(), Y.tolist()), (X.tolist(), Y.tolist()), linear()),
    "Hugging Face": lambda: Task(hugging_face(), hugging_face(), Named),
    "collated, with workers": lambda: Task(
        Pairs(), Pairs(), linear(), collate_fn=stacked, num_workers=1
    ),
    "bfloat16": lambda: Task((X, Y), (X, Y), linear(), amp="bfloat16"),
    "a function as metric": lambda: Task((X, Y), (X, Y), linear(), metric=f1_of_one),
    "log-loss": lambda: Task((X, Y), (X, Y), linear(), metric="log-loss"),
    "macro F1, own val": lambda: Task((X, Y), (X, Y), linear(), metric="f1", val=(X[:9], Y[:9])),
    "R2": lambda: Task((X, X[:, 0]), (X, X[:, 0]), linear(1)),
    "two targets": lambda: Task((X, X[:, :2]), (X, X[:, :2]), linear(2), metric="R2"),
    "own loss": lambda: Task((X, Y), (X, Y), linear(),
                             nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1)),
}  # fmt: skip


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)
def test_kinds_of_tasks(tmp_path, make):
    settings = bench.Settings(make(), out=tmp_path, epochs=1, batch_size=16, **ONE)
    run = bench.prepare(settings).run(progress=False).runs[0]
    assert run.done, run.reason


class Constant(nn.Linear):
    """A model whose outputs are a function of those of a linear one."""

    def __init__(self, of, outputs=2):
        super().__init__(4, outputs)
        self.of = of

    def forward(self, rows):
        return self.of(self, super().forward(rows))


def boom(*_):
    raise RuntimeError("boom")


MODELS = {
    "too few classes": (lambda: nn.Linear(4, 1), "2 classes or more, shape .16, 2., got float32 of "
                        "shape .16, 1."),
    "classes": (lambda: Constant(lambda _, out: out.argmax(1)), "got int64 of shape .16,."),
    "no tensor": (lambda: Constant(lambda _, out: "out"), "outputs must be a tensor, got 'out'"),
    "other inputs": (lambda: nn.Linear(7, 2), "got RuntimeError: mat1 and mat2"),
    "no parameters": (nn.Identity, "must train on a batch of its data, got ValueError: optimizer"),
    "an error": (lambda: Constant(boom), r"RuntimeError: boom"),
    "no module": (lambda: 3, "must return a torch.nn.Module, got 3"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "message"), MODELS.values(), ids=MODELS)
def test_a_model_that_does_not_fit_is_refused_before_the_runs(
    tmp_path, monkeypatch, model, message
):
    monkeypatch.setattr(_benchmark, "calibrated", calibrated)  # not the fixture's
    task = Task((X, Y), (X, Y), model)
    with pytest.raises(ValueError, match=message):
        bench.prepare(bench.Settings(task, out=tmp_path, batch_size=16, **ONE)).forecast()


FAILING = {
    "nan": ({"model": lambda: Constant(lambda own, out: out if own.training else out * torch.nan)},
            "the outputs of the model were nan in evaluation"),
    "none": ({"metric": lambda outputs, targets: None}, "must return a float, got None"),
    "two": ({"metric": lambda outputs, targets: [1, 2]}, "must return a float, got [1, 2]"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "reason"), FAILING.values(), ids=FAILING)
def test_what_cannot_be_evaluated_fails_the_run(tmp_path, given, reason):
    task = Task((X, Y), (X, Y), **{"model": linear(), **given})
    settings = bench.Settings(task, out=tmp_path, epochs=1, batch_size=16, **ONE)
    run = bench.prepare(settings).run(progress=False).runs[0]
    assert run.state == "failed"
    assert reason in run.reason


def test_a_data_frame_is_a_pair():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X.numpy())
    data = data_of(Task((frame, pandas.Series(Y.numpy())), (frame, Y), linear()))
    assert data.task.metric_of.name == "accuracy"
    assert len(data.train) + len(data.val) == 60


class Damaged(Pairs):
    """A dataset with a sample that cannot be read."""

    def __getitem__(self, index):
        if index == 7:
            raise OSError("disk error")
        return super().__getitem__(index)


REFUSED = {
    "damaged": (lambda: Task(Damaged(), Pairs(), linear()),
                "train must return each of its samples, got OSError: disk error in row 7"),
    "a stream": (lambda: Task(Stream(), Pairs(), linear()), "got an iterable dataset, Stream"),
    "splits": (lambda: Task(hugging_face("train"), Pairs(), linear()), "give one of its values"),
    "a model": (lambda: Task(Pairs(), Pairs(), nn.Linear(4, 2)), "must be a function that returns"),
    "strings": (lambda: Task((X, ["a"] * 60), (X, Y), linear()), "number the classes 0, 1"),
    "a gap": (lambda: Task((X, Y * 2), (X, Y), linear()), "got none of 1: number the classes"),
    "one class": (lambda: Task((X, Y * 0), (X, Y), linear()), "two classes, got only 0"),
    "nan": (lambda: Task((X / 0, Y), (X, Y), linear()), "train: x must be finite, got nan or inf"),
    "shapes": (lambda: Task((X, Y), (X, Y), linear(), embeddings=lambda: np.eye(3)),
               "embeddings must have the length of train, 60, got 3"),
    "a vector": (lambda: Task((X, Y), (X, Y), linear(), embeddings=np.ones(60)), "shape .N, D."),
    "one of each": (lambda: Task((X[:2], [0, 1]), (X, Y), linear()), "two samples of some class"),
    "a name": (lambda: Task((X, Y), (X, Y), linear(), name="a/b"), "without separators, got 'a/b'"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_tasks_that_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        data_of(make()).embeddings()
