import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from sampling.bench import _benchmark

FILES = {
    "train-images-idx3-ubyte": (30, 3),
    "train-labels-idx1-ubyte": (30, 1),
    "t10k-images-idx3-ubyte": (4, 3),
    "t10k-labels-idx1-ubyte": (4, 1),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and threads of many tests slow each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """Replace the measurement of a step, of two seconds for each folder of results."""
    found = {"sample_seconds": 1e-5, "forward_ratio": 0.3}
    monkeypatch.setattr(_benchmark, "calibrated", lambda *_: found)


def idx_bytes(array):
    """Write an IDX file the obvious way."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def write_fashion():
    """Return a writer of a small Fashion-MNIST; every image is one grey that names its row."""

    def write(folder: Path, *, compress: bool = False) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (per_class, ndim) in FILES.items():
            labels = np.arange(10 * per_class) % 10
            greys = np.arange(labels.size)[:, None, None] % 256
            array = labels if ndim == 1 else np.broadcast_to(greys, (labels.size, 28, 28))
            content = idx_bytes(array)
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write
