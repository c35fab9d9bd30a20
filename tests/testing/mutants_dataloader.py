"""Mutants that break a D, a T or an N line."""

import numpy as np

from .fault import fault
from .good import Good, GoodDynamic, Pass


@fault("counts as its position what was handed out", "D1")
class CountsHandedOut(Good):
    live = None

    def __iter__(self):
        self.live = super().__iter__()
        return self.live

    def state_dict(self, consumed=0):
        return self.state(self.epoch, self.live.consumed() if self.live else self.start)

    def load_state_dict(self, state):
        self.live = None
        super().load_state_dict(state)


@fault("rolls over to the next epoch when an iterator has ended, trained on or not", "D1")
class RollsOver(Good):
    ended = False

    class pass_type(Pass):
        def __next__(self):
            self.sampler.ended = self.taken >= self.count
            return super().__next__()

    def state_dict(self, consumed=None):
        if self.ended:
            return self.state(self.epoch + 1, 0)
        return super().state_dict(consumed)


@fault("ignores set_epoch while a pass runs", "D2")
class IgnoresEpochs(Good):
    busy = False

    class pass_type(Pass):
        def __next__(self):
            self.sampler.busy = self.taken < self.count
            return super().__next__()

    def set_epoch(self, epoch):
        if not self.busy:
            super().set_epoch(epoch)


@fault("`state_dict` takes no `consumed`", "D3")
class TakesNoCount(CountsHandedOut):
    def state_dict(self):
        return super().state_dict()


@fault("plans anew in `record`", "D4")
class PlansInRecord(GoodDynamic):
    def record(self, indices, losses):
        super().record(indices, losses)
        losses = {**self.losses, **self.new}
        ranked = sorted(losses, key=lambda i: (losses[i], i))
        self.weights = set(ranked[self.size // 4 :])

    def weights_for(self, indices):
        kept = getattr(self, "weights", set(self.plan))
        return [4 / 3 if i in kept else 0.0 for i in indices]


@fault("goes on where a broken-off pass stopped", "D5")
class GoesOn(Good):
    class pass_type(Pass):
        def __init__(self, sampler, epoch, start):
            super().__init__(sampler, epoch, start)
            if sampler.left and sampler.left[0] == epoch:
                self.taken = sampler.left[1]
                sampler.left = None

        def __del__(self):
            if 0 < self.taken < self.count:
                self.sampler.left = (self.epoch, self.taken)

    left = None

    def load_state_dict(self, state):
        self.left = None
        super().load_state_dict(state)


# ------------------------------------------------------------------------------ T: torchdata


@fault("its state lacks the epoch", "T1", "T3", "T8", "N1", "S1")
class StateWithoutEpoch(Good):
    def state(self, epoch, consumed):
        return {"size": self.size, "seed": self.seed, "consumed": consumed}

    def load_state_dict(self, state):
        super().load_state_dict({**state, "epoch": self.epoch})


@fault("counts from the last resume, not from the epoch's beginning", "T1")
class CountsFromResume(Good):
    class pass_type(Pass):
        def consumed(self):
            return super().consumed() - self.start


@fault("set_epoch of the same epoch drops the position", "T2")
class DropsPosition(Good):
    def set_epoch(self, epoch):
        self.epoch, self.start = epoch, 0


@fault("set_epoch of another epoch keeps a position that was loaded", "T2", "T8")
class KeepsPosition(Good):
    loaded = False

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.loaded = True

    def __iter__(self):
        self.loaded = False
        return super().__iter__()

    def set_epoch(self, epoch):
        start = self.start
        super().set_epoch(epoch)
        if self.loaded:
            self.start = start


@fault("stays at the end of a resumed epoch", "T3", "T8")
class StaysAtTheEnd(Good):
    def on(self):
        pass


@fault("its iterator is at the next epoch after the last item, in the loop too", "T8")
class RollsOverInTheLoop(Good):
    class pass_type(Pass):
        def state_dict(self):
            if self.taken >= self.count:
                return self.sampler.state(self.epoch + 1, 0)
            return super().state_dict()


@fault("its iterator rolls over to the same epoch", "T3", "T8")
class RepeatsTheEpoch(Good):
    class pass_type(Pass):
        def state_dict(self):
            done = self.taken >= self.count
            return self.sampler.state(self.epoch, 0 if done else self.consumed())


@fault("its iterator counts four draws at a time", "T4")
class CountsInFours(Good):
    class pass_type(Pass):
        def consumed(self):
            step = 4 * self.sampler.num_replicas
            return min(-(-super().consumed() // step) * step, len(self.order))


@fault("its state holds the draws that are left", "T5")
class StateOfTheRest(Good):
    def state(self, epoch, consumed):
        return {**super().state(epoch, consumed), "left": list(range(consumed, self.size))}


@fault("its state holds a numpy integer", "T5")
class StateOfNumpy(Good):
    def state(self, epoch, consumed):
        return super().state(epoch, np.int64(consumed))


@fault("its iterator returns the dictionary that it goes on changing", "T5")
class LiveState(Good):
    class pass_type(Pass):
        def state_dict(self):
            self.__dict__.setdefault("live", {}).update(super().state_dict())
            return self.live


@fault("loads the state of another seed", "T6")
class RefusesNoSeed(Good):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "seed": self.seed})


@fault("loads the state of another N", "T6")
class RefusesNoSize(Good):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "size": self.size})


@fault("its position counts the draws of its own rank", "T6")
class CountsItsRank(Good):
    class pass_type(Pass):
        def consumed(self):
            return self.start // self.sampler.num_replicas + self.taken

        def load_state_dict(self, state):
            here = state["consumed"] * self.sampler.num_replicas
            super().load_state_dict({**state, "consumed": here})


@fault("its state restores the rank that wrote it", "T7")
class RestoresTheRank(Good):
    def state(self, epoch, consumed):
        return {**super().state(epoch, consumed), "rank": self.rank}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.rank = min(state["rank"], self.num_replicas - 1)


@fault("keeps no state at all", "D3", "T1", "T3", "T4", "T6", "T8")
class KeepsNoState(Good):
    state_dict = load_state_dict = None

    class pass_type(Pass):
        state_dict = load_state_dict = None


# ------------------------------------------------------------------------------ N: torchdata.nodes


@fault("its state without a count is the beginning of the epoch", "N1")
class BeginsWithoutACount(Good):
    def state_dict(self, consumed=0):
        return super().state_dict(consumed)
