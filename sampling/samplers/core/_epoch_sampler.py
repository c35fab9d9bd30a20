"""The base of every sampler: order, ranks, length, position, weights and `reduce`.

A sampler adds one method, `table(epoch)`: the number of draws of the epoch and the sample that
each of its slots holds. Everything else follows from

    position in the epoch --keyed permutation(seed, epoch)--> slot --draw table--> index

so any rank reads any range of any epoch directly. What a sampler consists of:

    _options   its options, checked              _position  where the run is
    _plans     the plan of an epoch, or of two   _recorder  what weighs and records losses
"""

from __future__ import annotations

import inspect
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check import _labels
from ..._check._keywords import refuse_rest, told
from ..._identity import Unknown, bound, fingerprint, identified, in_short, is_ours
from ..._warning import warn
from ...distributed import meet, world_size
from ...errors import StateError
from ...types import Indices, Scores
from ...weighting._reduction import Reduction
from ._arrangement import Arrangement
from ._arrays import Arrays
from ._batch import Batch
from ._cuts import batch_at
from ._indexed import Indexed
from ._options import CheckedOptions, EpochOptions
from ._passes import Doubt, Draws, EpochIterator, Pass
from ._plan import CHUNK, EpochPlan, rows_on_host
from ._position import Position
from ._recorder import LossTable, Recorder
from ._state import check_state, plan_missing
from ._tables import DrawTable, check_table

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from ...scores import ExposureCounter

_OF_THE_RUN = {"seed", "num_replicas", "rank", "drop_last", "pad", "process_group", "objective",
               "nonfinite", "exposure", "auto_epoch"}  # fmt: skip  # no part of the identity
_PLAIN = str | int | float | bool


