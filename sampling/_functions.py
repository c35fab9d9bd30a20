"""The one list of methods that are no sampler, selector, score or weighting.

Each is named with its package. A test finds every name, and compares those of `sampling.labeling`
with its `__all__`.
"""

from __future__ import annotations

from ._entry import Entry

FUNCTIONS: dict[str, Entry] = {
    "labeling.Acquisition": Entry(
        "test sets: labels bought one after the other by any scores, and an unbiased estimate",
        "Farquhar 2021; Kossen 2021",
        "recommended",
    ),
    "labeling.expected_loss": Entry(
        "scores for it: the loss that a second model expects", "Kossen 2021"
    ),
    "labeling.fit_curve": Entry(
        "how much more data reach a loss: a power law with a floor, with intervals",
        "after Mahmood 2022",
    ),
    "labeling.allocate": Entry(
        "which group to collect from: a budget over groups by their curves", "after Cai 2023"
    ),
    "selection.quotas_from_recall": Entry(
        "how many samples to keep of each class, more of those recognised badly (DRoP); for "
        "`group_budgets` of a selector and `quotas` of `RepeatedSubsetSampler`",
        "Vysogorets 2025",
    ),
    "training.meta_weights": Entry(
        "wrong labels or a shift: weights of a core set learnt on clean samples",
        "The Power of Few 2024; Ren 2018",
    ),
    "selection.propagate": Entry(
        "those weights for all samples, by nearest neighbours in the core set",
        "after The Power of Few 2024",
    ),
    "selection.dsir_scores": Entry(
        "pre-training data like a target corpus, by hashed n-grams (DSIR); for `gumbel`",
        "Xie 2023",
    ),
    "selection.unimax": Entry(
        "a total over sources, evenly, with a limit on the passes over each",
        "Chung 2023",
        "recommended",
    ),
    "selection.bags": Entry(
        "bootstrap samples of rows, and the rows out of each", "Efron 1979", "control"
    ),
    "clustering.hard_negatives": Entry(
        "retrieval: the nearest rows of other classes, for `NeighborPairBatchSampler`", "Wu 2023"
    ),
    "samplers.mixture_regression": Entry(
        "shares of sources from small runs, by gradient boosting (RegMix)", "Liu 2024"
    ),
    "samplers.effective_samples": Entry(
        "fresh samples that repeated draws are worth; `max_epochs_for` is its inverse",
        "Muennighoff 2023",
    ),
    "training.suggest_batch_size": Entry(
        "batch sizes that grow in a run, for `AdaptiveBatchSampler`: a test of the gradient noise",
        "Byrd 2012; Lau 2024",
    ),
}
