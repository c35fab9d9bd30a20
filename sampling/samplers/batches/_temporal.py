"""Events in the order of time, batches without conflicts. Events in random order: a shuffle."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import told
from ...kernels import _blocks
from ...types import Indices, Packed
from ..core._groups import Groups, deal_windows
from ..core._options import EpochOptions
from ..core._tables import DrawTable, ListTable
from ._epoch_batches import BlockBatchSampler, BlockSampler


@told
class TemporalBatchSampler(BlockBatchSampler):
    """Batch events so that no batch has two of one entity, and each entity's come in order.

    For models that keep a state of each entity and update it event by event: users and items,
    nodes of a temporal graph, patients. All events of a batch can be computed at once, because none
    needs the state that another one of the batch leaves (t-batches). For events without such a
    state, `ShuffleSampler` is better.

    Parameters
    ----------
    sources : int or str array-like of shape (N,)
        An entity of each event, such as its user. -1, None or NaN: none, which constrains nothing.
    targets : int or str array-like of shape (N,), optional
        Another entity of each event, such as its item.
    times : int, float, datetime64 or timedelta64 array-like of shape (N,), optional
        Events are taken in ascending order, ties in the order of rows; by default the order of
        rows. Times of pandas with a zone are compared in UTC.
    max_events : int, optional
        Most events in a batch. A larger batch is cut into equal shares.
    shared : bool, default False
        Whether sources and targets are ids of the same entities, as the nodes of a graph are; else
        a source and a target of one id are different.
    **options
        The options of every sampler: see `EpochSampler`. No batch is short, so `drop_last` only
        lets accelerate exclude a last round with fewer batches than processes.

    Attributes
    ----------
    num_layers : int
        Number of batches without `max_events`: the longest chain of events in which each shares an
        entity with the next.
    batch_size : None
        None because sizes vary.

    Raises
    ------
    ValueError
        If lengths differ; if a time is not finite, the message names the row; if no event has a
        source; if `shared` is given without targets, or the ids are of two kinds.

    Notes
    -----
    Order
        An event is in the first batch after those of all earlier events of its entities. The
        batches have the same order in every epoch; within a batch, and among the batches that
        `max_events` cuts out of one, the order is random. Events of different entities may be drawn
        in another order than that of time. With several ranks, a step covers as many successive
        batches as there are ranks, which may share entities: use one rank, or synchronize states.
    Cost
        12 N bytes, and 4 M in an epoch; O(N log N) once and O(M) an epoch. An entity that is in
        every event makes N batches of one.
    Gradients
        Those of plain training on batches of different sizes: with `losses.mean()` an event of a
        small batch has more weight; `reduce(..., denominator=d)` with one d for all batches
        corrects that. All weights are 1.
    Source
        Kumar, Zhang, Leskovec, "Predicting Dynamic Embedding Trajectory in Temporal Interaction
        Networks", KDD 2019 (t-Batch).

    Examples
    --------
    >>> users = ["ann", "bob", "ann", "bob", "cy"]
    >>> items = [1, 1, 2, 2, 3]
    >>> [sorted(batch) for batch in TemporalBatchSampler(users, items)]
    [[0, 4], [1, 2], [3]]
    """

    def __init__(
        self,
        sources: ArrayLike,
        targets: ArrayLike | None = None,
        *,
        times: ArrayLike | None = None,
        max_events: int | None = None,
        shared: bool = False,
        **options: Unpack[EpochOptions],
    ) -> None:
        layers = _layers(sources, targets, times, _check.flag("shared", shared))
        events = EventLayers(layers, max_events, **options)
        self.num_layers = int(layers.max()) + 1
        super().__init__(events, None)


class EventLayers(BlockSampler):
    """The draws of `TemporalBatchSampler`, layer by layer."""

    covers_dataset = True

    def __init__(
        self, layers: Indices, max_events: int | None, **options: Unpack[EpochOptions]
    ) -> None:
        # layers : (N,), number of the batch of each event
        self._groups = Groups("layers", layers)
        sizes = self._groups.sizes
        most = int(sizes.max())
        if max_events is not None:
            most = _check.integer("max_events", max_events, 1, _check.MAX_SIZE + 1)
        counts = -(-sizes // most)
        numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = np.repeat(self._groups.starts[:-1], counts)
        begins += numbers * np.repeat(sizes, counts) // np.repeat(counts, counts)
        self._edges = np.append(begins, layers.size)
        self._most = None if max_events is None else most
        self.num_batches = int(counts.sum())
        super().__init__(layers.size, layers.size, **options)

    def table(self, epoch: int) -> DrawTable:
        groups = self._groups
        key = _rng.key(self.seed, epoch, "events of a layer")
        drawn: NDArray[np.integer] = np.empty(self.size, groups.members.dtype)
        begun = np.zeros_like(groups.sizes)
        deal_windows(groups.members, groups.starts, begun, groups.sizes, key, drawn)
        return ListTable(
            drawn,
            self.size,
            lambda rows: np.ones(rows.size),
            ordered=True,
            even=True,
            cuts=self._edges,
        )

    def identity(self) -> dict[str, object]:
        return {
            "layers from sources, targets and times": self._groups.codes,
            "max_events": self._most,
        }


def _layers(
    sources: ArrayLike, targets: ArrayLike | None, times: ArrayLike | None, shared: bool
) -> Indices:
    """Return the number of the batch of each event: int64 (N,)."""
    first = _labels.labelled("sources", sources)
    second = first
    if targets is not None:
        second = _labels.labelled("targets", targets)
        _check.same_length("targets", second.codes, "sources", len(first))
    elif shared:
        raise ValueError("shared must be False without targets, got True")
    one, other = first.codes, second.codes
    if shared:
        one, other = _joint(first, second)
    if not (one >= 0).any():
        raise ValueError(f"sources must name at least one entity, got -1 in all {one.size}")
    last = np.zeros(int(max(one.max(), other.max())) + 1, np.int64)
    other_last = last if shared else np.zeros_like(last)
    layers = np.empty(one.size, np.int64)
    if times is None:
        _blocks.layer_events(one, other, last, other_last, layers)
        return layers
    order = np.argsort(_times(times, one.size), kind="stable")
    sorted_layers = np.empty_like(layers)
    _blocks.layer_events(one[order], other[order], last, other_last, sorted_layers)
    layers[order] = sorted_layers
    return layers


def _joint(first: _labels.Labels, second: _labels.Labels) -> tuple[Indices, Indices]:
    """Return the codes of sources and targets that share their ids."""
    named = [np.asarray(each.names) for each in (first, second) if each.names.size]
    if len({names.dtype.kind in "iub" for names in named}) > 1:
        raise ValueError(
            f"targets must be ids of the kind of sources with shared=True, got {first.names[:1]} "
            f"and {second.names[:1]}"
        )
    names = np.unique(np.concatenate(named)) if named else first.names
    found = []
    for each in (first, second):
        numbers = np.append(np.searchsorted(names, each.names), -1)  # the last entry is for -1
        found.append(numbers[each.codes])
    return found[0], found[1]


def _times(times: ArrayLike, size: int) -> Packed:
    """Return times of any precision, as they are compared."""
    if getattr(getattr(times, "dtype", None), "tz", None) is not None:  # of pandas, with a zone
        times = np.asarray(times, "datetime64[ns]")  # in UTC
    array = _check.one_dimensional("times", times)
    _check.same_length("times", array, "sources", size)
    if array.dtype.kind in "mM":
        lost = np.flatnonzero(np.isnat(array))
        if lost.size:
            raise ValueError(
                f"times must be given for each event, got none in row {lost[0]} ({lost.size} such "
                "rows)"
            )
        return array
    if array.dtype.kind in "iu":  # float64 would round nanoseconds
        return array
    try:
        numbers = _check.as_numbers("times", array)
    except TypeError as error:
        raise TypeError(
            f"{str(error).removesuffix(': convert it to float')}: convert them, such as by "
            "pandas.to_datetime(times)"
        ) from None
    return _check.floats("times", numbers)
