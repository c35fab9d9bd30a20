"""Scores of sample difficulty and usefulness, and counts of how often each was trained on.

    dynamics = TrainingDynamics(dataset, num_classes=10)
    dynamics.update(indices, logits, labels)       # in the training loop
    dynamics.el2n()                                # a `Score`, which knows what a high value means

During training
    TrainingDynamics        EL2N, forgetting, AUM, confidence and ten more, from the logits seen
    ScoreTable              one number a sample, such as its last loss
    ExposureCounter         how often each sample was trained on

From logits, probabilities or a model
    score_stored            several of these at once, from stored logits
    el2n                    error of the probabilities
    entropy                 of the prediction
    confidence              probability of the label
    margin                  between the label and the best other class
    contrastive             how much the predictions of its neighbours differ from its own
    memorization            how much more often models trained on it are right, from many models
    pvi                     what an input tells about its label, in bits
    grand                   norm of the gradient
    gradient_norm_bound     a bound on it from the logits alone, for `ImportanceSampler`
    sequence_log_probs      of texts, under a language model
    check_stored            refuses wrong arguments of `score_stored` before a row is read

Wrong labels
    label_issues            which labels are probably wrong
    label_quality           a score of each label
    aum_flagged             those of low AUM
    threshold_samples       samples with a wrong label on purpose, the threshold for it

Attribution
    trak                    how each sample moves the predictions of targets
    AttributionScores       reduces such a matrix over targets and tasks

Several scores
    mean_scores             the mean of several runs
    rank_average            a consensus of unlike scores
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late

if TYPE_CHECKING:
    from ._attribution import AttributionScores
    from ._aum import aum_flagged, threshold_samples
    from ._contrastive import contrastive
    from ._dynamics import TrainingDynamics
    from ._exposure import ExposureCounter
    from ._gradient_norm import gradient_norm_bound
    from ._grand import grand
    from ._label_errors import label_issues, label_quality
    from ._logits import check_stored, confidence, el2n, entropy, margin, pvi, score_stored
    from ._mean import mean_scores, rank_average
    from ._memorization import memorization
    from ._sequences import sequence_log_probs
    from ._table import ScoreTable
    from ._trak import trak

_FILES = {
    "AttributionScores": "_attribution",
    "ExposureCounter": "_exposure",
    "ScoreTable": "_table",
    "TrainingDynamics": "_dynamics",
    "aum_flagged": "_aum",
    "check_stored": "_logits",
    "confidence": "_logits",
    "contrastive": "_contrastive",
    "el2n": "_logits",
    "entropy": "_logits",
    "gradient_norm_bound": "_gradient_norm",
    "grand": "_grand",
    "label_issues": "_label_errors",
    "label_quality": "_label_errors",
    "margin": "_logits",
    "mean_scores": "_mean",
    "memorization": "_memorization",
    "pvi": "_logits",
    "rank_average": "_mean",
    "score_stored": "_logits",
    "sequence_log_probs": "_sequences",
    "threshold_samples": "_aum",
    "trak": "_trak",
}
__all__ = [
    "AttributionScores",
    "ExposureCounter",
    "ScoreTable",
    "TrainingDynamics",
    "aum_flagged",
    "check_stored",
    "confidence",
    "contrastive",
    "el2n",
    "entropy",
    "gradient_norm_bound",
    "grand",
    "label_issues",
    "label_quality",
    "margin",
    "mean_scores",
    "memorization",
    "pvi",
    "rank_average",
    "score_stored",
    "sequence_log_probs",
    "threshold_samples",
    "trak",
]

__getattr__, __dir__ = late(__name__, _FILES)
