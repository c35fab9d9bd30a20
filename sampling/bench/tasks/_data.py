"""The data of a task, split and ready to train on.

Train, validation and test never overlap and never depend on the seed of a run: validation is split
off the training set, stratified by class, and used for every curve and choice; the test set is
evaluated once per run, after its last epoch. The seed of a run decides only which samples a long
tail keeps, which labels are made wrong, and which samples are near copies.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset, TensorDataset

from ... import _check
from ..._check._keywords import short
from ..._rng import key, values
from ...samplers import ShuffleSampler
from ._metric import METRICS, Metric
from ._parts import DatasetPart, Part, TensorPart
from ._task import LABEL_KEYS, Task

_SPLIT_SEED = 20240229  # any constant: the split belongs to the dataset, not to a run
_VAL_SHARE = 1 / 7
_FEWEST = 2  # classes
_COPY_NOISE = 0.05  # standard deviations of the inputs


@dataclass(frozen=True)
class Data:
    """A task with its data split into train, validation and test.

    Parameters
    ----------
    task : Task
        Where the data are from, and how to train on them.
    train, val, test : Part
        The three parts.
    metric : Metric
        Metric of all runs: that of the task, or, if it names none and the training set was made
        long-tailed, balanced accuracy.
    digest : str
        Hash that differs between data, to avoid mixing results of different data.
    n_classes : int
        C; 0 if the targets are no classes.
    find_embeddings : callable, optional
        Returns the rows of the whole training set, float32 (N, D).
    rows : int64 array of shape (N,), optional
        Rows of the whole training set that `train` holds; by default all.
    noise : float, default 0
        Share of the training labels that was made wrong.
    notes : tuple of str, default ()
        Notes needed to interpret the results, such as of samples that were dropped.
    origin : int64 array of shape (N,), optional
        Row of the whole training set of each sample of `train`, also of those that were replaced by
        near copies; by default 0 to N - 1.
    whole : int, optional
        Number of rows of the whole training set; by default N.
    """

    task: Task
    train: Part
    val: Part
    test: Part
    metric: Metric
    digest: str
    n_classes: int
    find_embeddings: Callable[[], NDArray[np.float32]] | None = None
    rows: NDArray[np.int64] | None = None
    noise: float = 0.0
    notes: tuple[str, ...] = ()
    origin: NDArray[np.int64] | None = None
    whole: int | None = None

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.task.name

    def labels(self) -> NDArray[np.int64] | None:
        """Return the classes of the training part, int64 (N,), if the targets are classes."""
        return self.train.labels

    def embeddings(self) -> NDArray[np.float32] | None:
        """Return the rows of the training part, float32 (N, D), if there are any."""
        if self.find_embeddings is None:
            return None
        found = self.find_embeddings()
        return found if self.rows is None else found[self.rows]

    def _with_rows(self, rows: NDArray[np.int64], **changes: Any) -> Data:
        """Return the data with some samples of the training part."""
        kept = rows if self.rows is None else self.rows[rows]
        origin = rows if self.origin is None else self.origin[rows]
        whole = len(self.train) if self.whole is None else self.whole
        changes = {"origin": origin, "whole": whole, **changes}
        return replace(self, train=self.train.take(rows), rows=kept, **changes)

    def _classes(self, why: str) -> NDArray[np.int64]:
        labels = self.labels()
        if labels is None:
            raise ValueError(f"{why} must be omitted for targets that are no classes")
        return labels

    def long_tailed(self, ratio: float, seed: int) -> Data:
        """Return the data with class c of the training set cut to n_max * ratio**(-c / (C - 1)).

        Every class keeps at least one sample. Validation and test stay as they are.
        """
        labels = self._classes("imbalance")
        most = int(np.bincount(labels, minlength=self.n_classes).max())
        counts = [
            max(1, round(most * ratio ** (-c / max(self.n_classes - 1, 1))))
            for c in range(self.n_classes)
        ]
        rows = first_of_each_class(labels, counts, int(key(seed, 0, "bench long tail")))
        own = self.task.metric is not None
        metric = self.metric if own else METRICS["balanced accuracy"]
        return self._with_rows(rows, metric=metric)

    def noisy(self, share: float, seed: int) -> Data:
        """Return the data with a share of the training labels of every class made wrong.

        A wrong label is any of the other classes, with equal probability. Validation and test
        labels stay correct.
        """
        labels = self._classes("label_noise").copy()
        per_class = np.bincount(labels, minlength=self.n_classes)
        counts = [round(share * int(n)) for n in per_class]
        rows = first_of_each_class(labels, counts, int(key(seed, 0, "bench label noise")))
        # A shuffle of 0, 1, ... modulo C - 1: every shift occurs equally often, up to one row.
        turns = ShuffleSampler(rows.size, seed=int(key(seed, 0, "bench wrong labels"))).indices(0)
        labels[rows] = (labels[rows] + 1 + turns % (self.n_classes - 1)) % self.n_classes
        return replace(self, train=self.train.relabeled(labels), noise=share)

    def limited(self, most: int) -> Data:
        """Return the data with at most so many training samples, chosen at random.

        Every class keeps its share, and at least one sample.
        """
        if most >= len(self.train):
            return self
        if self.n_classes > most:
            raise ValueError(
                f"limit must be at least the number of classes, {self.n_classes}, got {most}"
            )
        rows = _at_random(self.train, most, _SPLIT_SEED, self.n_classes)
        return self._with_rows(rows, digest=f"{self.digest}-{most}")

    def copied(self, share: float, seed: int) -> Data:
        """Return the data with a share of the training samples replaced by near copies of others.

        A copy has the target of its original, and its inputs with noise of 0.05 standard
        deviations.
        """
        part = _numeric(self.train)
        order = ShuffleSampler(len(part), seed=int(key(seed, 0, "bench copies"))).indices(0)
        count = min(round(share * len(part)), len(part) - 1)
        replaced, kept = torch.from_numpy(order[:count]), torch.from_numpy(order[count:])
        origin = kept[torch.arange(count) % len(kept)]
        x, y = part.x.clone(), part.y.clone()
        noise = _noise(int(key(seed, 0, "bench copy noise")), tuple(x[replaced].shape))
        copies = x[origin].float() + _COPY_NOISE * x.float().std() * noise
        if not x.is_floating_point():
            copies = copies.round().clamp(0, 255)
        x[replaced] = copies.to(x.dtype)
        y[replaced] = y[origin]
        train = TensorPart(x, y)
        if self.task.embeddings is None:
            return replace(self, train=train, find_embeddings=_rows_of(train), rows=None)
        rows = np.arange(len(part))
        rows[replaced.numpy()] = origin.numpy()
        return replace(self, train=train, rows=rows if self.rows is None else self.rows[rows])

    def check_changes(
        self, imbalance: float | None, label_noise: float | None, near_copies: float | None
    ) -> None:
        """Refuse changes of the data that cannot be made, before the first run.

        Raises
        ------
        ValueError
            The message names the change.
        """
        if imbalance is not None:
            self._classes("imbalance")
        if label_noise is not None:
            self._classes("label_noise")
        if near_copies is not None:
            _numeric(self.train)

    def few(self, most: int) -> Data:
        """Return a copy with at most so many samples in each part, for warm-up runs."""

        def rows(part: Part) -> NDArray[np.int64]:
            size = min(most, len(part))
            return np.sort(ShuffleSampler(len(part), size, seed=0).indices(0))

        size = min(most, len(self.train))
        small = self._with_rows(_at_random(self.train, size, 0, self.n_classes))
        parts = {name: getattr(self, name) for name in ("val", "test")}
        return replace(small, **{name: part.take(rows(part)) for name, part in parts.items()})


def data_of(task: Task, digest: str | None = None) -> Data:
    """Split a task's data, and check what can be checked without training.

    Parameters
    ----------
    task : Task
        The task.
    digest : str, optional
        Hash of the data; by default of arrays all bytes, of datasets their sizes and labels.

    Raises
    ------
    ValueError
        If labels are missing, outside [0, C) or of one class only, or if a set is empty.
    """
    labels = None if task.labels is None else _given_labels(task.labels, len(_first(task.train)))
    train, test = part_of("train", task.train, task, labels), part_of("test", task.test, task)
    n_classes = _count(train.labels, test.labels)
    _check_metric(task, n_classes)
    embeddings = _embeddings_of(task, train)
    whole = len(train)
    if task.val is None:
        held = _held_out(train)
        if not held.any():
            raise ValueError(
                "train must hold two samples of some class, of which one is for validation, got "
                "one of each: give `val`"
            )
        rows: NDArray[np.int64] | None = np.flatnonzero(~held)
        val = train.take(np.flatnonzero(held))
        train = train.take(np.flatnonzero(~held))
    else:
        rows, val = None, part_of("val", task.val, task)
    metric = task.metric_of
    if task.metric is None and not n_classes:
        metric = METRICS["R2"]
    digest = _digest(train, val, test) if digest is None else digest
    return Data(
        task,
        train,
        val,
        test,
        metric,
        digest,
        n_classes,
        embeddings,
        rows,
        origin=rows,
        whole=whole,
    )


def part_of(name: str, given: Any, task: Task, labels: NDArray[np.int64] | None = None) -> Part:
    """Return a split as a part: tensors where the data are a pair of arrays or a TensorDataset."""
    if isinstance(given, Part):
        return given
    pair = _pair(given)
    size = len(pair[0]) if pair is not None else len(given)
    if not size:
        raise ValueError(f"{name} must hold samples, got none")
    if pair is None:
        known = labels if labels is not None else labels_of(given) if name == "train" else None
        return DatasetPart(given, known, task.collate_fn, task.num_workers)
    x, y = (_tensor(f"{name}: {each}", one) for each, one in zip(("x", "y"), pair, strict=True))
    if len(x) != len(y):
        raise ValueError(f"{name} must hold one target for each input, {len(x)}, got {len(y)}")
    x = x.float() if x.dtype == torch.float64 else x
    y = y.float() if y.is_floating_point() else y.long()
    if not y.is_floating_point() and y.ndim == 2 and y.shape[1] == 1:  # noqa: PLR2004
        y = y[:, 0]
    return TensorPart(x, y)


def _pair(given: Any) -> tuple[Any, Any] | None:
    if isinstance(given, TensorDataset) and len(given.tensors) == 2:  # noqa: PLR2004
        return given.tensors[0], given.tensors[1]
    if isinstance(given, tuple | list) and len(given) == 2 and all(map(_is_array, given)):  # noqa: PLR2004
        return given[0], given[1]
    return None


def _is_array(value: Any) -> bool:
    """Return whether a value holds all inputs or targets: an array, a tensor, a DataFrame, a list.

    A tuple is a sample: two of them are a dataset of two samples.
    """
    return hasattr(value, "__array__") or isinstance(value, list)


def _tensor(name: str, values: Any) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        found = values.detach().cpu()
    else:
        array = _check.host(values, name)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:  # noqa: PLR2004
            remedy = ": number the classes 0, 1, ..." if name.endswith("y") else ""
            raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{remedy}")
        found = torch.from_numpy(np.array(array))
    if not found.ndim:
        raise ValueError(f"{name} must have shape (N, ...), got a number alone")
    if found.is_floating_point():
        bad = ~torch.isfinite(found.reshape(len(found), -1)).all(1)
        if bool(bad.any()):
            row = int(torch.nonzero(bad)[0])
            raise ValueError(f"{name} must be finite, got nan or infinity in row {row}")
    return found


def _first(given: Any) -> Any:
    pair = _pair(given)
    return given if pair is None else pair[0]


def _given_labels(labels: Any, size: int) -> NDArray[np.int64]:
    found = np.asarray(labels)
    if found.dtype.kind not in "biu" or found.shape != (size,):
        raise ValueError(
            f"labels must be ints of shape ({size},), one for each training sample, got dtype "
            f"{found.dtype} and shape {found.shape}"
        )
    return found.astype(np.int64)


def labels_of(dataset: Any) -> NDArray[np.int64] | None:
    """Return the classes of a dataset's samples, or None if the targets are no integers.

    From an attribute or a column if there is one, else by reading the dataset once.
    """
    if isinstance(dataset, Subset):
        found = labels_of(dataset.dataset)
        return None if found is None else found[np.asarray(dataset.indices)]
    for name in ("targets", *LABEL_KEYS):
        values = getattr(dataset, name, None)
        if values is None and name in (getattr(dataset, "column_names", None) or ()):
            values = dataset[name]
        if isinstance(values, Sized) and len(values) == len(dataset):
            return _integers(values)
    return _integers([_target(_read(dataset, index), index) for index in range(len(dataset))])


def _read(dataset: Any, index: int) -> Any:
    """Return a sample; an error of the user's dataset is told with its row."""
    try:
        return dataset[index]
    except Exception as error:
        raise ValueError(
            f"train must return each of its samples, got {type(error).__name__}: {error} in row "
            f"{index}"
        ) from error


