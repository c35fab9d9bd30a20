"""Every selector of `sampling.selection` as a method: NAME:SCORE, and NAME:SCORE:ARGUMENT=VALUE.

What a selector takes follows from its entry in the registry and its signature, so a selector that
is registered by `sampling.selection.method` appears here by itself.
"""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import _check
from ...record import Score, Selection
from ...samplers import EpochSampler, SubsetSampler, WeightedSampler
from ...selection import Method as Selector
from ...selection import Options, methods
from ...selection.core._before import check_settings
from ...selection.core._directions import meant
from ...selection.core._registry import takes_scores
from ._inputs import Inputs, can_fill, needs_of
from ._method import (
    CLASSES,
    DRAWS,
    LOSSES,
    Context,
    Lacking,
    Method,
    TrainingPlan,
    same,
    with_cleanlab,
)
from ._scores import SCORES, score_named, taken_with

_LIKELY = ("el2n", "dual", "label_quality")  # in examples: the first whose direction fits
_OPTIONAL = ("labels",)  # filled where the data have it, although a selector can do without
_OURS = ("seed", "budget", "already_selected", "ids", "costs")  # not for a user to set


@dataclass(frozen=True)
class Call:
    """A selector with the arguments that a name gives.

    Parameters
    ----------
    text : str
        The name, as in `--methods`.
    entry : Selector
        Its entry in the registry.
    scores : dict of str to str
        Parameters that take a score, and the name of the score.
    settings : dict of str to object
        Further arguments, as JSON values.
    by_class : bool
        Whether groups=labels was given.
    """

    text: str
    entry: Selector
    scores: dict[str, str]
    settings: dict[str, Any]
    by_class: bool

    def missing(self) -> list[str]:
        """Return the required parameters that nothing can fill."""
        return [name for name in self.inputs() if not can_fill(name)]

    def inputs(self) -> list[str]:
        """Return the parameters to be filled by `Inputs`: required ones, and labels."""
        given = {*self.scores, *self.settings, "budget"}
        return [
            name
            for name, parameter in _own(self.entry).items()
            if name not in given
            and (parameter.default is inspect.Parameter.empty or name in _OPTIONAL)
        ]

    def needs(self) -> tuple[str, ...]:
        """Return what the selector requires of the data."""
        found: dict[str, None] = {}
        for score in self.scores.values():
            found |= dict.fromkeys(needs_of(score))
        if self.by_class:
            found[CLASSES] = None
        for name in self.inputs():
            if name not in _OPTIONAL and can_fill(name):
                found |= dict.fromkeys(needs_of(name))
        return (*found, *(f"`{name}`" for name in self.missing()))

    def plan(self, context: Context) -> TrainingPlan:
        """Select, and return the plan of training on the selection."""
        missing = " and ".join(f"`{name}`" for name in self.missing())
        if missing:
            raise Lacking(f"needs {missing}, which the benchmark has for no data")
        inputs = Inputs(context, self.entry.clusters)
        arguments = self._arguments(inputs)
        first = arguments.pop(next(iter(_own(self.entry))))
        try:
            found = self.entry.function(first, context.draws, seed=context.seed, **arguments)
        except ValueError as error:  # refused by the selector, such as a score that is negative
            raise Lacking(f"is refused by `{self.entry.name}`: {error}") from error
        if not len(found):
            raise Lacking("kept no sample at this budget")
        return same(_sampler_of(self.entry, found, context), context, **_setting(found))

    def _arguments(self, inputs: Inputs) -> dict[str, Any]:
        found: dict[str, Any] = dict(self.settings)
        for argument, name in self.scores.items():
            found[argument] = inputs.score(name)
        for name in self.inputs():
            if name not in _OPTIONAL or inputs.context.has_labels:
                found[name] = self._score_of(name, inputs) if name in SCORES else inputs.get(name)
        if self.by_class:
            found["groups"] = inputs.context.labels
        return found

    def _score_of(self, argument: str, inputs: Inputs) -> Score:
        """Return the score for a parameter with the name of one, at the epoch of the chosen one."""
        chosen = next(iter(self.scores.values()), argument)
        if argument == "confidence" and SCORES[chosen].source in {"pilot", "classes"}:
            return inputs.score(taken_with("confidence", chosen))
        return inputs.score(argument)


def selector_method(text: str) -> Method:
    """Return the method of a selector, by its name, score and arguments.

    Raises
    ------
    ValueError, TypeError
        If an argument is unknown or out of range, or a score is missing, unknown, or of a direction
        that the selector cannot use.
    """
    call = _parsed(text)
    entry = call.entry
    help_ = entry.summary.rstrip(".").replace("`", "")
    if call.scores:
        facts = ", ".join(f"{name}, high is {SCORES[name].direction}" for name in
                          dict.fromkeys(call.scores.values()))  # fmt: skip
        help_ += f" ({facts})"
    return Method(
        help_,
        call.plan,
        needs=call.needs(),
        level=LOSSES if entry.weights and not entry.repeats else DRAWS,
        scores=True,
        resolve=with_cleanlab if "label_quality" in call.scores.values() else None,
    )


