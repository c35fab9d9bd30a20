"""Skip the backward pass of easy samples, then also the forward pass of predicted easy samples.

The only selector that saves forward passes too. That needs features that predict the loss before
the model has seen the sample; without them it is a threshold on the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Unpack

from .. import _check, _rng
from .._check._keywords import told
from ..types import Floats
from ._batch_selector import (
    BatchSelector,
    Candidates,
    Chosen,
    SelectorOptions,
    host_features,
    unweighted,
)
from ._random_keys import host_uniforms
from ._skip_predictor import Predictor, SkipPredictor

_SURPRISES = 16  # batches over which the predictor's log loss is averaged


@told
class MultistageFilter(BatchSelector):
    """Filter by a loss threshold, later by a cheap prediction of it from features.

    A baseline for short fine-tuning runs. Three stages:

    0. The first `warmup` batches are trained on whole; their losses give the threshold.
    1. Every batch is scored, rows above the threshold are trained on, and a predictor learns from
       the features which rows those are.
    2. Once the predictor is accurate, rows that it calls easy are not scored, except for a random
       fraction `epsilon` of them, the audits.

    Audits keep the filter correct: without them the predictor never sees the rows that it skipped,
    and a wrong skip is permanent. An audited row represents 1 / epsilon rows in the threshold and
    in the training of the predictor.

    Parameters
    ----------
    warmup : int
        Number of batches in stage 0.
    threshold : {"mean", "frozen"} or float in (0, 1), default "mean"
        "mean": mean of the last `window` losses. "frozen": that mean at the end of stage 0; as the
        model improves, fewer and fewer rows pass. A float: this quantile of the last losses.
    window : int, default 128
        Number of losses remembered.
    epsilon : float in (0, 1], default 0.05
        Fraction of the rows called easy that is scored nevertheless.
    trust : float > 0, default 0.5
        Stage 2 begins when the predictor's mean log loss over the last 16 batches is at most this;
        a coin flip has 0.69.
    unbiased : bool, default False
        Train on easy rows with probability `epsilon` and weight 1 / epsilon, so that no row is
        excluded in expectation.
    predictor : optional
        Any object with the four methods of `SkipPredictor`, which is the default.
    **options
        The options of every selector: see `BatchSelector`. `collect` makes batches of equal size.

    Attributes
    ----------
    stage : int
        Current stage: 0, 1 or 2.
    threshold_value : float
        Threshold for the next losses; NaN before there is one.
    num_skipped, num_audited : int
        Number of rows that were not scored, and of rows called easy that were scored.

    Raises
    ------
    ValueError
        If an argument is out of its range; if `select` gets no features in stage 2, or rows other
        than those that `screen` returned.

    Notes
    -----
    Order
        A function of (losses, features, seed, epoch, step, rank) and the earlier batches.
    Cost
        Synchronizes with the losses of each batch. The predictor runs on the host.
    Gradients
        Biased towards hard samples, without weights; unbiased=True restores the batch's mean (when
        rows are collected, the sum over the epoch) at the cost of variance.
    Source
        Ouyang, Ansari, Lin, Ji, "Efficient NLP Model Finetuning via Multistage Data Filtering",
        IJCAI 2023, doi 10.24963/ijcai.2023/455: threshold="frozen", without audits. Audits,
        decaying counts and the moving thresholds are additions of this package. The released code
        also enters stage 2 in the second epoch, whether or not the predictor is accurate, steps on
        single rows there, and in stage 1 trains on rows at the threshold too.

    Examples
    --------
    >>> selector = MultistageFilter(warmup=1)
    >>> selector.observe(torch.tensor([1.0, 2.0, 3.0]))
    >>> selector.stage, selector.threshold_value
    (1, 2.0)
    >>> selector.select(torch.tensor([5.0, 1.0, 4.0])).rows
    tensor([0, 2])
    """

    def __init__(
        self,
        warmup: int,
        *,
        threshold: Literal["mean", "frozen"] | float = "mean",
        window: int = 128,
        epsilon: float = 0.05,
        trust: float = 0.5,
        unbiased: bool = False,
        predictor: Predictor | None = None,
        **options: Unpack[SelectorOptions],
    ) -> None:
        self.warmup = _check.integer("warmup", warmup, 1)
        self.threshold: str | float = (
            _check.choice("threshold", threshold, ("mean", "frozen"))
            if isinstance(threshold, str)
            else _check.number("threshold", threshold, "(0, 1)")
        )
        self.window = _check.integer("window", window, 1)
        self.epsilon = _check.number("epsilon", epsilon, "(0, 1]")
        self.trust = _check.number("trust", trust, "(0, inf)")
        self.unbiased = _check.flag("unbiased", unbiased)
        super().__init__(**options)
        self.predictor: Predictor = SkipPredictor() if predictor is None else predictor
        self.stage = 0
        self.threshold_value = math.nan
        self.num_skipped = 0
        self.num_audited = 0
        self._batches = 0  # of stage 0
        self._seen = 0  # batches that the predictor was trained on
        self._losses, self._stand_for = np.empty(0), np.empty(0)  # the last losses
        self._surprises = np.empty(0)
        self._looked: Floats | None = None  # number of rows that each screened row represents
        self._offered = 0  # rows before they were screened

    @property
    def scores_first(self) -> bool:
        """Whether the next batch is scored: from stage 1."""
        return self.stage > 0

    # ------------------------------------------------------------------ screening

    def screen(self, features: Any) -> NDArray[np.int64] | None:
        """Return the rows worth a scoring pass: those not called easy, and audits.

        Parameters
        ----------
        features : array, sparse matrix or tensor of shape (B, V)

        Returns
        -------
        int64 array of shape (m,) or None
            None = all, before stage 2. Without `collect` at least one row.
        """
        if self.stage < 2:
            return None
        features = host_features(features)
        size = features.shape[0]
        hard = self.predictor.probability(features) >= 0.5
        audited = ~hard & (host_uniforms(_rng.subkey(self._key(), 1), size) < self.epsilon)
        rows = np.flatnonzero(hard | audited)
        self._looked = np.where(audited[rows], 1.0 / self.epsilon, 1.0)
        if rows.size == 0 and self.collect is None:  # a step with weight 0 that trains nothing
            rows, self._looked = np.zeros(1, np.int64), np.zeros(1)
        self._offered = size
        self.num_skipped += size - rows.size
        self.num_audited += int(audited.sum())
        self.cost.candidates += size - rows.size
        if rows.size == 0:
            self._looked = None
            self.step += 1
        return rows

    def _choose(self, candidates: Candidates) -> Chosen:
        losses = _check.host(candidates.losses).astype(np.float64)
        features = None if candidates.features is None else host_features(candidates.features)
        looked, offered = self._screened(losses.size, features)
        usable = np.isfinite(losses)
        hard = usable & (losses > self.threshold_value)
        if features is not None:
            self._teach(features, hard, np.where(usable, looked, 0.0))
        self._remember(losses, looked)
        audited = looked > 1.0
        if self.unbiased:
            coin = host_uniforms(_rng.subkey(candidates.key, 2), losses.size) < self.epsilon
            taken = usable & (hard | audited | coin) & (looked > 0)
            stands = np.where(hard | audited, looked, 1.0 / self.epsilon)[taken]
        else:
            taken = hard & (looked > 0)
        device = candidates.losses.device
        rows = torch.from_numpy(np.flatnonzero(taken)).to(device)
        if not self.unbiased:
            return unweighted(rows)
        return Chosen(rows, self._weights(torch.from_numpy(stands).to(device), offered))

    def _screened(self, size: int, features: Any) -> tuple[Floats, int]:
        """Return the number of rows that each row represents, and the number of rows in all."""
        if self.stage == 0:
            raise ValueError("the batch must be given to observe in stage 0, got it in select")
        looked, self._looked = self._looked, None
        if self.stage == 1 or looked is None:
            if self.stage == 2:
                raise ValueError("features must be given to screen in stage 2, got a batch without")
            return np.ones(size), size
        if looked.size != size or features is None:
            raise ValueError(
                f"select must get the {looked.size} rows that screen returned, with their "
                f"features, got {size} rows"
            )
        return looked, self._offered

    # ------------------------------------------------------------------ learning

    def _observe(self, losses: torch.Tensor, features: Any) -> None:
        values = _check.host(losses, "losses").astype(np.float64)
        self._remember(values, np.ones(values.size))
        if self.stage == 0:
            self._batches += 1
            if self._batches >= self.warmup and self._losses.size:
                self.stage = 1

    def _remember(self, losses: Floats, stand_for: Floats) -> None:
        """Add losses to the window, and update the threshold."""
        good = np.isfinite(losses) & (stand_for > 0)
        self._losses = np.concatenate([self._losses, losses[good]])[-self.window :]
        self._stand_for = np.concatenate([self._stand_for, stand_for[good]])[-self.window :]
        if self._losses.size == 0 or (self.threshold == "frozen" and self.stage > 0):
            return
        if isinstance(self.threshold, str):
            self.threshold_value = float(np.average(self._losses, weights=self._stand_for))
            return
        order = np.argsort(self._losses, kind="stable")
        below = np.cumsum(self._stand_for[order])
        at = int(np.searchsorted(below, self.threshold * below[-1]))
        self.threshold_value = float(self._losses[order[at]])

    def _teach(self, features: Any, hard: NDArray[np.bool_], weights: Floats) -> None:
        """Train the predictor, and measure its log loss on the batch before that."""
        labels = hard.astype(np.float64)
        if self.stage == 1 and self._seen > 0 and weights.any():
            said = self.predictor.probability(features)
            of_truth = np.where(hard, said, 1.0 - said)[weights > 0]
            surprise = -np.log(np.maximum(of_truth, 1e-12)).mean()
            self._surprises = np.append(self._surprises, surprise)[-_SURPRISES:]
        self.predictor.fit(features, labels, weights)
        self._seen += 1
        if self._surprises.size == _SURPRISES and self._surprises.mean() <= self.trust:
            self.stage = 2

    # ------------------------------------------------------------------ state

    def _identity(self) -> dict[str, object]:
        names = ("warmup", "threshold", "window", "epsilon", "trust", "unbiased")
        found = {name: getattr(self, name) for name in names}
        return {**found, "predictor": type(self.predictor).__name__}

    def _arrays(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "threshold_value": None if math.isnan(self.threshold_value) else self.threshold_value,
            "num_skipped": self.num_skipped,
            "num_audited": self.num_audited,
            "batches": self._batches,
            "seen": self._seen,
            "losses": self._losses.copy(),
            "stand_for": self._stand_for.copy(),
            "surprises": self._surprises.copy(),
            "predictor": self.predictor.state_dict(),
        }

    def _adopt(self, arrays: Mapping[str, Any]) -> None:
        self.stage = int(arrays["stage"])
        value = arrays["threshold_value"]
        self.threshold_value = math.nan if value is None else float(value)
        self.num_skipped, self.num_audited = arrays["num_skipped"], arrays["num_audited"]
        self._batches, self._seen = arrays["batches"], arrays["seen"]
        self._losses, self._stand_for = np.array(arrays["losses"]), np.array(arrays["stand_for"])
        self._surprises, self._looked = np.array(arrays["surprises"]), None
        self.predictor.load_state_dict(arrays["predictor"])
