"""Balance by class, with exact quotas. Several labels a sample: `RepeatFactorSampler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ..._shares import effective_sizes
from ..._warning import warn
from ...types import Floats
from ..core._groups import Dealer, Groups, Unlabeled
from ..core._options import EpochOptions
from ..core._quotas import Quotas
from ..core._repeats import check_run, limited_shares, note_repeats, refuse_replacing
from ..core._replaceable import ReplaceableSampler
from ..core._tables import DrawTable
from ._limited import limit_of

Target = Mapping[Any, float] | ArrayLike


@told
class ClassBalancedSampler(ReplaceableSampler["_Source"]):
    """Draw classes in chosen shares, and the samples of each class evenly.

    Use it for long-tailed data: `power=0.0` draws all classes equally often, `power=0.5` is the
    square root, which often does better, `progressive_epochs` moves from natural to balanced over
    the run. Compared with `WeightedRandomSampler` with class weights: shares are exact to one draw
    in each epoch, a sample is repeated only after all samples of its class were drawn, also across
    epochs, and ranks and resuming are supported. Balancing helps the tail and hurts the head; a
    balanced classifier on features trained with natural sampling is often the better choice.

    Parameters
    ----------
    labels : int or str array-like of shape (N,)
        Class of each sample; ids need not be contiguous. -1, None or NaN means unlabelled, see
        `unlabeled`.
    num_samples : int, default the number of labelled samples
        M: draws in one epoch, summed over all ranks.
    power : float, default 0.0
        The share of class c is proportional to n_c ** power: 1 is natural, 1/2 the square root, 0
        balanced. Below 0, which warns, tail classes are drawn more often than head classes.
    beta : float in [0, 1) or "inverse", optional
        Instead of `power`: the share is proportional to n_c / E_c with the effective number
        E_c = (1 - beta**n_c) / (1 - beta); "inverse" is its limit at 1, balanced. Classes of more
        than 1 / (1 - beta) samples are treated alike.
    target : mapping, or array-like of shape (C,), optional
        Instead of `power`: the share of each class, by id. In an array, entry c is the share of
        class c; classes with names need a mapping (or a pandas Series). Need not sum to 1. Every
        class that occurs must be named, and every class with a positive share must occur.
    progressive_epochs : int, optional
        T: the share of class c is (1 - t) * n_c / N + t * share_c with t = e / (T - 1), at most 1,
        in epoch e.
    max_repeats_per_epoch : int, optional
        k: no sample is drawn more than k times in an epoch; classes that would need it get k draws
        of each of their samples, and the others share the remaining draws in proportion to their
        shares. By default there is no limit, and a warning above 50.
    max_repeats : int, optional
        R: no sample is drawn more than R times in the run, instead of in an epoch: no class has
        more than R / E draws of each of its samples in an epoch on average. Not with
        `progressive_epochs`.
    num_epochs : int, optional
        E: number of epochs in the run, for `max_repeats` and `progress`.
    unlabeled : {"drop", "group", "raise"}, default "drop"
        Samples whose class is missing (-1, None, NaN, a null) are never drawn ("drop"), form one
        more class, named -1 ("group"), or are refused ("raise").
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    classes : array of shape (C,)
        Ids of the classes that occur, sorted.
    class_counts : int64 array of shape (C,)
        Number of samples of each class.
    num_unlabeled : int
        Number of samples without a label.

    Raises
    ------
    ValueError
        If no sample is labelled; if more than one of `power`, `beta`, `target` is given; if
        `target` names a class without samples, or omits one; if M is more than k draws of every
        sample, or M E than R; if both limits are given, or `max_repeats` with
        `progressive_epochs`; if objective="original" and a share is 0; from `set_epoch`, at the end
        of a run with `max_repeats`.

    Notes
    -----
    Order
        Class c gets M * share_c draws, rounded up or down in each epoch so that the sum is M and
        the total of class c after any number e of epochs differs from e M share_c by about one
        draw: by less than one for 98 of 100 sets of shares that were tried, by at most 1.1 for the
        others. The draws of a class follow an endless sequence of shuffles, which continues across
        epochs. Any epoch is computed directly. While `progressive_epochs` changes the shares, each
        epoch is rounded at random independently, and the sequences restart with other shuffles in
        every 1,024th of those epochs. With `max_repeats_per_epoch` a class whose sequence would
        draw a sample more often in an epoch, at its end and again after a shuffle, uses shuffles of
        that epoch instead.
    Cost
        8 N + 4 M bytes; O(N) once and O(M + N) an epoch. An epoch e out of order costs O(C log e)
        more, or O(C) for each epoch since the last multiple of 1,024 while shares change.
    Gradients
        objective="sampled" (default): `reduce` gives the gradient of the mean over classes in their
        shares. "original" restores the gradient of the mean over the labelled samples.
    Source
        Kang et al., ICLR 2020 (power, progressive); Cui et al., CVPR 2019 (beta).

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    >>> np.bincount(labels[list(ClassBalancedSampler(labels, seed=0))])
    array([4, 4])
    >>> np.bincount(labels[list(ClassBalancedSampler(labels, max_repeats_per_epoch=1))])
    array([6, 2])
    """

    _algorithm = 2  # version 1 rounded each epoch independently, and summed epochs one by one
    covers_dataset = True
    _planned_from = "shares that were set"

    def __init__(  # noqa: PLR0913  # shares, a progression and limits
        self,
        labels: ArrayLike,
        num_samples: int | None = None,
        *,
        power: float = 0.0,
        beta: float | Literal["inverse"] | None = None,
        target: Target | None = None,
        progressive_epochs: int | None = None,
        max_repeats_per_epoch: int | None = None,
        max_repeats: int | None = None,
        num_epochs: int | None = None,
        unlabeled: Unlabeled = "drop",
        **options: Unpack[EpochOptions],
    ) -> None:
        self._groups = Groups("labels", labels, unlabeled)
        draws = self._groups.num_labeled
        if num_samples is not None:
            draws = _check.integer("num_samples", num_samples, 1, _check.MAX_SIZE + 1)
        shares = class_shares(
            self._groups.names, self._groups.sizes, power=power, beta=beta, target=target
        )
        self.progressive_epochs = progressive_epochs
        if progressive_epochs is not None:
            self.progressive_epochs = _check.integer("progressive_epochs", progressive_epochs, 1)
        if num_epochs is not None:
            num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self.num_epochs = num_epochs
        self._limit = limit_of(max_repeats_per_epoch, max_repeats, num_epochs)
        self.max_repeats_per_epoch, self.max_repeats = max_repeats_per_epoch, max_repeats
        if max_repeats is not None and progressive_epochs is not None:
            raise ValueError(
                "max_repeats must not be given with progressive_epochs, whose epochs differ, got "
                f"{max_repeats}: use max_repeats_per_epoch"
            )
        self._draws, self._seed = draws, _check.seed(options.get("seed", 0))
        self._source = self._source_of(shares)
        self._note_repeats(shares)
        super().__init__(self._groups.codes.size, draws, **options)

    @property
    def classes(self) -> NDArray[np.generic]:
        """Ids of the classes that occur, sorted: (C,)."""
        return self._groups.names

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """Number of samples of each class: int64 (C,)."""
        return self._groups.sizes

    @property
    def num_unlabeled(self) -> int:
        """Number of samples without a label, which are never drawn."""
        return self._groups.num_unlabeled

    def shares(self, epoch: int) -> Floats:
        """Return the share of each class among the draws of an epoch: float64 (C,), sum 1."""
        return self._shares_in(self._source.shares, epoch)

    @told
    def set_shares(self, target: Target) -> None:
        """Set other shares of the classes, from the next `set_epoch` on; call it on every rank.

        From then on the sampler is dynamic: only the planned epoch is known, and a full state holds
        the shares of its plan, so that a sampler made with any shares can resume it. The shuffles
        of the classes begin at another position. With `progressive_epochs` the shares are those at
        the end.

        Parameters
        ----------
        target : mapping, or array-like of shape (C,)
            As in the constructor, and equal on every rank.

        Raises
        ------
        ValueError
            If the shares would be refused by the constructor; the sampler is then unchanged.

        Examples
        --------
        >>> import numpy as np
        >>> sampler = ClassBalancedSampler(["a", "a", "a", "b"])
        >>> sampler.set_shares({"a": 3, "b": 1})
        >>> sampler.set_epoch(1)
        >>> sorted(sampler)
        [0, 1, 2, 3]
        """
        refuse_replacing("set_shares", self.max_repeats)
        shares = class_shares(self.classes, self.class_counts, target=target)
        absent = self.classes[shares == 0]
        if absent.size and self.objective == "original":
            raise ValueError(
                f"target must be > 0 for objective='original', got 0 for class {absent[0]}"
            )
        self._shares_in(shares, self._settled)  # refuses what the limit does not allow
        self._note_repeats(shares)
        self._replace(shares)

    @property
    def _settled(self) -> int:
        return 0 if self.progressive_epochs is None else self.progressive_epochs - 1

    def _note_repeats(self, shares: Floats) -> None:
        uses = self._draws * self._shares_in(shares, self._settled) / self.class_counts
        often = int(np.argmax(uses))
        average = self._draws / self._groups.num_labeled
        note_repeats(uses[often], average, f"each sample of class {self.classes[often]}")

    def _shares_in(self, shares: Floats, epoch: int) -> Floats:
        if self.progressive_epochs is not None:
            last = self.progressive_epochs - 1
            t = min(1.0, epoch / last) if last else 0.0
            shares = (1.0 - t) * self._groups.sizes / self._groups.num_labeled + t * shares
        if self._limit is None:
            return shares
        most, epochs = self._limit.most, self._limit.epochs
        if epochs is None:
            return limited_shares(shares, self._groups.sizes, self._draws, most)
        drawn = int(self._groups.sizes[shares > 0].sum())
        check_run(most, self._draws * epochs, drawn, "samples of classes with a share")
        return limited_shares(shares, self._groups.sizes, self._draws * epochs, most)

    def _source_of(self, values: Floats) -> _Source:
        quotas = None
        if self._limit is not None and self._limit.epochs is not None:
            quotas = Quotas(
                self._shares_in(values, 0),
                self._draws,
                _rng.key(self._seed, 0, "quotas"),
                epochs=self._limit.epochs,
                caps=self._groups.sizes * self._limit.most,
            )
        dealer = Dealer(
            self._groups,
            self._draws,
            partial(self._shares_in, values),
            self._seed,
            settled=self._settled,
            quotas=quotas,
            most=self.max_repeats_per_epoch,
        )
        return _Source(values, dealer)

    def _values_of(self, source: _Source) -> Floats:
        return source.shares

    def _before_plan(self, epoch: int) -> None:
        if self._limit is not None:
            self._limit.check_epoch(epoch)
        super()._before_plan(epoch)

    def _drawn_from(self, source: _Source, epoch: int) -> DrawTable:
        if self._limit is not None:
            self._limit.check_epoch(epoch)
        return source.dealer.table(epoch)

    def why_biased(self, epoch: int) -> str:
        absent = self.classes[self.shares(epoch) == 0]
        return f"class {absent[0]} has share 0 and is never drawn" if absent.size else ""

    def identity(self) -> dict[str, object]:
        own: dict[str, object] = {
            "labels": self._groups.codes,
            "progressive_epochs": self.progressive_epochs,
            "max_repeats_per_epoch": self.max_repeats_per_epoch,
        }
        if self.max_repeats is not None:
            own |= {"max_repeats": self.max_repeats, "num_epochs": self.num_epochs}
        if self.dynamic:  # states hold the shares
            return own
        return {**own, "shares from power, beta and target": self._source.shares}


@dataclass(frozen=True)
class _Source:
    """The shares of the classes at the end of any progression, (C,), and what draws by them."""

    shares: Floats
    dealer: Dealer


def class_shares(
    names: NDArray[np.generic],
    counts: NDArray[np.int64],
    *,
    power: float = 0.0,
    beta: float | Literal["inverse"] | None = None,
    target: Target | None = None,
) -> Floats:
    """Return the share of each class: float64 (C,), sum 1; see `ClassBalancedSampler`."""
    given = [name for name, value in (("beta", beta), ("target", target)) if value is not None]
    power = _check.number("power", power, "[-1e6, 1e6]")
    if power != 0.0:
        given.append("power")
    if power < 0.0:
        warn(
            f"power should be >= 0, got {power:g}: small classes are drawn more often than large "
            "ones",
        )
    if len(given) > 1:
        raise ValueError(f"only one of power, beta and target may be given, got {given}")
    if target is not None:
        mass = _target_shares(names, target)
    elif beta is None or beta == "inverse":
        logarithm = power * np.log(counts)
        mass = np.exp(logarithm - logarithm.max())  # no overflow at any power
    else:
        beta = _check.number("beta", beta, "[0, 1)")
        mass = counts / effective_sizes(counts, beta)
    shares: Floats = mass / mass.sum()
    return shares


def _target_shares(names: NDArray[np.generic], target: Target) -> Floats:
    return _check.weights("target", _check.by_name("target", target, names, "classes"))
