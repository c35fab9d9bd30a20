"""Keep samples with high average loss plus spread. By the loss alone: `HardestSampler`."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ...kernels import _prune
from ...types import Scores
from ..core._arrays import Arrays
from ..core._scored_sampler import RecordedScores
from ._hardest import HardestSampler
from ._pruning import AnnealingOptions


@told
class UCBSampler(HardestSampler):
    """Keep the samples with the highest upper confidence bound: average loss plus bonus * spread.

    A baseline.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_epochs : int
        Number of epochs in the run; determines when annealing begins.
    keep : float in (0, 1], default 0.59
        Fraction of all samples that a pruning epoch draws.
    decay : float in (0, 1], default 0.8
        Weight of the new loss in the average, and of its squared distance from it in the spread.
    bonus : float, default 1
        Factor of the spread; >= 0.
    refresh_every : int, default 10
        Epochs between two selections; meanwhile the same samples are drawn.
    anneal_fraction : float in [0, 1], default 0.125
        Final fraction of the run, in which every sample is drawn.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "sampled" by default.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Average loss plus `bonus` times the spread, as of the last `set_epoch`; NaN = never seen.

    Raises
    ------
    ValueError
        If an argument is out of its range, or for objective="original".

    Notes
    -----
    Order
        Planned in `set_epoch` from the scores of all ranks; ties are broken at random. For a sample
        drawn several times in an epoch the last loss is used.
    Cost
        13 N bytes, and 4 for each sample kept while these are up to 2**26 (else 0.2 N); 8 N more
        during planning; O(N).
    Gradients
        Biased towards hard samples, without weights.
    Source
        Raju, Daruwalla, Lipasti, "Accelerating Deep Learning with Dynamic Data Pruning", 2021,
        arXiv:2111.12621; averages and defaults are those of the rerun in the code of InfoBatch:
        spread <- (1 - decay) spread + decay (loss - average before) ** 2.

    Examples
    --------
    >>> sampler = UCBSampler(4, num_epochs=8, keep=1.0, decay=0.5, refresh_every=1)
    >>> sampler.record(range(4), np.array([1.0, 1, 2, 2]))
    >>> sampler.set_epoch(1)
    >>> sampler.record(range(4), np.array([1.0, 5, 2, 2]))  # the second sample's losses vary
    >>> sampler.set_epoch(2)
    >>> sampler.scores
    array([ 1., 11.,  2.,  2.], dtype=float32)
    """

    folds = True

    def __init__(
        self,
        data_source: int | Sized,
        num_epochs: int,
        *,
        keep: float = 0.59,
        decay: float = 0.8,
        bonus: float = 1.0,
        refresh_every: int = 10,
        **options: Unpack[AnnealingOptions],
    ) -> None:
        self.decay = _check.number("decay", decay, "(0, 1]")
        self.bonus = _check.number("bonus", bonus, "[0, inf)")
        super().__init__(
            data_source,
            num_epochs,
            keep=keep,
            refresh_every=refresh_every,
            **options,
        )

    def _make_history(self, size: int) -> Arrays:
        return {
            "average": np.full(size, np.nan, np.float32),
            "spread": np.zeros(size, np.float32),
        }

    def _fold(self, fresh: Scores) -> None:
        average, spread = self._history["average"], self._history["spread"]
        _prune.fold_losses(fresh, average, spread, self.decay)

    @property
    def scores(self) -> Scores:
        """Average loss plus `bonus` times the spread, float32 (N,); NaN = never seen."""
        return self._bounds()

    def _ranked(self, epoch: int, scores: RecordedScores) -> Scores:
        return self._bounds()

    def _bounds(self) -> Scores:
        with np.errstate(over="ignore"):  # scores that overflow come first, in random order
            found: Scores = self._history["spread"] * np.float32(self.bonus)
            found += self._history["average"]
        return found

    def identity(self) -> dict[str, object]:
        return {**super().identity(), "decay": self.decay, "bonus": self.bonus}
