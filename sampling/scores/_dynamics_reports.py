"""Scores computed from the histories of `TrainingDynamics`, each with its direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..record import Direction, Score
from ..types import Floats

Missing = Literal["raise", "nan"]

_FIELD_OF = {  # score -> the field that has to be recorded for it
    "el2n": "el2n",
    "aum": "aum",
    "confidence": "cartography",
    "variability": "cartography",
    "correctness": "cartography",
    "forgetting": "forgetting",
    "first_learned": "forgetting",
    "dyn_unc": "dyn_unc",
    "dual": "dual",
    "ema_loss": "ema_loss",
    "entropy": "entropy",
    "margin": "margin",
    "tdds": "tdds",
}


class Reports(ABC):
    """Scores of `TrainingDynamics`.

    The argument `missing` of each method says how to treat samples without enough presentations:
    "raise" an error or score them "nan".
    """

    fields: tuple[str, ...]
    window: int
    max_streak: int

    @abstractmethod
    def _settled(self) -> dict[str, NDArray[Any]]:
        """Return the tables by name, complete."""

    # ------------------------------------------------------------------ presentations

    @property
    def presentations(self) -> NDArray[np.int32]:
        """How often each sample was recorded, int32 (N,), read-only."""
        view: NDArray[np.int32] = self._settled()["presentations"].view()
        view.flags.writeable = False
        return view

    @property
    def num_seen(self) -> int:
        """Number of samples that were recorded at least once."""
        return int(np.count_nonzero(self.presentations))

    @property
    def never_learned(self) -> NDArray[np.bool_]:
        """Which samples were recorded and never predicted correctly, bool (N,)."""
        reached = self._of("forgetting", "never_learned")["reached"][:, 0]
        never: NDArray[np.bool_] = (reached == 0) & (self.presentations > 0)
        return never

    def scores(
        self, names: str | Sequence[str] | None = None, missing: Missing = "raise"
    ) -> dict[str, Score]:
        """Return several scores by name, computed by the methods of those names.

        Parameters
        ----------
        names : str or sequence of str, optional
            By default every score that the recorded fields allow.
        missing : {"raise", "nan"}, default "raise"

        Returns
        -------
        dict of str to Score
        """
        if names is None:
            names = [name for name, field in _FIELD_OF.items() if field in self.fields]
        names = _check.words("names", names)
        for name in names:
            if name not in _FIELD_OF:
                raise ValueError(
                    f"names must be of {', '.join(map(repr, _FIELD_OF))}, got {name!r}"
                    f"{_check.closest(name, _FIELD_OF)}"
                )
        return {name: getattr(self, name)(missing=missing) for name in names}

    # ------------------------------------------------------------------ means over the run

    def el2n(self, missing: Missing = "raise") -> Score:
        """Return the EL2N score, the mean of |softmax - onehot|, in [0, sqrt 2]: "harder".

        One run is noisy: average the scores of several runs with `mean_scores`, each recorded over
        the first 10 to 20 epochs. Source: Paul, Ganguli, Dziugaite, arXiv:2107.07075, 2021.
        """
        return self._mean("el2n", "el2n", "el2n", "harder", missing)

    def aum(self, missing: Missing = "raise") -> Score:
        """Return the area under the margin, the mean of z_y - max of the other logits: "easier".

        Low values indicate wrong labels; `aum_flagged` sets the threshold. Source: Pleiss, Zhang,
        Elenberg, Weinberger, arXiv:2001.10528, 2020.
        """
        return self._mean("aum", "aum", "aum", "easier", missing)

    def confidence(self, missing: Missing = "raise") -> Score:
        """Return the mean probability of the true label: "easier".

        Together with `variability` and `correctness` it forms the data map of Swayamdipta et al.,
        arXiv:2009.10795, 2020.
        """
        means = self._of("cartography", "confidence")["means"]
        return self._score("confidence", means, "easier", missing)

    def variability(self, missing: Missing = "raise") -> Score:
        """Return the population standard deviation of the true label's probability: "keep".

        The easiest and the hardest samples both vary little; samples of high variability are
        ambiguous, and kept. Very noisy below about 6 presentations.
        """
        squares = self._of("cartography", "variability")["squares"]
        values = np.sqrt(squares / np.maximum(self.presentations, 1))
        return self._score("variability", values, "keep", missing)

    def correctness(self, missing: Missing = "raise") -> Score:
        """Return the fraction of presentations that were predicted correctly: "easier"."""
        return self._mean("cartography", "correctness", "correct", "easier", missing)

    # ------------------------------------------------------------------ learned and forgotten

    def forgetting(self, missing: Missing = "raise") -> Score:
        """Return the number of forgetting events, from correct to incorrect, per sample: "harder".

        A sample that was never learned scores its number of presentations, which exceeds the score
        of any other: a score of 0 would make it unforgettable, and an infinite one would spoil
        every average. Most samples tie at 0. Source: Toneva et al., arXiv:1812.05159, 2019.
        """
        arrays = self._of("forgetting", "forgetting")
        never = arrays["reached"][:, 0] == 0
        values = np.where(never, arrays["presentations"], arrays["events"])
        return self._score("forgetting", values, "harder", missing)

    def first_learned(self, k: int = 1, missing: Missing = "raise") -> Score:
        """Return the presentation that completed the first k correct in a row: "harder".

        Presentations are numbered from 1; a sample without such a streak scores its number of
        presentations plus one. Source: Yuan, Feng, Liu, arXiv:2308.13862, 2023 (first-time k-epoch
        learning).

        Parameters
        ----------
        k : int in [1, max_streak], default 1
            Length of the streak of correct predictions.
        missing : {"raise", "nan"}, default "raise"
        """
        k = _check.integer("k", k, 1, self.max_streak + 1)
        arrays = self._of("forgetting", "first_learned")
        reached = arrays["reached"][:, k - 1]
        values = np.where(reached == 0, arrays["presentations"] + 1, reached)
        return self._score("first_learned", values, "harder", missing)

    # ------------------------------------------------------------------ windows

    def dyn_unc(self, missing: Missing = "raise") -> Score:
        """Return Dyn-Unc, the mean over windows of the std of the label's probability: "keep".

        The window slides by one presentation; the std divides by J - 1, as in `dual`, which
        does not change the ranking. Source: He, Yang, Huang, Zhao, arXiv:2306.05175, 2023.
        """
        return self._windows("dyn_unc", "stds", missing)

    def dual(self, missing: Missing = "raise") -> Score:
        """Return DUAL, the mean over windows of std * (1 - mean) of the label probability: "keep".

        Intended for about the first 30 epochs: compute it then. Source: Cho, Shin, Kang, Yun,
        arXiv:2502.06905, 2025.
        """
        return self._windows("dual", "duals", missing)

    def tdds(self, missing: Missing = "raise") -> Score:
        """Return TDDS, how unevenly the probabilities move between presentations: "keep".

        A move is sum_c p_c |log p_c - log q_c|, q the probabilities before. A window of J
        presentations, which slides by one, has R = the norm of its J - 1 moves minus their mean;
        the score is decay * sum_k (1 - decay)^(K - 1 - k) R_k over K windows. With a decay of 0.9
        the last window decides: compute it after the 10 to 30 epochs of the paper. Logarithms are
        of p + 1e-8, as in the released code. Source: Zhang, Du, Li, Xie, Zhou, arXiv:2311.13613,
        2023.
        """
        values = self._of("tdds", "tdds")["tdds"]
        return self._score("tdds", values, "keep", missing, self.window)

    def probabilities(self, missing: Missing = "raise") -> NDArray[np.float32]:
        """Return the mean probability of every class over the run, float32 (N, C): no score.

        4 C bytes for each sample, so "probabilities" is recorded only if it is named in `fields`.
        TiDAL trains a side module on these of the labelled samples, by its Kullback-Leibler
        divergence, and queries the unlabelled ones by the entropy of its softmax (`entropy`), or
        its margin for the class that the model predicts (`margin`). The count of each sample is its
        own, so that one that is seen twice in an epoch, or not, has the right mean. Source: Kye et
        al., TiDAL, arXiv:2210.06788, 2022.
        """
        means = self._of("probabilities", "probabilities")["probabilities"]
        seen = self._score("probabilities", means[:, 0], "easier", missing)
        found: NDArray[np.float32] = means.copy()
        found[np.isnan(seen.values)] = np.nan
        return found

    # ------------------------------------------------------------------ last presentations

    def ema_loss(self, missing: Missing = "raise") -> Score:
        """Return the exponential moving average of the cross-entropy: "harder"."""
        return self._last("ema_loss", "harder", missing)

    def entropy(self, missing: Missing = "raise") -> Score:
        """Return the entropy of the softmax at the last presentation, in nats: "harder"."""
        return self._last("entropy", "harder", missing)

    def margin(self, missing: Missing = "raise") -> Score:
        """Return p_y - max of the other probabilities at the last presentation: "easier".

        `aum` differs: it is the margin of logits, averaged over the whole run.
        """
        return self._last("margin", "easier", missing)

    # ------------------------------------------------------------------ helpers

    def _of(self, field: str, asked: str) -> dict[str, NDArray[Any]]:
        if field not in self.fields:
            given = ", ".join(map(repr, self.fields))
            raise ValueError(f"fields must include {field!r} for {asked}, got {given}")
        return self._settled()

    def _mean(
        self, field: str, name: str, table: str, higher_is: Direction, missing: Missing
    ) -> Score:
        values = self._of(field, name)[table] / np.maximum(self.presentations, 1)
        return self._score(name, values, higher_is, missing)

    def _last(self, name: str, higher_is: Direction, missing: Missing) -> Score:
        return self._score(name, self._of(name, name)[name], higher_is, missing)

    def _windows(self, name: str, table: str, missing: Missing) -> Score:
        sums = self._of(name, name)[table]
        values = sums / np.maximum(self.presentations.astype(np.int64) - (self.window - 1), 1)
        return self._score(name, values, "keep", missing, self.window)

    def _score(
        self,
        name: str,
        values: NDArray[Any],
        higher_is: Direction,
        missing: Missing,
        needed: int = 1,
    ) -> Score:
        """Return a score of a copy of `values`, with NaN for samples with too few presentations."""
        missing = _check.choice("missing", missing, ("raise", "nan"))
        seldom = self.presentations < needed
        if missing == "raise" and seldom.any():
            row = int(np.flatnonzero(seldom)[0])
            raise ValueError(
                f"samples must have been presented at least {needed} times for {name}, got "
                f"{self.presentations[row]} in row {row} ({int(seldom.sum())} such rows): "
                "missing='nan' gives them NaN"
            )
        found: Floats = np.array(values, np.float64)
        found[seldom] = np.nan
        return Score(found, higher_is, name)
