"""Tensors and arrays on a device, or of a dtype that numpy lacks, in every argument."""

import numpy as np
import pytest
import torch

from sampling import Score, Selection, _check
from sampling.samplers import ClassBalancedSampler, SubsetSampler, WeightedSampler
from sampling.selection import k_center, top

VALUES = np.arange(1.0, 13.0)


class OnGPU:
    """What CuPy has: a copy to the host that has to be asked for."""

    __cuda_array_interface__: dict = {}

    def __init__(self, array):
        self._array = np.asarray(array)
        self.shape, self.dtype, self.ndim = (
            self._array.shape,
            self._array.dtype,
            self._array.ndim,
        )

    def __len__(self):
        return len(self._array)

    def __getitem__(self, at):
        return OnGPU(self._array[at])

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def item(self):
        return self._array.item()

    def get(self):
        return self._array


class Fake:
    """What numpy cannot read, such as a tensor of tracing."""

    shape, dtype = (12,), np.dtype(float)

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no data")

    def __len__(self):
        return 12


FORMS = {
    "needs a gradient": lambda a: torch.tensor(a, requires_grad=a.dtype.kind == "f"),
    "list of tensors": lambda a: list(torch.tensor(a, requires_grad=a.dtype.kind == "f")),
    "on a GPU": OnGPU,
    "list of those": lambda a: [OnGPU(each) for each in a],
}
META = {
    "alone": lambda a: torch.tensor(a).to("meta"),
    "list": lambda a: list(torch.tensor(a).to("meta")),
}
CALLS = {
    "embeddings": lambda form: k_center(form(VALUES[:, None] ** 2), 2).indices,
    "scores": lambda form: top(form(VALUES), 2).indices,
    "values": lambda form: top(Score(form(VALUES), "harder"), 2).indices,
    "weights": lambda form: list(WeightedSampler(form(VALUES))),
    "labels": lambda form: list(ClassBalancedSampler(form(VALUES.astype(int) % 3))),
    "groups": lambda form: top(VALUES, 3, groups=form(VALUES.astype(int) % 3)).indices,
    "ids": lambda form: top(np.ones(12), 3, ids=form(VALUES.astype(int))).indices,
    "indices": lambda form: list(SubsetSampler(form(VALUES.astype(int)))),
    "already_selected": lambda form: top(VALUES, 2, already_selected=form(np.arange(2))).indices,
}


@pytest.mark.parametrize("name", CALLS)
def test_each_form_gives_what_numpy_gives(name):
    expected = list(CALLS[name](np.asarray))
    for form in FORMS.values():
        assert list(CALLS[name](form)) == expected
    for form in META.values():
        with pytest.raises(ValueError, match=f"{name} must hold values, got a tensor on the meta"):
            CALLS[name](form)


@pytest.mark.parametrize(
    "make",
    [
        torch.Tensor.bfloat16,
        lambda a: a.to(torch.float8_e4m3fn),
        lambda a: torch._neg_view(-a),
        lambda a: a.half(),
    ],
)
def test_dtypes_that_numpy_lacks_are_widened(make):
    found = _check.host(make(torch.arange(4.0)), "x")
    assert found.dtype in (np.float16, np.float32)
    assert found.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.eye(3).to_sparse(), r"sparse layout: give tensor.to_dense\(\)"),
        (Fake(), "must be what numpy can read, got a Fake: no data"),
    ],
)
def test_what_cannot_be_copied_is_refused_with_the_remedy(given, words):
    with pytest.raises((TypeError, ValueError), match=f"^embeddings .*{words}"):
        k_center(given, 1)


def test_arrays_of_jax_in_bfloat16_are_widened():
    types = pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    found = _check.host(np.arange(3).astype(types.bfloat16))
    assert found.dtype == np.float32
    assert found.tolist() == [0, 1, 2]


def test_records_hold_arrays_of_the_host():
    picked = Selection(torch.tensor([3, 1]), weights=torch.ones(2).bfloat16())
    assert isinstance(picked.indices, np.ndarray)
    assert picked.weights.dtype == np.float64
    assert isinstance(
        Score(torch.ones(3, requires_grad=True), "keep").as_higher("keep"), np.ndarray
    )
    with pytest.raises(ValueError, match="values must hold values, got a tensor on the meta"):
        Score(torch.ones(3, device="meta"), "keep")
