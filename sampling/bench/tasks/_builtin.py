"""The datasets that the benchmark knows by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ._data import Data, data_of, share_of_each_class
from ._idx import read_idx
from ._models import RECIPES
from ._own import Own
from ._task import Task

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


def load(name: str, data_dir: Path | None = None, own: Own | None = None) -> Data:
    """Load a dataset by its name on the command line.

    Parameters
    ----------
    name : {"digits", "fashion-mnist"}
        Name of the dataset.
    data_dir : Path, optional
        Folder with the files of fashion-mnist; by default where Debian's package and torchvision
        put them; digits come with scikit-learn, and have none.
    own : Own, optional
        Learning rate and metric that the user set.

    Raises
    ------
    FileNotFoundError
        If the files are missing; the message says how to get them.
    ValueError
        If a file is damaged or the files do not match.
    """
    return DATASETS[name].load(data_dir, Own(name) if own is None else own)


def files_of(name: str, data_dir: Path | None = None) -> list[Path]:
    """Return the files that a dataset is read from."""
    return _idx_paths(data_dir) if DATASETS[name].files else []


def _digits(data_dir: Path | None, own: Own) -> Data:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = (bunch.images / 16.0).astype(np.float32)
    y = bunch.target.astype(np.int64)
    test = share_of_each_class(y, 0.2, "bench test split")
    return _assemble(own, (x[~test], y[~test]), (x[test], y[test]), val_share=0.15)


def _fashion_mnist(data_dir: Path | None, own: Own) -> Data:
    paths = _idx_paths(data_dir)
    x_train, y_train = _images_and_labels(paths[0], paths[1])
    x_test, y_test = _images_and_labels(paths[2], paths[3])
    return _assemble(own, (x_train, y_train), (x_test, y_test), val_share=1 / 12)


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
    own: Own,
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
    held = share_of_each_class(y, val_share, "bench validation split")
    mean, deviation = float(x[~held].mean()), float(x[~held].std()) or 1.0

    def part(
        images: NDArray[np.float32], classes: NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = ((images - mean) / deviation)[:, None]
        return torch.from_numpy(scaled), torch.from_numpy(classes)

    def examples(indices: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        shown = x[~held][indices]
        return [(255 * image / shown.max()).astype(np.uint8) for image in shown]

    recipe, n_classes = own.changed(RECIPES[own.name]), int(y.max()) + 1
    task = Task(
        part(x[~held], y[~held]),
        part(*test),
        lambda: recipe.model(n_classes),
        val=part(x[held], y[held]),
        metric=own.metric,
        optimizer=recipe.optimizer,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        threads=recipe.threads,
        examples=examples,
        name=own.name,
    )
    return data_of(task, digest.hexdigest())


@dataclass(frozen=True)
class Dataset:
    """A dataset by name: how to load it, a note on its results, whether it has files.

    A fixed number of seeds, if any, is for data on which more would show nothing.
    """

    load: Callable[[Path | None, Own], Data]
    note: str
    files: bool
    seeds: int | None = None


DATASETS = {
    "digits": Dataset(
        _digits,
        "digits (1,797 images of 8 x 8) is a smoke test: it shows that everything runs, and its "
        "accuracies do not rank methods. Use fashion-mnist to compare methods.",
        files=False,
        seeds=5,
    ),
    "fashion-mnist": Dataset(_fashion_mnist, "", files=True),
}
