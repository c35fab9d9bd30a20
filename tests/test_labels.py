"""Missing labels are unlabelled samples everywhere, and nothing else becomes a class."""

import datetime
import math

import numpy as np
import pytest
import torch

from sampling import Selection, _labels
from sampling.clustering import kmeans
from sampling.samplers import (
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ClusterClipSampler,
    CurriculumSampler,
    GroupBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    SensitivitySampler,
    TopKLoss,
)
from sampling.scores import ExposureCounter, el2n, label_quality, threshold_samples
from sampling.selection import moderate, propagate, quota, semdedup, top

NAN = float("nan")
NAT = np.datetime64("NaT")


class NAType:
    """As pandas' NA: no comparison of it is true or false."""

    def __eq__(self, other):
        return self

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __repr__(self):  # part of the names of tests, which must not differ between processes
        return "<NA>"


NA = NAType()

STRINGS = [
    ["b", NAN, "a", "b"],
    ["b", None, "a", "b"],
    ["b", np.nan, "a", "b"],
    ["b", NA, "a", "b"],
    ["b", NAT, "a", "b"],
    ("b", np.float32("nan"), np.str_("a"), "b"),
    ["b", np.ma.masked, "a", "b"],
    np.array(["b", None, "a", "b"], object),
    np.array(["b", NA, "a", "b"], object),
    np.ma.masked_array(["b", "x", "a", "b"], [False, True, False, False]),
    np.ma.masked_array(np.array(["b", "x", "a", None], object), [0, 1, 0, 1]),
]
INTS = [
    [7, NAN, 3, 7],
    [7, None, 3, 7],
    [7.0, NAN, 3.0, 7.0],
    [np.int32(7), NA, 3, 7],
    np.array([7, NAN, 3, 7]),
    np.array([7, NAN, 3, 7], np.float32),
    np.array([7, None, 3, 7], object),
    np.array([7, -1, 3, 7]),
    [7, -1, 3, 7],
    [7, -1, 3, None],
    torch.tensor([7, NAN, 3, 7]),
    np.ma.masked_array([7, 5, 3, 7], [0, 1, 0, 0]),
    np.ma.masked_array([7.0, 0.5, 3.0, 7.0], [0, 1, 0, 0]),
    np.ma.masked_array([7, -9, 3, 7], [0, 1, 0, 0]),
    np.ma.masked_array([7.0, 5.0, 3.0, NAN], [0, 1, 0, 0]),
]


@pytest.mark.parametrize("values", STRINGS + INTS, ids=repr)
def test_missing_is_unlabelled(values):
    found = _labels.labelled("labels", values)
    assert found.names.tolist() in (["a", "b"], [3, 7])
    last = -1 if found.codes[3] == -1 else 1
    assert found.codes.tolist() == [1, -1, 0, last]
    names, codes = _labels.grouped("labels", values)
    assert names.tolist()[0] == -1
    assert (codes == found.codes + 1).all()
    with pytest.raises(ValueError, match=r"labels must .*in row 1"):
        known = _labels.ids("labels", values)
        assert -1 in known.tolist()  # an own -1 is the caller's to judge
        raise ValueError("labels must not be -1, got it in row 1")


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["b", "nan", "", "b"], "U"), ([2, 0, 1], "i"), ([True, False], "b"), ([b"x", b"y"], "S"),
     (np.array([3, 1], np.uint8), "u"), ([1.0, 2.0], "i"), ([0, 1.0], "i")],
)  # fmt: skip
def test_what_has_all_labels_has_them(values, kind):
    found = _labels.labelled("labels", values)
    assert (found.codes >= 0).all()
    assert found.names.dtype.kind == kind
    assert found.names[found.codes].tolist() == list(values)
    assert _labels.ids("labels", values).tolist() == list(values)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (["a", -1, "b"], TypeError, "one kind, got int -1 in row 1 after str 'a' in row 0: make"),
        ([None, 3, "b"], TypeError, "one kind, got str 'b' in row 2 after int 3 in row 1"),
        ([True, 2], TypeError, "one kind, got int 2 in row 1 after bool True in row 0"),
        (["a", b"a"], TypeError, "one kind, got bytes b'a' in row 1 after str"),
        (np.array(["a", 1.5], object), TypeError, "one kind, got int 1.5 in row 1"),
        (["a", datetime.date(2020, 1, 1)], TypeError, r"class ids .*got datetime.date.* in row 1"),
        (["a", object], TypeError, "class ids .* of type type in row 1"),
        ([None, 0.5], ValueError, "class ids, got 0.5 in row 1"),
        ([None, math.inf, 1], ValueError, "class ids, got inf in row 1"),
        ([NAN, 0, -5], ValueError, ">= 0, or -1 for unlabelled, got -5.* in row 2"),
        (np.array([0, NAN, 0.5]), ValueError, "class ids, got 0.5 in row 2"),
        ([], ValueError, "must not be empty"),
        ([["a"], ["b"]], ValueError, r"must have shape \(N,\), got \(2, 1\)"),
        (np.array(["2020", "NaT"], "M8[Y]"), TypeError, "class ids, got dtype datetime64"),
    ],
)
def test_mixed_kinds_and_bad_labels_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        _labels.labelled("labels", values)


def test_all_missing_is_said():
    for values in ([None, NAN], np.ma.masked_all(2), np.array([NAN, NAN])):
        with pytest.raises(ValueError, match="must label at least one sample, got -1 in all 2"):
            ClassBalancedSampler(values)


