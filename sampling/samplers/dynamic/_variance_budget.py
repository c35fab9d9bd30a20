"""Pruning with an adaptive rate: as much as a given fraction of SGD's variance allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sized
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...kernels import _probabilities
from ...types import Floats, Indices, Scores
from ..core._batch import Batch
from ..core._scored_sampler import RecordedScores
from ..core._tables import DrawTable
from ._pruning import PruningOptions, PruningSampler
from ._signal import SIGNALS, Signal, signal_of

HALVINGS = 64


@told
class VarianceBudgetSampler(PruningSampler):
    """Exclude small losses at random, adding at most a fraction `tau` to the variance of SGD.

    A baseline, for when the rate of `InfoBatchSampler` would have to be guessed. Samples with
    scores x are kept with probability min(1, c x), or `floor` if that is larger, and weighted by
    its inverse, so the sum of the gradients over the epoch remains that of the full data in
    expectation; c is the smallest number with

        sum((1 / p - 1) * x**2) <= tau * sum(x**2).

    The left side is the variance that the exclusions add to that sum, if x are the norms of the
    gradients. The right side is tau times the variance of SGD, a pass of independent draws, with
    the gradient of the mean neglected: if that is not small, SGD has less variance than assumed. If
    the scores are alike, only a few samples are excluded, tau / (1 + tau) of them; if a few scores
    are large, most of the others. Scores within a factor of 1.5 or less share one probability.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    tau : float >= 0, default 0.025
        Variance that may be added, as a fraction of SGD's. Ignored after `for_target`, which fixes
        the number of draws instead.
    signal : {"loss", "gradient_norm", "multi_label_gradient_norm"}, default "loss"
        The score of a sample: its loss, or |softmax - target| or |sigmoid - target|, see
        `gradient_norm_bound`; then `reduce` and `record` must be given `logits=` and `labels=`.
        If a loss is negative, the least loss is subtracted from all. A score of 0 is replaced by
        the least positive one.
    floor : float in [1e-6, 1], default 0.25
        Smallest probability: no sample is excluded permanently, no weight is above 1 / floor, and
        no step is larger by more than that factor.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn with weight 1.
    score_ema : float in (0, 1], default 1
        Weight of the new value in the moving average of a score; 1 keeps the last value.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "original" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Last score of each sample; NaN = never seen.
    pruning_epochs : range
        The epochs in which samples are excluded.
    added_variance : float
        Variance added in the current epoch, as a fraction of SGD's; 0 if all samples are drawn.
        Above `tau` only after `for_target`.

    Raises
    ------
    ValueError
        If an argument is out of its range. From `reduce` and `record`, if the signal needs logits
        and labels that are not given.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks, equal on each; a shuffle of the kept
        samples.
    Cost
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning if a loss is negative. A plan is three passes over the scores and one for
        each of about six groups, no sort.
    Gradients
        objective="original" weights by 1 / p: the sum over the epoch is unbiased at fixed
        parameters; each step is larger by N/M than in full training, see `InfoBatchSampler`. The
        budget does not account for this: a learning rate near its upper limit diverges when most
        samples are excluded, so lower it, raise `floor`, or use `reduction="weighted_mean"`, which
        keeps the size of the steps. Nor does it account for the age of the scores. "sampled" omits
        the weights.
    Source
        The probabilities and the budget are those of VCAS (Wang, Chen, Zhu, "Efficient
        Backpropagation with Variance-Controlled Adaptive Sampling", ICLR 2024), which thins the
        backward pass. There the signs of measured variances change the rate step by step; here the
        rate that they approach is computed. tau is its default.

    Examples
    --------
    >>> sampler = VarianceBudgetSampler(8, num_epochs=4, tau=0.1)
    >>> sampler.record(range(8), np.array([0.1, 0.1, 0.1, 0.1, 1, 1, 1, 1]))
    >>> sampler.set_epoch(1)
    >>> drawn = sampler.indices(1)
    >>> len(drawn), sampler.weights_for(np.sort(drawn))
    (5, array([4., 1., 1., 1., 1.], dtype=float32))
    >>> round(sampler.added_variance, 3)  # (4 - 1) * 4 * 0.01 / (4 * 0.01 + 4)
    0.03
    """

    _option_defaults = {"objective": "original"}

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        tau: float = 0.025,
        signal: Signal = "loss",
        floor: float = 0.25,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.tau = _check.number("tau", tau, "[0, inf)")
        self.signal = _check.choice("signal", signal, SIGNALS)
        self.floor = _check.number("floor", floor, "[1e-6, 1]")
        self.added_variance = 0.0
        super().__init__(data_source, num_epochs, **options)

    def score_of(self, batch: Batch) -> torch.Tensor:
        """See `ScoredSampler`: the losses, or the norms of their gradients."""
        return signal_of(self.signal, batch.losses, batch.logits, batch.labels)

    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """See `ScoredSampler`."""
        self.added_variance = 0.0
        return super().scored_table(epoch, scores)

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        average = scores.average
        _, least, _ = _probabilities.extremes(average)
        if least >= 0:
            return average
        with np.errstate(over="ignore"):  # losses that overflow are treated as equal
            shifted: Scores = np.minimum(average - np.float32(least), np.finfo(np.float32).max)
        return shifted

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        counts = np.zeros(_probabilities.HALF_OCTAVES, np.int64)
        squares = np.zeros(_probabilities.HALF_OCTAVES)
        _probabilities.octaves(scores, scores.view(np.uint32), counts, squares)
        held = np.flatnonzero(counts)
        if held.size == 0:
            return np.empty(0), np.ones(1)
        counts, squares = counts[held], squares[held]
        shares = self._shares(epoch, counts, squares)
        # Half octaves with one share, at the floor or at 1, are one group.
        first = np.flatnonzero(np.diff(shares, prepend=-1.0))
        shares, counts = shares[first], np.add.reduceat(counts, first)
        squares = np.add.reduceat(squares, first)
        kept = np.ceil(shares * counts * (1.0 - 1e-12))
        total = max(float(squares.sum()), np.finfo(np.float64).tiny)
        self.added_variance = float((counts / kept - 1.0) @ squares) / total
        # Half a sample more, so that the engine, which rounds down, keeps exactly as many.
        keep = np.minimum(1.0, (kept + 0.5) / counts)
        edges = (held[first[1:]] << _probabilities.MANTISSA_BITS).astype(np.uint32)
        return edges.view(np.float32).astype(np.float64), keep

    def _shares(self, epoch: int, counts: Indices, squares: Floats) -> Floats:
        """Return the smallest shares of the half octaves that meet the target or the budget."""
        lengths = np.sqrt(squares / counts)
        positive = lengths[lengths > 0]
        lengths = np.maximum(lengths, positive.min() if positive.size else 1.0)
        wanted = self._wanted(epoch)
        if wanted is not None:
            wanted -= self.size - int(counts.sum())  # samples never seen are always drawn
            return _least_shares(lengths, self.floor, lambda f: float(f @ counts) >= wanted)
        energies = squares if positive.size else counts  # all 0 are all equal
        budget = self.tau * float(energies.sum())
        return _least_shares(
            lengths, self.floor, lambda f: float((1.0 / f - 1.0) @ energies) <= budget
        )

    def _pruned_share(self, below_mean: float) -> float:
        if self._target is None:  # unknown before the scores: no pruning until the first plan
            return 0.0
        part = len(self.pruning_epochs) / self.num_epochs
        return min((1.0 - self._target) / part, self._most_pruned(below_mean)) if part else 0.0

    def _most_pruned(self, below_mean: float) -> float:
        return 1.0 - self.floor

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        return {}

    def _notes(self) -> dict[str, Any]:
        return {**super()._notes(), "added_variance": self.added_variance}

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self.added_variance = float(notes["added_variance"])

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "tau": self.tau, "signal": self.signal, "floor": self.floor}


def _least_shares(lengths: Floats, floor: float, enough: Callable[[Floats], bool]) -> Floats:
    """Return clip(c * lengths, floor, 1) with the smallest c that is enough, by bisection.

    lengths : float64 (G,), > 0; if no shares but 1 are enough, all are 1
    """

    def shares(c: float) -> Floats:
        found: Floats = np.clip(c * lengths, floor, 1.0)
        return found

    low, high = floor / float(lengths.max()), 1.0 / float(lengths.min())
    if enough(shares(low)):
        return shares(low)
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        if enough(shares(middle)):
            high = middle
        else:
            low = middle
    return shares(high)
