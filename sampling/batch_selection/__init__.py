"""Which rows of a large batch to train on: score them with the current model, train on some.

    step_of = SelectiveForward(model, loss_fn, TopKLoss(keep=0.25))
    for indices, batch in loader:                  # large batches
        step = step_of(batch, indices)             # scores all rows, forwards a quarter of them
        step.loss.backward()

A sampler chooses before a sample is loaded, from what earlier epochs recorded. A `BatchSelector`
chooses after, from fresh losses, and pays for it with a forward pass over the rows that it may
exclude; `BatchSelector.cost` counts both passes. They are not samplers: the loader has any sampler,
and `SelectedStep.weighting` gives the weights of the rows to its `reduce`.

In the loop
    SelectiveForward        scores a batch, selects rows, and runs the forward pass on them
    SelectedStep            its result: losses, weights and indices
    SelectionCost           samples that were scored and trained on so far

By the loss
    TopKLoss                the highest; online hard example mining
    SelectiveBackprop       at random, more likely the higher the loss ranks; easy rows can return
    RankedBatch             the same with a selection pressure of its own, decreasing over the run
    RHOLoss                 the highest minus irreducible loss: not mislabelled, not yet learned
    MultistageFilter        above a threshold, first of losses, then of losses predicted from
                            features: the only one that saves forward passes
    SkipPredictor           that prediction

Of unlabelled data
    EATAFilter              reliable predictions that differ from those before
    ConfidenceFilter        predictions that adaptation has made no less confident
    ClassBalancedMemory     a few samples of the stream, about equally many of each class

For loops of another form, or a selector of your own
    BatchSelector           base class of the selectors
    Chosen                  what a selector returns: rows and their loss weights
    frozen_statistics       the scoring pass, which leaves the model unchanged
    take_rows               rows of a nested batch
"""

from __future__ import annotations

from ._batch_selector import BatchSelector, Chosen, SelectionCost
from ._class_balanced_memory import ClassBalancedMemory
from ._filters import ConfidenceFilter, EATAFilter
from ._frozen import frozen_statistics
from ._multistage import MultistageFilter
from ._ranked_batch import RankedBatch
from ._rho_loss import RHOLoss
from ._selective_backprop import SelectiveBackprop
from ._selective_forward import SelectedStep, SelectiveForward
from ._skip_predictor import SkipPredictor
from ._take_rows import take_rows
from ._top_k_loss import TopKLoss

__all__ = [
    "BatchSelector",
    "Chosen",
    "ClassBalancedMemory",
    "ConfidenceFilter",
    "EATAFilter",
    "MultistageFilter",
    "RHOLoss",
    "RankedBatch",
    "SelectedStep",
    "SelectionCost",
    "SelectiveBackprop",
    "SelectiveForward",
    "SkipPredictor",
    "TopKLoss",
    "frozen_statistics",
    "take_rows",
]
