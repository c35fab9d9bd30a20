"""What a training loop needs in addition to a sampler: schedules, batch sizes, learnt weights.

    schedule = ProgressScheduler(scheduler, num_steps=1000, sampler=sampler)
    gradients = per_sample_gradients(model, loss_fn, inputs, targets)
    suggest_batch_size(gradients, max_batch_size=512)               # from the gradient noise
    weights = meta_weights(model, loss_fn, x, y, clean_x, clean_y)  # of a core set; see `propagate`

Schedules
    ProgressScheduler                   any of torch's, by the completed fraction of the run

Batch size
    suggest_batch_size                  at which a batch's gradient passes a test of its variance
    suggest_batch_size_from_ranks       the same, from the gradients of the ranks
    per_sample_gradients                what it reads

Weights
    meta_weights                        such that a model does well on clean samples
"""

from __future__ import annotations

from ._gradient_noise import per_sample_gradients, suggest_batch_size, suggest_batch_size_from_ranks
from ._meta_weights import meta_weights
from ._progress_scheduler import ProgressScheduler

__all__ = [
    "ProgressScheduler",
    "meta_weights",
    "per_sample_gradients",
    "suggest_batch_size",
    "suggest_batch_size_from_ranks",
]
