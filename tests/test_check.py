"""Every check of an argument: what it accepts, in which form it returns it, and each message."""

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from sampling import Indexed, _check
from sampling.bench import Settings
from sampling.samplers import ShuffleSampler
from sampling.scores import TrainingDynamics, score_stored
from sampling.testing import cells, check_sampler


def message(text):
    """The whole message, as a pattern for `match`."""
    return f"^{re.escape(text)}$"


class Sized:
    def __len__(self):
        return 3


def test_closest_asks_only_where_there_is_something_like_it():
    assert _check.closest("scor", ["id", "score"]) == ": did you mean 'score'?"
    assert _check.closest("scor", {"id": 1, "score": 2}) == ": did you mean 'score'?"
    assert _check.closest("xyz", ["id", "score"]) == ""
    assert _check.closest("xyz", []) == ""


# ---------------------------------------------------------------------- integer, seed, epoch, size


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3)])
def test_integer_returns_a_python_int(value):
    result = _check.integer("rank", value, 0, 8)
    assert type(result) is int
    assert result == 3


def test_integer_ranges_are_half_open():
    assert _check.integer("rank", 0, 0, 8) == 0
    assert _check.integer("rank", 7, 0, 8) == 7
    assert _check.integer("n", 10**30, 0) == 10**30
    assert _check.integer("n", -5, -5) == -5
    with pytest.raises(ValueError, match=message("rank must be in [0, 8), got 8")):
        _check.integer("rank", 8, 0, 8)
    with pytest.raises(ValueError, match=message("rank must be in [0, 8), got -1")):
        _check.integer("rank", -1, 0, 8)
    with pytest.raises(ValueError, match=message("num_epochs must be >= 1, got 0")):
        _check.integer("num_epochs", np.int32(0), 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1.0"),
        ("1", "'1'"),
        (None, "None"),
        (True, "True"),
        (np.bool_(True), "True"),
        ([1], "[1]"),
    ],
)
def test_integer_refuses_other_types(value, shown):
    with pytest.raises(TypeError, match=message(f"epoch must be an int, got {shown}")):
        _check.integer("epoch", value, 0)


@pytest.mark.parametrize("check", [_check.seed, _check.epoch])
def test_seed_and_epoch_take_64_bits(check):
    name = check.__name__
    assert check(0) == 0
    assert check(2**64 - 1) == 2**64 - 1
    assert check(np.uint64(2**64 - 1)) == 2**64 - 1
    rule = f"{name} must be in [0, 18446744073709551616), got "
    with pytest.raises(ValueError, match=message(f"{rule}-1")):
        check(-1)
    with pytest.raises(ValueError, match=message(f"{rule}18446744073709551616")):
        check(2**64)
    with pytest.raises(TypeError, match=message(f"{name} must be an int, got None")):
        check(None)


@pytest.mark.parametrize("source", [3, np.int16(3), [1, 2, 3], np.zeros((3, 5)), Sized()])
def test_size_of_an_int_or_of_anything_with_a_length(source):
    assert _check.size("data_source", source) == 3
    assert type(_check.size("data_source", source)) is int


def test_size_refuses_nothing_and_too_much():
    assert _check.size("data_source", 2**62) == 2**62
    with pytest.raises(ValueError, match=message("data_source must not be empty, got length 0")):
        _check.size("data_source", [])
    for bad in (0, -4, 2**62 + 1):
        rule = f"data_source must be in [1, 4611686018427387905), got {bad}"
        with pytest.raises(ValueError, match=message(rule)):
            _check.size("data_source", bad)
    with pytest.raises(TypeError, match=message("data_source must be an int, got 2.5")):
        _check.size("data_source", 2.5)
    with pytest.raises(TypeError, match=message("data_source must be an int, got None")):
        _check.size("data_source", None)


@pytest.mark.parametrize("value", ["1000", b"1000", bytearray(b"1000")])
def test_size_refuses_text(value):
    text = f"data_source must be a dataset with a length, or an int, got {value!r}"
    with pytest.raises(TypeError, match=message(text)):
        _check.size("data_source", value)


