"""Sections of the page about samples: classes, what each method drops, and how hard samples are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from ..._report._markup import Section, cell, folded, row, shaded
from ..._report._svg import Frame, limits, scattered
from ..._rng import key, values
from ...clustering import kmeans
from ..tasks._metric import per_class
from ._charts import middle, table
from ._view import View, is_control

_CLASSES = 16  # columns of a table; of more classes, those that change most
_CLUSTERS, _CLUSTERED = 10, 10_000  # clusters, and rows that are clustered
_COMPARED = 14  # methods or scores of a table of correlations
_MAPPED = 2_000  # samples of the data map
_STRONG = 0.1  # difference of the darkest shade
_FEWEST = 2
Floats = NDArray[np.float64]


# ---------------------------------------------------------------------- classes


def classes(view: View) -> Section | None:
    """Return the accuracy of each class."""
    targets = _test_targets(view)
    if targets is None or view.results.about.get("outcomes", "classes") != "classes":
        return None
    full = None if view.full is None else _class_accuracy(view, view.full.method, 1.0, targets)
    parts = []
    for keep in view.keeps:
        names = [e.method for e in view.of_keep(keep)]
        names = [n for n in view.highlighted if n in names]
        found = {name: _class_accuracy(view, name, keep, targets) for name in names}
        rows = {name: values for name, values in found.items() if values is not None}
        if rows:
            title = "Full cost" if keep >= 1 else f"Keep {keep:g}"
            body = _class_table(view, rows, full, f"Accuracy of each class (%): {title.lower()}")
            parts.append(folded(title, body, open_=keep == middle(view.keeps)))
    if not parts:
        return None
    text = (
        "<p>Mean over seeds, on the test set. Shades are differences from full data: blue above, "
        "orange below.</p>"
        if full is not None
        else "<p>Mean over seeds, on the test set.</p>"
    )
    return Section("classes", "Accuracy of each class", text + "".join(parts))


def _test_targets(view: View) -> NDArray[np.int64] | None:
    labels = None if view.data is None else view.data.test.labels
    return None if labels is None or not labels.size or labels.min() < 0 else labels


def _class_accuracy(
    view: View, method: str, keep: float, targets: NDArray[np.int64]
) -> Floats | None:
    found = []
    for entry in view.of_method(method):
        for run in entry.runs if entry.keep == keep else ():
            outcomes = view.details(run).get("outcomes")
            if outcomes is not None and outcomes.shape == targets.shape:
                found.append(per_class(outcomes.astype(np.int64), targets))
    return np.mean(found, axis=0) if found else None


def _class_table(view: View, rows: Mapping[str, Floats], full: Floats | None, caption: str) -> str:
    """Return a table of classes; of many, those that differ most from full data."""
    count = len(next(iter(rows.values())))
    base = np.mean(list(rows.values()), axis=0) if full is None else full
    shown = np.arange(count)
    if count > _CLASSES:
        change = np.nanmax([np.abs(values - base) for values in rows.values()], axis=0)
        shown = np.sort(np.argsort(-np.nan_to_num(change), kind="stable")[:_CLASSES])
        caption += f"; {_CLASSES} of {count} classes, those that change most"
    lines = []
    if full is not None and view.full is not None:
        cells = [cell(f"{100 * full[c]:.1f}", full[c]) for c in shown]
        lines.append(row(view.full.method, cells, "mark"))
    for name, values_ in rows.items():
        differences = None if full is None else values_ - full
        lines.append(
            row(
                name,
                [
                    shaded(
                        f"{100 * values_[c]:.1f}",
                        float(values_[c]),
                        0.0 if differences is None else float(differences[c]),
                        _STRONG,
                    )
                    for c in shown
                ],
            )
        )
    heads = ["method", *(view.class_name(int(c)) for c in shown)]
    return table(heads, lines, caption, sorts=True)


# ---------------------------------------------------------------------- what is dropped


def dropped(view: View) -> Section | None:
    """Return how evenly each method draws, and the balance of classes and clusters after it."""
    if not view.counts:
        return None
    keeps = sorted({keep for _, keep in view.counts}, reverse=True)
    clusters = _clusters(view)
    parts = []
    for keep in keeps:
        counts = _at(view, keep)
        body = _draws(counts, f"Draws of the samples: keep {keep:g}")
        if view.labels is not None:
            body += _balance(
                {name: (view.labels, found) for name, found in counts.items()},
                view.class_name,
                f"Share of each class among the draws (%): keep {keep:g}",
            )
        if clusters is not None:
            rows, labels = clusters
            body += _balance(
                {name: (labels, found[rows]) for name, found in counts.items()},
                lambda number: str(number + 1),
                f"Share of each cluster among the draws (%): keep {keep:g}",
            )
        parts.append(folded(f"Keep {keep:g}", body, open_=keep == middle(keeps)))
    text = (
        f"<p>Draws of each training sample over the whole run, seed {view.seed}. Shades are ratios "
        "to the share before: blue above, orange below.</p>"
    )
    return Section("dropped", "What each method drops", text + "".join(parts))


def _at(view: View, keep: float) -> dict[str, NDArray[np.int64]]:
    """Return the draws at a keep fraction, of highlighted methods."""
    return {
        name: view.counts[name, keep] for name in view.highlighted if (name, keep) in view.counts
    }


def _draws(counts: Mapping[str, NDArray[np.int64]], caption: str) -> str:
    lines = []
    for name, found in counts.items():
        never = float((found == 0).mean())
        ordered = np.cumsum(np.sort(found)[::-1])
        half = float((np.searchsorted(ordered, ordered[-1] / 2) + 1) / found.size)
        cells = [
            cell(f"{100 * never:.1f}", never),
            cell(f"{100 * half:.1f}", half),
            cell(f"{found.max():,}", float(found.max())),
        ]
        lines.append(row(name, cells))
    heads = ["method", "never drawn (%)", "samples with half of the draws (%)", "most draws"]
    return table(heads, lines, caption, sorts=True) if lines else ""


def _balance(
    given: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]],
    name_of: Callable[[int], str],
    caption: str,
) -> str:
    """Return the share of each group before and after."""
    if not given:
        return ""
    labels = next(iter(given.values()))[0]
    count = int(labels.max()) + 1
    before = np.bincount(labels, minlength=count) / labels.size
    after = {
        name: np.bincount(mine, weights=counts, minlength=count) / max(int(counts.sum()), 1)
        for name, (mine, counts) in given.items()
    }
    shown = np.arange(count)
    if count > _CLASSES:
        change = np.max([np.abs(_log_ratio(each, before)) for each in after.values()], axis=0)
        shown = np.sort(np.argsort(-change, kind="stable")[:_CLASSES])
        caption += f"; {_CLASSES} of {count}, those that change most"
    lines = [row("before", [cell(f"{100 * before[c]:.1f}", before[c]) for c in shown], "mark")]
    for name, shares in after.items():
        ratio = _log_ratio(shares, before)
        cells = [
            shaded(f"{100 * shares[c]:.1f}", float(shares[c]), float(ratio[c]), 1.0) for c in shown
        ]
        lines.append(row(name, cells))
    return table(["method", *(name_of(int(c)) for c in shown)], lines, caption, sorts=True)


def _log_ratio(shares: Floats, before: Floats) -> Floats:
    return np.log2(np.maximum(shares, 1e-6) / np.maximum(before, 1e-6))


def _clusters(view: View) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Cluster the rows of the data, or some of them: (rows, their clusters).

    Only embeddings at hand are used: a function of the task may take long.
    """
    data = view.data
    size = next((counts.size for counts in view.counts.values()), 0)
    if data is None or len(data.train) != size or callable(data.task.embeddings):
        return None
    embeddings = data.embeddings()
    if embeddings is None or size < _CLUSTERS * _FEWEST:
        return None
    rows = np.sort(_order(size)[:_CLUSTERED])
    found = kmeans(embeddings[rows], _CLUSTERS, n_iter=10, seed=0)
    return rows, np.asarray(found.labels, np.int64)


