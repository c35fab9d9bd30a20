"""DSIR: importance of texts for a target corpus, by hashed n-grams of words.

Needs no model. If there are embeddings, `density_ratio_weights` compares these instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import _check
from ..._check._keywords import told
from ..._check._texts import texts as read_texts
from ..._warning import warn
from ...engine import each
from ...record import Score
from ...types import Floats, Indices
from ._ngrams import (
    Listed,
    NgramCounts,
    add_texts,
    check_alike,
    counts_of,
    empty_like,
    grams_per_text,
    shares_of,
)

__all__ = ["dsir_scores", "kl_reduction"]

_TINY = 1e-8  # added to shares, as in the released code


@told
def dsir_scores(
    texts: ArrayLike,
    target: ArrayLike | NgramCounts,
    *,
    raw: ArrayLike | NgramCounts | None = None,
    min_tokens: int = 100,
    pseudo_count: float = 0.0,
    length_normalize: bool = False,
) -> Score:
    """Return the log importance weight of each text for a target corpus (DSIR): "keep".

    It is the sum over the n-grams of a text of log(share in the target / share in the raw corpus).
    `gumbel(scores, budget, on_bad="drop")` draws texts in proportion to the weights, without
    replacement, as the method does; `top` keeps the highest.

    Parameters
    ----------
    texts : str array of shape (N,)
        The texts to be scored: any container of strings.
    target : str array of shape (T,) or NgramCounts
        The target corpus; given as counts, their buckets are used.
    raw : str array or NgramCounts, optional
        The corpus to select from, by default the texts. If it is larger than memory, count it in
        blocks by `NgramCounts.update`, and then score each block.
    min_tokens : int, default 100
        Texts with fewer tokens, and missing ones, have the score NaN: `on_bad="drop"` drops them.
    pseudo_count : float >= 0, default 0.0
        Added to each bucket of the target: more than 0 for small targets, as an n-gram that these
        lack is otherwise held to be nearly impossible there.
    length_normalize : bool, default False
        Divide by the number of n-grams. Otherwise longer texts have scores farther from 0.

    Returns
    -------
    Score
        float64 (N,), named "dsir".

    Raises
    ------
    TypeError, ValueError
        If an entry is no text (the message names the row), target or raw have no token, or their
        buckets differ.

    Notes
    -----
    Order
        Deterministic, and independent of the order of the texts.
    Cost
        O(characters) time, two passes over the texts, one if `raw` is given; 32 N + 24 V bytes and
        blocks of about a million characters. For V buckets.
    Source
        Xie, Santurkar, Ma, Liang, "Data Selection for Language Models via Importance Resampling",
        NeurIPS 2023. Its shares are of all n-grams of a corpus here, of a sample of 10^5 V there;
        its selection fails if all candidates are requested. `NgramCounts(hashing="sha256")` has its
        buckets.

    Examples
    --------
    >>> raw = ["the cat sat on the mat", "let f be a convex function", "the dog sat on the log"]
    >>> found = dsir_scores(raw, ["let g be a smooth function"], min_tokens=3)
    >>> int(found.values.argmax()), found.higher_is
    (1, 'keep')
    """
    least = _check.integer("min_tokens", min_tokens, 0)
    pseudo = _check.number("pseudo_count", pseudo_count, "[0, inf)")
    normalize = _check.flag("length_normalize", length_normalize)
    aim = counts_of("target", target, None)
    held = read_texts("texts", texts)
    if raw is None:
        own = empty_like(aim)
        add_texts(own, held)
    else:
        own = counts_of("raw", raw, aim)
    wanted, known = shares_of("target", aim, pseudo), shares_of("raw", own)
    ratios = np.log(wanted + _TINY) - np.log(known + _TINY)

    def scored(block: list[str]) -> tuple[Floats, Indices]:
        buckets, tokens = aim.hashed(block)
        counts = grams_per_text(tokens, aim.ngram)
        of_text = np.repeat(np.arange(tokens.size), counts)
        sums = np.bincount(of_text, ratios[buckets], tokens.size).astype(np.float64)
        return (sums / np.maximum(counts, 1) if normalize else sums), tokens

    found = list(each(scored, Listed(held), title="scoring texts"))
    scores = np.concatenate([one for one, _ in found])
    short = np.concatenate([tokens for _, tokens in found]) < max(least, 1)
    if held.missing is not None:
        short |= held.missing
    scores[short] = np.nan
    if 2 * np.count_nonzero(short) > short.size:
        warn(
            f"{np.count_nonzero(short)} of {short.size} texts have fewer than min_tokens={least} "
            "tokens, or none, and the score NaN: give a smaller min_tokens, or exclude them by "
            "on_bad='drop'"
        )
    return Score(scores, "keep", "dsir")


@told
def kl_reduction(
    target: ArrayLike | NgramCounts | Sequence[NgramCounts],
    raw: ArrayLike | NgramCounts,
    selected: ArrayLike | NgramCounts,
) -> float:
    """Return how much nearer to a target a selection is than the raw corpus, in nats.

    KL(target || raw) - KL(target || selected) of the shares of hashed n-grams: positive if the
    selection is nearer.

    Parameters
    ----------
    target : str array, NgramCounts, or list of NgramCounts
        The target corpus; the mean over several.
    raw, selected : str array or NgramCounts
        The corpus, and the texts selected of it. Texts are counted with the buckets of the target.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If one of them has no token, or their buckets differ.

    Notes
    -----
    Order
        Compare selections of equal size: one of few texts lacks many n-grams, each of which costs
        about log(1e8) times its share of the target.
    Cost
        O(characters of what is not counted yet) + O(V).
    Source
        Xie et al., NeurIPS 2023: the metric by which the paper compares selections. 1e-8 is added
        to each share, as in its scores.

    Examples
    --------
    >>> target, raw = NgramCounts(["a b a b"], ngram=1), ["a b c d", "a b"]
    >>> round(kl_reduction(target, raw, raw[1:]), 3), kl_reduction(target, raw, raw)
    (0.405, 0.0)
    """
    several = isinstance(target, Sequence) and any(isinstance(e, NgramCounts) for e in target)
    aims: list[Any] = list(target) if several else [target]  # type: ignore[arg-type]
    aims = [counts_of("target", each_target, None) for each_target in aims]
    for aim in aims[1:]:
        check_alike("target", aim, aims[0])
    given = (("raw", raw), ("selected", selected))
    shares = [shares_of(name, counts_of(name, each, aims[0])) for name, each in given]
    before, after = np.log(np.stack(shares) + _TINY)
    return float(np.mean([shares_of("target", aim) @ (after - before) for aim in aims]))
