"""Rows out of batches of all shapes."""

from collections import OrderedDict, UserDict, namedtuple

import numpy as np
import pytest
import torch

from sampling.batch_selection import take_rows
from sampling.batch_selection._take_rows import leaves_of, rebuilt

Pair = namedtuple("Pair", "x y")
ROWS = torch.tensor([2, 0])
X = torch.arange(6).reshape(3, 2)
Y = torch.tensor([7, 8, 9])


def test_a_tensor_and_an_array():
    assert take_rows(X, ROWS).tolist() == [[4, 5], [0, 1]]
    assert take_rows(X.numpy(), ROWS).tolist() == [[4, 5], [0, 1]]


@pytest.mark.parametrize("kind", [list, tuple, lambda pair: Pair(*pair)])
def test_sequences_keep_their_kind(kind):
    batch = kind([X, Y])
    found = take_rows(batch, ROWS)
    assert type(found) is type(batch)
    assert torch.equal(found[0], X[ROWS])
    assert torch.equal(found[1], Y[ROWS])


def test_mappings_are_copied_and_filled():
    class Encoding(OrderedDict):
        pass

    batch = Encoding(input_ids=X, labels=Y, length=torch.tensor(3), name="mnli", nothing=None)
    found = take_rows(batch, ROWS)
    assert type(found) is Encoding
    assert list(found) == list(batch)
    assert torch.equal(found["labels"], Y[ROWS])
    assert (found["length"], found["name"], found["nothing"]) == (3, "mnli", None)
    assert torch.equal(batch["labels"], Y)


def test_containers_that_torchs_tree_map_takes_for_leaves():
    """`BatchEncoding` of transformers is a `UserDict`."""
    kind = type("Boxes", (list,), {})
    batch = UserDict(input_ids=X, pair=kind([X, {"y": Y}]))
    found = take_rows(batch, ROWS)
    assert type(found) is UserDict
    assert type(found["pair"]) is kind
    assert found["pair"][1]["y"].tolist() == [9, 7]
    assert batch["input_ids"] is X


def test_nests():
    batch = ({"a": [X, {"b": Y}]}, Pair(np.arange(3), ("p", "q", "r")))
    found = take_rows(batch, ROWS)
    assert torch.equal(found[0]["a"][0], X[ROWS])
    assert torch.equal(found[0]["a"][1]["b"], Y[ROWS])
    assert found[1].x.tolist() == [2, 0]
    assert found[1].y == ("r", "p")


def test_lists_of_one_thing_a_sample():
    """Images of different sizes, with a mapping for each, as detectors take them."""
    images = [torch.zeros(3, size, 5) for size in (4, 6, 8, 9)]
    targets = [{"boxes": torch.zeros(count, 4)} for count in (1, 2, 0, 5)]
    found = take_rows([images, targets], torch.tensor([3, 1]), 4)
    assert [each.shape[1] for each in found[0]] == [9, 6]
    assert [len(each["boxes"]) for each in found[1]] == [5, 2]


def test_a_pair_in_a_batch_of_two_is_no_list_of_samples():
    found = take_rows((X[:2], Y[:2]), torch.tensor([1]))
    assert torch.equal(found[0], X[1:2])
    assert torch.equal(found[1], Y[1:2])


def test_leaves_go_out_and_come_back():
    batch = {"x": X, "rest": [Y, ["a", "b", "c"], None, 5]}
    leaves = leaves_of(batch, 3)
    assert leaves[2] == ["a", "b", "c"]
    found = rebuilt(batch, 3, [leaves[0][:1], leaves[1][:1], ["z"]])
    assert found == {"x": found["x"], "rest": [found["rest"][0], ["z"], None, 5]}
    assert torch.equal(found["x"], X[:1])


def test_gradients_go_through():
    x = torch.ones(3, requires_grad=True)
    take_rows([x], ROWS)[0].sum().backward()
    assert x.grad.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ({"x": X, "y": Y[:2]}, ValueError, r"batch\['y'\] must have 3 rows, got shape \(2,\)"),
        ((X, [Y, Y[:1]]), ValueError, r"batch\[1\]\[1\] must have 3 rows"),
        ((X, ["a", "b"]), ValueError, r"batch\[1\] must have 3 entries, one for each row, got 2"),
        ((X, {1, 2}), TypeError, r"batch\[1\] must be a tensor, .* got set: give a custom `take`"),
        (["a", "b"], ValueError, "size must be given for a batch without tensors or arrays"),
    ],
)
def test_bad_batches(batch, error, message):
    with pytest.raises(error, match=message):
        take_rows(batch, ROWS)