@told
class EpochSampler(Sampler[int], ABC):
    """Base class of all samplers; a subclass adds the draw table of an epoch.

    A subclass defines `table(epoch)`, and in its constructor sets its own fields and calls this one
    last. If what it draws depends on the losses of the run, derive from `ScoredSampler` instead.
    Draw tables are in `sampling.samplers.tables`; `random_key(seed, epoch, name)` is the key of a
    table's random numbers, so that every epoch can be computed at once. Copy arrays that the caller
    may change. A deepcopy or pickle of a sampler begins its epoch, or the position of a resume.

    Parameters
    ----------
    size : int
        N: indices lie in [0, N).
    num_samples : int
        M: draws in one epoch, summed over all ranks.
    seed : int in [0, 2**64), default 0
        Same on every rank. (seed, epoch) is hashed, so neighbouring seeds or epochs are unrelated.
    num_replicas, rank : int, default from `torch.distributed` if initialised, else 1 and 0
        Rank r of W takes positions r, r + W, r + 2 W, ... of the one global order.
    drop_last : bool, default False
        Exclude the last draws, up to W - 1 of them, so that every rank has the same number.
    pad : bool, default True
        Without `drop_last`: repeat the first draws of the order until every rank has the same
        number. False leaves ranks uneven and the epoch exact; `reduce` then refuses any reduction
        that synchronizes the ranks in every batch, such as "weighted_mean", because some ranks may
        have finished.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that train together, whatever `num_replicas` is: they exchange scores in
        `set_epoch`, and `reduce` normalises over them. All ranks by default.
    objective : {"sampled", "original"}, default "sampled"
        "sampled": every draw has loss weight 1, so training minimises the mean over the draws.
        "original": the loss weight is 1 / (N p), where p is the sample's share of the expected
        draws, so training minimises the mean over the data. A sampler with another default states
        it.
    nonfinite : {"propagate", "drop"}, default "propagate"
        What `reduce` does with a NaN or infinite loss: "propagate" keeps it, as `losses.mean()`
        does; "drop" excludes the sample from the value and from the count of the mean. "drop"
        repairs the value of the loss, but not a gradient that multiplies 0 by infinity in the
        backward pass. Both count the loss, and neither stores it.
    exposure : ExposureCounter, optional
        Counts every sample that `reduce` and `record` receive.
    auto_epoch : bool, default False
        Advance to the next epoch when a finished one is iterated again, so that each pass is an
        epoch; for loaders that restart by themselves, such as Lightning's `CombinedLoader` in
        mode "max_size_cycle". `set_epoch` then only moves forward: an earlier epoch, from a trainer
        with its own count, means the next epoch here, or the current one if none of it was
        yielded. One process only.

    Attributes
    ----------
    epoch : int
        Set by `set_epoch`; initially 0.
    dynamic : bool
        True if an epoch depends on recorded losses, so that only the planned epoch is known.
    covers_dataset : bool
        True if the sampler is made from a dataset, or from one value for each sample of it: then
        `size` is its length, and the framework integrations refuse a dataset of another length.
        False here and where indices are given: `size` bounds them, and the dataset may hold more.
    selected_from : int or None
        Number of rows that a given `Selection` was made from, if it is known: then a dataset of
        another length is refused too.

    Notes
    -----
    Order
        A pure function of (arguments, seed, epoch) and, if dynamic, the scores at `set_epoch`.
        Nothing changes while an epoch runs.
    """

    dynamic = False
    covers_dataset = False
    _planned_from = "losses that were recorded"  # what a dynamic sampler plans from, for messages
    selected_from: int | None = None
    blocked = False  # True if the draws come in batches of the method's making

    _algorithm = 1  # incremented if the same arguments, seed, epoch and losses give other draws

    def _record_arguments(
        self, signature: inspect.Signature, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        """Record what identifies the arguments of a sampler of others, before it is constructed.

        Those of this package name their arguments in `identity`.
        """
        if not is_ours(type(self)):
            self.__dict__["_bound"] = bound(signature, args, kwargs)

    def __init__(self, size: int, num_samples: int, **options: Unpack[EpochOptions]) -> None:
        # A subclass sets its own fields first and calls this last. torch's `Sampler` has no
        # `__init__` to call (2.13) or one that warns (2.4).
        self.size = _check.integer("size", size, 1, _check.MAX_SIZE + 1)
        self.num_samples = _check.integer("num_samples", num_samples, 0, _check.MAX_SIZE + 1)
        refuse_rest(type(self), options, EpochOptions)
        self._options = CheckedOptions(**options)
        self._recorder = Recorder(self._options, self._loss_tables())
        self._position = Position()
        self._plans: dict[int, EpochPlan] = {}
        self._pending = False  # something was given that takes effect at the next `set_epoch`
        self._warned = False  # of a pass that repeats another
        self._in_batches = False  # a batch sampler assigns whole batches of it to the ranks
        self._unequal_batches = ""  # what else leaves ranks with unequal numbers, and the remedy
        self._met = False  # ranks compare what they hold in their first `set_epoch`
        self._outer = ""  # the batch sampler of which this one is a part
        self._arrangement: Arrangement | None = None  # what a batch sampler makes of the draws
        self._fingerprint = ""
        self._arguments: dict[str, str] = {}  # what the fingerprint is of, in short form
        if self.objective == "original":
            self._refuse_weights(0)

    # ------------------------------------------------------------------ what a method provides

    @abstractmethod
    def table(self, epoch: int) -> DrawTable:
        """Return the draw table of an epoch: the only method that a subclass must define.

        Parameters
        ----------
        epoch : int

        Returns
        -------
        DrawTable
            A function of the arguments, the seed and the epoch alone, computed at once: not from
            the epochs before. Its size is `draws(epoch)`.
        """

    def draws(self, epoch: int) -> int:
        """Return M of an epoch; define it if a static sampler's epochs differ from `num_samples`.

        Parameters
        ----------
        epoch : int
        """
        return self._plan(epoch).table.size if self.dynamic else self.num_samples

    def identity(self) -> Mapping[str, object]:
        """Return what determines the draws, apart from class, N and seed, by argument.

        The arguments of the constructor are identified without it, as they are when it is called:
        arrays, tensors, columns and lists by a digest, numbers and strings as they are, a dataset
        by its length. Define it for any other, such as a function, or the first save or resume
        raises; and for data that are no argument, such as a file that the constructor reads.

        Returns
        -------
        mapping of str to array or JSON value
            "shares from weights" is computed from arguments, and named in an error if no argument
            itself has changed.
        """
        return {}

    def why_biased(self, epoch: int) -> str:
        """Return why an epoch has no importance weights; empty, the default, if it has them.

        Parameters
        ----------
        epoch : int
        """
        return ""

    def signals(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        """Return what to record of a batch, by the name of its table; nothing if static.

        Parameters
        ----------
        batch : Batch
            `losses` (B,) with their graph, and `logits` and `labels` as given, or None.
        """
        return {}

    def _loss_tables(self) -> Mapping[str, LossTable]:
        """Return the tables that `signals` writes to; called by the constructor of the base."""
        return {}

    def _before_plan(self, epoch: int) -> None:
        """Apply, before another epoch is planned, what was given since the last one."""

    def _arrays(self) -> Arrays:
        """Return the arrays of the current plan and the next one; empty for static samplers."""
        return {}

    def _notes(self) -> dict[str, Any]:
        """Return the other values to save, as JSON values."""
        return {}

    def _table_from(
        self, epoch: int, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]
    ) -> DrawTable:
        """Return the draw table of a planned epoch from what was saved; change nothing."""
        raise TypeError(f"{type(self).__name__} is dynamic and must define _table_from")

    def _adopt(self, arrays: Mapping[str, NDArray[Any]], notes: Mapping[str, Any]) -> None:
        """Set arrays and notes that were checked; never fails."""

    # ------------------------------------------------------------------ order

    @property
    def epoch(self) -> int:
        """The epoch that the next `iter` yields; set by `set_epoch`."""
        return self._position.epoch

    @told
    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next `iter` yields; call it before each pass, on every rank.

        A dynamic sampler gathers the scores of all ranks and plans the epoch here, and only here.
        Setting the epoch that is already planned keeps its plan and its position.

        Parameters
        ----------
        epoch : int in [0, 2**64)

        Raises
        ------
        ValueError
            If the length of the dataset that the sampler was made from has changed.
        """
        epoch = _check.epoch(epoch)
        self._refuse_changed(f"set_epoch({epoch})")
        if not self._met:
            self._meet(f"set_epoch({epoch})")
        here = self._position
        if self._options.auto_epoch and epoch < here.epoch:
            epoch = here.epoch + 1 if here.begun else here.epoch
        if epoch == here.epoch and epoch in self._plans:
            here.repeat(self._plans[epoch], dynamic=self.dynamic)
            return
        if epoch == here.epoch and not (self.dynamic or self._pending):
            return
        self._report_bad_indices()
        if self.dynamic or self._pending or self.exposure is not None:
            self._exchange(f"set_epoch({epoch})")
        self._before_plan(epoch)
        before = self._plans.get(here.epoch) if self.dynamic else None
        self._plans = {epoch: self._make_plan(epoch)} if self.dynamic else {}
        here.begin(epoch, before)

    def _size_of(self, name: str, source: int | Sized) -> int:
        """Return N of a dataset, and remember the dataset: `set_epoch` names a change of it."""
        size = _check.size(name, source)
        if isinstance(source, Sized):
            known = self.__dict__.setdefault("_sources_of_n", [])  # fields of the base come last
            known.append((name, _reference(source), size))
        return size

    def _refuse_changed(self, call: str) -> None:
        for name, reference, size in self.__dict__.get("_sources_of_n", ()):
            source = reference()
            if source is not None and len(source) != size:
                made = self._outer or type(self).__name__
                raise ValueError(
                    f"{name} must keep the {size} samples that the {made} was made for, got "
                    f"{len(source)} at {call}: make a sampler for the data as they are"
                )

    def _meet(self, call: str, **facts: int) -> dict[str, Any]:
        """Synchronize all ranks at a call of this sampler, and compare their arguments."""
        group = self.process_group
        if world_size(group) > 1:
            own = fingerprint(type(self).__name__, self.seed, self._identified())
            facts["fingerprint"] = int(own, 16)
        found = meet(f"{type(self).__name__}.{call}", facts, group)
        self._met = True
        return found

    def _exchange(self, call: str) -> None:
        """Gather what the ranks recorded; called where every rank must call it."""
        if world_size(self.process_group) > 1:
            plan = int(self._plan(self.epoch).digest(), 16) if self.dynamic else 0
            recorded = self._num_recorded() if len(self) > 0 else -1
            found = self._meet(call, plan=plan, own_recorded=recorded)["own_recorded"]
            if (found > 0).any() and (found == 0).any():
                raise RuntimeError(
                    f"every rank must record losses in epoch {self.epoch}, got none on rank "
                    f"{int(np.flatnonzero(found == 0)[0])} and {int(found.max())} on another: call "
                    "reduce or record there too"
                )
        elif self.dynamic and self._lacks_ranks():
            warn(
                f"{type(self).__name__} has only the losses of rank {self.rank} of "
                f"{self.num_replicas}, as torch.distributed is not initialised: each rank plans "
                "other epochs, so that samples are lost and repeated; call init_process_group",
            )
        self._recorder.merge()

    def _lacks_ranks(self) -> bool:
        """Return whether an epoch ran on several ranks, of which only this one is known."""
        alone = self.num_replicas > 1 and self.process_group is None
        return alone and self._position.begun

    def _num_recorded(self) -> int:
        """Return how many samples this rank recorded since the last exchange; -1 if it need not."""
        return -1

    def _plan(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch; a static sampler keeps the current one and one more."""
        if epoch in self._plans:
            return self._plans[epoch]
        if self.dynamic and epoch != self.epoch:
            raise ValueError(
                f"epoch must be {self.epoch}, the one that is planned, got {epoch}: "
                f"the epochs of {type(self).__name__} depend on the {self._planned_from} before"
            )
        plan = self._make_plan(epoch)
        current = self._plans.get(self.epoch)
        self._plans = {epoch: plan} if current is None else {self.epoch: current, epoch: plan}
        return plan

    def _make_plan(self, epoch: int) -> EpochPlan:
        table = self.table(epoch)
        if not is_ours(type(self)):
            check_table(table, self.size, f"table(epoch) of {type(self).__name__}")
            if not (self.dynamic or is_ours(self.draws)):
                self._check_draws(epoch, table.size, self.draws(epoch))
        if not self.dynamic and type(self).draws is EpochSampler.draws:
            self._check_draws(epoch, table.size, self.num_samples)
        return self._as_plan(epoch, table)

    def _check_draws(self, epoch: int, found: int, expected: int) -> None:
        if found != expected:
            raise ValueError(
                f"table(epoch) must have draws(epoch) slots, {expected}, got {found} in epoch "
                f"{epoch} of {type(self).__name__}: define draws(epoch) if epochs differ from "
                "num_samples"
            )

    def _as_plan(self, epoch: int, table: DrawTable) -> EpochPlan:
        key = _rng.key(self.seed, epoch, "order")
        return EpochPlan(epoch, table, key, self.size, self._arrangement, self.seed)

    def _refuse_blocked(self) -> None:
        """Raise if the draws come in batches already."""
        if self.blocked:
            made = f"of a {self._outer}" if self._outer else "that makes batches"
            raise ValueError(
                f"sampler must draw single samples, got a {type(self).__name__} {made}: make "
                "another sampler"
            )

    def _arrange(self, arrangement: Arrangement, outer: str) -> None:
        """Let a batch sampler make batches of the draws, in another order, from now on.

        outer : name of its class
        """
        self._refuse_blocked()
        if self._position.begun or self._position.start:
            raise ValueError(
                f"sampler must be at the beginning of an epoch, got a {type(self).__name__} in "
                f"epoch {self.epoch} of which draws were yielded: make the {outer} first, and load "
                "the state into it"
            )
        plans = self._plans.values() if self.dynamic else ()
        arranged = {
            plan.epoch: EpochPlan(
                plan.epoch,
                plan.table,
                _rng.key(self.seed, plan.epoch, "order"),
                self.size,
                arrangement,
                self.seed,
            )
            for plan in plans
        }
        self._plans, self._arrangement = arranged, arrangement
        self.blocked, self._in_batches, self._outer = True, True, outer
        self._fingerprint, self._arguments = "", {}

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's draws, as Python ints, from the position of a resume."""
        return EpochIterator.over(self, self._pass())

    def _pass(self) -> Draws:
        """Return the draws of a pass that begins now."""
        plan, doubt = self._begin()
        start = self._position.start
        count = 0 if self._is_over(plan) else self._share(plan.table.size - start)
        return Draws(plan, start, self.rank, self.num_replicas, count, doubt)

    def _begun(self, taken: Pass[Any]) -> None:
        """Record the pass that a state without `consumed` refers to."""
        self._position.running = taken

    def _begin(self) -> tuple[EpochPlan, Doubt]:
        """Return the plan of a pass that begins now, and the warning or error for its first item.

        It is not raised here: loaders make iterators that they discard, and some load a state into
        those that they keep.
        """
        plan = self._plan(self.epoch)
        interrupted = self._position.interrupted(plan)
        if not plan.finished:
            return plan, self._repeated(plan, cut=True) if interrupted else None
        # A resumed pass has no whole epoch to repeat: what follows its end is the next one.
        if self._options.auto_epoch or (self._position.resumed and not self.dynamic):
            self.set_epoch(plan.epoch + 1)
            return self._plan(plan.epoch + 1), None
        return plan, self._refused(plan) if self.dynamic else self._repeated(plan, cut=False)

    def _is_over(self, plan: EpochPlan) -> bool:
        """Whether nothing is left of a plan until `set_epoch` makes the next one."""
        return self.dynamic and plan.finished

    def _refused(self, plan: EpochPlan) -> Callable[[], None]:
        """Return a function that raises for a pass over an epoch that is over."""

        def refuse() -> None:
            raise RuntimeError(
                f"epoch {plan.epoch} is over: call set_epoch({plan.epoch + 1}) before the next "
                f"pass, so that it is planned from the {self._planned_from}; "
                f"{self._where_none_can_be_set()}"
            )

        return refuse

    def _where_none_can_be_set(self) -> str:
        """Return the remedy where a loader restarts its pass within an epoch of the trainer."""
        loaders = "where a loader restarts by itself (CombinedLoader in mode 'max_size_cycle')"
        others = "that its other loaders end by: mode 'min_size', or 'max_size'"
        if self.num_replicas == 1 and world_size(self.process_group) == 1:
            return f"{loaders}, construct with auto_epoch=True, or choose a mode {others}"
        return f"{loaders}, choose a mode {others}"

    def _repeated(self, plan: EpochPlan, *, cut: bool) -> Callable[[], None]:
        """Return a function that warns, once, of draws repeated in the same order."""

        def once() -> None:
            if self._warned:
                return
            self._warned = True
            what = "is iterated a second time, in the same order"
            remedy = f"before each pass; {self._where_none_can_be_set()}"
            if cut:
                what = "is restarted, with the draws of a pass that was interrupted"
                remedy = "before each pass, also to repeat an epoch"
            warn(
                f"epoch {plan.epoch} {what}: call set_epoch(epoch) {remedy}",
            )

        return once

    @told
    def indices(self, epoch: int, start: int = 0, stop: int | None = None) -> Indices:
        """Return draws `start` to `stop` of an epoch's global order, whatever the rank.

        Parameters
        ----------
        epoch : int
            Any epoch of a static sampler; of a dynamic one only the epoch that is planned.
        start, stop : int, default 0 and M
            0 <= start <= stop <= M.

        Returns
        -------
        int64 array of shape (stop - start,)
        """
        plan = self._plan(_check.epoch(epoch))
        size = plan.table.size
        stop = size if stop is None else _check.integer("stop", stop, 0, size + 1)
        start = _check.integer("start", start, 0, stop + 1)
        if stop - start <= CHUNK:
            return plan.draws(np.arange(start, stop, dtype=np.int64))
        out = np.empty(stop - start, np.int64)
        for at in range(start, stop, CHUNK):
            end = min(at + CHUNK, stop)
            out[at - start : end - start] = plan.draws(np.arange(at, end, dtype=np.int64))
        return out

    # ------------------------------------------------------------------ length and progress

    @property
    def seed(self) -> int:
        """The seed given at construction."""
        return self._options.seed

    @property
    def rank(self) -> int:
        """Which share of the epoch this process yields, in [0, num_replicas)."""
        return int(self._options.rank or 0)

    @property
    def num_replicas(self) -> int:
        """Number of ranks that share the epoch."""
        return int(self._options.num_replicas or 1)

    def _share(self, draws: int) -> int:
        """Return how many of the `draws` that remain belong to this rank."""
        if self._options.drop_last:
            return draws // self.num_replicas
        if self._options.pad:
            return -(-draws // self.num_replicas)
        return max(0, -(-(draws - self.rank) // self.num_replicas))

    @property
    def unequal_batches(self) -> str:
        """Why ranks may have unequal numbers of batches, and the remedy; "" if they have not.

        For frameworks whose ranks wait for each other in every step.
        """
        remedy = (
            "leave pad at True; or take reduction='batch_mean' or a denominator=, and weights of "
            "the batch of this rank alone (process_group=, a group of one)"
        )
        if self._unequal_batches:
            return f"{self._unequal_batches}, or {remedy}"
        options = self._options
        whole = options.drop_last and not self._in_batches  # `drop_last` is about single draws
        if options.pad or whole or self.num_replicas == 1:
            return ""
        made = self._outer or type(self).__name__
        return f"{made} was made with pad=False; {remedy}"

    @told
    def note_unequal_batches(self, reason: str) -> None:
        """State why ranks get unequal numbers of batches although the arguments make them equal.

        For frameworks that shard the batches themselves; it becomes part of `unequal_batches`.

        Parameters
        ----------
        reason : str
            With its remedy: "... shards them with even_batches=False: set it to True". "" if they
            are equal.
        """
        self._unequal_batches = _check.text("reason", reason)

    @told
    def length(self, epoch: int) -> int:
        """Return this rank's number of draws in an epoch; of a dynamic sampler, the planned one."""
        return self._share(self.draws(_check.epoch(epoch)))

    def __len__(self) -> int:
        """Return this rank's number of draws in the current epoch, whether resumed or not."""
        return self.length(self.epoch)

    @property
    def remaining(self) -> int:
        """Number of draws of this rank from the position of a resume to the end of the epoch."""
        return self._share(self.draws(self.epoch) - self._position.start)

    @told
    def consumed_after(self, num_batches: int, batch_size: int) -> int:
        """Return the draws trained on after each rank took `num_batches` batches of this pass.

        Parameters
        ----------
        num_batches : int
            Batches that were trained on since the pass began, from the start of the epoch or from
            the position of a resume: 1 after the first, so count with `enumerate(loader, 1)`.
        batch_size : int
            Batch size of the loader, the same on every rank.

        Returns
        -------
        int
            For `state_dict(consumed=...)`: summed over all ranks, from the start of the epoch.
        """
        num_batches = _check.integer("num_batches", num_batches, 0)
        batch_size = _check.integer("batch_size", batch_size, 1)
        taken = num_batches * batch_size * self.num_replicas
        return min(self._position.start + taken, self.draws(self.epoch))

    @told
    def expected_samples(self, num_epochs: int) -> int:
        """Return the number of draws in `num_epochs` epochs, summed over all ranks.

        Epochs that follow from losses yet to be recorded count as the current one.
        """
        num_epochs = _check.integer("num_epochs", num_epochs, 0)
        if type(self).draws is EpochSampler.draws:
            return num_epochs * self.draws(self.epoch)
        return sum(self.draws(epoch) for epoch in range(num_epochs))

    @told
    def progress(self, epoch: int, consumed: int = 0, num_epochs: int | None = None) -> float:
        """Return the fraction of the run that is done, in [0, 1], for learning-rate schedules.

        The number of steps varies with the sampler; (epoch + consumed / M) / num_epochs does not.

        Parameters
        ----------
        epoch : int
        consumed : int, default 0
            Draws trained on since the epoch began, summed over all ranks.
        num_epochs : int, optional
            Length of the run; by default the sampler's own, if it has one.
        """
        epoch = _check.epoch(epoch)
        run = getattr(self, "num_epochs", None) if num_epochs is None else num_epochs
        if run is None:
            raise ValueError(
                f"num_epochs must be given, as {type(self).__name__} has none of its own: pass "
                "progress(epoch, consumed, num_epochs=...), the epochs of the run"
            )
        run = _check.integer("num_epochs", run, 1)
        part = 0.0
        if consumed:
            draws = self.draws(epoch)
            part = _check.integer("consumed", consumed, 0, draws + 1) / draws
        return min(1.0, (epoch + part) / run)

    @told
    def metrics(self, groups: ArrayLike | None = None) -> dict[str, float]:
        """Return figures of the planned epoch, to be logged after `set_epoch`.

        Parameters
        ----------
        groups : array-like of shape (N,), optional
            Label, domain or cluster of each sample, as for `ClassBalancedSampler`.

        Returns
        -------
        dict of str to float
            Of the whole epoch, the same on every rank: "draws", M; "draws_per_sample", M / N;
            "kept", the fraction of the samples that are drawn at least once; "mean_weight" of the
            draws; "effective_sample_size", (sum w)^2 / sum w^2 over the draws, M if all weights are
            equal. With `groups` also "excluded/NAME", the fraction of a group that is not drawn.

        Raises
        ------
        ValueError
            If there are not as many groups as samples.

        Notes
        -----
        Cost
            O(M), about 0.1 us a draw. Above 2^24 draws or samples the figures of weights are
            estimated from 2^18 draws, and those of kept and excluded samples are omitted.

        Examples
        --------
        >>> from sampling.samplers import WeightedSampler
        >>> figures = WeightedSampler([1, 1, 2, 0]).metrics(groups=["a", "a", "b", "b"])
        >>> figures["kept"], figures["excluded/b"], figures["effective_sample_size"]
        (0.75, 0.5, 4.0)
        """
        plan = self._plan(self.epoch)
        if groups is None:
            return plan.figures(self.weights_for)
        names, codes = _labels.grouped("groups", groups, "drop")
        _check.same_length("groups", codes, "the dataset", plan.size)
        return plan.figures(self.weights_for, names.tolist(), codes)

    # ------------------------------------------------------------------ weights

    @property
    def objective(self) -> str:
        """Which mean training minimises: "sampled" (over the draws) or "original" (the data)."""
        return self._options.objective

    @property
    def process_group(self) -> ProcessGroup | None:
        """The ranks that train together; None = all ranks."""
        return self._options.process_group

    @property
    def exposure(self) -> ExposureCounter | None:
        """The counter of every sample trained on."""
        return self._options.exposure

    @property
    def num_nonfinite(self) -> int:
        """Number of losses recorded so far that were NaN or infinite. Synchronizes a device."""
        return self._recorder.num_nonfinite

    @overload
    def weights_for(self, indices: torch.Tensor) -> torch.Tensor: ...
    @overload
    def weights_for(self, indices: ArrayLike) -> Scores: ...
    @told
    def weights_for(self, indices: ArrayLike | torch.Tensor) -> Scores | torch.Tensor:
        """Return the loss weights that `reduce` applies to these samples in the current epoch.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples that this epoch draws.

        Returns
        -------
        float32 of shape (B,)
            A tensor on the same device if `indices` is one, else an array.
        """
        rows = self._plan(self.epoch).rows_of(indices)
        weights = self._loss_weights(rows)
        if isinstance(indices, torch.Tensor):
            return torch.ones(indices.shape, device=indices.device) if weights is None else weights
        return np.ones(len(rows), np.float32) if weights is None else weights.numpy()

    def _loss_weights(self, rows: Indices | torch.Tensor) -> torch.Tensor | None:
        """Return the loss weights of checked samples; None if all are 1."""
        weighted = self._recorder.weighted
        if weighted:
            self._refuse_weights(self.epoch)
        return self._plan(self.epoch).loss_weights(rows, weighted=weighted)

    @overload
    def importance_weights(self, indices: torch.Tensor) -> torch.Tensor: ...
    @overload
    def importance_weights(self, indices: ArrayLike) -> Scores: ...
    @told
    def importance_weights(self, indices: ArrayLike | torch.Tensor) -> Scores | torch.Tensor:
        """Return 1/(N p) for samples of this epoch, whatever the objective.

        p is the sample's share of the expected draws, so a draw's expected weight is 1, and the
        weighted mean over draws estimates the mean over the data.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Samples that this epoch draws.

        Returns
        -------
        float32 of shape (B,)
            A tensor on the same device if `indices` is one, else an array.

        Raises
        ------
        ValueError
            If some sample is never drawn, or p is unknown: no weight can then restore the mean.
        """
        self._refuse_weights(self.epoch)
        plan = self._plan(self.epoch)
        rows = plan.rows_of(indices.cpu() if isinstance(indices, torch.Tensor) else indices)
        weights = plan.importance(rows_on_host(rows)).astype(np.float32)
        if isinstance(indices, torch.Tensor):
            return torch.from_numpy(weights).to(indices.device)
        return weights

    def _refuse_weights(self, epoch: int) -> None:
        reason = self.why_biased(epoch)
        if reason:
            raise ValueError(
                f"{self._outer or type(self).__name__} has no importance weights: {reason}"
            )

    # ------------------------------------------------------------------ the training step

    @told
    def record(
        self,
        indices: ArrayLike | torch.Tensor,
        losses: ArrayLike | torch.Tensor,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Record the losses of a batch, from which a dynamic sampler plans its epochs.

        For training loops that compute their own loss; `reduce` records by itself. Never
        synchronizes a device. Static samplers check the batch and count losses that are not finite.

        Parameters
        ----------
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them. May be on the device of the
            losses.
        losses : float array or tensor of shape (B,)
            One loss per sample, unweighted. Detached and copied.
        logits : float tensor of shape (B, C), optional
        labels : tensor of shape (B,) or (B, C), optional
        groups : int tensor or array of shape (B,), optional
            Required by samplers that use more than the loss, as documented there; others ignore
            them.
        """
        plan = self._plan(self.epoch)
        batch = Batch.recorded(plan, indices, losses, logits, labels, groups)
        self._recorder.record(plan, batch, self.signals(batch))

    @told
    def reduce(
        self,
        losses: torch.Tensor,
        indices: ArrayLike | torch.Tensor,
        reduction: Reduction = "batch_mean",
        denominator: float | torch.Tensor | None = None,
        *,
        logits: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        groups: ArrayLike | torch.Tensor | None = None,
        weighting: Callable[..., torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Record the losses of a batch and return their weighted mean, for `backward`.

        It replaces `losses.mean()`.

        Parameters
        ----------
        losses : floating tensor of shape (B,)
            One loss per sample: `reduction="none"`.
        indices : int array or tensor of shape (B,)
            Dataset indices of the batch, as the loader returned them.
        reduction : {"batch_mean", "weighted_mean"}, default "batch_mean"
            "batch_mean" divides sum(w * l) by this rank's B. "weighted_mean" divides by the sum of
            the weights over all ranks of `process_group`, times their number, which undoes the
            averaging of DistributedDataParallel.
        denominator : float or scalar tensor, optional
            Global count of one optimizer step (accumulated samples, tokens); replaces both: the
            result is W * sum(w * l) / denominator.
        logits : float tensor of shape (B, C), optional
        labels : tensor of shape (B,) or (B, C), optional
        groups : int tensor or array of shape (B,), optional
            Required by samplers that use more than the loss, as documented there, and by some
            weightings; others ignore them.
        weighting : callable, optional
            Additional weights of the batch: a function of the losses that returns a tensor (B,),
            which is multiplied with the sampler's. It gets those of `indices`, `groups`, `labels`
            and `logits` that were given and that its signature names, with `**kwargs` all that
            were given. See `sampling.weighting`.

        Returns
        -------
        scalar tensor
            With all weights 1 and one rank exactly `losses.mean()`.

        Raises
        ------
        ValueError
            If the losses are a scalar, or not as many as the indices, or an index is out of range
            or was never drawn in this epoch, or `weighting` requires labels, logits or groups
            that were not given, or returns another shape; if ranks have
            unequal numbers of batches (`pad=False`) and "weighted_mean" without a denominator, or a
            `weighting` over all ranks, would wait for ranks that have finished. Nothing is recorded
            then.
        """
        plan = self._plan(self.epoch)
        batch = Batch.of(plan, indices, losses, logits, labels, groups)
        if self._recorder.weighted:
            self._refuse_weights(self.epoch)
        return self._recorder.reduce(
            plan, batch, self.signals, reduction, denominator, weighting, self.unequal_batches
        )

    def _report_bad_indices(self) -> None:
        """Raise for bad indices that were on devices in this epoch."""
        if self.epoch in self._plans:
            self._plans[self.epoch].report_bad()

    # ------------------------------------------------------------------ the light state

    @told
    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """Return the position of the run: a new dictionary of JSON values, under 1 KiB.

        Parameters
        ----------
        consumed : int, optional
            Draws of this epoch that were trained on, summed over all ranks, from the epoch's
            beginning, also across an earlier resume: see `consumed_after`. Draws that a loader
            prefetched do not count. By default the draws that the latest `iter` of this epoch has
            yielded, or the position of a resume if there was none: right for `torchdata.nodes`, and
            whenever the sampler is not read ahead of training. A `DataLoader` with workers reads
            ahead, so give `consumed` there.
        """
        if consumed is None:
            consumed = self._position.consumed
        else:
            consumed = self._check_consumed(self.epoch, consumed)
        return self._state(self.epoch, consumed, self._plan(self.epoch) if self.dynamic else None)

    @told
    def state_at_start(self, epoch: int) -> dict[str, Any]:
        """Return the position at the start of an epoch, in the form of `state_dict`.

        For frameworks that restore a run which finished the epoch before. A dynamic sampler that
        loads it waits for its `set_epoch`.

        Parameters
        ----------
        epoch : int
        """
        return self._state(_check.epoch(epoch), 0, None)

    def _state(self, epoch: int, consumed: int, plan: EpochPlan | None) -> dict[str, Any]:
        return {
            "version": 1,
            "sampler": type(self).__name__,
            "algorithm": self._algorithm,
            "size": self.size,
            "seed": self.seed,
            "epoch": epoch,
            "consumed": consumed,
            "fingerprint": self._identified(),
            "arguments": dict(self._in_short()),
            "plan": plan.digest() if self.dynamic and plan is not None else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the position of a saved run: the next `iter` yields what was not yet trained on.

        The state of one rank serves all, and ranks, workers and a plain batch size may have changed
        since. Loading is idempotent. A dynamic sampler accepts only a state of the plan that it
        holds: `load_state` restores the scores of a plan.

        Raises
        ------
        StateError
            If the state is of another class, N, seed, other arguments or another plan. The sampler
            is then unchanged.
        """
        self._check_own(state)
        epoch, digest = _check.epoch(state["epoch"]), state["plan"]
        consumed = _check.integer("consumed", state["consumed"], 0)
        if self.dynamic and digest is None:
            return self._wait_for(epoch, consumed)
        previous = self._position.previous
        if (
            previous is not None
            and (epoch, digest) == previous[:2]
            and consumed in {0, previous[2]}
        ):
            return None  # a loader at the end of the previous epoch: the next one is planned
        self._check_plan(epoch, digest)
        consumed = self._check_consumed(epoch, consumed)
        self._plans = {each: plan for each, plan in self._plans.items() if each == epoch}
        self._position.resume(epoch, consumed)
        if epoch in self._plans:
            self._plans[epoch].finished = False
        return None

    def _check_own(self, state: Mapping[str, Any]) -> None:
        check_state(
            state,
            type(self).__name__,
            self.size,
            self.seed,
            self._identified(),
            self._algorithm,
            self._in_short(),
            self._outer,
        )

    def _check_consumed(self, epoch: int, consumed: int) -> int:
        consumed = _check.integer("consumed", consumed, 0, self.draws(epoch) + 1)
        if self.blocked:
            batch_at(self._plan(epoch).cuts, consumed)
        return consumed

    def _check_plan(self, epoch: int, digest: str | None) -> None:
        if not self.dynamic:
            if digest is not None:
                raise StateError(self._plan_missing(epoch, digest, "no plan"))
            return
        held = self._plan(self.epoch).digest()
        if (epoch, digest) != (self.epoch, held):
            here = f"plan {held} of epoch {self.epoch}"
            raise StateError(self._plan_missing(epoch, digest, here))

    def _plan_missing(self, epoch: int, digest: str | None, held: str) -> str:
        return plan_missing(type(self).__name__, self._planned_from, epoch, digest, held)

    def _wait_for(self, epoch: int, consumed: int) -> None:
        """Restore a pass that had ended: the sampler waits for its next plan."""
        if epoch == self.epoch and consumed == 0:
            return
        if epoch != self.epoch + 1 or consumed != 0:
            here = f"a plan of epoch {self.epoch}"
            raise StateError(self._plan_missing(epoch, None, here))
        self._plan(self.epoch).finished = True

    def _hold(self, plan: EpochPlan) -> None:
        """Hold a plan that was restored, at the beginning of its epoch."""
        self._plans = {plan.epoch: plan}
        self._position.begin(plan.epoch, None)

    # ------------------------------------------------------------------ identity

    def _parts(self) -> dict[str, object]:
        """Return what determines the draws, by argument, or raise for one that nothing names."""
        named = dict(self._named())
        parts = {
            name: each
            for name, each in self.__dict__.get("_bound", {}).items()
            if name not in named and not self._is_of_the_run(name, each)
        }
        for name, each in (parts | named).items():
            if isinstance(each, Unknown):
                raise TypeError(
                    f"identity() of {type(self).__name__} must name the argument {name!r}, a "
                    f"{each.kind}, so that a state is not resumed with another one: define "
                    f"identity(self) and return {{{name!r}: ...}}, a string, number or array that "
                    "differs whenever it does"
                )
        return {
            "draws from num_samples": self.num_samples,
            "objective": self._options.objective,
            **parts,
            **named,
            **(self._arrangement.identity() if self._arrangement else {}),
        }

    def _named(self) -> Mapping[str, object]:
        """Return `identity()`, of a sampler of others in a form that a state can hold."""
        named = self.identity()
        if is_ours(type(self)):
            return named
        if not isinstance(named, Mapping):
            raise TypeError(
                f"identity() of {type(self).__name__} must return a mapping of arguments to "
                f"values, got {type(named).__name__}"
            )
        return {str(name): identified(each) for name, each in named.items()}

    def _is_of_the_run(self, name: str, value: object) -> bool:
        """Return whether an argument is an option of every sampler that was passed on."""
        if name not in _OF_THE_RUN or isinstance(value, Unknown) or value is None:
            return name in _OF_THE_RUN
        return not isinstance(value, _PLAIN) or value == getattr(self._options, name)

    def _identified(self) -> str:
        """Return the fingerprint of what determines the draws."""
        if not self._fingerprint:
            self._fingerprint = fingerprint(self.size, *self._parts().values())
        return self._fingerprint

    def _in_short(self) -> dict[str, str]:
        """Return what the fingerprint is of, each in short form."""
        if not self._arguments:
            self._arguments = in_short(self._parts(), self.__dict__.get("_given", {}))
        return self._arguments

    # ------------------------------------------------------------------ copies

    def _found(self) -> dict[str, str]:
        """Return, for `repr`, the values that came from `torch.distributed`, not from arguments."""
        given = self.__dict__.get("_given", {})
        ranks = {"num_replicas": self.num_replicas, "rank": self.rank}
        missing = {name: str(value) for name, value in ranks.items() if name not in given}
        return missing if self.num_replicas > 1 else {}

    def __getstate__(self) -> dict[str, Any]:
        """Exclude what belongs to this process, and plans that can be computed again."""
        self._report_bad_indices()
        options = self._options.without_group()
        plans = self._plans if self.dynamic else {}
        return {**self.__dict__, "_options": options, "_plans": plans, "_sources_of_n": []}


def _reference(source: Sized) -> Callable[[], Sized | None]:
    """Return a function that returns the object, holding it weakly where that is possible."""
    while isinstance(source, Indexed):  # often made for this call alone
        source = source.dataset
    try:
        return weakref.ref(source)
    except TypeError:  # a list
        return lambda: source
