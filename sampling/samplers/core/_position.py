"""Where a run is: the epoch, the draws that were trained on, and the passes over the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._passes import Pass
from ._plan import EpochPlan


@dataclass
class Position:
    """The position of a run.

    Attributes
    ----------
    epoch : int
    start : int
        Global position at which the next pass begins; above 0 after a resume.
    resumed : bool
        Whether a state was loaded since the last `set_epoch`.
    running : Pass or None
        The latest pass of this epoch.
    excused : Pass or None
        The latest pass, if `set_epoch` named its epoch since: it may be repeated.
    yielded : int
        Draws of this epoch that passes before the latest one yielded.
    previous : (epoch, digest of its plan, M) or None
        The epoch before this one.
    """

    epoch: int = 0
    start: int = 0
    resumed: bool = False
    running: Pass[Any] | None = None
    excused: Pass[Any] | None = None
    yielded: int = 0
    previous: tuple[int, str, int] | None = None

    def begin(self, epoch: int, before: EpochPlan | None) -> None:
        """Move to the beginning of an epoch; `before` is the plan that it replaces, if dynamic."""
        self.previous = None
        if before is not None:
            self.previous = (self.epoch, before.name, before.table.size)
        self.epoch, self.start, self.resumed = epoch, 0, False
        self.running, self.excused, self.yielded = None, None, 0

    def repeat(self, plan: EpochPlan, *, dynamic: bool) -> None:
        """Allow another pass over the epoch, which `set_epoch` named again."""
        self.yielded, self.excused = 0, self.running
        if plan.finished and not dynamic:
            plan.finished, self.resumed, self.running = False, False, None

    def resume(self, epoch: int, consumed: int) -> None:
        """Move to a position of an epoch: a pass yields what comes after it."""
        self.epoch, self.start, self.resumed = epoch, consumed, True
        self.running, self.excused, self.yielded = None, None, 0

    def interrupted(self, plan: EpochPlan) -> bool:
        """Return whether a pass that begins now repeats draws of one that was interrupted."""
        running = self.running
        if running is not None and running is not self.excused and running.plan is plan:
            self.yielded = running.taken or self.yielded
        return self.yielded > 0

    @property
    def begun(self) -> bool:
        """Whether a pass over this epoch has yielded a draw."""
        return self.yielded > 0 or (self.running is not None and self.running.taken > 0)

    @property
    def consumed(self) -> int:
        """Draws that the latest pass has yielded, or the position of a resume."""
        return self.start if self.running is None else self.running.position

    def __getstate__(self) -> dict[str, object]:
        """Exclude the passes, which belong to this process."""
        return {**self.__dict__, "running": None, "excused": None}
