"""Weights of a few samples, learnt such that training on them lowers the loss on clean samples.

For a core set: its weights are carried over to all samples by `sampling.selection.propagate`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .. import _check
from .._check._keywords import told
from ..types import Floats

Losses = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Tensors = dict[str, torch.Tensor]


@told
def meta_weights(  # noqa: PLR0913  # two sets of samples
    model: torch.nn.Module,
    loss_fn: Losses,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    clean_inputs: torch.Tensor,
    clean_targets: torch.Tensor,
    *,
    num_steps: int = 100,
    lr: float = 0.1,
    weight_lr: float = 0.1,
) -> Floats:
    """Return weights of samples such that a model trained on them does well on clean samples.

    Each step takes one of gradient descent on the weighted loss, with the graph kept; the loss on
    the clean samples after it is then a function of the weights, which take a step of Adam. A
    sample whose gradient points away from that of the clean samples, such as one with a wrong
    label, loses its weight.

    Every step reads all of the samples: use it on a core set of a few hundred or thousand samples,
    and carry the weights over to all others by `sampling.selection.propagate`.

    Parameters
    ----------
    model : torch.nn.Module
        Where the training begins; it is not changed. In evaluation mode dropout and the statistics
        of batches add no noise.
    loss_fn : callable
        (outputs (B, ...), targets (B, ...)) -> losses (B,), such as cross-entropy with
        `reduction="none"`.
    inputs, targets : tensors of shape (M, ...)
        The core set.
    clean_inputs, clean_targets : tensors of shape (V, ...)
        A small clean sample, such as part of the validation set; none of them in the core set.
    num_steps : int, default 100
    lr : float > 0, default 0.1
        Learning rate of the model.
    weight_lr : float > 0, default 0.1
        Learning rate of the weights, which are sigmoids of what Adam changes, 1/2 at first.

    Returns
    -------
    float64 array of shape (M,)
        Of mean 1, in the order of the core set.

    Raises
    ------
    ValueError
        If lengths differ, `loss_fn` returns another shape than (B,), or a loss is not finite: then
        `lr` is too large.

    Notes
    -----
    Order
        As deterministic as the model.
    Cost
        `num_steps` times: forward, backward and backward of the backward over the M samples,
        forward and backward over the V. Memory of the activations of both, and twice the
        parameters.
    Gradients
        By one step of the inner training at a time: the effect of a weight on later steps is
        ignored.
    Source
        After the abstract of "The Power of Few: Accelerating and Enhancing Data Reweighting with
        Coreset Selection", ICASSP 2024, which leaves open how the weights are learnt; here by the
        one-step look-ahead of Ren, Zeng, Yang, Urtasun, ICML 2018, with weights that persist.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.zeros_(model.weight)
    >>> x = torch.ones(4, 1)
    >>> y = torch.tensor([[1.0], [1.0], [1.0], [-1.0]])  # the last one is wrong
    >>> squared = lambda outputs, targets: (outputs - targets).square().mean(1)
    >>> meta_weights(model, squared, x, y, x[:1], y[:1]).round(1)
    array([1.3, 1.3, 1.3, 0.1])
    """
    steps = _check.integer("num_steps", num_steps, 1)
    lr = _check.number("lr", lr, "(0, inf)")
    weight_lr = _check.number("weight_lr", weight_lr, "(0, inf)")
    _check_given(model, loss_fn, (inputs, targets), (clean_inputs, clean_targets))
    trained = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    if not trained:
        raise ValueError("model must have a trainable parameter, got none")
    fixed = {name: each.detach() for name, each in model.named_parameters() if name not in trained}
    fixed |= {name: each.detach().clone() for name, each in model.named_buffers()}

    def losses_of(parameters: Tensors, rows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        outputs = torch.func.functional_call(model, {**fixed, **parameters}, rows)
        return _checked(loss_fn(outputs, wanted), len(rows))

    raw = torch.zeros(len(inputs), device=inputs.device, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=weight_lr)
    with torch.enable_grad():
        for step in range(steps):
            weights = raw.sigmoid()
            shares = weights / weights.sum()
            begun = {name: each.requires_grad_() for name, each in trained.items()}
            loss = (shares * losses_of(begun, inputs, targets)).sum()
            after = _stepped(begun, loss, lr)
            clean = losses_of(after, clean_inputs, clean_targets).mean()
            if not bool(torch.isfinite(clean)):
                raise ValueError(
                    f"losses must be finite, got {float(clean.detach())} in step {step}: use a "
                    f"smaller lr than {lr:g}"
                )
            (raw.grad,) = torch.autograd.grad(clean, [raw])
            optimizer.step()
            trained = {name: each.detach() for name, each in after.items()}
    found: Any = raw.detach().double().sigmoid().cpu().numpy()
    return np.asarray(found / found.mean(), np.float64)


def _check_given(
    model: torch.nn.Module, loss_fn: Losses, core: tuple[Any, Any], clean: tuple[Any, Any]
) -> None:
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable, got {type(loss_fn).__name__}")
    for prefix, both in (("", core), ("clean_", clean)):
        for name, each in zip(("inputs", "targets"), both, strict=True):
            if not isinstance(each, torch.Tensor):
                raise TypeError(f"{prefix}{name} must be a tensor, got {type(each).__name__}")
            if not each.ndim:
                raise ValueError(f"{prefix}{name} must have a row for each sample, got a scalar")
        inputs, targets = both
        _check.same_length(f"{prefix}targets", targets, f"{prefix}inputs", len(inputs))
    if not len(core[0]) or not len(clean[0]):
        raise ValueError(
            f"inputs and clean_inputs must not be empty, got {len(core[0])} and {len(clean[0])}"
        )


def _stepped(parameters: Tensors, loss: torch.Tensor, lr: float) -> Tensors:
    """Return the parameters after one step of gradient descent, as functions of the weights."""
    gradients = torch.autograd.grad(
        loss, list(parameters.values()), create_graph=True, allow_unused=True
    )
    pairs = zip(parameters.items(), gradients, strict=True)
    return {name: each if own is None else each - lr * own for (name, each), own in pairs}


def _checked(losses: torch.Tensor, size: int) -> torch.Tensor:
    if not isinstance(losses, torch.Tensor) or losses.shape != (size,):
        shape = tuple(getattr(losses, "shape", ()))
        raise ValueError(
            f"loss_fn must return a loss for each sample, ({size},), got {shape}: pass "
            'reduction="none"'
        )
    return losses
