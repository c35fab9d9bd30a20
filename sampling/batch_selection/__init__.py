"""Which rows of a large batch to train on: score all of it, and train on the chosen rows.

    step_of = SelectiveForward(model, loss_fn, TopKLoss(keep=0.25))
    step = step_of(batch, indices)                 # scores all rows, trains on a quarter of them
    step.loss.backward()

A `BatchSelector` chooses from the losses of a batch: `TopKLoss`, `SelectiveBackprop`,
`RankedBatch`, `RHOLoss`, `MultistageFilter`. A sampler decides before a sample is loaded; these
decide after, so they pay a forward pass for every row.
"""

from ._frozen import frozen_statistics
from ._multistage import MultistageFilter
from ._nested import take_rows
from ._ranked_batch import RankedBatch
from ._rho_loss import RHOLoss
from ._selective_backprop import SelectiveBackprop
from ._selective_forward import SelectedStep, SelectiveForward
from ._selector import BatchSelector, Chosen, SelectionCost
from ._skip_predictor import SkipPredictor
from ._top_k_loss import TopKLoss

__all__ = [
    "BatchSelector",
    "Chosen",
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
