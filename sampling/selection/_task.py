"""What every selector does alike: budgets, bad rows, groups, ties, and the record it returns.

A selector is its documented signature and a *core*: a function of a `Task` (which rows may be
picked, how many, by which tie-breaking keys) that returns `Picks`. `select` does the rest, and runs
the core once for each group where the budget is shared out over groups.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from ..kernels._keys import keys_of_ids, keys_of_words
from ..types import Floats, Indices, Selection
from ._budget import count_of, per_group, share_out, water_fill
from ._registry import METHODS, describe

__all__ = ["Options", "Picks", "Task", "select"]

Keys = NDArray[np.uint64]
T = TypeVar("T", bound=np.generic)
KEPT, BEYOND = "kept", "beyond the budget"
_BAD, _ALREADY = "a value that is not finite", "already selected"


class Options(TypedDict, total=False):
    """Keywords of every selector.

    seed : int in [0, 2**64), default 0
    ids : int or str array of shape (N,), optional
        Names of the rows, none twice. Ties are broken by a hash of (seed, id): the selection does
        not depend on the order of the rows.
    on_bad : {"raise", "drop"}, default "raise"
        What to do about rows that are not finite.
    already_selected : int array, optional
        Rows that are kept anyway: they are not picked again, and count in neither the budget nor
        the result; methods that spread their picks keep away from them.
    groups : int or str array of shape (N,), optional
        Class, source or language of each row: the budget is shared out over them, and the method
        selects in each by itself.
    group_budgets : {"proportional", "equal", "sqrt"} or mapping, default "proportional"
        "equal" raises one level for all; a mapping gives each group its count.
    floor, cap : number or mapping, optional
        Least and most rows of a group, as one number or by group.
    shortfall : {"raise", "redistribute", "accept"}, default "raise"
        What to do where a group has fewer rows than it is given: see `quota`.
    """

    seed: int
    ids: ArrayLike | None
    on_bad: Literal["raise", "drop"]
    already_selected: ArrayLike | None
    groups: ArrayLike | None
    group_budgets: "str | Mapping[Any, int]"
    floor: "float | Mapping[Any, float] | None"
    cap: "float | Mapping[Any, float] | None"
    shortfall: Literal["raise", "redistribute", "accept"]


@dataclass(frozen=True)
class Task:
    """Which rows a core may pick, and how many.

    Attributes
    ----------
    rows : int64 array of shape (n,)
        Rows of the input, rising.
    budget : int
        In [1, n].
    keys : uint64 array of shape (n,)
        Ties are broken by the lower one.
    already : int64 array
        Rows of the input that are kept anyway.
    seed : int
    key : numpy.uint64
        For the core's random decisions; another one in each group.
    size : int
        N.
    """

    rows: Indices
    budget: int
    keys: Keys
    already: Indices
    seed: int
    key: np.uint64
    size: int

    def of(self, array: NDArray[T]) -> NDArray[T]:
        """Return the entries of an array (N, ...) that belong to the rows; no copy if all do."""
        return array if self.rows.size == self.size else array[self.rows]


@dataclass
class Picks:
    """What a core found.

    Attributes
    ----------
    places : int64 array of shape (m,)
        Places in `Task.rows`, in the order of the picks.
    weights : float64 array of shape (m,), optional
    ruled : list of (int array or bool array, str)
        Places that a rule dropped, and the rule; the others were beyond the budget.
    info : dict
    """

    places: Indices
    weights: Floats | None = None
    ruled: list[tuple[NDArray[Any], str]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)
    shorten: Callable[[int], Indices] | None = None  # places for a smaller budget, if not a prefix


def select(  # noqa: PLR0913  # what a selector knows
    name: str,
    size: int,
    budget: float | None,
    options: Options,
    core: Callable[[Task], Picks],
    *,
    count: int | None = None,
    arguments: Mapping[str, Any],
    bad: NDArray[np.bool_] | None = None,
    scores: NDArray[np.floating[Any]] | None = None,
) -> Selection:
    """Run the core of a selector; see `Options` for what is done around it.

    count : M where a threshold decides it, and not the budget; may be 0
    bad   : bool (N,), rows that may not be picked; None for none
    """
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise TypeError(f"{name} got unexpected arguments {sorted(unknown)}")
    seed = _check.seed(options.get("seed", 0))
    if budget is None and count is None:
        raise ValueError("budget must be given, a count or a fraction, got None")
    wanted = int(count or 0) if budget is None else count_of(budget, size)
    kept_anyway = options.get("already_selected")
    already = np.zeros(0, np.int64)
    if kept_anyway is not None and np.size(kept_anyway):
        already = _check.unique_rows("already_selected", kept_anyway, size)
    open_ = np.ones(size, np.bool_) if bad is None else ~bad
    open_[already] = False
    rows = np.flatnonzero(open_)
    keys, ids = keys_for(options, size), options.get("ids")
    task = Task(rows, wanted, keys[rows], already, seed, _rng.key(seed, 0, name), size)
    groups = options.get("groups")
    if groups is None:
        if wanted > rows.size:
            raise ValueError(
                f"budget must be at most {rows.size}, the rows that can be picked, got {wanted}"
            )
        picks = core(task)
    else:
        picks = _by_group(task, groups, options, core)
    verdicts, rules = _verdicts(task, picks, bad, already)
    indices = rows[picks.places]
    found = Selection(
        indices,
        picks.weights,
        scores,
        None if ids is None else np.asarray(ids)[indices],
        name,
        {"budget": describe(budget), **{k: describe(v) for k, v in arguments.items()}},
        size,
        ranked=METHODS[name].ranked and groups is None,
        verdicts=verdicts,
        rules=rules,
        info=picks.info,
    )
    found = replace(found, arguments={**found.arguments, **_given(options), "seed": seed})
    if picks.shorten is None or not METHODS[name].ranked:
        return found
    places_for = picks.shorten
    return replace(found, shorten=lambda smaller: _shortened(found, rows[places_for(smaller)]))


def _shortened(whole: Selection, indices: Indices) -> Selection:
    """Return a selection of fewer of its rows, in the order given."""
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


def _given(options: Options) -> dict[str, Any]:
    return {key: describe(each) for key, each in options.items() if each is not None}


def _verdicts(
    task: Task, picks: Picks, bad: NDArray[np.bool_] | None, already: Indices
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return which rule decided over each row (N,), and the rules; the first is `KEPT`."""
    rules = [KEPT, BEYOND]
    verdicts = np.ones(task.size, np.uint8)

    def decide(rows: NDArray[Any], rule: str) -> None:
        if rule not in rules:
            rules.append(rule)
        verdicts[rows] = rules.index(rule)

    if bad is not None and bad.any():
        decide(np.flatnonzero(bad), _BAD)
    if already.size:
        decide(already, _ALREADY)
    for places, rule in picks.ruled:
        decide(task.rows[places], rule)
    verdicts[task.rows[picks.places]] = 0
    return verdicts, tuple(rules)


