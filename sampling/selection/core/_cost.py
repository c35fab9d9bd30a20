"""Estimate the time and memory of a selector by evaluating its own formulas.

Formulas are given by `Method.time` and `Method.memory`, such as "N K D + N^2 D / K": adjacent
numbers and letters are multiplied, `log` and `sqrt` apply to the next letter or to an expression in
brackets. "A, or B with x" is B if the argument x is given.
"""

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...record import Score

if TYPE_CHECKING:
    from ._registry import Method

__all__ = ["Estimate", "bytes_of", "estimate", "refuse_over", "say"]

LETTERS = "NDMKCkISPR"
_FIXED = 64 * 2**20  # blocks, of a size that does not depend on the data
_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_DECIMAL = {"KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_TOKEN = re.compile(r"\s*(\d+|log|sqrt|[A-Za-z]|[+/^()])")
_PASSES = 26  # passes of k-means: its iterations, and the exact assignment
_DEFAULT_MEMORY = 2**30
# Operations per second on two cores of a server, from runs of each method at two sizes.
_PRODUCTS, _STEPS, _START = 2e10, 6e7, 0.002
_HELPS = {
    "N": "fewer rows", "D": "fewer dimensions", "k": "fewer neighbours", "M": "a smaller budget",
    "K": "fewer clusters",
}  # fmt: skip


@told
@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a selector.

    Attributes
    ----------
    method : str
    memory : int
        Peak memory in bytes, in addition to the input and the libraries, including 64 MiB for
        blocks. The first call of a process also loads libraries, about 50 MiB.
    seconds : float
        A rough estimate, for two cores of a server.
    sizes : dict of str to float
        Values of the letters in the formulas.
    time_formula, memory_formula : str
        The parts of `Method.time` and `Method.memory` that apply.
    """

    method: str
    memory: int
    seconds: float
    sizes: dict[str, float]
    time_formula: str
    memory_formula: str


@told
def estimate(
    method: str,
    size: int,
    dimensions: int | None = None,
    *,
    budget: float | None = None,
    classes: int = 1,
    **settings: Any,  # noqa: ANN401  # any argument of the method
) -> Estimate:
    """Estimate the cost of a selector for data of a given size, without the data.

    Parameters
    ----------
    method : str
        One of `methods()`.
    size : int
        N.
    dimensions : int, optional
        D, required if the method reads embeddings.
    budget : int or float, optional
        M as a count, or as a fraction of N; all rows by default.
    classes : int, default 1
        C, the number of classes, if the method reads labels or probabilities.
    **settings
        Arguments of the method that affect its cost, such as `clusters` or `num_neighbours`.

    Returns
    -------
    Estimate
        Memory and seconds. `max_memory` of every selector is compared with this memory, and
        `info["estimate"]` of a selection holds both.

    Raises
    ------
    ValueError
        If there is no such method; if it reads embeddings and `dimensions` is not given.
    TypeError
        If it has no such argument.

    Notes
    -----
    Cost
        O(1).
    Source
        The formulas of `methods()`. A term with D counts the multiplications and additions of
        matrix products, any other term steps over rows in memory. The two speeds, 2e10 and 6e7 per
        second, are from a run of each method on two cores (`benchmarks/every_selector.py`, 100,000
        rows of 64 numbers, a fifth of them for methods that compare all pairs): there the measured
        time is between a third and three times the estimate, except for `moderate` (five times),
        whose medians are not matrix products. Other machines and shapes add their own factor. The
        peak resident set size was below the estimate in a run of every method in a fresh process
        (`benchmarks/selector_memory.py`).

    Examples
    --------
    >>> estimate("top", 10**8, budget=0.1).memory >= 25 * 10**8
    True
    >>> estimate("semdedup", 10**6, 256, budget=0.5).sizes["K"] > 1
    True
    """
    from ._options import Options
    from ._registry import METHODS  # it imports this file

    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(sorted(METHODS))}, got {method!r}")
    entry = METHODS[method]
    size = _check.integer("size", size, 1)
    known = inspect.signature(entry.function).parameters
    unknown = set(settings) - set(known) - set(Options.__annotations__)
    if unknown:
        wrong = sorted(unknown)[0]
        near = _check.closest(wrong, [*known, *Options.__annotations__])
        raise TypeError(f"{method} has no argument {wrong!r}{near}")
    if "embeddings" in entry.needs and dimensions is None:
        raise ValueError(f"dimensions must be given for {method}, which reads embeddings, got None")
    if dimensions is not None:
        dimensions = _check.integer("dimensions", dimensions, 1)
    classes = _check.integer("classes", classes, 1)
    defaults = {name: each.default for name, each in known.items()}
    return evaluate(entry, size, dimensions or 1, classes, {**defaults, **settings}, budget)


def evaluate(
    entry: "Method",
    size: int,
    dimensions: int,
    classes: int,
    settings: Mapping[str, Any],
    budget: float | None,
) -> Estimate:
    """Return the estimate for given sizes."""
    clusters, passes = _clusters(entry, size, settings.get("clusters"))
    values = {
        "N": size,
        "D": dimensions,
        "C": min(classes, size),
        "M": _rows(size, None if settings.get("costs") is not None else budget),
        "K": clusters,
        "I": passes,
        "k": min(_listed(settings.get("num_neighbours")), size),
        "S": settings.get("max_iter") or 1,
        "P": 0,
        "R": 0,
    }
    if passes:  # float32 rows that centers are trained on, as in `points_limit`
        limit = bytes_of(settings.get("max_memory"), 2**62)
        every = 4 * size * dimensions
        values["R"] = every if 4 * every <= limit else limit // 2
    time, memory = choice(entry.time, settings), choice(entry.memory, settings)
    seconds = _START
    for term, amount in terms(time, values):
        seconds += amount / (_PRODUCTS if "D" in term else _STEPS)
    need = _FIXED + sum(amount for _, amount in terms(memory, values))
    if "P" in memory:  # memory left for pairs by max_memory, at most that of all pairs
        room = bytes_of(settings.get("max_memory"), _DEFAULT_MEMORY) - need
        values["P"] = max(0, min(room, 16 * size + 1.1 * size * size))
        need += values["P"]
    return Estimate(entry.name, math.ceil(need), float(f"{seconds:.2e}"), values, time, memory)


def of_clusters(
    size: int, dimensions: int, n_clusters: int, n_iter: int, limit: "int | str | None"
) -> tuple[int, float]:
    """Return the bytes and seconds of k-means within `max_memory`."""
    held = min(4 * size * dimensions, bytes_of(limit, 2**62) // 2)
    passes = n_iter * held / (4 * size * dimensions) + 2
    seconds = passes * size * n_clusters * dimensions / _PRODUCTS
    return _FIXED + held + 40 * size, float(f"{seconds:.2e}")


def _rows(size: int, budget: float | None) -> float:
    """Return M for any budget; an invalid one is refused by the method."""
    if isinstance(budget, float | np.floating) and 0.0 < budget <= 1.0:
        return max(1.0, float(budget) * size)
    if isinstance(budget, int | np.integer) and budget >= 1:
        return float(budget)
    return float(size)


def _clusters(entry: "Method", size: int, given: object) -> tuple[int, int]:
    """Return K, and the passes of k-means, 0 if a clustering is given."""
    from ._clusters import default_clusters

    if given is None or given is inspect.Parameter.empty:
        return (entry.clusters or default_clusters)(size), _PASSES
    if isinstance(given, int | np.integer):
        return max(1, min(int(given), size)), _PASSES
    return len(given.centers) if hasattr(given, "centers") else 1, 0


def _listed(given: Any) -> int:  # noqa: ANN401  # a number, a graph, or nothing
    """Return k, the number of neighbours."""
    return given.indices.shape[1] if hasattr(given, "indices") else (given or 1)


def of_call(
    entry: "Method", first: object, arguments: Mapping[str, Any], budget: float | None
) -> Estimate | None:
    """Return the estimate for the arguments of a call; None for data without a length."""
    shape = _shape(first)
    if not shape or shape[0] == 0:
        return None
    rows = arguments.get("embeddings")
    wide = shape if rows is None or rows is inspect.Parameter.empty else _shape(rows)
    reads = "embeddings" in entry.needs or wide is not shape
    dimensions = wide[1] if reads and len(wide) == 2 else 1
    classes = shape[1] if not reads and len(shape) == 2 else 1
    labels = arguments.get("labels")
    if labels is not None:
        classes = _labels.grouped("labels", labels)[0].size
    return evaluate(entry, shape[0], max(1, dimensions), max(1, classes), arguments, budget)


def _shape(data: object) -> tuple[int, ...]:
    """Return the shape of an array-like, without converting it."""
    if isinstance(data, Score):
        data = data.values
    if hasattr(data, "shape"):
        return tuple(int(each) for each in data.shape)
    if not isinstance(data, list | tuple):
        return ()
    inner = (len(data[0]),) if data and hasattr(data[0], "__len__") else ()
    return (len(data), *inner)


def refuse_over(need: Estimate, limit: int) -> None:
    """Refuse a call that is estimated to exceed the memory limit, before it starts."""
    if need.memory <= limit or "P" in need.memory_formula:
        return
    parts = terms(need.memory_formula, need.sizes)
    letters = [each for each in max(parts, key=lambda part: part[1])[0] if each in _HELPS]
    shown = ", ".join(f"{each}={need.sizes[each]:.12g}" for each in _letters(need.memory_formula))
    raise ValueError(
        f"max_memory must be at least {say(need.memory)}, the estimate for {need.method} "
        f"({need.memory_formula} for {shown}, and 64 MiB), got {say(limit)}; use "
        f"{' or '.join(_HELPS[each] for each in letters) or 'another method'}"
    )


def say(size: int) -> str:
    """Format a number of bytes with a unit."""
    power = min(4, max(0, (size.bit_length() - 1) // 10))
    return f"{size / 2 ** (10 * power):.4g} {list(_UNITS)[power]}"


def bytes_of(limit: "int | str | None", default: int) -> int:
    """Parse a limit given in bytes, or as text such as "4GiB" or "500 MB"."""
    if limit is None:
        return default
    if not isinstance(limit, str):
        return _check.integer("max_memory", limit, 1)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", limit)
    unit = found[2] if found else ""
    if found is None or not (unit in _UNITS or unit in _DECIMAL):
        raise ValueError(f"max_memory must be bytes, or a text such as '4GiB', got {limit!r}")
    times = 2.0 ** _UNITS[unit] if unit in _UNITS else _DECIMAL[unit]
    return _check.integer("max_memory", int(float(found[1]) * times), 1)


# ---------------------------------------------------------------------- formulas


def check_formula(name: str, text: str) -> None:
    """Refuse text that is not a formula."""
    parts = [part.partition(" with ")[0] for part in text.split(", or ")]
    try:
        terms(" + ".join(part.removesuffix(" bytes") for part in parts), dict.fromkeys(LETTERS, 2))
    except ValueError as error:
        raise ValueError(
            f"{name} must be a formula of {', '.join(LETTERS)}, such as 'N K D + N^2 D / K', "
            f"got {text!r}: {error}"
        ) from error


def choice(text: str, settings: Mapping[str, Any]) -> str:
    """Return the branch of a formula that applies: "A, or B with x" is B if x is given."""
    first, *others = text.split(", or ")
    for other in others:
        formula, _, argument = other.partition(" with ")
        given = settings.get(argument)
        if given is not None and given is not inspect.Parameter.empty:
            return formula
    return first


def terms(formula: str, values: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return each term of a sum as text, and its value."""
    text = formula.removesuffix(" bytes")
    return [(each.strip(), _Reader(each, values).term()) for each in text.split(" + ")]


def _letters(formula: str) -> list[str]:
    words = re.sub(r"log|sqrt|bytes", " ", formula)
    return [each for each in LETTERS if each in words]


class _Reader:
    """Parser of one term: a product of factors, divided by another."""

    def __init__(self, text: str, values: Mapping[str, float]) -> None:
        self.values, self.tokens, at = values, list[str](), 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"{text[at:].strip()!r} is not understood")
            self.tokens.append(found[1])
            at = found.end()

    def term(self) -> float:
        found = self.factors()
        if self.tokens[:1] == ["/"]:
            del self.tokens[0]
            found /= self.factors()
        if self.tokens:
            raise ValueError(f"{' '.join(self.tokens)!r} is not understood")
        return found

    def factors(self) -> float:
        found = self.factor()
        while self.tokens and self.tokens[0] not in {"/", ")"}:
            found *= self.factor()
        return found

    def factor(self) -> float:
        if not self.tokens:
            raise ValueError("a factor is missing")
        token = self.tokens.pop(0)
        if token in {"log", "sqrt"}:
            power = self.power()
            if self.tokens[:1] == ["("]:
                del self.tokens[0]
                inner = self.factors()
                if self.tokens[:1] != [")"]:
                    raise ValueError("a bracket is not closed")
                del self.tokens[0]
            else:
                inner = self.factor()
            return float((math.sqrt(inner) if token == "sqrt" else _log(inner)) ** power)
        if token.isdigit():
            return float(token)
        if token not in self.values:
            raise ValueError(f"{token!r} is not understood")
        return float(self.values[token]) ** self.power()

    def power(self) -> int:
        if self.tokens[:1] != ["^"]:
            return 1
        if len(self.tokens) < 2 or not self.tokens[1].isdigit():
            raise ValueError("a power is missing")
        found = int(self.tokens[1])
        del self.tokens[:2]
        return found


def _log(value: float) -> float:
    """Return log2, the number of halvings."""
    return math.log2(max(value, 2.0))
