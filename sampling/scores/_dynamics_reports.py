"""What the histories of `TrainingDynamics` say about each sample, as scores with a direction."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .. import _check
from ..types import Direction, Floats, Score

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
}


class Reports(ABC):
    """The half of `TrainingDynamics` that reads.

    Each method takes `missing`: what to do about samples without enough presentations, "raise" or
    give them "nan".
    """

    fields: tuple[str, ...]
    window: int
    max_streak: int

    @abstractmethod
    def _settled(self) -> dict[str, NDArray[Any]]:
        """Return the tables by name, complete."""

    # ------------------------------------------------------------------ what was seen

    @property
    def presentations(self) -> NDArray[np.int32]:
        """How often each sample was recorded, int32 (N,), read-only."""
        view: NDArray[np.int32] = self._settled()["presentations"].view()
        view.flags.writeable = False
        return view

    @property
    def num_seen(self) -> int:
        """Samples that were recorded at least once."""
        return int(np.count_nonzero(self.presentations))

    @property
    def never_learned(self) -> NDArray[np.bool_]:
        """Which samples were recorded and never answered right, bool (N,)."""
        reached = self._of("forgetting", "never_learned")["reached"][:, 0]
        never: NDArray[np.bool_] = (reached == 0) & (self.presentations > 0)
        return never

    def scores(
        self, names: str | Sequence[str] | None = None, missing: Missing = "raise"
    ) -> dict[str, Score]:
        """Return several scores by name, of the methods below.

        Parameters
        ----------
        names : str or sequence of str, optional
            All that the recorded fields allow, by default.
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
        """Return the mean length of the error, |softmax - onehot|, in [0, sqrt 2]: "harder".

        One run is noisy: average the scores of several, each recorded over the first 10 to 20
        epochs, with `mean_scores`. Source: Paul, Ganguli, Dziugaite, arXiv:2107.07075, 2021.
        """
        return self._mean("el2n", "el2n", "el2n", "harder", missing)

    def aum(self, missing: Missing = "raise") -> Score:
        """Return the area under the margin: the mean of z_y - max of the other logits: "easier".

        Low ones are suspicious; `aum_flagged` says how low is too low. Source: Pleiss, Zhang,
        Elenberg, Weinberger, arXiv:2001.10528, 2020.
        """
        return self._mean("aum", "aum", "aum", "easier", missing)

    def confidence(self, missing: Missing = "raise") -> Score:
        """Return the mean probability of the own label: "easier".

        With `variability` and `correctness` this is the map of Swayamdipta et al.,
        arXiv:2009.10795, 2020.
        """
        means = self._of("cartography", "confidence")["means"]
        return self._score("confidence", means, "easier", missing)

    def variability(self, missing: Missing = "raise") -> Score:
        """Return the population standard deviation of the own label's probability: "keep".

        Neither the easiest nor the hardest samples vary: high ones are ambiguous, and kept. Very
        noisy below some 6 presentations.
        """
        squares = self._of("cartography", "variability")["squares"]
        values = np.sqrt(squares / np.maximum(self.presentations, 1))
        return self._score("variability", values, "keep", missing)

    def correctness(self, missing: Missing = "raise") -> Score:
        """Return the share of the presentations that were answered right: "easier"."""
        return self._mean("cartography", "correctness", "correct", "easier", missing)

    # ------------------------------------------------------------------ learned and forgotten

    def forgetting(self, missing: Missing = "raise") -> Score:
        """Return how often each sample was forgotten: right, and wrong the next time: "harder".

        A sample that was never learned gets its number of presentations, which is more than any
        other can have: as 0 it would count among the unforgettable, as infinity it would spoil
        every average. Most samples tie at 0. Source: Toneva et al., arXiv:1812.05159, 2019.
        """
        arrays = self._of("forgetting", "forgetting")
        never = arrays["reached"][:, 0] == 0
        values = np.where(never, arrays["presentations"], arrays["events"])
        return self._score("forgetting", values, "harder", missing)

    def first_learned(self, k: int = 1, missing: Missing = "raise") -> Score:
        """Return the first presentation that ended k right answers in a row: "harder".

        Presentations count from 1; a sample that never got there has one more than it was
        presented. Source: Yuan, Feng, Liu, arXiv:2308.13862, 2023 (first-time k-epoch learning).

        Parameters
        ----------
        k : int in [1, max_streak], default 1
        missing : {"raise", "nan"}, default "raise"
        """
        k = _check.integer("k", k, 1, self.max_streak + 1)
        arrays = self._of("forgetting", "first_learned")
        reached = arrays["reached"][:, k - 1]
        values = np.where(reached == 0, arrays["presentations"] + 1, reached)
        return self._score("first_learned", values, "harder", missing)

    # ------------------------------------------------------------------ windows

    def dyn_unc(self, missing: Missing = "raise") -> Score:
        """Return the mean over windows of the std of the own label's probability: "keep".

        The window slides by one presentation; the std has J - 1 below, as in `dual`, which changes
        no ranking. Source: He, Yang, Huang, Zhao, arXiv:2306.05175, 2023.
        """
        return self._windows("dyn_unc", "stds", missing)

    def dual(self, missing: Missing = "raise") -> Score:
        """Return the mean over windows of std * (1 - mean) of the own label's probability: "keep".

        Meant for the first 30 epochs or so: ask then. Source: Cho, Shin, Kang, Yun,
        arXiv:2502.06905, 2025.
        """
        return self._windows("dual", "duals", missing)

    # ------------------------------------------------------------------ of late

    def ema_loss(self, missing: Missing = "raise") -> Score:
        """Return the moving average of the cross-entropy: "harder"."""
        return self._last("ema_loss", "harder", missing)

    def entropy(self, missing: Missing = "raise") -> Score:
        """Return the entropy of the softmax at the last presentation, in nats: "harder"."""
        return self._last("entropy", "harder", missing)

    def margin(self, missing: Missing = "raise") -> Score:
        """Return p_y - max of the other probabilities at the last presentation: "easier".

        `aum` is another thing: of logits, and over the whole run.
        """
        return self._last("margin", "easier", missing)

    # ------------------------------------------------------------------ behind them

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
        """Return a score of a copy of `values`, with NaN for samples presented too seldom."""
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