def _target(sample: Any, index: int) -> Any:
    if isinstance(sample, tuple | list) and len(sample) > 1:
        return sample[1]
    for name in LABEL_KEYS:
        if isinstance(sample, dict) and name in sample:
            return sample[name]
    raise ValueError(
        "train must return pairs (input, target) or mappings with the key 'labels' or 'label', got "
        f"{short(sample)} in row {index}: give `labels`"
    )


def _integers(values: Any) -> NDArray[np.int64] | None:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    found = np.asarray([v.item() if getattr(v, "shape", None) == () else v for v in values])
    if found.dtype.kind == "f" or found.ndim != 1:
        return None
    if found.dtype.kind not in "biu":
        raise ValueError(f"targets must be class numbers or floats, got {short(found[0])} in row 0")
    return found.astype(np.int64)


def _count(train: NDArray[np.int64] | None, test: NDArray[np.int64] | None) -> int:
    """Return C, or 0 for targets that are no classes; check that they are 0, 1, ...."""
    if train is None:
        return 0
    for name, labels in (("train", train), ("test", test)):
        if labels is None:
            continue
        if labels.min() < 0:
            row = int(np.argmax(labels < 0))
            raise ValueError(f"the labels of {name} must be >= 0, got {labels[row]} in row {row}")
    present = np.unique(train)
    if present.size < _FEWEST:
        raise ValueError(f"train must hold at least two classes, got only {present[0]}")
    highest = int(present[-1])
    if present.size != highest + 1:
        absent = int(np.setdiff1d(np.arange(highest + 1), present)[0])
        raise ValueError(
            f"the labels of train must be 0, 1, ..., {highest}, each at least once, got none of "
            f"{absent}: number the classes that occur"
        )
    if test is not None and test.max() > highest:
        row = int(np.argmax(test > highest))
        raise ValueError(f"the labels of test must occur in train, got {test[row]} in row {row}")
    return highest + 1


