"""Importance sampling by a bound on the loss, from one loss per cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Self, Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ..._warning import warn
from ...kernels._scores import fill_uniform
from ...types import Floats, Indices
from ..core._cumulative import Cumulative
from ..core._options import EpochOptions
from ..core._repeats import refuse_replacing
from ..core._replaceable import ReplaceableSampler
from ..core._tables import DrawTable, WeightedTable
from ._limited import Limited, limit_of
from ._weighted import note_heaviest

CenterLoss = Callable[[Indices], ArrayLike]
QUANTILE = 0.9  # of the pilot's slopes; a constant that is too small is the greater risk


@told
@dataclass(frozen=True)
class HolderFit:
    """The estimate of the Hölder constant, and its quality.

    Attributes
    ----------
    constant : float
        The 0.9 quantile of |loss - loss at the center| / distance ** z over the pilot.
    pilot_size : int
        Number of pilot samples with a positive distance.
    covered : float
        Fraction of the pilot within constant * distance ** z of its center's loss.
    correlation : float
        Correlation of |loss - loss at the center| with distance ** z; near 0 the distances do not
        predict the losses, and uniform sampling would be as good. NaN if one of them is constant.
    evaluations : int
        Total number of losses that were computed, at the centers and in the pilot.
    """

    constant: float
    pilot_size: int
    covered: float
    correlation: float
    evaluations: int


@told
class SensitivitySampler(ReplaceableSampler["_Source"]):
    """Draw samples in proportion to a bound on their loss, from the losses at cluster centers.

    If losses vary slowly over the embedding space, |l(x) - l(c)| <= lambda * ||x - c||**z, then
    l(c) + lambda * ||x - c||**z bounds the loss of x, and sampling in proportion to it estimates
    the mean loss of all data with little variance, at the cost of one loss per cluster. If the
    losses are not smooth in the embeddings, uniform sampling is better: check `fit.correlation`.

    Parameters
    ----------
    distances : float array-like of shape (N,)
        Euclidean distance of each sample to its center, not squared.
    clusters : int array-like of shape (N,)
        Cluster of each sample, in [0, K).
    center_losses : float array-like of shape (K,)
        Loss of the sample nearest to each center. If the least is negative, it is subtracted from
        all.
    num_samples : int
        M: draws in one epoch, summed over all ranks, with replacement.
    holder_constant : float >= 0
        lambda. `from_embeddings` estimates it. Prefer a value that is too large to one that is too
        small: 0 ignores the distance of a sample from its center, can be worse than uniform
        sampling, and warns.
    z : float > 0, default 2
        Exponent of the distance: 2 for k-means, 1 for k-median.
    max_repeats_per_epoch : int, optional
        k: no sample is drawn more than k times in an epoch; the others share the remaining draws
        in proportion to their scores. By default there is no limit, and a warning above 50.
    max_repeats : int, optional
        R: no sample is drawn more than R times in the run, instead of in an epoch. Not with
        `refresh`.
    num_epochs : int, optional
        E: number of epochs in the run, for `max_repeats` and `progress`.
    **options
        The options of every sampler: see `EpochSampler`. `objective` is "original" by default.

    Attributes
    ----------
    scores : float64 array of shape (N,)
        l(c) + lambda * distance ** z for the epochs from the next `set_epoch`; a score of 0 is
        replaced by the least positive one, so that every sample can be drawn.
    fit : HolderFit or None
        The estimate made by `from_embeddings`.
    center_indices : int64 array of shape (K,) or None
        The samples nearest to the centers, from `from_embeddings`, whose losses `refresh` needs.

    Raises
    ------
    ValueError
        If an array is not finite, distances are negative, a cluster is not in [0, K), or lengths
        differ; if a score is too large for a float64, or the sum of the scores is; if M is more
        than k N, or M E than R N, or both limits are given; from `set_epoch`, at the end of a run
        with `max_repeats`.

    Notes
    -----
    Order
        Stratified draws by score (see `WeightedSampler`), in a shuffled order. After a `refresh`
        only the planned epoch is known, as for any dynamic sampler.
    Cost
        34 N bytes; O(N) once and at each refresh, O(1) a draw. With a limit as `WeightedSampler`.
    Gradients
        objective="original" (default) multiplies by 1 / (N p): the weighted mean over the draws
        estimates the mean over the data without bias, at fixed parameters, whatever the constant.
        "sampled" trains on the sampling distribution.
    Source
        Axiotis et al., "Data-Efficient Learning via Clustering-Based Sensitivity Sampling:
        Foundation Models and Beyond", ICML 2024.

    Examples
    --------
    >>> sampler = SensitivitySampler(
    ...     [0, 1, 0, 1], [0, 0, 1, 1], [1.0, 3.0], num_samples=4, holder_constant=2.0
    ... )
    >>> sampler.scores
    array([1., 3., 3., 5.])
    >>> sampler.importance_weights([0, 3])
    array([3. , 0.6], dtype=float32)
    """

    _option_defaults = {"objective": "original"}

    covers_dataset = True
    _planned_from = "losses at the centers that were set"

    def __init__(  # noqa: PLR0913  # the bound and limits
        self,
        distances: ArrayLike,
        clusters: ArrayLike,
        center_losses: ArrayLike,
        num_samples: int,
        *,
        holder_constant: float,
        z: float = 2.0,
        max_repeats_per_epoch: int | None = None,
        max_repeats: int | None = None,
        num_epochs: int | None = None,
        **options: Unpack[EpochOptions],
    ) -> None:
        distances = _check.floats("distances", distances, "finite and >= 0")
        self._clusters = _labels.ids("clusters", clusters)
        _check.same_length("clusters", self._clusters, "distances", distances.size)
        losses = _check.floats("center_losses", center_losses)
        _check.codes("clusters", self._clusters, losses.size)
        self.holder_constant = _check.number("holder_constant", holder_constant, "[0, inf)")
        self.z = _check.number("z", z, "(0, inf)")
        if self.holder_constant == 0.0:
            warn(
                "holder_constant should be > 0, got 0: the distances are ignored, and the draws "
                "can be worse than uniform sampling",
            )
        with np.errstate(over="ignore"):  # `_score` refuses scores that overflow
            self._spread = self.holder_constant * _powers(distances, self.z)
        draws = _check.integer("num_samples", num_samples, 1)
        if num_epochs is not None:
            num_epochs = _check.integer("num_epochs", num_epochs, 1)
        self._limit = limit_of(max_repeats_per_epoch, max_repeats, num_epochs)
        self.max_repeats_per_epoch, self.max_repeats = max_repeats_per_epoch, max_repeats
        self.num_epochs = num_epochs
        self.scores = self._score(losses)
        self._draws, self._seed = draws, _check.seed(options.get("seed", 0))
        self._source = _Source(losses, self._drawn(self.scores))
        self.fit: HolderFit | None = None
        self.center_indices: Indices | None = None
        options.setdefault("objective", "original")
        super().__init__(distances.size, draws, **options)

    @classmethod
    def from_embeddings(
        cls,
        embeddings: ArrayLike,
        center_loss: CenterLoss,
        n_clusters: int,
        *,
        num_samples: int | None = None,
        labels: ArrayLike | None = None,
        z: float = 2.0,
        **options: Unpack[EpochOptions],
    ) -> Self:
        """Cluster embeddings, evaluate the losses at the centers, and estimate the constant.

        Parameters
        ----------
        embeddings : float array-like of shape (N, D)
            Embedding of each sample.
        center_loss : callable
            Int64 sample indices (m,) -> their losses (m,). Called once for the K centers and once
            for a pilot of ceil(log10(100 K)) random samples a cluster.
        n_clusters : int
            K, summed over all classes.
        num_samples : int, default N
            Draws in one epoch.
        labels : array-like of shape (N,), optional
            Cluster within classes: losses are discontinuous between classes, whatever the distance.
        z : float > 0, default 2
            Exponent of the distance.
        **options
            The options of the constructor.

        Returns
        -------
        SensitivitySampler
            With `fit` and `center_indices` set.
        """
        from ...clustering import kmeans

        seed, z = _check.seed(options.get("seed", 0)), _check.number("z", z, "(0, inf)")
        rows = _check.embeddings("embeddings", embeddings)
        if labels is not None:
            labels = _labels.grouped("labels", labels)[1]
            _check.same_length("labels", labels, "embeddings", len(rows))
        found = kmeans(rows, n_clusters, seed=seed, groups=labels)
        at_centers = _losses_of(center_loss, found.nearest)
        pilot = _pilot(found.labels, found.nearest, seed)
        at_pilot = _losses_of(center_loss, pilot) if pilot.size else np.empty(0)
        gaps = np.abs(at_pilot - at_centers[found.labels[pilot]])
        powers = _powers(found.distances[pilot].astype(np.float64), z)
        fit = _fit_holder(gaps, powers, at_centers, at_centers.size + pilot.size)
        sampler = cls(
            found.distances,
            found.labels,
            at_centers,
            found.labels.size if num_samples is None else num_samples,
            holder_constant=fit.constant,
            z=z,
            **options,
        )
        sampler.fit, sampler.center_indices = fit, found.nearest
        return sampler

    def refresh(self, center_losses: ArrayLike) -> None:
        """Set new losses at the centers, used from the next `set_epoch`.

        Parameters
        ----------
        center_losses : float array-like of shape (K,)
            Loss of the sample nearest to each center, equal on every rank.
        """
        refuse_replacing("refresh", self.max_repeats)
        losses = _check.floats("center_losses", center_losses)
        first = self._source.losses.size
        _check.same_length("center_losses", losses, "the first center_losses", first)
        self.scores = self._score(losses)
        self._replace(losses.copy())

    def _source_of(self, values: Floats) -> _Source:
        return _Source(values, self._drawn(self._score(values)))

    def _drawn(self, scores: Floats) -> Cumulative | Limited:
        if self._limit is None:
            found = Cumulative(scores)
            note_heaviest(scores, self._draws, found.total)
            return found
        return Limited(scores, self._draws, self._limit, self._seed, "sensitivity")

    def _values_of(self, source: _Source) -> Floats:
        return source.losses

    def _drawn_from(self, source: _Source, epoch: int) -> DrawTable:
        if not isinstance(source.drawn, Cumulative):
            return source.drawn.table(epoch)
        key = _rng.key(self.seed, epoch, "sensitivity")
        return WeightedTable(source.drawn, self.num_samples, key, independent=False)

    def _before_plan(self, epoch: int) -> None:
        if self._limit is not None:
            self._limit.check_epoch(epoch)
        super()._before_plan(epoch)

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        super()._adopt(arrays, notes)
        self.scores = self._score(arrays["latest"])

    def _score(self, losses: Floats) -> Floats:
        with np.errstate(over="ignore"):  # scores that overflow are refused
            losses = losses - min(0.0, float(losses.min()))
            scores: Floats = losses[self._clusters] + self._spread
        if not scores.any():
            return np.ones_like(scores)
        _check.weights("scores (center loss + holder_constant * distance ** z)", scores)
        if not scores.all():
            scores[scores == 0] = scores[scores > 0].min()
        return scores

    def identity(self) -> dict[str, object]:
        own: dict[str, object] = {
            "spread from distances, holder_constant and z": self._spread,
            "clusters": self._clusters,
        }
        if self.max_repeats_per_epoch is not None:
            own["max_repeats_per_epoch"] = self.max_repeats_per_epoch
        if self.max_repeats is not None:
            own |= {"max_repeats": self.max_repeats, "num_epochs": self.num_epochs}
        return own if self.dynamic else {**own, "center_losses": self._source.losses}


@dataclass(frozen=True)
class _Source:
    """The losses at the centers, (K,), and what draws by the scores."""

    losses: Floats
    drawn: Cumulative | Limited


def _powers(distances: Floats, z: float) -> Floats:
    """Return distance ** z, all finite."""
    with np.errstate(over="ignore"):
        powers = distances**z
    return _check.floats(f"distances ** {z:g}", powers) if powers.size else powers


def _losses_of(center_loss: CenterLoss, indices: Indices) -> Floats:
    losses = _check.floats("losses of center_loss", center_loss(indices))
    _check.same_length("losses of center_loss", losses, "the indices it was given", indices.size)
    return losses


def _pilot(labels: Indices, nearest: Indices, seed: int) -> Indices:
    """Return up to ceil(log10(100 K)) random samples of each cluster, without its center."""
    per_cluster = int(np.ceil(np.log10(100 * nearest.size) - 1e-9))
    order = np.empty(labels.size, np.float32)
    fill_uniform(_rng.key(seed, 0, "pilot"), order)
    order[nearest] = 2.0  # last in its cluster
    by_cluster = np.lexsort((order, labels))
    sizes = np.bincount(labels, minlength=nearest.size)
    place = np.arange(labels.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.minimum(per_cluster, np.maximum(sizes - 1, 0))
    return by_cluster[place < np.repeat(wanted, sizes)]


def _fit_holder(gaps: Floats, powers: Floats, losses: Floats, evaluations: int) -> HolderFit:
    """Estimate lambda from |loss - center's loss| and distance ** z of the pilot."""
    apart = powers > 0
    gaps, powers = gaps[apart], powers[apart]
    if gaps.size == 0:  # every cluster is one point: distances are 0, and the constant is unused
        return HolderFit(1.0, 0, 1.0, float("nan"), evaluations)
    constant = float(np.quantile(gaps / powers, QUANTILE))
    # Losses that are equal over the pilot would give 0, the one value that is never safe.
    constant = max(constant, 1e-6 * max(float(np.abs(losses).mean()), 1e-6) / float(powers.mean()))
    varied = np.ptp(gaps) > 0 and np.ptp(powers) > 0
    correlation = float(np.corrcoef(gaps, powers)[0, 1]) if varied else float("nan")
    covered = float((gaps <= constant * powers).mean())
    return HolderFit(constant, gaps.size, covered, correlation, evaluations)
