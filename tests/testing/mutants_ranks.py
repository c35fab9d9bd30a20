"""Mutants that break an R line, or one of the two that are for batch samplers alone."""

import torch.distributed as dist

from .fault import fault
from .good import BatchPass, Good, GoodBatches, GoodDynamic, hashed


@fault("deals the ranks blocks of the epoch", "R1")
class DealsBlocks(Good):
    def place(self, start, step, draws):
        return (self.rank * self.share(draws) + start // self.num_replicas + step) % draws


@fault("fills up with the last sample instead of the first", "R1")
class PadsWithTheLast(Good):
    def place(self, start, step, draws):
        return min(start + self.rank + step * self.num_replicas, draws - 1)


@fault("gives every rank an order of its own", "R1")
class OrderOfItsRank(Good):
    def key(self, epoch):
        return hashed(self.seed, epoch, self.rank)


@fault("deals every rank the same batches", "R1")
class SameBatches(GoodBatches):
    class pass_type(BatchPass):
        def item(self, step):
            return super().item(step) if self.sampler.num_replicas == 1 else self.first(step)

        def first(self, step):
            start = self.start + step * self.sampler.num_replicas * 4
            return [self.order[p % len(self.order)] for p in range(start, start + 4)]


@fault("never asks torch.distributed", "R2")
class AlwaysAlone(Good):
    def __init__(self, size=103, seed=0, num_replicas=1, rank=0, drop_last=False, pad=True):
        super().__init__(size, seed, num_replicas, rank, drop_last, pad)


@fault("cannot be made without torch.distributed", "R2")
class NeverAlone(Good):
    def __init__(self, size=103, seed=0, num_replicas=None, rank=None, drop_last=False, pad=True):
        num_replicas = dist.get_world_size() if num_replicas is None else num_replicas
        rank = dist.get_rank() if rank is None else rank
        super().__init__(size, seed, num_replicas, rank, drop_last, pad)


@fault("takes a rank that there is not", "R2")
class TakesAnyRank(Good):
    def __init__(self, size=103, seed=0, num_replicas=None, rank=None, drop_last=False, pad=True):
        rank = rank if num_replicas is None else min(rank or 0, num_replicas - 1)
        super().__init__(size, seed, num_replicas, rank, drop_last, pad)


@fault("deals ranks unequal numbers of batches", "R3")
class UnequalBatches(GoodBatches):
    def share(self, batches):
        return len(range(self.rank, batches, self.num_replicas))


@fault("deals an empty batch where ranks come short", "R3")
class EmptyBatches(GoodBatches):
    class pass_type(BatchPass):
        def item(self, step):
            number = self.sampler.rank + step * self.sampler.num_replicas
            return super().item(step) if number < self.batches else []


@fault("plans from the losses of its own rank", "R4", distributed=True)
class PlansAlone(GoodDynamic):
    def gathered(self):
        return [self.new]


# ------------------------------------------------------------------------------ L and H


@fault("has no attribute `sampler`", "L3")
class HidesItsSampler(GoodBatches):
    sampler = None


@fault("names one batch size though sizes vary", "H3")
class NamesASize(GoodBatches):
    batch_size = 5
