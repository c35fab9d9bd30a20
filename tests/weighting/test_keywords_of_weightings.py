"""`reduce` gives a weighting the keywords that its signature names, and nothing before it may."""

import functools
import gc
import weakref

import numpy as np
import pytest
import torch

from sampling.bench.script._watch import _product
from sampling.samplers import EpochBatchSampler, InfoBatchSampler, KakurenboSampler, ShuffleSampler
from sampling.weighting import (
    ClassWeights,
    CurriculumWeights,
    GroupWeights,
    _keywords,
    group_dro,
    lin_upper,
)

N = 6
LOSSES = torch.tensor([0.5, 2.0, 0.25, 4.0, 1.0, 0.75])
ROWS = list(range(N))
GIVEN = {
    "logits": torch.zeros(N, 3),
    "labels": torch.tensor([0, 1, 2, 0, 1, 2]),
    "groups": np.array([0, 0, 1, 1, 1, 0]),
}


def ones(losses, got, seen):
    got.append(sorted(seen))
    return torch.ones_like(losses)


def forms(got):
    """name -> (a weighting, the keywords that it must get when everything is given)."""

    class Object:
        def __call__(self, losses, *, labels, indices=None):
            return ones(losses, got, {"labels", "indices"})

        def method(self, losses, logits):
            return ones(losses, got, {"logits"})

        @classmethod
        def of_class(cls, losses, groups=None):
            assert groups is not None
            return ones(losses, got, {"groups"})

    class Network(torch.nn.Module):
        def forward(self, losses, groups):
            return ones(losses, got, {"groups"})

    def every(losses, **given):
        return ones(losses, got, given)

    def starred(*losses, labels):
        return ones(losses[0], got, {"labels"})

    def bound(losses, groups, temperature, labels=None):
        assert groups == "mine"  # what was bound is not replaced
        return ones(losses, got, {"labels"} if labels is not None else ())

    @functools.wraps(starred)
    def wrapped(*args, **kwargs):
        return starred(*args, **kwargs)

    def second(model, losses, labels):
        assert model == "model"
        return ones(losses, got, {"labels"})

    return {
        "old": (lambda losses, *, indices: ones(losses, got, {"indices"}), ["indices"]),
        "only losses": (lambda losses: ones(losses, got, ()), []),
        "object": (Object(), ["indices", "labels"]),
        "method": (Object().method, ["logits"]),
        "class method": (Object.of_class, ["groups"]),
        "module": (Network(), ["groups"]),
        "every": (every, sorted([*GIVEN, "indices"])),
        "starred": (starred, ["labels"]),
        "wrapped": (wrapped, ["labels"]),
        "partial": (functools.partial(bound, groups="mine", temperature=1.0), ["labels"]),
        "partial of all": (functools.partial(every, groups=None), sorted([*GIVEN, "indices"])),
        "partial by position": (functools.partial(second, "model"), ["labels"]),
        "cached": (functools.lru_cache(lambda losses, labels: ones(losses, got, {"labels"})), None),
    }


@pytest.mark.parametrize("name", forms([]))
def test_a_weighting_gets_what_its_signature_names(name):
    got = []
    function, expected = forms(got)[name]
    for sampler in (ShuffleSampler(N), EpochBatchSampler(ShuffleSampler(N), 3)):
        sampler.reduce(LOSSES, ROWS, weighting=function, **GIVEN)
    assert got[0] == (["labels"] if expected is None else expected)
    other = []
    if "every" in name or name == "partial of all":
        ShuffleSampler(N).reduce(LOSSES, ROWS, weighting=forms(other)[name][0])
        assert "labels" not in other[0]  # what was not given is not passed as None


def refused(name, function, given, error, match):
    sampler = InfoBatchSampler(N, num_epochs=3)
    sampler.set_epoch(0)
    with pytest.raises(error, match=match):
        sampler.reduce(LOSSES, ROWS, weighting=function, **given)
    assert np.isnan(sampler.scores).all()  # nothing was recorded


@pytest.mark.parametrize("name", ["labels", "logits", "groups"])
def test_a_required_keyword_that_is_not_given_raises_before_anything_is_recorded(name):
    called = []
    spaces = {}
    exec(
        f"def needs(losses, *, {name}, indices=None): called.append(1)", {"called": called}, spaces
    )
    rest = {key: value for key, value in GIVEN.items() if key != name}
    rule = f"^{name} must be given for weighting=needs, which requires them, got None: pass {name}="
    refused(name, spaces["needs"], rest, ValueError, rule)
    refused(name, functools.partial(spaces["needs"]), rest, ValueError, rule)
    both = _product(spaces["needs"], lambda losses: called.append(2))  # as `sampling bench` has it
    refused(name, both, rest, ValueError, rule)
    assert not called


