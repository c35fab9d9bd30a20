"""Every selector by name: what it needs, what it costs, and whether to use it.

The command line, the tests and the benchmarks read this list; a method is in it by standing under
`@method(...)` in a file of this package.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from time import perf_counter
from typing import Any, Literal, TypeVar, cast, get_args

from .. import _check
from ..types import Selection
from ._cost import Estimate, bytes_of, check_formula, of_call, refuse_over

__all__ = ["METHODS", "Method", "method", "methods"]

Label = Literal["recommended", "baseline", "for replication"]
F = TypeVar("F", bound=Callable[..., Selection])


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


METHODS: dict[str, Method] = {}


def method(  # noqa: PLR0913  # the columns of the list
    *,
    needs: str,
    label: Label,
    ranked: bool,
    time: str,
    memory: str,
    weights: str = "",
    clusters: Callable[[int], int] | None = None,
) -> Callable[[F], F]:
    """Put a selector on the list."""
    label = _check.choice("label", label, get_args(Label))
    ranked = _check.flag("ranked", ranked)

    def listed(function: F) -> F:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Selection:  # noqa: ANN401
            need = _needed(METHODS[function.__name__], args, kwargs)
            began = perf_counter()
            found = function(*args, **kwargs)
            info = {**found.info, "seconds": perf_counter() - began}
            if need is not None:
                info["estimate"] = {"memory": need.memory, "seconds": need.seconds}
                every = 4 * need.sizes["N"] * need.sizes["D"]
                if "R" in need.memory_formula and need.sizes["R"] not in (0, every):
                    info["path"] = "centers found from those rows that fit into max_memory"
            return replace(found, info=info)

        name = function.__name__
        check_formula(f"time of {name}", time)
        check_formula(f"memory of {name}", memory)
        METHODS[name] = Method(name, timed, needs, label, ranked, weights, time, memory, clusters)
        return cast(F, timed)

    return listed


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


def methods() -> dict[str, Method]:
    """Return every selector by name.

    Examples
    --------
    >>> methods()["top"].label
    'baseline'
    """
    return dict(sorted(METHODS.items()))


def takes(name: str, argument: str) -> bool:
    """Return whether a selector has an argument of its own of that name."""
    return name in METHODS and argument in inspect.signature(METHODS[name].function).parameters


def describe(value: Any) -> Any:  # noqa: ANN401  # any argument
    """Return an argument as JSON has it; an array as its shape and type."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(name): describe(each) for name, each in value.items()}
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        if not value.shape:
            return value.item()
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return [describe(each) for each in value] if len(value) <= 16 else f"{len(value)} values"
    return type(value).__name__
