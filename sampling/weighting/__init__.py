"""Loss weights: the weights of a batch computed from its losses, labels, logits and groups.

`f(losses (B,), *, indices=None, groups=None, probabilities=None, state=None, ...) -> weights (B,)`,
for `sampler.reduce(losses, indices, weighting=f)`; set other arguments with `functools.partial`.
A weighting gets what its signature names of `indices`, `groups`, `labels` and `logits`, as far as
`reduce` was given them; what it requires must be given. So may a function of your own. Weights have
mean 1 over the batch of all ranks unless stated otherwise. Anything that outlives a step is kept in
a state object that the caller holds, or in the weighting itself if it is an object, with
`state_dict()` and `load_state_dict()`.

Long tails
    logit_adjustment            no weights, but logits adjusted by the class shares
    balanced_softmax            the same, as a loss
    ClassWeights                inverse frequency, effective number, or a power
    deferred, Deferred          any weighting from an epoch on
    target_density_weights      regression: rare targets

Domains, shifts, weights of your own
    SampleWeights               one for each sample
    upweight                    domains by temperature
    density_ratio_weights       samples that look like a target set
    ulsif_weights               the same, by least squares
    kmm_weights                 the same, by matched means in a kernel space
    double_weights              the same, if the source does not cover the target
    clipped_inverse             1 / p for samples observed with known probabilities
    effective_sample_size       how many samples of equal weight the weights are worth

Groups
    group_dro, GroupWeights     the worst group; its state
    group_loss_scaling          groups of large loss, within a batch

Wrong labels, by a transition matrix
    RENTWeights                 resamples the batch
    DirichletWeights            the same, with weights
    symmetric_transition        the matrix, if all wrong labels are equally likely

The worst losses
    cvar                        the worst fraction
    extremile                   the expected maximum of several samples
    esrm                        exponential in the rank of the loss
    LossReference               state of these three: losses of the whole dataset
    kl_dro, RunningRisk         proportional to exp(loss); its state
    feasible, Duals             a bound on the loss of every sample; its state

Easy samples first, one-pass training, tokens
    self_paced                  losses below a threshold
    CurriculumWeights           by a score of easiness
    pointwise_easiness          such a score for answers in ranking
    pairwise_easiness           the same for pairs
    MomentumDifficulty          samples whose loss stays large
    lin_upper                   increases up to the middle of the losses
    quadratic                   largest in the middle
    extremes                    largest at both ends
    BurnIn                      state of these three: first steps with weights of 1
    focal                       (1 - p)^gamma: many easy negatives
    tldr                        tokens that are not learnt yet
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._class_weights import ClassWeights
    from ._clipped_inverse import clipped_inverse
    from ._curriculum import CurriculumWeights, pairwise_easiness, pointwise_easiness
    from ._deferred import Deferred, deferred
    from ._density_ratio import density_ratio_weights
    from ._difficulty import MomentumDifficulty
    from ._feasible import Duals, feasible
    from ._group_dro import GroupWeights, group_dro
    from ._group_scaling import group_loss_scaling
    from ._kernel_ratio import double_weights, kmm_weights, ulsif_weights
    from ._kl_dro import RunningRisk, kl_dro
    from ._lin_upper import BurnIn, extremes, lin_upper, quadratic
    from ._logit_adjustment import balanced_softmax, logit_adjustment
    from ._reference import LossReference
    from ._sample_weights import (
        SampleWeights,
        effective_sample_size,
        target_density_weights,
        upweight,
    )
    from ._self_paced import self_paced
    from ._spectra import cvar, esrm, extremile
    from ._tokens import focal, tldr
    from ._transition import DirichletWeights, RENTWeights, symmetric_transition

_FILES = {
    "BurnIn": "_lin_upper",
    "ClassWeights": "_class_weights",
    "CurriculumWeights": "_curriculum",
    "Deferred": "_deferred",
    "DirichletWeights": "_transition",
    "Duals": "_feasible",
    "GroupWeights": "_group_dro",
    "LossReference": "_reference",
    "MomentumDifficulty": "_difficulty",
    "RENTWeights": "_transition",
    "RunningRisk": "_kl_dro",
    "SampleWeights": "_sample_weights",
    "balanced_softmax": "_logit_adjustment",
    "clipped_inverse": "_clipped_inverse",
    "cvar": "_spectra",
    "deferred": "_deferred",
    "density_ratio_weights": "_density_ratio",
    "double_weights": "_kernel_ratio",
    "effective_sample_size": "_sample_weights",
    "esrm": "_spectra",
    "extremes": "_lin_upper",
    "extremile": "_spectra",
    "feasible": "_feasible",
    "focal": "_tokens",
    "group_dro": "_group_dro",
    "group_loss_scaling": "_group_scaling",
    "kl_dro": "_kl_dro",
    "kmm_weights": "_kernel_ratio",
    "lin_upper": "_lin_upper",
    "logit_adjustment": "_logit_adjustment",
    "pairwise_easiness": "_curriculum",
    "pointwise_easiness": "_curriculum",
    "quadratic": "_lin_upper",
    "self_paced": "_self_paced",
    "symmetric_transition": "_transition",
    "target_density_weights": "_sample_weights",
    "tldr": "_tokens",
    "ulsif_weights": "_kernel_ratio",
    "upweight": "_sample_weights",
}
__all__ = [
    "BurnIn",
    "ClassWeights",
    "CurriculumWeights",
    "Deferred",
    "DirichletWeights",
    "Duals",
    "GroupWeights",
    "LossReference",
    "MomentumDifficulty",
    "RENTWeights",
    "RunningRisk",
    "SampleWeights",
    "balanced_softmax",
    "clipped_inverse",
    "cvar",
    "deferred",
    "density_ratio_weights",
    "double_weights",
    "effective_sample_size",
    "esrm",
    "extremes",
    "extremile",
    "feasible",
    "focal",
    "group_dro",
    "group_loss_scaling",
    "kl_dro",
    "kmm_weights",
    "lin_upper",
    "logit_adjustment",
    "pairwise_easiness",
    "pointwise_easiness",
    "quadratic",
    "self_paced",
    "symmetric_transition",
    "target_density_weights",
    "tldr",
    "ulsif_weights",
    "upweight",
]

__getattr__, __dir__ = late(__name__, _FILES)