def test_size_refuses_a_mapping_of_names_and_takes_one_of_rows():
    text = "data_source must be a dataset with a length, or an int, got a dict of 'train', "
    text += "'test': give one of its values"
    with pytest.raises(TypeError, match=message(text)):
        _check.size("data_source", {"train": [1, 2], "test": [3]})
    with pytest.raises(TypeError, match="dataset must be a dataset with a length"):
        Indexed({"train": [1, 2], "test": [3]})
    assert _check.size("data_source", {0: "a", 1: "b"}) == 2
    assert _check.size("data_source", np.array(5)) == _check.size("n", torch.tensor(5)) == 5


@pytest.mark.parametrize("value", ["ab", b"ab", {"a": 1}, 3, None])
def test_a_word_is_no_list(value):
    with pytest.raises(TypeError, match=message(f"columns must be a list, got {value!r}")):
        _check.listed("columns", value)
    assert _check.listed("columns", ("a", "b")) == ["a", "b"]


def test_text_and_mappings():
    assert _check.text("ids", "url") == "url"
    assert _check.mapping("columns", {"a": 1}) == {"a": 1}
    with pytest.raises(TypeError, match=message("ids must be a str, got 3")):
        _check.text("ids", 3)
    wrong = "columns must be a mapping, a table in a file, got ['a']"
    with pytest.raises(TypeError, match=message(wrong)):
        _check.mapping("columns", ["a"])
    _check.refuse_names("dataset", [1, 2])
    with pytest.raises(TypeError, match="dataset must be a dataset with a length"):
        _check.refuse_names("dataset", "ab")


def test_native_copies_only_the_other_byte_order():
    values = np.arange(3.0)
    assert _check.native(values) is values
    assert _check.native(values.astype(">f8")).dtype == np.float64
    assert _check.native(values.astype(">f8")).tolist() == [0.0, 1.0, 2.0]


def test_a_file_is_there_and_no_folder(tmp_path):
    said = f"{tmp_path} must be a plan, got a folder: name a file in it"
    with pytest.raises(ValueError, match=message(said)):
        _check.file(tmp_path, "a plan")
    (tmp_path / "corpus.parquet").touch()
    for missing, remedy in (
        (tmp_path / "x", "check the path"),
        (tmp_path / "corpus.paquet", "did you mean 'corpus.parquet'?"),
        (tmp_path / "no" / "x", f"there is no folder {tmp_path / 'no'}"),
        (Path("nowhere.toml"), f"check the path, which is relative to {Path.cwd()}"),
    ):
        said = f"{missing} must exist, got no such file: {remedy}"
        with pytest.raises(FileNotFoundError, match=message(said)):
            _check.file(missing, "a plan")
        assert _check.no_file(missing) == said
    damaged = _check.damaged("a.npy", "a whole .npy file", OSError("cut  short."))
    again = "write the file again, or copy it again"
    assert damaged == f"a.npy must be a whole .npy file, got: cut short: {again}"


# ---------------------------------------------------------------------- number, choice


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.float64(1)])
def test_number_returns_a_python_float(value):
    result = _check.number("power", value)
    assert type(result) is float
    assert result == 1.0


@pytest.mark.parametrize(
    ("interval", "inside", "outside"),
    [
        ("(0, 1]", [1e-300, 1.0], [0.0, 1.0000001, -1.0]),
        ("[0, 1)", [0.0, 1 - 1e-16], [1.0, -1e-300]),
        ("[0, 1]", [0.0, 1.0], [-0.1, 1.1]),
        ("(0, 1)", [0.5], [0.0, 1.0]),
        ("[1, inf)", [1.0, 1e300], [0.999, np.inf]),
        ("(-inf, 2]", [-1e300, 2.0], [2.1, -np.inf]),
    ],
)
def test_number_keeps_to_its_interval(interval, inside, outside):
    for value in inside:
        assert _check.number("x", value, interval) == value
    for value in [*outside, np.nan, np.inf, -np.inf]:
        with pytest.raises(ValueError, match=message(f"x must be in {interval}, got {value!r}")):
            _check.number("x", value, interval)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_number_without_an_interval_is_finite(value):
    assert _check.number("x", -1e300) == -1e300
    with pytest.raises(ValueError, match=message(f"x must be finite, got {value!r}")):
        _check.number("x", value)


