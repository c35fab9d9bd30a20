"""Selections from the rows that an earlier selection kept; row numbers stay those of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ... import _check
from ..._check._keywords import told
from ...clustering import Clustering, Neighbours
from ...io import Table
from ...record import Selection
from ...types import Indices
from ..core._exact import exact
from ..core._select import ids_of
from ._filter import conditions, where_holds
from ._from_table import select_from
from ._stage import Stage, refuse_no_id, refuse_no_rows, rows_named

__all__ = ["chosen", "filter_from", "filtered", "lifted", "select_within"]

_ELSEWHERE = "not in the subset"


@told
def select_within(
    table: Table,
    method: str,
    budget: float | None,
    within: Selection,
    *,
    columns: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Selection:
    """Run a selector on the rows of a table that an earlier selection kept.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    method : str
        One of `methods()`.
    budget : int or float, optional
        M as a count, or as a fraction of the rows in `within`.
    within : Selection
        Of rows of this table.
    columns, settings : mapping, optional
        Those of `select_from`; `clusters` may be of all rows of the table.

    Returns
    -------
    Selection
        In rows of the table, as if both were stages of a plan: `rules` name the method that dropped
        a row, `weights` are products.

    Raises
    ------
    ValueError
        As in `select_from`; if `within` is of another number of rows, or keeps none.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from pathlib import Path
    >>> from sampling.io import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.parquet")
    ...     pyarrow.parquet.write_table(pyarrow.table({"loss": [0.1, 0.9, 0.5, 0.7]}), path)
    ...     first = filter_from(open_table(path), [["loss", "<", 0.8]])
    ...     select_within(open_table(path), "top", 1, first, columns={"scores": "loss"}).indices
    array([3])
    """
    before = chosen(within, table.size)
    alive = np.unique(before.indices)
    if not alive.size:
        refuse_no_rows("within")
    own = table if alive.size == table.size else table.take(alive)
    given = dict(settings or {})
    for name in ("clusters", "num_neighbours"):
        made = given.get(name)
        if isinstance(made, Clustering | Neighbours):
            _check.same_length(name, made.labels if isinstance(made, Clustering) else made.indices,
                               "the table", table.size)  # fmt: skip
            given[name] = made.among(alive)
    names = dict(columns or {})
    with rows_named(table, Stage(method, columns=names), alive, names.get("ids")):
        found = select_from(own, method, budget, columns=names, settings=given)
    whole = lifted(found, alive, before, found.method)
    return _with_ids(whole, table, names.get("ids"), within)


@told
def filter_from(
    table: Table,
    where: Sequence[Sequence[Any]],
    within: Selection | None = None,
    *,
    ids: str | None = None,
) -> Selection:
    """Return the rows of a table that satisfy all conditions, as the stage `filter` of a plan does.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    where : sequence of (column, operator, value) or (column, "is_null" or "not_null")
        Conditions; see `Stage`.
    within : Selection, optional
        Only of the rows that this selection of the same table kept.
    ids : str, optional
        Column of the names of the rows.

    Returns
    -------
    Selection
        Rows in ascending order.

    Raises
    ------
    ValueError
        If there is no such column, or a condition does not fit its type; if `within` is of another
        number of rows.

    Examples
    --------
    >>> import tempfile, pyarrow, pyarrow.parquet
    >>> from pathlib import Path
    >>> from sampling.io import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.parquet")
    ...     pyarrow.parquet.write_table(pyarrow.table({"loss": [0.1, 0.9, 0.5]}), path)
    ...     filter_from(open_table(path), [["loss", ">=", 0.5]]).indices
    array([1, 2])
    """
    stage = Stage("filter", where=conditions(where))
    stage.check(table.names, table)
    if within is None:
        return _with_ids(filtered(table, stage), table, ids, None)
    before = chosen(within, table.size)
    alive = np.unique(before.indices)
    own = table if alive.size == table.size else table.take(alive)
    whole = lifted(filtered(own, stage), alive, before, "filter")
    return _with_ids(whole, table, ids, within)


def chosen(within: Selection, size: int) -> Selection:
    """Return a selection with the verdicts of all `size` rows, as one that stages begin with.

    Its rules are prefixed by the method, unless it is of several stages already.
    """
    if within.size is not None and within.size != size:
        raise ValueError(
            f"within must be of a table of {size} rows, got a selection from {within.size}"
        )
    if len(within) and int(within.indices.max()) >= size:
        raise ValueError(
            f"within must be of a table of {size} rows, got row {int(within.indices.max())}"
        )
    verdicts, rules = within.verdicts, within.rules
    if verdicts is None:
        verdicts, rules = np.ones(size, np.uint8), ("kept", _ELSEWHERE)
        verdicts[within.indices] = 0
    elif within.method != "plan" and not within.info.get("within"):
        rules = (rules[0], *(f"{within.method}: {rule}" for rule in rules[1:]))
    return replace(within, size=size, verdicts=verdicts, rules=tuple(rules))


def _with_ids(
    found: Selection, table: Table, column: str | None, within: Selection | None
) -> Selection:
    """Return a selection with the ids of a column, or those of the earlier selection.

    Rows that are dropped may have no id; then only those of the kept rows are known.
    """
    info = found.info if within is None else {**found.info, "within": _told(within)}
    found = replace(found, info=info)
    if column is not None:
        missing = table.values(column).is_null().to_numpy()
        refuse_no_id(column, found.indices[missing[found.indices]])
        kept = ids_of(table.take(found.indices).column(column), len(found))
        every = None if missing.any() else ids_of(table.column(column), table.size)
        return replace(found, ids=kept, row_ids=every)
    if within is None or within.ids is None:
        return found
    if within.row_ids is not None:
        return replace(found, ids=within.row_ids[found.indices], row_ids=within.row_ids)
    place = np.zeros(table.size, np.int64)
    place[within.indices] = np.arange(len(within))
    return replace(found, ids=within.ids[place[found.indices]])


def _told(within: Selection) -> dict[str, Any]:
    """Return what the manifest says of an earlier selection."""
    told = {"method": within.method, "arguments": within.arguments, "kept": len(within)}
    earlier = within.info.get("within")
    return told if earlier is None else {**told, "within": earlier}


def lifted(found: Selection, alive: Indices, before: Selection, name: str) -> Selection:
    """Return the selection of a stage in rows of the table, including earlier decisions.

    Parameters
    ----------
    found : Selection
        Selection from the rows that reached the stage, numbered among them.
    alive : int64 array of shape (n,)
        These rows, in ascending order.
    before : Selection
        Selection of the previous stages, in rows of the table.
    name : str
        Prefix of its rules.

    Returns
    -------
    Selection
    """
    size = int(before.size or 0)
    indices = alive[found.indices]
    rules = list(before.rules)
    codes = np.arange(len(rules) - 1, len(rules) + len(found.rules) - 1)
    codes[:1] = 0  # the first rule is that of the kept rows
    rules += [f"{name}: {rule}" for rule in found.rules[1:]]
    if len(rules) > 256:
        raise ValueError(f"stages must have at most 256 rules together, got {len(rules)}")
    verdicts = np.array(before.verdicts, np.uint8)
    if found.verdicts is not None:
        verdicts[alive] = codes[found.verdicts]
    scores = before.scores
    if found.scores is not None:
        scores = np.full(size, np.nan, np.float32) if scores is None else np.array(scores)
        scores[alive] = found.scores
    weights = found.weights
    if before.weights is not None:
        earlier = np.full(size, np.nan)  # all rows of this stage are among the previous ones
        earlier[before.indices] = before.weights
        weights = earlier[indices] * (1.0 if weights is None else weights)
    info = dict(found.info)
    cut = info.get("cut")
    if isinstance(cut, dict):  # of a threshold: its rule, and which rules are this stage's
        info["cut"] = {
            **cut,
            "rule": f"{name}: {cut['rule']}",
            "stage": f"{name}: ",
            "seed": found.arguments.get("seed", 0),
            "named": "ids" in found.arguments,
        }
    return replace(
        found,
        indices=indices,
        weights=weights,
        scores=scores,
        size=size,
        verdicts=verdicts,
        rules=tuple(rules),
        ranked=found.ranked and before.weights is None,
        info=info,
        shorten=None,
        recut=None,
        row_ids=None,  # they are of the rows that reached the stage only
        **_copies(found, alive, before),
    )


def _copies(found: Selection, alive: Indices, before: Selection) -> dict[str, Any]:
    """Return the fields of the copies of both, in rows of the table."""
    size = int(before.size or 0)
    fields: dict[str, Any] = {"earlier": None}  # which only this stage's threshold needs
    if found.earlier is not None:
        fields["earlier"] = _spread(found.earlier, alive, np.full(size, -1, np.int64))
    kept, near = before.kept_rows, before.similarities
    if found.kept_rows is not None:
        own = np.full(size, -1, np.int64) if kept is None else np.array(kept)
        kept = _spread(found.kept_rows, alive, own)
        new = np.float32(np.nan) if found.similarities is None else found.similarities
        wide = np.result_type(new.dtype, np.float32 if near is None else near.dtype)
        near = np.full(size, np.nan, wide) if near is None else np.array(near, wide)
        near[alive] = new
    return {**fields, "kept_rows": kept, "similarities": near}


def _spread(numbers: Indices, alive: Indices, whole: Indices) -> Indices:
    """Set the entries of the rows `alive` to row numbers among them, -1 for none; (N,)."""
    whole[alive] = np.where(numbers < 0, -1, alive[np.maximum(numbers, 0)])
    return whole


def filtered(table: Table, stage: Stage) -> Selection:
    """Return the rows that satisfy all conditions."""
    columns = {name: table.values(name) for name in {each[0] for each in stage.where}}
    kept = where_holds(columns, table.size, stage.where)
    verdicts = np.ones(table.size, np.uint8)
    verdicts[kept] = 0
    return Selection(
        kept,
        method="filter",
        arguments={"where": exact(stage.where)},
        size=table.size,
        ranked=True,
        verdicts=verdicts,
        rules=("kept", "a condition does not hold"),
    )
