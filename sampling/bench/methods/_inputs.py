"""What the benchmark can give to a selector or to your own code, by the name of a parameter.

One table for both: a parameter is filled if it has one of these names, or that of a score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...clustering import Clustering, kmeans
from ...record import Score
from ...selection.core._clusters import default_clusters
from ...types import Indices
from ._method import CLASSES, EMBEDDINGS, TRAINED, Context, Losses
from ._scores import SCORES, taken_with

_QUANTILE = 0.9  # of |loss - loss at the center| / distance^2, as `SensitivitySampler`
_LARGEST_LOG = 700.0  # whose exponential is finite


class Inputs:
    """Values for parameters, computed when they are first read.

    Parameters
    ----------
    context : Context
        What is known of the run.
    n_clusters : callable, optional
        Takes N and returns K; by default about sqrt(N / 2).
    """

    def __init__(self, context: Context, n_clusters: Callable[[int], int] | None = None) -> None:
        self.context = context
        self._n_clusters = n_clusters or default_clusters

    def get(self, name: str) -> Any:
        """Return the value for a parameter of `INPUTS`, or the score of that name."""
        if name in SCORES and name not in INPUTS:
            return self.score(name)
        return INPUTS[name].find(self)

    def score(self, name: str) -> Score:
        """Return a score by its name."""
        if not self.context.has_labels:
            self.context.labels  # noqa: B018  # raises `Lacking`
        return self.context.score(name)

    @cached_property
    def clustering(self) -> Clustering:
        """K-means of the embeddings."""
        context = self.context
        count = min(self._n_clusters(context.size), context.size)
        return kmeans(context.embeddings(), count, seed=context.seed)

    @cached_property
    def early_losses(self) -> NDArray[np.float64]:
        """Loss of each sample early in the pilot run, float64 (N,)."""
        return np.asarray(self.score(taken_with("ema_loss", "el2n")).values, np.float64)

    @cached_property
    def center_losses(self) -> NDArray[np.float64]:
        """Early losses of the samples nearest to the centers, float64 (K,)."""
        return self.early_losses[self.clustering.nearest]

    @cached_property
    def holder_constant(self) -> float:
        """The 0.9 quantile of |loss - loss at the center| / distance^2, > 0."""
        found = self.clustering
        gaps = np.abs(self.early_losses - self.center_losses[found.labels])
        powers = found.distances.astype(np.float64) ** 2
        apart = powers > 0
        if not apart.any():
            return 1.0
        least = 1e-6 * max(float(self.center_losses.mean()), 1e-6) / float(powers[apart].mean())
        return max(float(np.quantile(gaps[apart] / powers[apart], _QUANTILE)), least)

    @cached_property
    def perplexities(self) -> NDArray[np.float64]:
        """Exponential of the moving average of the loss over the pilot run, float64 (N,)."""
        losses = np.asarray(self.score("ema_loss").values, np.float64)
        return np.exp(np.minimum(losses, _LARGEST_LOG))


@dataclass(frozen=True)
class Input:
    """A value that can be given to a parameter.

    Parameters
    ----------
    find : callable
        Returns the value.
    help : str
        What it is.
    needs : tuple of str
        What the data must have for it.
    plain : bool, default False
        Whether it is a number of the run, which is passed whatever the parameter's default is;
        arrays are passed to parameters without a default, or with None.
    """

    find: Callable[[Inputs], Any]
    help: str
    needs: tuple[str, ...] = ()
    plain: bool = False


def _number(find: Callable[[Context], Any], help: str) -> Input:  # noqa: A002
    return Input(lambda given: find(given.context), help, plain=True)


def _losses(given: Inputs) -> Losses:
    return given.context.losses


def _labels(given: Inputs) -> Indices:
    return given.context.labels


_SIZE = _number(lambda context: context.size, "N, the number of samples of the training part")
_EPOCHS = _number(lambda context: context.epochs, "E, the epochs of a run on all the data")
_DRAWS = _number(lambda context: context.draws, "draws of an epoch, keep * N")
INPUTS: dict[str, Input] = {
    "data_source": _SIZE,
    "source": _SIZE,
    "size": _SIZE,
    "dataset_size": _SIZE,
    "keep": _number(lambda context: context.budget, "fraction of N that an epoch draws"),
    "budget": _DRAWS,
    "num_samples": _DRAWS,
    "num_epochs": _EPOCHS,
    "epochs": _EPOCHS,
    "batch_size": _number(lambda context: context.batch_size, "B"),
    "seed": _number(lambda context: context.seed, "seed of samplers and clusterings"),
    "context": Input(lambda given: given.context, "all that is known of the run", plain=True),
    "labels": Input(_labels, "classes, int64 (N,)", (CLASSES,)),
    "embeddings": Input(
        lambda given: given.context.embeddings(), "rows, float32 (N, D)", (EMBEDDINGS,)
    ),
    "losses": Input(_losses, "function from indices (m,) to losses of the current model (m,)"),
    "clusters": Input(
        lambda given: given.clustering, "`Clustering` of the embeddings by k-means", (EMBEDDINGS,)
    ),
    "center_losses": Input(
        lambda given: given.center_losses, "early losses at the centers of clusters, (K,)",
        (CLASSES, EMBEDDINGS, TRAINED),
    ),
    "holder_constant": Input(
        lambda given: given.holder_constant, "growth of the early losses with distance^2",
        (CLASSES, EMBEDDINGS, TRAINED),
    ),
    "perplexities": Input(
        lambda given: given.perplexities, "exponential of the mean loss, (N,)", (CLASSES, TRAINED)
    ),
    "probabilities": Input(
        lambda given: given.context.probabilities(),
        "predictions by cross-validation, (N, C)",
        (CLASSES, TRAINED),
    ),
}  # fmt: skip


def needs_of(name: str) -> tuple[str, ...]:
    """Return what the data must have for a parameter that can be filled."""
    if name in INPUTS:
        return INPUTS[name].needs
    return (CLASSES, EMBEDDINGS, TRAINED) if SCORES[name].embeddings else (CLASSES, TRAINED)


def can_fill(name: str) -> bool:
    """Return whether the benchmark has a value for a parameter of this name."""
    return name in INPUTS or name in SCORES
