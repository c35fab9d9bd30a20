"""Compile and cache every kernel in advance, for `sampling warm`.

The public functions are called with small inputs, so that each kernel is compiled for the types
they pass to it: both float widths, and read-only arrays, such as memory maps.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import batch_selection, samplers, scores, weighting
from ._numba import kernels, use
from ._numba._compiled import announce
from .clustering import hard_negatives, kmeans, neighbours
from .kernels import _scores
from .record import Selection
from .samplers import EpochBatchSampler, EpochSampler
from .samplers.core._cumulative import Cumulative
from .samplers.tables import KeptTable
from .selection import METHODS, dsir_scores, inclusion_probabilities, spatial_order
from .selection.by_coverage._herding import coarse
from .testing._every_sampler import SAMPLERS
from .types import Progress

_ROWS = 211
_BUDGET = 40
_LARGE = 70_001  # above 2**16 an order is computed on demand, not stored


@dataclass(frozen=True)
class Warmed:
    """Result of `warm`: the kernels that were compiled or loaded.

    Attributes
    ----------
    folders : tuple of str
        Folders that compiled kernels are read from and written to; empty if there is no cache.
    kernels : int
        Kernels of the package.
    compiled : int
        Number of variants, kernels for given types, that were compiled now.
    loaded : int
        Number of variants that were in the cache.
    kept : bool
        Whether the compiled variants were saved.
    """

    folders: tuple[str, ...]
    kernels: int
    compiled: int
    loaded: int
    kept: bool


def warm(progress: Progress | None = None) -> Warmed:
    """Compile all kernels that are not in the cache, for the types that they are called with.

    Parameters
    ----------
    progress : callable, optional
        Called with (step, total, "steps").

    Returns
    -------
    Warmed

    Notes
    -----
    Cost
        One to two minutes without a cache, seconds with one. The cache is specific to the processor
        type, numba release and Python version: run it on the machine type that will use the
        kernels.
    """
    use()  # not the twins that other processes begin with
    announce(None)
    steps = list(_steps())
    for step in steps:
        step()
        if progress is not None:
            progress(1, len(steps), "steps")
    known = kernels()
    misses = [sum(each.stats.cache_misses.values()) for each in known]
    hits = [sum(each.stats.cache_hits.values()) for each in known]
    folders = {str(each._cache.cache_path) for each in known if each._cache.cache_path}
    kept = all(each._cache.kept for each in known)
    return Warmed(tuple(sorted(folders)), len(known), sum(misses), sum(hits), kept)


def _steps() -> Iterator[Callable[[], None]]:
    """Yield functions that together call all kernels."""
    for make in SAMPLERS.values():
        yield lambda make=make: _epochs(make)  # type: ignore[misc]
    for make in _others():
        yield lambda make=make: _epochs(make)  # type: ignore[misc]
    yield _score
    yield _weigh
    for kind in (np.float32, np.float64):
        for writable in (True, False):
            yield lambda kind=kind, writable=writable: _cluster(kind, writable)  # type: ignore[misc]
            for name in METHODS:
                yield lambda name=name, kind=kind, writable=writable: _select(name, kind, writable)  # type: ignore[misc]
    yield _cluster_many
    yield _dedup_many
    yield _herd_on_disk
    yield _draw_many
    yield _merge
    yield _compare_texts
    yield _write


# ---------------------------------------------------------------------- training


def _others() -> Iterator[Callable[..., EpochSampler | EpochBatchSampler]]:
    """Yield samplers that use other code paths than the small samplers of the contract matrix."""
    labels = np.arange(_LARGE) % 7
    yield lambda **o: samplers.ShuffleSampler(_LARGE, **o)
    yield lambda **o: samplers.WeightedSampler(1.0 + labels, **o)
    yield lambda **o: samplers.WeightedSampler((1.0 + labels).astype(np.float32), **o)
    yield lambda **o: samplers.ClassBalancedSampler(labels, **o)
    yield lambda **o: samplers.MixtureSampler([60_000, 10_001], **o)
    yield lambda **o: samplers.InfoBatchSampler(_LARGE, 9, **o)
    yield lambda **o: samplers.ImportanceSampler(_ROWS, independent=True, min_gain=1.01, **o)
    yield lambda **o: samplers.TokenBudgetBatchSampler(3 + labels % 17, 4000, padded=False, **o)


def _epochs(make: Callable[..., EpochSampler | EpochBatchSampler]) -> None:
    """Run two epochs as a training loop does, on one rank and on one of two, and resume."""
    for ranks in ({}, {"num_replicas": 2, "rank": 1}):
        sampler = make(**ranks)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            drawn: list[Any] = list(sampler)
            if isinstance(sampler, EpochBatchSampler):
                drawn = [index for batch in drawn for index in batch]
            indices = torch.tensor(drawn)
            losses = 0.1 + torch.arange(indices.numel()) % 17 / 10
            sampler.reduce(losses, indices)
            sampler.record(indices.numpy(), losses.double().numpy())
            sampler.weights_for(indices)
        again = make(**ranks)
        again.load_state_dict(sampler.state_dict(0)) if not sampler.dynamic else None


def _score() -> None:
    """Record training dynamics with every field, and count exposure."""
    for kind in (np.float32, np.float64):
        fields = ("el2n", "forgetting", "aum", "cartography", "dyn_unc", "dual", "ema_loss")
        dynamics = scores.TrainingDynamics(
            _ROWS, 3, fields=(*fields, "entropy", "margin", "tdds", "probabilities"), window=3
        )
        rows = np.arange(_ROWS)
        logits = np.sin(np.arange(_ROWS * 3.0)).reshape(-1, 3).astype(kind)
        for _ in range(3):
            dynamics.update(rows, logits, rows % 3)
            dynamics.update(
                torch.from_numpy(rows), torch.from_numpy(logits), torch.arange(_ROWS) % 3
            )
        scores.score_stored(["el2n", "entropy"], logits, rows % 3)
        _locked(logits)
        scores.score_stored(["el2n", "entropy"], logits, rows % 3)
    scores.threshold_samples(rows % 3, 3)
    counter = scores.ExposureCounter(_ROWS)
    counter.update(rows)
    table = scores.ScoreTable(_ROWS)
    table.update(rows, logits[:, 0])
    table.update(torch.from_numpy(rows), torch.arange(_ROWS) / 9)


def _weigh() -> None:
    losses = torch.arange(40) % 7 / 3.0
    weighting.cvar(losses, penalty="chi2")
    weighting.cvar(losses, penalty="kl")
    batch_selection.TopKLoss(keep=0.5).select(losses)


# ---------------------------------------------------------------------- selection


def _locked(array: np.ndarray[Any, Any]) -> None:
    """Make an array read-only, as a memory map of a file is."""
    array.setflags(write=False)


def _data(kind: type[np.floating[Any]], writable: bool) -> dict[str, Any]:
    """Return the arguments for all selectors."""
    random = np.sin(np.arange(1.0, 1.0 + 5 * _ROWS) ** 2).reshape(_ROWS, 5)
    labels = np.arange(_ROWS) ** 2 % 7
    arrays = {
        "embeddings": (random + labels[:, None] % 3 * 3).astype(kind),
        "scores": (random[:, 0] + 1.5).round(1).astype(kind),
        "quality": (random[:, 1] + 1.5).astype(kind),
        "rejected": (random[:, 2] + 1.5).astype(kind),
        "confidence": (random[:, 3] / 3 + 0.5).astype(kind),
        "probabilities": (random[:, 4] / 3 + 0.5).astype(kind),
        "perplexities": np.exp(random[:, 1] + 5).astype(kind),
        "labels": labels,
    }
    arrays["texts"] = np.array([f"a text of number {i % 40}" for i in range(_ROWS)])
    arrays["chosen"] = arrays["scores"]
    arrays["gradients"] = arrays["embeddings"]
    arrays["pi"] = inclusion_probabilities(arrays["scores"], _BUDGET)
    if not writable:
        for each in arrays.values():
            _locked(each)
    return arrays


_SETTINGS: dict[str, dict[str, Any]] = {  # arguments that `_data` does not provide
    "cluster_sensitivity": {"clusters": 1, "center_losses": [1.0], "holder_constant": 0.2},
    "d4": {"clusters": 2, "dedup_clusters": 2},
    "dedup_text": {"exact": find_spec("rensa") is None},  # of an extra
    "glister": {"validation": np.negative},
    "kmq": {"clusters": 2},
    "match_histogram": {"target": [1.0, 1.5, 2.0]},
    "prototypes": {"clusters": 2},
    "samplemix": {"clusters": 2, "max_repeat": 1},
    "semdedup": {"clusters": 2},
    "sensitivity_lp": {"p": 3.0},
}
_VARIANTS: dict[str, list[dict[str, Any]]] = {
    "semdedup": [{"rule": "greedy"}, {"rule": "components"}],
    "facility_location": [
        {"optimizer": "stochastic"},
        {"num_neighbours": 5},
        {"metric": "euclidean"},
    ],
    "k_center": [{"metric": "cosine"}],
    "quota": [{"costs": 1 + np.arange(_ROWS) % 5}],
}
_GROUPED = {"top", "quota", "k_center", "pivotal"}


def _select(name: str, kind: type[np.floating[Any]], writable: bool) -> None:
    """Run a selector, also with string ids and groups."""
    data, function = _data(kind, writable), METHODS[name].function
    taken = inspect.signature(function).parameters
    first = next(iter(taken))
    wanted = {key for key, each in taken.items() if each.default is inspect.Parameter.empty}
    given = {key: data[key] for key in (wanted | {"labels", "quality"}) & set(taken) & set(data)}
    given.pop(first, None)
    given |= _SETTINGS.get(name, {})
    more: list[dict[str, Any]] = [{}, *_VARIANTS.get(name, [])]
    if writable:
        more.append({"ids": np.array([f"row {i}" for i in range(_ROWS)])})
    if name in _GROUPED:
        more.append({"groups": data["labels"], "group_budgets": "proportional"})
    for options in more:
        function(data[first], _BUDGET, **given, **options)


def _cluster(kind: type[np.floating[Any]], writable: bool) -> None:
    """Cluster rows in both metrics, along all code paths, and find their neighbours."""
    data = _data(kind, writable)
    for spherical in (False, True):
        kmeans(data["embeddings"], 20, spherical=spherical)
    kmeans(data["embeddings"], 6, groups=data["labels"] % 2)
    neighbours(data["embeddings"], 5)
    neighbours(data["embeddings"], 5, metric="cosine")
    hard_negatives(data["embeddings"], data["labels"], 5)
    spatial_order(data["embeddings"])


def _cluster_many() -> None:
    """Cluster into so many clusters that k-means keeps lists of near centers."""
    rows = np.sin(np.arange(1100 * 50.0) ** 2).reshape(1100, 50).astype(np.float32)
    kmeans(rows, 1000, n_iter=6)


def _dedup_many() -> None:
    """Compare so many rows of so few directions that bounds of their cosines pay."""
    rows = np.sin(np.arange(40 * 96.0) ** 2).reshape(40, 96)[np.arange(6000) % 40]
    METHODS["semdedup"].function(rows.astype(np.float32), clusters=1, threshold=0.9)


def _herd_on_disk() -> None:
    """Search rows as herding does if no copy of them fits `max_memory`, of 64 MiB at least."""
    rows = np.sin(np.arange(_ROWS * 5.0) ** 2).reshape(_ROWS, 5).astype(np.float32)
    with coarse(rows, _ROWS, held=True) as near:
        near.best(rows.sum(axis=0, dtype=np.float64))


# ---------------------------------------------------------------------- large tables, many ranks


def _draw_many() -> None:
    """Draw as from more samples than are made here: from packed sums, and without a list."""
    slots = np.arange(40)
    cumulative = Cumulative.packed(1.0 + np.arange(_ROWS))
    cumulative.stratified(np.uint64(7), 40, slots)
    cumulative.share(cumulative.independent(np.uint64(7), slots))
    codes = KeptTable.blank(_ROWS)
    KeptTable.codes_of(codes, _ROWS)[::2] = 1
    KeptTable(codes, _ROWS, np.array([0.0, 1.0]), listed=False).take(slots)


def _compare_texts() -> None:
    dsir_scores(["a text", "another"], ["a target"], min_tokens=0)


def _merge() -> None:
    """Average scores over ranks as `merge_means` does, which needs a process group."""
    sums, counts, scores = np.zeros(9), np.zeros(9, np.int32), np.zeros(9, np.float32)
    _scores.add_written(sums, counts, np.arange(3, dtype=np.int32), scores[:3])
    _scores.store_means(scores, sums, counts)


# ---------------------------------------------------------------------- files


def _write() -> None:
    """Save and load a subset and a sampler's state."""
    with tempfile.TemporaryDirectory() as folder:
        picked = METHODS["top"].function(np.arange(9.0), 3)
        picked.save(Path(folder, "subset.parquet"))
        samplers.SubsetSampler(Selection.load(Path(folder, "subset.parquet")))
        sampler = samplers.InfoBatchSampler(_ROWS, 3)
        sampler.record(np.arange(_ROWS), np.arange(_ROWS) / 7)
        samplers.save_state(sampler, Path(folder, "state.safetensors"))
        samplers.load_state(sampler, Path(folder, "state.safetensors"))
