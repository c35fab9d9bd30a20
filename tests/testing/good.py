"""Small samplers that keep every line of the contract: the ground from which mutants are made.

They have nothing in common with the samplers of the package: place p of an epoch is sample
(a p + b) mod N, with a and b hashed from seed and epoch. The epochs differ in length.
"""

import math
import weakref
from hashlib import blake2b

import torch.distributed as dist
from torch.utils.data import Sampler


def hashed(*parts):
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def ranks(num_replicas, rank):
    """Return (num_replicas, rank) as given, else of torch.distributed, else (1, 0)."""
    running = dist.is_available() and dist.is_initialized()
    if num_replicas is None:
        num_replicas = dist.get_world_size() if running else 1
    if rank is None:
        rank = dist.get_rank() if running else 0
    if not 0 <= rank < num_replicas:
        raise ValueError(f"rank must be in [0, {num_replicas}), got {rank}")
    return num_replicas, rank


class Order:
    """The samples of an epoch, each computed when it is asked for."""

    def __init__(self, size, draws, key):
        self.size, self.draws = size, draws
        self.factor, self.shift = key % size, key // size % size
        while math.gcd(self.factor, size) != 1:
            self.factor += 1

    def __len__(self):
        return self.draws

    def __getitem__(self, place):
        return (self.factor * place + self.shift) % self.size


class Pass:
    """One rank's draws of an epoch from a position on, with the state of the pass."""

    def __init__(self, sampler, epoch, start):
        self.sampler, self.epoch, self.start = sampler, epoch, start
        self.order = sampler.order(epoch)
        self.count = sampler.share(len(self.order) - start)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.taken >= self.count:
            self.sampler.passed = self.epoch if self.start else self.sampler.passed
            raise StopIteration
        item = self.item(self.taken)
        self.taken += 1
        return item

    def item(self, step):
        return self.order[self.sampler.place(self.start, step, len(self.order))]

    def consumed(self):
        """Return the global position: the draws of all ranks since the epoch began."""
        return min(self.start + self.taken * self.sampler.num_replicas, len(self.order))

    def position(self):
        return len(self.order) if self.taken >= self.count else self.consumed()

    def state_dict(self):
        return self.sampler.state(self.epoch, self.position())

    def load_state_dict(self, state):
        self.sampler.load_state_dict(state)
        self.again()
        self.sampler.begun(self)
        if not self.count:
            self.sampler.passed = self.epoch

    def again(self):
        Pass.__init__(self, self.sampler, self.sampler.epoch, self.sampler.start)


