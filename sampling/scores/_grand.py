"""The gradient norm (GraNd) of each sample, over all parameters or the last layer only.

Over all parameters it costs a backward pass per sample. The gradient of the last layer is an outer
product, so its norm is a product of two norms and costs one forward pass; it ranks much the same
late in training, but is another score and has its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .. import _check
from .._check._keywords import told
from ..record import Score
from ..types import Floats

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@told
def grand(
    model: torch.nn.Module,
    loss_fn: LossFunction,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    last_layer: bool = False,
    batch_size: int = 64,
) -> Score:
    """Return the GraNd score, the norm of the gradient of each sample's loss: "harder".

    Parameters
    ----------
    model : torch.nn.Module
        Called in evaluation mode; its mode is restored afterwards. In training mode batch norm
        would make the gradient of a sample depend on its batch.
    loss_fn : callable
        (outputs (1, ...), labels (1, ...)) -> the loss, a scalar.
    inputs : tensor of shape (N, ...)
        Moved to the device of the model batch by batch.
    labels : tensor of shape (N, ...)
        Targets, as `loss_fn` expects them.
    last_layer : bool, default False
        Use only the weight and bias of the last `torch.nn.Linear`, which must produce the outputs.
        For the cross-entropy: |softmax - onehot| * sqrt(1 + |h|^2), with h the input of that layer.
    batch_size : int, default 64
        Samples whose gradients are in memory at the same time: `batch_size` times the parameters,
        unless `last_layer`.

    Returns
    -------
    Score
        float64 (N,), named "grand" or "grand_last_layer".

    Raises
    ------
    ValueError
        If the model has no trainable parameter, if a gradient is not finite (the message names the
        row), or if the last linear layer does not produce the outputs.

    Notes
    -----
    Cost
        N backward passes, vectorised; with `last_layer` N forward passes.
    Source
        Paul, Ganguli, Dziugaite, arXiv:2107.07075, 2021: the mean over about ten runs, see
        `mean_scores`. Do not use it at initialisation: there the score follows the norm of the
        input and prunes no better than random (Kirsch, arXiv:2303.14753, 2023).

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> inputs = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    >>> grand(model, lambda out, _: out.sum(), inputs, torch.zeros(2)).values
    array([5., 1.])
    """
    last_layer = _check.flag("last_layer", last_layer)
    size = _check.integer("batch_size", batch_size, 1)
    _check.same_length("labels", labels, "inputs", len(inputs))
    if len(inputs) == 0:
        raise ValueError("inputs must not be empty, got length 0")
    lengths = _last_layer_squares if last_layer else _squares
    found: Floats = np.empty(len(inputs))
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    with _evaluating(model):
        for start in range(0, len(inputs), size):
            here = slice(start, start + size)
            squares = lengths(model, loss_fn, inputs[here].to(device), labels[here].to(device))
            found[here] = squares.double().sqrt().cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size:
        raise ValueError(f"gradients must be finite, got a length of {found[bad[0]]} "
                         f"in row {bad[0]} ({bad.size} such rows)")  # fmt: skip
    return Score(found, "harder", "grand_last_layer" if last_layer else "grand")


def _squares(
    model: torch.nn.Module, loss_fn: LossFunction, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the squared gradient norm of each sample over all parameters: (B, ...) -> (B,)."""
    trained = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    if not trained:
        raise ValueError("model must have trainable parameters, got none")
    fixed = {name: each.detach() for name, each in model.named_parameters() if name not in trained}
    fixed |= {name: each.detach() for name, each in model.named_buffers()}

    def loss_of(
        parameters: dict[str, torch.Tensor], sample: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        outputs = torch.func.functional_call(model, {**fixed, **parameters}, sample.unsqueeze(0))
        return loss_fn(outputs, label.unsqueeze(0))

    gradients = torch.func.vmap(torch.func.grad(loss_of), (None, 0, 0))(trained, inputs, labels)
    total = torch.zeros(len(inputs), dtype=torch.float64, device=inputs.device)
    for each in gradients.values():
        total += each.flatten(1).double().square().sum(1)
    return total


def _last_layer_squares(
    model: torch.nn.Module, loss_fn: LossFunction, inputs: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the squared norm for the last linear layer: |gradient by outputs|^2 (|h|^2 + 1)."""
    linear = [each for each in model.modules() if isinstance(each, torch.nn.Linear)]
    if not linear:
        raise ValueError("model must have a torch.nn.Linear for last_layer=True, got none")
    layer, seen = linear[-1], []

    def keep(_: torch.nn.Module, arguments: tuple[Any, ...], outputs: torch.Tensor) -> None:
        seen.append((arguments[0], outputs))

    hook = layer.register_forward_hook(keep)
    try:
        with torch.no_grad():
            outputs = model(inputs)
    finally:
        hook.remove()
    if len(seen) != 1 or seen[0][1].ndim != 2 or not torch.equal(seen[0][1], outputs):
        raise ValueError(
            "the last torch.nn.Linear must make the outputs of the model, (B, C), for "
            f"last_layer=True, got outputs of shape {tuple(outputs.shape)} made otherwise"
        )

    def loss_of(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return loss_fn(output.unsqueeze(0), label.unsqueeze(0))

    by_output: torch.Tensor = torch.func.vmap(torch.func.grad(loss_of))(outputs, labels)
    inward: torch.Tensor = seen[0][0].double().square().sum(1)
    if layer.bias is not None:
        inward = inward + 1.0
    return by_output.double().square().sum(1) * inward


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode inside the context."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
