"""Estimates of the time and memory of a selector, from its cost function."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ... import _check
from ..._check import _labels
from ..._check._keywords import told
from ...record import Score
from ._clusters import default_clusters
from ._cost import FIXED, Cost, Sizes, kmeans_cost
from ._memory import bytes_of, say
from ._options import Options
from ._registry import Method, known_method
from ._speed import TYPICAL, Speeds, speeds

__all__ = [
    "LONG",
    "Estimate",
    "estimate",
    "estimate_of",
    "of_call",
    "of_clusters",
    "refuse_over",
    "said",
    "samples_rows",
]

_PASSES = 26  # passes of k-means: its iterations, and the exact assignment
_DEFAULT_MEMORY = 2**30
_START = 0.003  # seconds of a call
LONG = 30.0  # seconds of work that is announced
_REMEDIES = {
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
        On this machine: by `estimate`, within a factor of 2 for most methods.
    sizes : Sizes
        What the estimate is for.
    """

    method: str
    memory: int
    seconds: float
    sizes: Sizes

    @property
    def said(self) -> str:
        """Both in words, such as "about 5 min and at most 2.1 GiB"."""
        return said(self.seconds, self.memory)


@told
def estimate(
    method: str,
    size: int,
    dimensions: int | None = None,
    *,
    budget: float | None = None,
    classes: int = 1,
    **settings: Any,  # any argument of the method
) -> Estimate:
    """Estimate the cost of a selector for data of a given size, without the data.

    Parameters
    ----------
    method : str
        One of `methods()`.
    size : int
        N.
    dimensions : int, optional
        D, required if the method reads embeddings, or gradients.
    budget : int or float, optional
        M as a count, or as a fraction of N; all rows by default.
    classes : int, default 1
        C, the number of classes, if the method reads labels or probabilities.
    **settings
        Arguments of the method that affect its cost, such as `clusters` or `num_neighbours`.

    Returns
    -------
    Estimate
        Memory and seconds on this machine. `max_memory` of every selector is compared with this
        memory, and `info["estimate"]` of a selection holds both.

    Raises
    ------
    ValueError
        If there is no such method; if it reads embeddings or gradients, and `dimensions` is not
        given.
    TypeError
        If it has no such argument.

    Notes
    -----
    Cost
        O(1). The first call of a process measures the speed of the machine, in about a second:
        matrix products on the cores of the engine, a sort, and passes over rows in memory. The
        estimates of selections (`info["estimate"]`) and of stages that run use it if it is known,
        or if their work is long; otherwise the speeds of a typical server.
    Source
        The `cost` of the method, a function of `Sizes`, fitted to runs of each method at two or
        three sizes, as processor seconds of one thread. There and at other sizes, in
        `benchmarks/estimates.py`, 74 of 78 runs took between half and twice the estimate; the
        others were small, or the first use of a kernel, which compiles it. The time to read a table
        from storage, and to compile kernels once, is not included. The peak resident set size was
        below the estimate in a run of every method in a fresh process
        (`benchmarks/selector_memory.py`).

    Examples
    --------
    >>> estimate("top", 10**8, budget=0.1).memory >= 25 * 10**8
    True
    >>> estimate("semdedup", 10**6, 256, budget=0.5).sizes.K > 1
    True
    """
    return estimate_of(method, size, dimensions, settings, budget, classes=classes, probe=True)


def estimate_of(  # noqa: PLR0913  # those of `estimate`
    method: str,
    size: int,
    dimensions: int | None,
    settings: Mapping[str, Any],
    budget: float | None,
    *,
    classes: int = 1,
    probe: bool = False,
) -> Estimate:
    """Return the estimate of a method by name; see `estimate` and `evaluate`."""
    entry = known_method(method)
    size = _check.integer("size", size, 1)
    unknown = set(settings) - set(entry.parameters) - set(Options.__annotations__)
    if unknown:
        wrong = sorted(unknown)[0]
        near = _check.closest(wrong, [*entry.parameters, *Options.__annotations__])
        raise TypeError(f"{method} has no argument {wrong!r}{near}")
    if entry.wide and dimensions is None:
        what = "gradients" if entry.needs == "gradients" else "embeddings"
        raise ValueError(f"dimensions must be given for {method}, which reads {what}, got None")
    if dimensions is not None:
        dimensions = _check.integer("dimensions", dimensions, 1)
    classes = _check.integer("classes", classes, 1)
    defaults = {name: each.default for name, each in entry.parameters.items()}
    given = {**defaults, **settings}
    return evaluate(entry, size, dimensions or 1, classes, given, budget, probe=probe)


