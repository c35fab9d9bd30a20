"""A task of your own for the benchmark: data, a model, a loss and a metric.

    pip install 'sampling[bench]'
    sampling bench own_task.py:make --methods infobatch --keep 0.5,0.7 --dry-run

Without `--dry-run` it trains. The functions are imported by name in each process, so the data must
be read in `make`, not when the file is imported.
"""

from functools import partial

import numpy as np
import torch
from sklearn.datasets import load_digits

from sampling.bench import Task


def model() -> torch.nn.Module:
    """Return a new model; torch's generator is seeded by the run."""
    return torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 8, 8)),
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 4 * 4, 10),
    )


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss of each sample: here with smoothed labels."""
    return torch.nn.functional.cross_entropy(
        outputs, targets, reduction="none", label_smoothing=0.1
    )


def worst_class(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Return the accuracy of the class that is recognised worst; higher is better."""
    correct = outputs.argmax(1) == targets
    return min(float(correct[targets == each].mean()) for each in np.unique(targets))


def make() -> Task:
    """Return the task: a random test set, and what differs from the defaults."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    rows = np.random.default_rng(0).permutation(len(labels))
    train, test = rows[:1200], rows[1200:]
    return Task(
        (images[train], labels[train]),
        (images[test], labels[test]),
        model,
        loss,
        worst_class,
        optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        epochs=10,
        batch_size=32,
        class_names=tuple("0123456789"),
        name="digits-worst-class",
    )
