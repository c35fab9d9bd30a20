"""Self-paced learning: keep the samples that are easy for the model, more of them in every epoch.

`HardestSampler` keeps the hardest samples instead. If a difficulty is known beforehand, use
`CurriculumSampler`.
"""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...types import Floats, Scores
from ._pruning import MOST_PRUNED, PruningOptions, PruningSampler
from ._thresholds import highest


@told
class SelfPacedSampler(PruningSampler):
    """Keep the samples with the lowest losses, a fraction that grows to all of the data.

    For replication, and as a baseline; it is robust to mislabelled samples while the fraction is
    small. Excluded samples keep the loss of the last time they were seen, so the samples added next
    are those that were easiest then.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    start : float in (0, 1], default 0.5
        Fraction of all samples that the first pruning epoch draws. Samples never seen come first.
    growth : float > 1, optional
        Factor by which the fraction grows from one epoch to the next, until it is 1. By default
        such that it is 1 when annealing begins.
    anneal_fraction : float in [0, 1], default 0.125
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
        The epochs in which samples are excluded.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original": some samples are certain to
        be excluded.

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks; ties are broken at random.
    Cost
        5 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 4 N more
        during planning; a plan is a partition of the scores, O(N).
    Gradients
        Biased towards easy samples, without weights; uniform in the end.
    Source
        Kumar, Packer, Koller, "Self-Paced Learning for Latent Variable Models", NIPS 2010, in its
        hard form. A fraction of the samples replaces their threshold on the loss, which would have
        to be chosen for every data set and could keep nothing.

    Examples
    --------
    >>> sampler = SelfPacedSampler(4, num_epochs=4, start=0.25, growth=2.0, anneal_fraction=0.0)
    >>> losses = np.array([3.0, 0, 2, 1])
    >>> for epoch in range(4):
    ...     sampler.set_epoch(epoch)
    ...     drawn = sorted(sampler)
    ...     sampler.record(drawn, losses[drawn])
    ...     print(drawn)
    [0, 1, 2, 3]
    [1]
    [1, 3]
    [0, 1, 2, 3]
    """

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        start: float = 0.5,
        growth: float | None = None,
        **options: Unpack[PruningOptions],
    ) -> None:
        self.start = _check.number("start", start, "(0, 1]")
        self.growth = None if growth is None else _check.number("growth", growth, "(1, inf)")
        super().__init__(data_source, num_epochs, **options)

    def _fractions(self, start: float) -> Floats:
        """Return the fraction of the data that each pruning epoch draws: float64 (epochs,)."""
        steps = np.arange(len(self.pruning_epochs))
        if self.growth is None:
            parts: Floats = start ** (1.0 - steps / max(steps.size, 1))
            return parts
        with np.errstate(over="ignore"):
            grown: Floats = np.minimum(start * self.growth**steps, 1.0)
        return grown

    def _counts(self) -> Floats:
        return np.maximum(1.0, np.floor(self._fractions(self.start) * self.size + 0.5))

    def _count(self, epoch: int) -> int:
        """Return the number of samples that a pruning epoch draws."""
        coming = self._counts()[epoch - self.pruning_epochs.start :]
        wanted = self._wanted(epoch)
        # `start` is set to meet a target; the error of earlier epochs is spread over later ones.
        shift = 0.0 if wanted is None else wanted - float(coming.mean())
        return int(min(self.size, max(1, round(float(coming[0]) + shift))))

    def _groups(self, epoch: int, scores: Scores) -> tuple[Floats, Floats]:
        seen = int(np.count_nonzero(~np.isnan(scores)))
        count = max(0, self._count(epoch) - (self.size - seen))
        thresholds, hard = highest(scores, seen - count)
        return thresholds, 1.0 - hard

    def why_biased(self, epoch: int) -> str:
        return "samples with high losses are certain to be excluded"

    # ------------------------------------------------------------------ cost of a run

    def _pruned_share(self, below_mean: float) -> float:
        return _left_out(self._fractions(self.start))

    def _most_pruned(self, below_mean: float) -> float:
        return _left_out(self._fractions(1.0 - MOST_PRUNED))

    def _setting_for(self, share: float, below_mean: float) -> dict[str, float]:
        low, high = 1.0 - MOST_PRUNED, 1.0
        for _ in range(60):  # the excluded fraction decreases as `start` increases
            middle = (low + high) / 2.0
            enough = _left_out(self._fractions(middle)) > share
            low, high = (middle, high) if enough else (low, middle)
        return {"start": high}

    def expected_samples(self, num_epochs: int | None = None, below_mean: float = 0.7) -> int:
        """Return the number of draws of a run, summed over all ranks.

        Parameters
        ----------
        num_epochs : int, default that of the constructor
            Count epochs 0 to num_epochs - 1.
        below_mean : float in [0, 1], default 0.7
            Ignored: the number of samples of an epoch does not depend on the scores.
        """
        epochs = self.num_epochs if num_epochs is None else num_epochs
        epochs = _check.integer("num_epochs", epochs, 0)
        planned = dict(zip(self.pruning_epochs, self._counts().astype(int).tolist(), strict=True))
        known = {**planned, **self._drawn}
        return sum(known.get(epoch, self.size) for epoch in range(epochs))

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "start": self.start, "growth": self.growth}


def _left_out(parts: Floats) -> float:
    """Return the mean fraction that epochs exclude, 0 if there are none."""
    return float(np.mean(1.0 - parts)) if parts.size else 0.0