def _order(size: int) -> NDArray[np.int64]:
    """Return a fixed order of samples, not that of the data."""
    return np.argsort(_ties(size), kind="stable")


def _ties(size: int) -> NDArray[np.uint64]:
    return values(key(0, 0, "bench report"), np.arange(size, dtype=np.uint64))


# ---------------------------------------------------------------------- agreement


def agreement(view: View) -> Section | None:
    """Return rank correlations: of the scores of the pilot run, and of the draws of methods."""
    parts = []
    scores = {
        name: array.astype(np.float64)
        for name, array in view.pilot.items()
        if array.ndim == 1 and array.dtype.kind in "iuf" and np.isfinite(array).all()
    }
    scores = _of_one_size(scores)
    if len(scores) >= _FEWEST:
        parts.append("<h3>Scores</h3>" + _correlations(scores, "Rank correlation of scores"))
    keeps = sorted({keep for _, keep in view.counts}, reverse=True)
    for keep in [middle(keeps)] if keeps else []:
        counts = {name: found.astype(np.float64) for name, found in _at(view, keep).items()}
        if len(counts) >= _FEWEST:
            caption = f"Rank correlation of the draws of samples: keep {keep:g}, seed {view.seed}"
            parts.append("<h3>Draws</h3>" + _correlations(counts, caption))
    parts = [part for part in parts if "<table" in part]
    if not parts:
        return None
    text = (
        "<p>Spearman's correlation over training samples: 1 where two order the samples alike, 0 "
        "where they have nothing in common.</p>"
    )
    return Section("agreement", "Agreement of scores and methods", text + "".join(parts))