def evaluate(  # noqa: PLR0913  # the sizes one by one
    entry: Method,
    size: int,
    dimensions: int,
    classes: int,
    settings: Mapping[str, Any],
    budget: float | None,
    *,
    probe: bool = False,
) -> Estimate:
    """Return the estimate for given sizes; with `probe`, for the measured speeds of this machine.

    Without, these are used if they are known, or if the work is long.
    """
    given = {name: v for name, v in settings.items() if v is not inspect.Parameter.empty}
    clusters, passes = _clusters(entry, size, given.get("clusters"))
    limit = given.get("max_memory")
    sizes = Sizes(
        N=size,
        D=dimensions,
        M=_rows(size, None if given.get("costs") is not None else budget),
        K=clusters,
        C=min(classes, size),
        k=min(_listed(given.get("num_neighbours")), size),
        I=passes,
        S=given.get("max_iter") or 1,
        max_memory=None if limit is None else bytes_of(limit, 0),
        arguments=given,
    )
    cost = cost_of(entry, sizes)
    seconds = seconds_of(cost, probe=probe)
    need = FIXED + cost.memory
    room = (_DEFAULT_MEMORY if sizes.max_memory is None else sizes.max_memory) - need
    need += max(0, min(room, cost.optional))
    return Estimate(entry.name, math.ceil(need), seconds, sizes)


def cost_of(entry: Method, sizes: Sizes) -> Cost:
    """Return the cost of a method; refuse a cost function that returns anything else."""
    found = entry.cost(sizes)
    if not isinstance(found, Cost):
        raise TypeError(f"cost of {entry.name} must return a Cost, got {type(found).__name__}")
    return found


def seconds_of(cost: Cost, *, probe: bool = False) -> float:
    """Return the seconds of a cost, to three digits, on this machine; see `evaluate`."""

    def at(speed: Speeds) -> float:
        work = cost.products / speed.products + cost.steps / speed.steps
        return _START + work + cost.reads / speed.reads

    return float(f"{at(speeds(at(TYPICAL), probe=probe)):.2e}")