def test_a_required_parameter_of_another_name_is_refused_with_the_remedy():
    for function in (lambda losses, alpha: losses, lambda losses, idx, /: losses):
        refused("", function, GIVEN, TypeError, "with the required parameter '.*': bind it with")


def test_functions_of_the_package_get_groups_and_keep_what_is_bound():
    state = GroupWeights(2)
    sampler = ShuffleSampler(N)
    found = sampler.reduce(LOSSES, ROWS, groups=GIVEN["groups"], weighting=functools.partial(
        group_dro, state=state, step_size=1.0
    ))  # fmt: skip
    weights = group_dro(LOSSES, groups=GIVEN["groups"], state=GroupWeights(2), step_size=1.0)
    torch.testing.assert_close(found, (weights * LOSSES).mean())
    plain = sampler.reduce(LOSSES, ROWS, weighting=lin_upper)
    torch.testing.assert_close(sampler.reduce(LOSSES, ROWS, weighting=lin_upper, **GIVEN), plain)


def test_objects_of_the_package_are_read_by_their_call_and_not_by_their_constructor():
    sampler = ShuffleSampler(N)
    curriculum = CurriculumWeights(np.linspace(0, 1, N), 4)
    for given in ({}, GIVEN):
        found = sampler.reduce(LOSSES, ROWS, weighting=curriculum, **given)
        torch.testing.assert_close(found, (curriculum(LOSSES, indices=ROWS) * LOSSES).mean())
    classes = ClassWeights([3, 2, 1])
    found = sampler.reduce(LOSSES, ROWS, labels=GIVEN["labels"], weighting=classes)
    expected = (classes(LOSSES, labels=GIVEN["labels"]) * LOSSES).mean()
    torch.testing.assert_close(found, expected)
    refused("labels", classes, {}, ValueError, "^labels must be given for weighting=ClassWeights")


def test_what_a_sampler_reads_and_a_weighting_needs_come_from_one_call():
    sampler = KakurenboSampler(N, num_epochs=3)
    sampler.set_epoch(0)
    seen = []

    def by_label(losses, labels, logits):
        seen.append((labels, logits))
        return torch.ones_like(losses)

    sampler.reduce(LOSSES, ROWS, weighting=by_label, **GIVEN)
    assert seen[0][0] is GIVEN["labels"]
    assert seen[0][1] is GIVEN["logits"]


def test_a_sampler_of_your_own_receives_groups_too():
    seen = []

    class Grouped(ShuffleSampler):
        def signals(self, batch):
            seen.append(batch.groups)
            return super().signals(batch)

    for sampler in (Grouped(N), EpochBatchSampler(Grouped(N), 3)):
        sampler.reduce(LOSSES, ROWS, groups=GIVEN["groups"])
        sampler.record(ROWS, LOSSES, groups=GIVEN["groups"])
        sampler.record(ROWS, LOSSES)
    assert [each is GIVEN["groups"] for each in seen] == [True, True, False] * 2


def test_a_signature_is_read_once_and_the_function_is_not_kept_alive(monkeypatch):
    read = []
    real = _keywords._read
    monkeypatch.setattr(_keywords, "_read", lambda function: read.append(1) or real(function))

    class Step:
        def weighting(self, losses, indices=None):
            return torch.ones_like(losses)

    def plain(losses, labels):
        return torch.ones_like(losses)

    def use():
        ShuffleSampler(N).reduce(LOSSES, ROWS, weighting=Step().weighting, **GIVEN)
        ShuffleSampler(N).reduce(LOSSES, ROWS, weighting=functools.partial(plain), **GIVEN)  # noqa: F821

    use()
    use()
    assert len(read) == 2
    watched = weakref.ref(plain)
    del plain, use
    gc.collect()
    assert watched() is None


def test_a_name_is_no_weighting():
    with pytest.raises(TypeError, match=r"weighting must be a function .*, got 'balanced'"):
        ShuffleSampler(4).reduce(torch.ones(2), [0, 1], weighting="balanced")
