"""What holds for every selector."""

import inspect
import json

import numpy as np
import pytest

from sampling import Selection
from sampling._check._rows import Rows
from sampling.selection import METHODS
from selection.cases import CALLS, DATA, LABELS, VARIES, D, Data, N

each = pytest.mark.parametrize("name", sorted(METHODS))
exact = pytest.mark.parametrize("name", sorted(set(METHODS) - set(VARIES)))
BUDGETS = (1, 2, 60, 150, N)


@pytest.mark.parametrize(
    "option",
    [
        {"group_budgets": {"a": 3, "b": 2}},
        {"group_budgets": "equal"},
        {"floor": 1},
        {"cap": {"a": 1}},
        {"shortfall": "accept"},
        {"unlabeled": "drop"},
    ],
)
def test_options_of_groups_are_not_ignored_without_groups(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=f"{name} must be omitted without groups, got .*groups="):
        METHODS["top"].function(np.arange(9.0), 5, **option)


def test_every_selector_has_a_case():
    assert set(CALLS) == set(METHODS)


@exact
@pytest.mark.parametrize("budget", BUDGETS)
def test_as_many_rows_as_asked_for_none_twice(name, budget):
    found = CALLS[name](DATA, budget)
    assert found.indices.dtype == np.int64
    assert len(found) == budget == np.unique(found.indices).size
    assert found.indices.min() >= 0
    assert found.indices.max() < N
    assert found.size == N
    assert found.method == name


@exact
def test_fractions_are_rounded_half_up(name):
    assert len(CALLS[name](DATA, 0.5)) == 106  # of 105.5
    assert len(CALLS[name](DATA, 1.0)) == N
    assert len(CALLS[name](DATA, 1e-9)) == 1


@each
@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (0, r"budget must be in \[1, 212\), got 0"),
        (N + 1, r"budget must be in \[1, 212\), got 212"),
        (0.0, r"budget must be in \(0, 1\], got 0.0"),
        (1.5, r"budget must be in \(0, 1\], got 1.5"),
        (float("nan"), r"budget must be in \(0, 1\]"),
    ],
)
def test_other_budgets_are_refused(name, budget, message):
    with pytest.raises(ValueError, match=message):
        CALLS[name](DATA, budget)
    with pytest.raises(TypeError, match="budget must be a count or a fraction, got True"):
        CALLS[name](DATA, True)


@each
def test_the_same_again_and_nothing_is_modified(name):
    before = {key: array.copy() for key, array in vars(DATA).items()}
    one, two = CALLS[name](DATA, 60, seed=3), CALLS[name](DATA, 60, seed=3)
    assert np.array_equal(one.indices, two.indices)
    assert (one.weights is None) == (two.weights is None)
    if one.weights is not None:
        assert np.array_equal(one.weights, two.weights)
    assert all(np.array_equal(before[key], array) for key, array in vars(DATA).items())


@each
def test_ids_decide_and_not_the_order_of_the_rows(name):
    order = np.random.default_rng(0).permutation(N)
    one = CALLS[name](DATA, 60, ids=DATA.ids)
    two = CALLS[name](DATA.at(order), 60, ids=DATA.ids[order])
    assert set(one.ids.tolist()) == set(two.ids.tolist())
    assert np.array_equal(one.ids, DATA.ids[one.indices])
    named = CALLS[name](DATA, 60, ids=[f"row {number}" for number in DATA.ids])
    again = CALLS[name](DATA.at(order), 60, ids=[f"row {n}" for n in DATA.ids[order]])
    assert set(named.ids.tolist()) == set(again.ids.tolist())


@each
def test_names_that_come_twice_are_refused(name):
    twice = DATA.ids.copy()
    twice[9] = twice[4]
    with pytest.raises(
        ValueError, match=rf"ids must hold no name twice, got {int(twice[4])} again"
    ):
        CALLS[name](DATA, 60, ids=twice)
    with pytest.raises(ValueError, match=r"ids must have shape \(211,\), got \(3,\)"):
        CALLS[name](DATA, 60, ids=[1, 2, 3])


@each
def test_what_is_already_selected_is_not_picked(name):
    first = CALLS[name](DATA, 20)
    second = CALLS[name](DATA, 60, already_selected=first.indices)
    assert not set(first.indices.tolist()) & set(second.indices.tolist())
    assert second.explain(int(first.indices[0])).rule == "already selected"
    with pytest.raises(ValueError, match="budget must be at most 1, the number of eligible rows"):
        CALLS[name](DATA, 2, already_selected=np.arange(N - 1))


