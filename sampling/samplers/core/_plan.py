"""The plan of one epoch: its draw table and the order of its slots."""

import numpy as np
import torch

from ..._identity import fingerprint
from ...scores._device import DeviceWeights
from ...types import Indices
from ._permutation import Permutation
from ._tables import Table

CHUNK = 8192  # draws computed at a time: enough to hide numpy's overhead, 64 KiB of memory


class Plan:
    """The result of `set_epoch`, which does not change during the epoch."""

    def __init__(self, epoch: int, table: Table, key: np.uint64) -> None:
        self.epoch = epoch
        self.table = table
        self.finished = False
        self.devices: dict[torch.device, DeviceWeights] = {}
        self.hidden: dict[torch.device, DeviceWeights] = {}  # the same for excluded samples
        self._order = None if table.ordered else Permutation(table.size, key)
        self.name = ""  # the result of `digest`, if it was called

    def draws(self, positions: Indices) -> Indices:
        """Return the sample at each position of the epoch: int64 (m,) -> int64 (m,)."""
        return self.table.take(positions if self._order is None else self._order(positions))

    def digest(self) -> str:
        """Return 16 hex digits that identify this plan's draws; computed once."""
        if not self.name:
            self.name = fingerprint(self.table.size, *self.table.parts())
        return self.name

    def __getstate__(self) -> dict[str, object]:
        """Exclude the copies on devices, which are made again when they are needed."""
        return {**self.__dict__, "devices": {}, "hidden": {}}
