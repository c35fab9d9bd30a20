"""Partners of samples by rules on class and domain: the draw, and how often each is expected.

Samples are sorted by class, then by domain, so that every rule is a range of positions with a gap:
the samples of another class are all but those of one range. A second order, by domain and then by
class, has the same cells (samples of one class and one domain) in another sequence. So a draw takes
the logarithm of the number of cells, and no rule needs a list of its pairs.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ... import _rng
from ...types import Floats, Indices

Words: TypeAlias = NDArray[np.uint64]
Pick = Literal["sample", "class"]
Which = Literal["any", "same", "other"]
Rule: TypeAlias = tuple[Which, Which]  # what class and what domain a partner must have

RULES: dict[str, Rule] = {
    "random": ("any", "any"),
    "cross_class": ("other", "any"),
    "same_class": ("same", "any"),
    "cross_domain": ("any", "other"),
    "same_domain": ("any", "same"),
    "intra_label": ("same", "other"),
    "intra_domain": ("other", "same"),
    "cross_both": ("other", "other"),
}


class Cells:
    """Samples by class and domain.

    Parameters
    ----------
    classes, domains : int array of shape (n,)
        Codes from 0; every class has a sample.
    """

    def __init__(self, classes: NDArray[np.integer], domains: NDArray[np.integer]) -> None:
        self.n = classes.size
        self.num_classes, wide = int(classes.max()) + 1, int(domains.max()) + 1
        order = np.lexsort((domains, classes))
        keys = classes.astype(np.int64) * wide + domains
        self._keys, cell = np.unique(keys, return_inverse=True)
        self.cell = cell.reshape(-1).astype(np.int32 if self.n < 2**31 else np.int64)
        self.sizes = np.bincount(self.cell, minlength=self._keys.size)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.order = order.astype(self.cell.dtype)  # position -> sample
        self.position = np.empty_like(self.order)
        self.position[self.order] = np.arange(self.n)
        self._wide = wide
        self.of_class, self.of_domain = self._keys // wide, self._keys % wide
        self.class_sizes = np.bincount(self.of_class, self.sizes).astype(np.int64)
        self.domain_sizes = np.bincount(self.of_domain, self.sizes, wide).astype(np.int64)
        self._class_starts = np.cumsum(self.class_sizes) - self.class_sizes
        # The second order: the sequence of cells, where each begins, and where each domain does.
        self._turn = np.lexsort((self.of_class, self.of_domain))
        self._turned = np.argsort(self._turn)
        ends = np.cumsum(self.sizes[self._turn])
        self._edges = np.concatenate([[0], ends])
        self._domain_starts = np.cumsum(self.domain_sizes) - self.domain_sizes
        self._domain_cells = np.searchsorted(self.of_domain[self._turn], np.arange(wide + 1))
        # Classes of which all samples are in one domain, by domain.
        lone = np.bincount(self.of_class)[self.of_class[self._turn]] == 1
        self._lone = self.of_class[self._turn][lone]
        self._lone_starts = np.searchsorted(self.of_domain[self._turn][lone], np.arange(wide + 1))
        self.is_lone = np.bincount(self.of_class)[self.of_class] == 1  # (cells,)

    def eligible(self, rule: Rule) -> Indices:
        """Return how many partners a rule allows a sample of each cell: int64 (cells,)."""
        classes, domains = rule
        size = self.sizes
        whole = np.full(size.size, self.n)
        of = {"any": whole, "same": self.class_sizes[self.of_class]}
        same = self.domain_sizes[self.of_domain]
        own_class = of["same"]
        if domains == "any":
            found = {"any": whole, "same": own_class, "other": whole - own_class}[classes]
        elif domains == "same":
            found = {"any": same, "same": size, "other": same - size}[classes]
        else:
            both = whole - own_class - same + size
            found = {"any": whole - same, "same": own_class - size, "other": both}[classes]
        eligible: Indices = found - int("other" not in rule)  # no sample is its own partner
        return eligible

    def eligible_classes(self, rule: Rule) -> Indices:
        """Return the number of classes of those partners: int64 (cells,); of no "same" class."""
        classes, domains = rule
        if domains == "other":
            alone = np.diff(self._lone_starts)[self.of_domain]
            count = self.num_classes - alone
            own = (classes == "other") & ~self.is_lone
            return np.asarray(count - own, np.int64)
        if domains == "same":
            count = np.diff(self._domain_cells)[self.of_domain]
            own = (classes == "other") | (self.sizes == 1)
        else:
            count = np.full(self.sizes.size, self.num_classes)
            own = (classes == "other") | (self.class_sizes[self.of_class] == 1)
        return np.asarray(count - own, np.int64)

    # ------------------------------------------------------------------ draws

    def draw(self, rule: Rule, pick: Pick, samples: Indices, key: np.uint64) -> Indices:
        """Return a partner of each of some samples that have one: int64.

        key : the words of two keys inside it decide, one a draw
        """
        counters = np.arange(samples.size, dtype=np.uint64)
        words = _rng.values(_rng.subkey(key, 0), counters)
        if pick == "sample" or rule[0] == "same":
            positions = self._any_sample(rule, samples, words)
        else:
            first = _rng.values(_rng.subkey(key, 1), counters)
            positions = self._any_class(rule, samples, first, words)
        return self.order[positions].astype(np.int64)

    def _any_sample(self, rule: Rule, samples: Indices, words: Words) -> Indices:
        """Return the position of a sample drawn among all eligible ones."""
        classes, domains = rule
        cell = self.cell[samples].astype(np.int64)
        size = self.sizes[cell]
        if domains == "other" and classes == "other":
            return self._neither(cell, words)
        if domains == "any" or classes == "same":
            own, cells = self.position[samples].astype(np.int64), self.starts[cell]
            if classes == "same" and domains == "same":
                return _ring(words, cells, size, own, 1)
            begin = self._class_starts[self.of_class[cell]]
            length = self.class_sizes[self.of_class[cell]]
            if classes == "same":
                gap = (own, 1) if domains == "any" else (cells, size)
                return _ring(words, begin, length, *gap)
            gap = (own, 1) if classes == "any" else (begin, length)
            return _ring(words, 0, self.n, *gap)
        cells = self._edges[self._turned[cell]]
        begin = self._domain_starts[self.of_domain[cell]]
        length = self.domain_sizes[self.of_domain[cell]]
        if domains == "other":
            return self._turned_back(_ring(words, 0, self.n, begin, length))
        own = cells + self.position[samples] - self.starts[cell]
        gap = (own, 1) if classes == "any" else (cells, size)
        return self._turned_back(_ring(words, begin, length, *gap))

    def _turned_back(self, positions: Indices) -> Indices:
        """Return the positions in the first order of positions in the second."""
        at = np.searchsorted(self._edges, positions, side="right") - 1
        found: Indices = self.starts[self._turn[at]] + positions - self._edges[at]
        return found

    def _neither(self, cell: Indices, words: Words) -> Indices:
        """Return the position of a sample of another class and another domain."""
        kind, domain = self.of_class[cell], self.of_domain[cell]
        rest = self.class_sizes[kind] - self.sizes[cell]  # of the class, in other domains
        count = self.n - self.domain_sizes[domain] - rest
        number = _below(words, count)
        begin = self._domain_starts[domain]
        before = self._class_starts[kind] - (self._edges[self._turned[cell]] - begin)
        number += np.where(number >= before, rest, 0)
        # The number-th sample outside of the domain. Before each cell of the domain there are as
        # many samples of others as its position minus the samples of the domain before it.
        turn = self._turn
        others = self.starts[turn] - (self._edges[:-1] - self._domain_starts[self.of_domain[turn]])
        known = self.of_domain[turn] * (self.n + 1) + others
        at = np.searchsorted(known, domain * (self.n + 1) + number, side="right")
        found: Indices = number + self._edges[at] - begin
        return found

    def _any_class(self, rule: Rule, samples: Indices, first: Words, words: Words) -> Indices:
        """Return the position of a sample of a class drawn among all eligible ones."""
        cell = self.cell[samples].astype(np.int64)
        own = self.position[samples].astype(np.int64)
        number = _below(first, self.eligible_classes(rule)[cell])
        if rule[1] == "same":
            return self._of_cell(rule, cell, own, number, words)
        kind, domain = self.of_class[cell], self.of_domain[cell]
        if rule[1] == "any":
            gone = (rule[0] == "other") | (self.class_sizes[kind] == 1)
            number += gone & (number >= kind)
            gap = np.where(number == kind, own, 0), (number == kind).astype(np.int64)
        else:
            span = self.num_classes + 1
            at = self._lone_starts[domain]
            lone_domain = np.repeat(np.arange(self._wide), np.diff(self._lone_starts))
            known = lone_domain * span + self._lone
            before = np.searchsorted(known, domain * span + kind) - at
            gone = (rule[0] == "other") & ~self.is_lone[cell]
            number += gone & (number >= kind - before)
            ranks = np.arange(self._lone.size) - self._lone_starts[lone_domain]
            number += np.searchsorted(known - ranks, domain * span + number, side="right") - at
            wanted = number * self._wide + domain
            found = np.minimum(np.searchsorted(self._keys, wanted), self._keys.size - 1)
            there = self._keys[found] == wanted
            gap = np.where(there, self.starts[found], 0), np.where(there, self.sizes[found], 0)
        begin = self._class_starts[number]
        start = np.where(gap[1] > 0, gap[0], begin)
        return _ring(words, begin, self.class_sizes[number], start, gap[1])

    def _of_cell(
        self, rule: Rule, cell: Indices, own: Indices, number: Indices, words: Words
    ) -> Indices:
        """Return the position of a sample of the number-th class that a domain has."""
        gone = (rule[0] == "other") | (self.sizes[cell] == 1)
        number = number + self._domain_cells[self.of_domain[cell]]
        number += gone & (number >= self._turned[cell])
        chosen = self._turn[number]
        same = chosen == cell
        begin = self.starts[chosen]
        gap = np.where(same, own, begin)
        return _ring(words, begin, self.sizes[chosen], gap, same.astype(np.int64))

    # ------------------------------------------------------------------ expectations

    def expected(self, rule: Rule, pick: Pick, anchors: Floats) -> Floats:
        """Return how often a sample of each cell is expected as a partner: float64 (cells,).

        anchors : (cells,), number of draws of each cell's samples that look for a partner, all
            equally often; 0 where the rule has none
        """
        if pick == "class" and rule[0] != "same":
            return self._expected_by_class(rule, anchors)
        classes, domains = rule
        each = _ratio(anchors, self.eligible(rule))
        of_class = np.bincount(self.of_class, each)[self.of_class]
        of_domain = np.bincount(self.of_domain, each)[self.of_domain]
        whole = each.sum()
        if domains == "any":
            sums = {"any": whole, "same": of_class, "other": whole - of_class}
        elif domains == "same":
            sums = {"any": of_domain, "same": each, "other": of_domain - each}
        else:
            both = whole - of_class - of_domain + each
            sums = {"any": whole - of_domain, "same": of_class - each, "other": both}
        own = 0.0 if "other" in rule else each / self.sizes
        return _positive(sums[classes] - own)

    def _expected_by_class(self, rule: Rule, anchors: Floats) -> Floats:
        classes, domains = rule
        each = _ratio(anchors, self.eligible_classes(rule))
        other = classes == "other"
        of_class = np.bincount(self.of_class, each)[self.of_class]
        of_domain = np.bincount(self.of_domain, each)[self.of_domain]
        if domains == "other":
            size = self.class_sizes[self.of_class]
            outside = size - self.sizes
            whole = each.sum() - np.bincount(self.of_class, of_domain)[self.of_class]
            reached = _ratio(of_domain - (each if other else 0.0), outside)
            summed = np.bincount(self.of_class, reached)[self.of_class]
            return _positive(whole / size + summed - reached)
        if domains == "any":
            sums, own, size = each.sum(), of_class, self.class_sizes[self.of_class]
        else:
            sums, own, size = of_domain, each, self.sizes
        found = (sums - own) / size
        if not other:  # of the class itself, all but the sample
            found = found + _ratio(own - each / self.sizes, size - 1)
        return _positive(found)


def _below(words: Words, counts: NDArray[np.integer]) -> Indices:
    """Return a number in [0, count) from each word."""
    below: Any = _rng.below.py_func  # of arrays too
    return np.asarray(below(words, np.asarray(counts).astype(np.uint64))).astype(np.int64)


def _ring(
    words: Words,
    begin: Indices | int,
    length: Indices | int,
    gap: Indices,
    width: Indices | int,
) -> Indices:
    """Return a position drawn in a range, outside of a gap in it."""
    count: Indices = np.broadcast_to(np.asarray(length) - width, words.shape)
    at = gap + width + _below(words, count)
    return np.where(at >= begin + np.asarray(length), at - length, at)


def _ratio(values: Floats, counts: NDArray[np.integer]) -> Floats:
    """Return values / counts, 0 where the count is 0."""
    found: Floats = np.divide(values, counts, out=np.zeros(values.shape), where=counts > 0)
    return found


def _positive(values: Floats) -> Floats:
    """Return sums of chances without what rounding leaves below 0."""
    return np.maximum(values, 0.0).astype(np.float64)
