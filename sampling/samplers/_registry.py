"""The one list of samplers: a new one is a file, an entry here, and a case for the contract.

It feeds `sampling.samplers.__all__` and the tables of the documentation. `sampling contracts`, the
contract tests and `sampling warm` make one of each, in `testing/_every_sampler.py`; a test
compares the names. Nothing is imported before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from .._entry import NOT_MEASURED, compared


@dataclass(frozen=True)
class Entry:
    """A sampler of the package.

    Attributes
    ----------
    module : str
        Where it is defined, below `sampling.samplers`.
    draws : str
        What it draws, for tables; of a batch sampler, what it yields.
    needs : str
        What it is made from in addition to the number of samples, or learns from, for tables.
    weight : str
        Loss weight of a draw, for tables.
    source : str
        Paper, for tables.
    verdict : str
        One of `VERDICTS`: to begin with, to compare with, or to repeat a paper.
    evidence : str
        From the tables of benchmarks/README.md, or "not measured".
    """

    module: str
    draws: str
    weight: str = "1"
    needs: str = "nothing"
    source: str = ""
    verdict: str = "replication"
    evidence: str = NOT_MEASURED


_STATED: dict[str, Entry] = {
    "ShuffleSampler": Entry(
        "static._shuffle",
        "a shuffle of up to 2^62 samples in O(1) memory; repeated augmentation",
        source="Black and Rogaway 2002",
        verdict="control",
        evidence="the reference of all tables",
    ),
    "SubsetSampler": Entry(
        "static._subset",
        "a given subset; a `Selection` provides its weights",
        weight="1, or the selection's",
        verdict="recommended",
        needs="a subset",
    ),
    "WeightedSampler": Entry(
        "static._weighted",
        "in proportion to weights, evenly or independently, with or without replacement",
        source="stratified; Madow 1949",
        verdict="recommended",
        needs="weights",
    ),
    "ClassBalancedSampler": Entry(
        "static._class_balanced",
        "classes in any shares: power law, effective number, target, progressive",
        source="Kang 2020; Cui 2019",
        verdict="recommended",
        needs="labels",
    ),
    "RepeatFactorSampler": Entry(
        "static._repeat_factor",
        "multi-label data: rare categories repeated, no sample excluded",
        source="LVIS 2019",
        verdict="recommended",
        needs="labels, several a sample",
    ),
    "RepeatedSubsetSampler": Entry(
        "static._repeated_subset",
        "RS2: a new random subset in every round, exact across rounds, optionally stratified",
        source="Okanovic 2024",
        verdict="control",
        needs="nothing; labels to stratify",
    ),
    "ClusterClipSampler": Entry(
        "static._cluster_clip",
        "clusters evenly, each excluded after too many repeats; temperature baselines",
        source="Shao 2024",
        needs="clusters",
    ),
    "SensitivitySampler": Entry(
        "static._sensitivity",
        "by a bound on the loss from one loss per cluster",
        weight="1/(N p)",
        source="Axiotis 2024",
        needs="clusters, and a loss of each",
    ),
    "TrajectorySampler": Entry(
        "static._trajectory",
        "transitions of trajectories with high returns or advantages; the best fraction",
        source="Hong 2023",
        needs="lengths and returns",
    ),
    "CurriculumSampler": Entry(
        "static._curriculum",
        "from the easiest samples, and from more of them over the run; anti-curriculum and "
        "random-order controls",
        weight="1 (biased early)",
        source="Platanios 2019",
        needs="a score of difficulty",
    ),
    "InfoBatchSampler": Entry(
        "dynamic._infobatch",
        "all but a random fraction of the easy samples; mean or quantile thresholds",
        weight="1, or easy/kept",
        source="Qin 2024",
        verdict="recommended",
        needs="losses",
    ),
    "DynamicRandomSampler": Entry(
        "dynamic._dynamic_random",
        "the control: the same schedule without using the loss",
        verdict="control",
    ),
    "HardestSampler": Entry(
        "dynamic._hardest",
        "the samples with the highest last losses; for replication",
        weight="1 (biased)",
        needs="losses",
    ),
    "EpsilonGreedySampler": Entry(
        "dynamic._epsilon_greedy",
        "the samples with the highest average losses, and a random fraction of the others",
        weight="1, or others/drawn",
        source="Raju 2021",
        needs="losses",
    ),
    "UCBSampler": Entry(
        "dynamic._ucb",
        "the samples with the highest average loss plus spread",
        weight="1 (biased)",
        source="Raju 2021",
        needs="losses",
    ),
    "SeTaSampler": Entry(
        "dynamic._seta",
        "a window over groups of losses that slides from easy to hard",
        weight="1 (biased)",
        source="Zhou 2025",
        needs="losses",
    ),
    "RCAPSampler": Entry(
        "dynamic._rcap",
        "classes by their loss, and in a class samples at random by theirs; an exact number",
        weight="1 (biased)",
        source="Hassan 2025",
        needs="labels, losses",
    ),
    "KakurenboSampler": Entry(
        "dynamic._kakurenbo",
        "excludes samples of low loss that are predicted correctly with confidence; a "
        "forward-only pass updates their scores",
        weight="1 (biased)",
        source="Nguyen 2023",
        needs="losses, logits, labels; a forward pass over excluded samples",
    ),
    "IESSampler": Entry(
        "dynamic._ies",
        "excludes a sample once its loss has converged; a forward-only pass monitors it",
        weight="1 (biased)",
        source="Yuan 2025",
        needs="losses; a forward pass over excluded samples",
    ),
    "LateStoppingSampler": Entry(
        "dynamic._late_stopping",
        "reduces noisy data in rounds to the samples learnt first",
        weight="1 (biased)",
        source="Yuan 2023",
        needs="losses, logits, labels",
    ),
    "SelfPacedSampler": Entry(
        "dynamic._self_paced",
        "the samples with the lowest losses, a fraction that grows to 1",
        weight="1 (biased)",
        source="Kumar 2010",
        needs="losses",
    ),
    "VarianceBudgetSampler": Entry(
        "dynamic._variance_budget",
        "the fewest samples that increase the gradient's variance by at most a fraction `tau`",
        weight="1 / probability of being kept",
        source="after Wang 2024",
        verdict="recommended",
        needs="losses, or bounds of gradients",
    ),
    "ImportanceSampler": Entry(
        "dynamic._importance",
        "in proportion to the loss or to a bound on the gradient, with a positive probability for"
        " every sample; `gain()` estimates the benefit",
        weight="1/(N p)",
        source="Katharopoulos 2018",
        verdict="control",
        needs="losses, or bounds of gradients",
    ),
    "MixtureSampler": Entry(
        "mixture._mixture_sampler",
        "several sources in any shares of the draws or tokens, within two draws in every "
        "interval; temperatures, caps, phases, online weights",
        source="Chung 2023; Xie 2023",
        verdict="recommended",
        needs="sizes of the sources",
    ),
    "EpochBatchSampler": Entry(
        "batches._epoch_batches",
        "the draws of any sampler above in batches, which are sharded over the ranks as a whole",
        verdict="recommended",
        needs="a sampler",
    ),
    "ClassesPerBatchSampler": Entry(
        "batches._classes_per_batch",
        "P classes, K samples of each, in every batch, also within one patient or document; every "
        "sample in every epoch",
        verdict="recommended",
        needs="labels",
    ),
    "GroupBatchSampler": Entry(
        "batches._group_batches",
        "whole groups: bags, documents, videos",
        verdict="recommended",
        needs="groups",
    ),
    "TokenBudgetBatchSampler": Entry(
        "batches._token_budget",
        "samples of similar length, up to a number of tokens; of similar cost on all ranks of a "
        "step; also of the draws of another sampler",
        verdict="recommended",
        needs="lengths",
    ),
    "TwoStreamBatchSampler": Entry(
        "batches._two_streams",
        "a fixed number of samples of a second (labelled) stream in every batch",
        verdict="recommended",
        needs="two sets of samples",
    ),
    "PairBatchSampler": Entry(
        "batches._pairs",
        "every sample with a partner of the same or another class or domain, for selective mixup; "
        "`resample_equivalent` is the control",
        source="Teney 2024; Yao 2022",
        needs="labels, or domains",
    ),
    "NeighborPairBatchSampler": Entry(
        "batches._neighbor_pairs",
        "every sample with nearest neighbours or hard negatives of a table",
        source="Hwang and Whang, RegMix",
        needs="a table of neighbours",
    ),
    "ClassPairBatchSampler": Entry(
        "batches._class_pairs",
        "pairs of classes in shares, such as those of `selmix_pairs`, that may be replaced",
        source="Ramasubramanian 2024",
        needs="labels",
    ),
    "TemporalBatchSampler": Entry(
        "batches._temporal",
        "events in the order of time, no two of one entity in a batch",
        source="Kumar 2019",
        verdict="recommended",
        needs="entities of the events",
    ),
    "AdaptiveBatchSampler": Entry(
        "batches._adaptive",
        "batches of a size that may change during training; "
        "`sampling.training.suggest_batch_size` estimates a suitable one",
        verdict="recommended",
        needs="a sampler",
    ),
}
SAMPLERS = compared(_STATED)

OTHERS = {  # what else `sampling.samplers` has, and where
    "Aioli": "mixture._aioli",
    "Batch": "core._batch",
    "ByPerformance": "mixture._by_performance",
    "DoReMi": "mixture._doremi",
    "EpochOptions": "core._options",
    "EpochSampler": "core._epoch_sampler",
    "Groups": "core._groups",
    "HolderFit": "static._sensitivity",
    "ImportanceGain": "dynamic._importance",
    "MixtureFit": "mixture._regression",
    "MixtureUpdater": "mixture._updater",
    "ODM": "mixture._odm",
    "RecordedScores": "core._scored_sampler",
    "ScoredSampler": "core._scored_sampler",
    "SkillIt": "mixture._skill_it",
    "effective_samples": "mixture._allocation",
    "full_state": "_save",
    "load_full_state": "_save",
    "load_state": "_save",
    "max_epochs_for": "mixture._allocation",
    "mixture_regression": "mixture._regression",
    "random_key": "core._random_key",
    "random_mixtures": "mixture._regression",
    "save_state": "_save",
    "selmix_pairs": "batches._selmix",
    "skill_graph": "mixture._skill_it",
    "temperature_weights": "mixture._allocation",
}


def table(names: list[str]) -> str:
    """Return the table of some samplers in Markdown, for the documentation."""
    batches = all(SAMPLERS[name].module.startswith("batches.") for name in names)
    head = ["Batch sampler", "Yields"] if batches else ["Sampler", "Draws"]
    more = [] if batches else ["Loss weight"]
    lines = [[*head, "Needs", *more, "Source", "Verdict", "Evidence"]]
    lines.append(["---"] * len(lines[0]))
    for name in names:
        each = SAMPLERS[name]
        weight = [] if batches else [each.weight]
        lines.append(
            [f"`{name}`", each.draws, each.needs, *weight, each.source, each.verdict, each.evidence]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace(" |  |", " | |")
