"""A forward pass that leaves the model unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from .. import _check
from .._check._keywords import told

Mode = Literal["eval", "train"]


@told
@contextmanager
def frozen_statistics(model: torch.nn.Module, mode: Mode = "eval") -> Iterator[None]:
    """Run forward passes that leave the model's statistics and modes unchanged.

    Use it around any forward pass that is not a training step, such as the scoring pass of a
    `BatchSelector`. A forward pass under `torch.no_grad()` alone still updates the running
    statistics of batch norm, so that every sample counts twice.

    Parameters
    ----------
    model : torch.nn.Module
        Its modules may be in different modes, such as a batch norm kept in eval mode by
        fine-tuning: each module's own mode is restored.
    mode : {"eval", "train"}, default "eval"
        "eval": every module is put in eval mode: no dropout, batch norm by its running statistics,
        so a sample's loss depends on the sample only, and no random number is drawn.
        "train": the modes are unchanged, and every buffer is restored at the end. Losses are then
        those of training (batch norm by the batch, dropout drawn from torch's generators), and
        depend on the other samples of the batch.

    Returns
    -------
    context manager

    Notes
    -----
    Order
        Modes and buffers are restored after an exception too. Modes are set module by module, not
        by `model.eval()`, whose overrides may do more than set a mode.
    Cost
        "eval": one pass over the modules. "train": the buffers are copied twice.

    Examples
    --------
    >>> norm = torch.nn.BatchNorm1d(1)
    >>> with torch.no_grad(), frozen_statistics(norm):
    ...     _ = norm(torch.tensor([[1.0], [3.0]]))
    >>> norm.running_mean, norm.training
    (tensor([0.]), True)
    """
    mode = _check.choice("mode", mode, ("eval", "train"))
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module, _ in modes
        for name, buffer in module.named_buffers(recurse=False)
        if mode == "train"
    ]
    try:
        if mode == "eval":
            for module, _ in modes:
                module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for module, name, buffer, before in buffers:
                buffer.copy_(before)
                setattr(module, name, buffer)  # some layers replace a buffer instead of writing
