"""The scores that a selector may use: from which run of a pilot each comes, and its cost.

A pilot is trained on all the data once for each seed. A score is taken after the fraction of the
run that its paper uses, and a method is charged with the epochs up to there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ... import _check
from ...record import Direction

Source: TypeAlias = Literal["pilot", "classes", "gradients", "folds", "halves"]

EARLY = 0.1  # of a run: epoch 20 of 200
DUAL_PART = 0.15  # 30 of 200 epochs
NEIGHBOURS = 10  # of CAL
FOLDS = 3  # of the cross-validation: each model is trained on two thirds of the data


@dataclass(frozen=True)
class ScoreEntry:
    """A score by its name.

    Parameters
    ----------
    direction : {"harder", "easier", "keep", "drop"}
        What a high value means: that of the `Score`.
    help : str
        What it is, and after how much of a run.
    fraction : float in (0, 1], default 1
        Fraction of the epochs of the pilot after which it is taken; at least one epoch.
    source : {"pilot", "classes", "gradients", "folds", "halves"}
        The pilot run, the same run with the probabilities of all classes kept, the gradients of
        its model, a cross-validation, or two models, each of one half of the data.
    embeddings : bool, default False
        Whether it needs the neighbours of each sample too.
    windows : int, default 0
        The fewest epochs of a window that it needs; 0 for a score without windows.
    """

    direction: Direction
    help: str
    fraction: float = 1.0
    source: Source = "pilot"
    windows: int = 0
    embeddings: bool = False


_GRADIENT = "norm of the gradient of the loss after a tenth of the run (Paul 2021)"
SCORES: dict[str, ScoreEntry] = {
    "el2n": ScoreEntry(
        "harder", "mean error norm over the first tenth of the run: 20 of 200 epochs (Paul 2021)",
        EARLY,
    ),
    "forgetting": ScoreEntry(
        "harder", "events of forgetting over the whole run (Toneva 2019)"
    ),
    "aum": ScoreEntry("easier", "mean margin of the logits over the whole run (Pleiss 2020)"),
    "confidence": ScoreEntry(
        "easier", "mean probability of the label over the whole run (Swayamdipta 2020)"
    ),
    "variability": ScoreEntry(
        "keep", "deviation of the label's probability over the whole run (Swayamdipta 2020)"
    ),
    "correctness": ScoreEntry(
        "easier", "fraction of correct predictions over the whole run (Swayamdipta 2020)"
    ),
    "first_learned": ScoreEntry(
        "harder", "first epoch with a correct prediction, of the whole run (Yuan 2023)"
    ),
    "dyn_unc": ScoreEntry(
        "keep", "deviation in windows over the whole run (He 2023)", windows=2
    ),
    "dual": ScoreEntry(
        "keep", "deviation in windows times 1 - mean, over 30 of 200 epochs (Cho 2025)",
        DUAL_PART, windows=2,
    ),
    "tdds": ScoreEntry(
        "keep", "uneven moves of the probabilities, over 30 of 200 epochs (Zhang 2024)",
        DUAL_PART, "classes", windows=3,
    ),
    "ema_loss": ScoreEntry("harder", "moving average of the loss over the whole run"),
    "entropy": ScoreEntry("harder", "entropy of the prediction at the end of the run"),
    "margin": ScoreEntry("easier", "margin of the probabilities at the end of the run"),
    "grand": ScoreEntry("harder", _GRADIENT, EARLY, "gradients"),
    "grand_last_layer": ScoreEntry(
        "harder", f"{_GRADIENT}, of the last layer alone", EARLY, "gradients"
    ),
    "label_quality": ScoreEntry(
        "keep", f"probability of the label by {FOLDS}-fold cross-validation (Northcutt 2021)",
        source="folds",
    ),
    "pvi": ScoreEntry(
        "easier",
        f"V-information by {FOLDS}-fold cross-validation, against class shares (Ethayarajh 2022)",
        source="folds",
    ),
    "contrastive": ScoreEntry(
        "keep",
        f"divergence from {NEIGHBOURS} neighbours' predictions by {FOLDS}-fold cross-validation "
        "(Margatina 2021)",
        source="folds", embeddings=True,
    ),
    "irreducible": ScoreEntry(
        "harder", "loss under a model of the other half of the data (Mindermann 2022)",
        source="halves",
    ),
}  # fmt: skip

Early: TypeAlias = Literal["ema_loss", "confidence"]


def score_named(name: str, argument: str = "score") -> ScoreEntry:
    """Return a score by its name.

    Raises
    ------
    ValueError
        If there is none; the message says which name is nearest.
    """
    if name not in SCORES:
        raise ValueError(
            f"{argument} must be one of {', '.join(map(repr, SCORES))}, got {name!r}"
            f"{_check.closest(name, SCORES)}"
        )
    return SCORES[name]


def taken_with(name: Early, other: str) -> str:
    """Return the name of a score of the pilot, taken after as many epochs as another one."""
    return name if SCORES[other].fraction == 1 else f"{name}@{SCORES[other].fraction:g}"


def epochs_of(fraction: float, epochs: int, *, windows: int = 0) -> int:
    """Return after how many epochs of the pilot a score is taken: at least one, or a window."""
    return min(max(windows, 1, round(fraction * epochs)), epochs)


def window_of(epochs: int) -> int:
    """Return J, the epochs of a window: 10 of the 30 that the paper uses, as a fraction of them."""
    return min(10, max(2, round(epochs_of(DUAL_PART, epochs) / 3)))