@pytest.mark.parametrize("value", ["1", None, True, [1.0], np.bool_(False), 1j])
def test_number_refuses_other_types(value):
    shown = bool(value) if isinstance(value, np.bool_) else value
    with pytest.raises(TypeError, match=message(f"x must be a number, got {shown!r}")):
        _check.number("x", value)


def test_number_refuses_an_int_beyond_the_floats_by_name():
    with pytest.raises(ValueError, match="^x must be finite, got 1000"):
        _check.number("x", 10**400)


def test_choice():
    assert _check.choice("objective", "sampled", ("sampled", "original")) == "sampled"
    assert _check.choice("objective", "b", iter(["a", "b"])) == "b"
    rule = "objective must be one of 'sampled', 'original', got 'both'"
    with pytest.raises(ValueError, match=message(rule)):
        _check.choice("objective", "both", ("sampled", "original"))
    with pytest.raises(ValueError, match=message("objective must be one of 'a', 'b', got None")):
        _check.choice("objective", None, ("a", "b"))


# ---------------------------------------------------------------------- arrays of numbers


def test_host_returns_what_numpy_has():
    array = np.arange(3.0)
    assert _check.host(array) is array
    assert _check.host([1, 2]).tolist() == [1, 2]
    tensor = torch.arange(3.0, requires_grad=True)
    assert np.shares_memory(_check.host(tensor), tensor.detach().numpy())
    half = _check.host(torch.tensor([0.5, 2.0], dtype=torch.bfloat16))
    assert half.dtype == np.float32
    assert half.tolist() == [0.5, 2.0]


def test_one_dimensional_does_not_copy():
    array = np.arange(3.0)
    assert _check.one_dimensional("weights", array) is array
    tensor = torch.arange(3.0)
    assert np.shares_memory(_check.one_dimensional("weights", tensor), tensor.numpy())
    assert _check.one_dimensional("weights", [1, 2]).tolist() == [1, 2]


def test_one_dimensional_takes_a_tensor_that_wants_gradients():
    tensor = torch.ones(2, requires_grad=True)
    assert _check.one_dimensional("weights", tensor * 2).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(("values", "shape"), [([[1, 2]], (1, 2)), (np.ones((2, 0)), (2, 0))])
def test_one_dimensional_names_the_shape(values, shape):
    with pytest.raises(ValueError, match=message(f"weights must have shape (N,), got {shape}")):
        _check.one_dimensional("weights", values)


def test_one_dimensional_refuses_nothing():
    with pytest.raises(ValueError, match=message("weights must not be empty, got length 0")):
        _check.one_dimensional("weights", [])


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_]
)
def test_floats_returns_contiguous_float64(dtype):
    array = np.array([1, 9, 0, 9, 1, 9], dtype)[::2]
    result = _check.floats("distances", array)
    assert result.dtype == np.float64
    assert result.flags.c_contiguous
    assert result.tolist() == [1, 0, 1]


def test_floats_keeps_negative_numbers_unless_told():
    assert _check.floats("x", [-1.0, 2.0]).tolist() == [-1.0, 2.0]
    rule = message("x must be finite and >= 0, got -1.0 in row 0")
    with pytest.raises(ValueError, match=rule):
        _check.floats("x", [-1.0, 2.0], "finite and >= 0")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0, np.nan], "got nan in row 1"),
        ([np.inf, 1.0], "got inf in row 0"),
        ([1.0, -np.inf, np.nan], "got -inf in row 1 (2 such rows)"),
    ],
)
def test_floats_names_the_first_row(values, text):
    with pytest.raises(ValueError, match=message(f"x must be finite, {text}")):
        _check.floats("x", values)
    with pytest.raises(ValueError, match=message(f"x must be finite and >= 0, {text}")):
        _check.floats("x", values, "finite and >= 0")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a"], "<U1, with 'a' in row 0"),
        ([1, {}, 3], "object, with {} in row 1"),
        ([2.5, "b"], "<U32, with 'b' in row 1"),
        (["2.5", "1"], "<U3, with '2.5' in row 0: convert it to float"),
        ([1j], "complex128, with 1j in row 0"),
        ([1, 10**30], f"object, with {10**30} in row 1, beyond 64 bits"),
    ],
)
def test_floats_refuses_what_is_no_number(values, found):
    with pytest.raises(TypeError, match=message(f"x must hold numbers, got dtype {found}")):
        _check.floats("x", values)