def _check_metric(task: Task, n_classes: int) -> None:
    kind = task.metric_of.kind
    if task.metric is not None and not n_classes and kind in ("classes", "losses"):
        raise ValueError(
            f"metric must be R2 or a function for targets that are floats, got "
            f"{task.metric_of.name!r}"
        )
    if n_classes and kind == "values":
        raise ValueError(f"metric must suit classes, got {task.metric_of.name!r}")


def _embeddings_of(task: Task, train: Part) -> Callable[[], NDArray[np.float32]] | None:
    given = task.embeddings
    if given is None:
        if not isinstance(train, TensorPart) or not (train.sample_shape and train.holds_values):
            return None
        return _rows_of(train)
    held: list[NDArray[np.float32]] = []

    def find() -> NDArray[np.float32]:
        if not held:
            rows = _check.embeddings("embeddings", given() if callable(given) else given)
            _check.same_length("embeddings", rows, "train", len(train))
            held.append(np.asarray(rows, np.float32))
        return held[0]

    if not callable(given):
        find()
    return find


def _rows_of(part: TensorPart) -> Callable[[], NDArray[np.float32]]:
    return lambda: np.asarray(part.x.flatten(1).float().numpy())


def _noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Return uniform noise of mean 0 and deviation 1."""
    words = values(np.uint64(seed), np.arange(math.prod(shape), dtype=np.uint64))
    units = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return torch.from_numpy(((2 * units - 1) * math.sqrt(3)).astype(np.float32)).reshape(shape)


def _held_out(train: Part) -> NDArray[np.bool_]:
    """Mark the samples for validation, bool (N,)."""
    labels = train.labels
    if labels is None:
        labels = np.zeros(len(train), np.int64)
    return share_of_each_class(labels, _VAL_SHARE, "bench validation split")


def _numeric(part: Part) -> TensorPart:
    """Return a part whose inputs can be copied with noise."""
    if not isinstance(part, TensorPart):
        raise ValueError("near_copies must be omitted for data that are not arrays in memory")
    if not part.holds_values:
        raise ValueError(
            "near_copies must be omitted for inputs that are neither floats nor uint8 images"
        )
    return part


def _at_random(part: Part, most: int, seed: int, n_classes: int) -> NDArray[np.int64]:
    """Return `most` rows of a part, ascending; of each class its share, if there is room."""
    labels = part.labels
    if labels is None or not n_classes or n_classes > most:
        return np.sort(ShuffleSampler(len(part), most, seed=seed).indices(0))
    sizes = np.bincount(labels, minlength=n_classes)
    shares = most * sizes / sizes.sum()
    counts = np.maximum(np.floor(shares).astype(np.int64), np.minimum(sizes, 1))
    while counts.sum() > most:  # at most C times: classes of one sample took more than their share
        counts[np.argmax(np.where(counts > 1, counts - shares, -np.inf))] -= 1
    lacking = np.argsort(np.where(counts < sizes, counts - shares, np.inf), kind="stable")
    counts[lacking[: most - counts.sum()]] += 1
    return first_of_each_class(labels, counts.tolist(), seed)


def share_of_each_class(labels: NDArray[np.int64], share: float, purpose: str) -> NDArray[np.bool_]:
    """Mark a share of every class that has two samples, at least one each, bool (N,)."""
    counts = [min(max(1, round(share * int(n))), max(int(n) - 1, 0)) for n in np.bincount(labels)]
    mask = np.zeros(labels.size, dtype=np.bool_)
    mask[first_of_each_class(labels, counts, int(key(_SPLIT_SEED, 0, purpose)))] = True
    return mask


def first_of_each_class(
    labels: NDArray[np.int64], counts: list[int], seed: int
) -> NDArray[np.int64]:
    """Draw at random `counts[c]` samples of class c (all, if it has fewer), in ascending order."""
    order = ShuffleSampler(labels.size, seed=seed).indices(0)
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within each
    sizes = np.bincount(labels, minlength=len(counts))
    first = np.cumsum(sizes) - sizes
    within = np.arange(labels.size) - np.repeat(first, sizes)
    wanted = np.zeros(sizes.size, np.int64)
    wanted[: len(counts)] = counts
    return np.sort(order[within < np.repeat(wanted, sizes)])


def _digest(*parts: Part) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(str(len(part)).encode())
        if isinstance(part, TensorPart):
            part.feed(digest)
        elif part.labels is not None:
            digest.update(np.ascontiguousarray(part.labels).data)
    return digest.hexdigest()
