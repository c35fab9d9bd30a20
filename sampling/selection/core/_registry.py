"""Registry of all selectors, with their inputs, costs and recommendation.

The command line, the tests and the benchmarks read this registry; a method is registered by the
decorator `@method(...)`.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ... import _check
from ..._check._keywords import told
from ..._entry import NOT_MEASURED, Entry, evidence_of
from ...engine import Local, current
from ...io import directed
from ...record import Direction, Score, Selection
from ._cost import Cost, Sizes
from ._directions import Meanings, meant
from ._exact import exact

__all__ = ["METHODS", "Label", "Method", "known_method", "methods"]

Label = Literal["recommended", "baseline", "for replication"]
_VERDICTS = {
    "recommended": "recommended",
    "baseline": "control",
    "for replication": "replication",
}


@told
@dataclass(frozen=True)
class Method:
    """Entry of a selector in the registry.

    Attributes
    ----------
    name : str
    function : callable
    needs : str
        Its main input: "scores", "embeddings", "gradients", "clusters", "probabilities" or
        "texts".
    label : {"recommended", "baseline", "for replication"}
    ranked : bool
        Whether the selection is ranked: one run then serves every smaller budget.
    weights : str
        Definition of its weights; "" if it has none.
    cost : callable
        Takes `Sizes` and returns a `Cost`; `estimate` evaluates it.
    clusters : callable, optional
        Takes N and returns the default K, if that is not about sqrt(N / 2).
    minds : mapping of str to tuple
        Scores whose direction affects the selection: argument -> the direction it is converted to,
        "harder" or "keep"; if neither applies, None uses the values unchanged. For an array without
        a direction the first is assumed, and `info["directions"]` records it.
    fixed_size : bool
        Whether it keeps exactly as many rows as the budget.
    repeats : bool
        Whether a row may be kept several times, so that the budget may exceed N.
    own_costs : bool
        Whether it applies `costs` itself. For all others `select` does, if they are ranked.
    version : int
        Version of the algorithm, incremented whenever equal arguments select different rows.
    local_only : bool
        Whether all of its work is done by one process, so that another engine is refused.
    elsewhere : mapping of str to object
        An argument, and the value with which another engine is accepted nevertheless.
    source : str
        Paper and year, for tables; "" if there is no single one.
    evidence : str
        What was measured in addition to the comparisons of the benchmark, or "not measured".
    entry : Entry
        What it is for, its paper, our verdict and the evidence, as of the other registries.
    wide : bool
        Whether it reads an array of shape (N, D), of embeddings or gradients.
    parameters : mapping of str to inspect.Parameter
    summary : str
        What it does: the first sentence of its docstring.
    time, memory : str
        Its cost in words, from the first sentence of the item "Cost" of the notes in its
        docstring, such as "O(N log N) time; 50 N bytes."
    """

    name: str
    function: Callable[..., Selection]
    needs: str
    label: Label
    ranked: bool
    weights: str
    cost: Callable[[Sizes], Cost]
    clusters: Callable[[int], int] | None = None
    minds: Mapping[str, Meanings] = field(default_factory=dict)
    fixed_size: bool = True
    repeats: bool = False
    own_costs: bool = False
    version: int = 1
    local_only: bool = False
    elsewhere: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    evidence: str = NOT_MEASURED

    @property
    def entry(self) -> Entry:
        """What it is for, its paper, our verdict and the evidence, as of the other registries."""
        use = self.summary[0].lower() + self.summary[1:].removesuffix(".")
        return Entry(use, self.source, _VERDICTS[self.label], evidence_of(self.name, self.evidence))

    @property
    def wide(self) -> bool:
        """Whether it reads an array of shape (N, D), of embeddings or gradients."""
        return "embeddings" in self.needs or self.needs == "gradients"

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Parameters of the function by name, with their annotations evaluated."""
        return _parameters(self.function)

    @property
    def summary(self) -> str:
        """What it does: the first sentence of its docstring."""
        first = (inspect.getdoc(self.function) or "").partition("\n\n")[0]
        return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(first.split()), maxsplit=1)[0]

    @property
    def time(self) -> str:
        """Its time in words, from its docstring."""
        return self._cost_note().partition("; ")[0].replace(" time", "", 1)

    @property
    def memory(self) -> str:
        """Its memory in words, from its docstring."""
        return self._cost_note().partition("; ")[2].partition(". ")[0].removesuffix(".")

    def _cost_note(self) -> str:
        """Return the item "Cost" of the notes, without line breaks."""
        lines = (inspect.getdoc(self.function) or "").splitlines()
        start = lines.index("Cost") + 1 if "Cost" in lines else len(lines)
        end = next((at for at in range(start, len(lines)) if lines[at][:1].strip()), len(lines))
        return " ".join(" ".join(lines[start:end]).split())


METHODS: dict[str, Method] = {}


@functools.cache
def _parameters(function: Callable[..., Selection]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a selector; annotations may be text, as `__future__` makes them."""
    return inspect.signature(inspect.unwrap(function), eval_str=True).parameters


@told
def methods() -> dict[str, Method]:
    """Return all selectors by name.

    Examples
    --------
    >>> methods()["top"].label, methods()["top"].summary
    ('baseline', 'Keep the rows with the highest scores, in descending order.')
    """
    return dict(sorted(METHODS.items()))


def known_method(name: str) -> Method:
    """Return a selector by name; refuse an unknown name."""
    if name not in METHODS:
        raise ValueError(
            f"method must be one of {', '.join(sorted(METHODS))}, got {name!r}"
            f"{_check.closest(name, METHODS)}"
        )
    return METHODS[name]


def refuse_engine(entry: Method, given: Mapping[str, Any]) -> None:
    """Refuse a method that works in one process only, inside a `use` of another engine.

    given : arguments of the call
    """
    if entry.local_only and not isinstance(current(), Local):
        for name, value in entry.elsewhere.items():
            own = given.get(name, entry.parameters[name].default)
            if own == value:
                return
            raise ValueError(
                f"{name} must be {value!r} for {entry.name} with the engine "
                f"{type(current()).__name__}, got {own!r}: pass {name}={value!r}, which makes "
                "other picks (the same with every engine), or run it without --engine (in Python, "
                "outside engine.use)"
            )
        others = [
            name
            for name, each in sorted(METHODS.items())
            if "embeddings" in each.parameters and not each.local_only
        ]
        raise ValueError(
            f"{entry.name} must run with the engine Local, which has all rows in one process, got "
            f"{type(current()).__name__}: run it without --engine (in Python, outside engine.use), "
            f"on fewer rows if they are too many, or use one of {', '.join(others)}"
        )


def made_by(name: str) -> dict[str, Any]:
    """Return what determines the result of a stage next to its arguments: version and defaults.

    Names without a selector, such as "filter", have neither.
    """
    if name not in METHODS:
        return {}
    known = METHODS[name].parameters
    empty = inspect.Parameter.empty
    defaults = {each: exact(own.default) for each, own in known.items() if own.default is not empty}
    return {"version": METHODS[name].version, "defaults": defaults}


def takes(name: str, argument: str) -> bool:
    """Return whether a selector has its own argument of the given name."""
    return name in METHODS and argument in METHODS[name].parameters


def takes_scores(entry: Method, argument: str) -> bool:
    """Return whether an argument of a method may be a `Score`."""
    parameter = entry.parameters.get(argument)
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