def test_weights():
    assert _check.weights("weights", [0, 1, 2]).tolist() == [0.0, 1.0, 2.0]
    array = np.array([0.5, 0.5])
    assert _check.weights("weights", array) is array
    rule = "weights must be finite and >= 0, got -0.5 in row 2 (2 such rows)"
    with pytest.raises(ValueError, match=message(rule)):
        _check.weights("weights", [1.0, 0.0, -0.5, np.nan])
    with pytest.raises(ValueError, match=message("weights must not all be 0, got 2 zeros")):
        _check.weights("weights", [0.0, -0.0])
    with pytest.raises(ValueError, match=message("weights must have a finite sum, got inf")):
        _check.weights("weights", [1.5e308, 1.5e308])
    with pytest.raises(ValueError, match=message("weights must not be empty, got length 0")):
        _check.weights("weights", [])


def test_weights_as_given():
    array = np.array([0.5, 2.0], np.float32)
    assert _check.weights_as_given("weights", array) is array
    assert _check.weights_as_given("weights", np.array([1, 2], np.longdouble)).dtype == np.float64
    rule = "weights must be finite and >= 0, got -1.0 in row 1"
    with pytest.raises(ValueError, match=message(rule)):
        _check.weights_as_given("weights", np.array([1, -1], np.float32))


def test_same_length():
    _check.same_length("clusters", [1, 2], "distances", 2)
    rule = "clusters must have the length of distances, 3, got 2"
    with pytest.raises(ValueError, match=message(rule)):
        _check.same_length("clusters", [1, 2], "distances", 3)


# ---------------------------------------------------------------------- embeddings


def test_embeddings_are_not_copied():
    array = np.ones((4, 3), np.float16)[::2]
    assert _check.embeddings("embeddings", array) is array
    tensor = torch.ones(2, 3)
    assert np.shares_memory(_check.embeddings("embeddings", tensor), tensor.numpy())


@pytest.mark.parametrize("size", [3, 70_000])
def test_bad_rows(size):
    """Also beyond the first block."""
    array = np.ones((size, 64), np.float16)
    assert _check.bad_rows(_check.matrix("rows", array)) is None
    array[-1, 5] = np.inf
    array[1] = 0.0
    np.testing.assert_array_equal(np.flatnonzero(_check.bad_rows(array)), [size - 1])
    np.testing.assert_array_equal(
        np.flatnonzero(_check.bad_rows(array, directed=True)), [1, size - 1]
    )
    with pytest.raises(ValueError, match=f"rows must be finite, got inf in row {size - 1}$"):
        _check.refuse_rows("rows", array, _check.bad_rows(array))
    with pytest.raises(ValueError, match="rows must be longer than 1e-12, got a zero vector in"):
        _check.refuse_rows("rows", array, np.arange(size) == 1)


