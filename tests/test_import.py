"""What an import loads: each of these runs in a fresh process."""

import subprocess
import sys

import pytest

import sampling

HEAVY = ("torch", "faiss", "numba", "sklearn", "scipy", "ray", "matplotlib", "pyarrow")


def loaded_after(code):
    """Return which of the heavy packages a process has loaded after running `code`."""
    code += f"\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_sampling_loads_nothing_heavy():
    assert (
        loaded_after("import sampling; dir(sampling); sampling.Selection; sampling.Score") == set()
    )


@pytest.mark.slow
def test_samplers_load_torch_and_neither_faiss_nor_sklearn():
    code = (
        "import sampling\n"
        "assert len(sampling.samplers.ShuffleSampler(10)) == 10\n"
        "assert sampling.Indexed([3])[0] == (0, 3)\n"
    )
    loaded = loaded_after(code)
    assert "torch" in loaded
    assert loaded & {"faiss", "sklearn", "ray", "matplotlib", "pyarrow"} == set()


@pytest.mark.slow
def test_weighting_loads_torch_and_neither_faiss_nor_sklearn():
    loaded = loaded_after("import sampling; sampling.weighting.lin_upper")
    assert "torch" in loaded
    assert loaded & {"faiss", "sklearn", "ray", "matplotlib", "pyarrow"} == set()


@pytest.mark.slow
def test_kernels_load_numba_and_not_torch():
    code = "from sampling.kernels import _draw, _groups, _permute, _prune, _scores"
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
