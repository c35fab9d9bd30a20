"""Batch sizes from the gradient noise, by statistical tests: for `AdaptiveBatchSampler`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import torch

from .. import _check
from .._check._keywords import told
from ..distributed import all_reduce_sum, world_size

if TYPE_CHECKING:
    import torch.distributed as dist

Test = Literal["norm", "inner_product", "augmented"]


@told
def per_sample_gradients(
    model: torch.nn.Module,
    loss_fn: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """Return the gradient of each sample's loss with respect to all trainable parameters.

    Parameters
    ----------
    model : torch.nn.Module
        Called with one sample at a time, as a batch of 1; no layer may require a larger one.
    loss_fn : callable
        (outputs (1, ...), targets (1, ...)) -> the mean loss, as a scalar.
    inputs, targets : tensors of shape (B, ...)

    Returns
    -------
    tensor of shape (B, P)
        P = number of trainable parameters. Needs B P floats of memory: a subset of the batch, or
        the last layers of the model, is often enough.

    Examples
    --------
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> inputs = torch.tensor([[1.0], [3.0]])
    >>> per_sample_gradients(model, lambda out, _: out.sum(), inputs, inputs)
    tensor([[1.],
            [3.]])
    """
    trained = {name: each.detach() for name, each in model.named_parameters() if each.requires_grad}
    fixed = {name: each.detach() for name, each in model.named_parameters() if name not in trained}
    fixed |= {name: each.detach() for name, each in model.named_buffers()}

    def loss_of(
        parameters: dict[str, torch.Tensor], sample: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        outputs = torch.func.functional_call(model, {**fixed, **parameters}, sample.unsqueeze(0))
        return loss_fn(outputs, target.unsqueeze(0))

    each_gradient = torch.func.vmap(torch.func.grad(loss_of), (None, 0, 0), randomness="different")
    gradients = each_gradient(trained, inputs, targets)
    return torch.cat([gradients[name].flatten(1) for name in trained], dim=1)


@told
def suggest_batch_size(
    gradients: torch.Tensor,
    *,
    test: Test = "norm",
    eta: float = 0.1,
    nu: float = 1.0,
    max_batch_size: int,
) -> int:
    """Return the batch size at which the gradient of a batch would pass a test of its variance.

    With g the mean of the b rows and Var the unbiased variance over them:

        norm            sum over coordinates of Var[g_i] / (eta^2 |g|^2)
        inner_product   Var[<g_i, g>] / (eta^2 |g|^4)
        augmented       the larger of that and Var[g_i across the direction of g] / (nu^2 |g|^2)

    Parameters
    ----------
    gradients : tensor of shape (b, P)
        One gradient per sample, over all parameters together: the tests are not additive over
        groups of parameters.
    test : {"norm", "inner_product", "augmented"}, default "norm"
        The test that the batch size has to pass, see above.
    eta : float > 0, default 0.1
        Noise allowed, as a fraction of the signal; theta for the inner product.
    nu : float > 0, default 1
        The same for the component orthogonal to g; ignored unless "augmented".
    max_batch_size : int
        Upper limit, also returned if g is 0.

    Returns
    -------
    int
        In [b, max_batch_size]: the size never shrinks. b if b = 1, because no variance is known.

    Notes
    -----
    Cost
        A few passes over the b P numbers; on a device it synchronizes.
    Source
        Byrd et al., 2012 (norm); Bollapragada, Byrd, Nocedal, 2018 (inner product); Lau, Liu,
        Kolar, arXiv:2402.11215, 2024.

    Examples
    --------
    >>> gradients = torch.tensor([[2.0], [4.0], [2.0], [4.0]])
    >>> suggest_batch_size(gradients, eta=0.1, max_batch_size=64)  # (4/3) / (0.01 * 9) = 14.8
    15
    """
    test = _check.choice("test", test, ("norm", "inner_product", "augmented"))
    eta = _check.number("eta", eta, "(0, inf)")
    nu = _check.number("nu", nu, "(0, inf)")
    if gradients.ndim != 2 or gradients.shape[0] == 0:
        raise ValueError(f"gradients must have shape (b, P), got {tuple(gradients.shape)}")
    rows = gradients.detach().double()
    size = rows.shape[0]
    maximum = _check.integer("max_batch_size", max_batch_size, 1)
    if size == 1:
        return min(size, maximum)
    mean = rows.mean(0)
    power = float(mean.square().sum())
    if not math.isfinite(power):
        raise ValueError(f"gradients must be finite, got a mean of squared length {power}")
    if power == 0.0:
        return maximum if bool(rows.any()) else min(size, maximum)
    if test == "norm":
        noise = [(float((rows - mean).square().sum()) / (size - 1), eta**2 * power)]
    else:
        along = rows @ mean
        noise = [(float(along.var()), eta**2 * power**2)]
    if test == "augmented":
        across = rows - torch.outer(along / power, mean)
        noise.append((float(across.square().sum()) / (size - 1), nu**2 * power))
    return _grown(size, noise, maximum)


@told
def suggest_batch_size_from_ranks(
    gradients: Iterable[torch.Tensor],
    batch_size: int,
    *,
    eta: float = 0.1,
    max_batch_size: int,
    process_group: dist.ProcessGroup | None = None,
) -> int:
    """Return the batch size that the norm test gives for the gradients of the ranks.

    The variance of the ranks' mean gradients is W / b times that of single samples: sum of Var =
    (b / W) * sum over ranks of |g_w - g|^2 / (W - 1). No per-sample gradient is needed. Every rank
    must call it.

    Parameters
    ----------
    gradients : iterable of tensors
        This rank's own mean gradient, such as `p.grad` of each parameter after `backward` inside
        `DistributedDataParallel.no_sync`: after averaging, all ranks have the same.
    batch_size : int
        b, number of samples, summed over all ranks.
    eta : float > 0, default 0.1
        Noise allowed, as a fraction of the signal.
    max_batch_size : int
        Upper limit, summed over all ranks.
    process_group : torch.distributed.ProcessGroup, optional
        The ranks that train together. All ranks by default.

    Returns
    -------
    int
        Batch size summed over all ranks, in [batch_size, max_batch_size]; equal on every rank.

    Raises
    ------
    ValueError
        On one rank, where there is no variance between ranks.

    Notes
    -----
    Cost
        Two all-reduces: one of the gradient, one of a number. With few ranks the result is noisy
        (W - 1 degrees of freedom a coordinate): average it over steps.
    """
    ranks = world_size(process_group)
    if ranks < 2:
        raise ValueError(f"suggest_batch_size_from_ranks needs at least 2 ranks, got {ranks}")
    eta = _check.number("eta", eta, "(0, inf)")
    size = _check.integer("batch_size", batch_size, ranks)
    maximum = _check.integer("max_batch_size", max_batch_size, 1)
    own = torch.cat([each.detach().flatten() for each in gradients])
    mean = all_reduce_sum(own, process_group) / ranks
    scatter = all_reduce_sum((own - mean).double().square().sum(), process_group)
    variance = size / ranks * float(scatter) / (ranks - 1)
    return _grown(size, [(variance, eta**2 * float(mean.double().square().sum()))], maximum)


def _grown(size: int, noise: list[tuple[float, float]], maximum: int) -> int:
    """Return the smallest size, at least `size`, at which every variance is within its limit."""
    wanted = size
    for variance, allowed in noise:
        if variance >= allowed * maximum:  # also where the gradient vanishes
            return maximum if variance > 0 else min(wanted, maximum)
        wanted = max(wanted, math.ceil(variance / allowed))
    return min(wanted, maximum)
