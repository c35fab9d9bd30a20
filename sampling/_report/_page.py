"""The whole page: its head, its policy, its sections, and how its file is recognised."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from .._files._paths import Kind
from ._markup import Section
from ._style import SCRIPT, STYLE
from ._svg import symbols

_HEAD = 2**13  # bytes in which the mark of a file is


def mark(program: str) -> str:
    """Return the markup by which the pages of a program are recognised."""
    return f'<meta name="generator" content="{escape(program)}">'


def page_kind(program: str) -> Kind:
    """Return the kind of file of the pages of a program, such as "sampling bench"."""
    return Kind(f"a report of `{program}`", "HTML", holds(mark(program)))


def holds(text: str) -> Callable[[Path], bool]:
    """Return a function that returns whether the start of a file holds a text."""

    def is_one(path: Path) -> bool:
        return text.encode() in start_of(path)

    return is_one


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file; none of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def whole(  # noqa: PLR0913  # the parts of a page
    program: str,
    title: str,
    facts: str,
    held: int,
    answer: Sequence[str],
    sections: Sequence[Section],
    *,
    version: str,
    picker: str = "",
) -> str:
    """Return a page as HTML.

    Parameters
    ----------
    program : str
        What writes it, such as "sampling bench".
    title, facts : str
        Its heading, and the line below.
    held : int
        Number of samples of the data that the page holds; it says so at its top.
    answer : sequence of str
        Sentences of the answer, the most important first.
    sections : sequence of Section
        All others.
    version : str
        That of the package.
    picker : str, default ""
        Markup before the sections.
    """
    links = "".join(f'<li><a href="#{s.name}">{escape(s.title)}</a></li>' for s in sections)
    word = "sample" if held == 1 else "samples"
    holds_ = f"Holds {held} {word} of the data" if held else "Holds no samples of the data"
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in answer)
    parts = [
        _head(program, title),
        '<body><a class="skip" href="#answer">Skip to the answer</a>',
        symbols(),
        f'<header><div class="top"><h1>{escape(title)}</h1>'
        '<button id="theme" type="button" hidden>Theme</button></div>'
        f'<p>{escape(facts)}</p><p class="held">{holds_}</p></header>',
        "<main>",
        f'<section id="answer" class="answer" aria-label="Answer">{sentences}</section>',
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>',
        picker,
        *(each.drawn() for each in sections),
        "</main>",
        f"<footer>Written by {escape(program)}, version {escape(version)}.</footer>",
        f"<script>{SCRIPT}</script></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _head(program: str, title: str) -> str:
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{mark(program)}\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{STYLE}</style></head>"
    )


def encoded(text: str) -> bytes:
    """Return a page as bytes; a name may hold half of a surrogate pair."""
    return text.encode("utf-8", "replace")