def test_embeddings_takes_bfloat16_tensors():
    tensor = torch.tensor([[0.5, 2.0]], dtype=torch.bfloat16)
    np.testing.assert_array_equal(_check.embeddings("embeddings", tensor), [[0.5, 2.0]])


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0), (2, 2, 2)])
def test_embeddings_names_the_shape(shape):
    rule = f"embeddings must have shape (N, D) with N, D >= 1, got {shape}"
    with pytest.raises(ValueError, match=message(rule)):
        _check.embeddings("embeddings", np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_embeddings_names_the_first_row(value):
    array = np.ones((4, 2))
    array[2, 1] = value
    rule = f"embeddings must be finite, got {value} in row 2"
    with pytest.raises(ValueError, match=message(rule)):
        _check.embeddings("embeddings", array)
    array[3, 0] = np.nan
    with pytest.raises(ValueError, match=re.escape(f"got {value} in row 2 (2 bad rows)")):
        _check.embeddings("embeddings", array)


def test_embeddings_beyond_float32_are_refused_by_row():
    rule = r"^embeddings must be finite as float32, got 1e\+300 in row 1$"
    with pytest.raises(ValueError, match=rule):
        _check.embeddings("embeddings", [[1.0], [1e300]])


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1, 2], [1, 2]),
        ([1, 2.5], [1.0, 2.5]),
        ([True, 0], [1, 0]),
        ([1, None], [1.0, np.nan]),
        ([1, pd.NA, np.float32(2)], [1.0, np.nan, 2.0]),
        ([Decimal("1.5"), Fraction(1, 2)], [1.5, 0.5]),
        ([2**63, 0], [2**63, 0]),
        ([[1, 2], [3, None]], [[1.0, 2.0], [3.0, np.nan]]),
    ],
)
def test_objects_that_are_numbers_are_read_and_the_missing_are_nan(values, found):
    array = _check.as_numbers("x", np.array(values, object))
    assert array.dtype.kind in "iuf"
    np.testing.assert_array_equal(array, found)


def test_numbers_are_returned_as_they_are():
    for array in (np.ones((2, 2), bool), np.ones(3, np.float16)):
        assert _check.as_numbers("x", array) is array
    with pytest.raises(
        TypeError, match=r"x must hold numbers, got dtype object, with 'a' in row 1"
    ):
        _check.as_numbers("x", np.array([[1, 2], [3, "a"]], object))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.array([0.0]), "dtype float64: convert it to int64"),
        (np.array([0.0, np.nan]), "dtype float64, with nan in row 1"),
        (np.array([2.0, 0.5]), "dtype float64, with 0.5 in row 1"),
        (np.array([0, None], object), "dtype object, with None in row 1"),
        (np.array([0, 1], object), "dtype object: convert it to int64"),
        (np.array(["a"]), "dtype <U1, with 'a' in row 0"),
        (np.array([True]), "bools, a mask of shape (1,): give np.flatnonzero(mask)"),
    ],
)
def test_what_is_no_int_is_named_with_its_row(values, found):
    for check in (lambda name, each: _check.codes(name, each, 3), _check.refuse_other_than_ints):
        with pytest.raises(
            TypeError, match=rf"^x must hold ints, got {re.escape(found)}(: number|$)"
        ):
            check("x", values)
    with pytest.raises(TypeError, match=message(f"x must hold ints, got {found}")):
        _check.unique_rows("x", values)


def test_embeddings_refuses_what_is_no_number():
    with pytest.raises(TypeError, match=r"^embeddings must hold numbers, got dtype <U1, with 'a'"):
        _check.embeddings("embeddings", [["a"]])


# ---------------------------------------------------------------------- labels, codes, indices


@pytest.mark.parametrize(
    "values",
    [
        np.array([-1, 0, 5], np.int8),
        np.array([0, 255], np.uint8),
        np.array(["cat", "dog"]),
        np.array([b"cat"]),
        np.array([True, False]),
        np.array([2**63 - 1], np.uint64),
    ],
)
def test_labels_returns_class_ids_as_they_are(values):
    assert _check.labels("labels", values) is values


def test_labels_takes_whole_floats():
    result = _check.labels("labels", [0.0, 2.0, -1.0])
    assert result.dtype == np.int64
    assert result.tolist() == [0, 2, -1]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0, -2, -3], "labels must be >= 0, or -1 for unlabelled, got -2 in row 1 (2 such rows)"),
        ([0.0, 0.5], "labels must be class ids, got 0.5 in row 1"),
        ([np.nan, 1.0], "labels must be class ids, got nan in row 0"),
        ([1.0, np.inf], "labels must be class ids, got inf in row 1"),
        (np.array([2**63], np.uint64), f"labels must be < 2**63, got {2**63} in row 0"),
        ([[1, 2]], "labels must have shape (N,), got (1, 2)"),
        ([], "labels must not be empty, got length 0"),
    ],
)
def test_labels_names_the_first_row(values, text):
    with pytest.raises(ValueError, match=message(text)):
        _check.labels("labels", values)