def _of_one_size(arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    size = max((array.size for array in arrays.values()), default=0)
    return {name: array for name, array in arrays.items() if array.size == size}


def _correlations(arrays: Mapping[str, Floats], caption: str) -> str:
    from scipy.stats import rankdata

    varied = {name: array for name, array in arrays.items() if np.ptp(array) > 0}
    names = list(varied)[:_COMPARED]
    if len(names) < _FEWEST:
        return ""
    found = np.corrcoef(np.stack([rankdata(varied[name]) for name in names]))
    lines = [
        row(
            name,
            [
                cell("") if a == b else shaded(f"{found[a, b]:.2f}", found[a, b], found[a, b], 1.0)
                for b in range(len(names))
            ],
        )
        for a, name in enumerate(names)
    ]
    return table(["", *names], lines, caption)


# ---------------------------------------------------------------------- data map


def data_map(view: View) -> Section | None:
    """Return confidence against variability of the training samples, of the pilot run."""
    confidence, variability = (view.pilot.get(name) for name in ("confidence", "variability"))
    if confidence is None or variability is None or confidence.shape != variability.shape:
        return None
    order = _order(confidence.size)
    order = order[np.isfinite(confidence[order]) & np.isfinite(variability[order])][:_MAPPED]
    if not order.size:
        return None
    frame = Frame(
        limits([0.0, *variability[order].tolist()], 0.03),
        limits([0.0, 1.0, *confidence[order].tolist()], 0.03),
        "variability",
        "confidence",
    )
    name, counts = _selective(view, confidence.size)
    drawn = np.ones(order.size, np.bool_) if counts is None else counts[order] > 0
    body = scattered(frame, variability[order[drawn]], confidence[order[drawn]], "k0")
    body += scattered(
        frame, variability[order[~drawn]], confidence[order[~drawn]], "k7", cross=True
    )
    svg = frame.drawn(
        "map",
        "Data map",
        f"{order.size} training samples: easy ones have high confidence and low variability, hard "
        "ones low confidence, ambiguous ones high variability.",
        body,
    )
    legend = ""
    if counts is not None:
        legend = (
            '<ul class="legend"><li><span class="k0 ink">●</span> drawn by '
            f'{escape(name)}</li><li><span class="k7 ink">×</span> never drawn</li></ul>'
        )
    told = (
        f"{order.size:,} of {confidence.size:,} samples. " if order.size < confidence.size else ""
    )
    text = (
        f"{legend}<figure>{svg}<figcaption>{told}Mean and standard deviation over the epochs of "
        "the pilot run of the probability of the given class. Top left: easy; right: ambiguous; "
        "bottom left: hard, or mislabelled.</figcaption></figure>"
    )
    return Section("map", "Data map", text)


def _selective(view: View, size: int) -> tuple[str, NDArray[np.int64] | None]:
    """Return the best method that never draws some of the samples, and its draws."""
    keeps = sorted({keep for _, keep in view.counts}, reverse=True)
    for keep in [middle(keeps)] if keeps else []:
        for name, counts in _at(view, keep).items():
            if not is_control(name) and counts.size == size and (counts == 0).any():
                return f"{name} at keep {keep:g}", counts
    return "", None


def ranked(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort samples by their draws, the least drawn first; ties by a hash of the index."""
    return np.lexsort((_ties(counts.size), counts))


def selecting(view: View, most: int) -> tuple[float, dict[str, NDArray[np.int64]]]:
    """Return the keep fraction of the gallery, and the draws of methods that choose samples."""
    keeps = sorted({keep for _, keep in view.counts}, reverse=True)
    if not keeps:
        return 1.0, {}
    keep = middle(keeps)
    names: Sequence[str] = [name for name in _at(view, keep) if not is_control(name)]
    return keep, {name: view.counts[name, keep] for name in names[:most]}
