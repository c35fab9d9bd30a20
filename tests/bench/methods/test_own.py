"""Your own code as a method: FILE.py:NAME."""

import textwrap

import numpy as np
import pytest

from sampling import bench
from sampling.bench.methods._method import CLASSES, DRAWS, EMBEDDINGS, LOSSES, SCHEDULE, TRAINED
from sampling.bench.methods._named import EQUAL_COST, method_named
from sampling.bench.results._run import DONE, FAILED, NOT_RUN, UNREACHABLE
from sampling.bench.results._store import load_details

CODE = """
    import numpy as np
    from sampling import Selection
    from sampling.bench.methods._method import TrainingPlan
    from sampling.samplers import (
        EpochSampler, HardestSampler, RepeatedSubsetSampler, ShuffleSampler, random_key
    )
    from sampling.samplers.tables import ShuffledTable

    class FocalPruner(HardestSampler):
        '''Samples of high focal loss.'''

    class Plain(EpochSampler):
        def __init__(self, data_source, num_samples, *, labels, **options):
            self.labels = labels
            super().__init__(data_source, num_samples, **options)

        def table(self, epoch):
            return ShuffledTable(self.size, self.num_samples, random_key(self.seed, epoch, "own"))

    class Strata(RepeatedSubsetSampler):
        pass

    class NoSampler:
        pass

    def last_rows(size, budget):
        '''The last rows.'''
        return np.arange(size - budget, size)

    def easiest(aum, num_samples, entropy=0.5):
        assert entropy == 0.5  # a number with the name of a score stays
        return np.argsort(-aum.values)[:num_samples]

    def weighted(embeddings, labels, budget, seed, el2n=None, keep=0.1):
        assert embeddings.shape[0] == labels.size
        assert el2n is not None
        assert keep == 0.7
        return Selection(np.arange(budget), weights=np.linspace(1, 2, budget))

    def twice(context, losses, num_epochs, batch_size):
        first = losses(np.arange(context.size))
        sampler = ShuffleSampler(context.size, context.draws, seed=context.seed)
        setting = {"mean": float(first.mean())}
        return TrainingPlan(lambda epoch: sampler, num_epochs, setting=setting)

    def by_file(data_source, /, *, clusters, probabilities):
        assert len(clusters.labels) == data_source == len(probabilities)
        return list(range(3))

    def broken(size):
        raise KeyError("lost")

    def far(size):
        return [size]

    def nothing(size):
        return []

    def word(size):
        return "all"

    def mask(size):
        return np.ones(size, bool)

    def wants_more(size, temprature, budget):
        return [0]

    def optional(size, temperature=2.0, *rest, **more):
        assert more == {}
        return range(5)

    number = 3
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(CODE))
    return lambda name: f"{path}:{name}"


@pytest.mark.slow
def test_classes_and_functions_run_at_the_budget(mine, runs_of, tmp_path):
    names = [mine(name) for name in ("FocalPruner", "Plain", "Strata", "last_rows", "easiest",
                                     "weighted", "twice", "by_file", "optional")]  # fmt: skip
    runs = runs_of(names, keep=0.7)
    for name in names:
        assert runs[name].state == DONE, runs[name].reason
        if not name.endswith(("by_file", "optional")):
            assert runs[name].cost == pytest.approx(0.7, abs=0.01), name
    counts = load_details(tmp_path / "out", runs[mine("last_rows")])["counts"]
    assert np.flatnonzero(counts).tolist() == list(range(27, 90))
    assert runs[mine("twice")].scored == 90
    assert runs[mine("twice")].setting["mean"] > 0
    assert runs[mine("easiest")].piloted == 4 * 90
    assert runs[mine("by_file")].piloted == 2 * 4 * 90  # of three folds
    assert runs[mine("by_file")].draws == 4 * 3


def test_what_is_wrong_fails_that_run_alone(mine, runs_of):
    names = [mine(name) for name in ("broken", "far", "nothing", "word", "mask")]
    runs = runs_of([*names, "rs2"])
    reasons = {name.rpartition(":")[2]: runs[name].reason for name in names}
    assert {runs[name].state for name in names} == {FAILED}
    assert runs["rs2"].state == DONE
    assert "KeyError" in reasons["broken"]
    assert "(mine.py, line" in reasons["broken"]
    assert "must draw indices in [0, 90), the training samples, got 90" in reasons["far"]
    assert "nothing must not be empty, got length 0" in reasons["nothing"]
    assert "must return an EpochSampler, a Selection, an array" in reasons["word"]
    assert "indices" in reasons["mask"]


def test_what_cannot_be_called_is_refused_before_any_work(mine, tmp_path):
    for name, message in {
        mine("wants_more"): "only parameters that the benchmark can fill, got 'temprature'",
        mine("NoSampler"): "must be a class derived from sampling.samplers.EpochSampler, or a fun",
        mine("number"): "must be a class derived from .*, got 3",
        mine("last_row"): "got 'last_row': did you mean 'last_rows'",
        str(tmp_path / "mine.py"): "name a class or function of a file, got .*write .*mine.py:NAME",
        str(tmp_path / "other.py") + ":f": "other.py must exist",
    }.items():
        with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
            bench.Settings(methods=("full", name))


def test_levels_and_needs_follow_from_the_signature(mine):
    facts = {
        "FocalPruner": (LOSSES, ()),
        "Plain": (DRAWS, (CLASSES,)),
        "last_rows": (LOSSES, ()),
        "easiest": (LOSSES, (CLASSES, TRAINED)),
        "twice": (SCHEDULE, ()),
        "weighted": (LOSSES, (EMBEDDINGS, CLASSES)),
    }
    for name, (level, needs) in facts.items():
        found = method_named(mine(name))
        assert (found.level, found.needs) == (level, needs), name
        assert found.scores
    assert method_named(mine("FocalPruner")).help == "Samples of high focal loss"
    settings = bench.Settings(methods=(mine("last_rows"),))
    assert EQUAL_COST + mine("last_rows") in settings.all_methods


def test_what_the_data_lack_is_said_in_the_row(mine, runs_of, task):
    rows = [(np.float32([i % 2, 1.0]), i % 2) for i in range(32)]
    data = bench.Task(rows, rows, task().model, epochs=2, batch_size=8)
    (run,) = runs_of((mine("weighted"),), data=data).values()
    assert (run.state, run.reason) == (NOT_RUN, "needs embeddings: give `embeddings` to the task")


def test_a_cost_that_a_class_cannot_have_is_unreachable(tmp_path, runs_of):
    path = tmp_path / "late.py"
    path.write_text("from sampling.samplers import LateStoppingSampler as Late\n")
    (run,) = runs_of((f"{path}:Late",)).values()
    assert run.state == UNREACHABLE
    assert "unreachable" in run.reason


@pytest.mark.full
def test_it_runs_in_other_processes(mine, tmp_path):
    path = tmp_path / "my_task.py"
    path.write_text(
        textwrap.dedent("""
        import numpy as np
        from torch import nn
        from sampling import bench

        def make():
            x = np.arange(80, dtype=np.float32).reshape(40, 2)
            y = np.arange(40) % 2
            return bench.Task((x, y), (x, y), lambda: nn.Linear(2, 2), epochs=2, batch_size=8)
    """)
    )
    names = (mine("last_rows"), mine("Plain"))
    settings = bench.Settings(
        f"{path}:make", methods=names, keep=(0.5,), seeds=1, jobs=2, device="cpu",
        without=(EQUAL_COST,), out=tmp_path / "out",
    )  # fmt: skip
    runs = {run.method: run for run in bench.prepare(settings).run(progress=False).runs}
    assert {runs[name].state for name in names} == {DONE}, [runs[name].reason for name in names]
