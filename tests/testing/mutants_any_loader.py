"""Mutants that break a G or a C line."""

import random
import signal
import sys

import numpy as np
import torch
from torch.utils.data import BatchSampler, RandomSampler, Sampler

from .fault import fault
from .good import BatchPass, Good, GoodBatches, GoodDynamic, Pass, hashed


@fault("replaces sys.excepthook", "G1")
class ReplacesTheHook(Good):
    def __init__(self, size=103, **options):
        super().__init__(size, **options)
        sys.excepthook = self.said

    def said(self, kind, error, trace):
        return None


@fault("takes SIGTERM at its first pass, once in a process", "G1")
class TakesASignal(GoodBatches):
    taken = False

    def __iter__(self):
        if not TakesASignal.taken:
            TakesASignal.taken = True
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        return super().__iter__()


@fault("sets the default dtype of torch when losses are recorded", "G1")
class SetsTheDtype(GoodDynamic):
    def record(self, indices, losses):
        torch.set_default_dtype(torch.float64)
        super().record(indices, losses)


@fault("calls Sampler.__init__(data_source)", "C1")
class PassesDataSource(Good):
    def __init__(self, size=103, **options):
        Sampler.__init__(self, range(size))
        Good.__init__(self, size, **options)


@fault("is a RandomSampler", "C2")
class IsARandomSampler(Good, RandomSampler):
    pass


@fault("is a BatchSampler that cannot be rebuilt from (sampler, batch_size, drop_last)", "C2")
class IsABatchSampler(GoodBatches, BatchSampler):
    pass


@fault("yields numpy integers", "C3")
class YieldsNumpy(Good):
    class pass_type(Pass):
        def item(self, step):
            return np.int64(super().item(step))


@fault("counts samples from 1", "C3")
class CountsFromOne(Good):
    class pass_type(Pass):
        def item(self, step):
            return super().item(step) + 1


@fault("yields batches as tuples", "C3")
class YieldsTuples(GoodBatches):
    class pass_type(BatchPass):
        def item(self, step):
            return tuple(super().item(step))


@fault("yields batches as arrays", "C3")
class YieldsArrays(GoodBatches):
    class pass_type(BatchPass):
        def item(self, step):
            return np.array(super().item(step))


@fault("`len` is that of the last pass", "C4")
class LenOfLastEpoch(Good):
    def __iter__(self):
        self.length = super().__len__()
        return super().__iter__()

    def __len__(self):
        return getattr(self, "length", super().__len__())


@fault("`len` counts the draws of all ranks", "C4")
class LenOfAllRanks(Good):
    def __len__(self):
        return len(self.order(self.epoch))


@fault("`len` of a batch sampler counts draws", "C4")
class LenInDraws(GoodBatches):
    def __len__(self):
        return 4 * super().__len__()


@fault("`remaining` is the whole epoch after a resume", "C4")
class RemainingIsLen(Good):
    @property
    def remaining(self):
        return len(self)


@fault("advances its epoch in `__iter__`", "C5")
class AdvancesInIter(Good):
    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()

    def key(self, epoch):
        return hashed(self.seed, epoch, max(0, self.passes - 1))

    def set_epoch(self, epoch):
        self.passes = 0
        super().set_epoch(epoch)

    def load_state_dict(self, state):
        self.passes = 0
        super().load_state_dict(state)


@fault("returns itself from `__iter__`", "C5", "D2", "D3", "D5", "T3")
class ReturnsItself(Good):
    live = None

    def __iter__(self):
        if self.live is None or self.live.taken >= self.live.count:
            self.live = super().__iter__()
        return self

    def __next__(self):
        if self.live is None:
            iter(self)
        return next(self.live)

    def state_dict(self, consumed=None):
        if consumed is None and self.live is not None:
            return self.live.state_dict()
        return super().state_dict(consumed or 0)

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.live = None


@fault("reads the epoch at the first `next`", "C6")
class ReadsLate(Good):
    class pass_type(Pass):
        def __next__(self):
            if not self.taken and self.epoch != self.sampler.epoch:
                Pass.__init__(self, self.sampler, self.sampler.epoch, self.sampler.start)
            return super().__next__()


@fault("draws from the global random state (reads it)", "C7", "S1")
class ReadsGlobal(Good):
    def key(self, epoch):
        return hashed(self.seed, epoch, random.getstate()[1][:3])


@fault("seeds the global random state (writes it)", "C7")
class SeedsGlobal(Good):
    def __iter__(self):
        np.random.seed((self.seed + self.epoch) % 2**32)  # noqa: NPY002
        return super().__iter__()


@fault("mixes seed and epoch by addition", "C8")
class AddsSeedAndEpoch(Good):
    def key(self, epoch):
        return hashed(self.seed + epoch)


@fault("keeps 32 bits of the seed", "C8")
class ShortSeed(Good):
    def key(self, epoch):
        return hashed(self.seed % 2**32, epoch)


@fault("set_epoch takes 32 bits", "C12")
class ShortEpoch(Good):
    def set_epoch(self, epoch):
        super().set_epoch(int(np.int32(epoch)))


@fault("keeps 32 bits of the epoch", "C12")
class CutEpoch(GoodBatches):
    def __init__(self, size=103, **options):
        super().__init__(size, **options)
        self.inner.key = self.key

    def key(self, epoch):
        return hashed(self.inner.seed, epoch % 2**32)


@fault("counts to the epoch in compiled code", "C12")
class CountsToTheEpoch(Good):
    def key(self, epoch):
        return hashed(self.seed, sum(range(epoch + 1)))


@fault("draws what is left of an epoch slowly in a far one", "C12")
class WalksAfterTheFirst(GoodBatches):
    class pass_type(BatchPass):
        def item(self, step):
            for _ in range(self.sampler.inner.epoch if step else 0):
                pass
            return super().item(step)


@fault("walks through the epochs before once losses were recorded", "C12")
class WalksAfterLosses(GoodDynamic):
    def set_epoch(self, epoch):
        if self.new:
            for _ in range(self.epoch, epoch):
                pass
        super().set_epoch(epoch)


@fault("walks through the epochs before", "C12")
class WalksEpochs(Good):
    def key(self, epoch):
        state = 0
        for each in range(epoch + 1):
            state = hashed(self.seed, each) if each < 100 else state + 1
        return state


@fault("ignores set_epoch in its order", "C8")
class OneOrder(Good):
    def key(self, epoch):
        return hashed(self.seed)


@fault("holds a lambda, and cannot be pickled", "C9")
class HoldsALambda(Good):
    def __init__(self, size=103, **options):
        super().__init__(size, **options)
        self.transform = lambda index: index


@fault("forgets its epoch when it is pickled", "C9")
class ForgetsWhenPickled(Good):
    def __getstate__(self):
        return {**self.__dict__, "epoch": 0}


@fault("never ends on an empty data set", "C10")
class EndlessWhenEmpty(Good):
    def __init__(self, size=103, **options):
        super().__init__(max(size, 1), **options)
        self.empty = size == 0

    def share(self, draws):
        return 10**12 if self.empty else super().share(draws)


@fault("repeats the front once, which is too little for many ranks", "C10")
class PadsOnce(Good):
    def share(self, draws):
        padded = min(2 * draws, -(-draws // self.num_replicas) * self.num_replicas)
        if self.drop_last or padded % self.num_replicas == 0:
            return super().share(draws)
        return len(range(self.rank, padded, self.num_replicas))


@fault("makes a list of the epoch", "C11")
class MakesAList(Good):
    def order(self, epoch):
        order = super().order(epoch)
        return order if self.size < 10**5 else np.arange(len(order)).tolist()
