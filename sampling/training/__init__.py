"""What a training loop needs in addition to a sampler: schedules, batch sizes, learnt weights.

schedule = ProgressScheduler(scheduler, num_steps=1000, sampler=sampler)
gradients = per_sample_gradients(model, loss_fn, inputs, targets)
suggest_batch_size(gradients, max_batch_size=512)            # from the gradient noise
weights = meta_weights(model, loss_fn, x, y, clean_x, clean_y)  # of a core set; see `propagate`
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
