"""The decorator that registers a selector."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from time import perf_counter
from typing import Any, TypeVar, cast, get_args

from ... import _check
from ..._check._keywords import told
from ..._entry import NOT_MEASURED
from ...engine import current, facts
from ...record import Selection
from ._cost import Cost, Sizes
from ._directions import Meanings, turn_scores
from ._estimate import Estimate, cost_of, of_call, refuse_over, samples_rows
from ._memory import bytes_of
from ._registry import METHODS, Label, Method, refuse_engine

__all__ = ["method"]

F = TypeVar("F", bound=Callable[..., Selection])
_RESERVED = {"filter": "a stage of a plan"}


@told
def method(  # noqa: PLR0913  # the columns of the registry
    *,
    needs: str,
    label: Label,
    ranked: bool,
    cost: Callable[[Sizes], Cost],
    weights: str = "",
    clusters: Callable[[int], int] | None = None,
    minds: Mapping[str, Meanings] | None = None,
    fixed_size: bool = True,
    repeats: bool = False,
    own_costs: bool = False,
    version: int = 1,
    local_only: bool = False,
    elsewhere: Mapping[str, Any] | None = None,
    source: str = "",
    evidence: str = NOT_MEASURED,
) -> Callable[[F], F]:
    """Register a selector, for `methods`, `select_from`, plans and the command line.

    The function takes the data, the budget, arguments of its own, and `**options`. It reads its
    data by `scores_of` and `embeddings_of`, which apply `on_bad`, and calls `select` with a core, a
    function that picks rows; ties are to be broken by `Task.keys`. `select` applies all other
    options.

    The docstring is what users read in `methods` and `sampling methods`: its first sentence says
    what the method does, and the first sentence of the item "Cost" of its notes gives time and
    memory with a semicolon in between. The annotations are read too. An argument that may be a
    `Score` can state its direction; other arrays are read from columns; one named `embeddings` is
    read from the embeddings of a table, one named `labels` or `groups` as names of classes.

    A module of one's own has to be imported before the command line can use its methods, as in
    `python -c "import mine; from sampling.cli import app; app()" select nearest rows.parquet`.

    Parameters
    ----------
    needs : str
        Its main input: "scores", "embeddings", "gradients", "clusters", "probabilities" or
        "texts".
    label : {"recommended", "baseline", "for replication"}
    ranked : bool
        Whether the selection is ranked: the picks for a smaller budget are the first ones.
    cost : callable
        Takes `Sizes` and returns a `Cost`.
    weights : str, default ""
        Definition of its weights, if it has any.
    clusters : callable, optional
        Takes N and returns the default K, if that is not about sqrt(N / 2).
    minds : mapping of str to tuple, optional
        Scores whose direction affects the selection, see `Method`: each is converted before the
        function is called.
    fixed_size : bool, default True
        Whether it keeps exactly as many rows as the budget.
    repeats : bool, default False
        Whether a row may be kept several times, so that the budget may exceed N.
    own_costs : bool, default False
        Whether it applies `costs` itself.
    version : int, default 1
        To be incremented whenever equal arguments select different rows: stored results of plans
        are then computed again.
    local_only : bool, default False
        Whether all of its work is done by this process, on all rows. It is then refused inside a
        `use` of another engine than `Local`.
    elsewhere : mapping of str to object, optional
        An argument, and the value with which it is accepted there nevertheless.
    source : str, default ""
        Paper and year, for tables.
    evidence : str, default "not measured"
        One line of what benchmarks say of it, for tables.

    Returns
    -------
    callable
        A decorator. Its function is called as before, and also records the time and the estimate in
        `info`, and refuses a call that would exceed `max_memory`.

    Raises
    ------
    TypeError
        If the function does not take the data, `budget` and `**options`; if `cost` does not return
        a `Cost`.
    ValueError
        If the name of the function is taken by another one. The same function may be registered
        again, such as when its module is reloaded.

    Examples
    --------
    A selector that keeps the rows nearest to a target score:

    >>> import numpy as np
    >>> from numpy.typing import ArrayLike
    >>> from typing_extensions import Unpack
    >>> from sampling import Score, Selection
    >>> from sampling.selection import Cost, Options, Picks, Sizes, Task, scores_of, select
    >>> def cost(sizes: Sizes) -> Cost:
    ...     return Cost(steps=20 * sizes.N, memory=50 * sizes.N)
    >>> @method(needs="scores", label="baseline", ranked=True, cost=cost)
    ... def nearest(
    ...     scores: ArrayLike | Score,
    ...     budget: float,
    ...     *,
    ...     target: float = 0.0,
    ...     **options: Unpack[Options],
    ... ) -> Selection:
    ...     '''Keep the rows whose score is nearest to a target.
    ...
    ...     Notes
    ...     -----
    ...     Cost
    ...         O(N log N) time; 50 N bytes.
    ...     '''
    ...     values, bad = scores_of("scores", scores, options)
    ...
    ...     def core(task: Task) -> Picks:
    ...         distance = np.abs(task.of(values) - target)
    ...         return Picks(np.lexsort((task.keys, distance))[: task.budget])
    ...
    ...     return select(
    ...         "nearest", values.size, budget, options, core, arguments={"target": target},
    ...         bad=bad, scores=values,
    ...     )
    >>> nearest([0.1, 0.9, np.nan, 0.6], 2, target=0.5, on_bad="drop").indices
    array([3, 1])
    >>> entry = METHODS.pop("nearest")  # an example is not kept
    >>> entry.time, entry.memory
    ('O(N log N)', '50 N bytes')
    """
    label = _check.choice("label", label, get_args(Label))
    ranked = _check.flag("ranked", ranked)
    fixed_size = _check.flag("fixed_size", fixed_size)
    repeats = _check.flag("repeats", repeats)
    own_costs = _check.flag("own_costs", own_costs)
    local_only = _check.flag("local_only", local_only)
    minds = {} if minds is None else _check.mapping("minds", minds)
    elsewhere = {} if elsewhere is None else dict(_check.mapping("elsewhere", elsewhere))

    def listed(function: F) -> F:
        @told
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Selection:
            args, kwargs, directions = _turned(entry, args, kwargs)
            refuse_engine(entry, kwargs)
            need = _needed(entry, args, kwargs)
            began = perf_counter()
            found = function(*args, **kwargs)
            info = {**found.info, "seconds": perf_counter() - began}
            info["engine"] = facts(current())
            if directions:
                info["directions"] = directions
            if need is not None:
                info["estimate"] = {"memory": need.memory, "seconds": need.seconds}
                if samples_rows(need):
                    info["path"] = "centers trained on the rows that fit into max_memory"
            return replace(found, info=info)

        name = function.__name__
        entry = Method(
            name, timed, needs, label, ranked, weights, cost, clusters, dict(minds), fixed_size,
            repeats, own_costs, version, local_only, elsewhere, source, evidence,
        )  # fmt: skip
        _refuse_taken(name, function)
        _refuse_signature(entry)
        METHODS[name] = entry
        return cast(F, timed)

    return listed


def _refuse_taken(name: str, function: Callable[..., Selection]) -> None:
    """Refuse the name of another selector; that of the same function is allowed."""
    if name in _RESERVED:
        raise ValueError(f"name must not be that of {_RESERVED[name]}, got {name!r}: rename it")
    if name in METHODS:
        other = inspect.unwrap(METHODS[name].function)
        same = (other.__module__, other.__qualname__)
        if same != (function.__module__, function.__qualname__):
            raise ValueError(
                f"name must not be that of a registered method, got {name!r}, which is "
                f"{'.'.join(same)}: rename it"
            )


def _refuse_signature(entry: Method) -> None:
    """Refuse a function that cannot be called as a selector, and a cost that is not one."""
    names = list(entry.parameters)
    kinds = [each.kind for each in entry.parameters.values()]
    if len(names) < 3 or names[1] != "budget" or kinds[-1] is not inspect.Parameter.VAR_KEYWORD:
        raise TypeError(
            f"{entry.name} must take the data, budget, arguments of its own and **options, got "
            f"({', '.join(names)})"
        )
    defaults = {name: each.default for name, each in entry.parameters.items()}
    given = {name: each for name, each in defaults.items() if each is not inspect.Parameter.empty}
    cost_of(entry, Sizes(1000, 8, 100, 20, 2, 5, 26, 3, arguments=given))


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
