"""One small model per kind of data, with the optimizer settings tuned on full data.

The optimizer is SGD with momentum: under Adam a common factor on the gradient cancels, and with it
the effect of InfoBatch's weights. The learning rate is a function of the sampler's progress, so it
covers the run whatever the number of steps.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import nn

_WARM_UP = 0.15
_FIRST = 0.05
_SIDE = 8  # pixels before the last convolution


@dataclass(frozen=True)
class Recipe:
    """A model and its training settings.

    Parameters
    ----------
    layers : callable
        Returns a freshly initialised model for C classes.
    epochs, batch_size : int
        Defaults of the options of the same names.
    learning_rate, weight_decay : float
        Settings of SGD with Nesterov momentum 0.9; the rate is the peak of the schedule.
    threads : int, optional
        Number of torch threads during training; by default torch's own.
    """

    layers: Callable[[int], nn.Module]
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    threads: int | None = None

    def model(self, n_classes: int) -> nn.Module:
        """Build the model."""
        # In this memory layout the convolutions take about half the time on a CPU.
        return self.layers(n_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer of a model's parameters."""
        return torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=0.9,
            nesterov=True,
            weight_decay=self.weight_decay,
        )


@contextlib.contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Set the number of torch threads inside the context; None changes nothing."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def schedule(progress: float) -> float:
    """Return the factor on the peak learning rate at a progress in [0, 1].

    It increases linearly from 0.05 over the first 15 % of the run, then decays to 0 by a cosine.

    >>> [round(schedule(p), 3) for p in (0.0, 0.15, 0.575, 1.0)]
    [0.05, 1.0, 0.5, 0.0]
    """
    if progress < _WARM_UP:
        return _FIRST + (1 - _FIRST) * progress / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))


class Standardised(nn.Module):
    """Inputs with mean 0 and deviation 1, by numbers of the training data.

    The first layer of the models: inputs stay in memory as they are stored, in uint8 or float16.

    Parameters
    ----------
    mean, deviation : array-like of shape (D,)
        Of each feature or channel.
    channels_last : bool, default False
        Whether inputs are images (B, S, S, K), which become (B, K, S, S).
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, mean: ArrayLike, deviation: ArrayLike, *, channels_last: bool = False
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.as_tensor(deviation, dtype=torch.float32))
        self._channels_last = channels_last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return standardised inputs as float32, (B, ...)."""
        x = (x.float() - self.mean) / self.deviation
        return x.permute(0, 3, 1, 2) if self._channels_last else x


def image_layers(size: int, channels: int) -> list[nn.Module]:
    """Return a small network for images of any size: (B, K, S, S) -> (B, 128).

    Convolutions of stride 2 until a side has at most 8 pixels, then one more, and an average over
    all positions.
    """
    layers: list[nn.Module] = []
    inputs, outputs, side = channels, 32, size
    while side > _SIDE:
        first = not layers
        layers += _convolution(inputs, outputs, size=5 if first else 3, stride=2)
        inputs, outputs, side = outputs, min(2 * outputs, 128), (side + 1) // 2
    layers += _convolution(inputs, 128, size=3, stride=1)
    return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def _small_mlp(n_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, n_classes))


def _small_cnn(n_classes: int) -> nn.Module:
    """Three convolutions; an epoch of 55,000 images takes about ten seconds of one core.

    Validation accuracy at full cost is 92 to 93 %. With twice the channels a step takes three times
    as long, and without the second stride 2.5 times.
    """
    return nn.Sequential(
        *_convolution(1, 16, size=5, stride=2),
        *_convolution(16, 32, size=3, stride=2),
        *_convolution(32, 32, size=3, stride=1),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, n_classes),
    )


def _convolution(inputs: int, outputs: int, *, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


RECIPES = {
    "digits": Recipe(
        _small_mlp,
        epochs=20,
        batch_size=64,
        learning_rate=0.05,  # of 0.02 to 0.2, the best on validation at full cost
        weight_decay=1e-4,
        threads=1,  # a second one gains nothing, and made a run 20 times slower on a busy machine
    ),
    "fashion-mnist": Recipe(
        _small_cnn,
        epochs=10,
        batch_size=128,
        learning_rate=0.2,  # of 0.05 to 0.4, the best on validation at full cost
        weight_decay=5e-4,
    ),
}
