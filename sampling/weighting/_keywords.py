"""The keywords of a weighting: those that its signature names, of what the caller has given."""

from __future__ import annotations

import functools
import inspect
import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from .._warning import warn

KEYWORDS = ("indices", "groups", "labels", "logits")
_OLD = frozenset({"indices"})  # what a callable without a signature gets


class Wanted(NamedTuple):
    """Which of `KEYWORDS` a function takes, and which parameters it requires, in order."""

    takes: frozenset[str]
    requires: tuple[str, ...]


# What signatures were found to say. A method is a new object at each access: its function is kept.
_FUNCTIONS: weakref.WeakKeyDictionary[Any, Wanted] = weakref.WeakKeyDictionary()
_METHODS: weakref.WeakKeyDictionary[Any, Wanted] = weakref.WeakKeyDictionary()


def weigh(
    function: Callable[..., torch.Tensor], losses: torch.Tensor, given: Mapping[str, Any]
) -> torch.Tensor:
    """Return `function(losses, ...)` with the keywords that its signature names.

    given : a value for some of `KEYWORDS`; None is "not given"
    """
    return function(losses, **keywords_for(function, given))


def keywords_for(function: Callable[..., torch.Tensor], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a function is to be called with; raise if it requires what was not given.

    Keywords bound by `functools.partial` are not replaced.
    """
    if not callable(function):
        raise TypeError(
            "weighting must be a function of the losses, such as weighting.ClassWeights(labels), "
            f"got {function!r}"
        )
    takes, requires = wanted(function)
    found = {
        name: given[name] for name in KEYWORDS if name in takes and given.get(name) is not None
    }
    for name in requires:
        if name not in KEYWORDS:
            raise TypeError(
                f"weighting must be a function of losses and of some of {', '.join(KEYWORDS)}, got "
                f"{_name(function)} with the required parameter {name!r}: bind it with "
                "functools.partial"
            )
        if name not in found:
            raise ValueError(
                f"{name} must be given for weighting={_name(function)}, which requires them, got "
                f"None: pass {name}= with the losses"
            )
    return found


def warn_behind(function: Any, epoch: int) -> None:  # any callable
    """Warn if the schedule of a weighting stands at an earlier epoch than the sampler."""
    own = getattr(function, "epoch", None)
    if not isinstance(own, int | float) or not hasattr(function, "set_epoch"):
        return
    starts = getattr(function, "start_epoch", None) != 0  # class weights without a schedule
    if starts and math.floor(own) < epoch:
        warn(
            f"set_epoch of the weighting should be called next to that of the sampler, got epoch "
            f"{own:g} of {_name(function)} in epoch {epoch} of the sampler: its schedule does not "
            "advance"
        )


def wanted(function: Any) -> Wanted:  # any callable
    """Return what a weighting takes and requires, from its signature, which is read once."""
    if isinstance(function, functools.partial):
        inner = _read(function) if function.args else wanted(function.func)
        bound = function.keywords.keys()
        return Wanted(inner.takes - bound, tuple(n for n in inner.requires if n not in bound))
    if isinstance(function, torch.nn.Module):  # whose `__call__` takes anything
        function = function.forward
    if not (inspect.isroutine(function) or inspect.isclass(function)):
        wrapped = getattr(function, "__dict__", {}).get("__wrapped__")
        if wrapped is not None:
            return wanted(wrapped)
        if inspect.isfunction(inspect.getattr_static(type(function), "__call__", None)):
            function = function.__call__  # the signature of the object may be its constructor's
    cache, key = _FUNCTIONS, function
    if inspect.ismethod(function):
        cache, key = _METHODS, function.__func__
    try:
        if key in cache:
            return cache[key]
        found = cache[key] = _read(function)
    except TypeError:  # not hashable, or it cannot be held without being kept alive
        found = _read(function)
    return found


def _read(function: Any) -> Wanted:  # any callable
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # compiled code
        return Wanted(_OLD, ())
    takes: set[str] = set()
    requires: list[str] = []
    losses = False  # whether the parameter of the losses was found: the first positional one
    for each in parameters:
        positional = each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        if not losses and (positional or each.kind is each.VAR_POSITIONAL):
            losses = True
        elif each.kind is each.VAR_KEYWORD:
            takes.update(KEYWORDS)
        elif each.kind is not each.VAR_POSITIONAL:
            if each.name in KEYWORDS and each.kind is not each.POSITIONAL_ONLY:
                takes.add(each.name)
            if each.default is each.empty:
                requires.append(each.name)
    return Wanted(frozenset(takes), tuple(requires))


def _name(function: Any) -> str:  # any callable
    if isinstance(function, functools.partial):
        return _name(function.func)
    return str(getattr(function, "__qualname__", type(function).__name__))
