"""Your own code as a method: FILE.py:NAME, a class derived from `EpochSampler` or a function.

It is called with the keywords that its signature names among those of `INPUTS`, and scores by their
names. A function may return a sampler, a `Selection`, indices, or a `TrainingPlan`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import _check
from ..._check._keywords import short
from ...record import Selection
from ...samplers import EpochSampler, ScoredSampler, SubsetSampler
from ..tasks._function import loaded
from ._inputs import INPUTS, Inputs, can_fill, needs_of
from ._method import (
    DRAWS,
    LOSSES,
    SCHEDULE,
    Context,
    Lacking,
    Level,
    Method,
    TrainingPlan,
    Unreachable,
    same,
)
from ._scores import SCORES

SUFFIX = ".py"
_FORMS = "a class derived from sampling.samplers.EpochSampler, or a function"
_NONE = object()  # no value
_RETURNS = "an EpochSampler, a Selection, an array of indices, or a TrainingPlan"


def is_own(text: str) -> bool:
    """Return whether a name is that of your own code: FILE.py:NAME, or FILE.py."""
    return text.rpartition(":")[0].endswith(SUFFIX) or text.endswith(SUFFIX)


def own_method(text: str) -> Method:
    """Return the method of a class or function in a file, which is run as a module.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If there is no such file or name, if it is neither a class of samplers nor a function, or
        if it requires a parameter that the benchmark cannot fill.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(SUFFIX):
        raise ValueError(
            f"methods must name a class or function of a file, got {text!r}: write {text}:NAME"
        )
    path = _check.file(file, "a Python file")
    about = path.stat()
    made = _loaded(path.resolve(), name, about.st_mtime_ns, about.st_size)
    call = call_of(text, made)
    return Method(
        _summary(made) or f"{name} of {path.name}",
        call.plan,
        needs=call.needs(),
        level=call.level(),
        scores=True,
    )


@functools.lru_cache(maxsize=32)
def _loaded(path: Path, name: str, changed: int, size: int) -> Any:
    """Run a file once, until it changes."""
    return loaded(path, name, "methods")


def _summary(made: Any) -> str:
    return (inspect.getdoc(made) or "").partition("\n")[0].rstrip(".")


@dataclass(frozen=True)
class Call:
    """Your own class or function, and the parameters that it is called with.

    Parameters
    ----------
    text : str
        The name, as in `--methods`.
    made : object
        The class or function.
    target : callable
        What is called: `for_target` or the constructor of a class, or the function.
    parameters : dict of str to Parameter
        Those of `target`.
    """

    text: str
    made: Any
    target: Callable[..., Any]
    parameters: dict[str, inspect.Parameter]

    def filled(self) -> list[str]:
        """Return the parameters that are filled: see `Input`."""
        return [
            name
            for name, parameter in self.parameters.items()
            if can_fill(name) and (_may_fill(name, parameter) or _is_required(parameter))
        ]

    def needs(self) -> tuple[str, ...]:
        """Return what the required parameters need."""
        required = [name for name in self.filled() if _is_required(self.parameters[name])]
        return tuple(dict.fromkeys(each for name in required for each in needs_of(name)))

    def level(self) -> Level:
        """Return what a training script must do for it."""
        if isinstance(self.made, type):
            return LOSSES if issubclass(self.made, ScoredSampler) else DRAWS
        return SCHEDULE if {"losses", "context"} & set(self.parameters) else LOSSES

    def plan(self, context: Context) -> TrainingPlan:
        """Call it, and return the plan of the run."""
        inputs = Inputs(context)
        given = {
            name: value
            for name in self.filled()
            if (value := self._value(name, inputs)) is not _NONE
        }
        options = inspect.Parameter.VAR_KEYWORD
        if isinstance(self.made, type) and any(
            each.kind is options for each in self.parameters.values()
        ):
            given.setdefault("seed", context.seed)  # an option of every sampler
        kinds = {name: each.kind for name, each in self.parameters.items()}
        first = [name for name in kinds if kinds[name] is inspect.Parameter.POSITIONAL_ONLY]
        arguments = [given.pop(name) for name in first if name in given]
        try:
            found = self.target(*arguments, **given)
        except ValueError as error:
            if self.target is self.made or "unreachable" not in str(error):
                raise
            raise Unreachable(str(error)) from None
        return self._as_plan(found, context)

    def _value(self, name: str, inputs: Inputs) -> Any:
        """Return the value of a parameter; none if it is optional and the data lack it."""
        try:
            return inputs.get(name)
        except Lacking:
            if _is_required(self.parameters[name]):
                raise
        return _NONE

    def _as_plan(self, found: object, context: Context) -> TrainingPlan:
        if isinstance(found, TrainingPlan):
            return found
        if isinstance(found, EpochSampler):
            self._check_size(found.size, context)
            return same(found, context)
        if isinstance(found, Selection):
            return self._subset(found, context)
        if isinstance(found, Sequence | set) and not isinstance(found, str):
            found = np.array(sorted(found) if isinstance(found, set) else list(found))
        if hasattr(found, "__array__"):
            given: Any = found
            indices = _check.unique_rows(f"indices of {self.text}", given)
            return self._subset(Selection(indices), context)
        raise TypeError(f"{self.text} must return {_RETURNS}, got {short(found)}")

    def _subset(self, found: Selection, context: Context) -> TrainingPlan:
        if not len(found):
            raise ValueError(f"{self.text} must return a sample at least, got none")
        self._check_size(int(found.indices.max()) + 1, context)
        return same(SubsetSampler(found, seed=context.seed), context, kept=len(found))

    def _check_size(self, size: int, context: Context) -> None:
        if size > context.size:
            raise ValueError(
                f"{self.text} must draw indices in [0, {context.size}), the training samples, got "
                f"{size - 1}"
            )


def call_of(text: str, made: Any) -> Call:
    """Return how a class or function is called.

    Raises
    ------
    ValueError, TypeError
        If it is neither a class of samplers nor a function, or if it requires a parameter that the
        benchmark cannot fill.
    """
    if isinstance(made, type) and not issubclass(made, EpochSampler):
        raise TypeError(f"{text} must be {_FORMS}, got the class {made.__name__}")
    if not callable(made):
        raise TypeError(f"{text} must be {_FORMS}, got {short(made)}")
    target = getattr(made, "for_target", made) if isinstance(made, type) else made
    try:
        parameters = dict(inspect.signature(target).parameters)
    except ValueError as error:
        raise TypeError(f"{text} must have a signature that Python can read: {error}") from error
    for name, parameter in parameters.items():
        if _is_required(parameter) and not can_fill(name):
            names = (*INPUTS, *SCORES)
            raise ValueError(
                f"{text} must require only parameters that the benchmark can fill, got {name!r}"
                f"{_check.closest(name, names)}; they are {', '.join(INPUTS)}, and the scores "
                f"{', '.join(SCORES)}"
            )
    if target is not made:  # for_target passes on the arguments of the constructor
        for name, parameter in inspect.signature(made).parameters.items():
            if can_fill(name) and _is_required(parameter):
                parameters.setdefault(name, parameter)
    return Call(text, made, target, parameters)


def _is_required(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _may_fill(name: str, parameter: inspect.Parameter) -> bool:
    """Return whether an optional parameter is filled: a number of the run, or None by default."""
    return parameter.default is None or (name in INPUTS and INPUTS[name].plain)
