"""Selections from the rows that an earlier selection kept; row numbers stay those of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import _check
from ..._check._keywords import told
from ..._distinct import distinct
from ...clustering import Clustering, Neighbours
from ...io import Table
from ...record import Selection
from ...record.keys import keys_for
from ...types import Indices
from ..core._exact import exact
from ..core._select import ids_of
from ._filter import by_column, conditions, holds
from ._stage import Stage, refuse_no_id, refuse_no_rows

__all__ = [
    "among", "chosen", "everything", "excluded", "filter_from", "filtered", "lifted",
    "rows_within", "with_ids",
]  # fmt: skip

_ELSEWHERE = "not in the subset"


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
        return with_ids(filtered(table, stage), table, ids, None)
    before = chosen(within, table.size)
    alive = distinct(before.indices)
    own = table if alive.size == table.size else table.take(alive)
    whole = lifted(filtered(own, stage), alive, before, "filter")
    return with_ids(whole, table, ids, within)


def chosen(within: Selection, size: int, called: str = "within") -> Selection:
    """Return a selection with the verdicts of all `size` rows, as one that stages begin with.

    Its rules are prefixed by the method, unless it is of several stages already.

    called : what messages call it
    """
    if within.size is not None and within.size != size:
        raise ValueError(
            f"{called} must be of a table of {size} rows, got a selection from {within.size}: name "
            "the table that it was made from"
        )
    if len(within) and int(within.indices.max()) >= size:
        raise ValueError(
            f"{called} must be of a table of {size} rows, got row {int(within.indices.max())}: "
            "name the table that it was made from"
        )
    verdicts, rules = within.verdicts, within.rules
    if verdicts is None:
        verdicts, rules = np.ones(size, np.uint8), ("kept", _ELSEWHERE)
        verdicts[within.indices] = 0
    elif within.method != "plan" and not within.info.get("within"):
        rules = (rules[0], *(f"{within.method}: {rule}" for rule in rules[1:]))
    return replace(within, size=size, verdicts=verdicts, rules=tuple(rules))


@told
def rows_within(table: Table, within: Selection) -> Indices | None:
    """Return the rows of a table that a selection kept, to use these only.

    Parameters
    ----------
    table : Table
        From `sampling.io.open_table`.
    within : Selection
        Of rows of this table.

    Returns
    -------
    int64 array of shape (n,) or None
        In ascending order, each once; None if these are all rows.

    Raises
    ------
    ValueError
        If `within` is of another number of rows, or keeps none.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sampling.io import open_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder, "rows.npy"), np.eye(3))
    ...     table = open_table(Path(folder, "rows.npy"))
    >>> rows_within(table, Selection(np.array([2, 0]), size=3))
    array([0, 2])
    """
    alive = distinct(chosen(within, table.size).indices)
    if not alive.size:
        refuse_no_rows("within")
    return None if alive.size == table.size else alive


def everything(size: int) -> Selection:
    """Return all rows, as a selection that stages begin with."""
    verdicts = np.zeros(size, np.uint8)
    return Selection(np.arange(size), method="read", size=size, verdicts=verdicts, rules=("kept",))


def excluded(found: Selection, gone: NDArray[np.bool_], rule: str) -> Selection:
    """Return a selection that stages begin with, without some rows, of a mask (N,)."""
    verdicts = np.array(found.verdicts, np.uint8)
    verdicts[gone & found.mask()] = len(found.rules)
    stays = ~gone[found.indices]
    rows: dict[str, Any] = {"indices": found.indices[stays]}
    for name in ("weights", "ids"):
        own = getattr(found, name)
        rows[name] = None if own is None else own[stays]
    return replace(found, verdicts=verdicts, rules=(*found.rules, f"read: {rule}"), **rows)


def among(
    table: Table, settings: Mapping[str, Any], alive: Indices
) -> tuple[Table, dict[str, Any]]:
    """Return the rows of a table, and the settings of a selector with its clusters, for a subset.

    alive : int64 (n,), in ascending order
    """
    if not alive.size:
        refuse_no_rows("within")
    given = dict(settings)
    clusters, graph = given.get("clusters"), given.get("num_neighbours")
    if isinstance(clusters, Clustering):
        given["clusters"] = clusters.of_table(table.size, alive)
    if isinstance(graph, Neighbours):
        _check.same_length("num_neighbours", graph.indices, "the table", table.size)
        given["num_neighbours"] = graph.among(alive)
    return table if alive.size == table.size else table.take(alive), given


def with_ids(
    found: Selection, table: Table, column: str | None, within: Selection | None
) -> Selection:
    """Return a selection with the ids of a column, or those of the earlier selection.

    Rows that are dropped may have no id; then only those of the kept rows are known. Two kept rows
    of one id are refused.
    """
    info = found.info if within is None else {**found.info, "within": _told(within)}
    found = replace(found, info=info)
    if column is not None:
        missing = table.values(column).is_null().to_numpy()
        refuse_no_id(column, found.indices[missing[found.indices]])
        kept = ids_of(table.take(found.indices).column(column), len(found))
        every = None if missing.any() else ids_of(table.column(column), table.size)
        keys_for(0, kept, len(found))  # refuses a name twice
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
            "always": [f"{name}: {rule}" for rule in cut.get("always", ())],
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
    """Return the rows that satisfy all conditions, which the engine evaluates."""
    every = np.ones(table.size, np.bool_)
    for name, where in by_column(stage.where).items():
        every &= table.flags(name, partial(holds, where))
    kept = np.flatnonzero(every)
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
