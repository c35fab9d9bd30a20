"""Passing indices through the collator, and losses of single samples from model outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import nn

from ..scores._heads import binary_ids, is_one_output, two_columns
from ._loader_chain import AnySampler

IGNORED = -100  # the label that is ignored, here as everywhere in transformers


def logits_of(outputs: Any) -> torch.Tensor:  # a ModelOutput, mapping, tuple or tensor
    """Return the logits: a mapping's "logits", else the tensor, else the first one of a tuple.

    If a tuple begins with a scalar, this is the loss, as models of transformers return it.
    """
    if isinstance(outputs, Mapping):
        outputs = outputs.get("logits")
    elif isinstance(outputs, tuple | list):
        tensors = [each for each in outputs if isinstance(each, torch.Tensor) and each.ndim > 0]
        tensors.sort(key=lambda each: each.ndim == 1)  # one output per sample, if no others
        outputs = tensors[0] if tensors else None
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(
            "the model must return logits, or per_sample_loss be overridden, got "
            f"{type(outputs).__name__}"
        )
    return outputs


def problem_of(model: Any) -> str | None:  # the user's, perhaps wrapped
    """Return the `problem_type` of a model's config, as transformers reads it; else None."""
    config = getattr(getattr(model, "module", model), "config", None)
    problem = getattr(config, "problem_type", None)
    if problem is None and getattr(config, "num_labels", None) == 1:
        problem = "regression"
    return problem if isinstance(problem, str) else None


def mean_loss(found: Any) -> torch.Tensor:  # what `per_sample_loss` returned
    """Return the mean of losses (B,), each weighted by its number of items."""
    losses, items = found if isinstance(found, tuple) else (found, None)
    if items is None:
        mean: torch.Tensor = losses.mean()
        return mean
    weighted: torch.Tensor = (losses * items).sum() / items.sum()
    return weighted


