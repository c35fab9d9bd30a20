"""Sections with rows of the data: pairs of copies, rows at the border, kept and dropped rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._files._images import image_in, upright
from .._report._images import pillow, shortened, thumbnails
from .._report._markup import Section
from ..io import table_folder
from ..record import Selection
from ..selection import twins_of
from ..types import Indices
from ._steps import Step, reached, removed, survived
from ._view import View

_TWINS, _PAIRS = 200, 16  # copies that are compared with kept rows, and those shown
_SHOWN, _BORDER, _RULES = 12, 8, 8  # rows of a list, rows on each side, rules with a list
_NEAR = 1e-6  # of float32 cosines that are computed in two ways
_COLUMNS = 3  # columns that are shown where no text is named
_TEXTS = ("text", "content", "caption", "description", "prompt", "question", "title")
_LETTERS, _OF_ID = 320, 80  # of a text, of an id


@dataclass(frozen=True)
class Pairs:
    """Copies with a kept row each, the least similar pair first.

    Parameters
    ----------
    dropped, kept : int64 array of shape (n,)
        -1 for no kept row.
    similarity : float array of shape (n,)
        Of both rows.
    """

    dropped: Indices
    kept: Indices
    similarity: NDArray[Any]

    @classmethod
    def of(cls, dropped: Indices, kept: Indices, similarity: NDArray[Any]) -> Pairs:
        """Return pairs, sorted."""
        order = np.lexsort((dropped, similarity))
        return cls(dropped[order], kept[order], similarity[order])

    def __len__(self) -> int:
        return int(self.dropped.size)

    def taken(self, at: NDArray[Any]) -> list[tuple[int, int, float]]:
        """Return some pairs."""
        parts = (self.dropped[at], self.kept[at], self.similarity[at])
        return list(zip(*(part.tolist() for part in parts), strict=True))


@dataclass
class Lists:
    """Rows to show, before any of them is read.

    Parameters
    ----------
    pairs : list of (Step, [(dropped, kept, similarity), ...])
        Copies with the rows that were kept instead, or their nearest kept rows.
    borders : list of (Step, kept rows, dropped rows)
        Those with the scores that are nearest to the cut.
    plain : list of (title, rows)
        Kept rows, and rows that a rule dropped.
    """

    pairs: list[tuple[Step, list[tuple[int, int, float]]]] = field(default_factory=list)
    borders: list[tuple[Step, Indices, Indices]] = field(default_factory=list)
    plain: list[tuple[str, Indices]] = field(default_factory=list)

    @property
    def rows(self) -> Indices:
        """All rows that are shown, each once."""
        found = [each for _, rows in self.plain for each in rows.tolist()]
        found += [each for _, a, b in self.borders for each in (*a.tolist(), *b.tolist())]
        found += [each for _, twins in self.pairs for a, b, _ in twins for each in (a, b)]
        return np.unique(np.array([each for each in found if each >= 0], np.int64))


# ---------------------------------------------------------------------- which rows


def twins(view: View) -> tuple[Lists, list[tuple[str, str, str]]]:
    """Return pairs of copies, and what they say of the stages: (name, text, tone)."""
    lists, said = Lists(), []
    for step in view.steps:
        rows = removed(view.selection, list(step.copies.values()), view.dropped_by, step)
        if not (step.copies and rows.size):
            continue
        pairs = _known(view, rows)
        if pairs is None and view.embeddings is None:
            view.notes.append(
                f"Pairs of copies of {step.name} are not shown: there are no "
                "embeddings to compare rows by."
            )
            continue
        found = _twins(view, step, rows) if pairs is None else pairs
        at = np.unique(np.linspace(0, len(found) - 1, min(_PAIRS, len(found))).round().astype(int))
        lists.pairs.append((step, found.taken(at)))
        lowest, at_ = float(found.similarity[0]), step.info.get("threshold")
        below = 0
        if isinstance(at_, float):
            below = int(np.count_nonzero(found.similarity < at_ - _NEAR))
        why = ""
        if below:  # in a chain of copies
            why = (
                f" {below:,} pairs are below the threshold of {at_:.4g}: the row for which such a "
                "copy was dropped was itself dropped as a copy."
            )
        how = "have a known row that was kept instead" if pairs is not None else (
            "were compared with the rows that the stage kept"
        )  # fmt: skip
        text = (
            f"Of {rows.size:,} copies, {len(found):,} {how}: the least similar pair has "
            f"{lowest:.4f}.{why}"
        )
        said.append((step.name, text, "open" if below else "good"))
        orphans = int(np.count_nonzero((found.kept >= 0) & (view.dropped_by[found.kept] > 0)))
        if len(view.steps) > step.number:
            which = "row kept instead" if pairs is not None else "most similar kept row"
            text = (
                f"Of {len(found):,} copies, {orphans:,} have a {which} that a later stage dropped: "
                "neither is in the selection."
            )
            said.append((step.name, text, "open" if orphans else "good"))
    return lists, said


def _known(view: View, rows: Indices) -> Pairs | None:
    """Return copies with the row that the selection names for each; None if it names none."""
    kept, similarities = view.selection.kept_rows, view.selection.similarities
    if kept is None or similarities is None:
        return None
    rows = rows[(kept[rows] >= 0) & ~np.isnan(similarities[rows])]
    return Pairs.of(rows, kept[rows], similarities[rows]) if rows.size else None


def _twins(view: View, step: Step, rows: Indices) -> Pairs:
    """Return some copies with the nearest row that the step kept."""
    left = np.flatnonzero(survived(step, view.dropped_by))
    scores = view.selection.scores if step.scores is None else step.scores
    marked = np.full(view.size, 2, np.uint8)
    marked[rows], marked[left] = 1, 0
    own = Selection(
        left,
        size=view.size,
        scores=np.zeros(view.size, np.float32) if scores is None else np.nan_to_num(scores),
        verdicts=marked,
        rules=("kept", "near copy", "another rule"),
    )
    found = twins_of(own, view.embeddings, _TWINS, progress=view.options.progress)
    parts = [(each.dropped, each.kept, each.similarity) for each in found]
    dropped, kept, similarities = (np.array(part) for part in zip(*parts, strict=True))
    return Pairs.of(dropped, kept, similarities)


def chosen(view: View, lists: Lists) -> Lists:
    """Add the rows at the border of each step, kept rows and rows that each rule dropped."""
    for step in view.steps:
        border = _border(view, step)
        if border is not None:
            lists.borders.append((step, *border))
    if view.kept.size:
        lists.plain.append(("Kept", view.some(view.kept, _SHOWN, "examples kept")))
    count = 0
    for step in view.steps:
        for rule, number in sorted(step.rules.items(), key=lambda item: -item[1]):
            if count < _RULES:
                rows = removed(view.selection, [step.codes.get(rule, -1)], view.dropped_by, step)
                title = f"Dropped by {step.name}: {rule} ({number:,} rows)"
                title = title.replace(": dropped (", " (")
                shown = view.some(rows, _SHOWN, f"examples {step.number} {rule}")
                lists.plain.append((title, shown))
                count += 1
    return lists


def _border(view: View, step: Step) -> tuple[Indices, Indices] | None:
    """Return the rows on both sides of the cut of a step, the nearest first; None without one."""
    order = step.info.get("order")
    if step.scores is None or order is None or view.selection.verdicts is None:
        return None
    own = np.asarray(step.scores, np.float64)
    if order != "ascending":
        own = -own  # low is kept first
    fits = np.isfinite(own) & reached(step, view.dropped_by)
    fits &= ~np.isin(view.selection.verdicts, step.unjudged)
    last = survived(step, view.dropped_by)
    kept, dropped = np.flatnonzero(fits & last), np.flatnonzero(fits & ~last)
    if not (kept.size and dropped.size):
        return None
    column = _group_column(view, step)
    if column is not None:
        return _by_group(view.groups(column)[1], own, kept, dropped)
    return _least(kept, -own[kept]), _least(dropped, own[dropped])


def _group_column(view: View, step: Step) -> str | None:
    """Return the column whose groups have a cut of their own in a stage."""
    for stage in view.selection.arguments.get("stages", ()):
        column = stage["columns"].get("groups") if stage.get("name") == step.name else None
        if column in view.table.names:
            return str(column)
    return None


def _by_group(
    codes: NDArray[np.int32], own: NDArray[np.float64], kept: Indices, dropped: Indices
) -> tuple[Indices, Indices]:
    """Return the last kept and the first dropped row of the largest groups that have both."""
    first, last = _first(codes, dropped, own), _first(codes, kept, -own)
    sizes = np.bincount(codes)
    both = sorted(first.keys() & last.keys(), key=lambda code: (-sizes[code], code))[:_BORDER]
    rows = [np.array([found[code] for code in both], np.int64) for found in (last, first)]
    return rows[0], rows[1]


def _first(codes: NDArray[np.int32], rows: Indices, values: NDArray[Any]) -> dict[int, int]:
    """Return the row with the lowest value of each group."""
    order = rows[np.lexsort((rows, values[rows]))]
    found, at = np.unique(codes[order], return_index=True)
    return dict(zip(found.tolist(), order[at].tolist(), strict=True))


def _least(rows: Indices, values: NDArray[np.float64]) -> Indices:
    """Return the rows with the lowest values, ascending."""
    few = np.argpartition(values, _BORDER - 1)[:_BORDER] if rows.size > _BORDER else slice(None)
    own = rows[few]
    return own[np.lexsort((own, values[few]))]


# ---------------------------------------------------------------------- their markup


class Shown:
    """The markup of rows: texts and images are read for these rows only.

    Parameters
    ----------
    view : View
        What is shown.
    rows : int64 array of shape (n,)
        Rows, each once.
    """

    def __init__(self, view: View, rows: Indices) -> None:
        self._view = view
        names = [view.options.text] if view.options.text else _texts(view)
        read = {name: view.values_at(name, rows) for name in names}
        self._texts: dict[int, str] = {}
        for at, number in enumerate(rows.tolist()):
            parts = []
            for name, values in read.items():
                value = "(missing)" if values[at] is None else _plain(values[at])
                text = escape(shortened(value, _LETTERS))
                parts.append(text if len(names) == 1 else f"<i>{escape(name)}</i> {text}")
            self._texts[number] = "<br>".join(parts)
        self._images: dict[int, str] = {}
        if view.options.image is not None:
            self._images = _images(view, view.options.image, rows)

    def item(self, row: int, facts: Iterable[str] = (), label: str = "") -> str:
        """Return the markup inside a card."""
        known = [label] if label else []
        known += [f"row {row:,}", *self._id(row), *facts]
        text = self._texts.get(row, "")
        return (
            f"{self._images.get(row, '')}{f'<b>{text}</b>' if text else ''}"
            f"<span>{escape(' · '.join(known))}</span>"
        )

    def _id(self, row: int) -> list[str]:
        own = self._view.selection
        if own.row_ids is not None:
            return [_cut(_plain(own.row_ids[row]))]
        if own.ids is None:
            return []
        place = np.flatnonzero(own.indices == row)
        return [_cut(_plain(own.ids[place[0]]))] if place.size else []


def _plain(value: Any) -> str:  # of a column
    value = value.item() if isinstance(value, np.generic) else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _cut(name: str) -> str:
    return name if len(name) <= _OF_ID else f"{name[: _OF_ID - 1]}…"


def _texts(view: View) -> list[str]:
    """Return the column of texts, or the first columns of a table without one."""
    names = view.table.names
    for name in _TEXTS:
        for own in names:
            if own.lower() == name and _is_text(view.table.type_of(own)):
                return [own]
    return list(names[:_COLUMNS]) if view.options.image is None else []


def _is_text(kind: Any) -> bool:  # pyarrow.DataType
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _images(view: View, name: str, rows: Indices) -> dict[int, str]:
    """Return the thumbnails of rows, from bytes, from paths, or from both as datasets stores."""
    pillow("report", "images in the report of a selection")
    first = table_folder(view.sources[0])
    found, lost = {}, {}
    for number, value in zip(rows.tolist(), view.values_at(name, rows), strict=True):
        image = image_in(value, first, upright)
        if isinstance(image, str):  # a damaged file is one card, not the end of the page
            lost[number] = f"<b>(no image: {escape(shortened(image, _OF_ID))})</b>"
        else:
            found[number] = image
    made = thumbnails(found)
    return {
        **{at: each.replace('alt=""', f'alt="image of row {at}"', 1) for at, each in made.items()},
        **lost,
    }


def sections(view: View, lists: Lists) -> list[Section]:
    """Return the sections of examples."""
    shown = Shown(view, lists.rows)
    found = []
    for step, pairs in lists.pairs:
        found.append(_pairs(view, step, pairs, shown))
    for step, kept, dropped in lists.borders:
        found.append(_at_border(view, step, kept, dropped, shown))
    parts = [
        f'<h3>{escape(title)}</h3><ul class="grid">'
        + "".join(_card(shown.item(row, _score(view, row))) for row in rows.tolist())
        + "</ul>"
        for title, rows in lists.plain
    ]
    if parts:
        text = '<p class="soft">Drawn at random within each rule.</p>'
        found.append(Section("examples", "Rows kept and dropped", text + "".join(parts)))
    return found


def _card(body: str, kind: str = "text") -> str:
    plain = body.startswith("<img") and "<b>" not in body
    return f"<li{'' if plain else f' class={chr(34)}{kind}{chr(34)}'}>{body}</li>"


def _score(view: View, row: int) -> list[str]:
    """Return the score of a row, if the selection has one."""
    scores = view.selection.scores
    if scores is None or not np.isfinite(scores[row]):
        return []
    return [f"score {float(scores[row]):.4g}"]


def _pairs(
    view: View, step: Step, pairs: Sequence[tuple[int, int, float]], shown: Shown
) -> Section:
    items = []
    for dropped, kept, similarity in pairs:
        later = ""
        if kept >= 0 and view.dropped_by[kept]:
            later = f", which {view.steps[view.dropped_by[kept] - 1].name} dropped later"
        other = shown.item(kept, label=f"kept by the stage{later}") if kept >= 0 else ""
        items.append(
            f'<li class="text pair"><strong>similarity {similarity:.4f}</strong>'
            f"<div>{shown.item(dropped, label='dropped')}</div><div>{other}</div></li>"
        )
    which = "most similar row that the stage kept"
    if _known(view, np.array([pair[0] for pair in pairs])) is not None:
        which = "row that the stage kept instead"
    measure = "Jaccard index of the n-grams" if step.method == "dedup_text" else (
        "cosine of the embeddings"
    )  # fmt: skip
    text = (
        f'<p class="soft">Each dropped copy with the {which}, from the least to the most similar '
        f"pair ({measure}). If the first ones are not copies, the threshold is too low.</p>"
    )
    body = f'{text}<ul class="grid">{"".join(items)}</ul>'
    return Section(f"pairs-{step.number}", f"Copies that {step.name} dropped", body)


def _at_border(view: View, step: Step, kept: Indices, dropped: Indices, shown: Shown) -> Section:
    column = _group_column(view, step)
    names, codes = ([], None) if column is None else view.groups(column)
    parts = []
    for title, rows in (
        ("Last rows that were kept", kept),
        ("First rows that were dropped", dropped),
    ):
        cards = ""
        for row in rows.tolist():
            facts = [] if step.scores is None else [f"score {float(step.scores[row]):.6g}"]
            facts += [] if codes is None else [f"{column}: {_cut(names[codes[row]])}"]
            cards += _card(shown.item(row, facts))
        parts.append(f'<h3>{title}</h3><ul class="grid">{cards}</ul>')
    at = step.info.get("threshold")
    told = f"The threshold is {at:.6g}. " if isinstance(at, int | float) else ""
    by = "The rows whose scores are nearest to the cut."
    if column is not None:
        by = f"Each group of {escape(column)} has its own cut: one row of the largest groups each."
    text = f'<p class="soft">{told}{by}</p>'
    return Section(f"border-{step.number}", f"At the border of {step.name}", text + "".join(parts))
