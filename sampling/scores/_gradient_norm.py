"""The gradient norm of each sample with respect to its logits, from the forward pass alone."""

from __future__ import annotations

import torch

from .. import _check
from .._check._keywords import told
from ._heads import binary_ids, is_one_output, two_columns


@told
def gradient_norm_bound(
    logits: torch.Tensor, labels: torch.Tensor, *, multi_label: bool = False
) -> torch.Tensor:
    """Return the norm of the gradient of each sample's loss by its logits: |softmax - target|.

    Up to a factor shared by all samples it bounds the gradient norm of all parameters, so it
    ranks samples by how much they change the model, at the cost of a softmax. `el2n` is the same
    number for stored logits in numpy; this function is for a training step and stays on the device.

    Parameters
    ----------
    logits : floating tensor of shape (B, C)
        Before the softmax or sigmoid. Shapes (B, 1) and (B,) are those of a model of one output z,
        read as the two outputs 0 and z.
    labels : tensor of shape (B,) or (B, C)
        Classes as ints (B,), or a target for each class (B, C): probabilities, as from mixup or
        label smoothing, or for `multi_label` values in [0, 1]. For a model of one output, 0 or 1
        of any dtype, of shape (B,) or (B, 1).
    multi_label : bool, default False
        Use one sigmoid per class, |sigmoid - target|, instead of a softmax over all classes.

    Returns
    -------
    float32 tensor of shape (B,)
        Detached, on the device of the logits; float64 for float64. NaN where a class is not in
        [0, C), such as -100 for "no label": samplers count such norms and do not store them.

    Raises
    ------
    TypeError
        If logits or labels are not tensors, or the logits are not floating.
    ValueError
        If the shapes do not match, or a label of one output is not 0 or 1 (on a device its norm is
        NaN instead).

    Notes
    -----
    Cost
        O(B C); does not wait for the device. float16 and bfloat16 are computed in float32.
    Gradients
        None. The norm is that of the gradient of `cross_entropy` (also if the targets of a row do
        not sum to 1) or of the summed `binary_cross_entropy_with_logits`. A loss divided by C or
        weighted by class has another norm.
    Source
        Katharopoulos, Fleuret, "Not All Samples Are Created Equal: Deep Learning with Importance
        Sampling", ICML 2018.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 0.0], [200.0, 0.0]])
    >>> gradient_norm_bound(logits, torch.tensor([0, 0]))
    tensor([0.7071, 0.0000])
    >>> gradient_norm_bound(logits, torch.tensor([[0.5, 0.5], [0.0, 1.0]]))
    tensor([0.0000, 1.4142])
    """
    multi_label = _check.flag("multi_label", multi_label)
    _check_types(logits, labels)
    if logits.ndim > 0 and is_one_output(logits, len(logits)):
        if multi_label:
            logits = logits.reshape(-1, 1)
            labels = labels.reshape(-1, 1) if labels.ndim == 1 else labels
        else:
            logits, labels = two_columns(logits), binary_ids(labels, len(logits))
            labels = labels.to(logits.device, non_blocking=True)
    _check_pair(logits, labels, multi_label)
    logits = logits.detach()
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if labels.ndim == 1:
        return _of_classes(logits.softmax(dim=1), labels.detach())
    targets = labels.detach().to(logits.dtype)
    if multi_label:
        error = logits.sigmoid() - targets
    else:
        error = logits.softmax(dim=1) * targets.sum(dim=1, keepdim=True) - targets
    norms: torch.Tensor = torch.linalg.vector_norm(error, dim=1)
    return norms


def _of_classes(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return |softmax - onehot|, without the rounding of 1 - p when p is nearly 1."""
    known = (labels >= 0) & (labels < probabilities.shape[1])
    others = probabilities.scatter(1, torch.where(known, labels, 0).long()[:, None], 0.0)
    norms = torch.sqrt(others.square().sum(dim=1) + others.sum(dim=1).square())
    return norms.masked_fill(~known, torch.nan)


def _check_types(logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Refuse arguments that are not tensors, and logits that are not floating."""
    for name, tensor in (("logits", logits), ("labels", labels)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating, got {logits.dtype}")


def _check_pair(logits: torch.Tensor, labels: torch.Tensor, multi_label: bool) -> None:
    """Refuse tensors whose shapes are not (B, C) and (B,) or (B, C)."""
    if logits.ndim != 2:
        raise ValueError(f"logits must have shape (B, C), got {tuple(logits.shape)}")
    if labels.shape == logits.shape:
        return
    if multi_label or labels.ndim != 1:
        rule = f"the shape of the logits, {tuple(logits.shape)}"
        rule += "" if multi_label else f", or ({logits.shape[0]},)"
        raise ValueError(f"labels must have {rule}, got {tuple(labels.shape)}")
    if labels.shape[0] != logits.shape[0]:
        raise ValueError(
            f"labels must be one for each row of the logits, {logits.shape[0]}, "
            f"got {labels.shape[0]}"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise TypeError(f"labels of shape (B,) must be ints, got {labels.dtype}")
