"""The one list of weightings, for the table in the README.

A test compares its names with `sampling.weighting.__all__`.
"""

from __future__ import annotations

from .._entry import Entry, compared

_STATED: dict[str, Entry] = {
    "logit_adjustment": Entry(
        "long tails: the logarithms of class shares added to the logits, or subtracted from those "
        "of a trained model",
        "Menon 2021",
        "recommended",
    ),
    "balanced_softmax": Entry(
        "the same, as a loss", "Ren 2020", "recommended", "equal to `logit_adjustment`"
    ),
    "ClassWeights": Entry(
        "long tails: inverse frequency, effective number, a power; from the counts or from the "
        "batches; several labels a sample",
        "Cui 2019; Wu 2020",
        "recommended",
    ),
    "deferred": Entry(
        "any weighting from an epoch on, such as class weights at the end of a run",
        "Cao 2019",
        "recommended",
    ),
    "upweight": Entry("domains by temperature, as weights instead of draws", "Li 2025", "control"),
    "target_density_weights": Entry(
        "regression: rare targets, for the loss or a sampler", "after Yang 2021", "recommended"
    ),
    "density_ratio_weights": Entry(
        "a shift: source samples that look like a target set, by a cross-fitted classifier", ""
    ),
    "ulsif_weights": Entry(
        "a shift: the same by least squares with Gaussians", "Kanamori 2009", "replication"
    ),
    "kmm_weights": Entry("a shift: the same by matched kernel means", "Huang 2006", "replication"),
    "double_weights": Entry(
        "a shift to a target that the source does not cover, with weights of both",
        "Segovia-Martin 2023",
        "replication",
    ),
    "clipped_inverse": Entry(
        "samples observed with known probabilities: 1 / p, with a limit", "Vanderschueren 2023"
    ),
    "SampleWeights": Entry("weights of your own, one for each sample", "", "recommended"),
    "group_dro": Entry(
        "the worst of known groups",
        "Sagawa 2020",
        "control",
    ),
    "group_loss_scaling": Entry(
        "groups of large loss, within a batch: FIS and FEBS", "after Luo 2023; Tian 2024"
    ),
    "RENTWeights": Entry(
        "wrong labels with a known transition matrix: the batch resampled", "Bae 2024"
    ),
    "DirichletWeights": Entry("the same, with weights from Dirichlet draws", "Bae 2024"),
    "cvar": Entry("the worst fraction of the samples, and penalised forms", "Mehta 2024"),
    "extremile": Entry("the expected maximum of several samples", "Mehta 2024"),
    "esrm": Entry("exponential spectral risk", "Mehta 2024"),
    "kl_dro": Entry(
        "weights exp(loss), of a batch or a running mean",
        "",
        "replication",
    ),
    "lin_upper": Entry(
        "one-pass training: weights that increase up to the middle of the losses",
        "Sow 2025",
        "replication",
    ),
    "quadratic": Entry("the same, largest in the middle", "Sow 2025"),
    "extremes": Entry("the same, largest at both ends", "Sow 2025"),
    "feasible": Entry("a bound on the loss of every sample", "Ramirez 2025"),
    "self_paced": Entry("easy samples first, hard, linear and logarithmic", "Kumar 2010"),
    "CurriculumWeights": Entry("easy samples first, by a score", "MacAvaney 2020"),
    "MomentumDifficulty": Entry("samples whose loss stays large", "after arXiv:2404.01579, 2024"),
    "tldr": Entry("tokens that are not learnt yet", "Jiang 2020"),
    "focal": Entry("many easy negatives", "Lin 2017", "control"),
}
WEIGHTINGS = compared(_STATED)
