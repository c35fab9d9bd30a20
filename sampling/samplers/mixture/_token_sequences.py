"""Epochs of a mixture that are counted in tokens: where in its draws a domain reaches a number.

The draws of a domain are an endless sequence of shuffles of its samples, of which an epoch takes a
window. A window of tokens (a, b] has the draws whose middle lies in it, so consecutive windows
share no draw and omit none, and each end is off by at most half a sample, over any number of
epochs. A shuffle has as many tokens as the domain, so that only one shuffle is read, however
distant the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ... import _check, _rng
from ...types import Floats, Indices, Packed
from ..core._permutation import Permutation
from ..core._quotas import SPAN
from ._allocation import Weights, tokens_of
from ._table import Sources

SampleTokens: TypeAlias = ArrayLike | Mapping[Any, ArrayLike]

MOST = 2**53  # tokens, whose sums are exact as float64

_SHUFFLES = 4  # whose sums are cached: the beginnings of two epochs


class TokenSequences:
    """The tokens of each domain's sequence of draws.

    Attributes
    ----------
    names : array of shape (K,)
        As in `Sources`.
    sizes : int64 or float64 array of shape (K,)
        Number of tokens of each domain, each sample once.
    means : float64 array of shape (K,)
        Mean tokens in a sample; 1 if none were given.
    given : bool
        Whether tokens were given.
    least : int
        Fewest tokens in an epoch for which every epoch has a draw.
    """

    def __init__(
        self, sources: Sources, means: Floats, counts: Packed | None, seed: int, *, given: bool
    ) -> None:
        self.given = given
        self.names, self.means, self._sources = sources.names, means, sources
        self._uniform = counts is None  # each sample of a domain has the mean
        self._counts = np.empty(0, np.int32) if counts is None else counts
        self._seed = seed
        self.sizes: NDArray[Any] = sources.sizes * means
        self._ratios = [Fraction(each) for each in means.tolist()] if counts is None else []
        # (domain, shuffle, epoch of the key) -> edges
        self._sums: dict[tuple[int, int, int], Indices] = {}
        self._found: dict[tuple[int, int], int] = {}  # (domain, tokens) -> draws
        if counts is None:
            self.least = sum(map(math.ceil, self._ratios))
        else:
            self.sizes = _by_domain(sources, counts, np.add)
            self.least = int(_by_domain(sources, counts, np.maximum).sum())

    def __len__(self) -> int:
        return len(self._sources)

    def in_epoch(self, num_tokens: int | None, num_samples: int | None, stop: str) -> int | None:
        """Return the checked tokens of an epoch; None if an epoch counts draws."""
        if num_tokens is None:
            return None
        tokens = _check.integer("num_tokens", num_tokens, 1, MOST)
        if num_samples is not None:
            raise ValueError(
                f"only one of num_samples and num_tokens may be given, got {num_samples} and "
                f"{tokens}"
            )
        if stop != "cycle":
            raise ValueError(f"num_tokens must not be given with stop={stop!r}, got {tokens}")
        if not self.given:
            raise ValueError(
                f"num_tokens needs sample_tokens or mean_tokens, got neither with {tokens}"
            )
        if tokens < self.least:
            raise ValueError(
                f"num_tokens must be at least {self.least}, one longest sample of each domain, so "
                f"that every epoch has a draw, got {tokens}"
            )
        return tokens

    def draws_before(self, tokens: NDArray[Any]) -> NDArray[Any]:
        """Return the draws of each domain whose middle is before a number of its tokens.

        (K,) int64, or Python ints -> the same
        """
        found = [self._draws(code, each) for code, each in enumerate(tokens.tolist())]
        return np.array(found, np.int64 if max(found) < SPAN else object)

    def tokens_in(self, before: NDArray[Any], quotas: Indices, epoch: int = 0) -> Floats:
        """Return the tokens in each domain's next draws, after some: (K,), (K,) -> float64 (K,).

        epoch : that of the key of the shuffles; 0 if they continue from epoch to epoch
        """
        if self._uniform:
            return quotas * self.means
        found = np.zeros(len(self))
        firsts = before.tolist()
        for code in np.flatnonzero(quotas).tolist():
            size, total = int(self._sources.sizes[code]), int(self.sizes[code])
            number, begin = divmod(firsts[code], size)
            passes, end = divmod(begin + int(quotas[code]), size)
            tokens = passes * total
            tokens += int(self._edges(code, number + passes, epoch)[end]) if end else 0
            tokens -= int(self._edges(code, number, epoch)[begin]) if begin else 0
            found[code] = tokens
        return found

    def identity(self) -> dict[str, object]:
        """Return the tokens of the samples, if they were given."""
        return {} if self._uniform else {"sample_tokens": self._counts}

    def _draws(self, code: int, tokens: int) -> int:
        if self._uniform:
            return max(0, math.ceil(tokens / self._ratios[code] - Fraction(1, 2)))
        if (code, tokens) not in self._found:
            if len(self._found) > 8 * len(self) + 64:
                self._found.clear()
            passes, rest = divmod(tokens, int(self.sizes[code]))
            draws = passes * int(self._sources.sizes[code])
            if rest:
                edges = self._edges(code, passes)
                last = int(np.searchsorted(edges, rest, side="left"))  # the draw that contains it
                draws += last - (int(edges[last - 1] + edges[last]) >= 2 * rest)
            self._found[code, tokens] = draws
        return self._found[code, tokens]

    def _edges(self, code: int, number: int, epoch: int = 0) -> Indices:
        """Return the tokens before each draw of a shuffle, and in all of it: int64 (n + 1,)."""
        size = int(self._sources.sizes[code])
        number %= SPAN // size  # as `run_starts` does
        found = self._sums.get((code, number, epoch))
        if found is None:
            if len(self._sums) >= _SHUFFLES:
                self._sums.pop(next(iter(self._sums)))
            key = _rng.subkey(_rng.subkey(_rng.key(self._seed, epoch, "deal"), code), number)
            order = Permutation(size, key)(np.arange(size))
            found = np.zeros(size + 1, np.int64)
            np.cumsum(self._counts[self._sources.samples(code, order)], out=found[1:])
            self._sums[code, number, epoch] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Exclude what can be computed again."""
        return {**self.__dict__, "_sums": {}, "_found": {}}


