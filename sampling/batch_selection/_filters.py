"""Filters of unlabelled streams: train on predictions that are reliable, and not redundant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from typing_extensions import Unpack

from .. import _check
from .._check._keywords import told
from ..types import Scores
from ._batch_selector import BatchSelector, Candidates, Chosen, SelectorOptions, unweighted

_RELIABLE = 0.4  # of log C, the entropy of a uniform prediction


@told
class EATAFilter(BatchSelector):
    """Train on rows whose prediction has a low entropy, and differs from those trained on so far.

    For entropy minimization on an unlabelled stream (test-time adaptation), and as a filter of
    pseudo-labels: the losses are the entropies of the predictions, or of the pseudo-labels. For
    replication.

    Parameters
    ----------
    epsilon : float in (0, 1], default 0.05
        A row is redundant if the cosine between its probabilities and their moving average is at
        least this, in absolute value. The more classes, the smaller: 0.4 for CIFAR-10, 0.2 for
        CIFAR-100, 0.05 for ImageNet. 1 keeps all reliable rows.
    entropy_limit : float > 0, optional
        E0, in nats: a row is reliable if its entropy is below it. By default 0.4 log C: 0.921,
        1.842 and 2.763 for 10, 100 and 1,000 classes.
    momentum : float in [0, 1), default 0.9
        Of the moving average of the probabilities.
    **options
        The options of every selector: see `BatchSelector`.

    Attributes
    ----------
    mean_probabilities : float32 array of shape (C,) or None
        The moving average; None before the first reliable row.
    num_unreliable, num_redundant : int
        Rows refused so far for each reason. Rows whose logits are not finite are unreliable.

    Raises
    ------
    ValueError
        If an argument is out of its range; if `select` gets no logits, or of one class only.

    Notes
    -----
    Order
        A function of the logits of this and of all earlier batches, of this rank. Nothing is
        random. The first batch has no test of redundancy.
    Cost
        O(B C); synchronizes the device once for each batch. A forward pass over the batch, unless
        the rows are taken from the pass that is trained on, as in the example.
    Gradients
        Biased towards confident predictions. Row weights are exp(E0 - entropy), >= 1; the loss is
        the mean over the selected rows. If there are none, the step is one row of weight 0.
    Source
        Niu et al., "Efficient Test-Time Model Adaptation without Forgetting", ICML 2022. In the
        released code the default E0 is log(1000)/2 - 1 whatever C is, `reset` keeps the moving
        average, and the entropy of a probability of 0 is NaN.

    Examples
    --------
    >>> logits = torch.tensor([[9.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 9.0, 0.0]])
    >>> losses = torch.distributions.Categorical(logits=logits).entropy()
    >>> chosen = EATAFilter(epsilon=0.4).select(losses, logits=logits, scored=False)
    >>> chosen.rows
    tensor([0, 2])
    >>> loss = (losses[chosen.rows] * chosen.weights).mean()
    """

    def __init__(
        self,
        epsilon: float = 0.05,
        *,
        entropy_limit: float | None = None,
        momentum: float = 0.9,
        **options: Unpack[SelectorOptions],
    ) -> None:
        self.epsilon = _check.number("epsilon", epsilon, "(0, 1]")
        if entropy_limit is not None:
            entropy_limit = _check.number("entropy_limit", entropy_limit, "(0, inf)")
        self.entropy_limit = entropy_limit
        self.momentum = _check.number("momentum", momentum, "[0, 1)")
        super().__init__(**options)
        self.num_unreliable = self.num_redundant = 0
        self._mean: torch.Tensor | None = None

    @property
    def mean_probabilities(self) -> Scores | None:
        """The moving average of the probabilities of selected rows, float32 (C,); None at first."""
        return None if self._mean is None else _check.host(self._mean).copy()

    def _choose(self, candidates: Candidates) -> Chosen:
        logs = _log_probabilities(type(self).__name__, candidates)
        limit = self.entropy_limit
        if limit is None:
            limit = _RELIABLE * math.log(logs.shape[1])
        chances = logs.exp()
        # 0 log 0 = 0, which the product of a probability and its logarithm is not
        entropies = torch.special.entr(chances).sum(1)
        reliable = entropies < limit  # False for NaN
        chosen = reliable
        if self._mean is not None:
            mean = self._mean.to(chances)
            if mean.shape != chances.shape[1:]:
                raise ValueError(
                    f"logits must have {mean.numel()} columns, those of the batches before, got "
                    f"{chances.shape[1]}"
                )
            alike = F.cosine_similarity(mean[None], chances, dim=1).abs()
            new = alike < self.epsilon if self.epsilon < 1 else torch.ones_like(reliable)
            chosen = reliable & new
        rows = chosen.nonzero().flatten()
        self.num_unreliable += int((~reliable).sum())
        self.num_redundant += int(reliable.sum()) - rows.numel()
        if rows.numel():
            fresh = chances[rows].mean(0)
            if self._mean is not None:
                fresh = self.momentum * self._mean.to(fresh) + (1 - self.momentum) * fresh
            self._mean = fresh
        return Chosen(rows, torch.exp(limit - entropies[rows]))

    def _identity(self) -> dict[str, object]:
        names = ("epsilon", "entropy_limit", "momentum")
        return {name: getattr(self, name) for name in names}

    def _arrays(self) -> dict[str, Any]:
        return {
            "mean": self.mean_probabilities,
            "num_unreliable": self.num_unreliable,
            "num_redundant": self.num_redundant,
        }

    def _adopt(self, arrays: Mapping[str, Any]) -> None:
        mean = arrays["mean"]
        self._mean = None if mean is None else torch.tensor(np.array(mean, np.float32))
        self.num_unreliable = int(arrays["num_unreliable"])
        self.num_redundant = int(arrays["num_redundant"])


@told
class ConfidenceFilter(BatchSelector):
    """Train on rows of which the model is at least as confident as before its adaptation.

    For entropy minimization on an unlabelled stream that has samples of unknown classes: adaptation
    makes a model less confident of those. For replication.

    Parameters
    ----------
    source_logits : array-like of shape (N, C), optional
        Logits of the model before adaptation for each sample of the dataset. Without them, give
        those of each batch as `features` (B, C).
    **options
        The options of every selector: see `BatchSelector`.

    Attributes
    ----------
    num_refused : int
        Rows refused so far, those whose logits are not finite among them.

    Raises
    ------
    ValueError
        If `select` gets no logits, or neither indices of `source_logits` nor features, or of
        another number of classes.

    Notes
    -----
    Order
        A function of the two sets of logits. Nothing is random, and nothing is remembered.
    Cost
        O(B C), and 4 N C bytes on the host for `source_logits`; synchronizes the device once for
        each batch.
    Gradients
        Biased towards confident predictions, without weights. To combine it with `EATAFilter`,
        select with one, and from the rows that it returns with the other.
    Source
        After Lee et al., "Towards Open-Set Test-Time Adaptation Utilizing the Wisdom of Crowds in
        Entropy Minimization", ICCV 2023. The class that is compared, the adapted model's, is an
        assumption of this package.

    Examples
    --------
    >>> before = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    >>> now = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    >>> ConfidenceFilter().select(torch.ones(2), logits=now, features=before).rows
    tensor([0])
    """

    def __init__(
        self, source_logits: ArrayLike | None = None, **options: Unpack[SelectorOptions]
    ) -> None:
        self._source: Scores | None = None
        if source_logits is not None:
            self._source = np.asarray(_check.matrix("source_logits", source_logits), np.float32)
        super().__init__(**options)
        self.num_refused = 0

    def _choose(self, candidates: Candidates) -> Chosen:
        logs = _log_probabilities(type(self).__name__, candidates)
        before = self._before(candidates)
        if before.shape != logs.shape:
            raise ValueError(
                "the logits before adaptation must have the shape of logits, "
                f"{tuple(logs.shape)}, got {tuple(before.shape)}"
            )
        top = logs.max(1)
        known = before.to(logs).log_softmax(1).gather(1, top.indices[:, None]).squeeze(1)
        rows = (top.values >= known).nonzero().flatten()
        self.num_refused += len(logs) - rows.numel()
        return unweighted(rows)

    def _before(self, candidates: Candidates) -> torch.Tensor:
        """Return the logits of the batch before adaptation, (B, C)."""
        if self._source is None:
            if candidates.features is None:
                raise ValueError(
                    "features must be given to ConfidenceFilter without source_logits: the logits "
                    "of this batch before adaptation, got None"
                )
            return torch.tensor(np.asarray(candidates.features, np.float32))
        if candidates.indices is None:
            raise ValueError("indices must be given to ConfidenceFilter, got None")
        rows = candidates.indices.cpu().numpy()
        _check.codes("indices", rows, len(self._source))
        return torch.from_numpy(self._source[rows])

    def _identity(self) -> dict[str, object]:
        return {"source_logits": self._source}

    def _arrays(self) -> dict[str, Any]:
        return {"num_refused": self.num_refused}

    def _adopt(self, arrays: Mapping[str, Any]) -> None:
        self.num_refused = int(arrays["num_refused"])


def _log_probabilities(name: str, candidates: Candidates) -> torch.Tensor:
    """Return the log-probabilities of the rows, float32 (B, C), C >= 2."""
    logits = candidates.logits
    if logits is None:
        raise ValueError(
            f"logits must be given to {name}, got None: pass logits= to select, or return "
            "(losses, logits) from the loss_fn of SelectiveForward"
        )
    if logits.ndim != 2 or logits.shape[1] < 2:  # noqa: PLR2004
        raise ValueError(f"logits must have shape (B, C), C >= 2, got {tuple(logits.shape)}")
    return logits.float().log_softmax(1)
