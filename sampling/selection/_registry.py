"""Every selector by name: what it needs, what it costs, and whether to use it.

The command line, the tests and the benchmarks read this list; a method is in it by standing under
`@method(...)` in a file of this package.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from time import perf_counter
from typing import Any, Literal, TypeVar, cast, get_args

from .. import _check
from .._keywords import told
from ..io import directed
from ..types import Direction, Score, Selection
from ._cost import Estimate, bytes_of, check_formula, of_call, refuse_over
from ._directions import Meanings, meant, turn_scores
from ._exact import exact

__all__ = ["METHODS", "Method", "method", "methods"]

Label = Literal["recommended", "baseline", "for replication"]
F = TypeVar("F", bound=Callable[..., Selection])


@told
@dataclass(frozen=True)
class Method:
    """One selector.

    Attributes
    ----------
    name : str
    function : callable
    needs : str
        What it reads first: "scores", "embeddings", "clusters" or "probabilities".
    label : {"recommended", "baseline", "for replication"}
    ranked : bool
        Its picks are in order: one run serves every smaller budget.
    weights : str
        What its weights add up to; "" if it gives none.
    time, memory : str
        Formulas of N rows, D dimensions, M kept, K clusters, C classes, k neighbours, I passes of
        k-means (0 if clusters are given), S steps; P, what `max_memory` leaves for pairs, and R,
        rows from which k-means finds its centers: 4 N D bytes, or half of `max_memory`.
        Memory in bytes, beside the input. `estimate` evaluates them.
    clusters : callable, optional
        From N to the K that is taken by default, where that is not about sqrt(N / 2).
    minds : mapping of str to tuple
        Scores whose direction changes the selection: argument -> what a high value is turned to
        mean, "harder" or "keep"; where neither fits, None takes the values as they are. Of an array
        without a direction the first is assumed, and `info["directions"]` says so.
    version : int
        Of the algorithm: higher each time that equal arguments select other rows than before.
    """

    name: str
    function: Callable[..., Selection]
    needs: str
    label: Label
    ranked: bool
    weights: str
    time: str
    memory: str
    clusters: Callable[[int], int] | None = None
    minds: Mapping[str, Meanings] = field(default_factory=dict)
    version: int = 1


METHODS: dict[str, Method] = {}


@told
def method(  # noqa: PLR0913  # the columns of the list
    *,
    needs: str,
    label: Label,
    ranked: bool,
    time: str,
    memory: str,
    weights: str = "",
    clusters: Callable[[int], int] | None = None,
    minds: Mapping[str, Meanings] | None = None,
    version: int = 1,
) -> Callable[[F], F]:
    """Put a selector on the list."""
    label = _check.choice("label", label, get_args(Label))
    ranked = _check.flag("ranked", ranked)
    minds = {} if minds is None else _check.mapping("minds", minds)

    def listed(function: F) -> F:
        @told
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Selection:  # noqa: ANN401
            entry = METHODS[function.__name__]
            args, kwargs, directions = _turned(entry, args, kwargs)
            need = _needed(entry, args, kwargs)
            began = perf_counter()
            found = function(*args, **kwargs)
            info = {**found.info, "seconds": perf_counter() - began}
            if directions:
                info["directions"] = directions
            if need is not None:
                info["estimate"] = {"memory": need.memory, "seconds": need.seconds}
                every = 4 * need.sizes["N"] * need.sizes["D"]
                if "R" in need.memory_formula and need.sizes["R"] not in (0, every):
                    info["path"] = "centers found from those rows that fit into max_memory"
            return replace(found, info=info)

        name = function.__name__
        check_formula(f"time of {name}", time)
        check_formula(f"memory of {name}", memory)
        METHODS[name] = Method(
            name, timed, needs, label, ranked, weights, time, memory, clusters, dict(minds), version
        )
        return cast(F, timed)

    return listed


def _turned(
    entry: Method, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, dict[str, str]]]:
    """Return the arguments of a call with scores turned as the method minds, and what was said.

    They are returned as they are where they do not fit the signature: the call says what is wrong.
    """
    if not entry.minds:
        return args, kwargs, {}
    try:
        bound = inspect.signature(entry.function).bind(*args, **kwargs)
    except TypeError:
        return args, kwargs, {}
    directions = turn_scores(entry.minds, bound.arguments)
    return bound.args, bound.kwargs, directions


def _needed(entry: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Estimate | None:
    """Return what a call will need, and refuse it where that is more than `max_memory`.

    None where the arguments do not fit the signature or have no shape: the method says what is
    wrong with them.
    """
    try:
        bound = inspect.signature(entry.function).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    first, budget, *_ = [*bound.arguments.values(), None]
    limit = kwargs.get("max_memory")
    limit = None if limit is None else bytes_of(limit, 0)
    settings = {**bound.arguments, **bound.arguments.get("options", {})}
    need = of_call(entry, first, settings, budget)
    if need is not None and limit is not None:
        refuse_over(need, limit)
    return need


@told
def methods() -> dict[str, Method]:
    """Return every selector by name.

    Examples
    --------
    >>> methods()["top"].label
    'baseline'
    """
    return dict(sorted(METHODS.items()))


def made_by(name: str) -> dict[str, Any]:
    """Return what a stage's result depends on beside its arguments: the version, and defaults.

    Names without a selector, such as "filter", have neither.
    """
    if name not in METHODS:
        return {}
    known = inspect.signature(METHODS[name].function).parameters
    empty = inspect.Parameter.empty
    defaults = {each: exact(own.default) for each, own in known.items() if own.default is not empty}
    return {"version": METHODS[name].version, "defaults": defaults}


def takes(name: str, argument: str) -> bool:
    """Return whether a selector has an argument of its own of that name."""
    return name in METHODS and argument in inspect.signature(METHODS[name].function).parameters


def takes_scores(entry: Method, argument: str) -> bool:
    """Return whether an argument of a method may be a `Score`."""
    parameter = inspect.signature(entry.function).parameters.get(argument)
    return parameter is not None and Score in get_args(parameter.annotation)


def directed_for(
    entry: Method, argument: str, text: str, names: Sequence[str]
) -> tuple[str, Direction | None]:
    """Read COLUMN or COLUMN:DIRECTION for an argument, which must be able to have the direction."""
    column, direction = directed(text, names)
    if direction is None:
        return column, None
    if not takes_scores(entry, argument):
        raise ValueError(f"{argument} must be a column without a direction, got {text!r}")
    if argument in entry.minds:
        meant(f"{argument}, column {column!r}", direction, entry.minds[argument])
    return column, direction


def describe(value: Any) -> Any:  # noqa: ANN401  # any argument
    """Return an argument as JSON has it; an array as its shape and type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Score):
        return describe(value.values)
    if isinstance(value, dict):
        return {str(name): describe(each) for name, each in value.items()}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if not value.shape:
            return value.item()
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return [describe(each) for each in value] if len(value) <= 16 else f"{len(value)} values"
    return type(value).__name__
