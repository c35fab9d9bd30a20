"""The one list of scores, for tables in the documentation.

A test compares its names with `sampling.scores.__all__` and the methods of `TrainingDynamics`.
"""

from __future__ import annotations

from .._entry import Entry, compared

_SPEED = "four scores in 47 µs a batch of 256; the package aum, one of them, 2.02 ms"

_STATED: dict[str, Entry] = {
    "TrainingDynamics.el2n": Entry(
        "error of the probabilities, early in training", "Paul 2021", "replication", _SPEED
    ),
    "TrainingDynamics.forgetting": Entry(
        "samples that are unlearnt again", "Toneva 2019", "replication", _SPEED
    ),
    "TrainingDynamics.aum": Entry(
        "wrong labels: the mean margin of the logits", "Pleiss 2020", "replication", _SPEED
    ),
    "TrainingDynamics.confidence": Entry(
        "mean probability of the label", "Swayamdipta 2020", "replication", _SPEED
    ),
    "TrainingDynamics.variability": Entry(
        "deviation of the label's probability", "Swayamdipta 2020", "replication", _SPEED
    ),
    "TrainingDynamics.correctness": Entry(
        "how often a sample is predicted correctly", "Swayamdipta 2020", "replication", _SPEED
    ),
    "TrainingDynamics.first_learned": Entry(
        "wrong labels: the first streak of correct predictions", "Yuan 2023"
    ),
    "TrainingDynamics.dyn_unc": Entry("deviation of the label's probability in windows", "He 2024"),
    "TrainingDynamics.dual": Entry(
        "the same times difficulty, after few epochs; for `selection.beta`", "Cho 2025"
    ),
    "TrainingDynamics.tdds": Entry(
        "how unevenly the probabilities move between epochs", "Zhang 2024"
    ),
    "TrainingDynamics.probabilities": Entry(
        "labels to buy: the mean probability of every class", "Kye 2023"
    ),
    "TrainingDynamics.ema_loss": Entry("running mean of the loss", "", "control"),
    "TrainingDynamics.entropy": Entry("mean entropy of the predictions", "", "control"),
    "TrainingDynamics.margin": Entry("mean margin of the probabilities", "", "control"),
    "ScoreTable": Entry("the last loss, or its running mean", "", "control"),
    "el2n": Entry("error of stored probabilities", "Paul 2021"),
    "grand": Entry("norm of each sample's gradient", "Paul 2021"),
    "gradient_norm_bound": Entry(
        "a bound on that norm from the logits alone, for `ImportanceSampler`",
        "Katharopoulos 2018",
    ),
    "confidence": Entry("probability of the label, or the largest one", "", "control"),
    "entropy": Entry("entropy of the prediction", "", "control"),
    "margin": Entry("distance of the two largest probabilities or logits", "", "control"),
    "contrastive": Entry(
        "labels to buy: neighbours with other predictions (CAL)", "Margatina 2021", "replication"
    ),
    "memorization": Entry(
        "rare samples and wrong labels, learned by heart: from many models on bags of the data",
        "Feldman 2020",
    ),
    "pvi": Entry("what an input tells about its label, in bits", "Ethayarajh 2022"),
    "label_issues": Entry("wrong labels, found", "Northcutt 2021", "recommended"),
    "label_quality": Entry("wrong labels, ranked", "Northcutt 2021", "recommended"),
    "aum_flagged": Entry(
        "wrong labels: the threshold of AUM by `threshold_samples`", "Pleiss 2020"
    ),
    "trak": Entry("how each sample moves the predictions of targets", "Park 2023"),
    "AttributionScores": Entry(
        "a matrix of such attributions, reduced over targets and tasks", "Engstrom 2024"
    ),
    "sequence_log_probs": Entry(
        "log-probabilities of sequences under a reference model", "after Diwan 2025"
    ),
    "rank_average": Entry("a consensus of unlike scores", "", "recommended"),
    "mean_scores": Entry("the mean of several runs or models", "Paul 2021", "recommended"),
}

SCORES = compared(_STATED)
