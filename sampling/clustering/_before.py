"""What can be known to fail before rows are read, of clusters and neighbour graphs to be made."""

from collections.abc import Callable
from typing import Any

from .. import _check
from .._before import Data, call_before
from ..io import Outline
from ._kmeans import kmeans
from ._neighbours import neighbours

__all__ = ["check_kmeans", "check_neighbours"]


def check_kmeans(outline: Outline, **given: Any) -> None:  # noqa: ANN401  # those of `kmeans`
    """Refuse, before a table is read, what `kmeans` would refuse of its embeddings.

    Parameters
    ----------
    outline : Outline
        From `sampling.io.outline_of`.
    **given
        Arguments of `kmeans`; `groups` is a column of the table.

    Raises
    ------
    ValueError, TypeError
        What `kmeans` itself would say; if there is no such column, or there are no embeddings.
    """
    column = given.get("groups")
    if column is not None:
        if column not in outline.names:
            raise ValueError(
                f"groups must be one of {list(outline.names)}, got {column!r}"
                f"{_check.closest(str(column), outline.names)}"
            )
        given["groups"] = Data()
    _check_made(outline, kmeans, "n_clusters", given)


def check_neighbours(outline: Outline, **given: Any) -> None:  # noqa: ANN401  # of `neighbours`
    """Refuse, before a table is read, what `neighbours` would refuse of its embeddings.

    Parameters
    ----------
    outline : Outline
        From `sampling.io.outline_of`.
    **given
        Arguments of `neighbours`.

    Raises
    ------
    ValueError, TypeError
        What `neighbours` itself would say; if there are no embeddings.
    """
    _check_made(outline, neighbours, "k", given)


def _check_made(
    outline: Outline, function: Callable[..., Any], needed: str, given: dict[str, Any]
) -> None:
    if needed not in given:
        raise ValueError(f"{needed} must be given, got none")
    if outline.shape is None:
        raise ValueError(
            f"{outline.path} must have a column of lists, or columns of numbers that a pattern "
            f"such as 'x*' names, got {list(outline.names)}"
        )
    outline.check_rows()
    call_before(function, embeddings=Data(), **given)
