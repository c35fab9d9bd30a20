"""Distinguish containers of values from datasets of samples, without reading a sample.

numpy converts anything with a length and entries to an array. A dataset has both, so numpy would
read all of it, and decode every image, before finding that its entries are not numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from ._host import on_host

# attributes of objects that numpy or Arrow read as one array
_ARRAYS = ("__array__", "__array_interface__", "__array_struct__", "__arrow_c_array__",
           "__arrow_c_stream__", "__buffer__", "buffer_info")  # fmt: skip
_VALUES = str | bytes | int | float | complex | np.generic | None
_ROWS = ": give numbers of rows, such as a Selection, or range(len(dataset)) for all of it"
_MEASURED = {"embeddings", "scores", "losses", "values", "distances", "weights", "centers"}
_NULLABLE = re.compile(r"(u?int\d+|float(32|64)?|double|bool(ean)?)(\[pyarrow\])?$")
_LIKELY = ("label", "labels", "target", "fine_label", "class", "category_id")


def unread(name: str, values: Any, *, rows: bool = False) -> Any:  # noqa: C901  # one branch for each kind
    """Return what is an array, or stands for one; refuse a dataset before any sample is read.

    rows : the values are numbers of rows, which no column of a dataset holds

    Other sequences, such as a column of a Hugging Face dataset, become lists. Tensors and arrays on
    a GPU are copied to the host, also those in a list.
    """
    values = on_host(name, values)
    if isinstance(values, list | tuple):
        if values and _is_sample(values[0]):
            _refuse(
                name, f"a {type(values).__name__} of samples", _ROWS if rows else _remedy(values)
            )
        return values
    if _is_array(values) or isinstance(values, _VALUES):
        return _of_frame(values)
    kind = type(values).__name__
    if hasattr(values, "column_name") and hasattr(values, "features"):  # of a Hugging Face dataset
        return _column(name, values)
    if isinstance(values, Sequence):
        if len(values) and _is_sample(values[0]):
            _refuse(name, f"a {kind} of samples", _ROWS if rows else _remedy(values))
        return list(values)
    if isinstance(values, Mapping):
        _refuse(name, f"a {kind}", ": give its values in the order of the rows")
    if hasattr(values, "__getitem__"):
        _refuse(name, f"a {kind}", _ROWS if rows else _remedy(values))
    if hasattr(values, "higher_is"):  # a Score
        own = f"the score {values.name!r}"
        _refuse(name, own, ": its direction would have no effect here; give its `values`")
    for each in ("labels", "indices"):
        if hasattr(getattr(values, each, None), "shape"):  # a Clustering, a Selection
            own = name if hasattr(getattr(values, name, None), "shape") else each
            if own != name and name in _MEASURED:
                _refuse(name, f"a {kind}", f": give the {name} themselves, one for each row")
            _refuse(name, f"a {kind}", f": give its `{own}`")
    if isinstance(values, Iterable):
        _refuse(name, f"a {kind}", ": give a list of it")
    return values


def is_missing(label: Any) -> bool:  # anything
    """Return whether a value is missing: None, NaN, NaT, pandas' NA, numpy's masked."""
    if label is None or label is np.ma.masked:
        return True
    if isinstance(label, str | bytes | int):
        return False
    if type(label).__name__ in {"NAType", "NaTType"}:  # of pandas, which may not be installed
        return True
    if isinstance(label, np.datetime64 | np.timedelta64):
        return bool(np.isnat(label))
    return isinstance(label, float | np.floating) and bool(np.isnan(label))


def unlike(values: Any) -> str:  # a list of what has several shapes
    """Describe the first entry whose shape differs from that of row 0, for a message."""
    shapes = [_shape(each) for each in values]
    for row, own in enumerate(shapes):
        if own != shapes[0]:
            return f"{own} in row {row} after {shapes[0]} in row 0"
    return "lists of different lengths within the entries"


def _of_frame(values: Any) -> Any:  # any array-like
    """Return a pandas DataFrame as numbers, NaN where one is missing; anything else unchanged.

    Columns of pandas' nullable types, and of pyarrow's, are objects for numpy.
    """
    if not (hasattr(values, "to_numpy") and hasattr(values, "dtypes") and hasattr(values, "iloc")):
        return values
    if getattr(values, "ndim", 1) != 2:
        return values
    held = list(values.dtypes)
    kinds = [str(each).lower() for each in held]
    if all(isinstance(each, np.dtype) for each in held) or not any(map(_NULLABLE.match, kinds)):
        return values
    single = all(each.startswith(("float32", "float[")) for each in kinds)
    try:
        return values.to_numpy(np.float32 if single else np.float64, na_value=np.nan)
    except (TypeError, ValueError):  # other columns hold no numbers, which is refused later
        return values


def _shape(entry: Any) -> tuple[int, ...]:  # anything
    if isinstance(entry, list | tuple):
        return (len(entry),)
    return tuple(getattr(entry, "shape", ()))


def _is_array(values: Any) -> bool:  # anything
    if hasattr(values, "higher_is") or hasattr(values, "verdicts"):
        return False  # a Score or a Selection, which no array stands for
    if any(hasattr(values, each) for each in _ARRAYS):
        return not hasattr(values, "features")  # a Hugging Face dataset has an Arrow interface too
    known = hasattr(values, "shape") and hasattr(values, "dtype")
    return known or isinstance(values, memoryview)


def _is_sample(entry: Any) -> bool:  # anything
    """Return whether an entry is an image, a mapping, or a tuple with some scalar parts."""
    if isinstance(entry, Mapping) or _part(entry) == "other":
        return isinstance(entry, Mapping) or hasattr(entry, "__array_interface__")
    if not isinstance(entry, list | tuple):
        return False
    parts = set(map(_part, entry))
    return "other" in parts or len(parts) > 1


def _part(entry: Any) -> str:  # anything
    if isinstance(entry, _VALUES):
        return "single"
    if isinstance(entry, list | tuple):
        return "several"
    if hasattr(entry, "shape") and hasattr(entry, "dtype"):
        return "several" if len(entry.shape) else "single"
    return "other"


def _column(name: str, values: Any) -> Any:  # datasets.Column, IterableColumn
    feature = values.features
    if not hasattr(feature, "pa_type") or hasattr(feature, "decode_example"):
        got = f"a {type(values).__name__} of {type(feature).__name__}"
        _refuse(name, got, ": its samples are not read here; give a column of values")
    return values[:] if hasattr(values, "__len__") else list(values)


def _refuse(name: str, got: str, remedy: str) -> NoReturn:
    raise TypeError(f"{name} must be an array or a list of values, got {got}{remedy}")


def _remedy(dataset: Any) -> str:  # a dataset
    """Suggest how to get the labels of a dataset, without reading a sample."""
    first = dataset[0] if isinstance(dataset, list | tuple) else None
    if isinstance(first, list | tuple) and first and isinstance(first[0], Mapping):
        return (
            f": give one value of each, such as [[each[{_likely(first[0])!r}] for each in row] ...]"
        )
    if isinstance(first, Mapping):
        return f": give one value of each, such as [each[{_likely(first)!r}] for each in samples]"
    columns = getattr(dataset, "column_names", None)
    if isinstance(columns, list) and columns:
        return f": give one of its columns, such as dataset[{_likely(columns)!r}]"
    for each in ("targets", "labels"):
        if hasattr(dataset, each):
            return f": give its `{each}`"
        if hasattr(dataset, "indices") and hasattr(getattr(dataset, "dataset", None), each):
            return f": give [subset.dataset.{each}[i] for i in subset.indices]"
    if hasattr(dataset, "tensors"):
        return ": give one of its tensors, such as dataset.tensors[1]"
    return (
        ": its samples are not read here; give the values themselves, one for each sample, such as "
        "[label for _, label in dataset]"
    )


def _likely(names: Iterable[Any]) -> Any:  # a name
    """Return the name that is most likely that of the labels."""
    held = list(names)
    return next((each for each in _LIKELY if each in held), held[0] if held else "label")