@pytest.mark.parametrize("value", [1e300, -1e300, 2.0**63])
def test_labels_refuses_floats_beyond_the_integers_by_value(value):
    with pytest.raises(ValueError, match=re.escape(f"got {value} in row 1")):
        _check.labels("labels", [0.0, value])


@pytest.mark.parametrize(("values", "dtype"), [([None], "object"), ([1j], "complex128")])
def test_labels_refuses_other_types(values, dtype):
    with pytest.raises(TypeError, match=message(f"labels must hold class ids, got dtype {dtype}")):
        _check.labels("labels", values)


def test_codes():
    assert _check.codes("clusters", np.array([0, 2]), 3) is None
    rule = "clusters must be in [0, 3), got 3 in row 1"
    with pytest.raises(ValueError, match=message(rule)):
        _check.codes("clusters", np.array([0, 3]), 3)
    rule = "clusters must be in [0, 3), got -1 in row 0 (2 such rows)"
    with pytest.raises(ValueError, match=message(rule)):
        _check.codes("clusters", np.array([-1, 0, 9]), 3)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.uint64])
def test_unique_rows_returns_int64(dtype):
    result = _check.unique_rows("indices", np.array([4, 0, 2], dtype))
    assert result.dtype == np.int64
    assert result.tolist() == [4, 0, 2]


@pytest.mark.parametrize(
    ("values", "high", "text"),
    [
        ([0, 5], 5, "must be in [0, 5), got 5 in row 1"),
        ([-1, 5], 5, "must be in [0, 5), got -1 in row 0 (2 such rows)"),
        ([3, -1], None, "must be >= 0, got -1 in row 1"),
        ([3, 1, 2, 1, 3], 5, "must hold no index twice, got 1 again in row 3"),
        ([7, 7], None, "must hold no index twice, got 7 again in row 1"),
        ([], 5, "must not be empty, got length 0"),
        ([[1]], 5, "must have shape (N,), got (1, 1)"),
    ],
)
def test_unique_rows_names_the_first_row(values, high, text):
    with pytest.raises(ValueError, match=message(f"indices {text}")):
        _check.unique_rows("indices", values, high)


@pytest.mark.parametrize("value", [2**62, 2**63 - 1, 2**63 + 5])
def test_unique_rows_states_a_rule_that_a_huge_index_breaks(value):
    """Not ">= 0", which it keeps, nor with a value that it does not have."""
    values = np.array([1, value], np.uint64)
    with pytest.raises(ValueError, match=f"got {value} in row 1$") as error:
        _check.unique_rows("indices", values)
    assert "must be >= 0," not in str(error.value)


# ---------------------------------------------------------------------- by_name, named


def test_by_name_puts_numbers_in_the_order_of_the_names():
    names = np.array(["b", "a"])
    assert _check.by_name("w", {"a": 1, "b": 2.5}, names, "groups").tolist() == [2.5, 1.0]
    assert _check.by_name("w", {"a": 1}, names, "groups", default=7).tolist() == [7.0, 1.0]
    assert _check.by_name("w", {"a": 1, "b": 2, "z": 0}, names, "groups").tolist() == [2.0, 1.0]
    numbers = np.array([3, 5])
    assert _check.by_name("w", {"5": 1, 3: 2}, numbers, "groups").tolist() == [2.0, 1.0]
    assert _check.by_name("w", [0, 0, 0, 1, 0, 2], numbers, "groups").tolist() == [1.0, 2.0]
    assert _check.by_name("w", {"a": 1}, np.array([b"a"]), "groups").tolist() == [1.0]
    assert _check.named("w", {"a": 1}) == {"a": 1}
    assert _check.named("w", [1]) is None


