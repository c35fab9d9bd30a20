"""Bootstrap bags: random samples of the rows with repeats, and the rows out of each bag.

For the uncertainty of an estimate, bagged models, and predictions of rows that a model did not see.
A subset to train on without repeats is a selection; see `gumbel` and `pivotal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from .. import _check, _rng
from .._check import _labels
from .._check._keywords import told
from ..types import Floats, Indices
from .core._budget import share_out

__all__ = ["Bag", "Bags", "bags"]


@told
@dataclass(frozen=True, eq=False)
class Bag:
    """The rows of one bootstrap sample, from `bags`.

    Attributes
    ----------
    counts : int64 array of shape (N,)
        How often each row is in the bag.
    """

    counts: Indices

    @property
    def indices(self) -> Indices:
        """The rows in the bag, ascending, each as often as it was drawn: int64 (M,)."""
        return np.repeat(np.arange(self.counts.size), self.counts)

    @property
    def out_of_bag(self) -> Indices:
        """The rows that were not drawn, ascending: int64."""
        return np.flatnonzero(self.counts == 0)

    def __len__(self) -> int:
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class _Stratum:
    """What a bag draws within: rows, or whole groups, of a stratum."""

    units: Indices  # (u,)
    weights: Floats | None  # (u,), > 0
    draws: int


@told
class Bags(Sequence[Bag]):
    """Bootstrap samples of the same rows, each drawn when it is accessed; made by `bags`.

    Parameters
    ----------
    of_row : int64 array of shape (N,), optional
        Number of the unit (the group) of each row; None if each row is one.
    strata : sequence
        What is drawn from: units, their weights, and draws, of each stratum.
    num_units : int
    num_bags : int
    replacement : bool
    key : numpy.uint64
    """

    def __init__(  # noqa: PLR0913  # what a bag is drawn from
        self,
        of_row: Indices | None,
        strata: Sequence[_Stratum],
        num_units: int,
        num_bags: int,
        replacement: bool,
        key: np.uint64,
    ) -> None:
        self._of_row = of_row
        self._strata = strata
        self._num_units = num_units
        self._num_bags = num_bags
        self._replacement = replacement
        self._key = key

    def __len__(self) -> int:
        return self._num_bags

    @overload
    def __getitem__(self, number: int) -> Bag: ...

    @overload
    def __getitem__(self, number: slice) -> list[Bag]: ...

    def __getitem__(self, number: int | slice) -> Bag | list[Bag]:
        """Draw a bag by its number, or several by a slice."""
        if isinstance(number, slice):
            return [self._bag(each) for each in range(self._num_bags)[number]]
        return self._bag(range(self._num_bags)[number])

    def __iter__(self) -> Iterator[Bag]:
        return map(self._bag, range(self._num_bags))

    def _bag(self, number: int) -> Bag:
        key = _rng.subkey(self._key, number)
        counts = np.zeros(self._num_units, np.int64)
        for code, stratum in enumerate(self._strata):
            draw = _with_replacement if self._replacement else _without_replacement
            drawn = stratum.units[draw(stratum, _rng.subkey(key, code))]
            counts += np.bincount(drawn, minlength=self._num_units)
        return Bag(counts if self._of_row is None else counts[self._of_row])


@told
def bags(
    data: int | Sized,
    num_bags: int,
    *,
    draws: float = 1.0,
    replacement: bool = True,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    seed: int = 0,
) -> Bags:
    """Draw bootstrap samples of rows: bags with repeats, and the rows out of each.

    Train a model on `torch.utils.data.Subset(dataset, bag.indices)` and evaluate it on
    `bag.out_of_bag`; or compute a statistic of each bag, whose deviation over bags is its standard
    error. With `replacement=False` and half of the draws, each bag is a random half of the rows.

    Parameters
    ----------
    data : int or sized
        Number of rows N, or a sized object, such as the dataset.
    num_bags : int
    draws : int or float, default 1.0
        Draws in a bag: a count, or a fraction in (0, 1e6] of the rows. With `groups`, draws of
        groups.
    replacement : bool, default True
        False draws each row at most once, and `draws` is at most their number.
    weights : array of shape (N,), optional
        Relative probability of each row; that of a group is the sum over its rows. A row of weight
        0 is never drawn. Without replacement, one row after another is drawn in proportion to the
        weights of those that are left.
    groups : int or str array of shape (N,), optional
        Rows of one group, such as a patient or a document, are in a bag together, as often as the
        group was drawn: the bootstrap of clustered data. The number of rows of a bag then varies.
    strata : int or str array of shape (N,), optional
        Draw from each stratum, such as a class, separately: its share of the draws is that of its
        rows (or groups), so its count is the same in all bags. A group must be in one stratum.
    seed : int in [0, 2**64), default 0

    Returns
    -------
    Bags
        A sequence of `Bag`, each drawn when it is accessed.

    Raises
    ------
    ValueError
        If a group or stratum of a row is missing, a group is in two strata, all weights of a
        stratum are 0, or without replacement there are fewer rows than draws.

    Notes
    -----
    Order
        A bag is a pure function of (arguments, seed, number of the bag): any is accessed directly.
    Cost
        O(N + M) time and 32 N bytes for each bag that is accessed; nothing is held of the others.
    Gradients
        A bag is an unweighted sample; rows in it several times have as many draws.
    Source
        Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 1979.
        Without replacement by weight: Efraimidis, Spirakis, Information Processing Letters 2006.

    Examples
    --------
    >>> found = bags(6, 100, groups=[0, 0, 0, 1, 1, 2], strata=[0, 0, 0, 1, 1, 1])
    >>> bag = found[7]  # the first group is a stratum of its own: it is always in
    >>> bag.counts[:3], len(found), set(bag.indices) & set(bag.out_of_bag)
    (array([1, 1, 1]), 100, set())
    """
    size = _check.size("data", data)
    number = _check.integer("num_bags", num_bags, 1)
    replacement = _check.flag("replacement", replacement)
    key = _rng.key(_check.seed(seed), 0, "bags")
    of_row = None if groups is None else _coded("groups", groups, size)
    num_units = size if of_row is None else int(of_row.max()) + 1
    own = None
    if weights is not None:
        own = _check.weights("weights", weights)
        _check.same_length("weights", own, "data", size)
        if of_row is not None:
            own = np.bincount(of_row, own, num_units).astype(np.float64)
    of_unit = np.zeros(num_units, np.int64)
    if strata is not None:
        of_unit = _stratum_of_units(_coded("strata", strata, size), of_row, groups)
    sizes = np.bincount(of_unit)
    total = _total(draws, num_units, replacement)
    parts = _strata(of_unit, own, share_out(sizes.astype(np.float64), total), replacement)
    return Bags(of_row, parts, num_units, number, replacement, key)


def _coded(name: str, values: ArrayLike, size: int) -> Indices:
    """Return the number of the group or stratum of each row: int64 (N,)."""
    codes = _labels.grouped(name, values, "raise", "exclude those rows, or give each a name")[1]
    _check.same_length(name, codes, "data", size)
    return codes.astype(np.int64)


def _stratum_of_units(codes: Indices, of_row: Indices | None, groups: ArrayLike | None) -> Indices:
    """Return the stratum of each unit, (u,); refuse a group in several."""
    if of_row is None or groups is None:
        return codes
    found = np.zeros(int(of_row.max()) + 1, np.int64)
    found[of_row] = codes
    wrong = np.flatnonzero(found[of_row] != codes)
    if wrong.size:
        name = _labels.grouped("groups", groups, "raise")[0][of_row[wrong[0]]]
        raise ValueError(
            f"strata must be the same for all rows of a group, got several for group "
            f"{_labels.item(name)!r}, one of them in row {wrong[0]}"
        )
    return found


def _total(draws: float, num_units: int, replacement: bool) -> int:
    """Return the draws of a bag, at least 1; a fraction is rounded half up."""
    if isinstance(draws, float | np.floating):
        total = int(_check.number("draws", draws, "(0, 1e6]") * num_units + 0.5)
        total = max(1, total)
    else:
        total = _check.integer("draws", draws, 1)
    if not replacement and total > num_units:
        raise ValueError(
            f"draws must be at most {num_units} without replacement, the rows or groups, got "
            f"{total}"
        )
    return total


def _strata(
    of_unit: Indices, weights: Floats | None, draws: Indices, replacement: bool
) -> list[_Stratum]:
    """Return what is drawn of each stratum; units of weight 0 are not."""
    order = np.argsort(of_unit, kind="stable")
    found = []
    for code, units in enumerate(np.split(order, np.cumsum(np.bincount(of_unit))[:-1])):
        own = None if weights is None else weights[units]
        if own is not None:
            units, own = units[own > 0], own[own > 0]  # noqa: PLW2901
        count, least = int(draws[code]), 1 if replacement else int(draws[code])
        if count and units.size < least:
            raise ValueError(
                f"weights must be > 0 for at least {least} rows or groups of each stratum, got "
                f"{units.size}"
            )
        if count:
            found.append(_Stratum(units, own, count))
    return found


def _uniforms(key: np.uint64, size: int) -> Floats:
    """Return random numbers in (0, 1): float64 (size,)."""
    words = _rng.values(key, np.arange(size, dtype=np.uint64))
    found: Floats = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return found


def _with_replacement(stratum: _Stratum, key: np.uint64) -> Indices:
    """Return independent draws, positions in the units: int64 (draws,)."""
    points, last = _uniforms(key, stratum.draws), stratum.units.size - 1
    if stratum.weights is None:
        return np.minimum((points * (last + 1)).astype(np.int64), last)
    edges = np.cumsum(stratum.weights)
    found: Indices = np.searchsorted(edges, points * edges[-1], side="right")
    return np.minimum(found, last)  # rounding may put a point at the total


def _without_replacement(stratum: _Stratum, key: np.uint64) -> Indices:
    """Return distinct draws: the units with the smallest exponential times, -log(u) / weight."""
    times = -np.log(_uniforms(key, stratum.units.size))
    if stratum.weights is not None:
        # logarithms, since a quotient may overflow
        times = np.log(times) - np.log(stratum.weights)
    if stratum.draws == times.size:
        return np.arange(times.size)
    return np.argpartition(times, stratum.draws - 1)[: stratum.draws]
