"""What an import loads: each of these runs in a fresh process."""

import subprocess
import sys

import pytest

import sampling

HEAVY = ("torch", "faiss", "numba", "sklearn", "scipy", "ray", "matplotlib", "pyarrow")


def loaded_after(code):
    """Return which of the heavy packages a process has loaded after running `code`."""
    code += f"\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    warnings = ("-W", "error", "-W", "ignore:builtin type:DeprecationWarning")  # of faiss 1.12
    result = subprocess.run(
        [sys.executable, *warnings, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_sampling_loads_nothing_heavy():
    assert (
        loaded_after("import sampling; dir(sampling); sampling.Selection; sampling.Score") == set()
    )


_FIRST_BATCHES = """
import sys
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from sampling import Indexed, samplers


class WithSampler(Dataset):
    def __init__(self, size):
        self.sampler = samplers.ShuffleSampler(size)

    def __len__(self):
        return 70_000

    def __getitem__(self, index):
        drawn = self.sampler.indices(0, index, index + 1).item()
        return drawn, int("numba" in sys.modules)


def draw(data):
    made = [
        samplers.ShuffleSampler(data),
        samplers.ShuffleSampler(60_000, num_replicas=2, rank=1),
        samplers.SubsetSampler(np.arange(0, 70_000, 2)),
        samplers.RepeatedSubsetSampler(data, 0.1),
        samplers.RepeatedSubsetSampler(60_000, 0.7),
    ]
    for sampler in made:
        sampler.set_epoch(0)
        indices, x = next(iter(DataLoader(data, 256, sampler=sampler)))
        sampler.reduce(x, indices)
        sampler.weights_for(indices)
        sampler.load_state_dict(sampler.state_dict(256))
    next(iter(samplers.InfoBatchSampler(data, 30)))  # its first loss loads numba
    batches = samplers.EpochBatchSampler(made[0], 32)
    next(iter(DataLoader(data, batch_sampler=batches)))
    batches.set_epoch(1)
    batches.state_dict(0)


if __name__ == "__main__":
    draw(Indexed(torch.arange(70_000.0)))
    data = Indexed(WithSampler(60_000))  # goes to the worker, with the sampler
    loader = DataLoader(data, 4, num_workers=1, multiprocessing_context="spawn")
    indices, (drawn, numba) = next(iter(loader))
    assert drawn.tolist() == samplers.ShuffleSampler(60_000).indices(0, 0, 4).tolist()
    assert not numba.any(), "in the worker"
    print(*sys.modules)
"""


@pytest.mark.slow
def test_the_first_batches_of_a_shuffle_are_drawn_without_numba(tmp_path):
    """Nor does a spawned worker import it."""
    (tmp_path / "train.py").write_text(_FIRST_BATCHES)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & set(HEAVY) == {"torch"}


@pytest.mark.slow
def test_weighting_loads_torch_and_neither_faiss_nor_sklearn():
    loaded = loaded_after("import sampling; sampling.weighting.lin_upper")
    assert "torch" in loaded
    assert loaded & {"faiss", "sklearn", "ray", "matplotlib", "pyarrow"} == set()


def test_kernels_load_nothing_heavy_until_one_is_called():
    code = "from sampling.kernels import _draw, _groups, _permute, _prune, _scores"
    assert loaded_after(code) == set()
    code += "; import numpy; _groups.interleave(*numpy.zeros((4, 0), int))"
    loaded = loaded_after(code)
    assert "numba" in loaded
    assert loaded & {"torch", "faiss", "sklearn", "ray"} == set()


@pytest.mark.slow
def test_clustering_loads_faiss_and_not_torch():
    """So that a process that only selects never pays for torch."""
    loaded = loaded_after("from sampling import clustering; clustering.kmeans")
    assert "faiss" in loaded
    assert loaded & {"torch", "sklearn", "ray"} == set()


@pytest.mark.slow
def test_help_of_the_command_loads_nothing_heavy():
    code = (
        "from sampling.cli import main\n"
        "import sys\n"
        "sys.argv = ['sampling', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "sys.stdout.flush()\n"
        "print()\n"
    )
    result = loaded_after(code)
    assert result & {"torch", "faiss", "numba", "sklearn"} == set()


def test_packages_are_attributes():
    for name in sampling.__all__:
        assert getattr(sampling, name) is not None
    assert sampling.samplers.__name__ == "sampling.samplers"
    assert sampling.Indexed.__name__ == "Indexed"


def test_dir_lists_what_there_is():
    listed = dir(sampling)
    assert listed == sorted(listed)
    assert set(sampling.__all__) <= set(listed)
    assert "__version__" in listed


def test_all_is_sorted_and_importable_by_star():
    assert sampling.__all__ == sorted(sampling.__all__)
    names = {}
    exec("from sampling import *", names)
    assert set(sampling.__all__) <= set(names)


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="^module 'sampling' has no attribute 'nonsense'$"):
        _ = sampling.nonsense
    assert not hasattr(sampling, "_nothing")


def test_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert version("sampling") == sampling.__version__


def test_the_package_is_typed():
    from pathlib import Path

    assert (Path(sampling.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_threads_may_use_different_names_first():
    code = """if True:
        import threading, sampling
        names = [("samplers", n) for n in sampling.samplers.__all__]
        names += [("scores", n) for n in sampling.scores.__all__]
        names += [("weighting", n) for n in sampling.weighting.__all__]
        start, errors = threading.Barrier(8), []
        def use(number):
            start.wait()
            for package, name in names[number::8]:
                try:
                    getattr(getattr(sampling, package), name)
                except Exception as error:
                    errors.append(error)
        threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        assert not errors, errors
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.slow
def test_a_plan_may_be_made_while_the_interpreter_ends():
    code = """if True:
        import atexit, torch
        from sampling.samplers.core import _threads
        torch.set_num_threads(2)
        atexit.register(lambda: print(_threads.in_parts(lambda a, b: b - a, 5, 2)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[2, 2, 1]", done.stderr
