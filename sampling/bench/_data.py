"""Datasets of the benchmark, and their splits.

Train, validation and test never overlap and never depend on the seed of a run: validation is split
off the training set, stratified by class, and used for every curve and choice; the test set is
evaluated once per run, after its last epoch. The seed of a run decides only which samples a long
tail keeps, and which labels are made wrong.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .._rng import key
from ..samplers import ShuffleSampler
from ._idx import read_idx

_SPLIT_SEED = 20240229  # any constant: the split belongs to the dataset, not to a run
_DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
_TORCHVISION_FOLDER = Path("FashionMNIST", "raw")
_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_HOW_TO_GET = (
    "Install it with `apt-get install dataset-fashion-mnist`, or put the four files "
    f"{', '.join(_IDX_FILES)} (with or without .gz) into one folder and pass --data-dir FOLDER"
)


@dataclass(frozen=True)
class Part:
    """Inputs and their classes.

    Parameters
    ----------
    x : float32 tensor of shape (M, ...)
        Inputs, scaled to mean 0 and standard deviation 1 over the training set.
    y : int64 tensor of shape (M,)
        Classes in [0, C).
    """

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: NDArray[np.int64]) -> "Part":
        """Return the given rows as a new part."""
        chosen = torch.from_numpy(rows)
        return Part(self.x[chosen], self.y[chosen])

    def to(self, device: torch.device) -> "Part":
        """Return the part on a device."""
        return Part(self.x.to(device), self.y.to(device))


@dataclass(frozen=True)
class Data:
    """A dataset in memory, split into train, validation and test.

    Parameters
    ----------
    name : str
        Its name on the command line, which also determines the model.
    n_classes : int
        C.
    train, val, test : Part
        The three parts.
    digest : str
        Hash of all inputs and classes, to avoid mixing results of different data.
    metric : {"accuracy", "balanced accuracy"}
        Metric of all runs: balanced accuracy if the training set has a long tail.
    """

    name: str
    n_classes: int
    train: Part
    val: Part
    test: Part
    digest: str
    metric: str = "accuracy"

    def labels(self) -> NDArray[np.int64]:
        """Return the classes of the training part, int64 (N,)."""
        labels: NDArray[np.int64] = self.train.y.numpy()
        return labels

    def pixels(self) -> NDArray[np.float32]:
        """Return the training inputs as rows, float32 (N, D): embeddings for clustering methods."""
        rows: NDArray[np.float32] = self.train.x.flatten(1).numpy()
        return rows

    def long_tailed(self, ratio: float, seed: int) -> "Data":
        """Return the data with class c of the training set cut to n_max * ratio**(-c / (C - 1)).

        Every class keeps at least one sample. Validation and test stay balanced.
        """
        most = int(np.bincount(self.labels(), minlength=self.n_classes).max())
        counts = [
            max(1, round(most * ratio ** (-c / max(self.n_classes - 1, 1))))
            for c in range(self.n_classes)
        ]
        rows = _first_of_each_class(self.labels(), counts, int(key(seed, 0, "bench long tail")))
        return replace(self, train=self.train.take(rows), metric="balanced accuracy")

    def noisy(self, share: float, seed: int) -> "Data":
        """Return the data with a share of the training labels of every class made wrong.

        A wrong label is any of the other classes, with equal probability. Validation and test
        labels stay correct.
        """
        labels = self.labels().copy()
        per_class = np.bincount(labels, minlength=self.n_classes)
        counts = [round(share * int(n)) for n in per_class]
        rows = _first_of_each_class(labels, counts, int(key(seed, 0, "bench label noise")))
        # A shuffle of 0, 1, ... modulo C - 1: every shift occurs equally often, up to one row.
        turns = ShuffleSampler(rows.size, seed=int(key(seed, 0, "bench wrong labels"))).indices(0)
        labels[rows] = (labels[rows] + 1 + turns % (self.n_classes - 1)) % self.n_classes
        return replace(self, train=Part(self.train.x, torch.from_numpy(labels)))

    def few(self, per_class: int) -> "Data":
        """Return a small copy, for warm-up runs."""

        def cut(part: Part) -> Part:
            counts = [per_class] * self.n_classes
            return part.take(_first_of_each_class(part.y.numpy(), counts, 0))

        return replace(self, train=cut(self.train), val=cut(self.val), test=cut(self.test))


def load(name: str, data_dir: Path | None = None) -> Data:
    """Load a dataset by its name on the command line.

    Parameters
    ----------
    name : {"digits", "fashion-mnist"}
        Name of the dataset.
    data_dir : Path, optional
        Folder with the files of fashion-mnist; by default where Debian's package and torchvision
        put them. Refused for digits, which comes with scikit-learn.

    Raises
    ------
    FileNotFoundError
        If the files are missing; the message says how to get them.
    ValueError
        If a file is damaged or the files do not match, or `data_dir` is given for a dataset
        without files.
    """
    check_data_dir(name, data_dir)
    return DATASETS[name].load(data_dir)


def check_data_dir(name: str, data_dir: Path | None) -> None:
    """Refuse a folder for a dataset that has no files."""
    if data_dir is not None and not DATASETS[name].files:
        raise ValueError(f"data_dir must be omitted for {name}, which has no files, got {data_dir}")


def files_of(name: str, data_dir: Path | None = None) -> list[Path]:
    """Return the files that a dataset is read from."""
    return _idx_paths(data_dir) if DATASETS[name].files else []


def _digits(data_dir: Path | None) -> Data:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images / 16.0).astype(np.float32)
    y = bunch.target.astype(np.int64)
    test = _share_of_each_class(y, 0.2, "bench test split")
    return _assemble("digits", (x[~test], y[~test]), (x[test], y[test]), val_share=0.15)


def _fashion_mnist(data_dir: Path | None) -> Data:
    paths = _idx_paths(data_dir)
    x_train, y_train = _images_and_labels(paths[0], paths[1])
    x_test, y_test = _images_and_labels(paths[2], paths[3])
    return _assemble("fashion-mnist", (x_train, y_train), (x_test, y_test), val_share=1 / 12)


def _idx_paths(data_dir: Path | None) -> list[Path]:
    """Return the four files, from the first folder that has all of them."""
    if data_dir is not None:
        folders = [data_dir, data_dir / _TORCHVISION_FOLDER]
    else:
        folders = [_DEBIAN_FOLDER, Path("data") / _TORCHVISION_FOLDER, _TORCHVISION_FOLDER]
    missing = ""
    for folder in folders:
        found = {file: _plain_or_gz(folder / file) for file in _IDX_FILES}
        paths = [path for path in found.values() if path is not None]
        if len(paths) == len(_IDX_FILES):
            return paths
        if paths:
            absent = [file for file, path in found.items() if path is None]
            missing = f" ({folder} lacks {', '.join(absent)})"
    places = ", ".join(map(str, folders))
    raise FileNotFoundError(f"no fashion-mnist in {places}{missing}. {_HOW_TO_GET}")


def _plain_or_gz(path: Path) -> Path | None:
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    return None


def _images_and_labels(images: Path, labels: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    x, y = read_idx(images, 3), read_idx(labels, 1)
    if x.shape[1:] != (28, 28):
        raise ValueError(f"{images} must hold images of 28 x 28, got {x.shape[1]} x {x.shape[2]}")
    if len(x) != len(y):
        raise ValueError(f"{labels} must hold one label per image, {len(x)}, got {len(y)}")
    if y.max() > 9:
        row = int(np.argmax(y > 9))
        raise ValueError(f"{labels} must hold classes in [0, 10), got {y[row]} in row {row}")
    counts = np.bincount(y, minlength=10)
    if counts.min() < 2:
        short = int(np.argmin(counts))
        raise ValueError(f"{labels} must hold every class twice, got {counts[short]} of {short}")
    return x.astype(np.float32) / np.float32(255), y.astype(np.int64)


def _assemble(
    name: str,
    train: tuple[NDArray[np.float32], NDArray[np.int64]],
    test: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    val_share: float,
) -> Data:
    """Split validation off train, scale by the rest of train, and add the channel axis."""
    x, y = train
    digest = hashlib.blake2b(digest_size=8)
    for array in (*train, *test):
        digest.update(np.ascontiguousarray(array).data)
    held = _share_of_each_class(y, val_share, "bench validation split")
    mean, deviation = float(x[~held].mean()), float(x[~held].std()) or 1.0

    def part(images: NDArray[np.float32], classes: NDArray[np.int64]) -> Part:
        scaled = ((images - mean) / deviation)[:, None]
        return Part(torch.from_numpy(scaled), torch.from_numpy(classes))

    return Data(
        name=name,
        n_classes=int(y.max()) + 1,
        train=part(x[~held], y[~held]),
        val=part(x[held], y[held]),
        test=part(*test),
        digest=digest.hexdigest(),
    )


def _share_of_each_class(
    labels: NDArray[np.int64], share: float, purpose: str
) -> NDArray[np.bool_]:
    """Mark a share of every class, at least one sample each, bool (N,)."""
    counts = [max(1, round(share * int(n))) for n in np.bincount(labels)]
    mask = np.zeros(labels.size, dtype=np.bool_)
    mask[_first_of_each_class(labels, counts, int(key(_SPLIT_SEED, 0, purpose)))] = True
    return mask


def _first_of_each_class(
    labels: NDArray[np.int64], counts: list[int], seed: int
) -> NDArray[np.int64]:
    """Draw at random `counts[c]` samples of class c (all, if it has fewer), in ascending order."""
    order = ShuffleSampler(labels.size, seed=seed).indices(0)
    chosen = [order[labels[order] == c][:n] for c, n in enumerate(counts)]
    return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class Dataset:
    """A dataset by name: how to load it, a note on its results, whether it has files."""

    load: Callable[[Path | None], Data]
    note: str
    files: bool


DATASETS = {
    "digits": Dataset(
        _digits,
        "digits (1,797 images of 8 x 8) is a smoke test: it shows that everything runs, and its "
        "accuracies do not rank methods. Use fashion-mnist to compare methods.",
        files=False,
    ),
    "fashion-mnist": Dataset(_fashion_mnist, "", files=True),
}
