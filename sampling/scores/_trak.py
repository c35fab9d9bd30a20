"""Attribution of each training sample to each target sample by TRAK, with its authors' library.

TRAK needs only gradients of trained models, whereas influence by leave-one-out retraining needs
thousands of training runs.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .. import _check, _rng
from .._check._keywords import told
from .._files._paths import Kind, check_outputs, written_whole
from .._optional import require
from ._attribution import AttributionScores

Batch = tuple[torch.Tensor, ...]
# Such a file does not record which program wrote it, so an existing one is never replaced.
_MATRIX = Kind("a matrix", ".npy", None)
_ONE_BLOCK = 100  # dimensions that the library projects to in one block


@told
def trak(  # noqa: PLR0913  # data, models, and what TRAK depends on
    model: torch.nn.Module,
    train: Dataset[Any],
    targets: Dataset[Any],
    *,
    path: str | Path | None = None,
    checkpoints: Sequence[Mapping[str, Any]] | None = None,
    task: Any = "image_classification",  # a class of the library, or its name
    proj_dim: int = 2048,
    lambda_reg: float = 0.0,
    batch_size: int = 64,
    seed: int = 0,
) -> AttributionScores:
    """Return the TRAK attribution of each training sample to each target.

    A high value means that training on the sample raises the model's output for the target, which
    for classifiers is the log odds of its label: keep the sample. To select for the targets, pass
    `score` of the result to `selection.top`, as DsDm does.

    Parameters
    ----------
    model : torch.nn.Module
        Trained on `train`; copied, evaluated on the device of its parameters, and not modified.
        Frozen parameters are ignored.
    train, targets : torch.utils.data.Dataset
        N and T samples (input, label), tensors that collate; for another `task` its tuples.
    path : str or pathlib.Path, optional
        File to which the matrix is written atomically, as .npy; the result is memory-mapped. An
        existing file is refused, not replaced. By default the matrix is kept in memory.
    checkpoints : sequence of state dicts, optional
        Independently trained models, better than one: scores are averaged over them. By default
        only the model as given.
    task : str or trak.modelout_functions.AbstractModelOutput, default "image_classification"
        Model output function; the default is for any classifier (input) -> logits.
    proj_dim : int, default 2048
        Dimension to which gradients are projected; at most N and the number of parameters,
        unless `lambda_reg` > 0.
    lambda_reg : float in [0, inf), default 0
        Added to the diagonal before inversion. Results depend on it: try several values.
    batch_size : int, default 64
        Samples whose gradients are in memory at the same time.
    seed : int in [0, 2**64), default 0
        Seed of the projection.

    Returns
    -------
    AttributionScores
        float32 (N, T). The scores have no unit: the library divides by a mean that depends on the
        checkpoint. Compare rows of one model by value, and those of two models by rank.

    Raises
    ------
    ValueError
        If the inverse cannot exist because `proj_dim` is too large. If `path` exists.
    TypeError
        If a batch is not a tuple of tensors.

    Notes
    -----
    Cost
        A backward pass and a projection for each sample, target and checkpoint. Without the package
        `fast_jl`, for GPUs, the projection of P parameters is drawn again for each batch, P
        `proj_dim` numbers: use large batches. Temporary files next to `path` take 8 N `proj_dim`
        bytes per checkpoint; memory use is 12 N T bytes at the end: if there are many targets,
        process some at a time.
    Source
        Park, Georgiev, Ilyas, Leclerc, Madry, "TRAK: Attributing Model Behavior at Scale", ICML
        2023, by the package `traker`, in single precision; the extra `attribution`.

    Examples
    --------
    >>> inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    >>> data = torch.utils.data.TensorDataset(inputs, (inputs[:, 0] > 0).long())
    >>> targets = torch.utils.data.Subset(data, [0, 1, 2])
    >>> found = trak(torch.nn.Linear(4, 2), data, targets, proj_dim=4)
    >>> found.matrix.shape, found.score("mean").higher_is
    ((64, 3), 'keep')
    """
    library = require("trak", "attribution", "sampling.scores.trak")
    if path is not None:
        check_outputs([(path, _MATRIX)])
    size, number = _check.size("train", train), _check.size("targets", targets)  # type: ignore[arg-type]  # a Dataset with a length
    at_once = _check.integer("batch_size", batch_size, 1)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    if not trained:
        raise ValueError("model must have trainable parameters, got none")
    proj_dim = _check.integer("proj_dim", proj_dim, 2)
    ridge = _check.number("lambda_reg", lambda_reg, "[0, inf)")
    most = min(size, sum(trained.values()))
    if ridge == 0 and proj_dim > most:
        raise ValueError(f"proj_dim must be at most {most}, the samples or the parameters, unless "
                         f"lambda_reg > 0, got {proj_dim}")  # fmt: skip
    states = (
        [model.state_dict()] if checkpoints is None else _check.listed("checkpoints", checkpoints)
    )
    if not states:
        raise ValueError("checkpoints must hold at least one state dict, got none")
    twin = copy.deepcopy(model).requires_grad_(False)
    device = next(twin.parameters()).device
    projection_seed = int(_rng.key(_check.seed(seed), 0, "trak")) >> 16  # it adds to its seeds
    make = partial(
        library.TRAKer,
        twin,
        task,
        size,
        device=str(device),
        use_half_precision=False,
        lambda_reg=ridge,
        logging_level=logging.WARNING,
        grad_wrt=list(trained),
        **_projection(library, sum(trained.values()), proj_dim, projection_seed, str(device)),
    )
    batches = partial(_batches, at_once=at_once, device=device)
    work = partial(
        _scores, make, states, partial(batches, train), partial(batches, targets), number
    )
    if path is None:
        with TemporaryDirectory() as folder:
            return AttributionScores(np.array(work(folder)))
    with (
        written_whole(path, _MATRIX) as beside,
        TemporaryDirectory(dir=beside.parent) as folder,
    ):
        Path(work(folder).filename).replace(beside)
    return AttributionScores(np.load(path, mmap_mode="r"))


def _projection(
    library: Any, size: int, dim: int, seed: int, device: str
) -> dict[str, Any]:  # a module
    """Return the arguments that choose the projection of gradients (B, size) -> (B, dim)."""
    if dim > _ONE_BLOCK:
        return {"proj_dim": dim, "projector_seed": seed}
    # traker 0.3.2 fails with a single block: it is freed after the samples, and not created again
    # for the targets. Two blocks are created again for every batch.
    kind = library.projectors
    half = -(-dim // 2)
    projector = kind.BasicProjector(
        size, dim, seed, kind.ProjectionType.normal, device, block_size=half
    )
    return {"proj_dim": None, "projector": projector}


def _batches(data: Dataset[Any], at_once: int, device: torch.device) -> Iterator[Batch]:
    """Yield the samples in dataset order, as tuples of tensors on the device."""
    # Its own generator: a DataLoader draws a seed for its workers, even if it has none.
    loader = DataLoader(data, at_once, generator=torch.Generator())
    for batch in loader:
        if not isinstance(batch, list | tuple) or not all(map(torch.is_tensor, batch)):
            raise TypeError(f"samples must be tuples of tensors, got batches of {type(batch)}")
        yield tuple(each.to(device) for each in batch)


def _scores(
    make: Callable[..., Any],
    states: Sequence[Mapping[str, Any]],
    train: Callable[[], Iterator[Batch]],
    targets: Callable[[], Iterator[Batch]],
    number: int,
    folder: str,
) -> Any:  # numpy.memmap
    """Run TRAK in its own folder; return the scores, stored in a file there."""
    handlers = list(logging.root.handlers)
    tracer = make(save_dir=folder)
    for handler in [each for each in logging.root.handlers if each not in handlers]:
        logging.root.removeHandler(handler)  # the library calls logging.basicConfig
    for model_id, state in enumerate(states):
        tracer.load_checkpoint(state, model_id)
        for batch in train():
            tracer.featurize(batch, num_samples=len(batch[0]))
    tracer.finalize_features()
    for model_id, state in enumerate(states):
        tracer.start_scoring_checkpoint("targets", state, model_id, number)
        for batch in targets():
            tracer.score(batch, num_samples=len(batch[0]))
    return tracer.finalize_scores("targets")
