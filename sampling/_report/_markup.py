"""Sections, tables and figures of a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_DARKEST = 0.5  # opacity of the darkest shade


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Parameters
    ----------
    name : str
        Its address on the page.
    title : str
        Its heading.
    body : str
        Markup.
    """

    name: str
    title: str
    body: str

    def drawn(self) -> str:
        """Return its markup."""
        return (
            f'<section aria-labelledby="{self.name}-h" id="{self.name}">'
            f'<h2 id="{self.name}-h">{escape(self.title)}</h2>{self.body}</section>'
        )


def cell(text: str, value: float | None = None, kind: str = "") -> str:
    """Return a cell of a table, of markup, with the value that it sorts by."""
    sort = "" if value is None else f' data-v="{"" if math.isnan(value) else f"{value:.9g}"}"'
    named = f' class="{kind}"' if kind else ""
    return f"<td{named}{sort}>{text}</td>"


def shaded(text: str, value: float, change: float, strong: float) -> str:
    """Return a cell shaded by a change, blue for more and orange for less.

    strong : the change that has the darkest shade
    """
    if not math.isfinite(value):
        return cell("-", math.nan)
    opacity = min(abs(change) / strong, 1.0) * _DARKEST if math.isfinite(change) else 0.0
    kind = "pos" if change > 0 else "neg"
    return (
        f'<td class="h {kind}" style="--a:{opacity:.2f}" data-v="{value:.6g}">{escape(text)}</td>'
    )


def bar(*widths: tuple[str, float], short: bool = False) -> str:
    """Return a bar of pieces: the class of each, and its percentage of the whole width.

    short : whether its table has many columns
    """
    pieces = "".join(f'<i class="{kind}" style="width:{wide:.2f}%"></i>' for kind, wide in widths)
    kind = "bar short" if short else "bar"
    return f'<div class="{kind}" aria-hidden="true">{pieces}</div>'


def row(head: str, cells: Iterable[str], kind: str = "") -> str:
    """Return a row of a table whose first cell is its name, which is escaped."""
    named = f' class="{kind}"' if kind else ""
    return f'<tr{named}><th scope="row">{breakable(head)}</th>{"".join(cells)}</tr>'


def breakable(name: str) -> str:
    """Return a name, escaped, that may be broken after its punctuation."""
    return "".join(f"{escape(each)}<wbr>" if each in ":_/@," else escape(each) for each in name)


def table(
    heads: Sequence[str],
    rows: Sequence[str],
    caption: str = "",
    sorts: bool = False,
    words: Sequence[str] = (),
) -> str:
    """Return a table that scrolls sideways where it is too wide; the first head is of names.

    words : heads of columns that hold words
    """
    first = f'<th scope="col" class="w">{escape(heads[0])}</th>'
    left = ' class="w"'
    others = "".join(
        f'<th scope="col"{left if head in words else ""}>{escape(head)}</th>' for head in heads[1:]
    )
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    kind = ' class="sorts"' if sorts else ""
    label = escape(caption or heads[0], quote=True)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table{kind}>{told}'
        f"<thead><tr>{first}{others}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def folded(title: str, body: str, open_: bool = False) -> str:
    """Return a block that a reader can open."""
    state = " open" if open_ else ""
    return f"<details{state}><summary>{escape(title)}</summary>{body}</details>"


def figure(body: str, caption: str) -> str:
    """Return a chart with its caption."""
    return f"<figure>{body}<figcaption>{escape(caption)}</figcaption></figure>"


def pairs(given: Mapping[str, Any]) -> str:
    """Return names and their values as a list; those that are None are skipped."""
    items = "".join(
        f"<dt>{escape(str(name))}</dt><dd>{escape(said(value))}</dd>"
        for name, value in given.items()
        if value is not None
    )
    return f"<dl>{items}</dl>"


def said(value: Any) -> str:  # any JSON value
    """Return a value as plain text."""
    if isinstance(value, list | tuple):
        return ", ".join(map(said, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {said(each)}" for name, each in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)
