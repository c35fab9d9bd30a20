"""What a training loop needs in addition to a sampler: schedules by progress, and batch sizes.

schedule = ProgressScheduler(scheduler, num_steps=1000, sampler=sampler)
gradients = per_sample_gradients(model, loss_fn, inputs, targets)
suggest_batch_size(gradients, max_batch_size=512)            # from the gradient noise
"""

from ._gradient_noise import per_sample_gradients, suggest_batch_size, suggest_batch_size_from_ranks
from ._progress_scheduler import ProgressScheduler

__all__ = [
    "ProgressScheduler",
    "per_sample_gradients",
    "suggest_batch_size",
    "suggest_batch_size_from_ranks",
]
