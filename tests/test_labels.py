"""Missing labels are unlabelled samples everywhere, and nothing else becomes a class."""

import datetime
import enum
import math
import tracemalloc
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sampling import Indexed, Selection
from sampling._check import _labels
from sampling.batch_selection import TopKLoss
from sampling.clustering import kmeans
from sampling.io import open_table
from sampling.record._selection_files import _fingerprint
from sampling.record.keys import keys_for
from sampling.samplers import (
    ClassBalancedSampler,
    ClassesPerBatchSampler,
    ClusterClipSampler,
    CurriculumSampler,
    GroupBatchSampler,
    MixtureSampler,
    RepeatedSubsetSampler,
    RepeatFactorSampler,
    SensitivitySampler,
    WeightedSampler,
)
from sampling.scores import ExposureCounter, el2n, label_quality, threshold_samples
from sampling.selection import (
    SelectionPlan,
    Stage,
    moderate,
    propagate,
    quota,
    select_from,
    semdedup,
    top,
)

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


def test_long_strings_take_no_array_of_the_longest(tmp_path):
    """5,000 keys, one of 40,000 characters: 0.8 GB at the width of the longest."""
    keys = [f"{i:08}" for i in range(5_000)]
    keys[7] = "x" * 40_000
    pq.write_table(pa.table({"key": keys, "score": np.arange(5_000)}), tmp_path / "rows.parquet")
    stages = [Stage("top", 0.5, columns={"scores": "score"})]
    plan = SelectionPlan(tmp_path / "rows.parquet", stages, ids="key", max_memory="256MiB")
    uses = [
        *(partial(GroupBatchSampler, make(keys)) for make in (list, pa.array)),
        lambda: top(np.arange(5_000), 2_500, ids=keys).save(tmp_path / "top.parquet"),
        lambda: Selection.load(tmp_path / "top.parquet"),
        lambda: plan.run(tmp_path / "work"),
    ]
    for use in uses:
        tracemalloc.start()
        use()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 60e6
    assert Selection.load(tmp_path / "top.parquet").ids[-1] == keys[2_500]


# ---- what holds labels ---------------------------------------------------------------------------

BIG = 2**60 + 1  # which no float holds


def tables(values, kind):
    """The same values, one of them missing, in everything that a table is read into."""
    pd = pytest.importorskip("pandas")
    hf = pytest.importorskip("datasets")
    word = kind is str
    yield pd.Series(values, dtype="string" if word else "Int64", index=range(9, 9 + len(values)))
    yield pd.Series(values, dtype="string[pyarrow]" if word else "int64[pyarrow]")
    yield pd.Series(values, dtype=object)
    yield pd.Series(values, dtype="string" if word else "Int64").astype("category")
    yield pd.Categorical(values) if word else pd.array(values, dtype="Int64")
    yield pa.array(values)
    yield pa.chunked_array([values[:1], values[1:]])
    yield pa.array(values).dictionary_encode()
    yield pa.chunked_array(
        [pa.array(each).dictionary_encode() for each in (values[:2], values[2:])]
    )
    yield hf.Dataset.from_dict({"label": values})["label"]
    if word:
        views = [pa.large_string(), *([pa.string_view()] if hasattr(pa, "string_view") else [])]
        yield from (pa.array(values, kind) for kind in views)
        yield pd.Series(values, dtype=pd.CategoricalDtype(["z", "b", "a"]))  # z does not occur


@pytest.mark.parametrize("values", [["b", None, "a", "b"], [BIG, None, BIG - 1, BIG]], ids=repr)
def test_tables_hold_labels(values):
    for given in tables(values, type(values[0])):
        found = _labels.labelled("labels", given)
        assert found.names.tolist() == sorted({values[0], values[2]})
        assert found.codes.tolist() == [1, -1, 0, 1]
        with pytest.raises(ValueError, match="ids must have an id in each row, got .* in row 1"):
            top(np.arange(4), 2, ids=given)
    whole = ["b", "a", "z"] if isinstance(values[0], str) else [BIG, BIG - 1, 5]
    for given in tables(whole, type(values[0])):
        assert top([3, 2, 1], 2, ids=given).ids.tolist() == whole[:2]


