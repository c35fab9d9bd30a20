"""The first line in a script of the user's own: the sampler of a run, and its seed and length."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from ... import _check
from ..._check._keywords import told
from ...errors import StateError
from ...samplers import EpochSampler, ShuffleSampler
from ._session import alone, session


@told
def sampler(
    dataset: int | Sized,
    *,
    labels: Any = None,
    embeddings: Any = None,
    seed: int = 0,
    num_replicas: int | None = None,
    rank: int | None = None,
) -> EpochSampler:
    """Return the sampler of a run of `sampling bench --command`; plain shuffling outside of it.

    With `report` it is all that a training script needs to be benchmarked. Pass the sampler to the
    training loader instead of `shuffle=True`, and make another loader for evaluation: each
    pass over the sampler is an epoch.

    Parameters
    ----------
    dataset : int or sized
        Number of training samples N, or the dataset.
    labels : array-like of shape (N,) or callable, optional
        Class of each sample, of any kind that samplers accept, or a function without arguments that
        returns them. Without it, methods that need classes do not run.
    embeddings : array-like of shape (N, D) or callable, optional
        Row of each sample, or a function that returns the rows, called only if the method needs
        them. Without it, methods that need embeddings do not run.
    seed : int in [0, 2**64), default 0
        Seed of the order outside of `sampling bench`.
    num_replicas, rank : int, default from `torch.distributed` if initialised, else 1 and 0
        As for every sampler: 1 and 0 where the framework shards the batches itself.

    Returns
    -------
    EpochSampler
        With `auto_epoch`, so that each pass is an epoch even if the script never calls `set_epoch`;
        on several ranks without it: the script or its framework must call `set_epoch`.

    Raises
    ------
    ValueError, TypeError
        If there is not one label and row for each sample, or a label is missing.
    StateError
        If it is called a second time in a run.

    Examples
    --------
    >>> from sampling import bench
    >>> bench.sampler(10).epoch
    0
    """
    size = _check.size("dataset", dataset)
    for name, values in (("labels", labels), ("embeddings", embeddings)):
        if hasattr(values, "__len__"):
            _check.same_length(name, values, "dataset", size)
    run = session()
    if run is None:
        return ShuffleSampler(
            dataset, seed=seed, auto_epoch=alone(), num_replicas=num_replicas, rank=rank
        )
    from ._build import Given, sampler_of

    if run.watch is not None:
        raise StateError("sampling.bench.sampler must be called once in a run, got a second call")
    run.given = {"has_labels": labels is not None, "has_embeddings": embeddings is not None}
    ranks = {"num_replicas": num_replicas, "rank": rank}
    given = {name: value for name, value in ranks.items() if value is not None}
    return sampler_of(run, dataset, Given(size, labels, embeddings), given)


@told
def seed(default: int = 0) -> int:
    """Return the seed of a run of `sampling bench --command`; the default outside of it.

    Runs of the same seed are compared with each other, so initial weights and everything else that
    is random in the script should follow from it, as in `torch.manual_seed(bench.seed())`.

    Parameters
    ----------
    default : int in [0, 2**64), default 0
        The seed of the script itself.
    """
    default = _check.seed(default)
    run = session()
    if run is None:
        return default
    run.asked_seed = True
    return run.seed


@told
def num_epochs(default: int) -> int:
    """Return the number of epochs that a run is to train; the default outside of `sampling bench`.

    The script's schedule must follow from it, or from `sampler.progress`: then methods that train
    for fewer or more epochs can run, with the schedule compressed.

    Parameters
    ----------
    default : int >= 1
        The number of epochs of the script itself, and of a run on all the data.
    """
    default = _check.integer("default", default, 1)
    run = session()
    if run is None:
        return default
    from ._build import epochs_of

    run.asked_epochs = epochs_of(run, default)
    return run.asked_epochs
