"""Common parts of all selectors: budgets, bad rows, groups, ties, and the returned record.

A selector consists of its documented signature and a *core*: a function of a `Task` (the eligible
rows, the budget, the tie-breaking keys) that returns `Picks`. `select` does everything else, and
runs the core once for each group if the budget is apportioned to groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...record import ALREADY, BAD, NO_GROUP, Selection, at_threshold
from ...record.keys import keys_for
from ...types import Indices
from ._budget import count_of
from ._exact import describe
from ._options import Options, check_options, refuse_without_groups
from ._quotas import group_counts
from ._registry import known_method
from ._spend import costs_of, limit_of, paid_for, refuse_costs
from ._task import Picks, Task

__all__ = ["already_of", "groups_of", "ids_of", "select"]

KEPT, BEYOND = "kept", "beyond the budget"


@told
def select(  # noqa: PLR0913  # what a selector knows
    name: str,
    size: int,
    budget: float | None,
    options: Options,
    core: Callable[[Task], Picks],
    *,
    arguments: Mapping[str, Any],
    bad: NDArray[np.bool_] | None,
    count: int | None = None,
    scores: NDArray[np.floating[Any]] | None = None,
    order: Literal["descending", "ascending"] | None = None,
    repeats: int = 1,
    ranked: bool = True,
) -> Selection:
    """Run the core of a selector, and apply the `Options`.

    Parameters
    ----------
    name : str
        The method, as registered.
    size : int
        N.
    budget : int or float, optional
        M as a count, or as a fraction in (0, 1] of N.
    options : Options
        Keywords of the call.
    core : callable
        Takes a `Task`, and returns `Picks`; called once for each group.
    arguments : mapping
        Other arguments of the call, to be recorded.
    bad : bool array of shape (N,), optional
        Rows that `on_bad="drop"` drops, as `scores_of` and `embeddings_of` return them; None for
        none.
    count : int, optional
        M if it is determined by a threshold instead of the budget; may be 0.
    scores : float array of shape (N,), optional
        Scores to be recorded.
    order : {"descending", "ascending"}, optional
        Whether high or low scores come first; None if they do not determine the order.
    repeats : int, default 1
        Maximum number of repeats of a row; the budget may be this many times the rows.
    ranked : bool, default True
        False if these arguments make a ranked method unranked.

    Returns
    -------
    Selection

    Raises
    ------
    TypeError, ValueError
        If the budget or an option is invalid, or there are too few eligible rows.
    """
    order = None if order is None else _check.choice("order", order, ("descending", "ascending"))
    check_options(name, options)
    refuse_without_groups(options)
    seed = _check.seed(options.get("seed", 0))
    if budget is None and count is None:
        raise ValueError("budget must be given, a count or a fraction, got None")
    amounts, limit = None, 0
    ranked = _check.flag("ranked", ranked) and known_method(name).ranked
    if options.get("costs") is not None:
        refuse_costs(name, options, ranked=ranked)
        amounts = costs_of(options["costs"], size)  # type: ignore[arg-type]  # not None
        limit, budget = limit_of(budget, int(amounts.sum())), describe(budget)
        wanted = 1
    else:
        wanted = int(count or 0) if budget is None else count_of(budget, size, repeats=repeats)
    already, ids = already_of(options, size), ids_of(options.get("ids"), size)
    open_ = np.ones(size, np.bool_) if bad is None else ~bad
    open_[already] = False
    names, codes = groups_of(options, size)
    if codes is not None:
        open_[codes < 0] = False
    rows = np.flatnonzero(open_)
    keys = keys_for(seed, ids, size)
    task = Task(rows, wanted, keys[rows], already, seed, _rng.key(seed, 0, name), size, codes)
    if codes is not None:
        picks = _by_group(task, names, codes, options, core, repeats)
    elif wanted > rows.size * repeats:
        times = "" if repeats == 1 else f"{repeats} times "
        raise ValueError(
            f"budget must be at most {rows.size * repeats}, {times}the number of eligible rows, "
            f"got {wanted}"
        )
    else:
        picks = core(task) if amounts is None else paid_for(task, amounts, limit, core)
    verdicts, rules = _verdicts(task, picks, bad, already)
    indices = rows[picks.places]
    found = Selection(
        indices,
        picks.weights,
        scores,
        None if ids is None else ids[indices],
        name,
        {"budget": describe(budget), **{k: describe(v) for k, v in arguments.items()}},
        size,
        ranked=ranked and codes is None,
        verdicts=verdicts,
        rules=rules,
        info=picks.info if order is None else {**picks.info, "order": order},
        row_ids=ids,
    )
    found = replace(found, arguments={**found.arguments, **_given(options), "seed": seed})
    if "cut" in picks.info:
        found = replace(found, recut=partial(at_threshold, keys=keys, names=ids))
    if picks.shorten is None or not ranked:
        return found
    places_for = picks.shorten
    return replace(found, shorten=lambda smaller: _shortened(found, rows[places_for(smaller)]))


def _shortened(whole: Selection, indices: Indices) -> Selection:
    """Return a selection restricted to the given rows, in the given order."""
    place = np.empty(whole.size or 0, np.int64)
    place[whole.indices] = np.arange(len(whole))
    verdicts = np.array(whole.verdicts)
    verdicts[np.setdiff1d(whole.indices, indices)] = 1
    return replace(
        whole,
        indices=indices,
        weights=None,
        ids=None if whole.ids is None else whole.ids[place[indices]],
        arguments={**whole.arguments, "budget": len(indices)},
        verdicts=verdicts,
        shorten=None,
    )


def already_of(options: Options, size: int) -> Indices:
    """Return the rows that are already selected."""
    given = options.get("already_selected")
    if given is None:
        return np.zeros(0, np.int64)
    rows = _check.host(given, "already_selected")
    return (
        _check.unique_rows("already_selected", rows, size) if rows.size else rows.astype(np.int64)
    )


def _given(options: Options) -> dict[str, Any]:
    return {key: describe(each) for key, each in options.items() if each is not None}


def _verdicts(
    task: Task, picks: Picks, bad: NDArray[np.bool_] | None, already: Indices
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the index of the rule that decided on each row (N,), and the rules, `KEPT` first."""
    rules = [KEPT, BEYOND]
    verdicts = np.ones(task.size, np.uint8)

    def decide(rows: NDArray[Any], rule: str) -> None:
        if rule not in rules:
            rules.append(rule)
        verdicts[rows] = rules.index(rule)

    if bad is not None and bad.any():
        decide(np.flatnonzero(bad), BAD)
    if task.codes is not None and (task.codes < 0).any():
        decide(np.flatnonzero(task.codes < 0), NO_GROUP)
    if already.size:
        decide(already, ALREADY)
    for places, rule in picks.ruled:
        decide(task.rows[places], rule)
    verdicts[task.rows[picks.places]] = 0
    return verdicts, tuple(rules)


