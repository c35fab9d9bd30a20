"""Registry of all selectors, with their inputs, costs and recommendation.

The command line, the tests and the benchmarks read this registry; a method is registered by the
decorator `@method(...)` in a file of this package.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from time import perf_counter
from typing import Any, Literal, TypeVar, cast, get_args

from ... import _check
from ..._check._keywords import told
from ...io import directed
from ...record import Direction, Score, Selection
from ._cost import Estimate, bytes_of, check_formula, of_call, refuse_over
from ._directions import Meanings, meant, turn_scores
from ._exact import exact

__all__ = ["METHODS", "Method", "method", "methods"]

Label = Literal["recommended", "baseline", "for replication"]
F = TypeVar("F", bound=Callable[..., Selection])


@told
@dataclass(frozen=True)
class Method:
    """Entry of a selector in the registry.

    Attributes
    ----------
    name : str
    function : callable
    needs : str
        Its main input: "scores", "embeddings", "clusters" or "probabilities".
    label : {"recommended", "baseline", "for replication"}
    ranked : bool
        Whether the selection is ranked: one run then serves every smaller budget.
    weights : str
        Definition of its weights; "" if it has none.
    time, memory : str
        Formulas of N rows, D dimensions, M kept, K clusters, C classes, k neighbours, I passes of
        k-means (0 if clusters are given), S steps; P, the memory for pairs that `max_memory`
        leaves, and R, that of the rows that k-means is trained on: 4 N D bytes, or half of
        `max_memory`. Memory is in bytes, in addition to the input. `estimate` evaluates them.
    clusters : callable, optional
        Takes N and returns the default K, if that is not about sqrt(N / 2).
    minds : mapping of str to tuple
        Scores whose direction affects the selection: argument -> the direction it is converted to,
        "harder" or "keep"; if neither applies, None uses the values unchanged. For an array without
        a direction the first is assumed, and `info["directions"]` records it.
    version : int
        Version of the algorithm, incremented whenever equal arguments select different rows.
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
def method(  # noqa: PLR0913  # the columns of the registry
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
    """Register a selector."""
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
                    info["path"] = "centers trained on the rows that fit into max_memory"
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
    """Return the arguments of a call with scores converted to the directions that the method uses.

    Also returns these directions. Arguments that do not fit the signature are returned unchanged:
    the call itself raises the error.
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
    """Return the estimated cost of a call, and refuse it if it exceeds `max_memory`.

    None if the arguments do not fit the signature or have no shape: the method itself raises the
    error.
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
    """Return all selectors by name.

    Examples
    --------
    >>> methods()["top"].label
    'baseline'
    """
    return dict(sorted(METHODS.items()))


def made_by(name: str) -> dict[str, Any]:
    """Return what determines the result of a stage next to its arguments: version and defaults.

    Names without a selector, such as "filter", have neither.
    """
    if name not in METHODS:
        return {}
    known = inspect.signature(METHODS[name].function).parameters
    empty = inspect.Parameter.empty
    defaults = {each: exact(own.default) for each, own in known.items() if own.default is not empty}
    return {"version": METHODS[name].version, "defaults": defaults}


def takes(name: str, argument: str) -> bool:
    """Return whether a selector has its own argument of the given name."""
    return name in METHODS and argument in inspect.signature(METHODS[name].function).parameters


def takes_scores(entry: Method, argument: str) -> bool:
    """Return whether an argument of a method may be a `Score`."""
    parameter = inspect.signature(entry.function).parameters.get(argument)
    return parameter is not None and Score in get_args(parameter.annotation)


def directed_for(
    entry: Method, argument: str, text: str, names: Sequence[str]
) -> tuple[str, Direction | None]:
    """Parse COLUMN or COLUMN:DIRECTION for an argument, and check that the direction applies."""
    column, direction = directed(text, names)
    if direction is None:
        return column, None
    if not takes_scores(entry, argument):
        raise ValueError(f"{argument} must be a column without a direction, got {text!r}")
    if argument in entry.minds:
        meant(f"{argument}, column {column!r}", direction, entry.minds[argument])
    return column, direction


def describe(value: Any) -> Any:  # noqa: ANN401  # any argument
    """Return an argument as JSON values; an array as its dtype and shape."""
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