def selectors() -> dict[str, Selector]:
    """Return the registered selectors by name."""
    return methods()


def example(name: str) -> str:
    """Return the name of a selector with a score that it can use, and what else it requires."""
    entry = methods()[name]
    parts = [name]
    for argument in _score_parameters(entry):
        parts += [score for score in _LIKELY if _fits(entry, argument, score)][:1]
    for each, parameter in _own(entry).items():
        if parameter.annotation is float and _is_required(parameter) and not can_fill(each):
            parts.append(f"{each}={each.upper()}")
    return ":".join(parts)


def _parsed(text: str) -> Call:
    name, *parts = text.split(":")
    entry = methods()[name]
    chosen = [part for part in parts if "=" not in part]
    pairs = dict(part.split("=", 1) for part in parts if "=" in part)
    wanted = _score_parameters(entry)
    if len(chosen) != len(wanted):
        _refuse_count(text, entry, chosen, wanted)
    scores = {
        argument: _usable(entry, argument, score)
        for argument, score in zip(wanted, chosen, strict=True)
    }
    settings: dict[str, Any] = {}
    by_class = False
    for argument, value in pairs.items():
        _check_argument(text, entry, argument)
        if argument == "groups":
            _check.choice("groups", value, ("labels",))
            by_class = True
        elif takes_scores(entry, argument):
            scores[argument] = _usable(entry, argument, value)
        else:
            settings[argument] = _value(value)
    _refuse_missing(text, entry, {*scores, *settings})
    call = Call(text, entry, scores, settings, by_class)
    columns = {name: name for name in (*scores, *(("groups",) if by_class else ()))}
    if settings:
        numbers = {each: 1.0 for each in call.inputs() if _own(entry)[each].annotation is float}
        check_settings(entry.name, 0.5, columns, {**numbers, **settings})
    return call


def _own(entry: Selector) -> dict[str, inspect.Parameter]:
    """Return the parameters of a selector without the keywords of all."""
    return {
        name: parameter
        for name, parameter in entry.parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty and parameter.name != "budget"


def _score_parameters(entry: Selector) -> list[str]:
    """Return the required parameters that take a score which a user has to name."""
    return [
        name
        for name, parameter in _own(entry).items()
        if _is_required(parameter) and takes_scores(entry, name) and not can_fill(name)
    ]


def _fits(entry: Selector, argument: str, score: str) -> bool:
    try:
        meant(score, SCORES[score].direction, entry.minds.get(argument, (None,)))
    except ValueError:
        return False
    return True


def _usable(entry: Selector, argument: str, score: str) -> str:
    """Return a score that a parameter can use; refuse an unknown one, or of another direction."""
    direction = score_named(score, f"the score of {entry.name}").direction
    if not _fits(entry, argument, score):
        good = [name for name in SCORES if _fits(entry, argument, name)]
        raise ValueError(
            f"{argument} of {entry.name} must be a score of value, one of {', '.join(good)}, got "
            f"{score!r}, of which a high value means {direction!r}"
        )
    return score


def _refuse_count(text: str, entry: Selector, chosen: list[str], wanted: list[str]) -> None:
    if not wanted:
        raise ValueError(f"{entry.name} must be named without a score, got {text!r}")
    if not chosen:
        raise ValueError(
            f"{entry.name} must be named with a score, got {text!r}: write "
            f"{example(entry.name)!r}, or another of {', '.join(SCORES)}"
        )
    raise ValueError(
        f"{entry.name} must be named with {len(wanted)} score, got {len(chosen)} in {text!r}"
    )


def _check_argument(text: str, entry: Selector, argument: str) -> None:
    options = Options.__annotations__
    allowed = [name for name in (*_own(entry), *options) if name not in _OURS]
    if argument not in allowed:
        raise ValueError(
            f"{text!r} must name arguments of {entry.name}, {', '.join(allowed)}, got {argument!r}"
            f"{_check.closest(argument, allowed)}"
        )


def _refuse_missing(text: str, entry: Selector, given: set[str]) -> None:
    """Refuse a name without an argument that only a user can choose, a number without default."""
    for name, parameter in _own(entry).items():
        numeric = parameter.annotation in (int, float, str, bool)
        if _is_required(parameter) and numeric and name not in given and not can_fill(name):
            raise ValueError(
                f"{entry.name} must be named with {name}, got {text!r}: write {text}:{name}=VALUE"
            )


def _value(text: str) -> Any:
    """Return the value of an argument: JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _sampler_of(entry: Selector, found: Selection, context: Context) -> EpochSampler:
    """Return the sampler of a selection, with its weights; repeats are draws."""
    if not entry.repeats or found.weights is None:
        return SubsetSampler(found, seed=context.seed)
    uses = np.zeros(context.size)
    uses[found.indices] = found.weights
    return WeightedSampler(uses, round(float(uses.sum())), seed=context.seed)


def _setting(found: Selection) -> dict[str, float]:
    """Return the numbers that the selector chose itself."""
    numbers = {
        name: float(value)
        for name, value in found.info.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "seconds"
    }
    return {"kept": float(len(found))} | {k: v for k, v in numbers.items() if math.isfinite(v)}
