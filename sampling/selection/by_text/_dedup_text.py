"""Deduplication of texts by their wording, before there are embeddings.

Cheaper than `semdedup`, and every row that it drops is verified; but a paraphrase is no copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._texts import Texts
from ...engine import each
from ...record import Selection
from ...record.copies import held_instead
from ...record.keys import by_value, keys_for
from ...types import Floats, Indices, Keys
from ..core._clusters import labels_of
from ..core._cost import Cost, Sizes, log2
from ..core._inputs import AnyScores, either, scores_of, texts_of
from ..core._method import method
from ..core._options import Options
from ..core._order import best
from ..core._select import already_of, ids_of, select
from ..core._task import Picks, Task
from ._bands import MOST_HASHES, bands_for, recall_at
from ._grams import Blocks, digests_of
from ._matches import Matches, Rule, Search, equal_texts, similar_texts
from ._normalize import Normalize

__all__ = ["dedup_text"]

Keep = Literal["random", "longest", "first", "quality"]
_SAME, _COPY = "same text as a row ranked before it", "near copy of a row ranked before it"
_THRESHOLD = 0.8


def _cost(sizes: Sizes) -> Cost:
    n, length = sizes.N, sizes.D
    hashes = _shape(sizes.arguments)
    return Cost(
        steps=n * (28 * length * log2(length) + 14 * hashes[0] * hashes[1]),
        memory=n * (160 + 12 * hashes[0] + 10 * length),
    )


def _shape(given: Any) -> tuple[int, int]:  # arguments of the call
    """Return the number of bands and their size; (0, 0) if no signatures are computed.

    Arguments that are refused later count as the defaults.
    """
    if given.get("exact") is True:
        return 0, 0
    count, size, threshold = (given.get(e) for e in ("num_bands", "band_size", "threshold"))
    if isinstance(count, int) and isinstance(size, int):
        return max(1, count), max(1, size)
    valid = isinstance(threshold, int | float) and 0 < threshold <= 1
    return bands_for(threshold if valid else _THRESHOLD)


@method(
    needs="texts",
    label="recommended",
    source="Broder 1997",
    evidence="99.8 % of 13,972 true pairs found, no text dropped wrongly; Debian descriptions",
    ranked=True,
    minds={"quality": ("keep",)},
    cost=_cost,
)
def dedup_text(  # noqa: PLR0913  # the options of the method
    texts: ArrayLike,
    budget: float | None = None,
    *,
    threshold: float | None = None,
    exact: bool = False,
    keep: Keep = "random",
    quality: AnyScores | None = None,
    rule: Rule = "greedy",
    normalize: Normalize = "casefold",
    ngram: int = 3,
    labels: ArrayLike | None = None,
    num_bands: int | None = None,
    band_size: int | None = None,
    **options: Unpack[Options],
) -> Selection:
    """Drop duplicate texts: rows that share most of their character n-grams with an earlier row.

    Texts that are equal after normalization are all found. Similar ones are searched by MinHash in
    bands (`pip install 'sampling[text]'`), which misses some, and each pair found is verified: no
    row is dropped that is less similar than the threshold.

    Parameters
    ----------
    texts : str array of shape (N,)
        Any container of strings; bytes are read as UTF-8.
    budget : int or float, optional
        M as a count, or as a fraction in (0, 1] of N: the first rows of the result without a
        budget, or, if M is larger than that, also the least similar of the copies.
    threshold : float in (0, 1], optional
        Jaccard similarity of the sets of n-grams at which a row is a copy (number of shared ones
        divided by number of all); 0.8 by default.
    exact : bool, default False
        Whether to drop only texts that are equal after normalization; needs no extra.
    keep : {"random", "longest", "first", "quality"}, default "random"
        Rows that come earlier: in random order, those with more characters after normalization,
        those with lower row numbers, or, if `quality` is given, the best.
    quality : Score, or float array of shape (N,), optional
        Higher is better. Implies keep="quality".
    rule : {"greedy", "any_earlier", "components"}, default "greedy"
        Drop a row if an earlier *kept* row is a match; if any earlier row is, even a dropped one;
        or drop all but the first row of each connected component. With "greedy" each dropped row
        is similar to a kept one. The others also drop rows at the end of a chain of matches,
        which may have nothing in common with the kept row.
    normalize : {"casefold", "nfkc", "none"}, default "casefold"
        "nfkc": Unicode's compatibility composition (NFKC), so that composed and decomposed
        accents, ligatures and full-width letters compare equal, then each run of white space is
        one space, and none is left at the ends. "casefold": in addition, Unicode case folding.
        "none": the characters as they are. Punctuation and accents are kept in any case.
    ngram : int >= 1, default 3
        Characters (Unicode code points) of an n-gram. A shorter text is one n-gram; an empty one
        has none, and equals other empty ones only. N-grams of four or more characters are compared
        by hashes of 64 bits.
    labels : int or str array of shape (N,), optional
        Rows of different classes are never copies of each other. Rows without a label are one more
        class.
    num_bands, band_size : int, optional
        Bands of a MinHash signature, and hashes in each. Two rows of similarity s are compared with
        probability 1 - (1 - s^band_size)^num_bands. By default chosen so that this is at least
        0.99 at the threshold, with the largest bands, and so the fewest comparisons, that 128
        hashes permit.
    **options
        Keywords of every selector; see `Options`. `groups` are for quotas, and do not restrict the
        comparisons. Rows that are already selected come before all others. A bad row is a missing
        text.

    Returns
    -------
    Selection
        Rows by ascending similarity to the most similar earlier row with which they were found to
        match (of the kept ones with rule="greedy"), given in `scores`; 0 for none, 1 for equal
        texts; without weights. `kept_rows` and `similarities` hold the kept row that each dropped
        copy belongs to: for "greedy" the most similar kept row found, otherwise the first row of
        its chain or component.

        `info` holds "threshold", "copies", "same" (those with an equal text) and "search":
        "num_bands", "band_size", the "expected_recall" of pairs at the threshold (that of others is
        higher), the number of pairs "compared", and the "library". With rule="any_earlier",
        `rethreshold` returns the rows for a higher threshold, ordered by the similarities found at
        the lower one; unless a bucket held so many similar rows that only some were compared (the
        score of a "bounded" row is a lower bound).

    Raises
    ------
    TypeError
        If an entry is no text; the message names the row.
    ValueError
        If a text is missing; if `threshold` is given with `exact`, or only one of `num_bands` and
        `band_size`.
    MissingExtraError
        If rensa is not installed, unless `exact`.

    Notes
    -----
    Order
        Ties broken by a hash of (seed, id). The signatures depend on (seed, text) alone.
    Cost
        O(D log D + H) time for each row, and for each pair compared; 352 N + 10 D N bytes. For D
        characters of an average text, H hashes of a signature, and the 16 bands of the default
        threshold; another band adds 12 N bytes. The bytes that depend on D are 8 for each n-gram
        of the texts that bands connect and that are compared at the same time. Pairs compared grow
        with the number of similar texts: with "greedy", a row is compared with the kept rows in its
        buckets; otherwise with those without a match, and with at most 256 others of each bucket
        unless none matches. At most 256 comparisons follow the first match; with rule="components",
        connections within larger sets of similar rows may therefore be missed. Workers of an engine
        hash, sign and compare, each only the texts that it was sent; bands are matched here.
    Gradients
        No weights; repeated rows count once.
    Source
        Broder, "On the resemblance and containment of documents", 1997; banding as in Leskovec,
        Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3. Signatures by rensa, which
        computes those of Dahlgaard, Knudsen, Thorup, "Fast Similarity Sketching", 2017.

    Examples
    --------
    >>> texts = ["A quick brown fox jumps.", "a quick  brown fox jumps", "A QUICK BROWN FOX JUMPS."]
    >>> found = dedup_text(texts, keep="first")
    >>> found.indices, found.kept_rows, found.info["same"]
    (array([0]), array([-1,  0,  0]), 1)
    """
    limit = _checked(threshold, exact, keep, quality, rule, normalize)
    seed = _check.seed(options.get("seed", 0))
    key, shape = int(_rng.key(seed, 0, "dedup_text")), _bands(exact, limit, num_bands, band_size)
    ngram = _check.integer("ngram", ngram, 1, 2**16)
    search = Search(rule, limit, shape, key, normalize, ngram)
    held, bad = texts_of("texts", texts, options)
    size = len(held)
    order: Keep | Floats = keep
    if quality is not None:
        order, worse = scores_of("quality", quality, options)
        _check.same_length("quality", order, "texts", size)
        bad = either(bad, worse)
    classes = None if labels is None else labels_of("labels", labels, size)[0]
    good = np.arange(size) if bad is None else np.flatnonzero(~bad)
    keys = keys_for(seed, ids_of(options.get("ids"), size), size)
    already = already_of(options, size)
    digests, lengths = _digests(held, good, normalize, classes)
    rows, digests, forced = _ranked(good, digests, lengths, order, keys, already)
    first = equal_texts(digests)
    found = _matches(held, rows, first, classes, forced, search)  # in order of rank
    similarity, (kept, same) = np.zeros(size), np.zeros((2, size), np.bool_)
    similarity[rows], kept[rows] = found.similarity, found.kept
    same[rows] = first != np.arange(rows.size)
    kept_rows, similarities, gone = np.full(size, -1), np.full(size, np.nan), ~found.kept
    kept_rows[rows[gone]] = rows[found.twin[gone]]
    similarities[rows[gone]] = found.with_twin[gone]
    open_ = kept & ~np.isin(np.arange(size), already)

    def core(task: Task) -> Picks:
        own, stays, equal = similarity[task.rows], kept[task.rows], same[task.rows]
        places = best(np.where(stays, 4.0, 0.0) - own, task.budget, task.keys)
        info: dict[str, Any] = {"threshold": limit, "copies": int((~stays).sum())}
        info["same"] = int((equal & ~stays).sum())
        if rule == "any_earlier" and not found.bounded:
            info["cut"] = {
                "rule": _COPY, "count": "copies", "range": f"[{limit!r}, 1]", "drops_equal": True,
                "always": [_SAME],
            }  # fmt: skip
        ruled = [(~stays & ~equal, _COPY), (~stays & equal, _SAME)]
        return Picks(places, ruled=ruled, info=info, merge={"copies": sum_of, "same": sum_of})

    picked = select(
        "dedup_text", size, budget, options, core, bad=bad, scores=similarity,
        count=int(open_.sum()) if budget is None else None, order="ascending",
        arguments={"threshold": limit, "exact": exact,
                   "keep": keep if quality is None else "quality", "rule": rule,
                   "normalize": normalize, "ngram": ngram, "num_bands": num_bands,
                   "band_size": band_size, "labels": labels, "quality": quality},
    )  # fmt: skip
    info = {**picked.info, "search": _facts(found, search)}
    kept_rows = held_instead(kept_rows, np.concatenate([picked.indices, already]), size)
    similarities[kept_rows < 0] = np.nan
    return replace(picked, info=info, kept_rows=kept_rows, similarities=similarities)


def _facts(found: Matches, search: Search) -> dict[str, Any]:
    """Return the facts about the search, as JSON values."""
    facts: dict[str, Any] = {"exact": not search.shape[0], "library": found.library}
    if search.shape[0]:
        facts |= {
            "num_bands": search.shape[0], "band_size": search.shape[1],
            "expected_recall": recall_at(search.threshold, *search.shape),
            "compared": found.compared, "bounded": found.bounded,
        }  # fmt: skip
    return facts


def sum_of(one: int, other: int) -> int:
    """Add counts of groups."""
    return one + other


def _checked(
    threshold: float | None,
    exact: bool,
    keep: str,
    quality: object,
    rule: str,
    normalize: str,
) -> float:
    """Check the arguments that do not depend on the data; return the threshold."""
    if _check.flag("exact", exact) and threshold is not None:
        raise ValueError(f"threshold must be omitted with exact=True, got {threshold!r}")
    _check.choice("rule", rule, ("greedy", "any_earlier", "components"))
    _check.choice("keep", keep, ("random", "longest", "first", "quality"))
    _check.choice("normalize", normalize, ("casefold", "nfkc", "none"))
    if keep == "quality" and quality is None:
        raise ValueError("quality must be given for keep='quality', got None")
    if exact:
        return 1.0
    return _THRESHOLD if threshold is None else _check.number("threshold", threshold, "(0, 1]")


def _bands(
    exact: bool, threshold: float, num_bands: int | None, band_size: int | None
) -> tuple[int, int]:
    """Return the number of bands and their size."""
    if exact:
        for name, value in (("num_bands", num_bands), ("band_size", band_size)):
            if value is not None:
                raise ValueError(f"{name} must be omitted with exact=True, got {value!r}")
        return 0, 0
    if num_bands is None and band_size is None:
        return bands_for(threshold)
    if num_bands is None or band_size is None:
        raise ValueError(
            f"num_bands and band_size must be given together, got {num_bands} and {band_size}"
        )
    num_bands = _check.integer("num_bands", num_bands, 1, MOST_HASHES + 1)
    return num_bands, _check.integer("band_size", band_size, 1, MOST_HASHES // num_bands + 1)


def _digests(
    held: Texts, good: Indices, how: Normalize, classes: Indices | None
) -> tuple[NDArray[np.uint64], Indices]:
    """Return digests (n, 2) and lengths (n,) of the normalized texts of the valid rows."""
    blocks = Blocks(held, good, classes)
    found = list(each(lambda block: digests_of(block, how), blocks, title="hashing texts"))
    digests = [np.zeros((0, 2), np.uint64), *(one for one, _ in found)]
    return np.concatenate(digests), np.concatenate(
        [np.zeros(0, np.int64), *(own for _, own in found)]
    )


def _ranked(
    good: Indices,
    digests: NDArray[np.uint64],
    lengths: Indices,
    keep: Keep | Floats,
    keys: Keys,
    already: Indices,
) -> tuple[Indices, NDArray[np.uint64], int]:
    """Return the valid rows in order of rank, their digests, and how many are selected already."""
    late: NDArray[Any] = np.zeros(good.size)
    if isinstance(keep, np.ndarray):
        late = -keep[good]
    elif keep == "longest":
        late = -lengths
    elif keep == "first":
        late = good
    order = by_value(late, keys[good])
    first = np.isin(good[order], already)
    order = np.concatenate([order[first], order[~first]])
    return good[order], digests[order], int(first.sum())


def _matches(
    held: Texts,
    rows: Indices,
    first: Indices,
    classes: Indices | None,
    forced: int,
    search: Search,
) -> Matches:
    """Return the copies among all rows, in order of rank.

    first : int64 (n,), the first row with the same text
    """
    distinct = np.flatnonzero(first == np.arange(rows.size))
    count = int(np.searchsorted(distinct, forced))
    own = Matches.none(distinct.size)
    if search.shape[0] and distinct.size > 1:
        own = similar_texts(held, rows[distinct], classes, count, search)
    place = np.zeros(rows.size, np.int64)
    place[distinct] = np.arange(distinct.size)
    place = place[first]
    again = first != np.arange(rows.size)
    stays = np.arange(rows.size) < forced
    return Matches(
        np.where(again, 1.0, own.similarity[place]),
        np.where(again, stays, own.kept[place]),
        np.where(again & stays, np.arange(rows.size), distinct[own.twin[place]]),
        own.with_twin[place],
        own.compared,
        own.bounded,
        own.library,
    )
