"""Input files of a selection: recorded in its manifest, and compared later."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import _check
from .._check._keywords import told
from ..record import Selection
from ..types import Progress
from ._digest import contents, differences, digests
from ._sources import Given

__all__ = ["changes", "with_inputs"]


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
    noted: dict[str, Any] = {"inputs": digests(source, progress=progress)}
    if beside:
        others = _check.paths("beside", beside)
        noted["beside"] = [digests(each, progress=progress) for each in others]
    return replace(selection, info={**selection.info, **noted})


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
        The table, or one of the `beside` files.
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
    tables = tables_of(selection)
    if not tables:
        raise ValueError("selection must hold the digests of its inputs, got one without")
    found = contents(source, progress=progress)
    wrong = [differences(table, found) for table in tables]
    named = [i for i, table in enumerate(tables) if share_files(table, found)]
    best = min(wrong, key=len)
    return best if not best or not named else min((wrong[i] for i in named), key=len)


def tables_of(selection: Selection) -> list[list[dict[str, Any]]]:
    """Return the digests of each input table of a selection."""
    info = selection.info
    return [table for table in (info.get("inputs"), *info.get("beside", ())) if table]


def share_files(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> bool:
    """Return whether two tables share a file of the same name or the same bytes.

    If they do, one derives from the other. Names include the folder: `texts/part-0.parquet` is not
    `embeddings/part-0.parquet`.
    """
    return any({each[key] for each in one} & {each[key] for each in other}
               for key in ("name", "digest"))  # fmt: skip
