"""Batch samplers: where an epoch's draws are cut into batches, for `DataLoader(batch_sampler=...)`.

`_epoch_batches` cuts any sampler's draws; the others make draws that are already in batches.
"""