def test_by_name_names_what_is_missing_unknown_or_twice():
    names = np.arange(20)
    with pytest.raises(
        ValueError, match=message("w must name all groups, missing [1, 2, 3, 4, 5] and 14 more")
    ):
        _check.by_name("w", {0: 1}, names, "groups")
    with pytest.raises(ValueError, match="got 'wkii': did you mean 'wiki'"):
        _check.by_name("w", {"wkii": 1}, np.array(["wiki"]), "groups")
    with pytest.raises(ValueError, match="w must name each of the groups once, got '3' again"):
        _check.by_name("w", {3: 1, "3": 1}, np.array([3]), "groups")
    with pytest.raises(ValueError, match=r"w\['a'\] must be in \[1, inf\), got 0"):
        _check.by_name("w", {"a": 0}, np.array(["a"]), "groups", interval="[1, inf)")
    series = pytest.importorskip("pandas").Series([1.0, 2.0], index=["a", "a"])
    with pytest.raises(ValueError, match="w must name each one once, got"):
        _check.by_name("w", series, np.array(["a"]), "groups")


# ---------------------------------------------------------------------- nothing is changed


def test_checks_leave_their_input_alone():
    array = np.array([3.0, 1.0, 2.0])
    for check in (_check.floats, _check.weights, _check.labels, _check.one_dimensional):
        check("x", array)
    _check.unique_rows("x", array.astype(np.int64))
    assert array.tolist() == [3.0, 1.0, 2.0]


# ---------------------------------------------------------------------- flags and masks


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flag_returns_a_python_bool(value):
    result = _check.flag("pad", value)
    assert type(result) is bool
    assert result == value


@pytest.mark.parametrize(
    "value", [1, 0, None, "yes", np.array(True), np.array([1]), torch.tensor(1)]
)
def test_flag_refuses_what_is_only_true_or_false_to_python(value):
    shown = "<int64 (1,)>" if np.ndim(value) else repr(value)
    with pytest.raises(TypeError, match=message(f"pad must be True or False, got {shown}")):
        _check.flag("pad", value)


def test_flag_says_how_a_plan_is_mended():
    text = "replacement must be True or False, got 'false': write it without quotes"
    with pytest.raises(TypeError, match=message(text)):
        _check.flag("replacement", "false")


def test_sums_near_the_largest_float_do_not_overflow_in_another_order():
    array = _check.weights("weights", [1e307] * 17)  # a multiple of the sum would overflow
    assert np.isfinite(array.cumsum()[-1] * 1000)
    assert np.unique(array).size == 1


MASKED = np.ma.masked_array([1.0, 2.0, 3.0], [False, True, True])


@pytest.mark.parametrize(
    ("values", "where"),
    [
        (MASKED, "row 1 (2 such rows)"),
        (np.ma.masked_array(np.ones((3, 2)), [[0, 0], [0, 1], [0, 0]]), "row 1"),
        ([1.0, MASKED[1], 2.0], "row 1"),
        ([MASKED[:1], MASKED], "row 1"),
        (np.ma.masked, "row 0"),
    ],
)
def test_masked_values_are_missing_and_refused(values, where):
    rule = f"scores must hold no masked values, got one in {where}: exclude those rows, or fill"
    with pytest.raises(ValueError, match=re.escape(rule)):
        _check.unmasked("scores", values)
    with pytest.raises(ValueError, match=re.escape(rule)):
        _check.host(values, "scores")


@pytest.mark.parametrize("check", [_check.floats, _check.weights, _check.unique_rows])
def test_masks_are_seen_by_every_check_of_an_array(check):
    with pytest.raises(ValueError, match="x must hold no masked values, got one in row 0"):
        check("x", np.ma.masked_array([1, 2], [True, False]))
    whole = np.ma.masked_array([1, 2], False)
    assert check("x", whole).tolist() == [1, 2]
    assert not isinstance(check("x", whole), np.ma.MaskedArray)


def test_masked_rows_of_a_matrix_are_refused():
    rows = np.ma.masked_array(np.ones((2, 2)), [[0, 0], [0, 1]])
    with pytest.raises(ValueError, match="x must hold no masked values, got one in row 1"):
        _check.embeddings("x", rows)


def test_percentages():
    assert _check.percentage("budget", " 10% ") == 0.1
    for word in ("10", "0%", "101%", "x%"):
        with pytest.raises(ValueError, match=r"budget must be in \(0%, 100%\], got "):
            _check.percentage("budget", word)


