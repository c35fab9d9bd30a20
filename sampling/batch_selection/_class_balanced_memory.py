"""A small memory of an unlabelled stream, balanced by predicted class, for test-time adaptation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from .. import _check, _rng
from .._check._keywords import told
from ..errors import StateError
from ..types import Floats, Indices

_VERSION = 1
_RELIABLE = 0.5  # of log C, the entropy of a uniform prediction
_MOST_OFF = 0.02  # from the sum 1: a softmax over many classes in bfloat16
_FINITE = "finite and >= 0"
_COUNTERS = ("num_offered", "num_nonfinite", "num_unreliable", "num_disagreeing", "num_refused")

Evict = Literal["oldest", "highest_entropy", "score"]
Count = Literal["exact", "ema"]


@told
class ClassBalancedMemory:
    """Remember a few samples of an unlabelled stream, about equally many of each predicted class.

    For test-time adaptation where the classes of a stream come in runs: adapt on the memory, not on
    the last batch. It holds indices and numbers, not samples. Stored samples occupy slots 0 to
    n - 1, and `add` returns the slots that rows of the batch occupy now: copy those rows into a
    tensor of (capacity, ...), as in the example. `count="ema"` is STAMP, `evict="score"` is RoTTA.
    For replication.

    Parameters
    ----------
    capacity : int >= 1
        Number of samples to hold; 64 in both papers.
    num_classes : int >= 1
        C.
    evict : {"oldest", "highest_entropy", "score"}, default "oldest"
        What a sample replaces when the memory is full. The first two replace a sample of the class
        with the highest count, one of them at random if several have it. "score" limits each class
        to `capacity` / C samples, at least 1: the sample competes with its own class at that limit,
        even if the memory has room, and otherwise, if it is full, with the classes of highest
        count. The one with the highest score, u / (1 + exp(-age / capacity)) + v * entropy / log C,
        is not kept: a stored sample, or the new one, of age 0. If C is 1, the entropy is not
        divided.
    count : {"exact", "ema"}, default "exact"
        Class counts that are compared: the number of stored samples, or its moving average, updated
        at the end of each `add`, of the classes that have any. The average lags: a batch as large
        as the memory empties the classes of the highest average, and a run of one class replaces
        the others until its average is the highest.
    entropy_limit : float > 0, optional
        In nats: a row is admitted if the entropy of its probabilities is below it; any limit above
        log C admits all. By default 0.5 log C, and no limit for "score".
    momentum : float in [0, 1), default 0.9
        Of the moving average, for "ema"; "exact" ignores it.
    score_weights : pair of floats >= 0, default (1, 1)
        u and v, for "score"; others ignore them.
    seed : int in [0, 2**64), default 0
        Of the choice among classes with the highest count.

    Attributes
    ----------
    indices, classes, ages : int64 arrays of shape (n,)
        Of the stored samples, by slot. `ages` is the number of samples offered since, itself
        included.
    entropies : float64 array of shape (n,)
        When they were stored.
    class_counts : float64 array of shape (C,)
        Counts as `count` has them.
    num_offered : int
        Number of samples of the stream so far.
    num_nonfinite, num_unreliable, num_disagreeing, num_refused : int
        Rows that were not stored: a probability was NaN or infinite; the entropy was too high; the
        reference had another class; a stored sample was preferred.

    Raises
    ------
    ValueError
        If an argument is out of its range; for one class without `entropy_limit`, since the default
        would admit nothing.

    Notes
    -----
    Order
        A function of the stream and the seed. How it is cut into batches matters for "ema" only.
        Equal scores: the older leaves.
    Cost
        O(capacity + C) for each sample offered, on the host; synchronizes the device once for each
        batch.
    Gradients
        Biased towards the classes that are rare in the stream, and with a limit towards confident
        predictions. See `weights`. Skip the step while the memory is empty.
    Source
        Yu et al., "STAMP", ECCV 2024; Yuan, Xie, Li, "Robust Test-Time Adaptation in Dynamic
        Scenarios", CVPR 2023 (RoTTA). The released code of STAMP adds 1e-5 to a probability before
        it takes the logarithm, updates the average when the memory is read, which is once a batch,
        and scales weights to sum 64 however many samples there are.

    Examples
    --------
    >>> memory = ClassBalancedMemory(2, num_classes=2)
    >>> images = torch.zeros(2, 3)  # one row for each slot
    >>> batch = torch.tensor([[1.0, 1, 1], [2, 2, 2], [3, 3, 3]])
    >>> probabilities = torch.tensor([[0.99, 0.01], [0.5, 0.5], [0.01, 0.99]])
    >>> slots = memory.add(probabilities, indices=[7, 8, 9])
    >>> slots
    array([ 0, -1,  1])
    >>> images[slots[slots >= 0]] = batch[slots >= 0]
    >>> memory.indices, memory.classes
    (array([7, 9]), array([0, 1]))
    >>> stored = images[: len(memory)]  # what to adapt on
    """

    def __init__(
        self,
        capacity: int,
        num_classes: int,
        *,
        evict: Evict = "oldest",
        count: Count = "exact",
        entropy_limit: float | None = None,
        momentum: float = 0.9,
        score_weights: tuple[float, float] = (1.0, 1.0),
        seed: int = 0,
    ) -> None:
        self.capacity = _check.integer("capacity", capacity, 1)
        self.num_classes = _check.integer("num_classes", num_classes, 1)
        self.evict = _check.choice("evict", evict, ("oldest", "highest_entropy", "score"))
        self.count = _check.choice("count", count, ("exact", "ema"))
        if entropy_limit is not None:
            entropy_limit = _check.number("entropy_limit", entropy_limit, "(0, inf)")
        elif self.num_classes == 1 and self.evict != "score":
            raise ValueError(
                "entropy_limit must be given for num_classes=1: the entropy of one class is 0, and "
                "so is the default limit, 0.5 log 1, which would admit nothing"
            )
        self.entropy_limit = entropy_limit
        self.momentum = _check.number("momentum", momentum, "[0, 1)")
        self.score_weights = _check.numbers("score_weights", score_weights, "[0, inf)")
        if len(self.score_weights) != 2:  # noqa: PLR2004
            raise ValueError(
                f"score_weights must be two numbers, of age and of entropy, got {score_weights!r}"
            )
        self.seed = _check.seed(seed)
        self._indices = np.empty(self.capacity, np.int64)
        self._classes = np.empty(self.capacity, np.int64)
        self._arrivals = np.empty(self.capacity, np.int64)  # num_offered when stored
        self._entropies = np.empty(self.capacity, np.float64)
        self._size = 0
        self._average = np.zeros(self.num_classes)
        self.num_offered = self.num_nonfinite = self.num_unreliable = 0
        self.num_disagreeing = self.num_refused = 0

    def __len__(self) -> int:
        return self._size

    @property
    def indices(self) -> Indices:
        """Indices of the stored samples, by slot: int64 (n,)."""
        return self._indices[: self._size].copy()

    @property
    def classes(self) -> Indices:
        """Classes under which they are stored, by slot: int64 (n,)."""
        return self._classes[: self._size].copy()

    @property
    def ages(self) -> Indices:
        """Number of samples offered since, itself included, by slot: int64 (n,), >= 1."""
        return self.num_offered - self._arrivals[: self._size]

    @property
    def entropies(self) -> Floats:
        """Entropies when they were stored, by slot: float64 (n,)."""
        return self._entropies[: self._size].copy()

    @property
    def class_counts(self) -> Floats:
        """Counts that decide which class a sample is evicted from: float64 (C,)."""
        return self._average.copy() if self.count == "ema" else self._numbers().astype(np.float64)

    # ------------------------------------------------------------------ the stream

    @told
    def add(
        self,
        probabilities: ArrayLike | torch.Tensor,
        indices: ArrayLike | torch.Tensor | None = None,
        *,
        classes: ArrayLike | torch.Tensor | None = None,
        reference: ArrayLike | torch.Tensor | None = None,
    ) -> Indices:
        """Offer a batch of the stream, row by row; return the slots that its rows occupy now.

        Parameters
        ----------
        probabilities : float array-like or tensor of shape (B, C)
            Softmax of each row; STAMP averages it over augmentations.
        indices : int array-like or tensor of shape (B,), optional
            Number of each sample, >= 0; by default the number of samples offered before it.
        classes : int array-like or tensor of shape (B,), optional
            Class to store each row under; by default that of the highest probability.
        reference : int array-like or tensor of shape (B,), optional
            Class by the model before adaptation: rows of another class are not admitted.

        Returns
        -------
        int64 array of shape (B,)
            -1 for a row that was not stored, or that a later row of the batch has replaced.

        Raises
        ------
        ValueError
            If a row is not a distribution over C classes, or a class is not in [0, C). Nothing is
            stored then. Rows that are not finite are counted and not stored.
        """
        chances = self._distributions(probabilities)
        size = len(chances)
        numbers = np.arange(self.num_offered, self.num_offered + size)
        if indices is not None:
            numbers = _ints("indices", indices, size, _check.MAX_SIZE)
        finite = np.isfinite(chances.sum(1))
        logs = np.log(chances, out=np.zeros_like(chances), where=chances > 0)  # 0 log 0 = 0
        entropies: Floats = -np.where(finite[:, None], chances * logs, 0.0).sum(1)
        labels = chances.argmax(1) if classes is None else self._labels("classes", classes, size)
        agree = np.ones(size, np.bool_)
        if reference is not None:
            agree = np.equal(self._labels("reference", reference, size), labels)
        reliable = entropies < self._limit()
        slots = np.full(size, -1, np.int64)
        for row in range(size):
            slot = -1
            if finite[row] and reliable[row] and agree[row]:
                slot = self._slot_for(int(labels[row]), float(entropies[row]))
                self.num_refused += slot < 0
            if slot >= 0:
                slots[slots == slot] = -1
                slots[row] = slot
                self._indices[slot], self._classes[slot] = numbers[row], labels[row]
                self._arrivals[slot], self._entropies[slot] = self.num_offered, entropies[row]
                self._size = max(self._size, slot + 1)
            self.num_offered += 1
        self.num_nonfinite += int((~finite).sum())
        self.num_unreliable += int((finite & ~reliable).sum())
        self.num_disagreeing += int((finite & reliable & ~agree).sum())
        self._average = self.momentum * self._average + (1 - self.momentum) * self._numbers()
        return slots

    def weights(self, entropies: torch.Tensor | None = None) -> torch.Tensor:
        """Return loss weights of the stored samples, by slot.

        Parameters
        ----------
        entropies : floating tensor of shape (n,), optional
            Entropies of the model's predictions for the stored samples now.

        Returns
        -------
        tensor of shape (n,)
            With entropies, those of STAMP: exp(-entropy), scaled to mean 1, through which gradients
            flow unless the entropies are detached. Without, those of RoTTA: exp(-a) /
            (1 + exp(-a)), a = age / capacity, at most 1/2; float32.
        """
        if entropies is None:
            fresh = np.exp(-self.ages / self.capacity)
            return torch.from_numpy((fresh / (1 + fresh)).astype(np.float32))
        if not isinstance(entropies, torch.Tensor):
            raise TypeError(f"entropies must be a tensor, got {type(entropies).__name__}")
        if entropies.shape != (self._size,) or not entropies.is_floating_point():
            raise ValueError(
                f"entropies must be floats, one for each of the {self._size} stored samples, got "
                f"{entropies.dtype} of shape {tuple(entropies.shape)}"
            )
        if not entropies.isfinite().all():
            raise ValueError(
                "entropies must be finite, got others: check the model's predictions for the "
                "stored samples, or rebuild the memory"
            )
        return torch.softmax(-entropies, 0) * self._size

    # ------------------------------------------------------------------ what is replaced

    def _slot_for(self, label: int, entropy: float) -> int:
        """Return the slot for an admitted sample; -1 if stored samples are preferred."""
        held = self._classes[: self._size]
        own = held == label
        if self.evict == "score" and own.sum() * self.num_classes >= self.capacity:
            return self._contest(np.flatnonzero(own), entropy)
        if self._size < self.capacity:
            return self._size
        present = self._numbers()
        counts = self._average if self.count == "ema" else present
        crowded = np.flatnonzero((present > 0) & (counts == counts[present > 0].max()))
        if self.evict == "score":
            return self._contest(np.flatnonzero(np.isin(held, crowded)), entropy)
        key = _rng.subkey(_rng.key(self.seed, 0, "class to evict from"), self.num_offered)
        members = np.flatnonzero(held == crowded[int(_rng.uniform(key) * crowded.size)])
        return self._worst(members, self.ages if self.evict == "oldest" else self._entropies)

    def _contest(self, members: NDArray[np.int64], entropy: float) -> int:
        scores = self._scores(self.ages, self._entropies[: self._size])
        worst = self._worst(members, scores)
        return worst if scores[worst] > self._scores(np.zeros(1), entropy)[0] else -1

    def _worst(self, members: NDArray[np.int64], values: NDArray[Any]) -> int:
        """Return the slot with the highest value among some, the oldest of equal ones."""
        return int(members[np.lexsort((self.ages[members], values[members]))[-1]])

    def _scores(self, ages: NDArray[Any], entropies: Floats | float) -> Floats:
        by_age, by_entropy = self.score_weights
        unsure = entropies / (math.log(self.num_classes) or 1.0)
        return by_age / (1 + np.exp(-ages / self.capacity)) + by_entropy * unsure

    def _numbers(self) -> NDArray[np.int64]:
        """Return how many samples of each class are stored, (C,)."""
        return np.bincount(self._classes[: self._size], minlength=self.num_classes)

    def _limit(self) -> float:
        if self.entropy_limit is not None:
            return self.entropy_limit
        return math.inf if self.evict == "score" else _RELIABLE * math.log(self.num_classes)

    # ------------------------------------------------------------------ checks

    def _distributions(self, probabilities: ArrayLike | torch.Tensor) -> Floats:
        """Return probabilities as float64 (B, C); rows that are not finite are left."""
        array = _check.host(probabilities, "probabilities")
        if array.ndim != 2 or array.shape[1] != self.num_classes:  # noqa: PLR2004
            raise ValueError(
                f"probabilities must have shape (B, {self.num_classes}), a column for each class, "
                f"got {array.shape}"
            )
        chances = _check.as_numbers("probabilities", array).astype(np.float64)
        sums = chances.sum(1)
        wrong = (chances < 0).any(1) | (np.abs(sums - 1) > _MOST_OFF)
        wrong &= np.isfinite(chances).all(1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ValueError(
                "probabilities must be >= 0 and have sum 1 in each row, got "
                f"{chances[row].min():.4g} to {chances[row].max():.4g} with sum {sums[row]:.4g} in "
                f"row {row}: give logits.softmax(1)"
            )
        return chances

    def _labels(self, name: str, values: ArrayLike | torch.Tensor, size: int) -> Indices:
        return _ints(name, values, size, self.num_classes)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Any]:
        """Return the memory, as JSON values: what `load_state_dict` reads.

        Returns
        -------
        dict
        """
        return {
            **self._origin(),
            **{name: getattr(self, name) for name in _COUNTERS},
            "indices": self.indices.tolist(),
            "classes": self.classes.tolist(),
            "ages": self.ages.tolist(),
            "entropies": self.entropies.tolist(),
            "average": self._average.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved memory. Save the samples with it, by slot.

        Parameters
        ----------
        state : mapping
            A result of `state_dict`, of a memory with the same arguments.

        Raises
        ------
        StateError
            If it is not one, or of other arguments. Nothing is changed then.
        """
        if not isinstance(state, Mapping):
            raise StateError(f"state must be a mapping, got {type(state).__name__}")
        missing = set(self.state_dict()) - set(state)
        if missing:
            raise StateError(f"state must have the keys of state_dict(), missing {sorted(missing)}")
        for name, own in self._origin().items():
            if state[name] != own:
                raise StateError(f"{name} must be {own!r}, got {state[name]!r}")
        try:
            counters = {name: _check.integer(name, state[name], 0) for name in _COUNTERS}
            size = _check.integer("number of samples", len(state["indices"]), 0, self.capacity + 1)
            rows, classes, ages = (
                _ints(
                    name, np.array(state[name], None if size else np.int64), size, high, "indices"
                )
                for name, high in (
                    *(("indices", _check.MAX_SIZE), ("classes", self.num_classes)),
                    ("ages", counters["num_offered"] + 1),
                )
            )
            if np.unique(ages[ages > 0]).size < size:
                raise ValueError("ages must be above 0, and all different")
            average = _check.floats("average", state["average"], _FINITE)
            entropies = np.empty(0)
            if size or len(state["entropies"]):
                entropies = _check.floats("entropies", state["entropies"], _FINITE)
            _check.same_length("entropies", entropies, "indices", size)
            _check.same_length("average", average, "num_classes", self.num_classes)
            self._refuse_impossible(counters, average, entropies)
        except (TypeError, ValueError, OverflowError) as error:
            raise StateError(f"state must hold a memory, got another: {error}") from None
        for name, value in counters.items():
            setattr(self, name, value)
        self._size, self._average = size, average
        self._indices[:size], self._classes[:size] = rows, classes
        self._arrivals[:size], self._entropies[:size] = self.num_offered - ages, entropies

    def _refuse_impossible(
        self, counters: Mapping[str, int], average: Floats, entropies: Floats
    ) -> None:
        """Refuse values of a state that no stream leads to."""
        offered = counters["num_offered"]
        rejected = sum(counters.values()) - offered
        if rejected > offered:
            raise ValueError(
                f"rows that were not stored must be at most num_offered, {offered}, got {rejected}"
            )
        most = (1 + _MOST_OFF) * math.log(self.num_classes) + _MOST_OFF
        if (entropies > most).any():
            raise ValueError(
                f"entropies must be at most log num_classes, {math.log(self.num_classes):.4g}, got "
                f"{entropies.max():.4g}"
            )
        if average.sum() > self.capacity * (1 + 1e-9):
            raise ValueError(
                f"average must have a sum of at most the capacity, {self.capacity}, got "
                f"{average.sum():.4g}"
            )

    def _origin(self) -> dict[str, Any]:
        """Return what a state and its memory must have in common."""
        names = (
            *("capacity", "num_classes", "evict", "count", "entropy_limit", "momentum"),
            *("score_weights", "seed"),
        )
        return {"version": _VERSION, **{name: getattr(self, name) for name in names}}


def _ints(
    name: str,
    values: ArrayLike | torch.Tensor,
    size: int,
    high: int,
    others: str = "probabilities",
) -> Indices:
    """Return ints in [0, high), one for each of `size` other values: int64 (size,)."""
    array = _check.host(values, name)
    if array.ndim != 1:
        _check.refuse_shape(name, array, "(B,)")
    _check.same_length(name, array, others, size)
    _check.codes(name, array, high)
    return array.astype(np.int64, copy=False)
