"""The tables of `TrainingDynamics`: a few numbers per sample, and the exchange between ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..distributed import gather_rows
from ..kernels import _dynamics
from ..types import Floats, Indices

if TYPE_CHECKING:
    import torch.distributed as dist

FIELDS: dict[str, tuple[int, ...]] = {  # field -> rows of an observed batch that it reads; "tdds"
    # and "probabilities" read the probabilities of all classes, which follow them
    "el2n": (_dynamics.EL2N,),
    "forgetting": (_dynamics.MARGIN,),
    "aum": (_dynamics.MARGIN,),
    "cartography": (_dynamics.PROBABILITY, _dynamics.MARGIN),
    "dyn_unc": (_dynamics.PROBABILITY,),
    "dual": (_dynamics.PROBABILITY,),
    "ema_loss": (_dynamics.LOSS,),
    "entropy": (_dynamics.ENTROPY,),
    "margin": (_dynamics.PROBABILITY_MARGIN,),
    "tdds": (),
    "probabilities": (),
}
EVERY_CLASS = frozenset(("tdds", "probabilities"))
_FLOATS = {  # field -> its float64 columns
    "el2n": ("el2n",),
    "aum": ("aum",),
    "cartography": ("means", "squares"),
    "dyn_unc": ("stds",),
    "dual": ("duals",),
    "ema_loss": ("ema_loss",),
    "entropy": ("entropy",),
    "margin": ("margin",),
    "tdds": ("tdds",),
}
_COUNTS = {"forgetting": ("events", "streaks"), "cartography": ("correct",)}  # of int32
_LAST = {"entropy": _dynamics.ENTROPY, "margin": _dynamics.PROBABILITY_MARGIN}
_BLOCK = 2**20  # rows whose presentations are gathered in one exchange


def look(logits: NDArray[Any], labels: Indices, *, every_class: bool = False) -> tuple[Floats, int]:
    """Return the statistics of a batch of logits, and how many of its rows are not finite.

    logits : float32 or float64 (B, C), labels : int64 (B,) in [0, C) -> float64 (6, B), whose rows
    are named in `kernels._dynamics`, or (6 + C, B) with the probabilities of `every_class`; the
    margin of a row that is not finite is NaN
    """
    below: Floats = np.empty(logits.shape)
    more = logits.shape[1] if every_class else 0
    observed: Floats = np.empty((_dynamics.COLUMNS + more, labels.size))
    skipped = _dynamics.lower(logits, labels, below, observed[_dynamics.MARGIN])
    parts = np.exp(below)
    if every_class:
        observed[_dynamics.COLUMNS :] = (parts / parts.sum(1, keepdims=True)).T
    _dynamics.observe(below, parts, labels, observed[: _dynamics.COLUMNS])
    return observed, skipped


class Tables:
    """Running statistics of each sample, in arrays of N rows.

    The columns of a sample are adjacent in memory, in one table of floats and one of counts: in
    separate arrays each costs a cache miss, 105 us for a batch of 256 instead of 95 with four
    fields of 10^6 samples; with 50,000 samples it makes no difference.

    Parameters
    ----------
    size : int
        N.
    fields : tuple of str
        Keys of `FIELDS`; arguments are checked.
    window, max_streak : int
    ema, decay : float
    num_classes : int
    """

    def __init__(  # noqa: PLR0913  # the arguments of `TrainingDynamics`
        self,
        size: int,
        fields: tuple[str, ...],
        window: int,
        max_streak: int,
        ema: float,
        decay: float,
        num_classes: int,
    ) -> None:
        self.fields = frozenset(fields)
        self.columns = sorted({column for field in fields for column in FIELDS[field]})
        self.ema = ema
        self.decay = decay
        floats = [name for field in fields for name in _FLOATS.get(field, ())]
        counts = ["presentations", *(name for field in fields for name in _COUNTS.get(field, ()))]
        sums: Floats = np.zeros((size, len(floats)))
        self.arrays: dict[str, NDArray[Any]] = {n: sums[:, i] for i, n in enumerate(floats)}
        streaks = max_streak if "forgetting" in fields else 0
        table: NDArray[np.int32] = np.zeros((size, len(counts) + streaks), np.int32)
        self.arrays |= {name: table[:, i] for i, name in enumerate(counts)}
        if streaks:
            self.arrays["reached"] = table[:, len(counts) :]
        if "dyn_unc" in fields or "dual" in fields:
            self.arrays["ring"] = np.zeros((size, window), np.float32)
        if EVERY_CLASS & set(fields):
            self.columns += range(_dynamics.COLUMNS, _dynamics.COLUMNS + num_classes)
        if "probabilities" in fields:
            self.arrays["probabilities"] = np.zeros((size, num_classes), np.float32)
        if "tdds" in fields:
            self.arrays["past"] = np.zeros((size, num_classes), np.float32)
            self.arrays["moves"] = np.zeros((size, window - 1), np.float32)
        for name in {"ema_loss", *_LAST} & set(fields):
            self.arrays[name][:] = np.nan

    def record(self, rows: Indices, observed: Floats) -> None:
        """Update the histories of the rows of a batch.

        rows     : int64 (B,)
        observed : float64 (6, B)  as `look` wrote it, or (6 + C, B) for `EVERY_CLASS`; all finite;
                                   columns that no field reads may hold anything
        """
        arrays, fields = self.arrays, self.fields
        numbers = np.empty(rows.size, np.int64)
        _dynamics.number(rows, arrays["presentations"], numbers)
        margins, probabilities = observed[_dynamics.MARGIN], observed[_dynamics.PROBABILITY]
        if "el2n" in fields:
            _dynamics.add(rows, observed[_dynamics.EL2N], arrays["el2n"])
        if "aum" in fields:
            _dynamics.add(rows, margins, arrays["aum"])
        if "forgetting" in fields:
            events, streaks, reached = (arrays[each] for each in ("events", "streaks", "reached"))
            _dynamics.history(rows, numbers, margins, events, streaks, reached)
        if "cartography" in fields:
            means, squares, correct = (arrays[each] for each in ("means", "squares", "correct"))
            _dynamics.spread(rows, numbers, probabilities, margins, means, squares, correct)
        if "ring" in arrays:
            none: Floats = np.empty(0)
            stds, duals = arrays.get("stds", none), arrays.get("duals", none)
            _dynamics.slide(rows, numbers, probabilities, arrays["ring"], stds, duals)
        if EVERY_CLASS & fields:
            self._record_classes(rows, numbers, observed[_dynamics.COLUMNS :])
        if "ema_loss" in fields:
            _dynamics.average(rows, observed[_dynamics.LOSS], self.ema, arrays["ema_loss"])
        for field, column in _LAST.items():
            if field in fields:
                _dynamics.average(rows, observed[column], 1.0, arrays[field])

    def _record_classes(self, rows: Indices, numbers: Indices, probabilities: Floats) -> None:
        """Update what depends on the probabilities of all classes, (C, B)."""
        arrays = self.arrays
        every = np.ascontiguousarray(probabilities.T)
        if "probabilities" in self.fields:
            _dynamics.blend(rows, numbers, every, arrays["probabilities"])
        if "tdds" in self.fields:
            past, moves, averages = (arrays[each] for each in ("past", "moves", "tdds"))
            _dynamics.travel(rows, numbers, every, past, moves, self.decay, averages)


class Journal:
    """Presentations on this rank since the last merge, to be replayed into every rank's tables.

    Sums could be exchanged as differences, but events, streaks and windows depend on the order: so
    the presentations themselves are gathered, and every rank replays all of them in one order. The
    tables are then bit-identical on all ranks, and equal to those of one process that saw the same
    presentations.

    Parameters
    ----------
    columns : list of int
        Rows of an observed batch to keep.
    """

    def __init__(self, columns: list[int]) -> None:
        self._columns = columns
        self.clear()

    def __len__(self) -> int:
        return sum(rows.size for rows in self._rows)

    def append(self, rows: Indices, observed: Floats) -> None:
        """Append a copy of a batch."""
        self._rows.append(rows.copy())
        self._observed.append(observed[self._columns])

    def clear(self) -> None:
        """Discard all batches."""
        self._rows: list[Indices] = [np.empty(0, np.int64)]
        self._observed: list[Floats] = [np.empty((len(self._columns), 0))]

    def replay(
        self,
        record: Callable[[Indices, Floats], None],
        size: int,
        group: dist.ProcessGroup | None,
    ) -> None:
        """Call `record` with what all ranks observed, lower ranks first; collective.

        record : called with rows int64 (m,) and observed float64 (6, m), or more for "tdds"
        size   : int  N

        Memory: twice the journal, and one block of rows of all ranks at a time.
        """
        rows, observed = np.concatenate(self._rows), np.concatenate(self._observed, axis=1)
        self.clear()
        for start in range(0, size, _BLOCK):
            here = np.flatnonzero((rows >= start) & (rows < start + _BLOCK))
            every: Indices = np.concatenate(gather_rows(rows[here], group)).astype(np.int64)
            own = np.ascontiguousarray(observed[:, here].T).ravel()  # one exchange of all columns
            values = np.concatenate(gather_rows(own, group)).reshape(every.size, len(self._columns))
            width = max(_dynamics.COLUMNS, *(column + 1 for column in self._columns))
            block: Floats = np.full((width, every.size), np.nan)
            block[self._columns] = values.T
            record(every, block)
