"""Batches of data that are in memory, without the cost of a loader that fetches single samples.

    TensorLoader        iterates over (indices, batch) of tensors and arrays

For a dataset of any other kind, use torch's `DataLoader`; with `batch_size=None`, an
`EpochBatchSampler` and `sampling.Indexed` it fetches whole batches too, in worker processes if
asked to.
"""

from __future__ import annotations

from ._tensor_loader import TensorLoader

__all__ = ["TensorLoader"]