def test_numbers_paths_and_values_alone():
    assert _check.numbers("keep", 0.5) == _check.numbers("keep", np.array([0.5])) == [0.5]
    with pytest.raises(TypeError, match="keep must be a number or a list of numbers, got '0.5'"):
        _check.numbers("keep", "0.5")
    assert str(_check.path("out", "there")) == "there"
    with pytest.raises(TypeError, match="out must be a path, got 3"):
        _check.path("out", 3)
    with pytest.raises(ValueError, match="a value for each sample, got 5 alone"):
        _check.refuse_shape("labels", np.array(5))
    with pytest.raises(TypeError, match="indices must hold ints, got bools"):
        _check.refuse_mask("indices", np.ones(3, bool))


def test_batch_of_rows():
    _check.batch_of_rows("indices", (0,))
    with pytest.raises(ValueError, match=r"indices must have shape \(B,\), got \(2, 1\)$"):
        _check.batch_of_rows("indices", (2, 1))
    with pytest.raises(ValueError, match=r"got \(\): of single samples, .* batch_size=None; set"):
        _check.batch_of_rows("indices", ())


def test_every_function_of_the_module_is_tested_here():
    import inspect

    text = Path(__file__).read_text(encoding="utf-8")
    for name, function in inspect.getmembers(_check, inspect.isfunction):
        if function.__module__ == _check.__name__ and not name.startswith("_"):
            assert f"_check.{name}" in text, name


def test_one_word_or_path_is_a_list_of_one(tmp_path):
    assert _check.words("columns", "text") == ["text"]
    assert _check.words("columns", ("a", "b")) == ["a", "b"]
    assert _check.paths("beside", "a/b") == ["a/b"]
    assert _check.paths("beside", tmp_path) == [tmp_path]
    for check, wrong in ((_check.words, 3), (_check.words, [3]), (_check.paths, {"a": 1})):
        with pytest.raises(TypeError, match="given must be a "):
            check("given", wrong)
    with pytest.raises(TypeError, match="given must hold paths, got 3"):
        _check.paths("given", [3])


def test_everything_that_takes_several_words_takes_one():
    """And does not read it letter by letter."""
    dynamics = TrainingDynamics(3, 2, fields="aum")
    dynamics.update([0, 1, 2], np.eye(3, 2), [0, 1, 0])
    assert list(dynamics.scores("aum")) == ["aum"]
    assert list(score_stored("entropy", np.eye(3, 2))) == ["entropy"]
    assert {cell.sampler for cell in cells("ShuffleSampler", "Lightning")} == {"ShuffleSampler"}
    found = check_sampler(lambda: ShuffleSampler(103, seed=0), only="C3")
    assert len(found.results) == 1
    assert Settings(methods="ucb", keep=0.5).checked().methods == ("ucb",)
    with pytest.raises(ValueError, match="methods must be names of"):
        Settings(methods="ccz").checked()


def test_names_instead_of_codes_are_refused_with_the_way_to_number_them():
    with pytest.raises(
        TypeError,
        match=r"got dtype <U3, with 'cat' in row 0: number the classes",
    ):
        _check.codes("labels", np.array(["cat", "dog"]), 2)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([3, 4], None),
        ([], None),
        ([1.0, 2.5], (1, 2.5)),
        ([0, 1, "x"], (2, "x")),  # which numpy makes an array of strings
        (["0", "1"], (0, "0")),
        (np.array([0, None], object), (1, None)),
        ([[0, 1], [2, 0.5]], (1, 0.5)),
    ],
)
def test_the_first_entry_that_is_no_int(values, found):
    assert _check.first_other_than_int(np.asarray(values)) == found


def test_first_text_names_the_row_of_the_first_text_that_is_no_number():
    column = pa.chunked_array([["1", None, " 2.5 "], ["nan", "red", "blue"]])
    assert _check.first_text(column) == ", with 'red' in row 4"
    assert _check.first_text(pa.chunked_array([["1", None], ["1e3"]])) == ""
    assert _check.first_text(pa.chunked_array([[1.5, None]])) == ""
    assert _check.first_text(pa.chunked_array([pa.array(["a"]).dictionary_encode()])) == (
        ", with 'a' in row 0"
    )
