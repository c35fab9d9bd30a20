"""Loss weights: the weights of a batch computed from its losses, as functions of one signature.

`f(losses (B,), *, indices=None, groups=None, probabilities=None, state=None, ...) -> weights (B,)`,
for `sampler.reduce(losses, indices, weighting=f)`; set other arguments with `functools.partial`.
Each function documents which of these it uses, and ignores the others. Weights have mean 1 over the
batch of all ranks unless stated otherwise. Anything that outlives a step is kept in a state object
that the caller holds, with `state_dict()` and `load_state_dict()`.
"""

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._curriculum import CurriculumWeights, pairwise_easiness, pointwise_easiness
    from ._difficulty import MomentumDifficulty
    from ._feasible import Duals, feasible
    from ._group_dro import GroupWeights, group_dro
    from ._kl_dro import RunningRisk, kl_dro
    from ._lin_upper import BurnIn, extremes, lin_upper, quadratic
    from ._reference import LossReference
    from ._self_paced import self_paced
    from ._spectra import cvar, esrm, extremile
    from ._tokens import focal, tldr

_FILES = {
    "BurnIn": "_lin_upper",
    "CurriculumWeights": "_curriculum",
    "Duals": "_feasible",
    "GroupWeights": "_group_dro",
    "LossReference": "_reference",
    "MomentumDifficulty": "_difficulty",
    "RunningRisk": "_kl_dro",
    "cvar": "_spectra",
    "esrm": "_spectra",
    "extremes": "_lin_upper",
    "extremile": "_spectra",
    "feasible": "_feasible",
    "focal": "_tokens",
    "group_dro": "_group_dro",
    "kl_dro": "_kl_dro",
    "lin_upper": "_lin_upper",
    "pairwise_easiness": "_curriculum",
    "pointwise_easiness": "_curriculum",
    "quadratic": "_lin_upper",
    "self_paced": "_self_paced",
    "tldr": "_tokens",
}
__all__ = [
    "BurnIn",
    "CurriculumWeights",
    "Duals",
    "GroupWeights",
    "LossReference",
    "MomentumDifficulty",
    "RunningRisk",
    "cvar",
    "esrm",
    "extremes",
    "extremile",
    "feasible",
    "focal",
    "group_dro",
    "kl_dro",
    "lin_upper",
    "pairwise_easiness",
    "pointwise_easiness",
    "quadratic",
    "self_paced",
    "tldr",
]

__getattr__, __dir__ = late(__name__, _FILES)
