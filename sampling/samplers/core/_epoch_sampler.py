"""The base of every sampler: order, ranks, length, position, weights and `reduce`.

A sampler adds one method, `_table(epoch)`: the number of draws of the epoch and the sample that
each of its slots holds. Everything else follows from

    position in the epoch --keyed permutation(seed, epoch)--> slot --draw table--> index

so any rank reads any range of any epoch directly.
"""

import weakref
from collections.abc import Callable, Iterator, Sized
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from typing_extensions import Unpack

from ... import _check, _rng
from ..._check._keywords import refuse_rest, told
from ..._identity import fingerprint
from ..._warning import warn
from ...distributed import meet, world_size
from ...types import Indices
from ._indexed import Indexed
from ._objective import Objective
from ._options import Checked, EpochOptions
from ._passes import Doubt, Draws, EpochIterator, Pass
from ._plan import CHUNK, Plan
from ._state import Resumable
from ._tables import Table


@told
class EpochSampler(Resumable, Objective, Sampler[int]):
    """Base class of all samplers; a subclass adds the draw table of an epoch.

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
    objective : {"sampled", "original"}
        "sampled": every draw has loss weight 1, so training minimises the mean over the draws.
        "original": the loss weight is 1 / (N p), where p is the sample's share of the expected
        draws, so training minimises the mean over the data. The default depends on the sampler.
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

    Notes
    -----
    Order
        A pure function of (arguments, seed, epoch) and, if dynamic, the scores at `set_epoch`.
        Nothing changes while an epoch runs.
    """

    dynamic = False
    covers_dataset = False
    blocked = False  # True if the draws come in batches of the method's making

    def __init__(self, size: int, num_samples: int, **options: Unpack[EpochOptions]) -> None:
        # A subclass sets its own fields first and calls this last. torch's `Sampler` has no
        # `__init__` to call (2.13) or one that warns (2.4).
        self.size = _check.integer("size", size, 1, _check.MAX_SIZE + 1)
        self.num_samples = _check.integer("num_samples", num_samples, 0, _check.MAX_SIZE + 1)
        refuse_rest(type(self), options, EpochOptions)
        self._options = Checked(**options)
        self._scores = self._make_scores()
        self.epoch = 0
        self._start = 0
        self._pending = False  # something was given that takes effect at the next `set_epoch`
        self._warned = False  # of a pass that repeats another
        self._handed_out = 0  # draws of this epoch that passes before the latest yielded
        self._excused: Pass[Any] | None = None  # the latest, if `set_epoch` named its epoch since
        self._resumed = False  # by a state, since the last `set_epoch`
        self._running: Pass[Any] | None = None  # the latest pass of this epoch
        self._last: tuple[int, str, int] | None = None  # epoch, plan and M of the previous epoch
        self._in_batches = False  # a batch sampler assigns whole batches of it to the ranks
        self._unequal_batches = ""  # what else leaves ranks with unequal numbers, and the remedy
        self._met = False  # ranks compare what they hold in their first `set_epoch`
        self._fingerprint = ""
        self._outer = ""  # the batch sampler of which this one is a part
        self._arguments: dict[str, str] = {}  # the same in short form, by argument
        self._plans: dict[int, Plan] = {}
        if self.objective == "original":
            self._raise_if_refused(0)

    # ------------------------------------------------------------------ what a method provides

    def _table(self, epoch: int) -> Table:
        """Return the draw table of an epoch: the only method that a subclass must define."""
        raise TypeError(f"{type(self).__name__} must define _table(epoch)")

    def _draws(self, epoch: int) -> int:
        """Return M of an epoch, without building its table where M is known."""
        return self._plan(epoch).table.size if self.dynamic else self.num_samples

    def _before_plan(self, epoch: int) -> None:
        """Apply, before another epoch is planned, what was given since the last one."""

    # ------------------------------------------------------------------ order

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
        if self._options.auto_epoch and epoch < self.epoch:
            begun = self._handed_out or (self._running is not None and self._running.taken)
            epoch = self.epoch + 1 if begun else self.epoch
        if epoch == self.epoch and epoch in self._plans:
            plan = self._plans[epoch]
            self._handed_out, self._excused = 0, self._running
            if plan.finished and not self.dynamic:  # explicitly asked for again
                plan.finished, self._resumed, self._running = False, False, None
            return
        if epoch == self.epoch and not (self.dynamic or self._pending):
            return
        self._report_device_indices()
        if self.dynamic or self._pending or self.exposure is not None:
            self._exchange(f"set_epoch({epoch})")
        self._before_plan(epoch)
        running = self._plans.get(self.epoch)
        self._last = None
        if running is not None and self.dynamic:
            self._last = (self.epoch, running.name, running.table.size)
        plans = {epoch: self._make_plan(epoch)} if self.dynamic else {}
        self.epoch, self._plans, self._start = epoch, plans, 0
        self._resumed, self._running, self._excused, self._handed_out = False, None, None, 0

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
            own = fingerprint(type(self).__name__, self.seed, self._own_fingerprint())
            facts["fingerprint"] = int(own, 16)
        found = meet(f"{type(self).__name__}.{call}", facts, group)
        self._met = True
        return found

    def _exchange(self, call: str) -> None:
        """Gather what the ranks recorded; called where every rank must call it."""
        if world_size(self.process_group) > 1:
            plan = int(self._plan(self.epoch).digest(), 16) if self.dynamic else 0
            recorded = -1  # nothing to record
            if self._scores is not None and len(self) > 0:
                recorded = self._scores.num_unmerged
            found = self._meet(call, plan=plan, own_recorded=recorded)["own_recorded"]
            if (found > 0).any() and (found == 0).any():
                raise RuntimeError(
                    f"every rank must record losses in epoch {self.epoch}, got none on rank "
                    f"{int(np.flatnonzero(found == 0)[0])} and {int(found.max())} on another: call "
                    "reduce or record there too"
                )
        for table in self._score_tables():
            table.merge()
        if self.exposure is not None:
            self.exposure.merge()

    def _plan(self, epoch: int) -> Plan:
        """Return the plan of an epoch; a static sampler keeps the current one and one more."""
        if epoch in self._plans:
            return self._plans[epoch]
        if self.dynamic and epoch != self.epoch:
            raise ValueError(
                f"epoch must be {self.epoch}, the one that is planned, got {epoch}: "
                f"the epochs of {type(self).__name__} depend on the losses recorded before them"
            )
        plan = self._make_plan(epoch)
        current = self._plans.get(self.epoch)
        self._plans = {epoch: plan} if current is None else {self.epoch: current, epoch: plan}
        return plan

    def _make_plan(self, epoch: int) -> Plan:
        return self._as_plan(epoch, self._table(epoch))

    def _as_plan(self, epoch: int, table: Table) -> Plan:
        return Plan(epoch, table, _rng.key(self.seed, epoch, "order"))

    def __iter__(self) -> Iterator[int]:
        """Yield this rank's draws, as Python ints, from the position of a resume."""
        return EpochIterator.over(self, self._pass())

    def _pass(self) -> Draws:
        """Return the draws of a pass that begins now."""
        plan, doubt = self._begin()
        count = 0 if self._is_over(plan) else self._share(plan.table.size - self._start)
        return Draws(plan, self._start, self.rank, self.num_replicas, count, doubt)

    def _begun(self, dealt: Pass[Any]) -> None:
        """Record the pass that a state without `consumed` refers to."""
        self._running = dealt

    def _begin(self) -> tuple[Plan, Doubt]:
        """Return the plan of a pass that begins now, and the warning or error for its first item.

        It is not raised here: loaders make iterators that they discard, and some load a state into
        those that they keep.
        """
        plan = self._plan(self.epoch)
        running = self._running
        if running is not None and running is not self._excused and running.plan is plan:
            self._handed_out = running.taken or self._handed_out
        if not plan.finished:
            return plan, self._repeated(plan, cut=True) if self._handed_out else None
        # A resumed pass has no whole epoch to repeat: what follows its end is the next one.
        if self._options.auto_epoch or (self._resumed and not self.dynamic):
            self.set_epoch(plan.epoch + 1)
            return self._plan(plan.epoch + 1), None
        return plan, self._refused(plan) if self.dynamic else self._repeated(plan, cut=False)

    def _is_over(self, plan: Plan) -> bool:
        """Whether nothing is left of a plan until `set_epoch` makes the next one."""
        return self.dynamic and plan.finished

    def _refused(self, plan: Plan) -> Callable[[], None]:
        """Return a function that raises for a pass over an epoch that is over."""

        def refuse() -> None:
            raise RuntimeError(
                f"epoch {plan.epoch} is over: call set_epoch({plan.epoch + 1}) before the next "
                f"pass, so that what it recorded can plan it; {self._where_none_can_be_set()}"
            )

        return refuse

    def _where_none_can_be_set(self) -> str:
        """Return the remedy where a loader restarts its pass within an epoch of the trainer."""
        loaders = "where a loader restarts by itself (CombinedLoader in mode 'max_size_cycle')"
        others = "that its other loaders end by: mode 'min_size', or 'max_size'"
        if self.num_replicas == 1 and world_size(self.process_group) == 1:
            return f"{loaders}, construct with auto_epoch=True, or choose a mode {others}"
        return f"{loaders}, choose a mode {others}"

    def _repeated(self, plan: Plan, *, cut: bool) -> Callable[[], None]:
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

    def _uneven(self) -> str:
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
    def length(self, epoch: int) -> int:
        """Return this rank's number of draws in an epoch; of a dynamic sampler, the planned one."""
        return self._share(self._draws(_check.epoch(epoch)))

    def __len__(self) -> int:
        """Return this rank's number of draws in the current epoch, whether resumed or not."""
        return self.length(self.epoch)

    @property
    def remaining(self) -> int:
        """Number of draws of this rank from the position of a resume to the end of the epoch."""
        return self._share(self._draws(self.epoch) - self._start)

    @told
    def consumed_after(self, num_batches: int, batch_size: int) -> int:
        """Return the draws trained on after each rank took `num_batches` batches of this pass.

        Parameters
        ----------
        num_batches : int
            Batches that the training loop took from the loader since the pass began, from the
            start of the epoch or from the position of a resume.
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
        return min(self._start + taken, self._draws(self.epoch))

    @told
    def expected_samples(self, num_epochs: int) -> int:
        """Return the number of draws in `num_epochs` epochs, summed over all ranks."""
        num_epochs = _check.integer("num_epochs", num_epochs, 0)
        if type(self)._draws is EpochSampler._draws and not self.dynamic:
            return num_epochs * self.num_samples
        return sum(self._draws(epoch) for epoch in range(num_epochs))

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
            raise ValueError(f"num_epochs must be given: {type(self).__name__} has none of its own")
        run = _check.integer("num_epochs", run, 1)
        part = 0.0
        if consumed:
            draws = self._draws(epoch)
            part = _check.integer("consumed", consumed, 0, draws + 1) / draws
        return min(1.0, (epoch + part) / run)

    # ------------------------------------------------------------------ copies

    def _found(self) -> dict[str, str]:
        """Return, for `repr`, the values that came from `torch.distributed`, not from arguments."""
        given = self.__dict__.get("_given", {})
        ranks = {"num_replicas": self.num_replicas, "rank": self.rank}
        missing = {name: str(value) for name, value in ranks.items() if name not in given}
        return missing if self.num_replicas > 1 else {}

    def __getstate__(self) -> dict[str, Any]:
        """Exclude what belongs to this process, and plans that can be computed again."""
        self._report_device_indices()
        plans = self._plans if self.dynamic else {}
        own = {"_options": self._options.without_group(), "_plans": plans, "_sources_of_n": []}
        return {**self.__dict__, **own, "_running": None, "_excused": None}


def _reference(source: Sized) -> Callable[[], Sized | None]:
    """Return a function that returns the object, holding it weakly where that is possible."""
    while isinstance(source, Indexed):  # often made for this call alone
        source = source.dataset
    try:
        return weakref.ref(source)
    except TypeError:  # a list
        return lambda: source