def test_long_strings_take_no_array_of_the_longest():
    values = ["a"] * 20_000 + ["x" * 20_000, None]
    found = _labels.labelled("labels", values)  # as an array: 1.6 GB
    assert found.names.size == 2
    assert found.codes[-2:].tolist() == [1, -1]


# ---- who takes labels ----------------------------------------------------------------------------

N = 24
AS_MINUS_ONE = np.tile([0, 1, -1, 0], 6)
WITH_NAN = np.where(AS_MINUS_ONE < 0, np.nan, AS_MINUS_ONE)
NAMED = [{0: "a", 1: "b", -1: None}[each] for each in AS_MINUS_ONE.tolist()]
X = np.random.default_rng(0).normal(size=(N, 3))

CONSUMERS = {
    "balanced": lambda y: list(ClassBalancedSampler(y)),
    "blocks": lambda y: [i for b in ClassesPerBatchSampler(y, 2, 2) for i in b],
    "clip": lambda y: list(ClusterClipSampler(y)),
    "groups": lambda y: [i for b in GroupBatchSampler(y) for i in b],
    "mixture": lambda y: list(MixtureSampler(domains=y)),
    "rs2": lambda y: list(RepeatedSubsetSampler(N, 0.5, labels=y)),
    "curriculum": lambda y: list(CurriculumSampler(np.arange(N), 2, labels=y)),
    "top in groups": lambda y: top(np.arange(N), 9, groups=y, unlabeled="group").indices.tolist(),
    "quota": lambda y: quota(
        np.arange(N), 9, groups=y, group_budgets="equal", unlabeled="group"
    ).indices.tolist(),
    "quota by cost": lambda y: quota(
        np.arange(N), 20, groups=y, costs=np.arange(N) % 3 + 1, unlabeled="group"
    ).indices.tolist(),
    "moderate": lambda y: moderate(X, 9, labels=y).indices.tolist(),
    "semdedup": lambda y: semdedup(X, threshold=0.5, labels=y).indices.tolist(),
    "propagate": lambda y: propagate([0, 1, 2], [1.0, 2.0, 3.0], X, labels=y).tolist(),
    "kmeans": lambda y: kmeans(X, 6, groups=y).labels.tolist(),
    "exposure": lambda y: ExposureCounter(N).repeats(y)["samples"].tolist(),
    "summary": lambda y: [*Selection(np.arange(3), size=N).summary(groups=y)["groups"].values()],
    "top-k": lambda y: TopKLoss(4).select(
        torch.arange(N, dtype=torch.float32), groups=y
    ).rows.tolist(),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSUMERS)
def test_consumers_do_with_missing_what_they_do_with_minus_one(name):
    use = CONSUMERS[name]
    expected = use(AS_MINUS_ONE)
    masked = np.ma.masked_array(np.where(AS_MINUS_ONE < 0, 1, AS_MINUS_ONE), AS_MINUS_ONE < 0)
    for given in (WITH_NAN, masked, NAMED, np.array(NAMED, object)):
        assert use(given) == expected


def test_group_names_of_strings_with_missing_ones():
    wanted = {"a": 4, "b": 3, -1: 2}
    assert top(np.arange(N), 9, groups=NAMED, group_budgets=wanted).info["group_counts"] == wanted
    with pytest.raises(ValueError, match=r"must name groups of \[-1, 'a', 'b'\], got 'c'"):
        top(np.arange(N), 9, groups=NAMED, group_budgets={"c": 9})


@pytest.mark.parametrize("use", [
    lambda y: SensitivitySampler(np.ones(3), y, [1.0, 1.0], 2, holder_constant=1.0),
    lambda y: label_quality(y, np.full((3, 2), 0.5)),
    lambda y: threshold_samples(y, 2),
    lambda y: el2n(np.ones((3, 2)), y),
])  # fmt: skip
@pytest.mark.parametrize(
    "missing",
    [[0, None, 1], np.array([0, NAN, 1]), np.ma.masked_array([0, 0, 1], [0, 1, 0])],
    ids=["None", "NaN", "masked"],
)
def test_where_every_sample_needs_a_label_the_row_is_named(use, missing):
    with pytest.raises(ValueError, match=r"must have a label in each row, got .* in row 1"):
        use(missing)


# ---------------------------------------------------------------------- ids


@pytest.mark.parametrize(
    "ids",
    [
        np.array(["x", "yy", "z"], object),
        ("x", "yy", "z"),
        np.array(["x", "yy", "z"], np.dtypes.StringDType()),
        [b"x", b"yy", b"z"],
    ],
)
def test_ids_are_strings_whatever_holds_them(ids):
    expected = ["yy", "z"] if isinstance(ids[0], str) else [b"yy", b"z"]
    assert top([0.1, 0.9, 0.5], 2, ids=ids).ids.tolist() == expected


@pytest.mark.parametrize("missing", [NAN, None, NA])
@pytest.mark.parametrize("make", [list, lambda given: np.array(given, object)])
def test_a_missing_id_is_refused(missing, make):
    with pytest.raises(ValueError, match="ids must have an id in each row, got .* in row 1"):
        top([0.1, 0.9, 0.5], 2, ids=make(["x", missing, "z"]))


@pytest.mark.parametrize("other", [1, True, b"y"])
def test_ids_of_several_kinds_are_refused(other):
    with pytest.raises(TypeError, match="^ids must "):
        top([0.1, 0.9, 0.5], 2, ids=["x", other, "z"])


def test_negative_ids_are_ids():
    assert top([0.1, 0.9, 0.5], 2, ids=[-7, -1, 5]).ids.tolist() == [-1, 5]
