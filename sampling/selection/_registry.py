"""Every selector by name: what it needs, what it costs, and whether to use it.

The command line, the tests and the benchmarks read this list; a method is in it by standing under
`@method(...)` in a file of this package.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from time import perf_counter
from typing import Any, Literal, TypeVar, cast

from ..types import Selection

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
        In N rows, D dimensions, M kept, K clusters; memory beside the input.
    """

    name: str
    function: Callable[..., Selection]
    needs: str
    label: Label
    ranked: bool
    weights: str
    time: str
    memory: str


METHODS: dict[str, Method] = {}


def method(  # noqa: PLR0913  # the columns of the list
    *,
    needs: str,
    label: Label,
    ranked: bool,
    time: str,
    memory: str,
    weights: str = "",
) -> Callable[[F], F]:
    """Put a selector on the list."""

    def listed(function: F) -> F:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Selection:  # noqa: ANN401
            began = perf_counter()
            found = function(*args, **kwargs)
            return replace(found, info={**found.info, "seconds": perf_counter() - began})

        name = function.__name__
        METHODS[name] = Method(name, timed, needs, label, ranked, weights, time, memory)
        return cast(F, timed)

    return listed


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
