"""Which samples to use, how often, in what order and with what weight, for PyTorch.

During training
    samplers            samplers for `DataLoader`: which sample is drawn next
    Indexed             a dataset that yields (index, sample)
    batch_selection     which rows of a large batch to train on, by their losses
    weighting           loss weights, from the losses of a batch, for `reduce`
    training            schedules by progress, batch sizes from the gradient noise
    loading             batches of tensors in memory, faster than a loader of single samples
    integrations        Lightning, Hugging Face, accelerate, torchdata
    distributed         the ranks of a run, for a sampler or a loop of your own

Before training
    selection           coresets and pruning; all methods have one signature
    scores              difficulty and usefulness of samples: training dynamics, GraNd, wrong labels
    clustering          k-means and nearest neighbours on faiss, seeded and checked
    embedding           embeddings of texts and images, by a model on disk
    labeling            which samples to label next, and how many are needed
    engine              where work on large tables is done: threads, or Ray
    Selection           selected samples with their weights
    Score               a number for each sample, with what a high value means

Files, reports, checks
    io                  tables of embeddings and columns, selections, exports
    reports             one page for the reviewer of rows to be deleted
    bench               accuracy of each sampler at a given training cost
    testing             contract checks that any sampler must pass, also your own

Importing `sampling` loads nothing else, not even numpy: each package is loaded when it is first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._late import late
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import (
        batch_selection,
        bench,
        clustering,
        distributed,
        embedding,
        engine,
        integrations,
        io,
        labeling,
        loading,
        reports,
        samplers,
        scores,
        selection,
        testing,
        training,
        weighting,
    )
    from .record import Score, Selection
    from .samplers.core import Indexed

_CLASSES = {"Indexed": "samplers.core", "Score": "record", "Selection": "record"}
__all__ = [
    "Indexed",
    "Score",
    "Selection",
    "batch_selection",
    "bench",
    "clustering",
    "distributed",
    "embedding",
    "engine",
    "integrations",
    "io",
    "labeling",
    "loading",
    "reports",
    "samplers",
    "scores",
    "selection",
    "testing",
    "training",
    "weighting",
]

__getattr__, __dir__ = late(__name__, {**dict.fromkeys(__all__, ""), **_CLASSES})
