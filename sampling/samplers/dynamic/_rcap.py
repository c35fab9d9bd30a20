"""RCAP: classes by their loss, and samples of each at random by theirs.

`HardestSampler` keeps the samples of highest loss without regard to classes; `ClassBalancedSampler`
regards classes alone.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self, Unpack

from ... import _check, _rng
from ..._check._keywords import told
from ...types import Floats, Indices, Scores
from ..core._groups import Groups
from ..core._scored_sampler import RecordedScores
from ..core._tables import KeptTable
from ._pruning import PruningOptions, PruningSampler

_UNSEEN = 1e3  # above the keys of samples with a loss: noise of 53 bits is below 40


@told
class RCAPSampler(PruningSampler):
    """Draw more samples of classes with high losses, and within a class those with high losses.

    For replication. Each pruning epoch draws exactly `keep` of all samples: of class c in
    proportion to sqrt(L_c pi_c), with L_c the loss of the class and pi_c its share of the data, and
    of its samples without replacement, one after the other in proportion to exp(loss / beta).

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    labels : int or str array-like of shape (N,)
        Class of each sample.
    keep : float in (0, 1], default 0.6
        Fraction of all samples that a pruning epoch draws. Samples never seen come first.
    beta : float > 0, default 1.0
        Temperature of the draws within a class: towards 0 the highest losses are drawn, towards
        infinity a uniform subset. The package of the authors has 1/3, 1/2, 1, 2 and 3.
    aggregate : {"sum", "mean"}, default "sum"
        Whether L_c is the sum of the last losses of the class, or their mean. With "sum", the count
        of a class is in proportion to its size times the root of its mean loss; with "mean", to the
        root of both, so that small classes have more. Samples never seen have the mean loss.
    anneal_fraction : float in [0, 1], default 0.0
        Final fraction of the run, in which every sample is drawn.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen.
    pruning_epochs : range
        The epochs in which samples are excluded: all but the first, without annealing.

    Raises
    ------
    ValueError
        If an argument is out of its range, a sample has no label, or for objective="original".

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks. Exactly round(keep * N) samples: counts
        of classes are rounded by largest remainders, none exceeds the size of its class, and the
        excess is redistributed in the same proportion. Losses above log C count as log C: until a
        model is better than chance, samples and classes are drawn alike.
    Cost
        13 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 50 N more
        during planning, which is O(N + C^2).
    Gradients
        Biased towards classes and samples of high loss, without weights.
    Source
        Hassan, Khare, Paik, UAI 2025, PMLR 286:1648-1662, after the rule of its package `datacull`
        1.0.2. There L_c is a sum of shares within the class over the last subset instead of losses,
        the excess of full classes is given out twice, and counts are rounded up, so that an epoch
        draws more than its budget. Losses are clipped to [0, log C], as there; those of a single
        class at 0 alone.

    Examples
    --------
    >>> labels = ["a"] * 4 + ["b"] * 4
    >>> sampler = RCAPSampler(8, num_epochs=8, labels=labels, keep=0.625, beta=0.01)
    >>> sampler.record(range(8), np.array([0.1, 0.1, 0.1, 0.1, 0.4, 0.3, 0.5, 0.4]))
    >>> sampler.set_epoch(1)  # sums of 0.4 and 1.6: sqrt gives 1 : 2
    >>> drawn = sorted(sampler)
    >>> len([i for i in drawn if i < 4]), [i for i in drawn if i >= 4]
    (2, [4, 6, 7])
    """

    _option_defaults = {"anneal_fraction": 0.0}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        labels: ArrayLike,
        *,
        keep: float = 0.6,
        beta: float = 1.0,
        aggregate: Literal["sum", "mean"] = "sum",
        **options: Unpack[PruningOptions],
    ) -> None:
        self.keep = _check.number("keep", keep, "(0, 1]")
        self.beta = _check.number("beta", beta, "(0, inf)")
        self.aggregate = _check.choice("aggregate", aggregate, ("sum", "mean"))
        size = _check.size("data_source", data_source)
        self._classes = Groups("labels", labels, unlabeled="raise")
        _check.same_length("labels", self._classes.codes, "data_source", size)
        super().__init__(data_source, num_epochs, **options)

    def _thinned(self, epoch: int, recorded: RecordedScores) -> KeptTable | None:
        """Return the table of the samples drawn in an epoch; None if they are all."""
        scores = self._ranked(epoch, recorded)
        count = self._wanted(epoch) or max(1, round(self.keep * self.size))
        if count >= self.size:
            return None
        most = np.log(len(self._classes)) if len(self._classes) > 1 else np.inf
        clipped = np.clip(scores.astype(np.float64), 0.0, most)
        counts = self._counts(clipped, count)
        return KeptTable.of(self._drawn_by(clipped, counts, _rng.key(self.seed, epoch, "rcap")))

    def _counts(self, clipped: Floats, count: int) -> Indices:
        """Return the draws of each class: int64 (C,), summing to `count`."""
        # imported here: it loads faiss and scikit-learn
        from ...selection import share_out

        codes, sizes = self._classes.codes, self._classes.sizes
        seen = ~np.isnan(clipped)
        sums = np.bincount(codes[seen], clipped[seen], sizes.size)
        numbers = np.bincount(codes[seen], minlength=sizes.size)
        whole = float(sums.sum()) / max(int(numbers.sum()), 1)
        means = np.where(numbers > 0, sums / np.maximum(numbers, 1), whole)
        losses = means * sizes if self.aggregate == "sum" else means
        weights: Floats = np.sqrt(losses * sizes)
        counts = np.zeros_like(sizes)
        if weights.any():
            counts = share_out(weights, count, sizes)
        left = count - int(counts.sum())
        if left:  # classes without any loss share what the others have no samples for
            counts = counts + share_out(sizes.astype(np.float64), left, sizes - counts)
        return counts

    def _drawn_by(self, clipped: Floats, counts: Indices, key: np.uint64) -> NDArray[np.bool_]:
        """Draw samples of each class without replacement, by exp(loss / beta): bool (N,).

        The largest sums of loss / beta and Gumbel noise are draws one after the other, each in
        proportion to the weights of those that are left.
        """
        words = _rng.values(key, np.arange(self.size, dtype=np.uint64))
        points = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        unseen = np.isnan(clipped)
        with np.errstate(over="ignore"):  # of a tiny beta: never before those of higher loss
            keys = (clipped - np.max(clipped, where=~unseen, initial=0.0)) / self.beta
        keys -= np.log(-np.log(points))
        keys[unseen] = _UNSEEN + points[unseen]
        kept = np.zeros(self.size, np.bool_)
        for code in np.flatnonzero(counts).tolist():
            rows = self._classes.of(code)
            first = rows.size - int(counts[code])
            kept[rows[np.argpartition(keys[rows], first - 1)[first:]] if first else rows] = True
        return kept

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        return np.empty(0), np.array([self.keep])  # what is expected of it: see `_thinned`

    def why_biased(self, epoch: int) -> str:
        return "the draws within a class have no probabilities in closed form"

    def _pruned_share(self, below_mean: float) -> float:
        return 1.0 - self.keep

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {"keep": 1.0 - share}

    @classmethod
    def _probe(cls, num_epochs: int, arguments: dict[str, Any]) -> Self:
        return cls(1, num_epochs, **{**arguments, "labels": [0]})

    def identity(self) -> dict[str, object]:
        return {
            **super().identity(),
            "keep": self.keep,
            "beta": self.beta,
            "aggregate": self.aggregate,
            "labels": self._classes.codes,
        }