class Good(Sampler):
    """A sampler of single draws."""

    pass_type = Pass
    running = None  # the latest pass of this epoch
    passed = None  # an epoch whose resumed pass is over

    def __init__(self, size=103, seed=0, num_replicas=None, rank=None, drop_last=False, pad=True):
        if size < 1:
            raise ValueError(f"size must be >= 1, got {size}")
        self.num_replicas, self.rank = ranks(num_replicas, rank)
        self.size, self.seed, self.drop_last, self.pad = size, seed, drop_last, pad
        self.epoch = self.start = 0

    def key(self, epoch):
        return hashed(self.seed, epoch)

    def order(self, epoch):
        return Order(self.size, self.size - (epoch % 3 if self.size > 3 else 0), self.key(epoch))

    def share(self, draws):
        """Return how many of the draws still to come are this rank's."""
        if self.drop_last:
            return draws // self.num_replicas
        if self.pad:
            return -(-draws // self.num_replicas)
        return len(range(self.rank, draws, self.num_replicas))

    def place(self, start, step, draws):
        return (start + self.rank + step * self.num_replicas) % draws

    def set_epoch(self, epoch):
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0
            self.running = self.passed = None

    def begun(self, dealt):
        self.running = weakref.ref(dealt)

    def __getstate__(self):
        return {**self.__dict__, "running": None}

    def on(self):
        """Go on to the next epoch after the end of a resumed one."""
        if self.passed == self.epoch:
            Good.set_epoch(self, self.epoch + 1)

    def __iter__(self):
        self.on()
        dealt = self.pass_type(self, self.epoch, self.start)
        self.begun(dealt)
        return dealt

    def __len__(self):
        return self.share(len(self.order(self.epoch)))

    @property
    def remaining(self):
        return self.share(len(self.order(self.epoch)) - self.start)

    def state(self, epoch, consumed):
        return {"size": self.size, "seed": self.seed, "epoch": epoch, "consumed": consumed}

    def state_dict(self, consumed=None):
        if consumed is None:
            running = self.running and self.running()
            consumed = running.position() if running else self.start
        return self.state(self.epoch, consumed)

    def load_state_dict(self, state):
        for name in ("size", "seed"):
            if state[name] != getattr(self, name):
                raise ValueError(f"{name} must be {getattr(self, name)}, got {state[name]}")
        self.epoch, self.start = state["epoch"], state["consumed"]
        self.running = self.passed = None


class GoodDynamic(Good):
    """A sampler that leaves out the quarter of the samples with the lowest losses."""

    dynamic = True

    def __init__(self, **options):
        size = 103
        super().__init__(size, **options)
        self.losses = dict.fromkeys(range(size), 1.0)
        self.new = {}
        self.plan, self.digest, self.last_digest = list(range(size)), 0, None

    def record(self, indices, losses):
        self.new.update(zip(map(int, indices), map(float, losses), strict=True))

    def weights_for(self, indices):
        kept = set(self.plan)
        return [4 / 3 if i in kept else 0.0 for i in indices]

    def order(self, epoch):
        permuted = Order(len(self.plan), len(self.plan), self.key(epoch))
        return [self.plan[permuted[place]] for place in range(len(permuted))]

    def set_epoch(self, epoch):
        if epoch == self.epoch:
            return
        super().set_epoch(epoch)
        for new in self.gathered():
            self.losses.update(new)
        self.new = {}
        self.last_digest = self.digest
        self.plan = sorted(self.losses, key=lambda i: (self.losses[i], i))[self.size // 4 :]
        self.digest = hashed(self.plan)

    def gathered(self):
        """Return what all ranks recorded."""
        if not (dist.is_initialized() and dist.get_world_size() > 1):
            return [self.new]
        everybodys = [None] * dist.get_world_size()
        dist.all_gather_object(everybodys, self.new)
        return everybodys

    def on(self):
        if self.passed == self.epoch:
            raise RuntimeError(f"call set_epoch({self.epoch + 1}) first")

    def state(self, epoch, consumed):
        return {**super().state(epoch, consumed), "plan": self.digest}

    def load_state_dict(self, state):
        epoch, digest = self.epoch, self.digest
        if (state["epoch"], state["plan"]) == (epoch - 1, self.last_digest):
            return  # the run has gone on to the next epoch since
        if (state["epoch"], state["plan"]) != (epoch, digest):
            raise ValueError(f"plan must be {digest} of epoch {epoch}, got {state}")
        super().load_state_dict(state)


class BatchPass(Pass):
    """One rank's batches of an epoch."""

    def __init__(self, sampler, epoch, start):
        self.sampler, self.epoch, self.start = sampler, epoch, start
        self.order = sampler.inner.order(epoch)
        self.batches = sampler.cut(len(self.order) - start)
        self.count = sampler.share(self.batches)
        self.taken = 0

    def item(self, step):
        number = self.sampler.rank + step * self.sampler.num_replicas
        start = self.start
        if number >= self.batches:  # fill up from the front of the epoch
            number, start = (number - self.batches) % self.sampler.cut(len(self.order)), 0
        size = self.sampler.cut_size
        first = start + number * size
        return [self.order[p] for p in range(first, min(first + size, len(self.order)))]

    def consumed(self):
        done = self.taken * self.sampler.num_replicas * self.sampler.cut_size
        return min(self.start + done, len(self.order))

    def again(self):
        self.__init__(self.sampler, self.sampler.inner.epoch, self.sampler.inner.start)


class GoodBatches(Sampler):
    """A batch sampler that deals whole batches of one order to the ranks."""

    pass_type = BatchPass
    cut_size = batch_size = 4

    def __init__(self, size=103, seed=0, num_replicas=None, rank=None, drop_last=False):
        self.inner = Good(size, seed, 1, 0)
        self.num_replicas, self.rank = ranks(num_replicas, rank)
        self.drop_last = drop_last

    @property
    def sampler(self):
        return self.inner

    def cut(self, draws):
        """Return the number of batches of all ranks."""
        return draws // self.cut_size if self.drop_last else -(-draws // self.cut_size)

    def share(self, batches):
        return -(-batches // self.num_replicas)

    def set_epoch(self, epoch):
        self.inner.set_epoch(epoch)

    @property
    def passed(self):
        return self.inner.passed

    @passed.setter
    def passed(self, epoch):
        self.inner.passed = epoch

    def begun(self, dealt):
        self.inner.begun(dealt)

    def __iter__(self):
        self.inner.on()
        dealt = self.pass_type(self, self.inner.epoch, self.inner.start)
        self.begun(dealt)
        return dealt

    def __len__(self):
        return self.share(self.cut(len(self.inner)))

    @property
    def remaining(self):
        return self.share(self.cut(self.inner.remaining))

    def state(self, epoch, consumed):
        return self.inner.state(epoch, consumed)

    def state_dict(self, consumed=None):
        return self.inner.state_dict(consumed)

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)