def label_losses(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    shift: bool,
    smoothing: float,
    problem: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return losses (B,), and the number of tokens each is the mean of, or None for one each.

    logits  : floating (B, C), (B, 1) or (B,) of one output, or (B, T, C) for token labels
    labels  : int (B,) or (B, T); -100 is ignored. For one output 0 or 1, ints or floats.
              Floats (B, C) for multi-label data
    shift   : whether position t predicts label t + 1
    problem : `problem_type` of transformers
    """
    size = len(logits) if logits.ndim else 0
    several = labels.is_floating_point() and labels.shape == logits.shape and logits.ndim == 2
    if problem == "regression":
        return _apart(nn.functional.mse_loss, logits, labels, smoothing, problem), None
    if problem == "multi_label_classification" or (several and logits.shape[1] > 1):
        loss = nn.functional.binary_cross_entropy_with_logits
        return _apart(loss, logits, labels, smoothing, "multi_label_classification"), None
    if is_one_output(logits, size):
        return _binary(logits, labels, smoothing), None
    if labels.is_floating_point() or logits.ndim not in {2, 3}:
        raise ValueError(
            "labels must be class numbers of samples or tokens, or per_sample_loss be overridden, "
            f"got {labels.dtype} of shape {tuple(labels.shape)} for logits of shape "
            f"{tuple(logits.shape)}"
        )
    if logits.ndim == 2:
        labels = labels.reshape(-1)
    elif shift:
        logits, labels = logits[:, :-1], labels[:, 1:]
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            "labels must be one for each row of logits, or per_sample_loss be overridden, got "
            f"{tuple(labels.shape)} for logits of shape {tuple(logits.shape)}"
        )
    losses = nn.functional.cross_entropy(
        logits.float().movedim(-1, 1),
        labels,
        reduction="none",
        ignore_index=IGNORED,
        label_smoothing=smoothing,
    )
    if logits.ndim == 2:
        return losses, None
    items = labels.ne(IGNORED).sum(1)
    return losses.sum(1) / items.clamp(min=1), items


def _apart(
    loss: Callable[..., torch.Tensor],
    logits: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
    problem: str,
) -> torch.Tensor:
    """Return the mean over the outputs of each sample of an elementwise loss: (B,)."""
    if labels.numel() != logits.numel() or len(labels) != len(logits):
        raise ValueError(
            f"labels must have the shape of the logits, {tuple(logits.shape)}, for "
            f"problem_type={problem!r}, or per_sample_loss be overridden, got {tuple(labels.shape)}"
        )
    if smoothing:
        raise ValueError(
            f"label_smoothing_factor must be 0 for problem_type={problem!r}, got {smoothing:g}"
        )
    values = logits.float().flatten(1) if logits.ndim > 1 else logits.float().unsqueeze(1)
    return loss(values, labels.to(values.dtype).reshape(values.shape), reduction="none").mean(1)


def _binary(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Return the binary cross-entropies of one output, as those of the two outputs 0 and z."""
    try:
        classes = binary_ids(labels, len(logits))
    except ValueError as error:
        raise ValueError(
            f"{error}; set problem_type of the model's config to 'regression' to learn numbers, or "
            "override per_sample_loss"
        ) from None
    losses = nn.functional.cross_entropy(
        two_columns(logits.float()),
        classes.clamp(min=0),
        reduction="none",
        label_smoothing=smoothing,
    )
    losses = torch.where(classes == IGNORED, 0.0, losses)
    return torch.where((classes < 0) & (classes != IGNORED), torch.nan, losses)


def answers_of(
    outputs: Any,
    labels: Any,
    size: int,
) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    """Return logits (B, C) and labels of samples for `reduce`; None if labels are of tokens.

    Samplers that use more than the loss require them; the others ignore both.
    """
    try:
        logits = logits_of(outputs)
    except ValueError:  # a user-defined loss may need none
        return None, None
    if not isinstance(labels, torch.Tensor) or logits.ndim == 0 or len(logits) != size:
        return None, None
    if is_one_output(logits, size):
        return (logits, labels.reshape(-1)) if labels.numel() == size else (None, None)
    if logits.ndim != 2:
        return None, None
    if labels.shape == logits.shape:
        return logits, labels
    if labels.numel() == size and not labels.is_floating_point():
        return logits, labels.reshape(-1)
    return None, None


def reduce_items(  # noqa: PLR0913  # the arguments of `reduce`, and the items of each loss
    sampler: AnySampler,
    losses: torch.Tensor,
    indices: torch.Tensor,
    items: torch.Tensor | None,
    denominator: float | torch.Tensor,
    answers: tuple[torch.Tensor, torch.Tensor] | tuple[None, None] = (None, None),
) -> torch.Tensor:
    """Return the sampler's weighted sum of losses over a denominator; records the losses.

    items : number (B,), how many times to count each loss, in addition to its weight; None for once
    answers : logits and labels, for `reduce`
    """
    logits, labels = answers
    if items is None:
        return sampler.reduce(
            losses, indices, denominator=denominator, logits=logits, labels=labels
        )
    # The losses are what is recorded, so they are passed to `reduce` unchanged; its gradient is the
    # factor of each of them: the weight, the number of processes, 0 if it is dropped.
    probe = losses.detach().requires_grad_()
    with torch.enable_grad():
        total = sampler.reduce(probe, indices, denominator=1.0, logits=logits, labels=labels)
        (factors,) = torch.autograd.grad(total, probe)
    counted = torch.where(factors == 0, 0.0, losses)
    return (factors * items * counted).sum() / denominator


def count_step(
    batches: Sequence[Mapping[str, Any]], index_key: str, *, shift: bool, device: torch.device
) -> torch.Tensor:
    """Return the numbers of samples and of labels in the batches of a step: int64 (2,)."""
    counts = torch.zeros(2, dtype=torch.int64, device=device)
    for batch in batches:
        counts[0] += batch[index_key].numel()
        labels = batch.get("labels")
        if isinstance(labels, torch.Tensor):
            labels = labels[..., 1:] if shift and labels.ndim > 1 else labels
            counts[1] += labels.ne(IGNORED).sum().to(device)
    return counts


class IndexCollator:
    """A `collate_fn` for (index, sample) pairs that adds the indices to the batch.

    It wraps the user's collator, which receives only the samples: nothing can drop the indices, or
    pad them.

    Parameters
    ----------
    collate : callable
        Function from a list of samples to a mapping.
    key : str
        Key of the indices in the batch.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], key: str) -> None:
        self.collate = collate
        self.key = key

    def __call__(self, pairs: Sequence[tuple[int, Any]]) -> Any:
        """Collate a batch."""
        for pair in pairs:
            if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[0], int):
                raise ValueError(
                    "the training loader must yield the (index, sample) pairs of sampling.Indexed, "
                    f"got {type(pair).__name__}: call super().get_train_dataloader() in an own "
                    "get_train_dataloader"
                )
        batch = self.collate([sample for _, sample in pairs])
        if not isinstance(batch, MutableMapping):
            raise TypeError(
                f"data_collator must return a mapping to keep the index, got {type(batch).__name__}"
            )
        if self.key in batch:
            raise ValueError(
                f"index_key must be a name that batches do not have, got {self.key!r}: pass another"
            )
        batch[self.key] = torch.tensor([index for index, _ in pairs], dtype=torch.int64)
        return batch