def ids_of(ids: ArrayLike | None, size: int) -> NDArray[Any] | None:
    """Return ids (N,) of ints or strings; missing ids and other types are refused."""
    if ids is None:
        return None
    names = _labels.names_of_rows("ids", ids)
    if names.shape != (size,):
        raise ValueError(f"ids must have shape ({size},), got {names.shape}")
    return names


def groups_of(options: Options, size: int) -> tuple[NDArray[Any], Indices | None]:
    """Return the names of the groups (G,), and the group of each row: int64 (N,), or None.

    Rows without a group that are never picked have -1.
    """
    given = options.get("groups")
    if given is None:
        if options.get("unlabeled") is not None:
            raise ValueError(
                f"unlabeled must be omitted without groups, got {options['unlabeled']!r}: give "
                "groups too"
            )
        return np.zeros(0, np.int64), None
    names, codes = _labels.grouped("groups", given, options.get("unlabeled", "raise"))
    _check.same_length("groups", codes, "the data", size)
    if names.size == 0:
        raise ValueError(f"groups must name a group for at least one row, got none in all {size}")
    return names, codes


def _by_group(  # noqa: PLR0913  # groups by name and by number
    task: Task,
    every: NDArray[Any],
    codes: Indices,
    options: Options,
    core: Callable[[Task], Picks],
    repeats: int,
) -> Picks:
    """Run a core in each group with its share of the budget, and concatenate the picks."""
    present, codes = np.unique(codes[task.rows], return_inverse=True)
    names = every[present]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=names.size)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    sizes = sizes * repeats
    shares = group_counts(task.budget, names, sizes, options)
    whole = Picks(np.zeros(0, np.int64))
    places, weights = [], []
    for code, count in enumerate(shares):
        if count == 0:
            continue
        own = order[starts[code] : starts[code + 1]]
        part = replace(
            task,
            rows=task.rows[own],
            budget=int(count),
            keys=task.keys[own],
            key=_rng.subkey(task.key, code),
        )
        found = core(part)
        places.append(own[found.places])
        weights.append(found.weights)
        for dropped, rule in found.ruled:
            whole.ruled.append((own[dropped], rule))
        for key, value in found.info.items():
            merge = found.merge.get(key) if key in whole.info else None
            whole.info[key] = value if merge is None else merge(whole.info[key], value)
    whole.places = np.concatenate(places)
    if weights and all(each is not None for each in weights):
        whole.weights = np.concatenate([each for each in weights if each is not None])

    def shorter(budget: int) -> Indices:
        counts = group_counts(budget, names, sizes, options)
        if (counts > shares).any():
            at = int(np.flatnonzero(counts > shares)[0])
            raise ValueError(
                f"head needs groups that shrink with the budget, got {counts[at]} rows in group "
                f"{names.tolist()[at]!r} for {budget}, and {shares[at]} for {task.budget}"
            )
        parts = dict(zip(np.flatnonzero(shares), places, strict=True))
        return np.concatenate([part[: counts[code]] for code, part in parts.items()])

    whole.shorten = shorter
    whole.info["group_counts"] = {
        name: int(count) for name, count in zip(names.tolist(), shares, strict=True)
    }
    return whole
