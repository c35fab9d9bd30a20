"""One epoch, fixed: its draw table and the order in which the slots are dealt."""

import numpy as np
import torch

from ..types import Indices
from ._device import DeviceWeights
from ._order import Permutation
from ._state import fingerprint
from ._tables import Table

CHUNK = 8192  # draws computed at a time: enough to make numpy's overhead vanish, 64 KiB of memory


class Plan:
    """What `set_epoch` decides; nothing changes it while the epoch runs."""

    def __init__(self, epoch: int, table: Table, key: np.uint64) -> None:
        self.epoch = epoch
        self.table = table
        self.finished = False
        self.devices: dict[torch.device, DeviceWeights] = {}
        self.hidden: dict[torch.device, DeviceWeights] = {}  # the same for what is left out
        self._order = None if table.ordered else Permutation(table.size, key)
        self.name = ""  # what `digest` returned, if it was asked

    def draws(self, positions: Indices) -> Indices:
        """Return the sample at each position of the epoch: int64 (m,) -> int64 (m,)."""
        return self.table.take(positions if self._order is None else self._order(positions))

    def digest(self) -> str:
        """Return 16 hex digits that tell this plan's draws from another's; computed once."""
        if not self.name:
            self.name = fingerprint(self.table.size, *self.table.parts())
        return self.name

    def __getstate__(self) -> dict[str, object]:
        """Leave out the copies on devices: they are made again where they are needed."""
        return {**self.__dict__, "devices": {}, "hidden": {}}
