"""Which samples to use, how often, in what order and with what weight, for PyTorch.

sampling.samplers
    Samplers for `DataLoader`: which sample is drawn next.
sampling.batch_selection
    Which rows of a large batch to train on, chosen by their losses.
sampling.training
    Schedules by the progress of a run, and batch sizes from the gradient noise.
sampling.loading
    Batches of tensors in memory, without the cost of a loader of single samples.
sampling.weighting
    Loss weights: functions of the losses of a batch, for `reduce`.
sampling.scores
    Difficulty scores: training dynamics, GraNd, the score table.
sampling.labeling
    Which samples to label next, unbiased estimates from them, and how many are needed.
sampling.clustering
    k-means and nearest neighbours on faiss, seeded and checked.
sampling.selection
    Coreset selection and data pruning; all methods have one signature.
sampling.reports
    The report of a selection, for the reviewer of rows to be deleted.
sampling.embedding
    Embeddings of texts and images, by a model on disk.
sampling.io
    Files of selections and scores, written atomically.
sampling.integrations
    Lightning, Hugging Face, accelerate, torchdata: no sampler is replaced or lost.
sampling.testing
    Contract checks that any sampler must pass, also your own.
sampling.bench
    Accuracy of each sampler at a given training cost.
sampling.Indexed
    A dataset that yields (index, sample).
sampling.Selection
    Selected samples with their weights.
sampling.Score
    A number for each sample, with its direction.

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