def sequences_of(
    sources: Sources, sample_tokens: SampleTokens | None, mean_tokens: Weights | None, seed: int
) -> TokenSequences:
    """Return the tokens of the domains, of which at most one form is given."""
    if sample_tokens is None:
        means = tokens_of(mean_tokens, sources.names)
        return TokenSequences(sources, means, None, seed, given=mean_tokens is not None)
    if mean_tokens is not None:
        raise ValueError("only one of sample_tokens and mean_tokens may be given, got both")
    counts = _sample_tokens_of(sample_tokens, sources)
    means = _by_domain(sources, counts, np.add) / sources.sizes
    return TokenSequences(sources, means, counts, seed, given=True)


def _sample_tokens_of(given: SampleTokens, sources: Sources) -> Packed:
    """Return the checked tokens of each sample, int32 (N,), or int64 if one needs it."""
    if isinstance(given, Mapping):
        given = _concatenated(given, sources)
    found = _check.floats("sample_tokens", given, "finite and >= 0")
    _check.same_length("sample_tokens", found, "the data", sources.size)
    broken = found != np.floor(found)
    if broken.any():
        row = int(broken.argmax())
        raise ValueError(f"sample_tokens must be whole numbers, got {found[row]:g} in row {row}")
    if found.sum() >= MOST:
        raise ValueError(f"sample_tokens must add up to less than 2**53, got {found.sum():.3g}")
    counts = found.astype(np.int32 if found.max() < 2**31 else np.int64)
    totals = _by_domain(sources, counts, np.add)
    if not totals.all():
        name = sources.names[int(np.argmin(totals))]
        raise ValueError(f"sample_tokens must not be 0 for a whole domain, got 0 for all of {name}")
    return counts


def _concatenated(given: Mapping[Any, ArrayLike], sources: Sources) -> Floats:
    """Return the tokens of all samples from those of each dataset, by name: (N,)."""
    names = sources.names.tolist()
    if sources.groups is not None:
        raise ValueError(
            "sample_tokens must be one array for all samples with domains, got a mapping"
        )
    if set(given) != set(names):
        raise ValueError(f"sample_tokens must name the datasets {names}, got {list(given)}")
    parts = []
    for name, size in zip(names, sources.sizes.tolist(), strict=True):
        shown = f"sample_tokens[{name!r}]"
        part = _check.floats(shown, given[name], "finite and >= 0")
        _check.same_length(shown, part, "the dataset", size)
        parts.append(part)
    return np.concatenate(parts)


def _by_domain(sources: Sources, counts: Packed, reduce: np.ufunc) -> Indices:
    """Return the sum, or the maximum, of the counts of each domain: int64 (K,)."""
    if sources.groups is None:
        found: Indices = reduce.reduceat(counts, sources.starts[:-1], dtype=np.int64)
        return found
    members = counts[sources.groups.members]
    return reduce.reduceat(members, sources.groups.starts[:-1], dtype=np.int64)