def keys_for(options: Options, size: int) -> Keys:
    """Return the tie-breaking key of each row, hashed from (seed, id): (N,)."""
    key = _rng.key(_check.seed(options.get("seed", 0)), 0, "ties")
    ids, keys = options.get("ids"), np.empty(size, np.uint64)
    if ids is None:
        keys_of_ids(np.arange(size), key, keys)
        return keys
    names = np.asarray(ids)
    if names.shape != (size,):
        raise ValueError(f"ids must have shape ({size},), got {names.shape}")
    if names.dtype.kind in "iu":
        keys_of_ids(names.astype(np.int64), key, keys)
    elif names.dtype.kind in "US":
        encoded = np.char.encode(names, "utf-8") if names.dtype.kind == "U" else names
        width = -(-max(1, encoded.dtype.itemsize) // 8) * 8
        words = encoded.astype(f"S{width}").view(np.uint64).reshape(size, width // 8)
        keys_of_words(words, key, keys)
    else:
        raise TypeError(f"ids must hold ints or strings, got dtype {names.dtype}")
    order = np.argsort(keys, kind="stable")
    twice = keys[order][1:] == keys[order][:-1]
    if twice.any():
        row = int(order[1:][twice][0])
        raise ValueError(
            f"ids must hold no name twice, got {names[row].item()!r} again in row {row}"
        )
    return keys


# ---------------------------------------------------------------------- groups


def _by_group(
    task: Task, groups: ArrayLike, options: Options, core: Callable[[Task], Picks]
) -> Picks:
    """Run a core in each group with its share of the budget; the picks of one after another."""
    labels = _check.labels("groups", groups)
    _check.same_length("groups", labels, "the data", task.size)
    names, codes = np.unique(labels[task.rows], return_inverse=True)
    sizes = np.bincount(codes, minlength=names.size)
    shares = group_counts(task.budget, names, sizes, options)
    order = np.argsort(codes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
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
        whole.info |= found.info
    whole.places = np.concatenate(places)
    if weights and all(each is not None for each in weights):
        whole.weights = np.concatenate([each for each in weights if each is not None])

    def shorter(budget: int) -> Indices:
        counts = group_counts(budget, names, sizes, options)
        if (counts > shares).any():
            at = int(np.flatnonzero(counts > shares)[0])
            raise ValueError(
                f"head needs groups that shrink with the budget, got {counts[at]} rows in group "
                f"{names[at].item()!r} for {budget}, and {shares[at]} for {task.budget}"
            )
        parts = dict(zip(np.flatnonzero(shares), places, strict=True))
        return np.concatenate([part[: counts[code]] for code, part in parts.items()])

    whole.shorten = shorter
    whole.info["group_counts"] = {
        name.item(): int(count) for name, count in zip(names, shares, strict=True)
    }
    return whole


def group_counts(budget: int, names: NDArray[Any], sizes: Indices, options: Options) -> Indices:
    """Return how many rows of each group to keep; their sum is the budget, unless accepted."""
    rule = options.get("group_budgets", "proportional")
    shortfall = _check.choice(
        "shortfall", options.get("shortfall", "raise"), ("raise", "redistribute", "accept")
    )
    low = np.ceil(per_group("floor", options.get("floor"), names, 0.0)).astype(np.int64)
    most = per_group("cap", options.get("cap"), names, float(sizes.sum()))
    high = np.floor(most).astype(np.int64)
    if (low > high).any():
        at = int(np.flatnonzero(low > high)[0])
        raise ValueError(
            f"floor must be <= cap, got {low[at]} > {high[at]} in group {names[at].item()!r}"
        )
    if isinstance(rule, Mapping):
        asked = per_group("group_budgets", rule, names, 0.0).astype(np.int64)
        if int(asked.sum()) != budget:
            raise ValueError(
                f"group_budgets must add up to the budget, {budget}, got {asked.sum()}"
            )
        wanted = np.maximum(asked, low)
        given = np.minimum(asked, sizes)
    else:
        word = _check.choice("group_budgets", rule, ("proportional", "equal", "sqrt"))
        wanted = low
        given = _asked(word, budget, sizes, np.minimum(low, sizes), np.minimum(high, sizes))
    short = np.flatnonzero(wanted > sizes)
    if short.size and shortfall == "raise":
        at = int(short[0])
        raise ValueError(
            "shortfall must be 'redistribute' or 'accept' where a group has too few rows, got "
            f"'raise' and {sizes[at]} rows in group {names[at].item()!r}, which is to give "
            f"{wanted[at]}"
        )
    over = budget - int(given.sum())
    if over > 0 and shortfall == "redistribute":
        given = given + share_out(np.maximum(sizes, 1), over, np.minimum(high, sizes) - given)
    if int(given.sum()) < budget and shortfall != "accept":
        raise ValueError(
            f"budget must be at most {given.sum()}, what the groups can give under their caps, got "
            f"{budget}"
        )
    return given


def _asked(word: str, budget: int, sizes: Indices, low: Indices, high: Indices) -> Indices:
    """Return what each group is asked for: floors first, the rest by the rule, under the caps."""
    if int(low.sum()) > budget:
        raise ValueError(f"floors must add up to at most the budget, {budget}, got {low.sum()}")
    if word == "equal":
        return np.maximum(low, _level(low, high, budget))
    weights = sizes.astype(np.float64) if word == "proportional" else np.sqrt(sizes)
    fixed = np.zeros(sizes.size, np.bool_)
    asked = low.copy()
    while not fixed.all():  # a group below its floor gets the floor, and the others share the rest
        rest = budget - int(asked[fixed].sum())
        share = share_out(weights[~fixed], rest, high[~fixed])
        below = share < low[~fixed]
        asked[~fixed] = np.maximum(share, low[~fixed])
        if not below.any():
            break
        fixed[np.flatnonzero(~fixed)[below]] = True
    return asked


def _level(low: Indices, high: Indices, budget: int) -> Indices:
    """Return one level for all groups, within floors and caps, that adds up to the budget."""
    extra = water_fill(high - low, budget - int(low.sum())) if not low.any() else None
    if extra is not None:
        return extra
    down, up = 0, int(high.max())
    while down < up:
        middle = (down + up + 1) // 2
        if int(np.clip(middle, low, high).sum()) <= budget:
            down = middle
        else:
            up = middle - 1
    given: Indices = np.clip(down, low, high)
    room = np.flatnonzero((given < high) & (given >= down))
    given[room[: budget - int(given.sum())]] += 1
    return given