@exact
@pytest.mark.parametrize("rule", ["proportional", "equal", "sqrt"])
def test_quotas_are_exact(name, rule):
    found = CALLS[name](DATA, 60, groups=LABELS, group_budgets=rule, shortfall="redistribute")
    counts = np.bincount(LABELS[found.indices], minlength=7)
    assert counts.sum() == 60
    assert found.info["group_counts"] == {g: int(c) for g, c in enumerate(counts) if g in LABELS}


@exact
def test_given_quotas_are_kept(name):
    asked = {group: 3 for group in np.unique(LABELS).tolist()}
    found = CALLS[name](DATA, sum(asked.values()), groups=LABELS, group_budgets=asked)
    assert np.bincount(LABELS[found.indices])[list(asked)].tolist() == list(asked.values())


@each
def test_smaller_budgets_are_the_head(name):
    whole = CALLS[name](DATA, 150)
    if METHODS[name].ranked:
        for budget in (1, 60, 149):
            assert np.array_equal(whole.head(budget).indices, CALLS[name](DATA, budget).indices)
    else:
        with pytest.raises(ValueError, match="head needs ranked picks"):
            whole.head(60)
    assert whole.head(len(whole)) is whole


@each
def test_weights_are_one_over_the_inclusion_probability(name):
    found = CALLS[name](DATA, 60)
    if found.weights is None:
        return
    assert METHODS[name].weights
    if name == "grad_match":  # of a fit
        assert (found.weights > 0.0).all()
        return
    assert (found.weights >= 1.0 - 1e-12).all()


@each
def test_every_row_is_accounted_for(name):
    found = CALLS[name](DATA, 60)
    assert found.rules[0] == "kept"
    assert np.array_equal(found.verdicts == 0, found.mask())
    dropped = int(np.flatnonzero(~found.mask())[0])
    why = found.explain(dropped, DATA.embeddings)
    assert not why.kept
    assert why.rule in found.rules[1:]
    assert why.nearest in found.indices
    assert found.explain(int(found.indices[3])).rank == 3
    assert sum(found.summary()["rules"].values()) == N


@each
def test_arguments_are_json(name):
    found = CALLS[name](DATA, 60, ids=DATA.ids, seed=5)
    assert json.loads(json.dumps(found.arguments))["seed"] == 5
    json.dumps(found.info)
    assert METHODS[name].label in {"recommended", "baseline", "for replication"}


@each
def test_unknown_keywords_are_refused(name):
    with pytest.raises(TypeError, match=f"{name} takes no keyword 'sed': did you mean 'seed'"):
        CALLS[name](DATA, 60, sed=1)


@each
def test_files_hold_all_of_it(name, tmp_path):
    found = CALLS[name](DATA, 60, ids=DATA.ids)
    found.save(tmp_path / "subset.parquet")
    again = Selection.load(tmp_path / "subset.parquet")
    assert np.array_equal(found.indices, again.indices)
    assert np.array_equal(found.ids, again.ids)
    assert (found.method, found.arguments, found.size) == (
        again.method,
        again.arguments,
        again.size,
    )


@pytest.mark.parametrize(
    "name", [n for n in sorted(CALLS) if "embeddings" in inspect.getsource(CALLS[n])]
)
def test_rows_on_disk_give_the_same(name, tmp_path):
    path = tmp_path / "rows.bin"
    DATA.embeddings.tofile(path)
    disk = Data(**{**vars(DATA), "embeddings": Rows(path, (N, D), np.float32)})
    one, other = CALLS[name](DATA, 40), CALLS[name](disk, 40)
    assert np.array_equal(one.indices, other.indices)
    assert one.weights is None or np.array_equal(one.weights, other.weights)


@each
def test_the_other_byte_order_gives_the_same(name):
    other = Data(**{
        key: array.astype(array.dtype.newbyteorder("S")) for key, array in vars(DATA).items()
    })  # fmt: skip
    found = CALLS[name](DATA, 40, ids=DATA.ids, groups=DATA.labels)
    again = CALLS[name](other, 40, ids=other.ids, groups=other.labels)
    assert again.indices.tolist() == found.indices.tolist()
