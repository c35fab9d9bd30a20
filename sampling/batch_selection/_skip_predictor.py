"""A cheap prediction, from a sample's features alone, of whether its loss is high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from .. import _check
from .._check._keywords import told
from ..errors import StateError
from ..types import Floats


class Predictor(Protocol):
    """The predictor interface of `MultistageFilter`; features are (B, V), arrays or sparse."""

    def fit(self, features: Any, hard: Floats, weights: Floats) -> None:
        """Update from a batch: hard is 0 or 1, float64 (B,); weights >= 0, float64 (B,)."""
        ...

    def probability(self, features: Any) -> Floats:
        """Return the probability that each sample is hard: float64 (B,), in [0, 1]."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the learned state: JSON values and arrays."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`."""
        ...


@told
class SkipPredictor:
    """Bernoulli naive Bayes over features that are present (> 0) or absent, updated by batches.

    `sklearn.naive_bayes.BernoulliNB` with decaying counts, so that counts from an earlier model do
    not dominate recent ones. Hashed words are good features
    (`sklearn.feature_extraction.text.HashingVectorizer`).

    Parameters
    ----------
    decay : float in (0, 1], default 0.999
        Factor of all counts from one batch to the next.
    alpha : float > 0, default 1
        Smoothing added to each count, as in `BernoulliNB`.

    Notes
    -----
    Cost
        O(V) a batch, and 32 V bytes.

    Examples
    --------
    >>> predictor = SkipPredictor()
    >>> features = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
    >>> predictor.fit(features, np.array([1.0, 0, 1, 0]), np.ones(4))
    >>> predictor.probability(features[:2]).round(2).tolist()
    [0.9, 0.1]
    """

    def __init__(self, decay: float = 0.999, alpha: float = 1.0) -> None:
        self.decay = _check.number("decay", decay, "(0, 1]")
        self.alpha = _check.number("alpha", alpha, "(0, inf)")
        self._model: Any = None  # until the first batch
        self._width = 0

    def fit(self, features: Any, hard: Floats, weights: Floats) -> None:
        """Update the counts from a batch.

        Parameters
        ----------
        features : array or sparse matrix of shape (B, V)
        hard : float64 array of shape (B,)
            1 for samples whose loss was high, else 0.
        weights : float64 array of shape (B,)
            Number of samples that each represents.
        """
        if self._width == 0:
            self._begin(features.shape[1])
        elif features.shape[1] != self._width:
            raise ValueError(f"features must have {self._width} columns, got {features.shape[1]}")
        self._model.class_count_ *= self.decay
        self._model.feature_count_ *= self.decay
        known = weights > 0
        if known.any():
            features, hard, weights = features[known], hard[known], weights[known]
            self._model.partial_fit(features, hard, sample_weight=weights)

    def probability(self, features: Any) -> Floats:
        """Return the probability that each sample is hard.

        Parameters
        ----------
        features : array or sparse matrix of shape (B, V)

        Returns
        -------
        float64 array of shape (B,)
            1/2 before the first batch.
        """
        if self._width == 0 or not self._model.class_count_.all():
            return np.full(features.shape[0], 0.5)
        found: Floats = self._model.predict_proba(features)[:, 1]
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the learned state: JSON values and arrays."""
        if self._width == 0:
            return {"width": 0}
        return {
            "width": self._width,
            "class_count": self._model.class_count_.copy(),
            "feature_count": self._model.feature_count_.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the result of `state_dict`.

        Parameters
        ----------
        state : mapping
        """
        if "width" not in state:
            raise StateError(f"the predictor's state must have a width, got {sorted(state)}")
        self._model, self._width = None, 0
        if state["width"]:
            self._begin(int(state["width"]))
            self._model.class_count_[:] = state["class_count"]
            self._model.feature_count_[:] = state["feature_count"]
            self._refresh()

    def _begin(self, width: int) -> None:
        """Allocate the counts: one sample of each class, subtracted again."""
        from sklearn.naive_bayes import BernoulliNB  # loads in a second, only if it is used

        self._model, self._width = BernoulliNB(alpha=self.alpha), width
        nothing = np.zeros((2, width))
        self._model.partial_fit(nothing, np.array([0.0, 1.0]), classes=np.array([0.0, 1.0]))
        self._model.class_count_[:] = 0.0

    def _refresh(self) -> None:
        """Update what depends on the counts: add a sample without features and subtract it."""
        counts = self._model.class_count_.copy()
        self._model.class_count_[0] -= 1.0
        self._model.partial_fit(np.zeros((1, self._width)), np.zeros(1))
        self._model.class_count_[:] = counts
