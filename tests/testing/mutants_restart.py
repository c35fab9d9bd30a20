"""Mutants that break an S line: another process, or other data."""

from sampling.samplers import InfoBatchSampler

from .fault import fault
from .good import Good, GoodBatches, GoodDynamic, hashed


@fault("hashes a string, which is another number in every process", "S1")
class HashesAString(Good):
    def key(self, epoch):
        return hashed(self.seed, epoch, hash(f"epoch {epoch}"))


@fault("keeps its states in the process, and gives out their number", "S1")
class KeepsItsStates(Good):
    kept = []

    def state(self, epoch, consumed):
        state = super().state(epoch, consumed)
        if state not in self.kept:
            self.kept.append(state)
        return {"number": self.kept.index(state)}

    def load_state_dict(self, state):
        super().load_state_dict(self.kept[state["number"]])


@fault("draws by the address of an object", "S1")
class DrawsByAddress(GoodBatches):
    there = object()

    def __init__(self, size=103, **options):
        super().__init__(size, **options)
        self.inner.key = self.key

    def key(self, epoch):
        return hashed(self.inner.seed, epoch, id(self.there))


@fault("does not save what it learns from the losses, though derived from a sampler of ours", "S1")
class ScalesItsLosses(InfoBatchSampler):
    def __init__(self, **options):
        super().__init__(103, 8, **options)
        self.scale = 1.0

    def record(self, indices, losses):
        super().record(indices, losses * self.scale)
        self.scale *= 3.0


@fault("loads the state of other labels", "S2")
class IgnoresItsLabels(Good):
    def __init__(self, size=103, labels=(0, 1, 1, 2), **options):
        super().__init__(size, **options)
        self.labels = labels

    def key(self, epoch):
        return hashed(self.seed, epoch, self.labels)


@fault("loads the state of other weights of the loss", "S2")
class IgnoresItsWeights(GoodDynamic):
    def __init__(self, weights=(1.0, 2.0, 4.0), **options):
        super().__init__(**options)
        self.weights = weights

    def weights_for(self, indices):
        return [each * self.weights[i % 3] for i, each in zip(
            indices, super().weights_for(indices), strict=True
        )]  # fmt: skip
