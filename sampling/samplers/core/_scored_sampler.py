"""The base of samplers that plan an epoch from recorded losses: their scores, kept and saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sized
from inspect import isabstract
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Unpack

from ... import _check
from ..._check._keywords import told
from ..._identity import is_ours
from ..._warning import warn
from ...errors import StateError
from ...scores import ScoreTable
from ...types import Scores
from ._arrays import Arrays, check_array
from ._batch import Batch
from ._epoch_sampler import EpochSampler
from ._options import EpochOptions
from ._tables import DrawTable


@told
class RecordedScores:
    """What was recorded of each sample before an epoch, read-only; made by `ScoredSampler`.

    Parameters
    ----------
    tables : mapping of str to ScoreTable
        "scores", and "last" if the average is another.

    Attributes
    ----------
    last : float32 array of shape (N,)
        Last loss, or other signal; NaN = never seen. The average, if `score_ema` is 1 or the class
        keeps the average alone.
    average : float32 array of shape (N,)
        Moving average, with the weight `score_ema` of the newest; NaN = never seen.
    seen : bool array of shape (N,)
        Whether a sample has a score.

    Examples
    --------
    >>> table = ScoreTable(3)
    >>> table.update([2], np.array([0.5]))
    >>> RecordedScores({"scores": table}).seen
    array([False, False,  True])
    """

    def __init__(self, tables: Mapping[str, ScoreTable]) -> None:
        self._tables = tables

    @property
    def last(self) -> Scores:
        """See the class."""
        return self._tables.get("last", self._tables["scores"]).values

    @property
    def average(self) -> Scores:
        """See the class."""
        return self._tables["scores"].values

    @property
    def seen(self) -> NDArray[np.bool_]:
        """See the class."""
        return ~np.isnan(self._tables["scores"].values)


@told
class ScoredSampler(EpochSampler):
    """Base class of samplers that plan each epoch from the losses recorded before it.

    A subclass defines `scored_table(epoch, scores)`. The scores of all ranks are synchronized in
    `set_epoch`, which then plans the epoch; scores and plan are saved by `save_state`. In its
    constructor a subclass sets its own fields and calls this one last: epoch 0 is planned there,
    without scores.

    Parameters
    ----------
    data_source : int or sized
        Number of samples N, or a sized object, such as the dataset.
    num_samples : int, default N
        The usual number of draws in one epoch, summed over all ranks; that of a planned epoch is
        the size of its table.
    score_ema : float in (0, 1], default 1
        Weight of the new loss in the moving average of a score; 1 keeps the last loss.
    **options
        The options of every sampler: see `EpochSampler`.

    Attributes
    ----------
    scores : float32 array of shape (N,)
        Moving average of the losses of each sample; NaN = never seen.

    Notes
    -----
    Order
        A pure function of (arguments, seed, epoch, scores at `set_epoch`), equal on each rank.
    Cost
        4 N bytes of scores, 4 N more if `score_ema` is below 1, and the table.
    Gradients
        Those of the table: its expected draws determine the weights of objective="original".

    Examples
    --------
    Draw the half of the samples with the highest losses, as a list in random order:

    >>> from sampling.samplers.tables import ListTable, ShuffledTable
    >>> from sampling.samplers import random_key
    >>> class HarderHalf(ScoredSampler):
    ...     def scored_table(self, epoch, scores):
    ...         if not scores.seen.all():
    ...             return ShuffledTable(self.size, self.size, random_key(self.seed, epoch, "all"))
    ...         return ListTable(np.argsort(scores.last)[self.size // 2 :], self.size)
    >>> sampler = HarderHalf(4, seed=0)
    >>> sampler.record(range(4), np.array([0.5, 3.0, 0.1, 2.0]))
    >>> sampler.set_epoch(1)
    >>> sorted(sampler)
    [1, 3]
    """

    covers_dataset = True
    dynamic = True
    keeps_last = True  # False if a method uses the average alone

    def __init__(
        self,
        data_source: int | Sized,
        num_samples: int | None = None,
        *,
        score_ema: float = 1.0,
        **options: Unpack[EpochOptions],
    ) -> None:
        size = self._size_of("data_source", data_source)
        draws = size if num_samples is None else _check.integer("num_samples", num_samples, 1)
        self.score_ema = _check.number("score_ema", score_ema, "(0, 1]")
        super().__init__(size, draws, **options)
        self._plan(0)

    # ------------------------------------------------------------------ what a method provides

    @abstractmethod
    def scored_table(self, epoch: int, scores: RecordedScores) -> DrawTable:
        """Return the draw table of an epoch, from what was recorded before it.

        Parameters
        ----------
        epoch : int
        scores : RecordedScores
            `last`, `average` and `seen` of all samples: arrays (N,), equal on every rank.

        Returns
        -------
        DrawTable
            One that can be saved: any of `sampling.samplers.tables`, or one that defines `saved`
            and `restored`.
        """

    def score_of(self, batch: Batch) -> torch.Tensor:
        """Return the score to record of each sample of a batch: (B,); by default its loss.

        Parameters
        ----------
        batch : Batch
            `losses` (B,) with their graph, and `logits` and `labels` as given, or None. They must
            not be changed in place.
        """
        return batch.losses

    # ------------------------------------------------------------------ scores

    def _loss_tables(self) -> Mapping[str, ScoreTable]:
        tables = {
            "scores": ScoreTable(self.size, ema=self.score_ema, process_group=self.process_group)
        }
        if self.keeps_last and self.score_ema < 1.0:
            tables["last"] = ScoreTable(self.size, process_group=self.process_group)
        return tables

    @property
    def _score_tables(self) -> dict[str, ScoreTable]:
        tables: Any = self._recorder.tables
        found: dict[str, ScoreTable] = tables
        return found

    @property
    def scores(self) -> Scores:
        """The last score of each sample, or its average: float32 (N,), read-only; NaN = unseen."""
        return self._score_tables["scores"].values

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """See `EpochSampler`: `score_of` a batch, in each table."""
        value = self.score_of(batch)
        return dict.fromkeys(self._score_tables, value)

    @property
    def num_nonfinite(self) -> int:
        """Number of losses recorded so far that were NaN or infinite. Synchronizes a device."""
        found = super().num_nonfinite
        for table in list(self._score_tables.values())[:1]:
            table.flush()
            found += table.num_nonfinite
        return found

    def _exchange(self, call: str) -> None:
        super()._exchange(call)
        trained = self._position.begun and self._plan(self.epoch).finished
        if self.dynamic and trained and not self._recorder.written:
            warn(
                f"no loss was recorded in epoch {self.epoch}, so {type(self).__name__} plans the "
                "next one as if nothing had been trained: call sampler.reduce(losses, indices), or "
                "sampler.record(indices, losses), for each batch"
            )

    def _num_recorded(self) -> int:
        tables = self._score_tables
        return tables["scores"].num_unmerged if tables else -1

    def table(self, epoch: int) -> DrawTable:
        """See `EpochSampler`."""
        return self.scored_table(epoch, RecordedScores(self._score_tables))

    # ------------------------------------------------------------------ saved state

    def _saved(self) -> Arrays:
        """Return the learned state of a run: the tables of scores."""
        return {name: table.values for name, table in self._score_tables.items()}

    def _arrays(self) -> Arrays:
        if not self.dynamic:
            return {}
        table = self._plan(self.epoch).table
        return self._saved() | {f"table.{name}": each for name, each in table.saved().items()}

    def _notes(self) -> dict[str, Any]:
        if not self.dynamic:
            return {}
        lost = {name: table.num_nonfinite for name, table in self._score_tables.items()}
        return {"table": _name_of(type(self._plan(self.epoch).table)), "num_nonfinite": lost}

    def _table_from(
        self, epoch: int, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
    ) -> DrawTable:
        for name, ours in self._saved().items():
            check_array(arrays, name, ours.dtype.type, self.size)
        base: Any = DrawTable  # abstract
        kinds = {_name_of(each): each for each in _kinds_of(base) if not isabstract(each)}
        kind = notes.get("table")
        if kind not in kinds:
            raise StateError(f"the full state must name a draw table, got {kind!r}")
        lost = notes.get("num_nonfinite")
        if not isinstance(lost, Mapping) or not set(self._score_tables) <= set(lost):
            raise StateError(
                f"the full state must have num_nonfinite of {sorted(self._score_tables)}, got "
                f"{lost!r}"
            )
        own = {name[6:]: each for name, each in arrays.items() if name.startswith("table.")}
        return kinds[kind].restored(own, self.size)

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        for name, table in self._score_tables.items():
            table.restore(arrays[name], int(notes["num_nonfinite"][name]))


def _name_of(kind: type[DrawTable]) -> str:
    """Return what a state calls a class of tables; of somebody else's, with its module."""
    return kind.__name__ if is_ours(kind) else f"{kind.__module__}:{kind.__qualname__}"


def _kinds_of(kind: type[DrawTable]) -> Iterator[type[DrawTable]]:
    """Yield a class of tables and all that are derived from it."""
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds_of(each)