def of_clusters(
    size: int,
    dimensions: int,
    n_clusters: int,
    n_iter: int,
    limit: int | str | None,
    *,
    probe: bool = False,
) -> tuple[int, float]:
    """Return the bytes and seconds of k-means within `max_memory`."""
    held = min(4 * size * dimensions, bytes_of(limit, 2**62) // 2)
    passes = n_iter * held / (4 * size * dimensions) + 2
    cost = kmeans_cost(Sizes(N=size, D=dimensions, K=n_clusters, I=passes))
    return FIXED + held + 40 * size, seconds_of(cost, probe=probe)


def said(seconds: float, memory: int) -> str:
    """Return an estimate in words."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"about {seconds / unit:.2g} {name} and at most {say(memory)}"
    return f"about {seconds:.2g} s and at most {say(memory)}"


def _rows(size: int, budget: float | None) -> float:
    """Return M for any budget; an invalid one is refused by the method."""
    if isinstance(budget, float | np.floating) and 0.0 < budget <= 1.0:
        return max(1.0, float(budget) * size)
    if isinstance(budget, int | np.integer) and budget >= 1:
        return float(budget)
    return float(size)


def _clusters(entry: Method, size: int, given: object) -> tuple[int, int]:
    """Return K, and the passes of k-means, 0 if a clustering is given."""
    if given is None:
        return (entry.clusters or default_clusters)(size), _PASSES
    if isinstance(given, int | np.integer):
        return max(1, min(int(given), size)), _PASSES
    return len(given.centers) if hasattr(given, "centers") else 1, 0


def _listed(given: Any) -> int:  # a number, a graph, or nothing
    """Return k, the number of neighbours."""
    return given.indices.shape[1] if hasattr(given, "indices") else (given or 1)


def of_call(
    entry: Method, first: object, arguments: Mapping[str, Any], budget: float | None
) -> Estimate | None:
    """Return the estimate for the arguments of a call; None for data without a length."""
    if entry.needs == "texts":
        width = characters_of(first)
        return None if width is None else evaluate(entry, len(first), width, 1, arguments, budget)  # type: ignore[arg-type]  # it has a length
    shape = _shape(first)
    if not shape or shape[0] == 0:
        return None
    rows = arguments.get("embeddings")
    wide = shape if rows is None or rows is inspect.Parameter.empty else _shape(rows)
    reads = entry.wide or wide is not shape
    dimensions = wide[1] if reads and len(wide) == 2 else 1
    classes = shape[1] if not reads and len(shape) == 2 else 1
    labels = arguments.get("labels")
    if labels is not None:
        classes = _labels.grouped("labels", labels)[0].size
    return evaluate(entry, shape[0], max(1, dimensions), max(1, classes), arguments, budget)


def characters_of(texts: Any) -> int | None:  # any container
    """Return the average number of characters of texts, or of bytes; None without a length."""
    if not hasattr(texts, "__len__") or isinstance(texts, str | bytes) or len(texts) == 0:
        return None
    if isinstance(texts, np.ndarray) and texts.dtype.kind in "US":
        return max(1, int(texts.dtype.itemsize) // (4 if texts.dtype.kind == "U" else 1))
    if hasattr(texts, "get_total_buffer_size"):  # of Arrow
        views = str(texts.type).endswith("_view")  # of which pyarrow 22 states no other size
        size = texts.get_total_buffer_size() if views else texts.nbytes
        return max(1, int(size) // len(texts))
    if hasattr(texts, "isna") and hasattr(texts, "to_numpy"):  # of pandas
        texts = texts.to_numpy(object)
    if isinstance(texts, list | tuple | np.ndarray):
        return max(1, sum(len(e) for e in texts if isinstance(e, str | bytes)) // len(texts))
    return 1


def _shape(data: object) -> tuple[int, ...]:
    """Return the shape of an array-like, without converting it."""
    if isinstance(data, Score):
        data = data.values
    if hasattr(data, "shape"):
        return tuple(int(each) for each in data.shape)
    if not isinstance(data, list | tuple):
        return ()
    if data and hasattr(data[0], "shape"):  # a list of tensors, which have a length even if 0-d
        return (len(data), *map(int, data[0].shape))
    inner = (len(data[0]),) if data and hasattr(data[0], "__len__") else ()
    return (len(data), *inner)


def samples_rows(need: Estimate) -> bool:
    """Return whether `max_memory` lets the k-means of a method be trained on some rows only."""
    sizes = need.sizes
    return _trains(need) and sizes.R != 4 * sizes.N * sizes.D


def _trains(need: Estimate) -> bool:
    """Return whether the memory of a method includes the rows that k-means is trained on."""
    entry, sizes = known_method(need.method), need.sizes
    return cost_of(entry, replace(sizes, I=0)).memory != cost_of(entry, sizes).memory


def _halved(sizes: Sizes, letter: str) -> Sizes:
    """Return sizes of which one is half as large."""
    return replace(sizes, **{letter: getattr(sizes, letter) / 2})


def refuse_over(need: Estimate, limit: int) -> None:
    """Refuse a call that is estimated to exceed the memory limit, before it starts."""
    entry, sizes = known_method(need.method), need.sizes
    cost = cost_of(entry, sizes)
    if need.memory <= limit or cost.optional:
        return
    halved = {
        letter: cost.memory - cost_of(entry, _halved(sizes, letter)).memory for letter in "NDMKCkS"
    }
    shown = [f"{each}={getattr(sizes, each):.12g}" for each, saved in halved.items() if saved]
    shown += [f"R={sizes.R:.12g}"] if _trains(need) else []
    most = max(halved.values())
    remedies = [text for each, text in _REMEDIES.items() if halved[each] > 0.5 * most]
    raise ValueError(
        f"max_memory must be at least {say(need.memory)}, the estimate for {need.method} "
        f"({entry.memory} for {', '.join(shown)}, and 64 MiB), got {say(limit)}; use "
        f"{' or '.join(remedies) or 'another method'}"
    )