def test_polars_columns():
    pl = pytest.importorskip("polars")
    for given in (
        pl.Series(["b", None, "a", "b"]),
        pl.Series(["b", None, "a", "b"], dtype=pl.Categorical),
        pl.Series([3, None, 2, 3]),
    ):
        assert _labels.labelled("labels", given).codes.tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize(("given", "error", "message"), [
    (pa.array([[1], [2]]), TypeError, "labels must hold class ids, got Arrow's list<item: int64>"),
    (pa.table({"a": [1]}), TypeError, r"must be one column, got a Table: .*table\['a'\]"),
    (pa.array([1, -5]), ValueError, "got -5 in row 1"),
    (pa.array([], pa.string()), ValueError, "must not be empty"),
    ((i for i in [1]), TypeError, "got a generator: give a list of it"),
    ({"a": 1}, TypeError, "got a dict: give its values"),
])  # fmt: skip
def test_what_holds_no_labels_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        _labels.labelled("labels", given)


def test_all_missing_in_an_arrow_column_is_said():
    with pytest.raises(ValueError, match="must label at least one sample, got -1 in all 3"):
        ClassBalancedSampler(pa.nulls(3))


class Unread(torch.utils.data.Dataset):
    """A dataset of which no sample may be read."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise AssertionError("a sample was read")


class WithTargets(Unread):
    targets = (0, 1, 0, 1)


@pytest.mark.parametrize(("given", "remedy"), [
    (Unread(), r"got a Unread: .*\[label for _, label in dataset\]"),
    (WithTargets(), "got a WithTargets: give its `targets`"),
    (Indexed(WithTargets()), "got a Indexed: give its `targets`"),
    (torch.utils.data.Subset(WithTargets(), [1]), r"\[subset.dataset.targets\[i\] for i"),
    (torch.utils.data.TensorDataset(torch.zeros(4)), r"dataset.tensors\[1\]"),
    ([(torch.zeros(2), 1)], "a list of samples"),
    ([{"image": 0, "label": 1}], r"a list of samples: .*each\['label'\]"),
    (kmeans(np.eye(4), 2), "got a Clustering: give "),
    (top([1.0, 2.0], 1), "got a Selection: give "),
])  # fmt: skip
@pytest.mark.parametrize("use", [
    ClassBalancedSampler,
    WeightedSampler,
    lambda y: RepeatedSubsetSampler(4, 0.5, labels=y),
    lambda y: top(y, 1),
    lambda y: top(np.arange(4), 1, ids=y),
    lambda y: top(np.arange(4), 1, already_selected=y),
    lambda y: moderate(y, 1),
    lambda y: RepeatFactorSampler(y, 0.5),
    lambda y: el2n(np.ones((4, 2)), y),
])  # fmt: skip
def test_a_dataset_is_refused_before_a_sample_is_read(use, given, remedy):
    with pytest.raises(TypeError, match=rf"must be an array or a list of values, .*{remedy}"):
        use(given)


def test_a_column_of_images_is_refused_unread_and_says_which_are_labels():
    hf = pytest.importorskip("datasets")
    features = hf.Features({"image": hf.Image(), "label": hf.ClassLabel(names=["a", "b"])})
    rows = hf.Dataset.from_dict({"image": [None] * 3, "label": [1, 0, 1]}, features)
    with pytest.raises(TypeError, match=r"got a Dataset: .*dataset\['label'\]"):
        ClassBalancedSampler(rows)
    with pytest.raises(TypeError, match="got a Column of Image: its samples are not read"):
        ClassBalancedSampler(rows["image"])
    assert ClassBalancedSampler(rows["label"]).classes.tolist() == [0, 1]


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
    column = pa.array(NAMED)
    coded = pa.chunked_array([column[:5].dictionary_encode(), column[5:].dictionary_encode()])
    for given in (WITH_NAN, masked, NAMED, np.array(NAMED, object), column, coded):
        assert use(given) == expected


def test_group_names_of_strings_with_missing_ones():
    wanted = {"a": 4, "b": 3, -1: 2}
    for key in (-1, None, NAN, NA, np.float32("nan")):  # None, NaN and NA name the unlabelled too
        given = {"a": 4, "b": 3, key: 2}
        found = top(np.arange(N), 9, groups=NAMED, group_budgets=given, unlabeled="group")
        assert found.info["group_counts"] == wanted
    with pytest.raises(ValueError, match=r"must name groups of \[-1, 'a', 'b'\], got 'c'"):
        top(np.arange(N), 9, groups=NAMED, group_budgets={"c": 9}, unlabeled="group")
    with pytest.raises(ValueError, match="must name each of the groups once, got -1 again"):
        top(np.arange(N), 9, groups=NAMED, group_budgets={-1: 4, None: 5}, unlabeled="group")
    balanced = ClassBalancedSampler(NAMED, target={"a": 1, "b": 1, None: 2}, unlabeled="group")
    assert balanced.shares(0).tolist() == [0.5, 0.25, 0.25]


def test_rows_without_a_group_are_refused_or_grouped_or_dropped():
    values, rows = np.arange(N), np.flatnonzero(AS_MINUS_ONE < 0)
    for use in (top, partial(quota, costs=np.ones(N, int))):
        with pytest.raises(
            ValueError,
            match=r"groups must have a name in each row, got None in "
            r"row 2 \(6 such rows\): .*unlabeled='group' or unlabeled='drop'",
        ):
            use(values, 9, groups=NAMED)  # fmt: skip
        assert -1 in AS_MINUS_ONE[use(values, 9, groups=NAMED, unlabeled="group").indices]
        for given in (NAMED, AS_MINUS_ONE):
            found = use(values, 18, groups=given, unlabeled="drop")
            assert sorted(found.indices) == sorted(set(range(N)) - set(rows.tolist()))
            assert found.explain(2).rule == "in no group"
            assert found.explain(2).rank is None
    with pytest.raises(ValueError, match="groups must name a group for at least one row"):
        top(values, 9, groups=[None] * N, unlabeled="drop")
    with pytest.raises(ValueError, match="unlabeled must be one of 'raise', 'group', 'drop', got"):
        top(values, 9, groups=NAMED, unlabeled="omit")


@pytest.mark.parametrize("make", [
    ClassBalancedSampler,
    ClusterClipSampler,
    GroupBatchSampler,
    lambda y, **more: ClassesPerBatchSampler(y, 2, 2, **more),
    lambda y, **more: MixtureSampler(domains=y, **more),
])  # fmt: skip
def test_samplers_leave_out_what_has_no_group_or_group_it_or_refuse_it(make):
    def drawn(**more):
        return {
            i for each in make(NAMED, **more) for i in (each if isinstance(each, list) else [each])
        }

    rows = set(np.flatnonzero(AS_MINUS_ONE < 0).tolist())
    assert not drawn() & rows
    assert drawn(unlabeled="group") & rows
    with pytest.raises(
        ValueError, match=r"must be given for each sample, got none in row 2 \(6 su"
    ):
        drawn(unlabeled="raise")


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
        *([np.array(["x", "yy", "z"], "T")] if hasattr(np.dtypes, "StringDType") else []),
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


# ---- columns of files ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.array, lambda values: pa.array(values).dictionary_encode()])
def test_groups_of_a_table_may_be_null(tmp_path, kind):
    path = tmp_path / "rows.parquet"
    held = {
        "score": np.arange(N),
        "group": kind(NAMED),
        "number": pa.array(WITH_NAN, from_pandas=True),
    }
    pq.write_table(pa.table(held), path, row_group_size=7)
    table = open_table(path)
    for column in ("group", "number"):
        columns = {"scores": "score", "groups": column}
        with pytest.raises(ValueError, match="groups must have a name in each row, got .*row 2"):
            select_from(table, "top", 9, columns=columns)
        grouped = select_from(table, "top", 9, columns=columns, settings={"unlabeled": "group"})
        expected = top(np.arange(N), 9, groups=NAMED, unlabeled="group")
        assert grouped.indices.tolist() == expected.indices.tolist()
        stage = Stage("top", 9, columns=columns, settings={"unlabeled": "drop"})
        found = SelectionPlan(path, [stage]).run(tmp_path / column)
        assert not set(found.indices) & set(np.flatnonzero(AS_MINUS_ONE < 0))
        assert found.explain(2).rule == "top: in no group"
        few = table.take(np.array([2, 0]))
        assert _labels.labelled("groups", few.labels(column)).codes.tolist() == [-1, 0]


def test_the_key_of_a_name_depends_on_the_name_alone():
    short, long = ["a", "b" * 8, "c" * 9], ["d" * 999]
    alone = keys_for(3, np.array(short), 3)
    assert keys_for(3, np.array([*short, *long]), 4)[:3].tolist() == alone.tolist()
    assert keys_for(3, np.array([*long, *short], object), 4)[1:].tolist() == alone.tolist()
    assert keys_for(3, np.array([each.encode() for each in short]), 3).tolist() == alone.tolist()


def test_long_ids_are_fingerprinted_by_what_they_say(tmp_path):
    words = ["a" * 60, "b", "c"]
    one, same, other = (
        _fingerprint({}, {"id": np.array(each, object)})
        for each in (
            words,
            ["a" * 59 + each[-1:] for each in words[:1]] + words[1:],
            ["a", "b", "c"],
        )
    )
    assert one == same != other
    top([3, 2, 1], 2, ids=words).save(tmp_path / "top.parquet")
    assert Selection.load(tmp_path / "top.parquet").ids.tolist() == words[:2]


class Split(str, enum.Enum):
    TRAIN, VAL = "train", "val"


def test_names_that_end_in_nul_keep_it(tmp_path):
    ids = [bytes([row] * 15 + [0]) for row in range(4)]
    found = top(np.arange(4.0), 2, ids=ids)
    assert found.ids.tolist() == [ids[3], ids[2]]
    found.save(tmp_path / "top.parquet")
    assert Selection.load(tmp_path / "top.parquet").ids.tolist() == [ids[3], ids[2]]
    words = ["a\0\0", "a\0", "a"]
    assert top([3, 2, 1], 3, ids=words).ids.tolist() == words
    assert ClassBalancedSampler(["a\0", "a", "a\0"], num_samples=4).classes.tolist() == ["a", "a\0"]
    with pytest.raises(ValueError, match="no name twice, got .a.* again in row 1"):
        top([3, 2], 1, ids=["a\0", "a\0"])


def test_a_subclass_of_str_counts_as_its_value():
    assert top([1, 2], 2, ids=[Split.TRAIN, Split.VAL]).ids.tolist() == ["val", "train"]
    mixed = _labels.labelled("labels", [Split.VAL, "val", None, Split.TRAIN])
    assert mixed.names.tolist() == ["train", "val"]
    assert set(map(type, mixed.names.tolist())) == {str}
    assert mixed.codes.tolist() == [1, 1, -1, 0]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "\ud800"], "UTF-8 can hold, got '.ud800' in row 1"),
        ([3, 2**70], r"< 2\*\*63, got 0x400000000000000000 in row 1: make them strings"),
        ([-3, 2**63], r"< 2\*\*63, got 0x8000000000000000 in row 1"),
        (np.array([10**5000, 3], object), r"< 2\*\*63, got 0x"),
    ],
)
def test_names_that_nothing_can_hold(ids, message):
    with pytest.raises(ValueError, match=message):
        top([1, 2], 1, ids=ids)
