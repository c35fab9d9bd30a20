"""Input files of a selection: recorded in its manifest, and compared later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, permutations
from pathlib import Path
from typing import Any

from .. import _check
from .._check._keywords import told
from .._warning import warn
from ..record import Selection
from ..record.inputs import of_one_table, table_text, tables_of
from ..types import Progress
from ._digest import contents, differences, digests
from ._sources import Given

_TABLES = 3  # that are compared with files named in any order

__all__ = ["changes", "inputs_of", "located_inputs", "refuse_other", "with_inputs"]


@told
def with_inputs(
    selection: Selection,
    source: Given,
    beside: Given = (),
    *,
    progress: Progress | None = None,
) -> Selection:
    """Return a selection with the digests of its input files.

    Parameters
    ----------
    selection : Selection
    source : str or pathlib.Path, or sequence of them
        The table selected from.
    beside : str or pathlib.Path, or sequence of them, default ()
        Files with additional columns of the same rows.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    Selection
        With `info["inputs"]`, the `digests` of the table, and `info["beside"]`, a list with the
        `digests` of each of the `beside` files.
    """
    noted = inputs_of(source, beside, progress=progress)
    return replace(selection, info={**selection.info, **noted})


@told
def inputs_of(
    source: Given, beside: Given = (), *, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the digests of the files of a table, as `with_inputs` adds them to a selection.

    Parameters
    ----------
    source : str or pathlib.Path, or sequence of them
        The table.
    beside : str or pathlib.Path, or sequence of them, default ()
        Tables with additional columns of the same rows, one path each.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    dict
        "inputs", the `digests` of the table, and "beside", a list with those of each other table.
    """
    noted: dict[str, Any] = {"inputs": digests(source, progress=progress)}
    if beside:
        others = _check.paths("beside", beside)
        noted["beside"] = [digests(each, progress=progress) for each in others]
    return noted


@told
def located_inputs(selection: Selection, folders: Sequence[str | Path]) -> list[list[Path]]:
    """Return the files that a selection was made from, found by the names in its manifest.

    Parameters
    ----------
    selection : Selection
        A selection from `with_inputs`.
    folders : sequence of str or pathlib.Path
        Folders to look in.

    Returns
    -------
    list of list of pathlib.Path
        The files of each table, in row order; their digests are those of the manifest.

    Raises
    ------
    ValueError
        If there are no such files, or the selection has no digests.
    """
    found, unique = [], list(dict.fromkeys(map(Path, folders)))
    for table in tables_of(selection.info):
        wrong: list[str] = []
        for folder in unique:
            paths = [folder / str(each["name"]) for each in table]
            if all(path.is_file() for path in paths):
                changed = differences(table, contents(paths))
                if not changed:
                    found.append(paths)
                    break
                wrong += changed
        else:
            text = table_text({"inputs": table})
            if wrong:
                raise ValueError(
                    f"table must be as it was when rows were selected from it, got {text}, which "
                    f"has changed: {wrong[0]}: select again, or name the earlier files"
                )
            raise ValueError(
                f"table must be named, as no folder ({', '.join(map(str, unique))}) has the files "
                f"that the selection was made from, got {text}"
            )
    if not found:
        raise ValueError("table must be named for a selection without the digests of its table")
    return found


@told
def refuse_other(within: Selection, inputs: Mapping[str, Any], *, name: str = "within") -> None:
    """Refuse a selection of another table, before rows are chosen among those that it kept.

    Parameters
    ----------
    within : Selection
    inputs : mapping
        From `inputs_of`, of the table to choose from.
    name : str, default "within"
        What the message calls the selection.

    Raises
    ------
    ValueError
        If the selection was made from tables none of which is among these.

    Notes
    -----
    Selections without digests
        A UserWarning: only the number of rows can be compared.
    """
    same = of_one_table(within.info, inputs)
    if same is False:
        for then in tables_of(within.info):
            for now in tables_of(inputs):
                if {each["name"] for each in then} & {each["name"] for each in now}:
                    raise ValueError(
                        f"{name} must be a subset of this table, got one of its content at an "
                        f"earlier time: {differences(then, now)[0]}: select again"
                    )
        raise ValueError(
            f"{name} must be a subset of this table, got one of {table_text(within.info)}, and "
            f"this is {table_text(inputs)}: name that table; if the rows of both are the same "
            "samples, name it as well as this one (beside, in a command --beside)"
        )
    if same is None:
        warn(f"{name} has no digests of its table: only the number of rows is compared")


@told
def changes(
    selection: Selection,
    source: Given,
    *,
    progress: Progress | None = None,
) -> list[str]:
    """List the files in which a table differs from the one a selection was made from.

    Parameters
    ----------
    selection : Selection
        A selection from `with_inputs`.
    source : str, pathlib.Path, or sequence of them
        The table, or one of the `beside` files, or all of these.
    progress : callable, optional
        Called with (step, total, "B") as bytes are read.

    Returns
    -------
    list of str
        One message for each file that differs, with its name; empty if the table is unchanged.

    Raises
    ------
    ValueError
        If the selection does not hold the digests of its inputs.
    """
    tables = tables_of(selection.info)
    if not tables:
        raise ValueError("selection must hold the digests of its inputs, got one without")
    found = contents(source, progress=progress)
    if 1 < len(tables) <= _TABLES:  # all of them at once, in any order
        tables += [list(chain(*each)) for each in permutations(tables)]
    wrong = [differences(table, found) for table in tables]
    named = [i for i, table in enumerate(tables) if share_files(table, found)]
    best = min(wrong, key=len)
    return best if not best or not named else min((wrong[i] for i in named), key=len)


def share_files(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether two tables share a file of the same name or the same bytes.

    If they do, one derives from the other. Names include the folder: `texts/part-0.parquet` is not
    `embeddings/part-0.parquet`.
    """
    return any({each[key] for each in one} & {each[key] for each in other}
               for key in ("name", "digest"))  # fmt: skip
