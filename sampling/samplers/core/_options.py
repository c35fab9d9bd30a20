"""The options that every sampler accepts."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, TypedDict

import torch.distributed as dist

from ... import _check
from ..._check._keywords import defaults
from ...distributed import rank_and_replicas, world_size

if TYPE_CHECKING:
    from ...scores import ExposureCounter

Purpose = Literal["sampled", "original"]


class EpochOptions(TypedDict, total=False):
    """Options of every sampler, for `**options: Unpack[EpochOptions]`; `EpochSampler` has them all.

    Examples
    --------
    >>> options: EpochOptions = {"seed": 1, "drop_last": True}
    >>> sorted(EpochOptions.__annotations__)[:3]
    ['auto_epoch', 'drop_last', 'exposure']
    """

    seed: int
    num_replicas: int | None
    rank: int | None
    drop_last: bool
    pad: bool
    process_group: dist.ProcessGroup | None
    objective: Literal["sampled", "original"]
    nonfinite: Literal["propagate", "drop"]
    exposure: ExposureCounter | None
    auto_epoch: bool


@dataclass(frozen=True)
class CheckedOptions:
    """The same options after their checks, with ranks resolved."""

    seed: int = 0
    num_replicas: int | None = None
    rank: int | None = None
    drop_last: bool = False
    pad: bool = True
    process_group: dist.ProcessGroup | None = None
    objective: Purpose = "sampled"
    nonfinite: Literal["propagate", "drop"] = "propagate"
    exposure: ExposureCounter | None = None
    auto_epoch: bool = False

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "seed", _check.seed(self.seed))
        rank, replicas = rank_and_replicas(self.rank, self.num_replicas)
        set_(self, "rank", rank)
        set_(self, "num_replicas", replicas)
        words = {"objective": ("sampled", "original"), "nonfinite": ("propagate", "drop")}
        for name, allowed in words.items():
            set_(self, name, _check.choice(name, getattr(self, name), allowed))
        for name in ("drop_last", "pad", "auto_epoch"):
            set_(self, name, _check.flag(name, getattr(self, name)))
        if self.auto_epoch and (replicas > 1 or world_size(self.process_group) > 1):
            raise ValueError(
                "auto_epoch must be False with several ranks, got True: they could be in different "
                "epochs; call set_epoch on every rank"
            )

    def without_group(self) -> CheckedOptions:
        """Return the options without those that another process could not use."""
        return replace(self, process_group=None)


EPOCH_DEFAULTS = {each.name: each.default for each in fields(CheckedOptions)}
defaults(EpochOptions, EPOCH_DEFAULTS)
