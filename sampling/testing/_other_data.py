"""Factories over other data, made from a factory: one array that it uses is changed.

Arrays are looked for among the arguments of a `functools.partial`, the defaults, the closure and
the module's names of a function, the defaults of a class, and the fields of a dataclass among them
(a `Selection`).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType
from typing import Any

import numpy as np
import torch

from ._watch import Watch

_DEPTH = 3  # functions in closures of functions
Change = tuple[str, Any]  # what was changed, and the changed thing


def over_other_data(factory: Callable[..., Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield (the array that is changed, a factory that uses it), for each array and change."""
    yield from _changed("", factory, _DEPTH)


def _changed(name: str, thing: Any, depth: int) -> Iterator[Change]:
    array = _as_array(thing)
    if array is not None:
        for how, other in _arrays(array):
            yield f"{name} {how}", _like(thing, other)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        yield from _of_record(name, thing)
    elif depth and isinstance(thing, partial):
        yield from _of_partial(thing, depth)
    elif depth and isinstance(thing, FunctionType):
        yield from _of_function(thing, depth)
    elif depth and not name and isinstance(thing, type):
        for key, value in _defaults(thing):
            for what, other in _changed(key, value, 0):
                yield what, partial(thing, **{key: other})


def _of_record(name: str, thing: Any) -> Iterator[Change]:  # a dataclass
    for field in dataclasses.fields(thing):
        if not field.init:
            continue
        array = _as_array(getattr(thing, field.name))
        for how, other in _arrays(array) if array is not None else ():
            changed = _like(getattr(thing, field.name), other)
            made: Any = None
            with Watch():  # another field may forbid it
                made = dataclasses.replace(thing, **{field.name: changed})
            if made is not None:
                yield f"{name}.{field.name} {how}", made


def _of_partial(thing: partial[Any], depth: int) -> Iterator[Change]:
    for what, function in _changed("", thing.func, depth - 1):
        yield what, partial(function, *thing.args, **thing.keywords)
    for at, value in enumerate(thing.args):
        for what, other in _changed(f"argument {at}", value, depth - 1):
            arguments = (*thing.args[:at], other, *thing.args[at + 1 :])
            yield what, partial(thing.func, *arguments, **thing.keywords)
    for key, value in thing.keywords.items():
        for what, other in _changed(key, value, depth - 1):
            yield what, partial(thing.func, *thing.args, **{**thing.keywords, key: other})


def _of_function(thing: FunctionType, depth: int) -> Iterator[Change]:
    for key, value in _defaults(thing):
        for what, other in _changed(key, value, 0):
            yield what, partial(thing, **{key: other})
    cells = thing.__closure__ or ()
    for at, (key, cell) in enumerate(zip(thing.__code__.co_freevars, cells, strict=True)):
        for what, other in _changed(key, _content(cell), depth - 1):
            closure = (*cells[:at], CellType(other), *cells[at + 1 :])
            yield what, _copied(thing, thing.__globals__, closure)
    for key in thing.__code__.co_names:
        value = thing.__globals__.get(key)
        if isinstance(value, FunctionType) and value.__module__ != thing.__module__:
            continue  # a function of a library, not a helper of the factory
        for what, other in _changed(key, value, depth - 1):
            yield what, _copied(thing, {**thing.__globals__, key: other}, cells)


def _copied(
    function: FunctionType, names: dict[str, Any], closure: tuple[CellType, ...]
) -> FunctionType:
    """Return the function with other names of its module, or another closure."""
    defaults = function.__defaults__
    copied = FunctionType(function.__code__, names, function.__name__, defaults, closure)
    copied.__kwdefaults__ = function.__kwdefaults__
    copied.__module__ = function.__module__
    return copied


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _defaults(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a builtin
        return []
    return [(each.name, each.default) for each in parameters if each.default is not each.empty]


def _as_array(thing: Any) -> np.ndarray[Any, Any] | None:
    """Return an array, a tensor or a list of numbers as an array of two entries or more."""
    if isinstance(thing, torch.Tensor):
        array = thing.detach().cpu().numpy()
    elif isinstance(thing, np.ndarray):
        array = thing
    elif isinstance(thing, list | tuple) and all(isinstance(x, int | float) for x in thing):
        array = np.asarray(thing)
    else:
        return None
    return array if array.ndim and len(array) > 1 and array.dtype.kind in "biufUS" else None


def _arrays(array: np.ndarray[Any, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield arrays that differ from it, but have its shape, type and entries."""
    rolled = np.roll(array, 1, axis=0)
    if not np.array_equal(rolled, array):
        yield "shifted by one row", rolled
    differ = [at for at in range(1, len(array)) if not np.array_equal(array[at], array[0])]
    if differ:
        swapped = array.copy()
        swapped[[0, differ[0]]] = array[[differ[0], 0]]
        yield f"with rows 0 and {differ[0]} swapped", swapped


def _like(thing: Any, array: np.ndarray[Any, Any]) -> Any:
    if isinstance(thing, torch.Tensor):
        return torch.as_tensor(array.copy(), device=thing.device)
    if isinstance(thing, np.ndarray):
        return array
    return type(thing)(array.tolist())
